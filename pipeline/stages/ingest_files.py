"""Many files, with progress: one that cannot be read does not keep the others out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from comention.errors import SourceError
from pipeline.stages.ingest_stage import SourceReport, ingest_file, printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class FileJob:
    """One file that a user names."""

    path: Path
    again: bool

    def run(self, database: Database, on_progress: Callable[[int], None]) -> SourceReport:
        """Store its records."""
        from ingest.sentences import RuleSplitter

        try:
            return ingest_file(database, self.path, RuleSplitter(), again=self.again, on_progress=on_progress)
        except SourceError as error:
            return unreadable(self.path, error)


def unreadable(path: Path, error: SourceError) -> SourceReport:
    """Return the report of a file that cannot be opened."""
    from storage.runs import IngestCounts

    return SourceReport(source=printable(str(path)), counts=IngestCounts(), failure=printable(str(error)))


def ingest_files(
    database: Database, paths: Sequence[Path], progress: Progress, *, again: bool = False, processes: int = 1
) -> list[SourceReport]:
    """Store each file and return a report for each, also for those that cannot be opened.

    With one process they are read in the order given; with several only PubMed's numbered files keep their order.
    """
    from ingest.sentences import RuleSplitter

    if processes > 1 and len(paths) > 1:
        return _side_by_side(database, paths, progress, again=again, processes=processes)

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
            report = unreadable(path, error)
        reports.append(report)
    progress.update(bar, description=f"ingest {len(paths)} file{'s' * (len(paths) > 1)}", completed=sum(sizes))
    return reports


def _side_by_side(
    database: Database, paths: Sequence[Path], progress: Progress, *, again: bool, processes: int
) -> list[SourceReport]:
    from pipeline.stages.ingest_workers import run_jobs

    bar = progress.add_task(f"ingest {len(paths)} files", total=len(paths), unit="records", count=0)
    count = 0

    def counted(records: int) -> None:
        nonlocal count
        count += records
        progress.update(bar, count=count)

    return run_jobs(
        database,
        [FileJob(path=path, again=again) for path in paths],
        processes=processes,
        on_records=counted,
        on_report=lambda _: progress.advance(bar),
    )
