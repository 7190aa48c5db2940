"""Logins that read, made by the command and used through psycopg."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from storage.database import Database
from storage.logins import LoginError, save_login
from tests.conftest import Comention


@pytest.fixture
def name(database_address: str) -> Iterator[str]:
    yield "metabase"
    with psycopg.connect(database_address, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS metabase_own")
        connection.execute("DROP ROLE IF EXISTS metabase")


def test_a_login_reads_the_views_and_nothing_else(
    comention: Comention, database_address: str, name: str, tmp_path: Path
) -> None:
    secret = tmp_path / "bi_password"
    secret.write_text("it's a secret\n", encoding="utf-8")
    arguments = ("db", "login", name, "--password-file", secret, "--own-database", "metabase_own")
    assert comention(*arguments).stdout.strip() == "the login metabase was created, in the role analyst"
    assert comention(*arguments).stdout.strip() == "the login metabase has its password, in the role analyst"
    address = make_conninfo(database_address, user=name, password="it's a secret")
    with psycopg.connect(address, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM analysis.citation").fetchone() == (0,)
        assert connection.execute("SHOW statement_timeout").fetchone() == ("1min",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT count(*) FROM comention.citation")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE analysis.x (y integer)")
    with psycopg.connect(make_conninfo(address, dbname="metabase_own"), autocommit=True) as connection:
        connection.execute("CREATE TABLE x (y integer)")


def test_the_password_is_the_one_that_was_given(database: Database, database_address: str, name: str) -> None:
    save_login(database, name, "first")
    save_login(database, name, "second")
    with psycopg.connect(database_address) as connection:
        row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [name]).fetchone()
        assert row is not None
        stored = row[0]
        assert stored.startswith("SCRAM-SHA-256$")
        salt = stored.split("$")[1].split(":")[1]
    assert _stored_key("second", salt, stored) == stored.split("$")[2].split(":")[0]
    assert _stored_key("first", salt, stored) != stored.split("$")[2].split(":")[0]


def _stored_key(password: str, salt: str, stored: str) -> str:
    """The stored key of a password, by RFC 5802: the local socket of the tests trusts everybody, so no login proves it."""
    import base64
    import hashlib
    import hmac

    rounds = int(stored.split("$")[1].split(":")[0])
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), rounds)
    client_key = hmac.new(salted, b"Client Key", "sha256").digest()
    return base64.b64encode(hashlib.sha256(client_key).digest()).decode()


@pytest.mark.parametrize("taken", ["postgres", "analyst", "Robert'); --", ""])
def test_another_kind_of_role_is_left_alone(database: Database, taken: str) -> None:
    with pytest.raises(LoginError, match="take"):
        save_login(database, taken, "x")


def test_a_missing_file_is_a_usage_error(comention: Comention, tmp_path: Path) -> None:
    outcome = comention("db", "login", "metabase", "--password-file", tmp_path / "absent")
    assert outcome.status == 2
    assert "does not exist" in outcome.stderr
