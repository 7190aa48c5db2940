"""Numbered files in their order, subscriptions with their ticks, and a ledger that says what was asked for.

Code of the release before goes on working: every new column has a default that says "not known".
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql" / revision


def _run(part: str) -> None:
    driver = op.get_bind().connection.driver_connection
    if driver is None:
        raise RuntimeError("this migration needs a live connection")
    driver.execute((SQL / part).read_text(encoding="utf-8"))


def upgrade() -> None:
    # Constant defaults: Postgres notes them in its catalogue and rewrites no row.
    op.add_column(
        "citation",
        sa.Column(
            "bulk_position",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="the last place in PubMed's numbered files that this record is known to be at least as new as; 0: none",
        ),
        schema="comention",
    )
    op.add_column(
        "citation",
        sa.Column(
            "from_bulk",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="whether it stands as at that place, or was fetched since",
        ),
        schema="comention",
    )
    op.add_column(
        "deleted_citation",
        sa.Column(
            "bulk_position",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="the place in PubMed's numbered files that withdraws it; 0: none",
        ),
        schema="comention",
    )
    op.add_column(
        "ingest_run",
        sa.Column(
            "requested",
            sa.Integer(),
            nullable=True,
            comment="PMIDs asked for; null for a file, which is read to its end",
        ),
        schema="comention",
    )
    op.create_check_constraint(
        op.f("ck_ingest_run_nothing_left"),
        "ingest_run",
        "status <> 'done' OR requested IS NULL OR requested = read",
        schema="comention",
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("every", sa.Text(), nullable=False, comment="an interval such as 6h, or a cron expression in UTC"),
        sa.Column("annotator", sa.Text(), nullable=True, comment="null: the one of the settings"),
        sa.Column("paused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("name <> '' AND query <> '' AND every <> ''", name=op.f("ck_subscription_not_empty")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
        sa.UniqueConstraint("name", name=op.f("uq_subscription_name")),
        schema="comention",
        comment="Queries that are asked again and again; what they find is fetched and kept.",
    )
    op.create_table(
        "subscription_tick",
        sa.Column("subscription_id", sa.Integer(), nullable=False),
        sa.Column("tick", sa.DateTime(timezone=True), nullable=False, comment="the moment that the schedule names"),
        sa.Column("status", sa.Text(), server_default="running", nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "since",
            sa.Date(),
            nullable=True,
            comment="records that NCBI changed since are fetched again; null: all are",
        ),
        sa.Column("found", sa.Integer(), nullable=True, comment="PMIDs that the query found"),
        sa.Column("added", sa.Integer(), nullable=True, comment="of them, found for the first time or again"),
        sa.Column("lost", sa.Integer(), nullable=True, comment="PMIDs that the query found before and no longer does"),
        sa.Column(
            "due",
            postgresql.ARRAY(sa.Integer()),
            nullable=True,
            comment="what is to be fetched, until the tick is done",
        ),
        sa.Column(
            "remarks",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="NCBI's own, on the query",
        ),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("status IN ('running', 'done', 'failed')", name=op.f("ck_subscription_tick_status")),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["comention.ingest_run.id"],
            name=op.f("fk_subscription_tick_run_id_ingest_run"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["comention.subscription.id"],
            name=op.f("fk_subscription_tick_subscription_id_subscription"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("subscription_id", "tick", name=op.f("pk_subscription_tick")),
        schema="comention",
        comment="One row each time a subscription was due, however often that is asked or sent.",
    )
    op.create_index(
        op.f("ix_subscription_tick_run_id"), "subscription_tick", ["run_id"], unique=False, schema="comention"
    )
    op.create_table(
        "subscription_citation",
        sa.Column("subscription_id", sa.Integer(), nullable=False),
        sa.Column("pmid", sa.Integer(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False, comment="the first tick that found it"),
        sa.Column(
            "lost_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="the first tick since that did not; null while it is found",
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["comention.subscription.id"],
            name=op.f("fk_subscription_citation_subscription_id_subscription"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("subscription_id", "pmid", name=op.f("pk_subscription_citation")),
        schema="comention",
        comment="What each subscription has ever found. A citation stays when its query no longer finds it.",
    )
    _run("offsets.sql")
    _run("analysis.sql")


def downgrade() -> None:
    _run("downgrade.sql")
    op.drop_table("subscription_citation", schema="comention")
    op.drop_index(op.f("ix_subscription_tick_run_id"), table_name="subscription_tick", schema="comention")
    op.drop_table("subscription_tick", schema="comention")
    op.drop_table("subscription", schema="comention")
    op.drop_constraint(op.f("ck_ingest_run_nothing_left"), "ingest_run", schema="comention", type_="check")
    op.drop_column("ingest_run", "requested", schema="comention")
    op.drop_column("deleted_citation", "bulk_position", schema="comention")
    op.drop_column("citation", "from_bulk", schema="comention")
    op.drop_column("citation", "bulk_position", schema="comention")
