"""Where a row is measured: a database and a Valkey of its own, and the processes that it starts, as a user would."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from redis import Redis
from sqlalchemy import text

from comention.errors import DatabaseError
from comention.settings import RedisSettings, Settings
from pipeline.app import make_app
from pipeline.workers.doorbell import Doorbell
from pipeline.workers.jobs import hand_in_query
from storage.database import Database, parse_url
from storage.embedded import EmbeddedValkey
from storage.jobs import BACKFILL
from tests.chaos.scale import Scale
from tests.conftest import COMMAND
from tests.ncbi import NcbiServer
from tests.processes import Service, is_alive, processes_with

KEY = "0123456789abcdef" * 2
DOUBLED = [sys.executable, "-m", "tests.chaos.doubled"]


class Post:
    """A supervised process that is started again whenever it was killed, as a container engine does."""

    def __init__(self, start: Callable[[], Service], kind: str) -> None:
        self._start = start
        self._kind = kind
        self.service = start()

    def child(self) -> int | None:
        """The process id of the Celery process below the supervisor, where there is one just now."""
        return self.service.child(self._kind)

    def keep(self) -> None:
        """Start it again where it has ended."""
        if self.service.process.poll() is not None:
            self.service = self._start()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far the work was at a moment."""

    annotated: int
    in_hand: int
    fetched: int
    left: int
    """Batches to fetch."""


