"""A file of a mirror arrives whole, or not at all and with a reason."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from comention.errors import DiskFullError, FetchError, RetryableFetchError, SourceError
from ingest.mirror import ATTEMPTS, open_mirror
from ingest.releases import find_gaps, parse_md5, release_number
from tests.builders import article_xml
from tests.mirror import MirrorServer, Trouble, release, stated_md5, write_release

NAME = "pubmed26n1335.xml.gz"
CONTENT = release(article_xml(pmid, f"Text {pmid**9}.") for pmid in range(1, 200))


@pytest.fixture
def server() -> Iterator[MirrorServer]:
    with MirrorServer({NAME: CONTENT, "pubmed26n1334.xml.gz": release([]), "README.txt": b"read me"}) as serving:
        yield serving


def fetch(server: MirrorServer, folder: Path) -> bytes:
    return open_mirror(server.url, timeout=5, backoff=0.01).fetch(NAME, folder).read_bytes()


def test_the_names_are_those_of_numbered_files_in_their_order(server: MirrorServer) -> None:
    assert open_mirror(server.url, timeout=5).list_names() == ["pubmed26n1334.xml.gz", NAME]


def test_a_file_is_downloaded_and_its_checksum_compared(server: MirrorServer, tmp_path: Path) -> None:
    assert fetch(server, tmp_path / "new") == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == [NAME]


def test_a_broken_download_goes_on_where_it_stopped(server: MirrorServer, tmp_path: Path) -> None:
    server.troubles[NAME] = [Trouble.BROKEN, Trouble.BUSY, Trouble.ERROR]
    assert fetch(server, tmp_path) == CONTENT
    assert [asked for name, asked in server.asked if name == NAME] == [None, *[f"bytes={len(CONTENT) // 2}-"] * 3]


def test_a_download_that_was_killed_goes_on_where_it_stopped(server: MirrorServer, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:100])
    assert fetch(server, tmp_path) == CONTENT
    assert (NAME, "bytes=100-") in server.asked


def test_a_complete_download_is_not_fetched_again(server: MirrorServer, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    assert fetch(server, tmp_path) == CONTENT
    assert [name for name, _ in server.asked] == [f"{NAME}.md5"]


def test_a_complete_part_is_not_fetched_again(server: MirrorServer, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
    assert fetch(server, tmp_path) == CONTENT


def test_a_mirror_that_knows_no_ranges_begins_anew(server: MirrorServer, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / f"{NAME}.part").write_bytes(b"x" * (len(CONTENT) + 50))
    assert fetch(server, tmp_path) == CONTENT


def test_a_corrupt_download_is_fetched_once_more(server: MirrorServer, tmp_path: Path) -> None:
    server.troubles[NAME] = [Trouble.CORRUPT]
    assert fetch(server, tmp_path) == CONTENT


def test_a_file_that_is_corrupt_twice_is_refused_and_not_kept(server: MirrorServer, tmp_path: Path) -> None:
    server.troubles[NAME] = [Trouble.CORRUPT, Trouble.CORRUPT]
    with pytest.raises(SourceError, match="corrupt, twice"):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_checksum_is_refused(server: MirrorServer, tmp_path: Path) -> None:
    del server.files[f"{NAME}.md5"]
    with pytest.raises(SourceError, match=r"md5 does not exist"):
        fetch(server, tmp_path)


def test_a_mirror_that_keeps_failing_is_given_up_with_one_sentence(server: MirrorServer, tmp_path: Path) -> None:
    server.troubles[f"{NAME}.md5"] = [Trouble.ERROR] * ATTEMPTS
    with pytest.raises(RetryableFetchError, match="does not answer"):
        fetch(server, tmp_path)


def test_no_network_is_one_sentence() -> None:
    with pytest.raises(RetryableFetchError, match="check the network"):
        open_mirror("http://127.0.0.1:9/", timeout=1, backoff=0.001).list_names()


def test_an_address_that_lists_nothing_is_named() -> None:
    with MirrorServer({"README.txt": b"x"}) as server, pytest.raises(SourceError, match="lists no file like"):
        open_mirror(server.url, timeout=5).list_names()


def test_a_scheme_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SourceError, match="https://"):
        open_mirror("gopher://host/", timeout=1)


@pytest.mark.skipif(os.path.ismount("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_named(server: MirrorServer, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match="no room left"):
        fetch(server, tmp_path)


def test_a_folder_is_a_mirror_and_its_checksums_are_compared(tmp_path: Path) -> None:
    path = write_release(tmp_path, NAME, [article_xml(1)])
    mirror = open_mirror(str(tmp_path), timeout=1)
    assert mirror.list_names() == [NAME]
    assert mirror.fetch(NAME, tmp_path / "unused") == path
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(SourceError, match=r"pubmed26n1335\.xml\.gz is corrupt: its MD5 checksum"):
        mirror.fetch(NAME, tmp_path)
    (tmp_path / f"{NAME}.md5").write_text("nothing")
    with pytest.raises(SourceError, match="holds no MD5 checksum"):
        mirror.fetch(NAME, tmp_path)


@pytest.mark.parametrize(("name", "said"), [("none", "does not exist"), ("file", "is no folder")])
def test_a_folder_that_is_none_is_named(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SourceError, match=said):
        open_mirror(str(tmp_path / name), timeout=1).list_names()


def test_numbers_and_gaps() -> None:
    assert release_number("pubmed26n1335.xml.gz") == 261335
    assert release_number("pubmed26n1335.xml") == 261335
    assert release_number("pubmed26n1335.xml.gz.md5") == release_number("other.xml") == 0
    names = ["pubmed26n0003.xml.gz", "pubmed26n0006.xml.gz", "pubmed25n0001.xml.gz"]
    assert find_gaps(names) == ["pubmed26n0004.xml.gz", "pubmed26n0005.xml.gz"]


@pytest.mark.parametrize("form", ["MD5(x)= {}\n", "MD5 (x) = {}", "{}  x\n", "{}"])
def test_checksums_are_read_in_every_form(form: str) -> None:
    digest = "0123456789ABCDEF0123456789abcdef"
    assert parse_md5(form.format(digest), "x") == digest.lower()


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[str]:
    """A real FTP server over a folder with the file."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    folder = tmp_path / "served" / "pubmed"
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(CONTENT)
    (folder / f"{NAME}.md5").write_bytes(stated_md5(NAME, CONTENT))
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(str(folder.parent))

    class Handler(FTPHandler):  # type: ignore[misc]
        """The handler of this test."""

    Handler.authorizer = authorizer
    server = FTPServer(("127.0.0.1", 0), Handler)
    closing = threading.Event()

    def serve() -> None:
        while not closing.is_set():
            server.serve_forever(timeout=0.02, blocking=False)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"ftp://127.0.0.1:{server.socket.getsockname()[1]}/pubmed/"
    closing.set()
    thread.join()
    server.close_all()


@pytest.mark.filterwarnings("ignore:The async(ore|hat) module is deprecated:DeprecationWarning")
def test_ftp_lists_downloads_and_goes_on(ftp: str, tmp_path: Path) -> None:
    mirror = open_mirror(ftp, timeout=5, backoff=0.01)
    assert mirror.list_names() == [NAME]
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / f"{NAME}.part").write_bytes(CONTENT[:777])
    assert mirror.fetch(NAME, folder).read_bytes() == CONTENT
    with pytest.raises(SourceError, match="cannot be had"):
        mirror.fetch("pubmed26n9999.xml.gz", folder)
    with pytest.raises(FetchError, match="is refused"):
        open_mirror(ftp.replace("/pubmed/", "/none/"), timeout=5, backoff=0.01).list_names()
