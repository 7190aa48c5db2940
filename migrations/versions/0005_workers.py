"""The table of worker processes.

Code of the release before does not know it and goes on working.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _count(name: str, comment: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False, comment=comment)


def upgrade() -> None:
    op.create_table(
        "worker",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="what Celery calls it"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("queues", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "concurrency", sa.Integer(), server_default="1", nullable=False, comment="tasks that it has room for"
        ),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=True, comment="null while it is between two processes"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "doing",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="tasks in hand, or what its last trouble was",
        ),
        sa.Column("restarts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "progressed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it last committed something",
        ),
        _count("taken", "messages taken since the start of its process"),
        _count("fetched", "citations fetched since then"),
        _count("annotated", "citations annotated since then"),
        _count("sentences", "sentences annotated since then"),
        _count("mentions", "mentions found since then"),
        _count("failed", "pieces of work that failed since then"),
        _count("recent_fetched", "citations fetched in the minute before seen_at"),
        _count("recent_annotated", "citations annotated in that minute"),
        _count("recent_sentences", "sentences annotated in that minute"),
        sa.CheckConstraint("kind IN ('worker', 'beat')", name=op.f("ck_worker_kind")),
        sa.CheckConstraint("state IN ('starting', 'running', 'stopping')", name=op.f("ck_worker_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
        sa.UniqueConstraint("name", name=op.f("uq_worker_name")),
        schema="comention",
        comment="Worker and beat processes. A process that was killed with its supervisor leaves its row: seen_at tells.",
    )


def downgrade() -> None:
    op.drop_table("worker", schema="comention")
