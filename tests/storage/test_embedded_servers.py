"""The embedded servers while processes come, go and are killed."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
import redis
import sqlalchemy

import storage.embedded
from storage import embedded_client
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.embedded_folder import is_held, open_lock, pids_holding, try_lock
from tests.conftest import fast_folder

CLIENT = """
import sys
from pathlib import Path
from storage import embedded

with getattr(embedded, sys.argv[1])(Path(sys.argv[2])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""
LIMIT_S = 30.0
Answer = TypeVar("Answer")


def eventually(answer: Callable[[], Answer], wanted: Callable[[Answer], bool] = bool) -> Answer:
    """Ask until the answer is the wanted one, for at most half a minute; an error counts as an unwanted answer."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            found = answer()
        except (psycopg.OperationalError, OSError):
            if time.monotonic() > deadline:
                raise
        else:
            if wanted(found):
                return found
            assert time.monotonic() < deadline, f"still {found!r} after {LIMIT_S} seconds"
        time.sleep(0.01)


class Client:
    """Another process that uses a server."""

    def __init__(self, home: Path, server: str = "EmbeddedPostgres") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, server, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(storage.embedded.__file__).parents[1])},
        )

    @property
    def url(self) -> str:
        """Wait for the server and return its URL."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def is_silent(self) -> bool:
        """Tell whether the client goes on waiting for the server for another half second."""
        assert self.process.stdout is not None
        return select.select([self.process.stdout], [], [], 0.5)[0] == []

    def leave(self) -> None:
        """End as a program does that has finished."""
        self.process.communicate(timeout=LIMIT_S)
        assert self.process.returncode == 0

    def kill(self) -> None:
        """End as by ``kill -9``."""
        self.process.kill()
        self.process.communicate(timeout=LIMIT_S)


def processes_of(home: Path) -> list[int]:
    """Every living process with the home on its command line or with one of the home's lock files open."""
    named = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(home) in (entry / "cmdline").read_text(errors="replace") and int(entry.name) != os.getpid():
                named.append(int(entry.name))
        except OSError:
            continue
    locks = [lock for kind in ("postgres", "valkey") for lock in (home / kind).glob("*.lock")]
    return sorted({*named, *(pid for lock in locks for pid in pids_holding(lock))})


def supervisor_of(home: Path) -> int:
    """The process that holds ``supervisor.lock``."""
    (pid,) = pids_holding(home / "postgres" / "supervisor.lock")
    return pid


def postmaster_of(home: Path) -> int:
    return int((home / "postgres/data/postmaster.pid").read_text().split("\n")[0])


def started_at(url: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
    assert row is not None
    return row[0]


def add_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS visit (number int)")
        connection.execute("INSERT INTO visit VALUES (1)")


def rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM visit").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def new_home() -> Iterator[Path]:
    """A home that does not exist yet; its servers' processes have gone when the test ends."""
    folder = Path(tempfile.mkdtemp(prefix="comention-test-", dir=fast_folder()))
    yield folder / "home"
    eventually(lambda: processes_of(folder / "home"), lambda pids: pids == [])
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """A home whose Postgres has run once, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="comention-test-", dir=fast_folder()))
    with EmbeddedPostgres(folder / "home"):
        pass
    yield folder / "home"
    shutil.rmtree(folder)


@pytest.fixture
def home(new_home: Path, used_home: Path) -> Path:
    """A home of the test's own whose Postgres has run before: that saves a second of ``initdb``."""
    subprocess.run(["cp", "-a", used_home, new_home], check=True)
    return new_home


def test_first_start_makes_a_durable_utf8_database(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres, psycopg.connect(postgres.url) as connection:
        settings = {
            name: connection.execute("SELECT current_setting(%s)", [name]).fetchone()
            for name in (
                "fsync",
                "synchronous_commit",
                "full_page_writes",
                "server_encoding",
                "TimeZone",
                "listen_addresses",
            )
        }
        database = connection.execute("SELECT current_database(), datcollate FROM pg_database LIMIT 1").fetchone()
    assert settings == {
        "fsync": ("on",),
        "synchronous_commit": ("on",),
        "full_page_writes": ("on",),
        "server_encoding": ("UTF8",),
        "TimeZone": ("UTC",),
        "listen_addresses": ("",),
    }
    assert database == ("comention", "C.UTF-8")


def test_sqlalchemy_takes_the_url(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        for url in (postgres.url, postgres.url.replace("postgresql:", "postgresql+psycopg:")):
            engine = sqlalchemy.create_engine(url)
            with engine.connect() as connection:
                assert connection.scalar(sqlalchemy.text("SELECT current_database()")) == "comention"
            engine.dispose()


def test_only_the_server_s_user_can_enter_the_folder_of_the_socket(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        assert postgres.socket_folder.stat().st_mode & 0o777 == 0o700
        assert postgres.socket_folder.stat().st_uid == (home / "postgres/data").stat().st_uid


def test_what_alter_system_sets_wins_over_our_settings(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres, psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET work_mem = '5MB'")
    with EmbeddedPostgres(home) as postgres, psycopg.connect(postgres.url) as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("5MB",)


def test_what_was_in_memory_is_read_again_after_a_start(home: Path) -> None:
    def note_what_is_there(connection: psycopg.Connection) -> bool:
        """As is done every five minutes, and at the end of a server that had time to read what was noted before."""
        try:
            return connection.execute("SELECT autoprewarm_dump_now()").fetchone() is not None
        except psycopg.errors.InternalError_:  # it is still reading
            return False

    with EmbeddedPostgres(home) as postgres, psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_buffercache")
        connection.execute("CREATE EXTENSION pg_prewarm")
        connection.execute("CREATE TABLE visited AS SELECT generate_series(1, 10000) AS number")
        pages = connection.execute("SELECT pg_relation_size('visited') / 8192").fetchone()
        eventually(lambda: note_what_is_there(connection))

    def in_memory(connection: psycopg.Connection) -> object:
        return connection.execute(
            "SELECT count(*) FROM pg_buffercache WHERE relfilenode = pg_relation_filenode('visited') AND relforknumber = 0"
        ).fetchone()

    with EmbeddedPostgres(home) as postgres, psycopg.connect(postgres.url, autocommit=True) as connection:
        eventually(lambda: in_memory(connection), lambda found: found == pages)


def test_libraries_that_the_user_loads_win_over_ours(home: Path) -> None:
    with (home / "postgres/data/postgresql.conf").open("a") as settings:
        settings.write("shared_preload_libraries = 'pg_stat_statements'\n")
    with EmbeddedPostgres(home) as postgres, psycopg.connect(postgres.url) as connection:
        assert connection.execute("SHOW shared_preload_libraries").fetchone() == ("pg_stat_statements",)


def test_a_second_process_attaches_and_the_last_to_leave_ends_the_server(home: Path) -> None:
    first = Client(home)
    url = first.url
    second = Client(home)
    assert second.url == url
    begun = started_at(url)
    first.leave()
    assert started_at(url) == begun
    second.leave()
    assert processes_of(home) == []
    assert list((home / "postgres").glob("state.json")) == []


def test_a_process_forked_by_a_client_keeps_the_server_after_its_parent_has_left(home: Path) -> None:
    postgres = EmbeddedPostgres(home).start()
    url = postgres.url
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    postgres.stop()
    assert rows_can_be_read(url)
    os.close(writer)
    os.waitpid(child, 0)
    os.close(reader)
    eventually(lambda: processes_of(home), lambda pids: pids == [])


def rows_can_be_read(url: str) -> bool:
    return started_at(url) is not None


def test_the_server_ends_when_its_only_client_is_killed(home: Path) -> None:
    client = Client(home)
    assert client.url
    client.kill()
    eventually(lambda: processes_of(home), lambda pids: pids == [])


def test_the_server_outlives_a_killed_client_while_another_uses_it(home: Path) -> None:
    starter, other = Client(home), Client(home)
    url = starter.url
    assert other.url == url
    begun = started_at(url)
    starter.kill()
    assert started_at(url) == begun
    other.leave()
    assert processes_of(home) == []


def test_a_killed_postmaster_comes_back_by_itself_with_the_committed_rows(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        add_row(postgres.url)
        busy = psycopg.connect(postgres.url)  # its backend outlives the postmaster for a moment
        killed = postmaster_of(home)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: postmaster_of(home), lambda pid: pid != killed)
        assert eventually(lambda: rows(postgres.url)) == 1
        busy.close()


def test_a_killed_supervisor_takes_the_server_along_and_the_next_start_has_the_rows(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        url = postgres.url
        add_row(url)
        supervisor, postmaster = supervisor_of(home), postmaster_of(home)
        os.kill(supervisor, signal.SIGKILL)
        eventually(lambda: {supervisor, postmaster} & set(processes_of(home)), lambda pids: not pids)
        postgres.start()
        assert postgres.url == url
        assert rows(url) == 1


def test_a_start_right_after_supervisor_and_postmaster_were_killed_has_the_rows(home: Path) -> None:
    client = Client(home)
    add_row(client.url)
    for pid in (supervisor_of(home), postmaster_of(home)):
        os.kill(pid, signal.SIGKILL)
    with EmbeddedPostgres(home) as postgres:
        assert rows(postgres.url) == 1
    client.kill()


def test_a_start_waits_for_a_server_that_is_ending(home: Path) -> None:
    for _ in range(3):
        client = Client(home)
        assert client.url
        client.process.kill()  # the supervisor is on its way out while the next client comes
        with EmbeddedPostgres(home) as postgres:
            assert rows_can_be_read(postgres.url)
        client.process.communicate()


def test_processes_that_start_at_once_on_a_new_home_share_one_server(new_home: Path) -> None:
    clients = [Client(new_home) for _ in range(4)]
    urls = {client.url for client in clients}
    assert len(urls) == 1
    (url,) = urls
    assert rows_can_be_read(url)
    assert len(pids_holding(new_home / "postgres/supervisor.lock")) == 1
    for client in clients:
        client.leave()
    assert processes_of(new_home) == []


def test_an_initdb_killed_half_way_is_done_again(new_home: Path) -> None:
    client = Client(new_home)
    eventually(lambda: (new_home / "postgres/data.new/PG_VERSION").exists())
    os.kill(supervisor_of(new_home), signal.SIGKILL)
    client.kill()
    assert not (new_home / "postgres/data").exists()
    with EmbeddedPostgres(new_home) as postgres:
        assert rows_can_be_read(postgres.url)


@pytest.mark.timeout(60)
def test_a_supervisor_that_comes_second_leaves_the_server_to_the_first(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(home)
    assert rows_can_be_read(client.url)
    free = iter([False])  # as where the first one had not yet taken its lock when we looked

    monkeypatch.setattr(embedded_client, "is_held", lambda path: next(free, None) is None and is_held(path))
    with EmbeddedPostgres(home) as postgres:
        client.leave()
        assert rows_can_be_read(postgres.url)


def test_a_pid_file_whose_number_another_process_has_now_does_not_hinder_the_start(home: Path) -> None:
    data = home / "postgres/data"
    owner = data.stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], cwd="/", user=owner) as other:
        (data / "postmaster.pid").write_text(f"{other.pid}\n{data}\n1\n5432\n")
        with EmbeddedPostgres(home) as postgres:
            assert rows_can_be_read(postgres.url)
        other.kill()


def test_no_server_is_started_while_a_process_of_an_earlier_one_is_left(home: Path) -> None:
    left = open_lock(home / "postgres/server.lock")  # as an orphaned backend holds it
    assert try_lock(left, exclusive=True)
    client = Client(home)
    eventually(lambda: len(pids_holding(home / "postgres/server.lock")), lambda holders: holders == 2)
    assert client.is_silent()
    assert not (home / "postgres/data/postmaster.pid").exists()
    os.close(left)
    assert rows_can_be_read(client.url)
    client.leave()


def test_the_supervisor_is_told_to_end_by_sigterm(home: Path) -> None:
    with EmbeddedPostgres(home):
        os.kill(supervisor_of(home), signal.SIGTERM)
        eventually(lambda: [pid for pid in processes_of(home) if pid != os.getpid()], lambda pids: pids == [])
        assert "database system is shut down" in (home / "postgres/server.log").read_text()


def test_a_lingering_server_is_found_again(home: Path) -> None:
    with EmbeddedPostgres(home, linger_s=0.5) as postgres:
        begun = started_at(postgres.url)
    with EmbeddedPostgres(home, linger_s=0.5) as postgres:
        assert started_at(postgres.url) == begun
    eventually(lambda: processes_of(home), lambda pids: pids == [])


def test_databases_are_made_from_a_template_and_dropped(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        add_row(postgres.create_database("with a blank"))
        assert rows(postgres.create_database("copy", template="with a blank")) == 1
        postgres.drop_database("copy")
        postgres.drop_database("copy")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(postgres.url_of("copy"))


def test_valkey_is_shared_and_keeps_its_keys_when_supervisor_and_server_are_killed(new_home: Path) -> None:
    client = Client(new_home, "EmbeddedValkey")
    assert client.url.startswith("redis+socket:///")
    with EmbeddedValkey(new_home) as valkey, redis.Redis.from_url(valkey.redis_url) as connection:
        connection.set("key", "value")
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        eventually(lambda: connection.info("persistence"), lambda state: state["aof_pending_bio_fsync"] == 0)
        for pid in pids_holding(new_home / "valkey/supervisor.lock") + pids_holding(new_home / "valkey/server.lock"):
            os.kill(pid, signal.SIGKILL)
        valkey.start()
        assert connection.get("key") == b"value"
    client.leave()
    assert processes_of(new_home) == []


def test_a_killed_valkey_comes_back_by_itself(new_home: Path) -> None:
    with EmbeddedValkey(new_home) as valkey:
        (server,) = pids_holding(new_home / "valkey/server.lock")
        os.kill(server, signal.SIGKILL)
        eventually(lambda: pids_holding(new_home / "valkey/server.lock"), lambda pids: pids not in ([], [server]))
        valkey.start()
        with redis.Redis.from_url(valkey.redis_url) as connection:
            assert connection.ping()


def test_celery_s_url_reaches_valkey(new_home: Path) -> None:
    kombu = pytest.importorskip("kombu")
    with EmbeddedValkey(new_home) as valkey, kombu.Connection(valkey.url) as connection:
        queue = connection.SimpleQueue("visits")
        queue.put({"number": 1})
        assert queue.get(timeout=LIMIT_S).payload == {"number": 1}
        queue.close()
