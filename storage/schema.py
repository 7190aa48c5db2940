"""The tables of the private schema `comention`. Migrations create them; `alembic check` keeps the two alike.

Every table of the data path leads its key with `pmid`, so that it can be distributed by it. Row locks are taken in the order
of `pmid`, and in the order citation, annotation, everything else, so that parallel writers cannot deadlock.
"""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

SCHEMA = "comention"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    },
)


ingest_run = Table(
    "ingest_run",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False, comment="what the user named: a file's name, a query, a list of PMIDs"),
    Column("source_key", Text, nullable=False, comment="what makes it the same source again: a digest of its content"),
    Column("program_version", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="running"),
    Column("detail", Text),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("finished_at", DateTime(timezone=True)),
    Column("requested", Integer, comment="PMIDs asked for; null for a file, which is read to its end"),
    Column("read", Integer, nullable=False, server_default="0"),
    Column("new", Integer, nullable=False, server_default="0"),
    Column("revised", Integer, nullable=False, server_default="0"),
    Column("unchanged", Integer, nullable=False, server_default="0"),
    Column("deleted", Integer, nullable=False, server_default="0"),
    Column("superseded", Integer, nullable=False, server_default="0"),
    Column("withdrawn", Integer, nullable=False, server_default="0"),
    Column("refused", Integer, nullable=False, server_default="0"),
    Column("missing", Integer, nullable=False, server_default="0"),
    CheckConstraint("status IN ('running', 'done', 'failed')", name="status"),
    CheckConstraint(
        "read = new + revised + unchanged + deleted + superseded + withdrawn + refused + missing", name="adds_up"
    ),
    CheckConstraint("status <> 'done' OR requested IS NULL OR requested = read", name="nothing_left"),
    Index("ix_ingest_run_source_key", "source_key", "id"),
    comment="One attempt to bring a source in; an interrupted one is taken up again under the same row.",
)

