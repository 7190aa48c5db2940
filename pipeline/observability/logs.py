"""What workers write about their work: one event a line, as JSON or for a terminal, with task, PMIDs and annotator.

Everything that the standard `logging` is told comes out the same way, whichever library said it, and no secret of the
settings comes out at all.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote, quote_plus, unquote, urlsplit

import structlog
from pydantic import BaseModel, SecretStr

from pipeline.progress import Progress

if TYPE_CHECKING:
    from comention.settings import LogSettings, Settings

HIDDEN = "[secret]"

SHORTEST_SECRET = 4
"""Characters; a shorter one would be found inside ordinary words, and guards nothing."""

FEW_PMIDS = 10
"""So many are named one by one; more only with the level debug."""

_QUIET = ("celery.app.trace", "celery.worker.strategy", "httpx", "urllib3", "opentelemetry.exporter")
"""They say of each task, or request, what our own lines say with more."""


def secrets_of(settings: Settings) -> list[str]:
    """Return what must not be written: every secret, the passwords in addresses, and their forms in an address."""
    plain: set[str] = set()
    for _, group in settings:
        if isinstance(group, BaseModel):
            for _, value in group:
                if isinstance(value, SecretStr):
                    plain |= _parts(value.get_secret_value())
    forms = {form for secret in plain for form in (secret, quote(secret, safe=""), quote_plus(secret))}
    return sorted((form for form in forms if len(form) >= SHORTEST_SECRET), key=len, reverse=True)


def _parts(secret: str) -> set[str]:
    """Return a secret, or the password of an address: the address itself may be named without it."""
    if "://" not in secret:
        return {secret}
    try:
        password = urlsplit(secret).password
    except ValueError:
        return {secret}
    return {password, unquote(password)} if password else set()


def configure(settings: LogSettings, *, secrets: Sequence[str] = (), stream: TextIO | None = None) -> None:
    """Send all logs of this process to ``stream``, by default stderr, in the form of the settings. Repeating it is harmless."""
    stream = stream or sys.stderr
    as_json = settings.format == "json" or (settings.format == "auto" and not stream.isatty())
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        if as_json
        # Without rich's tracebacks, which show the values of variables.
        else structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _Hider(secrets),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler, *(one for one in root.handlers if isinstance(one, LineCounter))]
    root.setLevel(settings.level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


class LineCounter(logging.Handler):
    """Tells somebody the level of each warning and error."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Tell."""
        self._tell(record.levelname.lower())


class _Hider:
    """Puts `[secret]` wherever a secret stands in an event."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return {name: self._hidden(value) for name, value in event.items()}

    def _hidden(self, value: object) -> object:
        match value:
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {name: self._hidden(inner) for name, inner in value.items()}
            case list() | tuple():
                return [self._hidden(inner) for inner in value]
        text = str(value)
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


@contextmanager
def about(*, pmids: Sequence[int] = (), **fields: object) -> Iterator[None]:
    """Put ``fields``, such as the annotator, and the PMIDs in hand on every line that this thread writes in the block."""
    if pmids:
        fields["pmids"] = _named(pmids)
        fields["pmid_count"] = len(pmids)
    with structlog.contextvars.bound_contextvars(**fields):
        yield


def _named(pmids: Sequence[int]) -> list[int] | str:
    if len(pmids) <= FEW_PMIDS or logging.getLogger().isEnabledFor(logging.DEBUG):
        return list(pmids)
    return f"{min(pmids)}–{max(pmids)}"


def log_progress(progress: Progress) -> None:
    """Write what was committed; a listener of `pipeline.progress`. A look that found nothing to do is worth no line."""
    logger = structlog.stdlib.get_logger("comention.work")
    counts = {
        name: getattr(progress, name)
        for name in ("records", "sentences", "mentions", "failed", "detail")
        if getattr(progress, name)
    }
    say = logger.warning if progress.failed else logger.info if counts else logger.debug
    say("committed", stage=progress.stage, seconds=round(progress.seconds, 3), **counts)
