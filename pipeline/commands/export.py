"""`comention export`: citations with their mentions, in the formats that other programs read."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from comention import __version__
from comention.errors import ExportError
from comention.offset_units import OFFSET_UNITS, OffsetUnit
from comention.types import MAX_PMID
from pipeline.terminal.console import progress_bars, stderr_console
from pipeline.terminal.output import STDOUT
from pipeline.terminal.pmid_list import split_pmids

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from storage.database import Database
    from storage.exports import ExportAnnotator, ExportedCitation, Selection, Snapshot

FORMATS = ("pubtator", "bioc-json", "bioc-xml", "parquet")


def read_pmids(_context: click.Context, _option: click.Parameter, value: str | None) -> list[int] | None:
    """Read the PMIDs of a file, or of stdin."""
    if value is None:
        return None
    try:
        words = sys.stdin.read() if value == STDOUT else Path(value).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{value} cannot be read: {error}") from error
    return split_pmids(words)


@click.command()
@click.option("--format", "format_name", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option("--pmid", "pmids", metavar="N", type=click.IntRange(1, MAX_PMID), multiple=True, help="This citation.")
@click.option("--pmids-file", metavar="FILE|-", callback=read_pmids, help="The citations that a file lists.")
@click.option("--all", "everything", is_flag=True, help="Every citation.")
@click.option("--skip-unknown", is_flag=True, help="Leave PMIDs out that are not stored; without it they are an error.")
@click.option("--annotator", metavar="NAME", help="Mentions of this annotator; the default is the promoted one.")
@click.option(
    "--label", "labels", metavar="LABEL", multiple=True, help="Only mentions of this label; repeat it for more."
)
@click.option(
    "--offsets",
    type=click.Choice(OFFSET_UNITS),
    default="codepoint",
    show_default=True,
    help="What offsets count: code points, UTF-16 code units, or bytes of UTF-8.",
)
@click.option(
    "--output",
    metavar="FILE|FOLDER|-",
    default=STDOUT,
    help="Where to; - is stdout, the default. .gz packs it. Parquet is a folder.",
)
def export(
    format_name: str,
    pmids: tuple[int, ...],
    pmids_file: list[int] | None,
    everything: bool,
    skip_unknown: bool,
    annotator: str | None,
    labels: tuple[str, ...],
    offsets: str,
    output: str,
) -> None:
    """Write stored citations with the mentions of an annotator.

    Everything is read from one moment, one batch of citations at a time. A file has its name only when it is whole.
    """
    given = pmids or pmids_file is not None
    if bool(given) == everything:
        raise click.UsageError("name citations with --pmid or --pmids-file, or give --all")
    if format_name == "parquet" and (output == STDOUT or output.endswith(".gz")):
        raise click.UsageError("Parquet is a folder of files, packed in themselves: name it with --output FOLDER")

    from comention.settings import load_settings
    from storage.database import open_database
    from storage.exports import Selection, open_snapshot

    unit = cast("OffsetUnit", offsets)
    with open_database(load_settings()) as database:
        _require_annotations(database)
        with open_snapshot(database) as snapshot, progress_bars() as progress:
            chosen = _chosen_annotator(snapshot, annotator, labels)
            wanted = None if everything else _stored([*pmids, *(pmids_file or ())], snapshot, skip_unknown=skip_unknown)
            bar = progress.add_task("export", total=None if wanted is None else len(wanted), unit="citations")
            selection = Selection(
                pmids=wanted, labels=labels, annotator_id=None if chosen.promoted else chosen.annotator_id
            )
            if format_name == "parquet":
                said = _export_folder(database, snapshot, selection, chosen, unit, Path(output), progress, bar)
            else:
                said = _export_file(format_name, snapshot, selection, chosen, unit, output, progress, bar)
        if everything:
            _mention_pending(database, chosen)
    stderr_console().print(said, markup=False, soft_wrap=True)


def _require_annotations(database: Database) -> None:
    """Refuse to export from a database in which nothing can be found.

    Raises:
        ExportError: nothing is stored, or nothing annotated.
    """
    from storage.queries import has_rows

    if not has_rows(database, "citation"):
        raise ExportError("the database is empty: try `comention demo`, or `comention run FILE…`")
    if not has_rows(database, "annotation"):
        raise ExportError("no citation is annotated yet: run `comention annotate`")


def _chosen_annotator(snapshot: Snapshot, wanted: str | None, labels: tuple[str, ...]) -> ExportAnnotator:
    """Return the promoted annotator, or the one of that name that was registered last.

    Raises:
        ExportError: there is none, or it gives no such label.
    """
    known = snapshot.list_annotators()
    chosen = next((one for one in known if (one.promoted if wanted is None else one.name == wanted)), None)
    if chosen is None and wanted is None:
        raise ExportError("no annotator is promoted: `comention annotators promote NAME` lets the views show one")
    if chosen is None:
        names = ", ".join(sorted({one.name for one in known}))
        raise ExportError(f"no annotator {wanted!r} has run on this database; those that have: {names}")
    unknown = [label for label in labels if label not in chosen.labels]
    if unknown:
        raise ExportError(f"{chosen.name} gives no label {unknown[0]!r}; it gives {', '.join(chosen.labels)}")
    return chosen


def _stored(pmids: list[int], snapshot: Snapshot, *, skip_unknown: bool) -> list[int]:
    """Return the PMIDs that are stored, each once.

    Raises:
        ExportError: one is not, and they are not to be skipped; or none is.
    """
    unknown = snapshot.list_unknown(pmids)
    stored = sorted(set(pmids) - set(unknown))
    if not unknown:
        return stored
    named = ", ".join(map(str, unknown[:5])) + (f" and {len(unknown) - 5:,} more" if len(unknown) > 5 else "")
    said = f"not stored: PMID {named}"
    if not skip_unknown or not stored:
        leave = ", or leave them out with --skip-unknown" if stored else ""
        raise ExportError(f"{said}; nothing is exported: bring them in with `comention run --pmids N,N…`{leave}")
    stderr_console().print(said, markup=False, soft_wrap=True)
    return stored


def _export_file(
    format_name: str,
    snapshot: Snapshot,
    selection: Selection,
    chosen: ExportAnnotator,
    unit: OffsetUnit,
    output: str,
    progress: Progress,
    bar: TaskID,
) -> str:
    """Write one file, and return what there is to say about it."""
    from pipeline.terminal.output import open_output
    from storage.export_documents import DOCUMENT_WRITERS, ExportHeader

    citations = mentions = 0

    def counted() -> Iterator[ExportedCitation]:
        nonlocal citations, mentions
        for citation in snapshot.iter_citations(selection):
            citations += 1
            mentions += len(citation.mentions)
            progress.advance(bar)
            yield citation

    header = ExportHeader(
        unit=unit, annotator=chosen.name, revision=chosen.revision, date=dt.datetime.now(dt.UTC).date().isoformat()
    )
    with open_output(output) as stream:
        altered = DOCUMENT_WRITERS[format_name](counted(), stream, header)
    said = f"{citations:,} citations with {mentions:,} mentions of {chosen.name} written to {_place(output)}"
    if altered:
        said += f"; {altered:,} have characters that the format cannot hold, each replaced by one other"
    return said


def _export_folder(
    database: Database,
    snapshot: Snapshot,
    selection: Selection,
    chosen: ExportAnnotator,
    unit: OffsetUnit,
    folder: Path,
    progress: Progress,
    bar: TaskID,
) -> str:
    """Write the Parquet folder, and return what there is to say about it."""
    from pipeline.exports.export_parquet import write_folder
    from pipeline.exports.parquet import ParquetColumn, load_pyarrow
    from pipeline.terminal.output import open_folder
    from storage.describe import list_views

    load_pyarrow()
    counted = selection.pmids is None and selection.annotator_id is None
    tables = ["citation", "sentence", "mention"] + (["cooccurrence"] if counted else [])
    found = {view.name: view.columns for view in list_views(database)}
    with open_folder(folder) as partial:
        counts = write_folder(
            partial,
            snapshot,
            selection,
            {
                name: tuple(ParquetColumn(name=one.name, type=one.type, comment=one.comment) for one in found[name])
                for name in tables
            },
            unit=unit,
            facts={
                "comention": __version__,
                "annotator": chosen.name,
                "annotator_revision": chosen.revision,
                "offsets": unit,
            },
            on_progress=lambda count: progress.advance(bar, count),
        )
    rows = ", ".join(f"{count:,} in {name}.parquet" for name, count in counts.rows.items())
    said = f"rows written to {folder}: {rows}"
    if not counted:
        said += "; co-occurrences are those of the promoted annotator over all citations and come with --all alone"
    return said


def _mention_pending(database: Database, chosen: ExportAnnotator) -> None:
    """Say how many of the citations the annotator has not read, where there are any: they are exported without mentions."""
    from storage.annotations import count_pending

    pending = count_pending(database, chosen.annotator_id)[0]
    if pending:
        stderr_console().print(
            f"exported without mentions because {chosen.name} has not read them yet: {pending:,} of the citations; "
            "run `comention annotate`",
            markup=False,
            soft_wrap=True,
        )


def _place(output: str) -> str:
    return "stdout" if output == STDOUT else output
