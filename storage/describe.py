"""The analyst schema as it describes itself: views, columns and functions with their comments."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a view."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view of the analyst schema."""

    name: str
    comment: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of the analyst schema; ``arguments`` and ``result`` are written as in its declaration."""

    name: str
    arguments: str
    result: str
    comment: str
    is_statistic: bool
    """Whether it computes from numbers alone, and reads nothing."""


def list_views(database: Database) -> list[View]:
    """Return the views of `analysis`, by name, with their columns in order."""
    with database.transaction() as connection:
        rows = connection.execute(
            text(
                """
                SELECT c.relname AS view, obj_description(c.oid, 'pg_class') AS about, a.attname AS name,
                       format_type(a.atttypid, a.atttypmod) AS type, col_description(c.oid, a.attnum) AS comment
                FROM pg_class c
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                WHERE c.relnamespace = 'analysis'::regnamespace AND c.relkind = 'v'
                ORDER BY c.relname, a.attnum
                """
            )
        ).all()
    columns: dict[tuple[str, str], list[Column]] = {}
    for row in rows:
        column = Column(name=row.name, type=row.type, comment=row.comment or "")
        columns.setdefault((row.view, row.about or ""), []).append(column)
    return [View(name=name, comment=about, columns=tuple(found)) for (name, about), found in columns.items()]


def list_functions(database: Database) -> list[Function]:
    """Return the functions of `analysis`: those that answer questions by name, then the statistics by arguments and name."""
    with database.transaction() as connection:
        rows = connection.execute(
            text(
                """
                SELECT p.proname AS name, pg_get_function_arguments(p.oid) AS arguments,
                       pg_get_function_result(p.oid) AS result,
                       coalesce(obj_description(p.oid, 'pg_proc'), '') AS comment,
                       p.pronargs > 0 AND p.proargtypes::oid[] <@ ARRAY[
                           'bigint', 'integer', 'numeric', 'double precision']::regtype[]::oid[] AND NOT p.proretset
                           AS is_statistic
                FROM pg_proc p
                WHERE p.pronamespace = 'analysis'::regnamespace
                ORDER BY p.proname
                """
            )
        ).mappings()
        functions = [Function(**row) for row in rows]
    return sorted(functions, key=lambda one: (one.is_statistic, one.arguments if one.is_statistic else "", one.name))
