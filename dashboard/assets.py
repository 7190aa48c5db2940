"""What the pages load beside themselves: our own styles and scripts, and Plotly's from its Python package.

Everything is served by us. An address carries a digest of what it names, so that browsers keep it for a year and a new version
has a new address.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"
PLOTLY = "plotly.min.js"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_KEPT = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """A file as it is sent."""

    content: bytes
    media_type: str
    digest: str

    @cached_property
    def packed(self) -> bytes:
        """Packed when it is first asked for: a page that only names Plotly's script does not wait for that."""
        return gzip.compress(self.content, 6, mtime=0)


@lru_cache(maxsize=1)
def _paths() -> dict[str, Path]:
    """Return the files by their names in addresses."""
    found = {path.name: path for path in FOLDER.iterdir() if path.suffix in _TYPES}
    package = find_spec("plotly")  # finds it without running it: its import takes half a second
    if package is not None and package.origin is not None:
        found[PLOTLY] = Path(package.origin).parent / "package_data" / PLOTLY
    return found


@lru_cache(maxsize=64)
def _load(path: Path, _changed: float) -> Asset:
    content = path.read_bytes()
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    return Asset(content, _TYPES[path.suffix], digest)


def load_asset(name: str) -> Asset | None:
    """Return a file by its name, read anew where it has changed, or None where there is none."""
    path = _paths().get(name)
    return _load(path, path.stat().st_mtime) if path is not None and path.is_file() else None


def asset_address(name: str, root_path: str = "") -> str:
    """Return the address of a file, with its digest.

    Raises:
        KeyError: there is no such file.
    """
    asset = load_asset(name)
    if asset is None:
        raise KeyError(name)
    return f"{root_path}/static/{name}?v={asset.digest}"


@lru_cache(maxsize=1)
def plotly_style_ids() -> tuple[str, ...]:
    """Return the ids of the style elements that Plotly's script would make, and leaves alone where a page has them already.

    The page's policy forbids style elements that a script writes; what they say and the page needs is in our stylesheet.
    """
    asset = load_asset(PLOTLY)
    if asset is None:
        return ()
    found = re.findall(rb'getElementById\("([0-9a-f]{32,64})"\)', asset.content)
    return ("plotly.js-style-global", *sorted({one.decode() for one in found}))


def serve_asset(request: Request) -> Response:
    """Answer a request for a file; one that asks for another digest than ours gets what is there, and keeps it not."""
    asset = load_asset(str(request.path_params["name"]))
    if asset is None:
        return Response("there is no such file\n", status_code=404, media_type="text/plain")
    headers = {
        "Cache-Control": _KEPT if request.query_params.get("v") == asset.digest else "no-cache",
        "ETag": f'"{asset.digest}"',
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    packed = "gzip" in request.headers.get("accept-encoding", "")
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(asset.packed if packed else asset.content, media_type=asset.media_type, headers=headers)
