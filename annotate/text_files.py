"""Reading text files line by line, gzipped or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from comention.errors import AnnotatorError


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 text file without their ends; only a newline ends a line.

    Raises:
        AnnotatorError: the file cannot be read; the message says after which line.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                text = line.rstrip(b"\r\n").decode("utf-8")
                yield text.removeprefix("\ufeff") if number == 1 else text
    except UnicodeDecodeError as error:
        raise AnnotatorError(f"the file {path} cannot be read: line {number} is not UTF-8: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        where = f" after line {number}" if number else ""
        raise AnnotatorError(f"the file {path} cannot be read{where}: {error}") from error


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, unpacked where its name ends in ``.gz``.

    Raises:
        AnnotatorError: the file cannot be read.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return stream.read()
    except (OSError, EOFError, zlib.error) as error:
        raise AnnotatorError(f"the file {path} cannot be read: {error}") from error
