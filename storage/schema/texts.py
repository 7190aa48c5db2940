"""What comes from PubMed: runs and subscriptions, citations and their sentences, what full-text search reads."""

from __future__ import annotations

from sqlalchemy import (
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
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR

from storage.schema.base import metadata

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
    Column("document", TSVECTOR, nullable=False),
    PrimaryKeyConstraint("pmid", "ordinal"),
    ForeignKeyConstraint(["pmid", "ordinal"], [sentence.c.pmid, sentence.c.ordinal], ondelete="CASCADE"),
    Index(
        "ix_sentence_text_document",
        "document",
        text("comention.search_blocks(pmid)"),
        text("comention.word_pairs(document)"),
        postgresql_using="gin",
        postgresql_with={"fastupdate": "on", "gin_pending_list_limit": "256"},
    ),
    comment="What full-text search reads: the words of each sentence with their places. Filled from the citations' texts "
    "behind the writers, which need not wait for it.",
)
