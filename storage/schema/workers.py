"""The processes that do the work, as they last said of themselves."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY

from storage.schema.base import metadata


def _count(name: str, comment: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0", comment=comment)


worker = Table(
    "worker",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, comment="what Celery calls it"),
    Column("kind", Text, nullable=False),
    Column("queues", ARRAY(Text), nullable=False, server_default="{}"),
    Column("concurrency", Integer, nullable=False, server_default="1", comment="tasks that it has room for"),
    Column("host", Text, nullable=False),
    Column("pid", Integer, comment="null while it is between two processes"),
    Column("state", Text, nullable=False),
    Column("doing", Text, nullable=False, server_default="", comment="tasks in hand, or what its last trouble was"),
    Column("restarts", Integer, nullable=False, server_default="0"),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("progressed_at", DateTime(timezone=True), comment="when it last committed something"),
    _count("taken", "messages taken since the start of its process"),
    _count("fetched", "citations fetched since then"),
    _count("annotated", "citations annotated since then"),
    _count("sentences", "sentences annotated since then"),
    _count("mentions", "mentions found since then"),
    _count("failed", "pieces of work that failed since then"),
    _count("recent_fetched", "citations fetched in the minute before seen_at"),
    _count("recent_annotated", "citations annotated in that minute"),
    _count("recent_sentences", "sentences annotated in that minute"),
    CheckConstraint("kind IN ('worker', 'beat')", name="kind"),
    CheckConstraint("state IN ('starting', 'running', 'stopping')", name="state"),
    UniqueConstraint("name"),
    comment="Worker and beat processes. A process that was killed with its supervisor leaves its row: seen_at tells.",
)
