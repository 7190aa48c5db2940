"""Citations lent to annotators: nobody has what another has, what is lost comes back, and who comes late changes nothing."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text

from comention.types import AnnotationStatus, SentenceAnnotation
from storage.annotations import MAX_ATTEMPTS, AnnotatedCitation, AnnotationCounts, list_pending, save_annotations
from storage.annotators import register_annotator
from storage.citations import save_citations
from storage.claims import (
    ClaimedCitations,
    Holder,
    begin_attempt,
    choose_annotator,
    claim_citations,
    count_backlog,
    count_free,
    find_chosen,
    release_citations,
    release_quietly,
    renew_citations,
)
from storage.cooccurrence import find_drift
from storage.database import Database, Sessions, parse_url
from storage.leases import clear_claims, end_overdue
from storage.names import NameTable
from storage.precedence import ReadCitation
from storage.quarantine import list_quarantined, retry_quarantined
from storage.runs import open_run
from tests.builders import citation
from tests.plugins.lexicon_annotator import LexiconAnnotator

AN_HOUR = 3600.0


def store(database: Database, *items: ReadCitation) -> None:
    key = uuid4().hex
    with open_run(database, kind="file", source="t", source_key=key) as run, database.transaction() as connection:
        save_citations(connection, run.run_id, items)


def holder(name: str = "a", lease_seconds: float = AN_HOUR) -> Holder:
    return Holder(name=f"comention {name}", lease_seconds=lease_seconds)


def annotated(claimed: ClaimedCitations) -> list[AnnotatedCitation]:
    annotator = LexiconAnnotator()
    return [
        AnnotatedCitation(pending=item, results=tuple(annotator.annotate(item.sentences))) for item in claimed.pending
    ]


def save(database: Database, claimed: ClaimedCitations, *, give_up: bool = False) -> AnnotationCounts:
    return save_annotations(
        database,
        claimed.annotator_id,
        NameTable(database),
        annotated(claimed),
        lease=claimed.lease,
        give_up=give_up,
    )


def claims(database: Database) -> dict[int, int]:
    """Attempts by PMID, of the claims that there are."""
    with database.transaction() as connection:
        rows = connection.execute(text("SELECT pmid, attempts FROM comention.annotation_claim ORDER BY pmid"))
        return {row.pmid: row.attempts for row in rows}


def let_run_out(database: Database, *pmids: int) -> None:
    with database.transaction() as connection:
        connection.execute(
            text(
                "UPDATE comention.annotation_claim SET leased_until = now() - interval '1 hour' "
                "WHERE CAST(:pmids AS integer[]) = '{}' OR pmid = ANY(:pmids)"
            ),
            {"pmids": list(pmids)},
        )


@pytest.fixture
def lexicon(database: Database) -> int:
    return register_annotator(database, LexiconAnnotator().info)


@pytest.fixture
def ten(database: Database, lexicon: int) -> int:
    """The annotator, with ten citations before it."""
    store(database, *(citation(pmid) for pmid in range(1, 11)))
    return lexicon


def claim(
    database: Database, annotator: int, who: Holder | None = None, limit: int = 4, **rest: object
) -> ClaimedCitations:
    claimed = claim_citations(database, annotator, who or holder(), limit=limit, **rest)  # type: ignore[arg-type]
    assert claimed is not None
    return claimed


def pmids(claimed: ClaimedCitations) -> list[int]:
    return [item.pmid for item in claimed.pending]


def test_two_claimers_never_have_the_same(database: Database, ten: int) -> None:
    first, second = claim(database, ten), claim(database, ten, holder("b"))
    assert (pmids(first), pmids(second)) == ([1, 2, 3, 4], [5, 6, 7, 8])
    assert pmids(claim(database, ten)) == [9, 10]
    assert claim_citations(database, ten, holder(), limit=4) is None
    assert (count_free(database, ten, at_most=100), count_backlog(database, ten, at_most=100)) == (0, 10)
    assert first.pending[0].sentences == ("A case.", "Clozapine caused agranulocytosis.")


def test_claimers_at_once_share_all_of_it(database: Database, lexicon: int) -> None:
    store(database, *(citation(pmid) for pmid in range(1, 401)))

    def work(number: int) -> list[int]:
        mine: list[int] = []
        while (claimed := claim_citations(database, lexicon, holder(str(number)), limit=7)) is not None:
            mine += pmids(claimed)
        return mine

    with ThreadPoolExecutor(6) as pool:
        shares = list(pool.map(work, range(6)))
    assert sorted(pmid for share in shares for pmid in share) == list(range(1, 401))


def test_a_claim_may_be_for_a_batch_or_after_a_pmid(database: Database, ten: int) -> None:
    assert pmids(claim(database, ten, among=[9, 2, 77])) == [2, 9]
    assert pmids(claim(database, ten, after_pmid=5, limit=2)) == [6, 7]
    assert claim_citations(database, ten, holder(), limit=4, among=[2, 77]) is None


def test_what_was_saved_is_no_longer_claimed_nor_owed(database: Database, ten: int) -> None:
    assert save(database, claim(database, ten)) == AnnotationCounts(done=4, sentences=8, mentions=8)
    assert claims(database) == {}
    assert [item.pmid for item in list_pending(database, ten)] == [5, 6, 7, 8, 9, 10]


def test_what_was_lost_comes_back_first_and_alone(database: Database, ten: int) -> None:
    claim(database, ten)
    let_run_out(database)
    again = claim(database, ten, holder("b"), limit=100)
    assert (pmids(again), again.are_suspects) == ([1, 2, 3, 4], True)
    assert set(again.attempts.values()) == {1}
    fresh = claim(database, ten, holder("b"), limit=100)
    assert (pmids(fresh), fresh.are_suspects) == ([5, 6, 7, 8, 9, 10], False)


def test_who_comes_late_writes_nothing(database: Database, ten: int) -> None:
    late = claim(database, ten)
    let_run_out(database, 1, 2)
    other = claim(database, ten, holder("b"))
    assert pmids(other) == [1, 2]
    assert save(database, late) == AnnotationCounts(done=2, skipped=2, sentences=4, mentions=4)
    assert not renew_citations(database, late, holder())
    assert claims(database) == {1: 1, 2: 1}
    assert save(database, other).done == 2
    assert save(database, late).skipped == save(database, other).skipped + 2 == 4
    assert find_drift(database) == []
    with database.transaction() as connection:
        assert connection.execute(text("SELECT citation_count FROM analysis.cooccurrence")).scalar_one() == 4


def test_a_lease_that_ran_out_and_nobody_took_still_counts(database: Database, ten: int) -> None:
    claimed = claim(database, ten)
    let_run_out(database)
    assert save(database, claimed).done == 4


def test_attempts_are_counted_before_they_are_made_and_cleared_for_who_survives(database: Database, ten: int) -> None:
    claim(database, ten)
    let_run_out(database)
    suspects = claim(database, ten)
    assert begin_attempt(database, suspects, holder(), pmid=1, survived=None)
    assert claims(database) == {1: 2, 2: 1, 3: 1, 4: 1}
    assert begin_attempt(database, suspects, holder(), pmid=2, survived=1)
    assert claims(database) == {1: 1, 2: 2, 3: 1, 4: 1}
    let_run_out(database)
    again = claim(database, ten)
    assert again.attempts == {1: 1, 2: 2, 3: 1, 4: 1}
    assert not begin_attempt(database, suspects, holder(), pmid=3, survived=2)
    assert claims(database) == {1: 1, 2: 2, 3: 1, 4: 1}


def test_what_is_given_back_was_not_tried(database: Database, ten: int) -> None:
    release_citations(database, claim(database, ten))
    assert claims(database) == {}
    claim(database, ten)
    let_run_out(database)
    suspects = claim(database, ten)
    begin_attempt(database, suspects, holder(), pmid=1, survived=None)
    release_citations(database, suspects)
    assert claim(database, ten, holder("b")).attempts == {1: 2, 2: 1, 3: 1, 4: 1}


def test_what_could_not_be_given_back_is_given_back_with_the_next_claim(database: Database, ten: int) -> None:
    who = holder()
    claimed = claim(database, ten, who)
    nowhere = Database(parse_url("postgresql://postgres@127.0.0.1:9/none", connect_timeout=1))
    release_quietly(nowhere, who, claimed)
    assert who.unreleased == [claimed]
    assert pmids(claim(database, ten, who)) == [1, 2, 3, 4]
    assert who.unreleased == []


def test_a_text_that_changed_is_claimed_anew_and_has_no_past(database: Database, ten: int) -> None:
    late = claim(database, ten, among=[1])
    changed = citation(1, ["Lithium caused tremor."], revised_on=dt.date(2021, 1, 1))
    store(database, changed)
    now = claim(database, ten, holder("b"), among=[1])
    assert (now.attempts, now.pending[0].sentences[1]) == ({1: 0}, "Lithium caused tremor.")
    assert save(database, late).skipped == 1
    assert save(database, now).done == 1


def test_claims_on_what_is_no_longer_owed_are_cleared(database: Database, ten: int) -> None:
    claimed = claim(database, ten)
    save_annotations(database, ten, NameTable(database), annotated(claimed)[:2])  # as one who asks for no claim
    with database.transaction() as connection:
        connection.execute(text("DELETE FROM comention.citation WHERE pmid = 4"))
    assert clear_claims(database) == 0
    let_run_out(database)
    assert clear_claims(database) == 3
    assert claims(database) == {3: 1}


def test_who_is_given_up_is_in_quarantine_with_its_reason_until_it_is_let_out(database: Database, ten: int) -> None:
    claimed = claim(database, ten, among=[3])
    why = SentenceAnnotation(status=AnnotationStatus.FAILED, detail="each of 3 processes ended")
    guilty = [AnnotatedCitation(pending=claimed.pending[0], results=(why,) * 2)]
    counts = save_annotations(database, ten, NameTable(database), guilty, lease=claimed.lease, give_up=True)
    assert counts.failed == 1
    assert claim_citations(database, ten, holder(), limit=4, among=[3]) is None
    [found] = list_quarantined(database)
    assert (found.stage, found.pmid, found.attempts) == ("annotate", 3, MAX_ATTEMPTS)
    assert found.reason == "2 of 2 sentences: each of 3 processes ended"
    assert retry_quarantined(database, pmids=[4]) == 0
    assert retry_quarantined(database, pmids=[3]) == 1
    assert list_quarantined(database) == []
    assert save(database, claim(database, ten, among=[3])).done == 1


def test_a_name_stands_for_the_annotator_that_it_was_loaded_as_last(database: Database, lexicon: int) -> None:
    assert find_chosen(database, "lexicon") is None
    choose_annotator(database, "lexicon", lexicon)
    other = register_annotator(database, LexiconAnnotator(version="2").info)
    choose_annotator(database, "lexicon", other)
    assert find_chosen(database, "lexicon") == other


@pytest.fixture
def stopped(database_address: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A session of a worker that was stopped in the middle of a transaction."""
    url = Sessions(name="comention stopped", idle_in_transaction_seconds=600).apply(
        parse_url(database_address, connect_timeout=10)
    )
    engine = Database(url).engine
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        yield driver
        connection.invalidate()
    engine.dispose()


