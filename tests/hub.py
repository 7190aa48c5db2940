"""A stand-in for the Hugging Face hub, on loopback: the few requests that fetching a model takes."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_INFO = re.compile(r"/api/models/(?P<repository>[^/]+/[^/]+)(/revision/(?P<revision>.+))?")
_TREE = re.compile(r"/api/models/(?P<repository>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)")
_FILE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")


@dataclass
class Hub:
    """What the stand-in holds: a folder for each repository and revision, and which files were asked for."""

    address: str = ""
    models: dict[str, dict[str, Path]] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def add(self, repository: str, folder: Path, revision: str = "main") -> str:
        """Put a folder's files under a revision and return its commit."""
        digest = hashlib.sha1("".join(sorted(map(str, folder.iterdir()))).encode()).hexdigest()
        self.models.setdefault(repository, {}).update({revision: folder, digest: folder})
        return digest

    def environment(self, home: Path) -> Mapping[str, str]:
        return {"HF_ENDPOINT": self.address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1", "no_proxy": "127.0.0.1"}  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        at = _FILE.fullmatch(path) or _TREE.fullmatch(path) or _INFO.fullmatch(path)
        revisions = self.hub.models.get(at["repository"]) if at else None
        if at is None or revisions is None:
            self._answer(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
            return
        folder = revisions.get(at["revision"] or "main")
        if folder is None:
            self._answer(404, b'{"error": "Revision not found"}', {"X-Error-Code": "RevisionNotFound"})
            return
        commit = next(name for name, one in revisions.items() if one == folder and len(name) == 40)
        if at.re is _FILE:
            self._file(folder / at["name"], commit)
        elif at.re is _TREE:
            files = [
                {"type": "file", "path": one.name, "size": one.stat().st_size, "oid": "0" * 40}
                for one in folder.iterdir()
            ]
            self._answer(200, json.dumps(files).encode(), {})
        else:
            siblings = [{"rfilename": one.name} for one in sorted(folder.iterdir())]
            self._answer(200, json.dumps({"id": at["repository"], "sha": commit, "siblings": siblings}).encode(), {})

    def _file(self, path: Path, commit: str) -> None:
        if not path.is_file():
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        if self.command == "GET":
            self.hub.fetched.append(path.name)
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self._answer(200, content, {"ETag": etag, "X-Repo-Commit": commit, "Accept-Ranges": "bytes"})

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Serve an empty hub."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
