"""Reading text files line by line, gzipped or not."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

from comention.errors import AnnotatorError


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 text file without their ends; only a newline ends a line.

    Raises:
        AnnotatorError: the file cannot be read.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            for line in stream:
                yield line.rstrip(b"\r\n").decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise AnnotatorError(f"the file {path} cannot be read: {error}") from error
