"""Where PubMed's numbered files are: a mirror over HTTPS or FTP, or a folder.

    with open_mirror("https://ftp.ncbi.nlm.nih.gov/pubmed/updatefiles/") as mirror:
        for name in mirror.list_names():
            path = mirror.fetch(name, folder)

A file is downloaded beside its place, goes on where it stopped when it was interrupted, and takes its place when its checksum
is right.
"""

from __future__ import annotations

import contextlib
import errno
import ftplib
import http.client
import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import Request, urlopen

from comention.errors import DiskFullError, FetchError, RetryableFetchError, SourceError
from ingest.entrez import LONGEST_BACKOFF, LONGEST_RETRY_AFTER, retry_after
from ingest.releases import parse_md5, release_number, require_md5

ATTEMPTS = 5
_CHUNK_BYTES = 1 << 18
_LINK = re.compile(r"""href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class Mirror(Protocol):
    """A place that has numbered files."""

    def list_names(self) -> list[str]:
        """The names of the numbered files, in their order."""
        ...

    def fetch(self, name: str, folder: Path) -> Path:
        """A file with its checksum verified, below ``folder`` where it had to be downloaded.

        Raises:
            SourceError: it is not there, or corrupt.
            FetchError: the mirror does not give it.
            DiskFullError: there is no room for it.
        """
        ...


def open_mirror(place: str, *, timeout: float, backoff: float = 1.0) -> Mirror:
    """The mirror at an address, or the folder of a path; nothing is asked yet."""
    scheme = urlsplit(place).scheme if "://" in place else ""
    if scheme in ("http", "https"):
        return RemoteMirror(_Http(place, timeout), backoff=backoff)
    if scheme == "ftp":
        return RemoteMirror(_Ftp(place, timeout), backoff=backoff)
    if scheme:
        raise SourceError(f"{place} is no mirror: give an address with https:// or ftp://, or a folder")
    return FolderMirror(Path(place))


class FolderMirror:
    """A folder of files that somebody has downloaded. Where a ``.md5`` file lies beside a file, it is compared."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list_names(self) -> list[str]:
        """The names of the numbered files, in their order.

        Raises:
            SourceError: there is no such folder, or it cannot be read.
        """
        try:
            return _numbered(path.name for path in self._folder.iterdir())
        except FileNotFoundError as error:
            raise SourceError(f"the folder {self._folder} does not exist: check its name") from error
        except NotADirectoryError as error:
            raise SourceError(f"{self._folder} is no folder: name the one that the files are in") from error
        except OSError as error:
            raise SourceError(f"the folder {self._folder} cannot be read: {error.strerror or error}") from error

    def fetch(self, name: str, folder: Path) -> Path:
        """The file where it lies, its checksum verified where there is one."""
        path = self._folder / name
        stated = path.with_name(f"{name}.md5")
        if stated.exists():
            try:
                require_md5(path, parse_md5(stated.read_text("utf-8", "replace"), str(stated)))
            except OSError as error:
                raise SourceError(f"{stated} cannot be read: {error.strerror or error}") from error
        return path


class _PassingError(Exception):
    """One attempt failed in a way that may pass; ``wait`` is how many seconds the mirror asks for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class _Protocol(Protocol):
    """What HTTP and FTP do differently. Both raise ``_PassingError``, ``SourceError`` for a file that is not there."""

    where: str

    def list_all(self) -> list[str]: ...

    def read(self, name: str, start: int) -> Iterator[bytes]: ...


class RemoteMirror:
    """A mirror over the network."""

    def __init__(self, protocol: _Protocol, *, backoff: float) -> None:
        self._protocol = protocol
        self._backoff = backoff

    def list_names(self) -> list[str]:
        """The names of the numbered files, in their order.

        Raises:
            SourceError: there are none.
            FetchError: the mirror does not answer.
        """
        names = _numbered(self._retried(self._protocol.list_all))
        if not names:
            raise SourceError(f"{self._protocol.where} lists no file like pubmed26n0001.xml.gz: check the address")
        return names

    def fetch(self, name: str, folder: Path) -> Path:
        """Download a file and its checksum; one that is corrupt is downloaded once more from its beginning."""
        target = folder / name
        partial = folder / f"{name}.part"
        stated = self._retried(lambda: b"".join(self._protocol.read(f"{name}.md5", 0))).decode("utf-8", "replace")
        expected = parse_md5(stated, f"{self._protocol.where}{name}.md5")
        with contextlib.suppress(SourceError):  # a download that was complete when it was interrupted
            require_md5(target, expected)
            return target
        with _disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for last in (False, True):
                self._retried(lambda: self._continue(name, partial))
                try:
                    require_md5(partial, expected)
                except SourceError as error:
                    partial.unlink()
                    if last:
                        raise SourceError(
                            f"{self._protocol.where}{name} is corrupt, twice: its MD5 checksum is not that of its .md5 "
                            "file; nothing of it is stored, try again later"
                        ) from error
                else:
                    break
            partial.replace(target)
        return target

    def _continue(self, name: str, partial: Path) -> None:
        """Append to a download what it still lacks."""
        start = partial.stat().st_size if partial.exists() else 0
        with partial.open("r+b" if start else "wb") as file:
            for part in self._protocol.read(name, start):
                if not part:  # the mirror begins anew
                    start = 0
                    continue
                file.seek(start)
                file.write(part)
                start += len(part)
            file.truncate(start)

    def _retried(self, work: Callable[[], Result]) -> Result:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return work()
            except _PassingError as failure:
                if attempt == ATTEMPTS or failure.wait > LONGEST_RETRY_AFTER:
                    raise RetryableFetchError(
                        f"{self._protocol.where} does not answer (attempt {attempt} of {ATTEMPTS}: {failure}); check the "
                        "network and the address, and run the same command again"
                    ) from failure
                longest = min(LONGEST_BACKOFF, self._backoff * 2 ** (attempt - 1))
                pause = failure.wait + random.uniform(0, longest)  # noqa: S311 - spreads retries, guards nothing
                _logger.info("%s: %s; attempt %d in %.1f s", self._protocol.where, failure, attempt + 1, pause)
                time.sleep(pause)
        raise AssertionError("there is at least one attempt")


class _Http:
    """Files below an address, listed by the links of the page there."""

    def __init__(self, address: str, timeout: float) -> None:
        self._base = address if address.endswith("/") else f"{address}/"
        self._timeout = timeout
        parts = urlsplit(self._base)
        # Without what may be a password.
        self.where = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"

    def list_all(self) -> list[str]:
        page = b"".join(self.read("", 0)).decode("utf-8", "replace")
        return [unquote(urlsplit(link).path.rpartition("/")[2]) for link in _LINK.findall(page)]

    def read(self, name: str, start: int) -> Iterator[bytes]:
        request = Request(urljoin(self._base, quote(name)))  # noqa: S310 - the scheme is checked in open_mirror
        if start:
            request.add_header("Range", f"bytes={start}-")
        try:
            with urlopen(request, timeout=self._timeout) as response:  # noqa: S310
                if start and response.status != http.client.PARTIAL_CONTENT:
                    yield b""
                expected = response.headers.get("Content-Length")
                received = 0
                while part := response.read1(_CHUNK_BYTES):
                    received += len(part)
                    yield part
                if expected is not None and received < int(expected):
                    raise _PassingError(f"the connection broke after {received} of {expected} bytes")
        except HTTPError as error:
            with error:
                if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return  # all of it is here; the checksum will tell
                if error.code in (404, 410):
                    raise SourceError(f"{self.where}{name} does not exist (HTTP {error.code}): check it") from None
                if error.code in (408, 429) or error.code >= 500:
                    raise _PassingError(f"HTTP {error.code}", retry_after(error.headers) or 0.0) from None
                raise FetchError(f"{self.where}{name} is refused (HTTP {error.code} {error.reason})") from None
        except (URLError, http.client.HTTPException, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise _PassingError(str(reason) or type(reason).__name__) from None


class _Ftp:
    """Files in a folder of an FTP server, as whoever the address says, else anonymously."""

    def __init__(self, address: str, timeout: float) -> None:
        self._parts = urlsplit(address if address.endswith("/") else f"{address}/")
        self._timeout = timeout
        self.where = f"ftp://{self._parts.hostname}{self._parts.path}"

    def list_all(self) -> list[str]:
        with self._connected() as ftp:
            return [name.rpartition("/")[2] for name in ftp.nlst()]

    def read(self, name: str, start: int) -> Iterator[bytes]:
        with self._connected() as ftp:
            # In binary mode servers know the size and the place to go on from.
            ftp.voidcmd("TYPE I")
            try:
                connection = ftp.transfercmd(f"RETR {name}", rest=start or None)
            except ftplib.error_perm as error:
                if start and str(error).startswith(("501", "502", "504", "554")):  # it cannot go on from a place
                    yield b""
                    connection = ftp.transfercmd(f"RETR {name}")
                else:
                    raise SourceError(f"{self.where}{name} cannot be had ({error}): check it") from error
            with connection:
                while part := connection.recv(_CHUNK_BYTES):
                    yield part
            ftp.voidresp()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[ftplib.FTP]:
        parts = self._parts
        try:
            with ftplib.FTP(timeout=self._timeout) as ftp:  # noqa: S321 - public files, with a checksum
                ftp.connect(parts.hostname or "", parts.port or ftplib.FTP_PORT)
                ftp.login(unquote(parts.username or ""), unquote(parts.password or ""))
                ftp.cwd(unquote(parts.path))
                yield ftp
        except ftplib.error_perm as error:
            raise FetchError(f"{self.where} is refused ({error}): check the address") from error
        except ftplib.all_errors as error:
            raise _PassingError(str(error) or type(error).__name__) from error


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Say in one sentence why a download cannot be kept."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"there is no room left in {folder}, where downloads are kept: free some space and run the same command "
                "again, nothing is lost"
            ) from error
        raise SourceError(f"downloads cannot be kept in {folder}: {error.strerror or error}") from error


def _numbered(names: Iterator[str] | list[str]) -> list[str]:
    return sorted({name for name in names if release_number(name)}, key=lambda name: (release_number(name), name))
