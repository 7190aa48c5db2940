"""Citations from NCBI, with progress, as the command `run` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.progress import Progress

from pipeline.ingest_stage import SourceReport, ingest_pmids

if TYPE_CHECKING:
    from comention.settings import Settings
    from storage.database import Database


def ingest_from_ncbi(
    database: Database, settings: Settings, progress: Progress, *, query: str | None, pmids: Sequence[int]
) -> SourceReport:
    """Search, where there is a query, then fetch and store.

    Raises:
        FetchError: NCBI refuses the search, or does not answer it.
        SettingsError: NCBI's rules ask for an address that is not configured.
    """
    from ingest.pubmed import PubMed
    from ingest.rate_limit import limiter_for
    from ingest.sentences import RuleSplitter

    redis_url = settings.redis.url.get_secret_value() if settings.redis.url else None
    pubmed = PubMed(
        settings.ncbi,
        limiter_for(settings.ncbi, redis_url),
        on_warning=lambda remark: progress.console.print(f"PubMed remarks: {remark}", markup=False, soft_wrap=True),
    )
    bar = progress.add_task("ask NCBI", total=None, unit="records")
    wanted = list(pmids) if query is None else list(pubmed.search(query))
    progress.update(bar, description="fetch from NCBI", total=len(wanted))
    return ingest_pmids(
        database,
        pubmed,
        wanted,
        RuleSplitter(),
        query=query,
        on_progress=lambda records: progress.advance(bar, records),
    )
