"""The counts are what a recount gives, after any sequence of changes."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from comention.types import DeletedCitation
from storage.annotations import AnnotatedCitation, list_pending, save_annotations
from storage.annotators import promote_annotator, register_annotator
from storage.citations import delete_citations, save_citations
from storage.cooccurrence import Drift, find_drift, fold_counts
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.linking import Link, link_names
from storage.names import NameTable
from storage.precedence import ReadCitation
from storage.removal import remove_citations
from storage.runs import open_run
from tests.builders import citation
from tests.plugins.lexicon_annotator import CONDITIONS, DRUGS, POISON, LexiconAnnotator

SENTENCES = st.sampled_from(
    [
        "Clozapine caused agranulocytosis.",
        "Clozapine and lithium caused tremor and rash.",
        "Lithium was given.",
        "Tremor after clozapine, tremor after CLOZAPINE.",
        "Nothing of note.",
        f"This is {POISON}, so its citation is tried again.",
    ]
)
PMIDS = st.integers(1, 4)
CITATIONS = st.tuples(
    PMIDS, st.lists(SENTENCES, max_size=3), st.integers(1, 28), st.sampled_from([None, 1999, 2020]), st.booleans()
)


def made(pmid: int, sentences: list[str], day: int, year: int | None, retracted: bool) -> ReadCitation:
    return citation(pmid, sentences, revised_on=dt.date(2020, 1, day), year=year, retracted=retracted)


STEPS = st.one_of(
    st.tuples(st.just("store"), st.lists(CITATIONS, min_size=1, max_size=4)),
    st.tuples(st.just("delete"), st.lists(PMIDS, min_size=1, max_size=2)),
    st.tuples(st.just("annotate"), st.integers(0, 1)),
    st.tuples(st.just("annotate"), st.integers(0, 1)),
    st.tuples(st.just("fold"), st.none()),
    st.tuples(st.just("promote"), st.integers(0, 1)),
    st.tuples(st.just("remove"), PMIDS),
    st.tuples(st.just("amend"), st.tuples(PMIDS, st.booleans(), st.sampled_from([None, 1999, 2020]))),
    st.tuples(st.just("link"), st.tuples(st.sampled_from(["Drug", "Condition"]), st.integers(0, 3), st.integers(1, 2))),
)
ROUNDS = st.lists(
    st.tuples(st.lists(STEPS, min_size=1, max_size=4), st.lists(STEPS, min_size=1, max_size=4)), min_size=1, max_size=3
)
NAMES = {
    "Drug": ["clozapine", "lithium", "aspirin", "Lithiums"],
    "Condition": ["tremor", "rash", "agranulocytosis", "rashes"],
}
_numbers = count(1)


@contextmanager
def fresh_database(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    name = f"counts_{next(_numbers)}"
    database = Database(parse_url(postgres.create_database(name, template=template), connect_timeout=10))
    try:
        yield database
    finally:
        database.close()
        postgres.drop_database(name)


class History:
    """The database, and beside it what a plain recount in Python says."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.annotators = [LexiconAnnotator(), LexiconAnnotator(name="other")]
        self.numbers = [register_annotator(database, annotator.info) for annotator in self.annotators]
        self.last: dict[int, tuple[list[str], int]] = {}
        self.moments: list[tuple[dt.datetime, int, dict[tuple[str, str], tuple[int, int]]]] = []

    def store(self, items: list[tuple[int, list[str], int, int | None, bool]]) -> None:
        self.save([made(*item) for item in items])
        self.last |= {item[0]: (item[1], item[2]) for item in items}

    def amend(self, wanted: tuple[int, bool, int | None]) -> None:
        """Store a citation again with its text, retracted or not, of another year or not."""
        pmid, retracted, year = wanted
        if pmid in self.last:
            self.save([made(pmid, *self.last[pmid], year, retracted)])

    def save(self, items: list[ReadCitation]) -> None:
        with (
            open_run(self.database, kind="file", source="t", source_key="t") as run,
            self.database.transaction() as connection,
        ):
            save_citations(connection, run.run_id, items)

    def delete(self, pmids: list[int]) -> None:
        with (
            open_run(self.database, kind="file", source="t", source_key="t") as run,
            self.database.transaction() as connection,
        ):
            delete_citations(connection, run.source_key, [DeletedCitation(pmid=pmid) for pmid in pmids])

    def annotate(self, which: int) -> None:
        annotator, number, names = self.annotators[which], self.numbers[which], NameTable(self.database)
        while pending := list_pending(self.database, number, limit=500):
            done = [AnnotatedCitation(pending=p, results=tuple(annotator.annotate(p.sentences))) for p in pending]
            save_annotations(self.database, number, names, done)

    def fold(self, _: None) -> None:
        fold_counts(self.database)

    def promote(self, which: int) -> None:
        promote_annotator(self.database, self.numbers[which])

    def remove(self, pmid: int) -> None:
        remove_citations(self.database, first_pmid=pmid, last_pmid=pmid, source_keys=[])

    def link(self, wanted: tuple[str, int, int]) -> None:
        label, which, concept = wanted
        link_names(self.database, label, [Link(name=NAMES[label][which], curie=f"test:{concept}")])

    def check(self) -> None:
        assert find_drift(self.database) == []
        shown = self.shown()
        assert shown == self.recounted()
        for at, annotator_id, then in self.moments:
            assert self.shown_at(at) == then
            if annotator_id == self.promoted():
                assert self.changed_since(at, then) == {pair: counts[:2] for pair, counts in shown.items()}
        with self.database.transaction() as connection:
            moment = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        self.moments = [
            *self.moments[-3:],
            (moment, self.promoted(), {pair: counts[:2] for pair, counts in shown.items()}),
        ]

    def promoted(self) -> int:
        with self.database.transaction() as connection:
            return int(connection.execute(text("SELECT analysis.promoted_annotator()")).scalar_one())

    def shown_at(self, at: dt.datetime) -> dict[tuple[str, str], tuple[int, int]]:
        with self.database.transaction() as connection:
            rows = connection.execute(text("SELECT * FROM analysis.cooccurrence_asof(:at)"), {"at": at})
            return {(row.drug, row.condition): (row.sentence_count, row.citation_count) for row in rows}

    def changed_since(
        self, at: dt.datetime, then: dict[tuple[str, str], tuple[int, int]]
    ) -> dict[tuple[str, str], tuple[int, int]]:
        """What was counted then, and what is said to have changed since: a pair of all that there are."""
        with self.database.transaction() as connection:
            rows = connection.execute(
                text(
                    "SELECT d.key AS drug, c.key AS condition, sum(x.sentence_delta) AS s, sum(x.citation_delta) AS c "
                    "FROM comention.concept d JOIN comention.label l ON l.id = d.label_id AND l.name = 'Drug' "
                    "CROSS JOIN comention.concept c JOIN comention.label k ON k.id = c.label_id AND k.name = 'Condition' "
                    "CROSS JOIN LATERAL comention.changes_of_pair(d.id, c.id, :at) x "
                    "GROUP BY d.key, c.key"
                ),
                {"at": at},
            )
            now = dict(then)
            for row in rows:
                before = now.get((row.drug, row.condition), (0, 0))
                now[row.drug, row.condition] = (before[0] + row.s, before[1] + row.c)
        return {pair: counts for pair, counts in now.items() if counts != (0, 0)}

    def shown(self) -> dict[tuple[str, str], tuple[int, int, int | None, int | None]]:
        with self.database.transaction() as connection:
            rows = connection.execute(
                text(
                    "SELECT drug, condition, sentence_count, citation_count, first_year, last_year "
                    "FROM analysis.cooccurrence"
                )
            )
            return {(row[0], row[1]): (row[2], row[3], row[4], row[5]) for row in rows}

    def recounted(self) -> dict[tuple[str, str], tuple[int, int, int | None, int | None]]:
        """Count in Python from sentences and mentions alone, without any of the project's SQL for counts."""
        with self.database.transaction() as connection:
            rows = connection.execute(
                text(
                    "SELECT m.pmid, m.sentence_id, m.label, m.concept, c.year FROM analysis.mention m "
                    "JOIN analysis.citation c USING (pmid) WHERE NOT c.retracted"
                )
            ).all()
        by_sentence: dict[tuple[int, int, int | None], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for pmid, sentence_id, label, concept, year in rows:
            by_sentence[pmid, sentence_id, year][label].add(concept)
        sentences: Counter[tuple[str, str]] = Counter()
        pmids: dict[tuple[str, str], set[int]] = defaultdict(set)
        years: dict[tuple[str, str], set[int]] = defaultdict(set)
        for (pmid, _, year), found in by_sentence.items():
            for drug in found["Drug"]:
                for condition in found["Condition"]:
                    sentences[drug, condition] += 1
                    pmids[drug, condition].add(pmid)
                    if year is not None:
                        years[drug, condition].add(year)
        return {
            pair: (
                sentences[pair],
                len(pmids[pair]),
                min(years[pair], default=None),
                max(years[pair], default=None),
            )
            for pair in sentences
        }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=1, max_size=12))
