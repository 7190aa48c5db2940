"""Many files, one after the other, with progress: one that cannot be read does not keep the others out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import Progress

from comention.errors import SourceError
from pipeline.ingest_stage import SourceReport, ingest_file, printable

if TYPE_CHECKING:
    from storage.database import Database


def ingest_files(
    database: Database, paths: Sequence[Path], progress: Progress, *, again: bool = False
) -> list[SourceReport]:
    """Store each file in the order given and return a report for each, also for those that cannot be opened."""
    from ingest.sentences import RuleSplitter
    from storage.runs import IngestCounts

    splitter = RuleSplitter()
    sizes = [path.stat().st_size if path.is_file() else 0 for path in paths]
    bar = progress.add_task("ingest", total=sum(sizes), unit="records", count=0)
    count = 0

    def counted(records: int) -> None:
        nonlocal count
        count += records
        progress.update(bar, count=count)

    def moved(before: int, position: int) -> None:
        progress.update(bar, completed=before + position)

    reports = []
    for number, path in enumerate(paths, start=1):
        before = sum(sizes[: number - 1])
        progress.update(bar, description=f"ingest {number}/{len(paths)} {printable(path.name)}", completed=before)
        try:
            report = ingest_file(
                database,
                path,
                splitter,
                again=again,
                on_progress=counted,
                on_bytes=partial(moved, before),
            )
        except SourceError as error:
            report = SourceReport(source=printable(str(path)), counts=IngestCounts(), failure=printable(str(error)))
        reports.append(report)
    progress.update(bar, description=f"ingest {len(paths)} file{'s' * (len(paths) > 1)}", completed=sum(sizes))
    return reports
