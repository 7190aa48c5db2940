"""How much memory the embedded Postgres takes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from storage import embedded_postgres
from storage.embedded import EmbeddedPostgres

GB = 2**30


def buffers(data: Path) -> int:
    """Shared buffers of a data folder, in bytes."""
    found = re.search(r"shared_buffers = (\d+)MB", embedded_postgres._memory_settings(data))
    assert found is not None
    return int(found[1]) * 2**20


def hold(data: Path, size: int) -> Path:
    """A data folder whose files are as large as said, and take no room."""
    (data / "base/5").mkdir(parents=True)
    with (data / "base/5/16384").open("wb") as file:
        file.truncate(size)
    return data


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 GB; the file that says what the container has of it, "max" in the beginning."""
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 16 * GB // 4096, "SC_PAGE_SIZE": 4096}.__getitem__)
    limit = tmp_path / "memory.max"
    limit.write_text("max\n")
    monkeypatch.setattr(embedded_postgres, "_CONTAINER_MEMORY", limit)
    return limit


@pytest.mark.parametrize(
    ("held", "container", "expected"),
    [
        (0, "max", GB // 4),
        (GB, "max", GB),
        (100 * GB, "max", 4 * GB),
        (100 * GB, str(2 * GB), GB // 2),
        (GB, "1000", GB // 4),
    ],
    ids=["empty", "what it holds", "a quarter of the machine", "a quarter of the container", "never less"],
)
def test_postgres_keeps_in_memory_what_it_holds(
    machine: Path, tmp_path: Path, held: int, container: str, expected: int
) -> None:
    machine.write_text(f"{container}\n")
    assert buffers(hold(tmp_path / "data", held)) == expected


def test_a_machine_that_says_nothing_of_containers_is_taken_whole(machine: Path, tmp_path: Path) -> None:
    machine.unlink()
    assert buffers(hold(tmp_path / "data", 100 * GB)) == 4 * GB


def test_a_postgres_without_the_library_is_started_without_it(tmp_path: Path) -> None:
    assert embedded_postgres._preload_setting(tmp_path / "bin") == ""
    (tmp_path / "lib/postgresql").mkdir(parents=True)
    (tmp_path / "lib/postgresql/pg_prewarm.so").touch()
    assert "pg_prewarm" in embedded_postgres._preload_setting(tmp_path / "bin")


def test_postgres_runs_with_what_was_written(postgres: EmbeddedPostgres) -> None:
    import psycopg

    with psycopg.connect(postgres.url) as connection:
        for setting, value in (("wal_compression", "off"), ("max_wal_size", "4GB"), ("checkpoint_timeout", "15min")):
            assert connection.execute(f"SHOW {setting}".encode()).fetchone() == (value,)
