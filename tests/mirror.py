"""A stand-in for NLM's mirror: numbered files with their checksums over real HTTP, and the ways in which a mirror fails."""

from __future__ import annotations

import enum
import gzip
import hashlib
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from tests.builders import article_set


def release(articles: Iterable[str]) -> bytes:
    """The content of a numbered file."""
    return gzip.compress(article_set(articles), mtime=0)


def stated_md5(name: str, content: bytes) -> bytes:
    """The content of its ``.md5`` file, as NLM writes it."""
    return f"MD5({name})= {hashlib.md5(content).hexdigest()}\n".encode()


def write_release(folder: Path, name: str, articles: Iterable[str]) -> Path:
    """Write a numbered file and its checksum into a folder."""
    content = release(articles)
    (folder / name).write_bytes(content)
    (folder / f"{name}.md5").write_bytes(stated_md5(name, content))
    return folder / name


class Trouble(enum.Enum):
    """Ways in which an answer of a mirror goes wrong, once."""

    BUSY = "a 503 with Retry-After"
    BROKEN = "a connection that ends in the middle of the content"
    CORRUPT = "one bit is wrong"
    ERROR = "a 500"


class MirrorServer:
    """Serves files by name, with a page that lists them, until the ``with`` block ends. ``troubles`` are used up."""

    def __init__(self, files: dict[str, bytes], *, ranges: bool = True) -> None:
        self.files = files
        for name, content in list(files.items()):
            self.files.setdefault(f"{name}.md5", stated_md5(name, content))
        self.troubles: dict[str, list[Trouble]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.ranges = ranges
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """The address of the folder."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/pubmed/updatefiles/"

    def __enter__(self) -> MirrorServer:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: MirrorServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep a client that has hung up out of the test's output."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Write nothing; what was asked stands in ``MirrorServer.asked``."""

    def do_GET(self) -> None:
        owner = self.server.owner
        name = self.path.removeprefix("/pubmed/updatefiles/")
        asked = self.headers.get("Range")
        owner.asked.append((name, asked))
        self.close_connection = True
        content = owner.files.get(name)
        if not name:
            content = "".join(f'<a href="{one}">{one}</a> 2026-01-01 20M\n' for one in ["../", *owner.files]).encode()
        if content is None:
            self._send(404, b"")
            return
        trouble = owner.troubles.get(name) and owner.troubles[name].pop(0)
        if trouble is Trouble.BUSY:
            self._send(503, b"", retry_after="0")
        elif trouble is Trouble.ERROR:
            self._send(500, b"")
        else:
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and owner.ranges else 0
            if start >= len(content) > 0 and start:
                self._send(416, b"")
                return
            if trouble is Trouble.CORRUPT:
                content = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
            body = content[start:]
            self._send(206 if start else 200, body, cut=trouble is Trouble.BROKEN)

    def _send(self, status: int, body: bytes, *, cut: bool = False, retry_after: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
