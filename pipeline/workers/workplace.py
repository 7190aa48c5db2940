"""What a worker process has at hand: settings, Postgres, NCBI, annotators, each opened when the first task asks for it."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from contextlib import ExitStack
from dataclasses import dataclass

from comention.settings import Settings, load_settings
from comention.types import Splitter
from ingest.pubmed import PubMed
from ingest.sentences import RuleSplitter
from pipeline.workers.annotate_claimed import Cursor, FoldClock, LockedAnnotator
from pipeline.workers.doorbell import Doorbell
from pipeline.workers.sweep import Backlog, Sweeper
from storage.annotators import register_annotator
from storage.claims import Holder, choose_annotator
from storage.database import Database, Sessions, open_database
from storage.names import NameTable


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedAnnotator:
    """An annotator of this process, its number in the database, and where its search for owed citations goes on."""

    name: str
    annotator: LockedAnnotator
    annotator_id: int
    cursor: Cursor


class Workplace:
    """The things of one process; its methods may be called from any thread."""

    def __init__(self, settings: Settings, doorbell: Doorbell) -> None:
        self.settings = settings
        self.doorbell = doorbell
        self.holder = Holder(name=_holder_name(), lease_seconds=settings.work.lease_seconds)
        self.stopping = threading.Event()
        """Set when the process is asked to stop: what goes on in batches ends after the one in hand."""
        self.clock = FoldClock()
        self.splitter: Splitter = RuleSplitter()
        self.backlog = Backlog(settings.work.backlog)
        self.sweeper = Sweeper(
            Backlog(settings.work.backlog), settings.work.lease_seconds, settings.annotate.batch_citations
        )
        self._lock = threading.RLock()
        self._opened = ExitStack()
        self._database: Database | None = None
        self._pubmed: PubMed | None = None
        self._annotators: dict[str, LoadedAnnotator] = {}
        self._of_thread = threading.local()

    @property
    def database(self) -> Database:
        """Postgres, with sessions that bear the holder's name.

        Raises:
            DatabaseError: it cannot be reached, or is at another schema.
        """
        with self._lock:
            if self._database is None:
                sessions = Sessions(name=self.holder.name, idle_in_transaction_seconds=self.settings.work.lease_seconds)
                self._database = self._opened.enter_context(
                    open_database(self.settings, sessions=sessions, background=True)
                )
            return self._database

    @property
    def pubmed(self) -> PubMed:
        """NCBI, under the limit that all workers share.

        Raises:
            SettingsError: NCBI's rules ask for an address that is not configured.
        """
        from ingest.rate_limit import limiter_for

        with self._lock:
            if self._pubmed is None:
                redis_url = self.settings.redis.url.get_secret_value() if self.settings.redis.url else None
                self._pubmed = PubMed(self.settings.ncbi, limiter_for(self.settings.ncbi, redis_url))
            return self._pubmed

    @property
    def names(self) -> NameTable:
        """The names that this thread has met; the table is not thread-safe."""
        found: NameTable | None = getattr(self._of_thread, "names", None)
        if found is None:
            found = self._of_thread.names = NameTable(self.database)
        return found

    def annotator(self, name: str) -> LoadedAnnotator:
        """Load an annotator, once a process.

        Raises:
            AnnotatorError: there is none of that name, or it cannot be loaded.
        """
        with self._lock:
            if name not in self._annotators:
                from pipeline.terminal.annotator_options import load_chosen

                loaded = load_chosen(self.settings.annotate, name, None)
                number = register_annotator(self.database, loaded.info)
                choose_annotator(self.database, name, number)
                self._annotators[name] = LoadedAnnotator(
                    name=name, annotator=LockedAnnotator(loaded), annotator_id=number, cursor=Cursor()
                )
            return self._annotators[name]

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            self._opened.close()
            self._database = None


def _holder_name() -> str:
    """A name that no other process has, short enough for Postgres (63 bytes)."""
    return f"comention {socket.gethostname()[:24]} {os.getpid()} {uuid.uuid4().hex[:12]}"


_workplace: Workplace | None = None
_opening = threading.Lock()


def _forget() -> None:
    """Leave to the parent what a child of a fork must not share."""
    global _workplace, _opening
    _workplace, _opening = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def workplace() -> Workplace:
    """Return the workplace of this process; a forked one gets its own."""
    from pipeline.app import app

    global _workplace
    with _opening:
        if _workplace is None:
            _workplace = Workplace(load_settings(), Doorbell(app))
        return _workplace


def stop_working() -> None:
    """Ask what goes on in this process to end after the batch in hand."""
    if _workplace is not None:
        _workplace.stopping.set()


def leave_workplace() -> None:
    """Close what this process opened."""
    if _workplace is not None:
        _workplace.close()
