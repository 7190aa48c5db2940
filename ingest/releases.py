"""PubMed's numbered files: what their names say, and what their checksums do.

NLM gives out a baseline of numbered files once a year and update files on most days; the numbers go on from one to the other,
and the files are to be applied in their order (https://ftp.ncbi.nlm.nih.gov/pubmed/updatefiles/README.txt).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from comention.errors import SourceError

_NAME = re.compile(r"(?:pubmed|medline)([0-9]{2})n([0-9]{4})\.xml(?:\.gz)?")
_MD5 = re.compile(r"(?:^|[=\s])([0-9a-fA-F]{32})(?:\s|$)")
_CHUNK_BYTES = 1 << 20


def release_number(name: str) -> int:
    """The number of a file by its name, the year of its baseline first: 261335 of ``pubmed26n1335.xml.gz``; else 0."""
    found = _NAME.fullmatch(name)
    return int(found[1]) * 10_000 + int(found[2]) if found else 0


def find_gaps(names: Iterable[str]) -> list[str]:
    """The names that lack between the first and the last of each year."""
    known: dict[int, dict[int, str]] = {}
    for name in names:
        if number := release_number(name):
            known.setdefault(number // 10_000, {})[number] = name
    gaps = []
    for numbers in known.values():
        for number in range(min(numbers), max(numbers)):
            if number not in numbers:
                before = numbers[max(other for other in numbers if other < number)]
                year, digits = f"{number // 10_000:02}n", f"{number % 10_000:04}"
                gaps.append(re.sub(r"[0-9]{2}n[0-9]{4}", year + digits, before, count=1))
    return gaps


def parse_md5(text: str, source: str) -> str:
    """The checksum that a ``.md5`` file states, as ``MD5(NAME)= HEX`` or ``HEX  NAME``, in lower case.

    Raises:
        SourceError: it states none.
    """
    found = _MD5.search(text)
    if found is None:
        raise SourceError(f"{source} holds no MD5 checksum: fetch it again")
    return found[1].lower()


def require_md5(path: Path, expected: str) -> None:
    """Compare a file with its checksum.

    Raises:
        SourceError: they do not agree, or the file cannot be read.
    """
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    if digest.hexdigest() != expected:
        raise SourceError(
            f"{path} is corrupt: its MD5 checksum is {digest.hexdigest()} and its .md5 file says {expected}; "
            "fetch both again"
        )
