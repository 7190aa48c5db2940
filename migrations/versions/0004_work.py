"""What workers have to do: jobs, batches to fetch, claims of annotators. The program of before goes on working beside it."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql" / "0004"


def _run(*parts: str) -> None:
    driver = op.get_bind().connection.driver_connection
    if driver is None:
        raise RuntimeError("this migration needs a live connection")
    for part in parts:
        driver.execute((SQL / part).read_text(encoding="utf-8"))


def _lease() -> list[sa.Column[object]]:
    return [
        sa.Column("lease", sa.Uuid(), nullable=True, comment="who has taken it, under this number; null: nobody"),
        sa.Column("worker", sa.Text(), nullable=True, comment="what the sessions of whoever has it call themselves"),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True, comment="from then on others may take it"),
    ]


def _attempts() -> list[sa.Column[object]]:
    return [
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False, comment="how often it was taken"),
        sa.Column(
            "failures", sa.Integer(), server_default="0", nullable=False, comment="how often it ended with an error"
        ),
        sa.Column(
            "retry_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="it is not taken before",
        ),
        *_lease(),
    ]


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "key", sa.Text(), nullable=True, comment="what there may be one of only: a tick of a subscription, a night"
        ),
        sa.Column(
            "source",
            sa.Text(),
            nullable=False,
            comment="what the user named: a query, a list of PMIDs, a subscription",
        ),
        sa.Column("query", sa.Text(), nullable=True),
        sa.Column("since", sa.Date(), nullable=True),
        sa.Column(
            "pmids",
            postgresql.ARRAY(sa.Integer()),
            nullable=True,
            comment="what is asked for, until it is divided into batches",
        ),
        sa.Column("subscription_id", sa.Integer(), nullable=True),
        sa.Column("tick", sa.DateTime(timezone=True), nullable=True),
        sa.Column("annotator", sa.Text(), nullable=True, comment="null: the one of the settings"),
        sa.Column("priority", sa.SmallInteger(), nullable=False, comment="the lower goes first"),
        sa.Column("status", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("found", sa.Integer(), nullable=True, comment="PMIDs that it came to"),
        *_attempts(),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('query', 'pmids', 'tick', 'nightly')", name=op.f("ck_job_kind")),
        sa.CheckConstraint("status IN ('waiting', 'fetching', 'done', 'failed')", name=op.f("ck_job_status")),
        sa.CheckConstraint(
            "(kind = 'tick') = (subscription_id IS NOT NULL AND tick IS NOT NULL)", name=op.f("ck_job_tick")
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["comention.subscription.id"],
            name=op.f("fk_job_subscription_id_subscription"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("key", name=op.f("uq_job_key")),
        schema="comention",
        comment="What somebody or the schedule has handed in for the workers.",
    )
    op.create_index(
        "ix_job_open",
        "job",
        ["priority", "id"],
        schema="comention",
        postgresql_where=sa.text("status IN ('waiting', 'fetching')"),
    )
    op.create_index(op.f("ix_job_subscription_id"), "job", ["subscription_id"], schema="comention")
    op.create_table(
        "fetch_batch",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("pmids", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Integer(), nullable=True),
        *_attempts(),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('waiting', 'done', 'failed')", name=op.f("ck_fetch_batch_status")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["comention.job.id"], name=op.f("fk_fetch_batch_job_id_job"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["comention.ingest_run.id"],
            name=op.f("fk_fetch_batch_run_id_ingest_run"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("job_id", "ordinal", name=op.f("pk_fetch_batch")),
        schema="comention",
        comment="PMIDs of a job that one worker fetches at a time; what became of each stands in its ingest run.",
    )
    op.create_index(
        "ix_fetch_batch_waiting",
        "fetch_batch",
        ["priority", "job_id", "ordinal"],
        schema="comention",
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.create_index(op.f("ix_fetch_batch_run_id"), "fetch_batch", ["run_id"], schema="comention")
    op.create_table(
        "annotation_claim",
        sa.Column("pmid", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False, comment="of the content that is annotated"),
        sa.Column("attempts", sa.SmallInteger(), nullable=False, comment="begun with this content and not ended"),
        *_lease(),
        sa.PrimaryKeyConstraint("pmid", "annotator_id", name=op.f("pk_annotation_claim")),
        schema="comention",
        comment="Citations that a worker annotates at the moment, or did when it was lost; a row goes when the ledger has its own.",
    )
    op.create_index(
        op.f("ix_annotation_claim_annotator_id_leased_until"),
        "annotation_claim",
        ["annotator_id", "leased_until"],
        schema="comention",
    )
    op.create_index(op.f("ix_annotation_claim_lease"), "annotation_claim", ["lease"], schema="comention")
    op.create_table(
        "annotator_choice",
        sa.Column("name", sa.Text(), nullable=False, comment="as settings, jobs and subscriptions have it"),
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotator_id"],
            ["comention.annotator.id"],
            name=op.f("fk_annotator_choice_annotator_id_annotator"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_annotator_choice")),
        schema="comention",
        comment="Which annotator a name stood for when a worker loaded it last; only loading one tells.",
    )
    _run("claims.sql", "analysis.sql")


def downgrade() -> None:
    _run("downgrade.sql")
    for table in ("annotator_choice", "annotation_claim", "fetch_batch", "job"):
        op.drop_table(table, schema="comention")