ingest_exception = Table(
    "ingest_exception",
    metadata,
    Column("run_id", Integer, ForeignKey(ingest_run.c.id, ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("pmid", Integer),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "position"),
    CheckConstraint("outcome IN ('superseded', 'withdrawn', 'refused', 'missing')", name="outcome"),
    Index(None, "pmid"),
    comment="Every record that was read and not stored, with its reason.",
)

citation = Table(
    "citation",
    metadata,
    Column("pmid", Integer, primary_key=True, autoincrement=False),
    Column("version", SmallInteger, nullable=False),
    Column("text", Text, nullable=False, comment="the canonical text: title, newline, abstract"),
    Column("title_length", Integer, nullable=False),
    Column("journal", JSONB, nullable=False),
    Column("published_on", Date),
    Column("published_precision", Text),
    Column("publication_types", ARRAY(Text), nullable=False),
    Column("languages", ARRAY(Text), nullable=False),
    Column("keywords", ARRAY(Text), nullable=False),
    Column("mesh", JSONB, nullable=False),
    Column("substances", JSONB, nullable=False),
    Column("corrections", JSONB, nullable=False),
    Column("other_abstracts", JSONB, nullable=False),
    Column("vernacular_title", Text),
    Column("doi", Text),
    Column("pmc", Text),
    Column("retracted", Boolean, nullable=False),
    Column("revised_on", Date),
    Column("content_hash", LargeBinary, nullable=False),
    Column("record_hash", LargeBinary, nullable=False),
    Column("splitter", Text, nullable=False, comment="which splitter cut its sentences"),
    Column("run_id", Integer, ForeignKey(ingest_run.c.id, ondelete="SET NULL")),
    Column(
        "bulk_position",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the last place in PubMed's numbered files that this record is known to be at least as new as; 0: none",
    ),
    Column(
        "from_bulk",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="whether it stands as at that place, or was fetched since",
    ),
    CheckConstraint("pmid > 0", name="pmid"),
    CheckConstraint("title_length BETWEEN 0 AND length(text)", name="title_length"),
    Index("ix_citation_retracted", "pmid", postgresql_where=text("retracted")),
    CheckConstraint("published_precision IN ('year', 'month', 'day')", name="published_precision"),
    Index(None, "run_id"),
)

deleted_citation = Table(
    "deleted_citation",
    metadata,
    Column("pmid", Integer, primary_key=True, autoincrement=False),
    Column("version", SmallInteger, nullable=False),
    Column("revised_on", Date, comment="of the record that was stored when PubMed withdrew it"),
    Column("source_key", Text, nullable=False, comment="the source that withdrew it"),
    Column("deleted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column(
        "bulk_position",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the place in PubMed's numbered files that withdraws it; 0: none",
    ),
    comment="What PubMed has withdrawn, up to which version and revision; a newer record comes back, an older one not.",
)

subscription = Table(
    "subscription",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("every", Text, nullable=False, comment="an interval such as 6h, or a cron expression in UTC"),
    Column("annotator", Text, comment="null: the one of the settings"),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("name"),
    CheckConstraint("name <> '' AND query <> '' AND every <> ''", name="not_empty"),
    comment="Queries that are asked again and again; what they find is fetched and kept.",
)

subscription_tick = Table(
    "subscription_tick",
    metadata,
    Column("subscription_id", Integer, ForeignKey(subscription.c.id, ondelete="CASCADE"), nullable=False),
    Column("tick", DateTime(timezone=True), nullable=False, comment="the moment that the schedule names"),
    Column("status", Text, nullable=False, server_default="running"),
    Column("detail", Text),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("finished_at", DateTime(timezone=True)),
    Column("since", Date, comment="records that NCBI changed since are fetched again; null: all are"),
    Column("found", Integer, comment="PMIDs that the query found"),
    Column("added", Integer, comment="of them, found for the first time or again"),
    Column("lost", Integer, comment="PMIDs that the query found before and no longer does"),
    Column("due", ARRAY(Integer), comment="what is to be fetched, until the tick is done"),
    Column("remarks", ARRAY(Text), nullable=False, server_default=text("'{}'"), comment="NCBI's own, on the query"),
    Column("run_id", Integer, ForeignKey(ingest_run.c.id, ondelete="SET NULL")),
    PrimaryKeyConstraint("subscription_id", "tick"),
    CheckConstraint("status IN ('running', 'done', 'failed')", name="status"),
    Index(None, "run_id"),
    comment="One row each time a subscription was due, however often that is asked or sent.",
)

subscription_citation = Table(
    "subscription_citation",
    metadata,
    Column("subscription_id", Integer, ForeignKey(subscription.c.id, ondelete="CASCADE"), nullable=False),
    Column("pmid", Integer, nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False, comment="the first tick that found it"),
    Column("lost_at", DateTime(timezone=True), comment="the first tick since that did not; null while it is found"),
    PrimaryKeyConstraint("subscription_id", "pmid"),
    comment="What each subscription has ever found. A citation stays when its query no longer finds it.",
)

section = Table(
    "section",
    metadata,
    Column("pmid", Integer, ForeignKey(citation.c.pmid, ondelete="CASCADE"), nullable=False),
    Column("ordinal", SmallInteger, nullable=False),
    Column("label", Text, nullable=False),
    Column("category", Text),
    Column("start_char", Integer, nullable=False),
    Column("end_char", Integer, nullable=False),
    PrimaryKeyConstraint("pmid", "ordinal"),
    CheckConstraint("0 <= start_char AND start_char <= end_char", name="span"),
)

sentence = Table(
    "sentence",
    metadata,
    Column("pmid", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("section_ordinal", SmallInteger, nullable=False),
    Column("start_char", Integer, nullable=False),
    Column("end_char", Integer, nullable=False),
    PrimaryKeyConstraint("pmid", "ordinal"),
    ForeignKeyConstraint(["pmid", "section_ordinal"], [section.c.pmid, section.c.ordinal], ondelete="CASCADE"),
    CheckConstraint("ordinal BETWEEN 0 AND 99999", name="ordinal"),
    CheckConstraint("0 <= start_char AND start_char < end_char", name="span"),
    Index("ix_sentence_sentence_id", text("((pmid::bigint * 100000 + ordinal))"), unique=True),
    comment="Offsets into the citation's text, which holds the words; a trigger refuses what does not lie inside it.",
)

unindexed_citation = Table(
    "unindexed_citation",
    metadata,
    Column("pmid", Integer, ForeignKey(citation.c.pmid, ondelete="CASCADE"), primary_key=True, autoincrement=False),
    comment="Citations whose sentences full-text search does not find yet.",
)

sentence_text = Table(
    "sentence_text",
    metadata,
    Column("pmid", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("text", Text, nullable=False),
    PrimaryKeyConstraint("pmid", "ordinal"),
    ForeignKeyConstraint(["pmid", "ordinal"], [sentence.c.pmid, sentence.c.ordinal], ondelete="CASCADE"),
    Index(
        "ix_sentence_text_document",
        text("comention.search_document(pmid, text)"),
        postgresql_using="gin",
    ),
    comment="What full-text search reads: filled from the citations' texts behind the writers, which need not wait for it.",
)

label = Table(
    "label",
    metadata,
    Column("id", SmallInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    UniqueConstraint("name"),
)

annotator = Table(
    "annotator",
    metadata,
    Column("id", SmallInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("labels", ARRAY(Text), nullable=False),
    Column("config_hash", Text, nullable=False),
    Column("promoted", Boolean, nullable=False, server_default=text("false")),
    Column("registered_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("name", "version", "model", "revision", "config_hash"),
    Index("uq_annotator_promoted", "promoted", unique=True, postgresql_where=text("promoted")),
    comment="Two annotators stand side by side over the same sentences; the default views show the promoted one.",
)

annotation = Table(
    "annotation",
    metadata,
    Column("pmid", Integer, ForeignKey(citation.c.pmid, ondelete="CASCADE"), nullable=False),
    Column("annotator_id", SmallInteger, ForeignKey(annotator.c.id), nullable=False),
    Column("content_hash", LargeBinary, nullable=False, comment="of the content that was annotated"),
    Column("status", Text, nullable=False),
    Column("detail", Text),
    Column("sentence_count", Integer, nullable=False, comment="sentences that could be read"),
    Column("mention_count", Integer, nullable=False),
    Column("attempts", SmallInteger, nullable=False, server_default="1"),
    Column("annotated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column(
        "counted_since",
        DateTime(timezone=True),
        nullable=False,
        server_default=func.now(),
        comment="since when the counts have held what it contributes now",
    ),
    PrimaryKeyConstraint("pmid", "annotator_id"),
    CheckConstraint("status IN ('done', 'truncated', 'failed')", name="status"),
    CheckConstraint("(status = 'done') = (detail IS NULL)", name="detail"),
    Index(None, "annotator_id", "counted_since"),
    comment="The ledger: no row means not yet run; a row with another content_hash means out of date.",
)

annotation_exception = Table(
    "annotation_exception",
    metadata,
    Column("pmid", Integer, nullable=False),
    Column("annotator_id", SmallInteger, nullable=False),
    Column("sentence_ordinal", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("detail", Text, nullable=False),
    PrimaryKeyConstraint("pmid", "annotator_id", "sentence_ordinal"),
    ForeignKeyConstraint(["pmid", "annotator_id"], [annotation.c.pmid, annotation.c.annotator_id], ondelete="CASCADE"),
    CheckConstraint("status IN ('truncated', 'failed')", name="status"),
    comment="The sentences that an annotator could not read, or not to their end, with the reason.",
)

concept = Table(
    "concept",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("label_id", SmallInteger, ForeignKey(label.c.id), nullable=False),
    Column("key", Text, nullable=False, comment="a CURIE, or the name itself where no terminology knows it"),
    Column("curie", Boolean, nullable=False, server_default=text("false")),
    Column("preferred_name", Text),
    UniqueConstraint("label_id", "key"),
)

name = Table(
    "name",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("label_id", SmallInteger, ForeignKey(label.c.id), nullable=False),
    Column("text", Text, nullable=False, comment="the normalised surface form"),
    Column("concept_id", Integer, ForeignKey(concept.c.id), nullable=False),
    UniqueConstraint("label_id", "text"),
    Index(None, "concept_id"),
    Index("ix_name_prefix", "text", postgresql_ops={"text": "text_pattern_ops"}),
    Index("ix_name_trigrams", "text", postgresql_using="gin", postgresql_ops={"text": "gin_trgm_ops"}),
)

citation_mentions = Table(
    "citation_mentions",
    metadata,
    Column("pmid", Integer, nullable=False),
    Column("annotator_id", SmallInteger, nullable=False),
    Column("sentence_ordinals", ARRAY(Integer), nullable=False),
    Column("starts", ARRAY(Integer), nullable=False),
    Column("ends", ARRAY(Integer), nullable=False),
    Column("name_ids", ARRAY(Integer), nullable=False),
    Column("scores", ARRAY(REAL), nullable=False),
    PrimaryKeyConstraint("pmid", "annotator_id"),
    ForeignKeyConstraint(["pmid", "annotator_id"], [annotation.c.pmid, annotation.c.annotator_id], ondelete="CASCADE"),
    CheckConstraint(
        "cardinality(name_ids) > 0 AND array_ndims(name_ids) = 1 "
        "AND array_lower(name_ids, 1) = 1 AND array_lower(sentence_ordinals, 1) = 1 "
        "AND array_lower(starts, 1) = 1 AND array_lower(ends, 1) = 1 AND array_lower(scores, 1) = 1 "
        "AND cardinality(sentence_ordinals) = cardinality(name_ids) AND cardinality(starts) = cardinality(name_ids) "
        "AND cardinality(ends) = cardinality(name_ids) AND cardinality(scores) = cardinality(name_ids)",
        name="in_step",
    ),
    Index(
        "ix_citation_mentions_keys",
        text("comention.mention_keys(pmid, name_ids)"),
        postgresql_using="gin",
        # Writers append to a short list that is sorted in by the portion; readers look through the list too.
        postgresql_with={"fastupdate": "on", "gin_pending_list_limit": "256"},
    ),
    comment="The mentions of a citation by an annotator, as arrays in step, in order of sentence, span and name. "
    "A trigger refuses what does not lie inside its sentence.",
)


def _cell_columns() -> list[Column[int]]:
    return [
        Column("annotator_id", SmallInteger, nullable=False),
        Column(
            "drug_id",
            Integer,
            nullable=False,
            comment="concept; 0 stands for any or none, -1 for all that it is paired with",
        ),
        Column(
            "condition_id",
            Integer,
            nullable=False,
            comment="concept; 0 stands for any or none, -1 for all that it is paired with",
        ),
        Column("year", SmallInteger, nullable=False, comment="of publication; 0 where unknown"),
        Column("sentence_count", BigInteger, nullable=False),
        Column("citation_count", BigInteger, nullable=False),
    ]


cooccurrence_count = Table(
    "cooccurrence_count",
    metadata,
    *_cell_columns(),
    PrimaryKeyConstraint("annotator_id", "drug_id", "condition_id", "year"),
    CheckConstraint("sentence_count >= 0 AND citation_count >= 0", name="not_negative"),
    comment="Pairs, their margins (0 or -1 on one side) and the whole (on both), per year; the truth is this plus the deltas.",
)

cooccurrence_total = Table(
    "cooccurrence_total",
    metadata,
    *(column for column in _cell_columns() if column.name != "year"),
    PrimaryKeyConstraint("annotator_id", "drug_id", "condition_id"),
    CheckConstraint("sentence_count >= 0 AND citation_count >= 0", name="not_negative"),
    # In the order in which the partners of a drug and of a condition, and all pairs, are asked for.
    Index(
        "ix_cooccurrence_total_drug",
        "annotator_id",
        "drug_id",
        text("citation_count DESC"),
        text("sentence_count DESC"),
        "condition_id",
    ),
    Index(
        "ix_cooccurrence_total_condition",
        "annotator_id",
        "condition_id",
        text("citation_count DESC"),
        text("sentence_count DESC"),
        "drug_id",
    ),
    Index(
        "ix_cooccurrence_total_pair",
        "annotator_id",
        text("citation_count DESC"),
        text("sentence_count DESC"),
        postgresql_where=text("drug_id > 0 AND condition_id > 0"),
    ),
    comment="The same over all years: what the ranking of pairs reads; the truth is this plus the deltas.",
)

cooccurrence_delta = Table(
    "cooccurrence_delta",
    metadata,
    *_cell_columns(),
    Index(None, "annotator_id", "drug_id", "condition_id"),
    Index(None, "annotator_id", "condition_id", "drug_id"),
    comment="Changes not yet folded into the counts; appended by the transaction that makes the change.",
)

past_contribution = Table(
    "past_contribution",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("pmid", Integer, nullable=False),
    Column("annotator_id", SmallInteger, ForeignKey(annotator.c.id), nullable=False),
    Column("counted_since", DateTime(timezone=True), nullable=False),
    Column("counted_until", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False, comment="why it no longer counts, or counts otherwise"),
    Column("year", SmallInteger, nullable=False),
    Column("drug_ids", ARRAY(Integer), nullable=False, comment="concepts, as in the counts; the arrays go in step"),
    Column("condition_ids", ARRAY(Integer), nullable=False),
    Column("sentence_counts", ARRAY(Integer), nullable=False),
    CheckConstraint(
        "reason IN ('revision', 'retraction', 'deletion', 'removal', 're-annotation', 're-linking', 'correction')",
        name="reason",
    ),
    CheckConstraint("counted_since <= counted_until", name="interval"),
    Index(None, "annotator_id", "counted_until"),
    Index(None, "pmid", "annotator_id"),
    comment="What a citation contributed to the counts before a change; from it the counts of an earlier time are told.",
)

promotion = Table(
    "promotion",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("annotator_id", SmallInteger, ForeignKey(annotator.c.id), nullable=False),
    Column("promoted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="Which annotator the default views have shown since when.",
)
