"""A citation that ends the annotator's process each time, as a defect in C would."""

from __future__ import annotations

import time
from dataclasses import replace

from storage.annotations import MAX_ATTEMPTS
from storage.quarantine import list_quarantined
from tests.chaos.content import differences
from tests.chaos.ground import Ground
from tests.chaos.outcome import Outcome, same
from tests.plugins.hazard_annotator import DEADLY


def meet_poison(ground: Ground) -> Outcome:
    """Annotate a corpus in which one citation in the middle is deadly."""
    articles = list(ground.articles)
    middle = len(articles) // 2
    # No drug and no condition stands in it, so that it counts nowhere, done or not.
    poison = articles[middle] = replace(
        articles[middle], title=f"Case {middle}.", abstract=f"A patient. Here {DEADLY}."
    )
    ncbi = ground.serve(articles)
    expected = ground.run_inline("undisturbed-poison", ncbi, without=poison.pmid)
    with ground.site("poison", ncbi=ncbi, COMENTION_ANNOTATE__ANNOTATOR="deadly") as site:
        site.workers("default", "fetch", "annotate", "annotate")
        site.start("beat")
        site.wait_ready()
        began = time.monotonic()
        site.hand_in()
        site.finish()
        took = time.monotonic() - began
        wrong = differences(site.database, expected, without=poison.pmid)
        found = list_quarantined(site.database)
        deaths = site.said("ended with status 9")
        site.end()
    alone = [one.pmid for one in found] == [poison.pmid] and found[0].attempts == MAX_ATTEMPTS
    return Outcome(
        fault="a citation that ends the annotator's process each time",
        result=f"{deaths} processes ended; in quarantine: {', '.join(f'{one.pmid} ({one.reason})' for one in found)}; "
        f"all else {same(wrong)}; took {took:.0f} s",
        target=f"in quarantine after {MAX_ATTEMPTS} attempts, all others done",
        met=alone and not wrong and deaths == MAX_ATTEMPTS,
    )
