"""What the terminal shows: progress with rate and time left on stderr, tables or one JSON document on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")


class _ResultConsole(Console):
    def on_broken_pipe(self) -> None:
        """Leave a reader that has gone to `pipeline.cli.main`, where rich would exit with a failure."""
        raise BrokenPipeError


def stdout_console() -> Console:
    """Return the console for results."""
    return _ResultConsole(highlight=False)


def stderr_console() -> Console:
    """Return the console for progress and messages."""
    return Console(stderr=True, highlight=False)


def print_json(document: object) -> None:
    """Print one JSON document on stdout."""
    try:
        json.dump(document, sys.stdout, ensure_ascii=False, indent=2, default=str)
        sys.stdout.write("\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Without its error number: with it, click would exit with a failure before `pipeline.cli.main` sees it.
        raise BrokenPipeError from None


def _count(task: Task) -> float:
    """Units done: the field ``count`` where the bar itself measures something else, as bytes of a file."""
    count: float = task.fields.get("count", task.completed)
    return count


class CountColumn(ProgressColumn):
    """Shows how many units have been done."""

    def render(self, task: Task) -> Text:
        """Render ``12,345``."""
        return Text(f"{_count(task):,.0f}", style="progress.download")


class RateColumn(ProgressColumn):
    """Shows how many units a second have been done since the task started."""

    def render(self, task: Task) -> Text:
        """Render ``1,234 sentences/s``."""
        seconds = task.finished_time or task.elapsed
        if not seconds or not _count(task):
            return Text("")
        return Text(f"{_count(task) / seconds:,.0f} {task.fields.get('unit', '')}/s", style="progress.data.speed")


@contextmanager
def progress_bars(console: Console | None = None) -> Iterator[Progress]:
    """Show progress bars on stderr while the block runs; give each task a ``unit`` (``unit="citations"``).

    On anything but a terminal nothing is drawn while the work runs.
    """
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        CountColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console or stderr_console(),
        transient=False,
        disable=not (console or stderr_console()).is_terminal,
    ) as progress:
        yield progress