def test_counts_agree_with_a_recount_after_every_step(
    postgres: EmbeddedPostgres, template: str, steps: list[tuple[str, object]]
) -> None:
    with fresh_database(postgres, template) as database:
        history = History(database)
        for name, argument in steps:
            getattr(history, name)(argument)
            history.check()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=ROUNDS)
def test_counts_agree_with_a_recount_while_two_write_at_once(
    postgres: EmbeddedPostgres, template: str, rounds: list[tuple[list[tuple[str, object]], list[tuple[str, object]]]]
) -> None:
    def write(history: History, steps: list[tuple[str, object]], together: threading.Barrier) -> None:
        together.wait(timeout=60)
        for name, argument in steps:
            getattr(history, name)(argument)

    with fresh_database(postgres, template) as database, ThreadPoolExecutor(2) as pool:
        history = History(database)
        for round_ in rounds:
            together = threading.Barrier(2)
            for writer in [pool.submit(write, history, steps, together) for steps in round_]:
                writer.result()
            history.check()


def test_a_retraction_takes_its_counts_out_and_its_lifting_brings_them_back(database: Database) -> None:
    history = History(database)
    history.save([citation(1)])
    history.annotate(0)
    assert history.shown() == {("clozapine", "agranulocytosis"): (1, 1, 2020, 2020)}
    history.save([citation(1, retracted=True, revised_on=dt.date(2021, 1, 1))])
    assert history.shown() == {}
    history.save([citation(1, revised_on=dt.date(2022, 1, 1))])
    assert history.shown() == {("clozapine", "agranulocytosis"): (1, 1, 2020, 2020)}
    history.check()


