"""How large a run is, and how long its workers wait: the product's own times for the figures, short ones for the suite."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes in citations and kills, times in seconds."""

    citations: int
    kills: int
    kill_every: float
    """Between two kills."""
    redis_away: float
    lease: float
    sweep: float
    silence: float
    """Without a sign, after which a supervisor replaces its worker."""
    sentence_seconds: float
    """What the slow annotator takes for one, so that faults meet work in hand."""
    fetch_batch: int
    annotate_batch: int
    throughput_citations: int

    @property
    def settings(self) -> dict[str, str]:
        """The times, as settings of workers."""
        return {
            "COMENTION_WORK__LEASE_SECONDS": str(self.lease),
            "COMENTION_WORK__SWEEP_SECONDS": str(self.sweep),
            "COMENTION_WORKER__SILENCE_LIMIT": str(self.silence),
            "COMENTION_WORK__FETCH_BATCH": str(self.fetch_batch),
            "COMENTION_ANNOTATE__BATCH_CITATIONS": str(self.annotate_batch),
            "SECONDS_A_SENTENCE": str(self.sentence_seconds),
        }


LONG = Scale(
    citations=5_000,
    kills=200,
    kill_every=2.0,
    redis_away=30.0,
    lease=60.0,
    sweep=15.0,
    silence=30.0,
    sentence_seconds=0.008,
    fetch_batch=50,
    annotate_batch=16,
    throughput_citations=20_000,
)

SHORT = Scale(
    citations=200,
    kills=4,
    kill_every=1.0,
    redis_away=3.0,
    lease=3.0,
    sweep=1.0,
    silence=5.0,
    sentence_seconds=0.008,
    fetch_batch=20,
    annotate_batch=4,
    throughput_citations=2_000,
)
