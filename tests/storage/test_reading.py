"""The pool that reads: as an analyst, nothing but reading, from one moment, and not for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from comention.errors import DatabaseError, RetryableDatabaseError, StatementTimeoutError
from storage.database import Database, parse_url
from storage.partners import find_concepts
from storage.reading import Reader
from tests.builders import citation
from tests.dashboard.made import annotate_words, store


@pytest.fixture
def reader(database_address: str) -> Iterator[Reader]:
    opened = Reader(parse_url(database_address, connect_timeout=10), statement_timeout=0.5, connections=2)
    yield opened
    opened.close()


def test_it_reads_as_an_analyst(reader: Reader) -> None:
    with reader.snapshot() as snapshot:
        assert snapshot.value("SELECT current_user") == "analyst"
        assert snapshot.value("SHOW transaction_isolation") == "repeatable read"
    with pytest.raises(DatabaseError, match="does not allow"), reader.snapshot() as snapshot:
        snapshot.value("SELECT count(*) FROM comention.citation")


@pytest.mark.parametrize(
    "statement",
    ["CREATE TEMP TABLE t (x int) RETURNING 1", "DELETE FROM comention.name RETURNING id", "SELECT lo_create(0)"],
)
def test_it_writes_nothing(reader: Reader, statement: str) -> None:
    with pytest.raises(DatabaseError), reader.snapshot() as snapshot:
        snapshot.value(statement)


def test_a_statement_that_takes_too_long_is_stopped_and_the_next_is_answered(reader: Reader) -> None:
    with pytest.raises(StatementTimeoutError), reader.snapshot() as snapshot:
        snapshot.value("SELECT pg_sleep(20)")
    with reader.snapshot() as snapshot:
        assert snapshot.value("SELECT 1") == 1


def test_a_server_that_closed_its_connections_is_asked_over_new_ones(reader: Reader, database: Database) -> None:
    with reader.snapshot() as one, reader.snapshot() as other:
        before = {one.value("SELECT pg_backend_pid()"), other.value("SELECT pg_backend_pid()")}
    _end(database, before)
    assert reader.state()
    with reader.snapshot() as one, reader.snapshot() as other:
        after = {one.value("SELECT pg_backend_pid()"), other.value("SELECT pg_backend_pid()")}
    assert len(before | after) == 4


def test_a_connection_that_is_lost_in_the_middle_is_not_used_again(reader: Reader, database: Database) -> None:
    def lose() -> None:
        with reader.snapshot() as snapshot:
            _end(database, {snapshot.value("SELECT pg_backend_pid()")})
            snapshot.value("SELECT 1")

    for _ in range(3):
        with pytest.raises(RetryableDatabaseError, match="cannot be reached"):
            lose()
    with reader.snapshot() as snapshot:
        assert snapshot.value("SELECT 1") == 1


def _end(database: Database, sessions: set[int]) -> None:
    """End sessions, and wait until they have ended."""
    with database.transaction() as connection:
        for one in sessions:
            connection.execute(text("SELECT pg_terminate_backend(:one, 10000)"), {"one": one})


def test_a_plan_that_was_kept_does_not_outlive_a_change_of_the_schema(reader: Reader, database: Database) -> None:
    def ask() -> object:
        with reader.snapshot() as snapshot:
            return snapshot.value("SELECT x FROM analysis.changing")

    def make(value: str) -> None:
        with database.transaction() as connection:
            connection.execute(text("DROP VIEW IF EXISTS analysis.changing"))
            connection.execute(text(f"CREATE VIEW analysis.changing AS SELECT {value} AS x"))
            connection.execute(text("GRANT SELECT ON analysis.changing TO analyst"))

    make("1")
    assert [ask() for _ in range(5)] == [1] * 5
    make("2")
    assert ask() == 2
    make("'three'::text")
    with pytest.raises(DatabaseError, match="cached plan"):
        ask()
    assert ask() == "three"


def test_values_stand_where_their_names_do_and_nowhere_else(reader: Reader) -> None:
    with reader.snapshot() as snapshot:
        assert snapshot.rows("SELECT '100 %' || CAST(:one AS text) AS a, :one::text AS b, '%(one)s' AS c", one="x") == [
            {"a": "100 %x", "b": "x", "c": "%(one)s"}
        ]
        assert snapshot.rows("SELECT 1 AS a WHERE false") == []
        with pytest.raises(LookupError, match="no row"):
            snapshot.value("SELECT 1 WHERE false")


def test_all_of_a_snapshot_is_of_one_moment(reader: Reader, database: Database) -> None:
    with reader.snapshot() as snapshot:
        assert snapshot.value("SELECT count(*) FROM analysis.citation") == 0
        store(database, [citation(1)])
        assert snapshot.value("SELECT count(*) FROM analysis.citation") == 0
    with reader.snapshot() as snapshot:
        assert snapshot.value("SELECT count(*) FROM analysis.citation") == 1


def test_an_annotator_is_looked_at_for_one_snapshot(reader: Reader, database: Database) -> None:
    store(database, [citation(1)])
    annotate_words(database, {"Drug": ["clozapine"], "Condition": ["agranulocytosis"]})
    annotate_words(database, {"Drug": ["clozapine"], "Condition": []}, name="other")
    ask = "SELECT count(*) FROM analysis.cooccurrence"
    with database.transaction() as connection:
        other = connection.execute(text("SELECT annotator_id FROM analysis.annotator WHERE NOT promoted")).scalar_one()
    with reader.snapshot(annotator_id=other) as snapshot:
        assert snapshot.value(ask) == 0
        assert find_concepts(snapshot, "Drug", ["Clozapine"])["Clozapine"].citation_count == 1
    with reader.snapshot() as snapshot:
        assert snapshot.value(ask) == 1
    with reader.snapshot(annotator_id=32_000) as snapshot:
        assert snapshot.rows("SELECT * FROM analysis.top_conditions('clozapine')") == []


def test_concepts_are_found_in_any_spelling_with_the_counts_of_the_views(reader: Reader, database: Database) -> None:
    from storage.linking import Link, link_names

    store(database, [citation(1), citation(2, ["Leponex caused agranulocytosis.", "Leponex was stopped."])])
    annotate_words(database, {"Drug": ["clozapine", "leponex"], "Condition": ["agranulocytosis"]})
    names = [
        Link(name="clozapine", curie="mesh:D003024", preferred_name="Clozapine"),
        Link(name="leponex", curie="mesh:D003024"),
    ]
    link_names(database, "Drug", names)
    with reader.snapshot() as snapshot:
        found = find_concepts(snapshot, "Drug", ["LEPONEX", "mesh:D003024", "agranulocytosis", "nothing"])
        [row] = snapshot.rows(
            "SELECT concept, preferred_name, names, sentence_count, citation_count FROM analysis.drug"
        )
        conditions = find_concepts(snapshot, "Condition", ["Agranulocytosis"])
    assert set(found) == {"LEPONEX", "mesh:D003024"}
    one = found["LEPONEX"]
    assert (one.concept, one.preferred_name, list(one.names), one.sentence_count, one.citation_count) == tuple(
        row.values()
    )
    assert (one.sentence_count, one.citation_count) == (3, 2)
    assert conditions["Agranulocytosis"].citation_count == 2


def test_a_role_that_is_not_there_is_said_in_a_sentence(database_address: str, database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("CREATE ROLE loner LOGIN"))
    try:
        alone = Reader(
            parse_url(database_address, connect_timeout=10).set(username="loner"), statement_timeout=5, connections=1
        )
        with pytest.raises(DatabaseError, match='reads as the role "analyst"'), alone.snapshot():
            pass
        alone.close()
    finally:
        with database.transaction() as connection:
            connection.execute(text("DROP ROLE loner"))
