"""What workers have to do: jobs, the batches that they are fetched in, and who annotates what at the moment."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from storage.schema.base import metadata
from storage.schema.mentions import annotator
from storage.schema.texts import ingest_run, subscription


def _lease_columns() -> list[Column[object]]:
    return [
        Column("lease", Uuid, comment="who has taken it, under this number; null: nobody"),
        Column("worker", Text, comment="what the sessions of whoever has it call themselves"),
        Column("leased_until", DateTime(timezone=True), comment="from then on others may take it"),
    ]


def _attempt_columns() -> list[Column[object]]:
    return [
        Column("attempts", Integer, nullable=False, server_default="0", comment="how often it was taken"),
        Column("failures", Integer, nullable=False, server_default="0", comment="how often it ended with an error"),
        Column(
            "retry_at",
            DateTime(timezone=True),
            nullable=False,
            server_default=func.now(),
            comment="it is not taken before",
        ),
        *_lease_columns(),
    ]


job = Table(
    "job",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, comment="what there may be one of only: a tick of a subscription, a night"),
    Column("source", Text, nullable=False, comment="what the user named: a query, a list of PMIDs, a subscription"),
    Column("query", Text),
    Column("since", Date),
    Column("pmids", ARRAY(Integer), comment="what is asked for, until it is divided into batches"),
    Column("subscription_id", Integer, ForeignKey(subscription.c.id, ondelete="CASCADE")),
    Column("tick", DateTime(timezone=True)),
    Column("annotator", Text, comment="null: the one of the settings"),
    Column("priority", SmallInteger, nullable=False, comment="the lower goes first"),
    Column("status", Text, nullable=False, server_default="waiting"),
    Column("detail", Text),
    Column("found", Integer, comment="PMIDs that it came to"),
    *_attempt_columns(),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("finished_at", DateTime(timezone=True)),
    UniqueConstraint("key"),
    CheckConstraint("kind IN ('query', 'pmids', 'tick', 'nightly')", name="kind"),
    CheckConstraint("status IN ('waiting', 'fetching', 'done', 'failed')", name="status"),
    CheckConstraint("(kind = 'tick') = (subscription_id IS NOT NULL AND tick IS NOT NULL)", name="tick"),
    Index("ix_job_open", "priority", "id", postgresql_where=text("status IN ('waiting', 'fetching')")),
    Index(None, "subscription_id"),
    comment="What somebody or the schedule has handed in for the workers.",
)

fetch_batch = Table(
    "fetch_batch",
    metadata,
    Column("job_id", BigInteger, ForeignKey(job.c.id, ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("pmids", ARRAY(Integer), nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("status", Text, nullable=False, server_default="waiting"),
    Column("detail", Text),
    Column("run_id", Integer, ForeignKey(ingest_run.c.id, ondelete="SET NULL")),
    *_attempt_columns(),
    Column("finished_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("job_id", "ordinal"),
    CheckConstraint("status IN ('waiting', 'done', 'failed')", name="status"),
    Index("ix_fetch_batch_waiting", "priority", "job_id", "ordinal", postgresql_where=text("status = 'waiting'")),
    Index(None, "run_id"),
    comment="PMIDs of a job that one worker fetches at a time; what became of each stands in its ingest run.",
)

annotation_claim = Table(
    "annotation_claim",
    metadata,
    # No foreign keys: a claim must not wait for whoever writes or deletes the citation. The sweep clears what is left over.
    Column("pmid", Integer, nullable=False),
    Column("annotator_id", SmallInteger, nullable=False),
    Column("content_hash", LargeBinary, nullable=False, comment="of the content that is annotated"),
    Column("attempts", SmallInteger, nullable=False, comment="begun with this content and not ended"),
    *_lease_columns(),
    PrimaryKeyConstraint("pmid", "annotator_id"),
    Index(None, "annotator_id", "leased_until"),
    Index(None, "lease"),
    comment="Citations that a worker annotates at the moment, or did when it was lost; a row goes when the ledger has its own.",
)

annotator_choice = Table(
    "annotator_choice",
    metadata,
    Column("name", Text, primary_key=True, comment="as settings, jobs and subscriptions have it"),
    Column("annotator_id", SmallInteger, ForeignKey(annotator.c.id, ondelete="CASCADE"), nullable=False),
    comment="Which annotator a name stood for when a worker loaded it last; only loading one tells.",
)
