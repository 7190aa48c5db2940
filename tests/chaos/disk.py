"""A Postgres whose disk is full: workers say so, nothing is damaged, and work goes on when there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from storage.embedded import EmbeddedPostgres
from tests.chaos.content import Digest, differences
from tests.chaos.ground import Ground, migrate
from tests.chaos.outcome import Outcome, same
from tests.chaos.site import Mark

DISK = 640 * 2**20
ROOM = 2_000
"""Bytes a citation of the corpus that are left free when the work begins: less than it takes."""
RESUME_SECONDS = 60.0
SAID = "has no room left on its disk"
FAULT = "disk of Postgres full"
TARGET = f"clear error, no corruption, goes on within {RESUME_SECONDS:g} s when there is room"


def fill_disk(ground: Ground) -> Outcome:
    """Let the disk run full while workers work, then make room."""
    expected = ground.expected()
    disk = ground.folder / "disk"
    try:
        with _small_disk(disk), EmbeddedPostgres(disk / "home") as postgres:
            with psycopg.connect(postgres.url, autocommit=True) as connection:
                for setting in ("max_wal_size = '64MB'", "min_wal_size = '32MB'"):
                    connection.execute(f"ALTER SYSTEM SET {setting}".encode())
                connection.execute("SELECT pg_reload_conf()")
            migrate(postgres.url)
            return _measure(ground, postgres, disk, expected)
    except _NoDiskError as error:
        return Outcome(fault=FAULT, result=str(error), target=TARGET, met=None)


def _measure(ground: Ground, postgres: EmbeddedPostgres, disk: Path, expected: dict[str, Digest]) -> Outcome:
    marks: list[Mark] = []
    with ground.site("disk-full", address=postgres.url) as site:
        site.workers("default", "fetch", "annotate")
        site.start("beat")
        site.wait_ready()
        ballast = disk / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - ROOM * ground.scale.citations)
        site.hand_in(0.8)
        site.wait(lambda: site.said(SAID) > 0, "a worker's word of the full disk", 240)
        ballast.unlink()
        emptied_at = time.monotonic()
        site.wait(lambda: marks.append(site.mark(hand_in=1.0)) is None, "an answer of Postgres", 120)
        site.wait(lambda: site.gets_on(marks[-1]), "work when there was room", 240)
        resumed = time.monotonic() - emptied_at
        site.finish()
        wrong = differences(site.database, expected) + _damage(postgres.url)
        said, tracebacks = site.said(SAID), site.said("Traceback")
        site.end()
    return Outcome(
        fault=FAULT,
        result=f"{said} lines say `{SAID}`, {tracebacks} tracebacks; {marks[-1].annotated:,} citations were annotated; "
        f"went on {resumed:.1f} s after there was room; amcheck finds no damage; tables {same(wrong)}",
        target=TARGET,
        met=not wrong and not tracebacks and resumed <= RESUME_SECONDS,
    )


def _damage(address: str) -> list[str]:
    """Return what amcheck finds wrong in the tables and in the indexes, each entry looked up."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
        relations = (
            "SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "LEFT JOIN pg_am m ON m.oid = c.relam WHERE n.nspname = 'comention' AND "
        )
        found = connection.execute(
            f"SELECT r.oid::text, v.msg FROM ({relations} c.relkind = 'r') r, verify_heapam(r.oid) v".encode()
        ).fetchall()
        try:
            connection.execute(
                f"SELECT bt_index_check(r.oid, true) FROM ({relations} c.relkind = 'i' AND m.amname = 'btree') r".encode()
            )
        except psycopg.Error as error:
            found.append(("an index", str(error)))
    return [f"{name}: {said}" for name, said in found]


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """Mount a file system of little room, which needs root."""
    folder.mkdir()
    options = f"size={DISK},mode=755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise _NoDiskError(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class _NoDiskError(Exception):
    """There is no small file system to be had."""
