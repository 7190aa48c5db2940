"""Real servers for every test: a migrated Postgres that is cloned for each, and the command line as users run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest

from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.migrate import upgrade
from tests.forked import COMMAND_MODULES, Forks

ROOT = Path(__file__).parent.parent
PLUGINS = ROOT / "tests" / "plugins"
CORPORA = Path(os.environ.get("COMENTION_CORPORA", ROOT.parent / "shared" / "data"))

sys.path.append(str(PLUGINS))

# Where Python is told to write no compiled modules, every command of a test would compile torch anew, for seconds.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Tests run side by side: two that each take all cores wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A deadline would measure the machine; in CI the examples are the same every time, elsewhere they go on looking.
hypothesis.settings.register_profile("comention", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("comention")

_numbers = count(1)


@pytest.fixture(scope="session", autouse=True)
def own_environment() -> Iterator[None]:
    """Keep the settings of whoever runs the tests out of them, and NCBI out of reach of child processes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("COMENTION_", "PG")) and name not in ("COMENTION_CORPORA", "PG_BIN"):
                patch.delenv(name)
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(name, "http://127.0.0.1:9")
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        patch.setenv("COMENTION_NCBI__BASE_URL", "http://127.0.0.1:9/entrez/eutils/")
        patch.setenv("COMENTION_WORK__NICE", "0")
        yield


def fast_folder() -> str | None:
    """A file system in memory, where there is one with room: few tests are about the disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").free > 2**31 else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A Postgres of this test process. It waits for no disk: what is killed in the tests that use it is never the server."""
    with (
        tempfile.TemporaryDirectory(prefix="comention-test-", dir=fast_folder(), ignore_cleanup_errors=True) as home,
        EmbeddedPostgres(Path(home)) as server,
    ):
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """A migrated database that the others are copies of."""
    name = "template_comention"
    database = Database(parse_url(postgres.create_database(name), connect_timeout=10))
    upgrade(database)
    database.close()
    return name


@pytest.fixture
def database_address(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """The address of a migrated, empty database of this test."""
    name = f"test_{next(_numbers)}"
    yield postgres.create_database(name, template=template)
    postgres.drop_database(name)


@pytest.fixture
def empty_address(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The address of a database of this test that has no tables."""
    name = f"test_{next(_numbers)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def database(database_address: str) -> Iterator[Database]:
    """A migrated, empty database of this test."""
    opened = Database(parse_url(database_address, connect_timeout=10))
    yield opened
    opened.close()


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.stdout)


Comention = Callable[..., Outcome]


def command_environment(**settings: str) -> dict[str, str]:
    """The environment of a command of its own process, with the test plugins and nothing of the user's."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("COMENTION_")},
        "COMENTION_NCBI__BASE_URL": "http://127.0.0.1:9/entrez/eutils/",
        "COMENTION_WORK__NICE": "0",  # tests stand side by side, and one that waits gives way to none
        "COMENTION_ANNOTATE__ANNOTATOR": "lexicon",
        "PYTHONPATH": os.pathsep.join([str(PLUGINS), str(ROOT)]),
        "COLUMNS": "200",
        **settings,
    }


COMMAND = [sys.executable, "-c", "import sys; sys.argv[0] = 'comention'; from pipeline.cli import main; main()"]


def run_command(*arguments: str | Path, timeout: float = 120, **settings: str) -> Outcome:
    """Run a command in a process of its own, as a user does."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=command_environment(**settings),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def commands() -> Iterator[Forks]:
    """What runs commands in forks."""
    with Forks(command_environment(), module="pipeline.cli", modules=COMMAND_MODULES) as started:
        yield started


@pytest.fixture
def comention(database_address: str, commands: Forks) -> Comention:
    """The command line on this test's database, each command in a process of its own.

    Where more than comention's own settings are set, Python starts anew, as it reads some of the rest when it does.
    """

    def run(*arguments: str | Path, **settings: str) -> Outcome:
        settings = {"COMENTION_DATABASE__URL": database_address, **settings}
        if not all(name.startswith("COMENTION_") for name in settings):
            return run_command(*arguments, **settings)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            environment = command_environment(**settings)
            command = ["comention", *map(str, arguments)]
            status = commands.run(command, environment, output.fileno(), errors.fileno(), timeout=120)
            written = []
            for file in (output, errors):
                file.seek(0)
                written.append(file.read().decode())
        return Outcome(status, *written)

    return run


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora."""
    if not CORPORA.is_dir():
        pytest.skip(f"there are no corpora at {CORPORA}: set COMENTION_CORPORA")
    return CORPORA
