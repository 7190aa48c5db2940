"""The options ``--csv`` and ``--parquet``: a result as a table with every column, whatever the terminal has room for."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_args, get_type_hints

import click

from pipeline.terminal.console import stderr_console
from pipeline.terminal.output import STDOUT, open_output

_Function = TypeVar("_Function", bound=Callable[..., Any])

Spans = tuple[tuple[int, int], ...]

_csv_option = click.option(
    "--csv", "csv_name", metavar="FILE|-", help="Write every column as CSV, in UTF-8; - is stdout, .gz packs it."
)
_parquet_option = click.option(
    "--parquet",
    "parquet_path",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=False),
    help="Write every column as Parquet.",
)


def result_file_options(function: _Function) -> _Function:
    """Give a command the options ``--csv`` and ``--parquet``."""
    return _csv_option(_parquet_option(function))


def write_result_files(
    rows: Sequence[object],
    kind: type,
    *,
    csv_name: str | None,
    parquet_path: Path | None,
    as_json: bool,
    constants: dict[str, str | None] | None = None,
) -> bool:
    """Write the rows, dataclasses of a ``kind``, to the files that the options name; say whether any was named.

    ``constants`` stand before the fields, the same in each row. Spans read ``0-9;20-29`` in CSV and are lists of two numbers in
    Parquet. An empty result has its columns and no rows.

    Raises:
        ExportError: a file cannot be written, or pyarrow is not installed.
    """
    if csv_name is None and parquet_path is None:
        return False
    if as_json and csv_name == STDOUT:
        raise click.UsageError("--json and --csv - would both be written to stdout: name a file for one of them")
    constants = constants or {}
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    types = {**dict.fromkeys(constants, "text"), **{name: _postgres_type(hints[name]) for name in names}}
    table = [{**constants, **{name: getattr(row, name) for name in names}} for row in rows]
    if csv_name is not None:
        with open_output(csv_name) as stream:
            writer = csv.writer(_Utf8(stream), lineterminator="\n")
            writer.writerow(types)
            for row in table:
                writer.writerow(_spans_text(value) if isinstance(value, tuple) else value for value in row.values())
    if parquet_path is not None:
        from pipeline.exports.parquet import ParquetColumn, ParquetFile

        columns = [ParquetColumn(name=name, type=found) for name, found in types.items()]
        with (
            open_output(str(parquet_path), pack=False) as stream,
            ParquetFile(stream, columns, row_group=100_000, facts={}) as file,
        ):
            file.add(table)
    written = [str(name) for name in (csv_name, parquet_path) if name is not None and name != STDOUT]
    if written:
        many = "1 row" if len(rows) == 1 else f"{len(rows):,} rows"
        stderr_console().print(f"{many} written to {' and '.join(written)}", markup=False, soft_wrap=True)
    return True


class _Utf8:
    """A file of text over one of bytes, for the csv module; it holds nothing back."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text as UTF-8."""
        return self._stream.write(text.encode())


def _postgres_type(hint: Any) -> str:
    if hint == Spans:
        return "integer[][]"
    plain = next((part for part in get_args(hint) if part is not type(None)), hint)
    return {int: "bigint", float: "double precision", bool: "boolean", str: "text"}[plain]


def _spans_text(spans: Spans) -> str:
    return ";".join(f"{start}-{end}" for start, end in spans)