def test_a_worker_that_was_stopped_in_a_transaction_holds_nobody_up(
    database: Database, ten: int, stopped: psycopg.Connection[tuple[object, ...]]
) -> None:
    claimed = claim(database, ten, holder("stopped"))
    assert end_overdue(database, grace_seconds=0) == 0
    let_run_out(database)
    stopped.execute("SELECT FROM comention.citation WHERE pmid = 1 FOR UPDATE")
    stopped.execute("DELETE FROM comention.annotation_claim WHERE pmid = 1")
    # What it holds is passed over; others get the rest at once.
    assert pmids(claim(database, ten, holder("b"))) == [2, 3, 4]
    assert end_overdue(database, grace_seconds=7200) == 0
    assert end_overdue(database, grace_seconds=0) == 1
    with pytest.raises(psycopg.OperationalError):
        stopped.execute("COMMIT")
    assert pmids(claim(database, ten, holder("b"))) == [1]
    assert save(database, claimed).skipped == 4


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_to_workers_each_citation_is_counted_once(database: Database, lexicon: int, seed: int) -> None:
    """Random claims, commits, losses, late commits, attempts and revisions by several workers."""
    chance = random.Random(seed)
    store(database, *(citation(pmid) for pmid in range(1, 31)))
    hands: list[ClaimedCitations] = []
    for step in range(60):
        match chance.randrange(7):
            case 0 | 1:
                claimed = claim_citations(
                    database, lexicon, holder(str(step)), limit=chance.randrange(1, 9), after_pmid=chance.randrange(20)
                )
                if claimed is not None:
                    hands.append(claimed)
            case 2 | 3 if hands:
                save(database, chance.choice(hands))  # perhaps for the second time, or too late
            case 4:
                let_run_out(database, *chance.sample(range(1, 31), 5))
            case 5 if hands:
                release_citations(database, chance.choice(hands))
            case 6:
                pmid = chance.randrange(1, 31)
                day = dt.date(2021, 1, 1) + dt.timedelta(days=step)
                store(database, citation(pmid, [f"Lithium caused tremor {step}."], revised_on=day))
    let_run_out(database)
    while (claimed := claim_citations(database, lexicon, holder("last"), limit=50)) is not None:
        save(database, claimed)
    assert claims(database) == {}
    assert find_drift(database) == []
    with database.transaction() as connection:
        ledger = connection.execute(
            text("SELECT count(*), sum(mention_count), bool_and(status = 'done') FROM comention.annotation")
        )
        assert tuple(ledger.one()) == (30, 60, True)
        assert connection.execute(text("SELECT sum(citation_count) FROM analysis.cooccurrence")).scalar_one() == 30
