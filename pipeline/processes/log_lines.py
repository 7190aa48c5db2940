"""The output of several processes as one log: whole lines, each behind the name of its process."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import TextIO

import click

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta")
_LONGEST_LINE = 65536


class LinePrinter:
    """Puts names before lines, in colours where a terminal shows them."""

    def __init__(self, names: Sequence[str], stream: TextIO | None = None) -> None:
        """Take the names that will occur; the longest decides on the width of the column."""
        self._stream = stream or sys.stderr
        self._width = max(map(len, names), default=0)
        self._colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(names)}
        self._rests: dict[str, bytes] = {}

    def write(self, name: str, output: bytes) -> None:
        """Print the lines that are whole; nothing more comes (``b""``): print the rest."""
        rest = self._rests.pop(name, b"") + output
        lines = rest.split(b"\n")
        if output and len(lines[-1]) < _LONGEST_LINE and lines[-1]:
            self._rests[name] = lines.pop()
        for line in lines:
            if line.strip():
                self.say(name, line.decode(errors="replace").rstrip())

    def say(self, name: str, line: str) -> None:
        """Print one line of ours."""
        prefix = click.style(f"{name:<{self._width}} │", fg=self._colours.get(name))
        try:
            click.echo(f"{prefix} {line}", file=self._stream)
        except OSError as error:
            if error.errno != errno.EIO:  # the terminal was closed: SIGHUP comes too, and says what to do
                raise