def test_folding_changes_no_sum_and_leaves_no_delta(database: Database) -> None:
    history = History(database)
    history.save([citation(1), citation(2)])
    history.annotate(0)
    before = history.shown()
    assert fold_counts(database) > 0
    assert history.shown() == before
    assert fold_counts(database) == 0
    history.delete([1, 2])
    fold_counts(database)
    with database.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM comention.cooccurrence_total")).scalar_one() == 0


def test_of_several_who_fold_one_does(database: Database) -> None:
    history = History(database)
    history.save([citation(1), citation(2)])
    history.annotate(0)
    assert fold_counts(database, after=60) > 0
    history.delete([1])
    assert fold_counts(database, after=60) == 0
    with database.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM comention.cooccurrence_delta")).scalar_one() > 0
        # The clock is put back by a day: what was done last lies ahead.
        connection.execute(text("SELECT setval('comention.folded_at', last_value + 86400000) FROM comention.folded_at"))
    assert fold_counts(database, after=60) > 0
    history.check()


def test_a_year_that_empties_is_the_first_or_the_last_no_more(database: Database) -> None:
    history = History(database)
    history.save([citation(1, year=1999), citation(2, year=2010), citation(3, year=2020)])
    history.annotate(0)
    pair = ("clozapine", "agranulocytosis")
    revised = dt.date(2021, 1, 1)
    for folding in (False, True):
        for year, others in ((2015, [2, 3]), (2015, [2]), (None, [2]), (1999, [2, 3])):
            revised += dt.timedelta(days=1)  # or it would be no newer than what is stored, and left out
            fold_counts(database)
            history.save([citation(1, year=year, revised_on=revised)])
            history.delete([3])
            if 3 in others:
                history.save([citation(3, year=2020, version=revised.day, revised_on=revised)])
            history.annotate(0)
            if folding:
                fold_counts(database)
            history.check()
            with database.transaction() as connection:
                found = connection.execute(
                    text("SELECT first_year, last_year FROM analysis.pair(:d, :c)"), dict(zip("dc", pair, strict=True))
                )
                assert tuple(found.one()) == history.shown()[pair][2:]


