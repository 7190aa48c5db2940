"""What tasks do, called as plain functions: jobs, batches, ticks, nights, sweeps, each as often as anybody likes."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from comention.errors import AnnotatorError
from comention.settings import AnnotateSettings, DatabaseSettings, NcbiSettings, Settings, WorkSettings
from comention.types import SentenceAnnotation
from ingest.pubmed import PubMed
from ingest.sentences import RuleSplitter
from pipeline.app import make_app
from pipeline.progress import Progress, listeners, report
from pipeline.workers import work
from pipeline.workers.annotate_claimed import Cursor, LockedAnnotator, annotate_claimed
from pipeline.workers.doorbell import Doorbell
from pipeline.workers.fetch_claimed import FetchedBatch, fetch_batch
from pipeline.workers.jobs import ExpandedJob, expand_job, hand_in_pmids, hand_in_query, keeping, run_due_ticks
from pipeline.workers.nightly import hand_in_night, nightly
from pipeline.workers.sweep import AT_MOST, Backlog, Sweeper
from pipeline.workers.workplace import Workplace
from storage.annotations import AnnotationCounts
from storage.annotators import register_annotator
from storage.claims import Holder, choose_annotator, claim_citations
from storage.database import Database
from storage.jobs import BACKFILL, INTERACTIVE, claim_job
from storage.quarantine import list_quarantined
from storage.subscriptions import Subscription, add_subscription, open_tick, pause_subscription
from tests.ncbi import Fault, Faults, NcbiServer, Unlimited, make_articles
from tests.plugins.lexicon_annotator import LexiconAnnotator

SPLITTER = RuleSplitter()
A = Holder(name="comention a", lease_seconds=3600)


@pytest.fixture
def ncbi() -> Iterator[NcbiServer]:
    with NcbiServer(make_articles(60), enforce_rate=False) as server:
        yield server


def pubmed(ncbi: NcbiServer) -> PubMed:
    return PubMed(ncbi.settings(attempts=1), Unlimited(), backoff=0.001)


def expand(database: Database, ncbi: NcbiServer, number: int) -> ExpandedJob | None:
    return expand_job(database, pubmed(ncbi), SPLITTER, A, number, batch_size=20)


def fetch(database: Database, ncbi: NcbiServer) -> FetchedBatch | None:
    return fetch_batch(database, pubmed(ncbi), SPLITTER, A)


def no_pause(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE comention.job SET retry_at = now()"))
        connection.execute(text("UPDATE comention.fetch_batch SET retry_at = now()"))


def one(database: Database, statement: str) -> tuple[object, ...]:
    with database.transaction() as connection:
        return tuple(connection.execute(text(statement)).one())


def store_all(database: Database, ncbi: NcbiServer) -> None:
    expand(database, ncbi, hand_in_query(database, "patient", priority=BACKFILL))
    while fetch(database, ncbi) is not None:
        pass


def test_a_query_is_divided_fetched_and_accounted_for(database: Database, ncbi: NcbiServer) -> None:
    ncbi.missing.update((7, 8))
    number = hand_in_query(database, "patient", since=dt.date(1990, 1, 1), priority=BACKFILL)
    done = expand(database, ncbi, number)
    assert done is not None
    assert done.batches == 3
    assert expand(database, ncbi, number) is None
    batches = [fetch(database, ncbi) for _ in range(4)]
    assert [batch and batch.report.counts.new for batch in batches] == [18, 20, 20, None]
    assert one(database, "SELECT status, found, batches_done, fetched, source FROM analysis.job") == (
        "done", 60, 3, 60, "patient (since 1990-01-01)",
    )  # fmt: skip
    assert one(database, "SELECT count(*), sum(requested), sum(new), sum(missing) FROM comention.ingest_run") == (
        3, 60, 58, 2,
    )  # fmt: skip


def test_pmids_are_fetched_as_a_job(database: Database, ncbi: NcbiServer) -> None:
    expand(database, ncbi, hand_in_pmids(database, [5, 3, 5, 999], priority=INTERACTIVE))
    done = fetch(database, ncbi)
    assert done is not None
    assert (done.batch.pmids, done.batch.source, done.report.counts.missing) == ((3, 5, 999), "3, 5, 999", 1)


def test_a_query_that_ncbi_does_not_understand_is_given_up_with_its_reason(
    database: Database, ncbi: NcbiServer
) -> None:
    number = hand_in_query(database, "rash[nosuch]", priority=INTERACTIVE)
    for _ in range(3):
        done = expand(database, ncbi, number)
        assert done is not None
        assert "nosuch" in str(done.failure)
        assert expand(database, ncbi, number) is None
        no_pause(database)
    [found] = list_quarantined(database)
    assert "nosuch" in found.reason


def test_an_ncbi_that_is_away_costs_a_pause_and_nothing_that_was_fetched(database: Database, ncbi: NcbiServer) -> None:
    expand(database, ncbi, hand_in_query(database, "patient", priority=BACKFILL))
    ncbi.faults = Faults(schedule=[None] * len(ncbi.requests) + [Fault.SERVER_ERROR])
    failed = fetch(database, ncbi)
    assert failed is not None
    assert failed.report.failure
    assert not failed.given_up
    while fetch(database, ncbi) is not None:
        pass
    assert one(database, "SELECT status FROM comention.job") == ("fetching",)
    no_pause(database)
    assert fetch(database, ncbi) is not None
    assert one(database, "SELECT status FROM comention.job") == ("done",)
    assert one(database, "SELECT count(*), bool_and(status = 'done') FROM comention.ingest_run") == (3, True)


def test_a_batch_whose_worker_was_lost_before_it_could_say_so_is_not_fetched_again(
    database: Database, ncbi: NcbiServer
) -> None:
    store_all(database, ncbi)
    with database.transaction() as connection:
        connection.execute(text("UPDATE comention.fetch_batch SET status = 'waiting', lease = NULL WHERE ordinal = 1"))
    asked = len(ncbi.requests)
    done = fetch(database, ncbi)
    assert done is not None
    assert done.report.already_read
    assert len(ncbi.requests) == asked
    assert one(database, "SELECT count(*) FROM comention.ingest_run") == (3,)


@pytest.fixture
def lithium(database: Database) -> Subscription:
    return add_subscription(database, name="lithium", query="lithium", every="1h", annotator="second")


def test_ticks_at_once_hand_in_each_tick_once_and_missed_ones_are_made_up_by_one(
    database: Database, ncbi: NcbiServer, lithium: Subscription
) -> None:
    late = lithium.created_at + dt.timedelta(hours=5, minutes=1)
    with ThreadPoolExecutor(4) as pool:
        handed_in = [number for some in pool.map(lambda _: run_due_ticks(database, late), range(4)) for number in some]
    assert len(handed_in) == 1
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: expand(database, ncbi, handed_in[0]), range(4)))
    [done] = [outcome for outcome in outcomes if outcome is not None]
    assert done.records > 0
    assert done.job.annotator == "second"
    assert one(database, "SELECT count(*), min(status) FROM comention.subscription_tick") == (1, "done")
    assert run_due_ticks(database, late) == []
    assert len(run_due_ticks(database, late + dt.timedelta(hours=1))) == 1
    pause_subscription(database, "lithium", paused=True)
    assert run_due_ticks(database, late + dt.timedelta(hours=9)) == []


def test_a_tick_that_fails_pauses_and_goes_on_under_the_same_job(
    database: Database, ncbi: NcbiServer, lithium: Subscription
) -> None:
    ncbi.faults = Faults(schedule=[Fault.SERVER_ERROR])
    now = lithium.created_at + dt.timedelta(minutes=1)
    [number] = run_due_ticks(database, now)
    failed = expand(database, ncbi, number)
    assert failed is not None
    assert failed.failure
    assert run_due_ticks(database, now) == []
    asked = len(ncbi.requests)
    assert expand(database, ncbi, number) is None
    assert len(ncbi.requests) == asked
    no_pause(database)
    done = expand(database, ncbi, number)
    assert done is not None
    assert done.failure is None
    assert one(database, "SELECT status FROM comention.subscription_tick") == ("done",)


def test_a_tick_that_a_later_one_has_overtaken_is_not_done(
    database: Database, ncbi: NcbiServer, lithium: Subscription
) -> None:
    [number] = run_due_ticks(database, lithium.created_at + dt.timedelta(minutes=1))
    with open_tick(database, lithium, lithium.created_at + dt.timedelta(hours=1)) as later:
        assert later is not None
        later.finish()
    assert expand(database, ncbi, number) is not None
    assert ncbi.requests == []
    assert one(database, "SELECT status, detail FROM comention.job") == (
        "done",
        "a later moment of the schedule has taken its place",
    )


def test_a_worker_that_is_to_stop_leaves_its_tick_to_another(
    database: Database, ncbi: NcbiServer, lithium: Subscription
) -> None:
    [number] = run_due_ticks(database, lithium.created_at + dt.timedelta(minutes=1))
    stopped = expand_job(database, pubmed(ncbi), SPLITTER, A, number, batch_size=20, stopping=lambda: True)
    assert stopped is not None
    assert "asked to stop" in str(stopped.failure)
    done = expand(database, ncbi, number)
    assert done is not None
    assert done.failure is None
    assert one(database, "SELECT attempts, failures FROM comention.job") == (1, 0)


def test_a_lease_is_kept_for_as_long_as_the_work_takes(database: Database) -> None:
    number = hand_in_query(database, "patient", priority=BACKFILL)
    job = claim_job(database, Holder(name="comention a", lease_seconds=0.3), number)
    assert job is not None
    with keeping(database, job.lease):
        seen = set()
        while len(seen) < 4:  # as many renewals as take longer than the lease
            seen.add(one(database, "SELECT leased_until FROM comention.job"))
            assert claim_job(database, A, number) is None


def test_a_claim_is_kept_for_as_long_as_its_batch_takes(database: Database, ncbi: NcbiServer) -> None:
    store_all(database, ncbi)
    holder = Holder(name="comention slow", lease_seconds=2)
    two_batches = sorted(ncbi.articles)[:32]
    seen: set[object] = set()
    taken: list[str] = []

    class Slow(LexiconAnnotator):
        def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
            # As many renewals as take longer than the lease, for what is annotated and for what waits for its turn.
            while len(seen) < 5 and not taken:
                seen.add(one(database, "SELECT min(leased_until) FROM comention.annotation_claim"))
                if claim_citations(database, number, A, limit=16, among=two_batches[:16]) is not None:
                    taken.append("while it was annotated")
            return super().annotate(sentences)

    annotator = Slow()
    number = register_annotator(database, annotator.info)
    counts, finished = annotate_claimed(database, annotator, number, holder, batch_citations=16, among=two_batches)
    assert not taken
    assert (counts.done, finished) == (32, True)
    assert one(database, "SELECT max(attempts), count(*) FROM comention.annotation") == (1, 32)


def test_a_night_is_done_once_and_finds_a_count_that_drifted(database: Database, ncbi: NcbiServer) -> None:
    store_all(database, ncbi)
    annotator = LexiconAnnotator()
    annotate_claimed(database, annotator, register_annotator(database, annotator.info), A, batch_citations=16)
    settings = Settings(work=WorkSettings(verify_sample=1000))
    day = dt.date(2026, 1, 1)
    number = hand_in_night(database, day)
    assert number is not None
    assert hand_in_night(database, day) is None
    with ThreadPoolExecutor(2) as pool:
        nights = list(pool.map(lambda _: nightly(database, settings, A, number), range(2)))
    [night] = [one for one in nights if one is not None]
    assert (night.drift, night.indexed, night.failure) == (0, 60, None)
    assert one(database, "SELECT count(*) FROM comention.cooccurrence_delta") == (0,)
    vacuumed = "SELECT relallvisible > 0 FROM pg_class WHERE oid = 'comention.cooccurrence_total'::regclass"
    assert one(database, vacuumed) == (True,)
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE comention.cooccurrence_total SET citation_count = citation_count + 1 WHERE condition_id > 0")
        )
    other = hand_in_night(database, day + dt.timedelta(days=1))
    assert other is not None
    worse = nightly(database, settings, A, other)
    assert worse is not None
    assert worse.drift > 0
    assert "differ from a recount" in str(worse.failure)


def test_a_night_applies_update_files_where_that_is_wanted(database: Database, tmp_path: Path) -> None:
    settings = Settings(
        ncbi=NcbiSettings(mirror=str(tmp_path)), work=WorkSettings(nightly_updates=True), home=tmp_path / "home"
    )
    number = hand_in_night(database, dt.date(2026, 1, 1))
    assert number is not None
    night = nightly(database, settings, A, number)
    assert night is not None
    assert "updatefiles" in str(night.failure)


class Stubborn(LexiconAnnotator):
    """Breaks its contract at some sentences."""

    def annotate(self, sentences: list[str]) -> list[SentenceAnnotation]:  # type: ignore[override]
        return super().annotate(sentences)[1:]


def test_an_annotator_that_breaks_its_contract_gives_back_what_it_has(database: Database, ncbi: NcbiServer) -> None:
    store_all(database, ncbi)
    broken = Stubborn()
    number = register_annotator(database, broken.info)
    for _ in range(4):
        with pytest.raises(AnnotatorError, match="one for each"):
            annotate_claimed(database, broken, number, A, batch_citations=16)
        assert one(database, "SELECT count(*) FROM comention.annotation_claim") == (0,)
    counts, finished = annotate_claimed(database, LexiconAnnotator(), number, A, batch_citations=16)
    assert (counts.done, finished) == (60, True)


def test_annotating_stops_when_it_is_told_to_and_goes_on_from_there(database: Database, ncbi: NcbiServer) -> None:
    store_all(database, ncbi)
    annotator, cursor = LexiconAnnotator(), Cursor()
    number = register_annotator(database, annotator.info)
    seen: list[AnnotationCounts] = []
    counts, finished = annotate_claimed(
        database,
        annotator,
        number,
        A,
        batch_citations=16,
        cursor=cursor,
        stopping=lambda: cursor.after_pmid > 16,
        on_progress=seen.append,
    )
    assert (counts.done, finished, len(seen)) in ((16, False, 1), (0, False, 0))
    assert one(database, "SELECT count(*) FROM comention.annotation_claim") == (0,)
    counts, finished = annotate_claimed(database, annotator, number, A, batch_citations=16, cursor=cursor)
    assert finished
    assert one(database, "SELECT count(*) FROM comention.annotation WHERE status = 'done'") == (60,)


def test_threads_annotate_in_turns(database: Database) -> None:
    inside: list[int] = []
    most: list[int] = []
    entered = threading.Event()

    class Watched(LexiconAnnotator):
        def annotate(self, sentences: list[str]) -> list[SentenceAnnotation]:  # type: ignore[override]
            inside.append(1)
            most.append(len(inside))
            entered.wait(0.01)
            inside.pop()
            return super().annotate(sentences)

    locked = LockedAnnotator(Watched())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: locked.annotate(["Lithium."]), range(8)))
    assert set(most) == {1}


def sweeper(limit: int = 1000) -> Sweeper:
    return Sweeper(Backlog(limit), lease_seconds=60, batch_citations=16)


def test_a_sweep_finds_what_is_owed_and_not_what_is_in_hand(database: Database, ncbi: NcbiServer) -> None:
    number = hand_in_query(database, "patient", priority=INTERACTIVE)
    owed = sweeper().sweep(database, "lexicon")
    assert (list(owed.jobs), list(owed.batches)) == ([(number, "query", INTERACTIVE)], [])
    assert owed.annotators == {"lexicon": 1}  # nobody has loaded it yet
    expand(database, ncbi, number)
    annotator = LexiconAnnotator()
    lexicon = register_annotator(database, annotator.info)
    choose_annotator(database, "lexicon", lexicon)
    owed = sweeper().sweep(database, "lexicon")
    assert (list(owed.jobs), list(owed.batches), owed.annotators) == ([], [INTERACTIVE] * 3, {})
    while fetch(database, ncbi) is not None:
        pass
    assert sweeper().sweep(database, "lexicon").annotators == {"lexicon": 4}
    assert claim_citations(database, lexicon, A, limit=40) is not None
    assert sweeper().sweep(database, "lexicon").annotators == {"lexicon": 2}
    assert one(database, "SELECT count(*) FROM comention.unindexed_citation") == (0,)


def test_sweeps_at_once_find_the_same_and_change_nothing(database: Database, ncbi: NcbiServer) -> None:
    store_all(database, ncbi)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: sweeper().sweep(database, "lexicon"), range(8)))
    assert all(owed == found[0] for owed in found)


def test_a_backlog_holds_back_all_but_what_somebody_waits_for(database: Database, ncbi: NcbiServer) -> None:
    store_all(database, ncbi)
    lexicon = register_annotator(database, LexiconAnnotator().info)
    assert not Backlog(10).is_full(database, "lexicon")  # nobody knows yet what it owes
    choose_annotator(database, "lexicon", lexicon)
    backlog = Backlog(60)
    assert backlog.is_full(database, "lexicon")
    assert not Backlog(61).is_full(database, "lexicon")
    for priority in (BACKFILL, INTERACTIVE):
        expand(database, ncbi, hand_in_query(database, "patient", priority=priority))
    assert list(sweeper(60).sweep(database, "lexicon").batches) == [INTERACTIVE] * 3
    assert len(sweeper(61).sweep(database, "lexicon").batches) == 6 < AT_MOST


@pytest.fixture
def place(database_address: str, ncbi: NcbiServer) -> Iterator[Workplace]:
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(database_address)),
        ncbi=ncbi.settings(attempts=1),
        annotate=AnnotateSettings(annotator="lexicon"),
        work=WorkSettings(fetch_batch=20, backlog=30),
    )
    opened = Workplace(settings, Doorbell(make_app(settings)))
    yield opened
    opened.close()


def test_while_ncbi_is_away_the_other_batches_keep_their_first_attempt(place: Workplace, ncbi: NcbiServer) -> None:
    work.search(place, hand_in_query(place.database, "patient", priority=BACKFILL))
    ncbi.faults = Faults(probability={Fault.SERVER_ERROR: 1.0})
    work.fetch(place)
    assert one(place.database, "SELECT sum(attempts), sum(failures) FROM comention.fetch_batch") == (1, 1)


def test_fetching_pauses_for_the_annotator_and_goes_on_when_it_has_caught_up(place: Workplace) -> None:
    heard: list[Progress] = []
    listeners.append(heard.append)
    number = hand_in_query(place.database, "patient", priority=BACKFILL)
    work.search(place, number)
    place.annotator("lexicon")
    done = "SELECT count(*) FILTER (WHERE status = 'done') FROM comention.fetch_batch"
    place.backlog = Backlog(1)
    while one(place.database, done) == (0,):
        work.fetch(place)
    first = one(place.database, done)
    place.backlog = Backlog(1)
    work.fetch(place)
    assert one(place.database, done) == first  # what was fetched is before the annotator still
    work.annotate(place, "lexicon", number, 0)
    work.annotate(place, "lexicon")
    place.backlog = Backlog(1000)
    work.fetch(place)
    work.annotate(place, "lexicon")
    work.sweep(place)
    listeners.remove(heard.append)
    assert one(place.database, "SELECT count(*) FROM comention.annotation WHERE status = 'done'") == (60,)
    told = {stage: sum(each.records for each in heard if each.stage == stage) for stage in ("fetch", "annotate")}
    assert told == {"fetch": 60, "annotate": 60}
    assert {each.stage for each in heard} == {"search", "fetch", "annotate", "sweep"}


def test_a_process_that_is_to_stop_takes_nothing_up(place: Workplace) -> None:
    work.search(place, hand_in_query(place.database, "patient", priority=BACKFILL))
    place.stopping.set()
    work.fetch(place)
    work.annotate(place, "lexicon")
    assert one(place.database, "SELECT sum(attempts) FROM comention.fetch_batch") == (0,)


def test_ticks_and_nights_are_done_by_whoever_is_asked(place: Workplace, ncbi: NcbiServer) -> None:
    add_subscription(place.database, name="lithium", query="lithium", every="1m", annotator=None)
    work.tick(place)
    work.tick(place)
    [number] = [each for each, kind, _ in sweeper().sweep(place.database, "lexicon").jobs if kind == "tick"]
    work.search(place, number)
    work.night(place)
    work.night(place)
    assert one(place.database, "SELECT string_agg(kind || ' ' || status, ', ' ORDER BY id) FROM comention.job") == (
        "tick done, nightly done",
    )


def test_progress_is_told_to_whoever_listens() -> None:
    heard: list[Progress] = []
    listeners.append(heard.append)
    report(Progress(stage="fetch", records=3))
    listeners.remove(heard.append)
    assert heard == [Progress(stage="fetch", records=3)]