class Site:
    """Servers and processes of one row; a context manager that leaves nothing behind."""

    def __init__(self, folder: Path, address: str, ncbi: NcbiServer, scale: Scale, **settings: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.scale = scale
        self.database = Database(parse_url(address, connect_timeout=10))
        self._valkey = EmbeddedValkey(folder / "broker")
        self._citations = len(ncbi.articles)
        self._handed_in = 0
        self._posts: list[Post] = []
        self._numbers = 0
        self._settings = {
            "COMENTION_HOME": str(folder / "home"),
            "COMENTION_DATABASE__URL": address,
            "COMENTION_NCBI__BASE_URL": ncbi.base_url,
            "COMENTION_NCBI__EMAIL": "someone@example.org",
            "COMENTION_NCBI__API_KEY": KEY,
            "COMENTION_ANNOTATE__ANNOTATOR": "slow",
            "COMENTION_WORKER__FETCH_THREADS": "2",
            "COMENTION_WORKER__STATE_FOLDER": str(folder / "state"),
            **scale.settings,
            **settings,
        }

    def __enter__(self) -> Site:
        """Start the broker."""
        self._valkey.start()
        self.redis = Redis.from_url(self._valkey.redis_url)
        self._settings["COMENTION_REDIS__URL"] = self._valkey.url
        self._doorbell = Doorbell(make_app(Settings(redis=RedisSettings.model_validate({"url": self._valkey.url}))))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what runs; say what it said where that is needed."""
        for post in self._posts:
            post.service.process.kill()
            post.service.process.wait()
        self.redis.close()
        self._valkey.stop()
        self.database.close()
        if kind is not None:
            for log in sorted(self.folder.glob("*.log")):
                sys.stderr.write(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}\n")

    # Processes.

    def start(self, *arguments: str, doubled: bool = False, **settings: str) -> Post:
        """Start ``comention worker|beat …`` and keep it; ``doubled``: each message that it sends comes twice."""
        command = DOUBLED if doubled else COMMAND

        def start() -> Service:
            self._numbers += 1
            log = self.folder / f"{self._numbers:03}-{'-'.join(arguments).replace(',', '-')}.log"
            return Service(log, *arguments, command=command, **{**self._settings, **settings})

        post = Post(start, arguments[0])
        self._posts.append(post)
        return post

    def workers(self, *queues: str, **settings: str) -> list[Post]:
        """Start a worker for each of ``queues``."""
        return [self.start("worker", "--queues", name, **settings) for name in queues]

    def wait_ready(self) -> None:
        """Wait until all workers take messages."""
        for post in self._posts:
            if "worker" in post.service.process.args:  # type: ignore[operator]
                post.service.says("ready.", seconds=120)

    def supervisors(self) -> list[int]:
        """The process ids of all supervisors."""
        return [post.service.process.pid for post in self._posts]

    def end(self) -> None:
        """Ask all to end, and make sure that no process of this row is left."""
        for post in self._posts:
            post.service.process.terminate()
        for post in self._posts:
            post.service.process.wait(60)
        self.wait(lambda: not processes_with("COMENTION_HOME", self._settings["COMENTION_HOME"]), "no process left", 30)

    def said(self, wanted: str) -> int:
        """In how many lines of all logs something stands."""
        return sum(
            wanted in line for log in self.folder.glob("*.log") for line in log.read_text(errors="replace").splitlines()
        )

    # The broker.

    def stop_broker(self) -> None:
        """Stop Valkey, and forget all that it knew."""
        self._valkey.stop()
        shutil.rmtree(self.folder / "broker" / "valkey" / "data")

    def start_broker(self) -> None:
        """Start it again, empty, at the same address."""
        self._valkey.start()
        assert self._valkey.url == self._settings["COMENTION_REDIS__URL"]

    # The work.

    def hand_in(self, up_to: float = 1.0) -> None:
        """Hand in what is missing of a share of the corpus, from 0 to 1."""
        last = round(up_to * self._citations)
        if last <= self._handed_in:
            return
        query = f"patient AND {self._handed_in + 1}:{last}[uid]"
        number = hand_in_query(self.database, query, priority=BACKFILL)
        self._doorbell.job(number, "query", BACKFILL)
        self._handed_in = last

    def count(self, table: str, where: str = "true", **bound: object) -> int:
        """Count rows of the private schema."""
        with self.database.transaction() as connection:
            question = text(f"SELECT count(*) FROM comention.{table} WHERE {where}")
            return int(connection.execute(question, bound).scalar_one())

    def holds_work(self, pid: int | None, table: str = "annotation_claim") -> bool:
        """Whether a process has something in hand just now."""
        held = "lease IS NOT NULL AND leased_until > clock_timestamp() AND worker LIKE :worker"
        return pid is not None and self.count(table, held, worker=f"comention % {pid} %") > 0

    def mark(self, *, hand_in: float) -> Mark:
        """Hand in what is missing of a share of the corpus, so that work remains, and note how far the work is.

        Raises:
            AssertionError: there is nothing left that somebody could get on with.
        """
        self.hand_in(hand_in)
        mark = self._look()
        assert mark.annotated + mark.in_hand < self._handed_in, (
            f"nothing is left to do at {mark}: no fault can be tried"
        )
        return mark

    def gets_on(self, mark: Mark) -> bool:
        """Whether more has been done since than what was in hand then: of annotating, and of fetching where that was owed."""
        now = self._look()
        return now.annotated > mark.annotated + mark.in_hand and (now.fetched > mark.fetched or not mark.left)

    def _look(self) -> Mark:
        return Mark(
            annotated=self.count("annotation"),
            in_hand=self.count("annotation_claim", "leased_until > clock_timestamp()"),
            fetched=self.count("citation"),
            left=self.count("fetch_batch", "status = 'waiting'"),
        )

    def is_done(self) -> bool:
        """Whether all that was handed in is fetched and annotated, and nothing in hand."""
        return (
            self.count("job", "status <> 'done'") == 0
            and self.count("citation") == self._handed_in
            and self.count("annotation") == self._handed_in
            and self.count("annotation_claim") == 0
        )

    def share_done(self, share: float) -> Callable[[], bool]:
        """Return the question whether a share of the corpus is annotated."""
        return lambda: self.count("annotation") >= share * self._citations

    def wait(self, condition: Callable[[], bool], what: str, seconds: float) -> float:
        """Wait for a condition, also while Postgres is away, and return how long it took.

        Raises:
            AssertionError: it did not come in time.
        """
        began = time.monotonic()
        while True:
            with contextlib.suppress(DatabaseError):
                if condition():
                    return time.monotonic() - began
            if time.monotonic() - began > seconds:
                raise AssertionError(f"after {seconds:.0f} s still not: {what}")
            time.sleep(0.1)

    def finish(self, seconds: float = 400) -> float:
        """Wait until all is done."""
        return self.wait(self.is_done, "all is done", seconds)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, also where nobody has asked for its status yet."""
    return not is_alive(pid) or not Path(f"/proc/{pid}").exists()


def send(number: int, *pids: int | None) -> None:
    """Send a signal to processes, those that have ended meanwhile left out."""
    for pid in pids:
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
