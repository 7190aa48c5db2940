"""What workers write: one event a line, with what it is about, and without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from comention.settings import LogSettings, load_settings
from pipeline.observability.logs import about, configure, log_progress, secrets_of
from pipeline.progress import Progress


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_what_it_is_about(stream: io.StringIO) -> None:
    configure(LogSettings(format="json"), stream=stream)
    with about(pmids=[31452104, 29562543], annotator="compact"):
        log_progress(Progress(stage="annotate", records=2, sentences=20, mentions=5, seconds=0.25))
    logging.getLogger("kombu").warning("connection lost to %s", "redis")
    done, other = events(stream)
    assert done["event"] == "committed"
    assert done["pmids"] == [31452104, 29562543]
    assert done["annotator"] == "compact"
    assert (done["records"], done["sentences"], done["mentions"], done["seconds"]) == (2, 20, 5, 0.25)
    assert done["level"] == "info"
    assert done["timestamp"].endswith("Z")
    assert (other["event"], other["logger"]) == ("connection lost to redis", "kombu")
    assert "annotator" not in other


def test_many_pmids_are_named_by_their_ends_and_each_of_them_on_demand(stream: io.StringIO) -> None:
    pmids = list(range(100, 300))
    for level in ("info", "debug"):
        configure(LogSettings(format="json", level=level), stream=stream)
        with about(pmids=pmids):
            logging.getLogger("any").warning("here")
    short, long = events(stream)
    assert (short["pmids"], short["pmid_count"]) == ("100–299", 200)
    assert long["pmids"] == pmids


def test_a_failed_record_is_a_warning_and_an_idle_look_no_line(stream: io.StringIO) -> None:
    configure(LogSettings(format="json"), stream=stream)
    log_progress(Progress(stage="sweep"))
    log_progress(Progress(stage="fetch", failed=1, detail="PMID 7"))
    (line,) = events(stream)
    assert (line["level"], line["failed"], line["detail"]) == ("warning", 1, "PMID 7")


def test_no_secret_is_written_in_whatever_form(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMENTION_DATABASE__URL", "postgresql://comention:p%40ss%2Fword@host/comention")
    monkeypatch.setenv("COMENTION_NCBI__API_KEY", "0123456789abcdef")
    settings = load_settings()
    configure(LogSettings(format="json"), secrets=secrets_of(settings), stream=stream)
    try:
        raise ValueError("key=0123456789abcdef and p@ss/word")
    except ValueError:
        logging.getLogger("x").exception("sent %s", {"api_key": "0123456789abcdef"}, extra={"a": "p@ss/word"})
    structlog.get_logger("y").warning("nested", inner={"url": ["postgresql://comention:p%40ss%2Fword@host"]})
    written = stream.getvalue()
    assert "0123456789abcdef" not in written
    assert "p@ss" not in written
    assert "p%40ss" not in written
    assert "ValueError" in written
    assert "comention:[secret]@host" in written


def test_a_terminal_gets_text(stream: io.StringIO) -> None:
    configure(LogSettings(format="console"), stream=stream)
    logging.getLogger("x").warning("a sentence")
    assert "a sentence" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(stream.getvalue())
