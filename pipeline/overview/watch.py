"""Looks at the work again and again: `comention status --watch`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from comention.errors import DatabaseError
from pipeline.overview.queue_depths import QueueDepths
from pipeline.overview.watch_view import show_look
from pipeline.overview.watching import take_look
from pipeline.terminal.console import print_json, stdout_console
from storage.database import Database, open_database

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comention.settings import Settings

_FIRST_ANSWER_LIMIT_S = 3.0


def watch(settings: Settings, *, every_s: float, as_json: bool) -> None:
    """Show the work every ``every_s`` seconds until Ctrl-C; one look where stdout is no terminal, or as JSON.

    Raises:
        DatabaseError: Postgres cannot be reached at the start; later that is shown, and tried again.
    """
    console = stdout_console()
    with open_database(settings) as database, _depths(settings) as depths:
        look = take_look(database, _first(depths))
        if as_json:
            print_json(look.to_document())
            return
        if not console.is_terminal:
            console.print(show_look(look))
            return
        try:
            with Live(show_look(look), console=console, auto_refresh=False) as live:
                for shown in _looks(database, depths, every_s):
                    live.update(shown, refresh=True)
        except KeyboardInterrupt:  # the way to end it
            return


def _looks(database: Database, depths: QueueDepths | None, every_s: float) -> Iterator[RenderableType]:
    pause = every_s
    while True:
        time.sleep(pause)
        began = time.monotonic()
        try:
            yield show_look(take_look(database, depths.depths() if depths else None))
        except DatabaseError as error:
            yield Text(f"{error} (tried again)", style="red")
        # Counting a large database takes its time: a tenth of it at most is spent on being watched.
        pause = max(every_s, 10 * (time.monotonic() - began))


@contextmanager
def _depths(settings: Settings) -> Iterator[QueueDepths | None]:
    """Yield the depths of the queues; ``None`` where the broker is an embedded one that does not run."""
    from storage.embedded import EmbeddedValkey

    with ExitStack() as stack:
        if settings.redis.url is not None:
            url = settings.redis.url.get_secret_value()
        else:
            valkey = EmbeddedValkey(settings.home)
            if not valkey.is_running():
                yield None
                return
            url = stack.enter_context(valkey).url
        yield stack.enter_context(QueueDepths(url))


def _first(depths: QueueDepths | None) -> Mapping[str, int] | None:
    return None if depths is None else depths.wait(_FIRST_ANSWER_LIMIT_S)
