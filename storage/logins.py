"""Logins for programs and people that read: members of the role `analyst`, and nothing more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from psycopg import sql
from sqlalchemy import Connection, text

from comention.errors import DatabaseError
from storage.database import Database, driver

if TYPE_CHECKING:
    from psycopg.abc import Query

ROLE = "analyst"
STATEMENT_TIMEOUT = "60s"
IDLE_TIMEOUT = "5min"


class LoginError(DatabaseError):
    """A login cannot be had as it was asked for."""


def save_login(database: Database, name: str, password: str, *, own_database: str | None = None) -> bool:
    """Create a login that reads the schema `analysis`, or give one that does another password; true where it is new.

    The server gets a digest of the password, so that none stands in its log. ``own_database`` is created beside ours and
    belongs to the login: for a program that keeps something of its own.

    Raises:
        LoginError: the name cannot be used, or is a role's that is more than such a login.
        DatabaseError: Postgres does not allow it.
    """
    for given in (name,) if own_database is None else (name, own_database):
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", given):
            raise LoginError(f"{given!r} is no name for it: take lower-case letters, digits and _")
    with database.transaction() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('comention.login'))"))
        is_new = _check(connection, name)
        digest = driver(connection).pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        who = sql.Identifier(name)
        if is_new:
            _run(connection, sql.SQL("CREATE ROLE {} LOGIN").format(who))
        _run(connection, sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(who, sql.Literal(digest)))
        _run(connection, sql.SQL("GRANT {} TO {}").format(sql.Identifier(ROLE), who))
        # Members of a role do not inherit its settings.
        for setting, value in (
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("idle_in_transaction_session_timeout", IDLE_TIMEOUT),
        ):
            _run(
                connection,
                sql.SQL("ALTER ROLE {} SET {} = {}").format(who, sql.Identifier(setting), sql.Literal(value)),
            )
    if own_database is not None:
        _create_database(database, own_database, name)
    return is_new


def _check(connection: Connection, name: str) -> bool:
    """Say whether the name is free; refuse one that is another kind of role's, which must not be changed by mistake."""
    found = connection.execute(
        text(
            "SELECT r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolname = current_user "
            "       OR NOT r.rolcanlogin OR EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles o ON o.oid = m.roleid "
            "                                       WHERE m.member = r.oid AND o.rolname <> :role) AS is_more "
            "FROM pg_roles r WHERE r.rolname = :name"
        ),
        {"name": name, "role": ROLE},
    ).scalar_one_or_none()
    if found:
        raise LoginError(f"the role {name} is there already and is more than a login that reads: take another name")
    return found is None


def _create_database(database: Database, name: str, owner: str) -> None:
    with database.autocommit() as connection:
        is_owned_by = connection.execute(
            text("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = :name"), {"name": name}
        ).scalar_one_or_none()
        if is_owned_by not in (None, owner):
            raise LoginError(f"the database {name} is there already and belongs to {is_owned_by}: take another name")
        if is_owned_by is None:
            # Without being a member of the owner one could not give it away; the membership is of no use afterwards.
            who, me = sql.Identifier(owner), sql.SQL("CURRENT_USER")
            _run(connection, sql.SQL("GRANT {} TO {}").format(who, me))
            _run(connection, sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), who))
            _run(connection, sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
            _run(connection, sql.SQL("REVOKE {} FROM {}").format(who, me))


def _run(connection: Connection, statement: Query) -> None:
    driver(connection).execute(statement)
