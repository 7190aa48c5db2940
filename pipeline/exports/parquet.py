"""Parquet: one file, written in row groups, with the columns that it is told of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from comention.errors import ExportError

_WHOLE_TEXTS = frozenset({"text", "title", "abstract"})
"""Columns whose values seldom repeat: a dictionary would only cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetColumn:
    """A column: its type as Postgres names it (``bigint``, ``text[]``, …; ``jsonb`` is kept as JSON text), and its meaning."""

    name: str
    type: str
    comment: str = ""


class ParquetFile:
    """Writes rows to a Parquet file; holds one row group in memory.

    Strings are dictionary-encoded where values repeat, pages are packed with zstd, and each column's meaning is kept in its
    field's metadata under ``comment``.

    Raises:
        ExportError: the package pyarrow is not installed.
    """

    def __init__(
        self, target: Path | BinaryIO, columns: Iterable[ParquetColumn], *, row_group: int, facts: Mapping[str, str]
    ) -> None:
        pa, pq = load_pyarrow()
        self._pa = pa
        self._columns = list(columns)
        self._json = {column.name for column in self._columns if column.type in ("json", "jsonb")}
        self.schema = pa.schema(
            [
                pa.field(
                    column.name,
                    _arrow_type(pa, column.type),
                    metadata={"comment": column.comment} if column.comment else None,
                )
                for column in self._columns
            ],
            metadata=dict(facts),
        )
        self._writer = pq.ParquetWriter(
            str(target) if isinstance(target, Path) else target,
            self.schema,
            compression="zstd",
            use_dictionary=[path for column in self._columns for path in _dictionary_paths(column)],
        )
        self._row_group = row_group
        self._rows: list[Mapping[str, Any]] = []
        self.count = 0

    def __enter__(self) -> ParquetFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        """Write what is left and the footer; after an error the file is only closed, and of no use."""
        if kind is None:
            self._flush()
            self._writer.close()
            return
        with suppress(Exception):  # the error that is on its way says more
            self._writer.close()

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take rows, by column, and write a row group whenever one is full."""
        for row in rows:
            self._rows.append(row)
            if len(self._rows) >= self._row_group:
                self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        arrays = [
            self._pa.array([self._value(column.name, row[column.name]) for row in self._rows], type=kind)
            for column, kind in zip(self._columns, self.schema.types, strict=True)
        ]
        self._writer.write_table(self._pa.Table.from_arrays(arrays, schema=self.schema))
        self.count += len(self._rows)
        self._rows.clear()

    def _value(self, name: str, value: Any) -> Any:
        return json.dumps(value, ensure_ascii=False) if name in self._json and value is not None else value


def load_pyarrow() -> tuple[Any, Any]:
    """Return the modules pyarrow and pyarrow.parquet.

    Raises:
        ExportError: they are not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ExportError(
            "Parquet is written with the package pyarrow, which is not installed: pip install 'comention[export]'"
        ) from error
    return pyarrow, pyarrow.parquet


def _arrow_type(pa: Any, name: str) -> Any:
    """Return the Arrow type of a Postgres type.

    Raises:
        ExportError: it is none that a view of ours has.
    """
    if name.endswith("[]"):
        return pa.list_(_arrow_type(pa, name.removesuffix("[]")))
    known = {
        "smallint": pa.int16,
        "integer": pa.int32,
        "bigint": pa.int64,
        "real": pa.float32,
        "double precision": pa.float64,
        "boolean": pa.bool_,
        "date": pa.date32,
        "text": pa.string,
        "json": pa.string,
        "jsonb": pa.string,
    }
    if name not in known:
        raise ExportError(f"no Parquet type is known for the Postgres type {name!r}: please report this")
    return known[name]()


def _dictionary_paths(column: ParquetColumn) -> list[str]:
    if column.name in _WHOLE_TEXTS:
        return []
    return {"text": [column.name], "text[]": [f"{column.name}.list.element"]}.get(column.type, [])
