"""What the dashboard's further pages read, and the one thing that readers may write: reports of wrong mentions.

Code of the release before does not know any of it and goes on working.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def _run(part: str) -> None:
    driver = op.get_bind().connection.driver_connection
    if driver is None:
        raise RuntimeError("this migration needs a live connection")
    driver.execute((SQL / part).read_text(encoding="utf-8"))


def upgrade() -> None:
    op.create_table(
        "mention_report",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("pmid", sa.Integer(), nullable=False),
        sa.Column("sentence_ordinal", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("start_char", sa.Integer(), nullable=False),
        sa.Column("end_char", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False, comment="what was marked when it was reported"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "reason IN ('not a mention', 'wrong span', 'wrong label', 'wrong concept', 'other')",
            name=op.f("ck_mention_report_reason"),
        ),
        sa.CheckConstraint("length(comment) <= 1000", name=op.f("ck_mention_report_comment")),
        sa.ForeignKeyConstraint(
            ["annotator_id"],
            ["comention.annotator.id"],
            name=op.f("fk_mention_report_annotator_id_annotator"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mention_report")),
        schema="comention",
        comment="Mentions that readers hold to be wrong. It outlives the mention: a text may be revised, or annotated anew.",
    )
    op.create_index(op.f("ix_mention_report_pmid"), "mention_report", ["pmid"], schema="comention")
    op.create_index(op.f("ix_mention_report_reported_at"), "mention_report", ["reported_at"], schema="comention")
    _run("0007/operations.sql")
    _run("0007/agreement.sql")
    _run("0007/reports.sql")
    _run("0003/roles.sql")


def downgrade() -> None:
    _run("0007/downgrade.sql")
    op.drop_table("mention_report", schema="comention")
