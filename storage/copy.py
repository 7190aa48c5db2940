"""COPY: rows into a table, the fastest way that Postgres has."""

from __future__ import annotations

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


def _statement(schema: str, table: str, columns: Sequence[str]) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )


def array_literal(numbers: Iterable[float]) -> str:
    """Write finite numbers as Postgres reads an array; psycopg's own way takes several times as long."""
    return f"{{{','.join(map(str, numbers))}}}"