@pytest.mark.parametrize(
    "years", [(2010, 1999, 2020), (2010, 2020, 1999), (None, 2010, 1999), (2010, 2010, None, 2010)]
)
def test_years_are_folded_in_whatever_order_they_come(database: Database, years: tuple[int | None, ...]) -> None:
    history = History(database)
    for pmid, year in enumerate(years, start=1):
        history.save([citation(pmid, year=year)])
        history.annotate(0)
        assert fold_counts(database) > 0
        history.check()


def test_the_counts_of_thousands_of_citations_are_recounted_at_once(database: Database) -> None:
    """A join of mentions with mentions would take minutes here; the statement timeout makes that a failure."""
    history = History(database)
    crowded = " ".join([*DRUGS, *CONDITIONS]) + "."
    history.save([citation(pmid, [crowded, crowded]) for pmid in range(1, 1501)])
    history.annotate(0)
    with database.transaction() as connection:
        connection.execute(text("SET LOCAL statement_timeout = '20s'"))
        cells = connection.execute(
            text(
                "SELECT sum(sentence_count) FROM comention.contribution(array(SELECT pmid FROM comention.citation), NULL)"
            )
        ).scalar_one()
    pairs, margins, sentences = len(DRUGS) * len(CONDITIONS), len(DRUGS) + len(CONDITIONS), 3
    assert cells == 1500 * (2 * pairs + 2 * margins + sentences)


def test_drift_is_found_where_somebody_tampers_with_a_count(database: Database) -> None:
    history = History(database)
    history.save([citation(1), citation(2, year=2010)])
    history.annotate(0)
    fold_counts(database)
    cells = 4  # the pair, its two margins, the whole

    def drift_after(change: str) -> list[Drift]:
        with database.transaction() as connection:
            connection.execute(text("CREATE TABLE comention.kept AS TABLE comention.cooccurrence_total"))
            connection.execute(text(f"UPDATE comention.cooccurrence_total SET {change}"))
        found = find_drift(database)
        assert {cell.drug_id for cell in find_drift(database, sample=10)} == {cell.drug_id for cell in found} - {0}
        with database.transaction() as connection:
            connection.execute(text("DELETE FROM comention.cooccurrence_total"))
            connection.execute(text("INSERT INTO comention.cooccurrence_total TABLE comention.kept"))
            connection.execute(text("DROP TABLE comention.kept"))
        assert find_drift(database) == []
        return found

    found = drift_after("by_year[1][2] = by_year[1][2] + 1")
    assert len(found) == cells
    assert {cell.year for cell in found} <= {2010, 2020}
    for change in ("sentence_count = sentence_count + 1", "citation_count = citation_count + 1"):
        found = drift_after(change)
        assert len(found) == cells
        assert {cell.year for cell in found} == {None}
    assert len(drift_after("pair_count = pair_count + 1")) == cells - 1  # margins alone have pairs
    found = drift_after("last_year = last_year + 1")
    assert [cell.what for cell in found] == ["first and last year"] * cells
    # Of one year: the row itself is what is counted by year.
    history.delete([2])
    fold_counts(database)
    assert {cell.year for cell in drift_after("sentence_count = sentence_count + 1")} == {None, 2020}
    assert {cell.year for cell in drift_after("first_year = 2019, last_year = 2019")} == {2019, 2020}


