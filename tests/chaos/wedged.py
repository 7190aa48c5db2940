"""Workers that are stopped in the middle of their work: others do it, and those that wake do no harm."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from sqlalchemy import text

from tests.chaos.content import differences
from tests.chaos.ground import Ground
from tests.chaos.outcome import Outcome, same
from tests.chaos.site import Post, Site, is_gone, send

STEP = 0.05
"""The share of the corpus that is handed in at once while a worker is to be met at work."""
LIMIT_SECONDS = 90.0
"""Within which, after a lease or a supervisor's patience has run out, the work is done or the worker replaced."""


def stop_workers(ground: Ground) -> Outcome:
    """Stop a worker that its supervisor replaces; then one of each kind together with its supervisor, and wake these."""
    scale = ground.scale
    expected = ground.expected()
    with ground.site("wedged", COMENTION_NCBI__BATCH_SIZE="5") as site:
        site.workers("default", "fetch", "annotate")
        site.start("beat")
        fetcher, annotator = site.workers("fetch", "annotate")
        site.wait_ready()

        child = _stop_at_work(site, annotator, "annotation_claim", hand_in=(0.1, 0.4))
        replaced = site.wait(
            lambda: annotator.child() not in (child, None) and annotator.service.log.count("ready.") >= 2,
            "the stopped worker replaced",
            scale.silence + 2 * LIMIT_SECONDS,
        )

        stopped_at = time.monotonic()
        fetching = _stop_at_work(site, fetcher, "fetch_batch", hand_in=(0.4, 0.7), with_supervisor=True)
        batches = _batches_of(site, fetching)
        annotating = _stop_at_work(site, annotator, "annotation_claim", hand_in=(0.7, 1.0), with_supervisor=True)
        site.hand_in()
        pmids = _claims_of(site, annotating)
        site.wait(_is_taken_over(site, pmids, batches), "their work done by others", scale.lease + 2 * LIMIT_SECONDS)
        taken_over = time.monotonic() - stopped_at
        site.finish()
        wrong = differences(site.database, expected)

        for post, pid in ((annotator, annotating), (fetcher, fetching)):
            _wake_and_end(site, post, pid)
        wrong += [f"after they woke: {one}" for one in differences(site.database, expected)]
        site.end()
    return Outcome(
        fault="SIGSTOP of a worker; of two together with their supervisors, later woken",
        result=f"replaced {replaced - scale.silence:+.1f} s after its supervisor's limit of {scale.silence:g} s; work of the "
        f"other two ({len(pmids)} citations, {len(batches)} batches) done {taken_over - scale.lease:+.1f} s after "
        f"the lease of {scale.lease:g} s; tables {same(wrong)}, before and after they woke",
        target=f"done by others within {LIMIT_SECONDS:g} s after the limit, nothing twice",
        met=not wrong and replaced <= scale.silence + LIMIT_SECONDS and taken_over <= scale.lease + LIMIT_SECONDS,
    )


def _stop_at_work(
    site: Site, post: Post, table: str, *, hand_in: tuple[float, float], with_supervisor: bool = False
) -> int:
    """Stop the process below a supervisor when it has something in hand; return its process id.

    A share of the corpus is handed in for that, bit by bit, for others may be faster: a bit whenever all but one is done.
    """
    handed_in, up_to = hand_in

    def is_at_work() -> bool:
        nonlocal handed_in
        if handed_in < up_to and site.share_done(handed_in - STEP)():
            handed_in = min(handed_in + STEP, up_to)
            site.hand_in(handed_in)
        return site.holds_work(post.child(), table)

    site.hand_in(handed_in + STEP)
    while True:
        site.wait(is_at_work, f"something in hand in {table}", 120)
        pid = post.child()
        assert pid is not None
        supervisor = post.service.process.pid if with_supervisor else None
        send(signal.SIGSTOP, supervisor, pid)
        if site.holds_work(pid, table):  # it was not done a moment before
            return pid
        send(signal.SIGCONT, pid, supervisor)


def _claims_of(site: Site, pid: int) -> list[int]:
    with site.database.transaction() as connection:
        query = text("SELECT pmid FROM comention.annotation_claim WHERE worker LIKE :worker AND lease IS NOT NULL")
        return list(connection.execute(query, {"worker": f"comention % {pid} %"}).scalars())


def _batches_of(site: Site, pid: int) -> list[tuple[int, int]]:
    with site.database.transaction() as connection:
        query = text(
            "SELECT job_id, ordinal FROM comention.fetch_batch WHERE worker LIKE :worker AND lease IS NOT NULL"
        )
        return [(row.job_id, row.ordinal) for row in connection.execute(query, {"worker": f"comention % {pid} %"})]


def _is_taken_over(site: Site, pmids: list[int], batches: list[tuple[int, int]]) -> Callable[[], bool]:
    def is_done() -> bool:
        return site.count("annotation", "pmid = ANY (:pmids)", pmids=pmids) == len(pmids) and all(
            site.count(
                "fetch_batch", "job_id = :job AND ordinal = :ordinal AND status = 'done'", job=job, ordinal=ordinal
            )
            for job, ordinal in batches
        )

    return is_done


def _wake_and_end(site: Site, post: Post, pid: int) -> None:
    """Wake a worker, wait until it has spoken with Postgres again, and end it in its own time, then its supervisor."""
    with site.database.transaction() as connection:
        woken_at = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    spoken = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE :worker AND state_change > :woken_at"

    def has_spoken() -> bool:
        with site.database.transaction() as connection:
            bound = {"worker": f"comention % {pid} %", "woken_at": woken_at}
            return bool(connection.execute(text(spoken), bound).scalar_one())

    send(signal.SIGCONT, pid)
    site.wait(has_spoken, "a session of the woken worker", 60)
    send(signal.SIGTERM, pid)
    site.wait(lambda: is_gone(pid), "the end of the woken worker", 60)
    send(signal.SIGCONT, post.service.process.pid)
    post.service.end()
