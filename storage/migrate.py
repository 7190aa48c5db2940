"""Which schema a database is at, and how it gets to the one that this program needs."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from comention.errors import SchemaError
from storage.schema import SCHEMA

if TYPE_CHECKING:
    from alembic.config import Config

    from storage.database import Database


class SchemaState(enum.Enum):
    """How a database's schema stands to this program."""

    EMPTY = "empty"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"

    def advice(self, place: str) -> str:
        """Say in one sentence what to do about it."""
        return {
            SchemaState.EMPTY: f"{place} holds no comention tables yet: run `comention db upgrade`",
            SchemaState.OLDER: (
                f"{place} is at an older schema than this comention needs: run `comention db upgrade` "
                "(readers and writers of the release before go on working)"
            ),
            SchemaState.CURRENT: f"{place} is at the schema that this comention needs",
            SchemaState.NEWER: (
                f"{place} was upgraded by a newer comention than this one: install that version (pip install -U comention)"
            ),
        }[self]


def alembic_config() -> Config:
    """Return Alembic's configuration for the migrations that are installed."""
    from alembic.config import Config

    import migrations

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__path__[0])).replace("%", "%%"))
    return config


def schema_state(database: Database) -> SchemaState:
    """Compare the revision that the database records with those that this program knows."""
    from migrations import revisions

    with database.transaction() as connection:
        found = connection.execute(
            text("SELECT to_regclass(:table) IS NOT NULL"), {"table": f"{SCHEMA}.schema_version"}
        ).scalar_one()
        recorded = (
            connection.execute(text("SELECT version_num FROM comention.schema_version")).scalar_one_or_none()
            if found
            else None
        )
    if recorded is None:
        return SchemaState.EMPTY
    known = revisions()
    if recorded == known[-1]:
        return SchemaState.CURRENT
    return SchemaState.OLDER if recorded in known else SchemaState.NEWER


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the database to a revision. One process does it while others wait; a database that is there stays as it is.

    Raises:
        SchemaError: the database is at a newer schema than this program knows.
        DatabaseError: Postgres refuses, for example because a lock is not to be had; nothing has changed then.
    """
    from alembic import command

    config = alembic_config()
    with database.transaction() as connection:
        # Taken first, so that two programs that start on an empty database do not both create it.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('comention.migrate'))"))
        if schema_state(database) is SchemaState.NEWER:
            raise SchemaError(SchemaState.NEWER.advice("the database"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def drift(database: Database) -> list[str]:
    """Compare the tables in the database with `storage.schema`; return what differs, nothing where all is well."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from storage.schema import metadata

    with database.transaction() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": "schema_version",
                "version_table_schema": SCHEMA,
                "include_schemas": True,
                "include_name": lambda name, kind, parents: kind != "schema" or name == SCHEMA,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        return [str(difference) for difference in compare_metadata(context, metadata)]
