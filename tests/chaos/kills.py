"""`kill -9` of one worker process after another, the Celery process or its supervisor, while there is work in hand."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Sequence

from tests.chaos.content import differences
from tests.chaos.ground import Ground
from tests.chaos.outcome import Outcome, same
from tests.chaos.site import Post, Site, send

AIMED = 0.5
"""The share of kills that wait for their victim to have work in hand; the others may meet a process that starts."""

FINISH_SECONDS = 240.0
"""Within which all has to be done after the last kill: a lease, a sweep, and the rest of the corpus."""


def kill_workers(ground: Ground) -> Outcome:
    """Kill again and again, while the corpus is handed in bit by bit."""
    scale = ground.scale
    expected = ground.expected()
    with ground.site("kills", COMENTION_NCBI__BATCH_SIZE="10") as site:
        site.workers("default")
        site.start("beat")
        posts = site.workers("fetch", "fetch", "annotate", "annotate")
        site.wait_ready()
        killed, met_work = _kill(site, posts, scale.kills, scale.kill_every)
        for post in posts:
            post.keep()
        took = site.finish(FINISH_SECONDS)
        wrong = differences(site.database, expected)
        site.end()
    each = ", ".join(f"{count} {what}" for what, count in sorted(killed.items()))
    return Outcome(
        fault=f"kill -9 of a random worker process every {scale.kill_every:g} s, {killed.total()} times",
        result=f"{scale.citations:,} citations {same(wrong)}; killed: {each}; {met_work} had work in hand; "
        f"all done {took:.0f} s after the last kill",
        target="tables identical to those of an undisturbed run",
        met=not wrong and killed.total() >= scale.kills,
    )


def _kill(site: Site, posts: Sequence[Post], kills: int, every: float) -> tuple[Counter[str], int]:
    """Kill so often; return how often each kind of process was, and how often it had work in hand."""
    chance = random.Random(0)
    killed: Counter[str] = Counter()
    met_work = 0
    next_at = time.monotonic()
    while killed.total() < kills:
        # A bit more than has to be done until the next kill, so that nobody ever runs out of work.
        site.hand_in(min(1.0, (killed.total() + 1.5) / kills))
        next_at = max(next_at + every, time.monotonic())
        time.sleep(max(0.0, next_at - time.monotonic()))
        number = chance.randrange(len(posts))
        post = posts[number]
        if chance.random() < AIMED:
            _await_work(site, post, next_at + every)
        child, supervisor = post.child(), post.service.process.pid
        victim = chance.choice([supervisor, *([child] if child else [])])
        met_work += _has_work(site, child)
        send(signal.SIGKILL, victim)
        if victim == supervisor:
            post.service.process.wait(30)
        killed[f"{'fetch' if number < 2 else 'annotate'} {'supervisors' if victim == supervisor else 'processes'}"] += 1
        for one in posts:
            one.keep()
    site.hand_in()
    return killed, met_work


def _has_work(site: Site, pid: int | None) -> bool:
    return any(site.holds_work(pid, table) for table in ("annotation_claim", "fetch_batch"))


def _await_work(site: Site, post: Post, until: float) -> None:
    """Wait until a worker has something in hand, or a moment is over."""
    while time.monotonic() < until and not _has_work(site, post.child()):
        time.sleep(0.05)
