"""Redis emptied and stopped, Postgres killed and its connections ended, while workers work."""

from __future__ import annotations

import time

from sqlalchemy import text

from tests.chaos.content import differences
from tests.chaos.ground import Ground
from tests.chaos.outcome import Outcome, same
from tests.chaos.site import Site

RESUME_SECONDS = 60.0
"""Within which work goes on by itself."""


def lose_redis(ground: Ground) -> Outcome:
    """Empty Redis, then stop it and start it with nothing in it."""
    scale = ground.scale
    expected = ground.expected()
    with ground.site("redis") as site:
        _start(site)
        site.wait(site.share_done(0.15), "a part annotated", 120)
        mark = site.mark(hand_in=0.6)
        site.redis.flushall()
        flushed = site.wait(lambda: site.gets_on(mark), "work after FLUSHALL", 180)
        site.wait(site.share_done(0.3), "more annotated", 120)
        site.stop_broker()
        time.sleep(scale.redis_away)
        mark = site.mark(hand_in=1.0)  # its message finds nobody
        site.start_broker()
        started = site.wait(lambda: site.gets_on(mark), "work after Redis came back", 180)
        site.finish()
        wrong = differences(site.database, expected)
        replaced = site.said("it is replaced")
        site.end()
    return Outcome(
        fault=f"FLUSHALL on Redis; Redis stopped for {scale.redis_away:g} s, started empty",
        result=f"went on {flushed:.1f} s after FLUSHALL, {started:.1f} s after the start; tables {same(wrong)}; "
        f"{replaced} workers were replaced",
        target=f"goes on by itself within {RESUME_SECONDS:g} s, nothing lost",
        met=not wrong and max(flushed, started) <= RESUME_SECONDS,
    )


def lose_postgres(ground: Ground) -> Outcome:
    """Kill Postgres with -9 and have it started again; later end all its connections."""
    expected = ground.expected()
    with ground.site("postgres-killed") as site:
        _start(site)
        site.wait(site.share_done(0.15), "a part annotated", 120)
        mark = site.mark(hand_in=0.7)
        ground.kill_postgres()
        killed = site.wait(lambda: site.gets_on(mark), "work after kill -9 of Postgres", 180)
        site.wait(site.share_done(0.5), "more annotated", 120)
        mark = site.mark(hand_in=1.0)
        with site.database.autocommit() as connection:
            ended = connection.execute(
                text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            ).scalar_one()
        cut = site.wait(lambda: site.gets_on(mark), "work after all connections were ended", 180)
        site.finish()
        wrong = differences(site.database, expected)
        site.end()
    return Outcome(
        fault=f"Postgres killed with -9 and started again; all {ended} connections ended",
        result=f"went on {killed:.1f} s after the kill, {cut:.1f} s after the connections were ended; tables {same(wrong)}",
        target=f"goes on by itself within {RESUME_SECONDS:g} s",
        met=not wrong and max(killed, cut) <= RESUME_SECONDS,
    )


def _start(site: Site) -> None:
    site.workers("default", "fetch", "annotate", "annotate")
    site.start("beat")
    site.wait_ready()
    site.hand_in(0.4)
