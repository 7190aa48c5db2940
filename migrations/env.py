"""How Alembic reaches the database: through a connection handed over by `storage.migrate`, or through the settings.

Every migration runs in one transaction, gives up when a lock is not to be had in a few seconds (a migration that waits for a
lock makes everybody behind it wait too), and must suit the code of the release before it, which may still be running.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.schema import SchemaItem

from storage.schema import SCHEMA, metadata

LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "15min"


def _ours(item: SchemaItem, name: str | None, kind: str, reflected: bool, compare_to: SchemaItem | None) -> bool:
    """Compare the tables of the private schema only; views and functions are kept as SQL."""
    return not (kind == "table" and getattr(item, "schema", None) != SCHEMA)


def _run(connection: Connection) -> None:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table="schema_version",
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=lambda name, kind, parents: kind != "schema" or name == SCHEMA,
        include_object=_ours,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


def _connect_and_run() -> None:
    from comention.settings import load_settings
    from storage.database import database_url

    engine = create_engine(database_url(load_settings()))
    with engine.begin() as connection:
        _run(connection)
    engine.dispose()


if context.is_offline_mode():
    raise SystemExit("comention's migrations need a connection: set COMENTION_DATABASE__URL and leave --sql out")
handed_over: Connection | None = context.config.attributes.get("connection")
if handed_over is not None:
    _run(handed_over)
else:
    _connect_and_run()
