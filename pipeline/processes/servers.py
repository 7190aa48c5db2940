"""The Postgres and the Redis that workers use: those of the settings, or the embedded ones of the home, as long as needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comention.settings import Settings
    from storage.database import Database
    from storage.embedded_client import EmbeddedServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """What is open. ``environment`` tells a process that we start where they are."""

    database: Database
    broker_url: str
    environment: Mapping[str, str]
    embedded: tuple[EmbeddedServer, ...]

    def is_lost(self) -> bool:
        """Whether an embedded server has gone for good, with whoever kept it: a new one has another address."""
        return not all(server.is_running() for server in self.embedded)


@contextmanager
def open_servers(settings: Settings, *, migrate: bool = False) -> Iterator[Servers]:
    """Open both servers, and start those that are embedded.

    With ``migrate`` an embedded Postgres is brought to the schema of this program; an empty one always is.

    Raises:
        EmbeddedServerError: an embedded server cannot be started.
        DatabaseError: Postgres cannot be reached.
        SchemaError: it is at another schema than this program.
    """
    from storage.database import open_database
    from storage.embedded import EmbeddedPostgres, EmbeddedValkey
    from storage.migrate import upgrade
    from storage.priority import LEAST

    environment: dict[str, str] = {}
    embedded: list[EmbeddedServer] = []
    with ExitStack() as stack:
        if settings.redis.url is None:
            valkey = stack.enter_context(EmbeddedValkey(settings.home))
            broker_url = environment["COMENTION_REDIS__URL"] = valkey.url
            embedded.append(valkey)
        else:
            broker_url = settings.redis.url.get_secret_value()
        if settings.database.url is None:
            postgres = stack.enter_context(EmbeddedPostgres(settings.home))
            environment["COMENTION_DATABASE__URL"] = postgres.url
            if settings.work.nice is None:  # workers see an address like any other, and it is on this machine
                environment["COMENTION_WORK__NICE"] = str(LEAST)
            embedded.append(postgres)
            if migrate:
                with open_database(settings, check_schema=False) as unchecked:
                    upgrade(unchecked)
        database = stack.enter_context(open_database(settings))
        yield Servers(database=database, broker_url=broker_url, environment=environment, embedded=tuple(embedded))
