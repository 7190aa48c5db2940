"""PubMed's numbered files end in the same database in whatever order, and however often, they are read."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from ingest.sentences import RuleSplitter
from pipeline.stages.ingest_stage import ingest_file
from storage.citations import delete_citations, save_citations
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.runs import open_run
from tests.builders import article_xml, citation, write_articles

FILES = 4
STATE = (
    "SELECT pmid, version, text, journal, revised_on, retracted, content_hash, record_hash, bulk_position, from_bulk "
    "FROM comention.citation ORDER BY pmid",
    "SELECT * FROM comention.section ORDER BY pmid, ordinal",
    "SELECT * FROM comention.sentence ORDER BY pmid, ordinal",
    "SELECT pmid, version, source_key, bulk_position FROM comention.deleted_citation ORDER BY pmid",
)
_numbers = count(1)


@dataclass(frozen=True)
class Revision:
    """A record as a file has it; two with the same words and day are the same record."""

    pmid: int
    words: str
    day: int
    version: int

    def xml(self) -> str:
        """The record; its words are two sentences."""
        written = article_xml(self.pmid, f"{self.words}. It ends.").replace("<Day>01", f"<Day>{self.day:02}")
        return written.replace('PMID Version="1"', f'PMID Version="{self.version}"')


@dataclass(frozen=True)
class Deletion:
    """A DeleteCitation of one PMID."""

    pmid: int
    version: int

    def xml(self) -> str:
        """The element."""
        return f'<DeleteCitation><PMID Version="{self.version}">{self.pmid}</PMID></DeleteCitation>'


PMIDS = st.integers(1, 3)
VERSIONS = st.sampled_from([1, 1, 1, 2])
EVENTS = st.one_of(
    st.builds(Revision, PMIDS, st.sampled_from(["Alpha", "Beta", "Gamma"]), st.integers(1, 3), VERSIONS),
    st.builds(Deletion, PMIDS, VERSIONS),
)


def state(database: Database) -> list[list[tuple[object, ...]]]:
    with database.transaction() as connection:
        return [[tuple(row) for row in connection.execute(text(query))] for query in STATE]


def replayed(postgres: EmbeddedPostgres, template: str, paths: list[Path]) -> list[list[tuple[object, ...]]]:
    """What a fresh database holds after the files were read in this order."""
    name = f"replay_{next(_numbers)}"
    database = Database(parse_url(postgres.create_database(name, template=template), connect_timeout=10))
    try:
        for path in paths:
            report = ingest_file(database, path, RuleSplitter(), kind="updates", again=True)
            assert report.usable, report
        return state(database)
    finally:
        database.close()
        postgres.drop_database(name)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.lists(EVENTS, max_size=5), min_size=2, max_size=FILES),
    order=st.permutations([*range(FILES), *range(FILES)]),
)
@example(  # a deletion, a return with an earlier date, and the record from before the deletion
    files=[[Revision(1, "Alpha", 3, 1)], [Deletion(1, 1)], [Revision(1, "Beta", 1, 1)]],
    order=[2, 0, 1, 3, 1, 0, 2, 3],
)
@example(  # a record that went back to what it was
    files=[[Revision(1, "Alpha", 1, 1)], [Revision(1, "Beta", 1, 1)], [Revision(1, "Alpha", 1, 1)]],
    order=[0, 2, 1, 3, 1, 2, 0, 3],
)
def test_update_files_in_a_random_order_twice_end_as_in_order_once(
    postgres: EmbeddedPostgres, template: str, files: list[list[Revision | Deletion]], order: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            write_articles(Path(folder) / f"pubmed26n{1335 + number}.xml", (event.xml() for event in events))
            for number, events in enumerate(files)
        ]
        in_order = replayed(postgres, template, paths)
        shuffled = replayed(postgres, template, [paths[number] for number in order if number < len(paths)])
    assert shuffled == in_order
    last: dict[int, Revision | Deletion] = {}
    for event in (event for events in files for event in events):
        if event.pmid not in last or event.version >= last[event.pmid].version:
            last[event.pmid] = event
    expected = {
        pmid: f"A case.\n{event.words}. It ends." for pmid, event in last.items() if isinstance(event, Revision)
    }
    assert {row[0]: row[2] for row in in_order[0]} == expected


def test_the_year_of_the_baseline_goes_before_the_number(database: Database, tmp_path: Path) -> None:
    old, new = Revision(1, "Alpha", 2, 1), Revision(1, "Beta", 1, 1)
    for name, record in (("pubmed27n0001.xml", new), ("pubmed26n1400.xml", old)):
        ingest_file(database, write_articles(tmp_path / name, [record.xml()]), RuleSplitter())
    assert "Beta" in str(state(database)[0][0])


def test_what_was_fetched_stands_against_older_files_and_gives_way_to_newer_ones(database: Database) -> None:
    from dataclasses import replace

    def save(bulk_position: int, day: int, words: str) -> str:
        item = replace(citation(7, [words], revised_on=dt.date(2020, 1, day)), bulk_position=bulk_position)
        with open_run(database, kind="file", source="s", source_key="s") as run, database.transaction() as connection:
            save_citations(connection, run.run_id, [item])
        with database.transaction() as connection:
            return str(connection.execute(text("SELECT abstract FROM analysis.citation")).scalar_one())

    assert save(10, 1, "File ten.") == "File ten."
    assert save(0, 2, "Fetched.") == "Fetched."
    assert save(9, 3, "File nine.") == "Fetched."
    assert save(10, 1, "File ten.") == "Fetched."
    assert save(11, 1, "File eleven, an old revision.") == "Fetched."
    assert save(11, 2, "Never read: eleven was seen.") == "Fetched."
    assert save(12, 2, "File twelve.") == "File twelve."
    assert save(13, 1, "File thirteen, whatever its date.") == "File thirteen, whatever its date."


def test_a_deletion_of_a_numbered_file_spares_what_was_fetched_after_it_was_read(database: Database) -> None:
    from dataclasses import replace

    from comention.types import DeletedCitation

    first, later = citation(7), citation(7, ["Back again."], revised_on=dt.date(2021, 1, 1))
    with open_run(database, kind="file", source="s", source_key="s") as run, database.transaction() as connection:
        save_citations(connection, run.run_id, [replace(first, bulk_position=10)])
        for _ in range(2):
            delete_citations(connection, "a", [DeletedCitation(pmid=7)], bulk_positions=[20])
            counts = save_citations(connection, run.run_id, [later])
        assert counts.unchanged == 1
        assert save_citations(connection, run.run_id, [replace(first, bulk_position=10)]).withdrawn == 1
        delete_citations(connection, "b", [DeletedCitation(pmid=7)], bulk_positions=[21])
        assert connection.execute(text("SELECT count(*) FROM comention.citation")).scalar_one() == 0