def test_a_citation_that_is_tried_again_counts_once(database: Database) -> None:
    history = History(database)
    history.save([citation(1, ["Clozapine caused agranulocytosis.", f"This is {POISON}."])])
    history.annotate(0)
    assert history.shown() == {("clozapine", "agranulocytosis"): (1, 1, 2020, 2020)}
    history.check()


def test_linking_waits_for_whoever_counts_and_moves_what_they_counted(database: Database) -> None:
    history = History(database)
    history.save([citation(1)])
    number, names = history.numbers[0], NameTable(database)
    pending = list_pending(database, number)
    done = [AnnotatedCitation(pending=p, results=tuple(history.annotators[0].annotate(p.sentences))) for p in pending]
    names.intern({("Drug", "clozapine"), ("Condition", "agranulocytosis")})
    with ThreadPoolExecutor(2) as pool, database.transaction() as gate:
        # The writer is held between its counting and its commit.
        gate.execute(text("LOCK TABLE comention.cooccurrence_delta IN SHARE MODE"))
        writing = pool.submit(save_annotations, database, number, names, done)
        wait_for_waiting(database, "relation")
        linking = pool.submit(link_names, database, "Drug", [Link(name="clozapine", curie="test:1")])
        wait_for_waiting(database, "advisory")
        gate.rollback()
        writing.result(timeout=60)
        assert linking.result(timeout=60).linked == 1
    history.check()
    assert list(history.shown()) == [("test:1", "agranulocytosis")]


def wait_for_waiting(database: Database, kind: str) -> None:
    """Return when some process waits for a lock of a kind."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with database.transaction() as connection:
            query = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = :kind")
            if connection.execute(query, {"kind": kind}).scalar_one():
                return
    raise AssertionError(f"nobody waits for a lock of kind {kind}")


def test_years_that_a_cell_collects_at_every_folding_are_merged(database: Database) -> None:
    change = text(
        "INSERT INTO comention.cooccurrence_delta (annotator_id, drug_id, condition_id, first_year, last_year, "
        "sentence_count, citation_count, pair_count, by_year) "
        "VALUES (1, 7, 0, 1990, 2020, 3, 2, 1, ARRAY[[1990, 1, 1, 1], [2020, 2, 1, 0]])"
    )
    lengths = []
    for times in range(1, 121):
        with database.transaction() as connection:
            connection.execute(change)
        fold_counts(database)
        with database.transaction() as connection:
            cell = connection.execute(
                text("SELECT *, array_length(by_year, 1) AS years FROM comention.cooccurrence_total")
            ).one()
            by_year = connection.execute(
                text(
                    "SELECT year, sentence_count, citation_count, pair_count FROM comention.cooccurrence_cell ORDER BY 1"
                )
            ).all()
        assert (cell.sentence_count, cell.citation_count, cell.pair_count) == (3 * times, 2 * times, times)
        assert (cell.first_year, cell.last_year) == (1990, 2020)
        assert [tuple(row) for row in by_year] == [(1990, times, times, times), (2020, 2 * times, times, 0)]
        lengths.append(cell.years)
    assert max(lengths) <= 104
    assert min(lengths[60:]) <= 4
