"""Rows as files: CSV that a spreadsheet opens without running anything, and Parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_args, get_type_hints
from urllib.parse import quote

from starlette.responses import Response

from comention.errors import ExportError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_response(
    rows: Sequence[object], kind: type, *, name: str, constants: Mapping[str, str] | None = None
) -> Response:
    """Answer with rows, dataclasses of a ``kind``, as CSV in UTF-8; ``constants`` stand before the fields of each row.

    A text that a spreadsheet would take for a formula gets an apostrophe before it; spans read ``0-9;20-29``.
    """
    constants = dict(constants or {})
    names = [field.name for field in fields(kind)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*constants, *names])
    for row in rows:
        writer.writerow([_cell(value) for value in (*constants.values(), *(getattr(row, one) for one in names))])
    return Response(
        out.getvalue().encode("utf-8", "replace"),
        media_type="text/csv; charset=utf-8",
        headers=_attachment(f"{name}.csv"),
    )


def parquet_response(
    rows: Sequence[object], kind: type, *, name: str, constants: Mapping[str, str] | None = None
) -> Response:
    """Answer with the same rows as Parquet; spans are lists of two numbers.

    Raises:
        ExportError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ExportError("Parquet is written with the package pyarrow: pip install 'comention[export]'") from error
    constants = dict(constants or {})
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    columns = {one: pa.array([value] * len(rows), pa.string()) for one, value in constants.items()}
    for one in names:
        columns[one] = pa.array([getattr(row, one) for row in rows], _arrow_type(pa, hints[one]))
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression="zstd")
    return Response(out.getvalue(), media_type="application/vnd.apache.parquet", headers=_attachment(f"{name}.parquet"))


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return ";".join(f"{one[0]}-{one[1]}" if isinstance(one, tuple) else _text(str(one)) for one in value)
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def _arrow_type(pa: Any, hint: Any) -> Any:
    plain = next((part for part in get_args(hint) if part not in (type(None), ...)), hint)
    known = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}
    if getattr(hint, "__origin__", None) is tuple:
        return pa.list_(known.get(plain, pa.list_(pa.int64())))
    return known[plain]


def _attachment(name: str) -> dict[str, str]:
    """Return the header that names a file: plainly for old programs, and whole in UTF-8."""
    plain = re.sub(r"[^A-Za-z0-9._ -]+", "_", name)
    return {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"}
