"""Files of PubMed records: baseline and update files and saved answers of E-utilities, packed with gzip or not."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from comention.errors import SourceError
from comention.types import Record
from ingest.medline import parse_records

_GZIP_MAGIC = b"\x1f\x8b"


def read_records(path: Path, *, on_bytes: Callable[[int], None] | None = None) -> Iterator[Record]:
    """Read the records of a file of PubMed XML; its first bytes, not its name, tell whether it is packed.

    ``on_bytes`` is told, record by record, how many bytes of the file have been read so far.

    Raises:
        SourceError: the file is missing, a folder, unreadable, empty or not PubMed's XML; or, after every whole
            record has been yielded, it is truncated or corrupt.
    """
    with _opened(path) as file:
        if file.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC):
            with gzip.GzipFile(fileobj=file) as unpacked:
                records = parse_records(cast("BinaryIO", unpacked), source=str(path))
                yield from records if on_bytes is None else _reporting(records, file, on_bytes)
        else:
            records = parse_records(file, source=str(path))
            yield from records if on_bytes is None else _reporting(records, file, on_bytes)


def _reporting(records: Iterator[Record], file: BufferedReader, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    for record in records:
        on_bytes(file.tell())
        yield record


def source_digest(path: Path) -> str:
    """The SHA-256 of the file's bytes, in hexadecimal.

    Raises:
        SourceError: the file is missing, a folder or unreadable.
    """
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    """Open a file for reading, and say in one sentence why it cannot be opened or read."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise SourceError(f"{path} does not exist: check the name") from error
    except IsADirectoryError as error:
        raise SourceError(f"{path} is a folder; name the files in it, for example {path}/*.xml.gz") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
