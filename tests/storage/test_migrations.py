from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from comention.errors import DatabaseError, SchemaError
from comention.settings import load_settings
from migrations import revisions
from storage.database import Database, open_database, parse_url
from storage.migrate import SchemaState, alembic_config, drift, schema_state, upgrade
from tests.conftest import ROOT, Comention, run_command


@pytest.fixture
def empty(empty_address: str) -> Database:
    return Database(parse_url(empty_address, connect_timeout=10))


def test_an_empty_database_is_told_from_a_current_one(empty: Database, database: Database) -> None:
    assert schema_state(empty) is SchemaState.EMPTY
    assert schema_state(database) is SchemaState.CURRENT
    empty.close()


def test_upgrade_creates_the_tables_of_the_schema_and_repeating_it_does_nothing(empty: Database) -> None:
    upgrade(empty)
    upgrade(empty)
    assert schema_state(empty) is SchemaState.CURRENT
    assert drift(empty) == []
    empty.close()


def test_upgrades_that_start_together_end_well(empty: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        for started in [pool.submit(upgrade, empty) for _ in range(4)]:
            started.result()
    assert schema_state(empty) is SchemaState.CURRENT
    empty.close()


def test_downgrade_leaves_nothing_and_upgrade_comes_back(empty: Database) -> None:
    from alembic import command

    upgrade(empty)
    config = alembic_config()
    with empty.transaction() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with empty.transaction() as connection:
        left = connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text IN ('comention', 'analysis') "
                "AND relkind IN ('r', 'v') AND relname <> 'schema_version' "
                "UNION ALL SELECT proname FROM pg_proc WHERE pronamespace::regnamespace::text IN ('comention', 'analysis')"
            )
        ).all()
    assert left == []
    upgrade(empty)
    assert drift(empty) == []
    empty.close()


def test_the_revisions_are_those_that_alembic_finds() -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(alembic_config())
    assert revisions() == [one.revision for one in reversed(list(script.walk_revisions()))]
    assert script.get_heads() == [revisions()[-1]]


def test_drift_names_a_column_that_somebody_added(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("ALTER TABLE comention.name ADD COLUMN spelling text"))
    assert any("spelling" in difference for difference in drift(database))


def test_alembic_check_is_clean(database_address: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "check"],
        cwd=ROOT,
        env={**os.environ, "COMENTION_DATABASE__URL": database_address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "No new upgrade operations detected" in done.stdout


def test_a_database_of_a_newer_release_is_refused_by_every_command(comention: Comention, database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE comention.schema_version SET version_num = '9999'"))
    assert schema_state(database) is SchemaState.NEWER
    with pytest.raises(SchemaError, match="newer comention"):
        upgrade(database)
    for arguments in (["status"], ["db", "check"], ["db", "upgrade"], ["annotate"]):
        outcome = comention(*arguments)
        assert outcome.status == 1
        assert "newer comention" in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1


def test_a_database_of_an_older_release_asks_for_the_upgrade(
    empty_address: str, empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(empty, revisions()[-2])
    assert schema_state(empty) is SchemaState.OLDER
    monkeypatch.setenv("COMENTION_DATABASE__URL", empty_address)
    with pytest.raises(SchemaError, match="run `comention db upgrade`"), open_database(load_settings()):
        pass
    upgrade(empty)
    assert drift(empty) == []
    empty.close()


def test_an_empty_database_that_was_named_asks_for_the_upgrade(empty_address: str) -> None:
    settings = {"COMENTION_DATABASE__URL": empty_address}
    refused = run_command("status", **settings)
    assert refused.status == 1
    assert "run `comention db upgrade`" in refused.stderr
    assert run_command("db", "check", **settings).status == 1
    assert run_command("db", "upgrade", **settings).status == 0
    assert run_command("db", "check", **settings).status == 0
    assert run_command("status", **settings).status == 0


def test_a_migration_gives_up_where_a_lock_is_not_to_be_had(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA comention"))
        connection.execute(text("CREATE TABLE comention.schema_version (version_num varchar(32) PRIMARY KEY)"))
    with empty.engine.begin() as holder:
        holder.execute(text("LOCK TABLE comention.schema_version IN SHARE MODE"))
        with pytest.raises(DatabaseError, match="busy"):
            upgrade(empty)
    assert schema_state(empty) is SchemaState.EMPTY
    empty.close()
