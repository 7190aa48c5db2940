"""PubMed's numbered files, from a mirror or a folder into the database: the annual baseline and the daily update files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comention.errors import SourceError
from ingest.mirror import FolderMirror, Mirror, open_mirror
from ingest.releases import find_gaps, release_number
from ingest.sentences import RuleSplitter
from pipeline.stages.ingest_stage import SourceReport, ingest_file, printable
from pipeline.stages.ingest_workers import run_jobs
from storage.database import Database
from storage.runs import IngestCounts, find_finished_release

if TYPE_CHECKING:
    from rich.progress import Progress

SUBFOLDERS = {"baseline": "baseline", "updates": "updatefiles"}
"""Where the files of each kind are below a mirror's root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkReport:
    """What became of the files, and the names of files that lack between the first and the last."""

    sources: list[SourceReport]
    gaps: list[str]

    @property
    def usable(self) -> bool:
        """True where every file was read, each record of it used or explained, and no file lacks."""
        return not self.gaps and all(report.usable for report in self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseJob:
    """One numbered file. A file of a remote mirror that was read before is not downloaded again, unless ``again``."""

    kind: str
    place: str
    name: str
    downloads: Path
    keep: bool
    again: bool
    timeout: float

    def run(self, database: Database, on_progress: Callable[[int], None]) -> SourceReport:
        """Fetch it, where it is not here, verify its checksum and store its records."""
        mirror = open_mirror(self.place, timeout=self.timeout)
        is_local = isinstance(mirror, FolderMirror)
        if not is_local and not self.again and (done := find_finished_release(database, self.name)):
            return SourceReport(source=self.name, counts=done.counts, already_read=True)
        try:
            path = mirror.fetch(self.name, self.downloads)
            report = ingest_file(
                database, path, RuleSplitter(), kind=self.kind, again=self.again, on_progress=on_progress
            )
        except SourceError as error:
            return SourceReport(source=self.name, counts=IngestCounts(), failure=printable(str(error)))
        if not is_local and not self.keep and report.failure is None:
            path.unlink(missing_ok=True)
        return report


def ingest_releases(
    database: Database,
    *,
    kind: str,
    place: str,
    downloads: Path,
    processes: int | None,
    progress: Progress,
    timeout: float,
    numbers: range | None = None,
    keep: bool = False,
    again: bool = False,
) -> BulkReport:
    """Bring in the numbered files at ``place`` in their order, ``processes`` at a time (one a core where that is None).

    ``numbers`` limits them to a range of the last four digits of their names. In whatever order they end, the database is the
    one that their order leaves.

    Raises:
        SourceError: there are no such files.
        FetchError: the mirror does not answer.
    """
    mirror = open_mirror(place, timeout=timeout)
    names = [name for name in mirror.list_names() if numbers is None or release_number(name) % 10_000 in numbers]
    if not names:
        which = f" with a number from {numbers.start} to {numbers.stop - 1}" if numbers is not None else ""
        raise SourceError(f"there is no file like pubmed26n0001.xml.gz{which} in {place}: check the place")
    bar = progress.add_task(f"{kind}: {len(names):,} files", total=len(names), unit="records", count=0)
    count = 0

    def on_records(records: int) -> None:
        nonlocal count
        count += records
        progress.update(bar, count=count)

    jobs = [
        ReleaseJob(kind=kind, place=place, name=name, downloads=downloads, keep=keep, again=again, timeout=timeout)
        for name in names
    ]
    reports = run_jobs(
        database,
        jobs,
        processes=processes or os.cpu_count() or 1,
        on_records=on_records,
        on_report=lambda _: progress.advance(bar),
    )
    if not keep:
        with contextlib.suppress(OSError):
            downloads.rmdir()  # unless something is left in it
    return BulkReport(sources=reports, gaps=find_gaps(names))


def resolve_place(kind: str, given: str | None, mirror: str) -> str:
    """Where the files of a kind are: the place that a user names, or below the configured mirror."""
    place = given or f"{mirror.rstrip('/')}/{SUBFOLDERS[kind]}/"
    if "://" not in place:
        below = Path(place) / SUBFOLDERS[kind]
        if given and below.is_dir() and not _has_releases(FolderMirror(Path(place))):
            return str(below)
    return place


def _has_releases(mirror: Mirror) -> bool:
    return bool(mirror.list_names())


def unverified(place: str, names: Sequence[str]) -> int:
    """How many files of a folder have no checksum beside them; none of an address, where each must have one."""
    if "://" in place:
        return 0
    return sum(not (Path(place) / f"{name}.md5").exists() for name in names)
