"""Two of everything: two beats, two that sweep, and each message delivered twice."""

from __future__ import annotations

from sqlalchemy import text

from tests.chaos.content import differences
from tests.chaos.ground import Ground
from tests.chaos.outcome import Outcome, same


def double_everything(ground: Ground) -> Outcome:
    """Run with two beats and two sweepers that send each message twice, and a subscription that both find due."""
    expected = ground.expected()
    with ground.site("doubles") as site:
        for name in ("default", "default", "fetch", "fetch", "annotate", "annotate"):
            site.start("worker", "--queues", name, doubled=True)
        for _ in range(2):
            site.start("beat", doubled=True)
        site.wait_ready()
        for share in (0.25, 0.5, 0.75, 1.0):
            site.hand_in(share)
            site.wait(site.share_done(share - 0.15), "a part annotated", 240)
        took = site.finish()
        wrong = differences(site.database, expected)
        twice = site.count("ingest_run", "status = 'done'") - site.count("fetch_batch")
        with site.database.transaction() as connection:
            taken = connection.execute(text("SELECT coalesce(sum(taken), 0) FROM comention.worker")).scalar_one()
        site.end()
    if twice:
        wrong.append(f"{twice} more runs than batches")
    return Outcome(
        fault="two beats, two sweeps, every message twice",
        result=f"tables {same(wrong)}; {taken:,} messages taken; done {took:.0f} s after the last part was handed in",
        target="nothing is done twice",
        met=not wrong,
    )
