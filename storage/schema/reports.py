"""What readers say of mentions."""

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
    SmallInteger,
    Table,
    Text,
    func,
)

from storage.schema.base import metadata
from storage.schema.mentions import annotator

mention_report = Table(
    "mention_report",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("reported_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("pmid", Integer, nullable=False),
    Column("sentence_ordinal", Integer, nullable=False),
    Column("annotator_id", SmallInteger, ForeignKey(annotator.c.id, ondelete="CASCADE"), nullable=False),
    Column("label", Text, nullable=False),
    Column("start_char", Integer, nullable=False),
    Column("end_char", Integer, nullable=False),
    Column("text", Text, nullable=False, comment="what was marked when it was reported"),
    Column("reason", Text, nullable=False),
    Column("comment", Text, nullable=False, server_default=""),
    CheckConstraint(
        "reason IN ('not a mention', 'wrong span', 'wrong label', 'wrong concept', 'other')", name="reason"
    ),
    CheckConstraint("length(comment) <= 1000", name="comment"),
    Index(None, "pmid"),
    Index(None, "reported_at"),
    comment="Mentions that readers hold to be wrong. It outlives the mention: a text may be revised, or annotated anew.",
)
