"""The tables of the private schema `comention`. Migrations create them; `alembic check` keeps the two alike.

Every table of the data path leads its key with `pmid`, so that it can be distributed by it. Row locks are taken in the order
of `pmid`, and in the order citation, annotation, everything else, so that parallel writers cannot deadlock.
"""

from __future__ import annotations

from storage.schema.base import SCHEMA, metadata
from storage.schema.counts import cooccurrence_delta, cooccurrence_total, past_contribution
from storage.schema.mentions import (
    annotation,
    annotation_exception,
    annotator,
    citation_mentions,
    concept,
    label,
    name,
    promotion,
)
from storage.schema.reports import mention_report
from storage.schema.texts import (
    citation,
    deleted_citation,
    ingest_exception,
    ingest_run,
    section,
    sentence,
    sentence_text,
    subscription,
    subscription_citation,
    subscription_tick,
    unindexed_citation,
)
from storage.schema.work import annotation_claim, annotator_choice, fetch_batch, job
from storage.schema.workers import worker

__all__ = [
    "SCHEMA",
    "annotation",
    "annotation_claim",
    "annotation_exception",
    "annotator",
    "annotator_choice",
    "citation",
    "citation_mentions",
    "concept",
    "cooccurrence_delta",
    "cooccurrence_total",
    "deleted_citation",
    "fetch_batch",
    "ingest_exception",
    "ingest_run",
    "job",
    "label",
    "mention_report",
    "metadata",
    "name",
    "past_contribution",
    "promotion",
    "section",
    "sentence",
    "sentence_text",
    "subscription",
    "subscription_citation",
    "subscription_tick",
    "unindexed_citation",
    "worker",
]
