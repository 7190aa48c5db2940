"""Files of results: whole or not there at all, packed where the name ends in ``.gz``, or stdout."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from comention.errors import ExportError

STDOUT = "-"


@contextmanager
def open_output(name: str, *, pack: bool = True) -> Iterator[BinaryIO]:
    """Open a file for binary writing; ``-`` is stdout. ``pack``: a name that ends in ``.gz`` asks for gzip.

    What is written stands under a temporary name beside the file, and gets its own when the block ends without an error; a
    device or a named pipe is written to directly.

    Raises:
        ExportError: it cannot be written; the message names it.
        BrokenPipeError: the reader of stdout has gone.
    """
    if name == STDOUT:
        with _stdout() as stream:
            yield stream
        return
    target = Path(os.path.realpath(name))
    gzipped = pack and name.endswith(".gz")
    with _named_errors(name):
        if target.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        if target.exists() and not target.is_file():
            with target.open("wb") as raw, _packed(raw, gzipped) as stream:
                yield stream
            return
        partial = _partial_name(target)
        try:
            with partial.open("wb") as raw:
                with _packed(raw, gzipped) as stream:
                    yield stream
                raw.flush()
                os.fsync(raw.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def open_folder(folder: Path) -> Iterator[Path]:
    """Make a folder of files; it stands under a temporary name until the block ends without an error.

    Raises:
        ExportError: there is one of that name that has files in it, or it cannot be written.
    """
    target = Path(os.path.realpath(folder))
    with _named_errors(str(folder)):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ExportError(f"{folder} is there already: name another folder, or remove it first")
        partial = _partial_name(target)
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
            yield partial
            for path in partial.iterdir():
                with path.open("rb") as written:
                    os.fsync(written.fileno())
            partial.rename(target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _partial_name(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.partial")


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise BrokenPipeError from None  # a named pipe's reader; as for stdout
    except OSError as error:
        raise ExportError(
            f"{name} cannot be written: {error.strerror or error}; name another place, or make room"
        ) from error


@contextmanager
def _stdout() -> Iterator[BinaryIO]:
    sys.stdout.flush()
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Without its error number: with it, click would exit with a failure before `pipeline.cli.main` sees it.
        raise BrokenPipeError from None
    except OSError as error:
        # What could not be written would be tried again when the interpreter ends, and fail with a traceback.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ExportError(f"stdout cannot be written: {error.strerror or error}") from error


@contextmanager
def _packed(raw: io.BufferedWriter, gzipped: bool) -> Iterator[BinaryIO]:
    if not gzipped:
        yield raw
        return
    # No name and no time in its header: the same content is the same file.
    with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as stream:
        yield cast("BinaryIO", stream)
