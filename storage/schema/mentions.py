"""What annotators say: the ledger, names and concepts, mentions."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    Boolean,
    CheckConstraint,
    Column,
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
from sqlalchemy.dialects.postgresql import ARRAY

from storage.schema.base import metadata
from storage.schema.texts import citation

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
    Index(
        "ix_name_prefix",
        "text",
        postgresql_ops={"text": "text_pattern_ops"},
        postgresql_include=["concept_id", "label_id"],
    ),
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
    Index(
        "ix_citation_mentions_pairs",
        text("comention.pair_keys(pmid, sentence_ordinals, name_ids)"),
        postgresql_using="gin",
        postgresql_with={"fastupdate": "on", "gin_pending_list_limit": "64"},
    ),
    comment="The mentions of a citation by an annotator, as arrays in step, in order of sentence, span and name. "
    "A trigger refuses what does not lie inside its sentence.",
)

promotion = Table(
    "promotion",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("annotator_id", SmallInteger, ForeignKey(annotator.c.id), nullable=False),
    Column("promoted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="Which annotator the default views have shown since when.",
)
