"""What is counted: co-occurrences per year and over all years, changes not yet folded, and what was counted before."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from storage.schema.base import metadata
from storage.schema.mentions import annotator


def _key_columns() -> list[Column[int]]:
    return [
        Column("annotator_id", SmallInteger, nullable=False),
        Column("drug_id", Integer, nullable=False, comment="concept; 0 stands for any"),
        Column("condition_id", Integer, nullable=False, comment="concept; 0 stands for any"),
    ]


def _count_columns() -> list[Column[int]]:
    return [
        Column("sentence_count", BigInteger, nullable=False),
        Column("citation_count", BigInteger, nullable=False),
        Column("pair_count", BigInteger, comment="of a margin: the pairs of its citations, each citation's counted"),
    ]


def _year_columns() -> list[Column[int]]:
    return [
        Column("first_year", SmallInteger, comment="of publication; null where all are unknown"),
        Column("last_year", SmallInteger),
    ]


def _by_year_column() -> Column[list[int]]:
    return Column(
        "by_year",
        ARRAY(Integer, dimensions=2),
        comment="rows of year (0 where unknown), sentences, citations, pairs, a year perhaps several times; "
        "null where all is of one year",
    )


cooccurrence_total = Table(
    "cooccurrence_total",
    metadata,
    *_key_columns(),
    *_year_columns(),
    *_count_columns(),
    _by_year_column(),
    PrimaryKeyConstraint("annotator_id", "drug_id", "condition_id"),
    CheckConstraint("sentence_count >= 0 AND citation_count >= 0", name="not_negative"),
    # In the order in which the partners of a drug and of a condition, and all pairs, are asked for. Conditions on their own are
    # the partners of drug 0, and drugs those of condition 0.
    Index(
        "ix_cooccurrence_total_drug",
        "annotator_id",
        "drug_id",
        text("citation_count DESC"),
        text("sentence_count DESC"),
        "condition_id",
        postgresql_where=text("condition_id > 0"),
    ),
    Index(
        "ix_cooccurrence_total_condition",
        "annotator_id",
        "condition_id",
        text("citation_count DESC"),
        text("sentence_count DESC"),
        "drug_id",
        postgresql_where=text("drug_id > 0"),
    ),
    Index(
        "ix_cooccurrence_total_pair",
        "annotator_id",
        text("citation_count DESC"),
        text("sentence_count DESC"),
        postgresql_where=text("drug_id > 0 AND condition_id > 0"),
    ),
    Index(
        "ix_cooccurrence_total_margin",
        "annotator_id",
        "drug_id",
        "condition_id",
        postgresql_where=text("drug_id = 0 OR condition_id = 0"),
    ),
    comment="Pairs, their margins (one side 0) and the whole (both 0), over all years and by year; the truth is this plus the "
    "deltas.",
)

cooccurrence_delta = Table(
    "cooccurrence_delta",
    metadata,
    *_key_columns(),
    *_year_columns(),
    *_count_columns(),
    _by_year_column(),
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
