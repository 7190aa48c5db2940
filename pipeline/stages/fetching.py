"""Citations from NCBI, with progress, as the command `run` shows it."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.progress import Progress

from pipeline.stages.ingest_stage import SourceReport, ingest_pmids
from pipeline.terminal.console import stderr_console

if TYPE_CHECKING:
    from comention.settings import Settings
    from ingest.pubmed import PubMed
    from storage.database import Database


class _Retries(logging.Handler):
    """Says on stderr that a request is tried again, and why: a command that waits is no riddle."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message, which holds no API key."""
        stderr_console().print(f"NCBI: {record.getMessage()}", markup=False, soft_wrap=True, style="dim")


def open_pubmed(settings: Settings, on_warning: Callable[[str], None]) -> PubMed:
    """PubMed as the settings have it, under the one limit of all who use the same Redis.

    Raises:
        SettingsError: NCBI's rules ask for an address that is not configured.
    """
    from ingest.pubmed import PubMed
    from ingest.rate_limit import limiter_for

    logger = logging.getLogger("ingest.entrez")
    if not any(isinstance(handler, _Retries) for handler in logger.handlers):
        logger.addHandler(_Retries())
        logger.setLevel(logging.INFO)
    redis_url = settings.redis.url.get_secret_value() if settings.redis.url else None
    return PubMed(settings.ncbi, limiter_for(settings.ncbi, redis_url), on_warning=on_warning)


def ingest_from_ncbi(
    database: Database,
    settings: Settings,
    progress: Progress,
    *,
    query: str | None,
    pmids: Sequence[int] = (),
    since: dt.date | None = None,
) -> SourceReport:
    """Search, where there is a query, then fetch and store; with ``since`` only what came or was changed from that day on.

    Raises:
        FetchError: NCBI refuses the search, or does not answer it.
        SettingsError: NCBI's rules ask for an address that is not configured.
    """
    from ingest.sentences import RuleSplitter

    pubmed = open_pubmed(
        settings,
        lambda remark: progress.console.print(f"PubMed remarks: {remark}", markup=False, soft_wrap=True),
    )
    bar = progress.add_task("ask NCBI", total=None, unit="records")
    wanted = list(pmids)
    if query is not None:
        wanted = pubmed.search(query) if since is None else pubmed.watch(query, since=since)
    progress.update(bar, description="fetch from NCBI", total=len(wanted))
    return ingest_pmids(
        database,
        pubmed,
        wanted,
        RuleSplitter(),
        query=query if since is None else f"{query} (since {since})",
        on_progress=lambda records: progress.advance(bar, records),
    )
