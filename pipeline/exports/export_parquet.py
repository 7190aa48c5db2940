"""The analyst views as a folder of Parquet files: citation, sentence, mention, cooccurrence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from comention.offset_units import COLUMN_SUFFIX, OffsetUnit, convert_offset
from pipeline.exports.parquet import ParquetColumn, ParquetFile

if TYPE_CHECKING:
    from storage.exports import Row, RowBatch, Selection, Snapshot

ROW_GROUPS = {"citation": 10_000, "sentence": 50_000, "mention": 100_000, "cooccurrence": 100_000}
"""Rows of a row group; one of each table is in memory at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderCounts:
    """Rows written, by table."""

    rows: Mapping[str, int]


def write_folder(
    folder: Path,
    snapshot: Snapshot,
    selection: Selection,
    views: Mapping[str, tuple[ParquetColumn, ...]],
    *,
    unit: OffsetUnit,
    facts: Mapping[str, str],
    on_progress: Callable[[int], object],
    row_groups: Mapping[str, int] = ROW_GROUPS,
) -> FolderCounts:
    """Write a file for each of the ``views``, with all their columns; ``on_progress`` is told of citations done.

    Offset columns are named for their unit. Mentions have their offsets in the citation's text too, as
    ``document_start_…`` and ``document_end_…``.

    Raises:
        ExportError: pyarrow is not installed.
    """
    suffix = COLUMN_SUFFIX[unit]
    with ExitStack() as stack:
        files: dict[str, ParquetFile] = {}
        for name, found in views.items():
            columns = _with_unit(found, unit) if name in ("sentence", "mention") else list(found)
            if name == "mention":
                columns += [
                    ParquetColumn(
                        name=f"document_{end}_{suffix}",
                        type="integer",
                        comment=f"{what} in the citation's text (title, newline, abstract), counted from 0{_said(unit)}",
                    )
                    for end, what in (("start", "First character"), ("end", "One past its last character"))
                ]
            files[name] = stack.enter_context(
                ParquetFile(folder / f"{name}.parquet", columns, row_group=row_groups[name], facts=facts)
            )
        for batch in snapshot.iter_rows(selection):
            _place(batch, unit)
            files["citation"].add(batch.citations)
            files["sentence"].add(batch.sentences)
            files["mention"].add(batch.mentions)
            on_progress(len(batch.citations))
        if "cooccurrence" in files:
            for rows in snapshot.iter_cooccurrences():
                files["cooccurrence"].add(rows)
    return FolderCounts(rows={name: file.count for name, file in files.items()})


def _said(unit: OffsetUnit) -> str:
    counted = {"codepoint": "Unicode code points", "utf16": "UTF-16 code units", "utf8": "bytes of UTF-8"}
    return f" in {counted[unit]}"


def _with_unit(columns: tuple[ParquetColumn, ...], unit: OffsetUnit) -> list[ParquetColumn]:
    """Return the columns with those of offsets named, and explained, for their unit."""
    if unit == "codepoint":
        return list(columns)
    return [
        replace(
            column,
            name=column.name.removesuffix("char") + COLUMN_SUFFIX[unit],
            comment=column.comment.replace(_said("codepoint"), "") + f", counted{_said(unit)}",
        )
        if column.name in ("start_char", "end_char")
        else column
        for column in columns
    ]


def _place(batch: RowBatch, unit: OffsetUnit) -> None:
    """Give mentions their offsets in the citation, and all offsets their unit and its name."""
    suffix = COLUMN_SUFFIX[unit]
    texts = {
        row["pmid"]: f"{row['title']}\n{row['abstract']}" if row["abstract"] else row["title"]
        for row in batch.citations
    }
    sentences: dict[int, Row] = {row["sentence_id"]: row for row in batch.sentences}
    for row in batch.mentions:
        sentence = sentences[row["sentence_id"]]
        for end in ("start", "end"):
            offset = row.pop(f"{end}_char")
            row[f"{end}_{suffix}"] = convert_offset(sentence["text"], offset, unit)
            whole = sentence["start_char"] + offset
            row[f"document_{end}_{suffix}"] = convert_offset(texts[row["pmid"]], whole, unit)
    for row in batch.sentences:
        for end in ("start", "end"):
            row[f"{end}_{suffix}"] = convert_offset(texts[row["pmid"]], row.pop(f"{end}_char"), unit)
