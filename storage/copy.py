"""COPY: rows into a table, the fastest way that Postgres has."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from psycopg import sql

from storage.database import driver
from storage.schema import SCHEMA

if TYPE_CHECKING:
    from sqlalchemy import Connection


def copy_rows(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    schema: str = SCHEMA,
) -> None:
    """Write rows into ``schema.table``, in the order given; sort them by key where writers run side by side."""
    with driver(connection).cursor() as cursor, cursor.copy(_statement(schema, table, columns)) as copy:
        for row in rows:
            copy.write_row(row)


def copy_text(connection: Connection, table: str, columns: Sequence[str], lines: str) -> None:
    """Write rows into a table of ours that are already in COPY's text form: fields by tabs, every line ended.

    For rows of numbers, which need no escapes; handing them over row by row takes longer.
    """
    with driver(connection).cursor() as cursor, cursor.copy(_statement(SCHEMA, table, columns)) as copy:
        copy.write(lines)


def copy_binary(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[bytes]) -> None:
    """Write rows into a table of ours that are already in COPY's binary form: number of fields, each field with its length."""
    statement = _statement(SCHEMA, table, columns) + sql.SQL(" (FORMAT binary)")
    with driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_BINARY_HEADER)
        copy.write(b"".join(rows))
        copy.write(_BINARY_END)


class ArrayElements:
    """Numbers of many rows as elements of Postgres arrays, packed at once: those of a row are a slice of them.

    Written as text, a number takes several times as long.
    """

    __slots__ = ("_kind", "_packed")

    def __init__(self, kind: int, words: array[int]) -> None:
        elements = array("i", [4]) * (2 * len(words))  # each with its length before it
        elements[1::2] = words
        if sys.byteorder == "little":
            elements.byteswap()
        self._kind = kind
        self._packed = elements.tobytes()

    @classmethod
    def integers(cls, numbers: Iterable[int]) -> ArrayElements:
        """Pack elements of ``integer[]``."""
        return cls(_INTEGER, array("i", numbers))

    @classmethod
    def reals(cls, numbers: Iterable[float]) -> ArrayElements:
        """Pack elements of ``real[]``."""
        words = array("i")
        words.frombytes(array("f", numbers).tobytes())
        return cls(_REAL, words)

    def field(self, first: int, last: int) -> bytes:
        """Return the numbers from ``first`` to before ``last``, one or more, as a field of COPY's binary form."""
        size = last - first
        return _ARRAY.pack(_ARRAY.size - 4 + 8 * size, 1, 0, self._kind, size, 1) + self._packed[8 * first : 8 * last]


_BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_BINARY_END = struct.pack(">h", -1)
_ARRAY = struct.Struct(">iiiiii")  # length of the field, dimensions, whether there are nulls, type, size, first index
_INTEGER, _REAL = 23, 700
"""Numbers that `pg_type` gives integer and real; they are the same in every Postgres."""


def _statement(schema: str, table: str, columns: Sequence[str]) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
