"""`comention db`: the database itself."""

from __future__ import annotations

from pathlib import Path

import click

from comention.errors import SchemaError
from pipeline.terminal.console import json_option, print_json, stdout_console


@click.group()
def db() -> None:
    """Create, upgrade, check and open the database."""


@db.command()
def upgrade() -> None:
    """Bring the database to the schema that this version needs. Repeating it does nothing."""
    from comention.settings import load_settings
    from storage.database import open_database
    from storage.migrate import schema_state
    from storage.migrate import upgrade as migrate

    with open_database(load_settings(), check_schema=False) as database:
        before = schema_state(database)
        migrate(database)
    said = {"empty": "created", "older": "upgraded", "current": "is up to date already", "newer": ""}[before.value]
    stdout_console().print(f"the schema {said}" if said.startswith("is") else f"the schema was {said}")


@db.command()
@json_option
def check(as_json: bool) -> None:
    """Say whether the database is reachable, at the right schema, and its tables as they should be; 1 if not."""
    from comention.settings import load_settings
    from storage.database import open_database
    from storage.migrate import SchemaState, drift, schema_state

    with open_database(load_settings(), check_schema=False) as database:
        state = schema_state(database)
        differences = drift(database) if state is SchemaState.CURRENT else []
        version = database.server_version()
    if as_json:
        print_json({"postgres": version, "schema": state.value, "differences": differences})
    elif state is SchemaState.CURRENT:
        console = stdout_console()
        console.print(f"Postgres {version}, schema current, {len(differences)} differences")
        for difference in differences:
            console.print(f"  {difference}", markup=False)
    if state is not SchemaState.CURRENT:
        raise SchemaError(state.advice("the database"))
    if differences:
        raise click.exceptions.Exit(1)


@db.command()
@json_option
def maintain(as_json: bool) -> None:
    """Fold changes into the counts, and make sentences known to full-text search. For cron, once a minute or once a day.

    Results are the same without it; they only take longer, and `comention search` finds new sentences only after it.
    Commands that annotate do both when they end. Several may run at once.
    """
    from comention.settings import load_settings
    from storage.cooccurrence import fold_counts
    from storage.database import open_database
    from storage.search import count_unindexed, index_sentences

    with open_database(load_settings()) as database:
        folded = fold_counts(database)
        indexed = index_sentences(database)
        left = count_unindexed(database)
    if as_json:
        print_json({"folded": folded, "indexed": indexed, "unindexed": left})
        return
    stdout_console().print(
        f"{folded:,} changes folded into the counts, {indexed:,} citations made known to full-text search, "
        + (f"{left:,} left to the next time, because others hold them" if left else "none left"),
        markup=False,
        soft_wrap=True,
    )


@db.command()
@click.argument("name")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with its password.  [default: ask for it]",
)
@click.option("--own-database", metavar="NAME", help="Also create a database that belongs to it, for its own data.")
def login(name: str, password_file: Path | None, own_database: str | None) -> None:
    """Create a login that reads the schema analysis and nothing else; of one that is there, change the password.

    For people, and for programs such as Metabase. Its statements end after a minute.
    """
    from comention.secret_files import read_secret
    from comention.settings import load_settings
    from storage.database import open_database
    from storage.logins import save_login

    settings = load_settings()
    if password_file is not None:
        password = read_secret("--password-file", password_file)
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    with open_database(settings) as database:
        is_new = save_login(database, name, password, own_database=own_database)
    stdout_console().print(
        f"the login {name} {'was created' if is_new else 'has its password'}, in the role analyst", markup=False
    )


@db.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS…]")
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql on the database; ARGS go to psql as they are.

    Where psql is not installed, -c statements are run without it, with -A, -t and -F as psql has them.
    """
    from comention.settings import load_settings
    from storage.database import open_database
    from storage.psql import run_psql

    with open_database(load_settings(), check_schema=False) as database:
        status = run_psql(database, list(arguments))
    raise click.exceptions.Exit(status)
