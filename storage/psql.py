"""psql on the configured database, and a stand-in for `psql -c` where psql is not installed."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from typing import NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import URL

from comention.errors import DatabaseError
from storage.database import Database


def run_psql(database: Database, arguments: list[str]) -> int:
    """Run psql, or the -c statements of its arguments without it, and return the exit status.

    Raises:
        DatabaseError: psql is not installed and the arguments ask for more than -c.
    """
    program = shutil.which("psql")
    if program is not None:
        return _run_program(program, database, arguments)
    return _run_statements(database, _parse(arguments))


def _run_program(program: str, database: Database, arguments: list[str]) -> int:
    url = database.url.difference_update_query(["application_name"])
    address = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
    environment = dict(os.environ)
    if database.url.password is not None:
        # Not in the address: an argument can be read by anybody in the list of processes.
        environment["PGPASSWORD"] = str(database.url.password)
    # Ctrl-C is psql's, to stop a statement; a handler that does nothing here is not inherited by it.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run([program, "--dbname", str(address), *arguments], env=environment, check=False).returncode  # noqa: S603
    finally:
        signal.signal(signal.SIGINT, before)


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise DatabaseError(
            f"psql is not installed, and without it only `-c STATEMENT` with -A, -t, -q, -X and -F can be run "
            f"({message}): install PostgreSQL's client"
        )


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = _Arguments(add_help=False, allow_abbrev=False)
    parser.add_argument("-c", "--command", action="append", default=[])
    parser.add_argument("-A", "--no-align", action="store_true")
    parser.add_argument("-t", "--tuples-only", action="store_true")
    parser.add_argument("-F", "--field-separator", default="|")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("-X", "--no-psqlrc", action="store_true")
    parsed = parser.parse_args(arguments)
    if not parsed.command:
        parser.error("there is no -c")
    return parsed


def _run_statements(database: Database, options: argparse.Namespace) -> int:
    for statement in options.command:
        with database.transaction() as connection:
            result = connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
            if not result.returns_rows:
                continue
            columns, rows = list(result.keys()), [[_shown(value) for value in row] for row in result]
        if options.no_align:
            lines = rows if options.tuples_only else [columns, *rows]
            sys.stdout.writelines(options.field_separator.join(line) + "\n" for line in lines)
            continue
        table = Table(show_header=not options.tuples_only, show_edge=False)
        for column in columns:
            table.add_column(Text(column), overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        Console(highlight=False).print(table)
    return 0


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)
