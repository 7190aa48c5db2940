"""The bundled sample, stored so that the workers have something to annotate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.database import Database


def hand_in_sample(database: Database, say: Callable[[str], None]) -> None:
    """Store the sample's citations and say what came of it; a second time changes nothing."""
    from ingest.samples import sample_files
    from pipeline.stages.ingest_files import ingest_files
    from pipeline.terminal.console import progress_bars

    with progress_bars() as progress:
        reports = ingest_files(database, sample_files(), progress)
    fresh = [report.counts for report in reports if not report.already_read]
    stored = sum(counts.new + counts.revised for counts in fresh)
    news = f"{stored:,} citations of it are new" if stored else "it was there before"
    say(f"the sample is stored: {news}; `comention demo --remove` takes it out again")
