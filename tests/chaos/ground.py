"""What all rows share: a Postgres, the stand-in for NCBI with the corpus, and what an undisturbed run leaves of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.migrate import upgrade
from tests.chaos.content import Digest, digests
from tests.chaos.scale import Scale
from tests.chaos.site import KEY, Site
from tests.conftest import run_command
from tests.ncbi import Article, NcbiServer, make_articles

TEMPLATE = "template_chaos"


class Ground:
    """The servers of a run of the table; Postgres waits for its disk, as it does in earnest."""

    def __init__(self, folder: Path, scale: Scale) -> None:
        self.folder = folder
        self.scale = scale
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self.articles = make_articles(scale.citations)
        self._opened = ExitStack()
        self._expected: dict[str, Digest] | None = None

    def __enter__(self) -> Ground:
        """Start the servers and make an empty database that others are copies of."""
        self._opened.enter_context(self.postgres)
        self.ncbi = self.serve(self.articles)
        migrate(self.postgres.create_database(TEMPLATE))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop them."""
        self._opened.close()

    def serve(self, articles: Sequence[Article]) -> NcbiServer:
        """Start a stand-in for NCBI that keeps NCBI's limit."""
        return self._opened.enter_context(NcbiServer(articles, valid_keys=[KEY]))

    def new_database(self, name: str) -> str:
        """Make an empty database and return its address."""
        return self.postgres.create_database(name, template=TEMPLATE)

    def site(self, name: str, *, ncbi: NcbiServer | None = None, address: str | None = None, **settings: str) -> Site:
        """Return a place for a row; its processes come later."""
        address = address or self.new_database(name)
        return Site(self.folder / name, address, ncbi or self.ncbi, self.scale, **settings)

    def expected(self) -> dict[str, Digest]:
        """What `comention run` leaves of the corpus, in one process that nobody disturbs."""
        if self._expected is None:
            self._expected = self.run_inline("undisturbed", self.ncbi)
        return self._expected

    def run_inline(self, name: str, ncbi: NcbiServer, *, without: int = 0) -> dict[str, Digest]:
        """Run ``comention run`` on a corpus, in a database of its own, and return what it leaves."""
        address = self.new_database(name)
        outcome = run_command("run", "--query", "patient", timeout=600, **inline_settings(address, ncbi))
        assert outcome.status == 0, outcome.stderr
        database = Database(parse_url(address, connect_timeout=10))
        found = digests(database, without=without)
        database.close()
        self.postgres.drop_database(name)
        assert found["citations"].rows == len(ncbi.articles) - bool(without)
        return found

    def kill_postgres(self) -> None:
        """Kill the server's first process with -9; its supervisor starts it again."""
        pid = int((self.folder / "postgres" / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)


def inline_settings(address: str, ncbi: NcbiServer) -> dict[str, str]:
    """The settings of a run in one process."""
    return {
        "COMENTION_DATABASE__URL": address,
        "COMENTION_NCBI__BASE_URL": ncbi.base_url,
        "COMENTION_NCBI__EMAIL": "someone@example.org",
        "COMENTION_NCBI__API_KEY": KEY,
    }


def migrate(address: str) -> None:
    """Bring an empty database to the schema."""
    database = Database(parse_url(address, connect_timeout=10))
    upgrade(database)
    database.close()
