"""Jobs and their batches: each is one worker's at a time, tried again after a pause, and closed when the last part is."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from comention.errors import DatabaseError
from storage.claims import Holder
from storage.database import Database, Sessions, parse_url
from storage.jobs import (
    BACKFILL,
    INTERACTIVE,
    MAX_ATTEMPTS,
    MAX_FAILURES,
    Job,
    NewJob,
    add_job,
    batch_pmids,
    claim_fetch_batch,
    claim_job,
    divide_job,
    fail,
    finish,
    give_up_lost,
    list_free_batches,
    list_free_jobs,
    list_wanted_annotators,
    release,
)
from storage.leases import LeaseLostError, end_overdue
from storage.locks import hold_lock
from storage.quarantine import list_quarantined, retry_quarantined

A = Holder(name="comention a", lease_seconds=3600)
B = Holder(name="comention b", lease_seconds=3600)


def add(database: Database, *, priority: int = BACKFILL, **rest: object) -> int:
    number = add_job(database, NewJob(kind="query", source="q", query="q", priority=priority, **rest))  # type: ignore[arg-type]
    assert number is not None
    return number


def take(database: Database, number: int, holder: Holder = A) -> Job:
    job = claim_job(database, holder, number)
    assert job is not None
    return job


def divided(database: Database, pmids: int, *, batch_size: int = 10, priority: int = BACKFILL) -> int:
    number = add(database, priority=priority)
    divide_job(database, take(database, number), list(range(1, pmids + 1)), batch_size=batch_size)
    return number


def column(database: Database, table: str, name: str, where: str = "true") -> object:
    with database.transaction() as connection:
        return connection.execute(text(f"SELECT {name} FROM comention.{table} WHERE {where}")).scalar_one()


def let_run_out(database: Database, table: str) -> None:
    with database.transaction() as connection:
        connection.execute(text(f"UPDATE comention.{table} SET leased_until = now() - interval '1 hour'"))


def no_pause(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE comention.job SET retry_at = now()"))
        connection.execute(text("UPDATE comention.fetch_batch SET retry_at = now()"))


def test_a_key_is_handed_in_once_however_many_ask(database: Database) -> None:
    new = NewJob(kind="nightly", source="night", key="nightly:2026-01-01", priority=6)
    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(lambda _: add_job(database, new), range(6)))
    assert sorted(number is None for number in numbers) == [False] + [True] * 5


def test_a_job_is_divided_once_and_done_with_its_last_batch(database: Database) -> None:
    number = add(database, since=dt.date(2026, 1, 1))
    assert list_free_jobs(database, at_most=5) == [(number, "query", BACKFILL)]
    job = take(database, number)
    assert (job.query, job.since) == ("q", dt.date(2026, 1, 1))
    assert claim_job(database, B, number) is None
    assert list_free_jobs(database, at_most=5) == []
    assert divide_job(database, job, list(range(1, 26)), batch_size=10) == 3
    with pytest.raises(LeaseLostError):
        divide_job(database, job, [1], batch_size=10)
    assert batch_pmids(database, number, 2) == [21, 22, 23, 24, 25]
    assert column(database, "job", "status") == "fetching"
    for _ in range(3):
        batch = claim_fetch_batch(database, A)
        assert batch is not None
        assert column(database, "job", "status") == "fetching"
        finish(database, batch.lease)
    assert column(database, "job", "status") == "done"
    assert claim_fetch_batch(database, A) is None


def test_a_job_without_any_pmid_is_done(database: Database) -> None:
    assert divide_job(database, take(database, add(database)), [], batch_size=10) == 0
    assert column(database, "job", "status") == "done"


def test_two_batches_that_end_together_close_their_job(database: Database) -> None:
    for _ in range(20):
        number = divided(database, 20)
        batches = [claim_fetch_batch(database, holder) for holder in (A, B)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda batch: finish(database, batch.lease), batches))  # type: ignore[union-attr]
        assert column(database, "job", "status", f"id = {number}") == "done"


def test_what_somebody_waits_for_goes_first(database: Database) -> None:
    divided(database, 20)
    urgent = divided(database, 10, priority=INTERACTIVE)
    assert list_free_batches(database, at_most=9) == [INTERACTIVE, BACKFILL, BACKFILL]
    assert list_free_batches(database, at_most=9, priority_at_most=INTERACTIVE) == [INTERACTIVE]
    first = claim_fetch_batch(database, A)
    assert first is not None
    assert first.lease.job_id == urgent
    assert claim_fetch_batch(database, A, priority_at_most=INTERACTIVE) is None
    assert claim_fetch_batch(database, A) is not None


def test_a_lease_that_ran_out_is_anothers_and_the_first_holder_can_do_no_more(database: Database) -> None:
    divided(database, 10)
    late = claim_fetch_batch(database, A)
    assert late is not None
    assert claim_fetch_batch(database, B) is None
    let_run_out(database, "fetch_batch")
    now = claim_fetch_batch(database, B)
    assert now is not None
    with database.transaction() as connection:
        now.lease.keep(connection)
        with pytest.raises(LeaseLostError, match="taken over"):
            late.lease.keep(connection)
    with pytest.raises(LeaseLostError):
        finish(database, late.lease)
    with pytest.raises(LeaseLostError):
        fail(database, late.lease, "late", retryable=False)
    finish(database, now.lease)
    assert column(database, "fetch_batch", "status") == "done"


def test_an_overdue_lease_is_taken_away_also_where_nobody_took_it(database: Database) -> None:
    divided(database, 10)
    late = claim_fetch_batch(database, A)
    assert late is not None
    let_run_out(database, "fetch_batch")
    end_overdue(database, grace_seconds=0)
    with pytest.raises(LeaseLostError):
        finish(database, late.lease)
    assert claim_fetch_batch(database, B) is not None


@pytest.mark.parametrize("table", ["job", "fetch_batch"])
def test_whoever_takes_work_over_ends_the_sessions_of_a_worker_that_is_stopped(
    database: Database, database_address: str, table: str
) -> None:
    number = divided(database, 10) if table == "fetch_batch" else add(database)

    def claim(holder: Holder) -> object:
        return claim_fetch_batch(database, holder) if table == "fetch_batch" else claim_job(database, holder, number)

    stopped = Database(
        Sessions(name=A.name, idle_in_transaction_seconds=3600).apply(parse_url(database_address, connect_timeout=10))
    )
    ended = pytest.raises(DatabaseError, match="terminating connection")
    with ended, hold_lock(stopped, "comention.ingest", "source", busy="busy"):
        assert claim(Holder(name=A.name, lease_seconds=0)) is not None
        assert claim(B) is not None
        with hold_lock(database, "comention.ingest", "source", busy="the lock of a worker that lost its work"):
            pass
    stopped.close()


def test_what_may_pass_by_itself_is_tried_for_ever_after_growing_pauses(database: Database) -> None:
    divided(database, 10)
    pauses = []
    for _ in range(MAX_FAILURES + 5):
        batch = claim_fetch_batch(database, A)
        assert batch is not None
        assert not fail(database, batch.lease, "NCBI is away", retryable=True)
        assert claim_fetch_batch(database, A) is None
        pauses.append(round(float(str(column(database, "fetch_batch", "extract(epoch FROM retry_at - now())")))))
        no_pause(database)
    assert pauses == [15, 30, 60, 120, 240, 480, 900, 900]
    assert column(database, "fetch_batch", "detail") == "NCBI is away"


def test_what_fails_again_and_again_is_given_up_and_can_be_let_out(database: Database) -> None:
    number = divided(database, 20)
    for attempt in range(MAX_FAILURES):
        batch = claim_fetch_batch(database, A)
        assert batch is not None
        assert batch.lease.ordinal == 0
        assert fail(database, batch.lease, "NCBI refuses it", retryable=False) == (attempt == MAX_FAILURES - 1)
        no_pause(database)
    assert column(database, "job", "status") == "fetching"
    other = claim_fetch_batch(database, A)
    assert other is not None
    finish(database, other.lease)
    assert column(database, "job", "status") == "failed"
    assert "1 of 2 batches" in str(column(database, "job", "detail"))
    [found] = list_quarantined(database)
    assert (found.stage, found.job_id, found.ordinal, found.reason) == ("fetch", number, 0, "NCBI refuses it")
    assert retry_quarantined(database, job_ids=[number + 1]) == 0
    assert retry_quarantined(database) == 1
    again = claim_fetch_batch(database, A)
    assert again is not None
    finish(database, again.lease)
    assert column(database, "job", "status") == "done"


def test_a_job_that_was_given_up_can_be_let_out(database: Database) -> None:
    number = add(database)
    for _ in range(MAX_FAILURES):
        fail(database, take(database, number).lease, "no such field", retryable=False)
        no_pause(database)
    [found] = list_quarantined(database)
    assert (found.stage, found.job_id, found.reason) == ("job", number, "no such field")
    assert retry_quarantined(database, job_ids=[number]) == 1
    assert claim_job(database, A, number) is not None


def test_what_every_worker_is_lost_at_is_given_up(database: Database) -> None:
    divided(database, 10)
    number = add(database)
    for _ in range(MAX_ATTEMPTS):
        assert give_up_lost(database) == 0
        assert claim_fetch_batch(database, A) is not None
        take(database, number)
        let_run_out(database, "fetch_batch")
        let_run_out(database, "job")
    assert give_up_lost(database) == 2
    assert {(one.stage, one.reason) for one in list_quarantined(database)} == {
        ("fetch", f"each of {MAX_ATTEMPTS} workers that took it up was lost"),
        ("job", f"each of {MAX_ATTEMPTS} workers that took it up was lost"),
    }


def test_what_is_given_back_was_not_attempted(database: Database) -> None:
    divided(database, 10)
    for _ in range(2):
        batch = claim_fetch_batch(database, A)
        assert batch is not None
        release(database, batch.lease)
    assert column(database, "fetch_batch", "attempts") == 0


def test_annotators_that_jobs_ask_for_are_seen_to(database: Database) -> None:
    add(database, annotator="second")
    add(database)
    assert list_wanted_annotators(database) == ["second"]
