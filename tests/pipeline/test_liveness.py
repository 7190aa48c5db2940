"""The rules by which a worker is judged."""

from __future__ import annotations

import os

import pytest

from pipeline.processes.liveness import Judge, Limits
from pipeline.processes.signs import Counts, Sign, SignReader, SignWriter
from pipeline.progress import Progress

LIMITS = Limits(start=60, silence=30, idleness=45, task=900)


def judge(*, concurrency: int = 1) -> Judge:
    return Judge(LIMITS, concurrency=concurrency, started_at=0)


def test_a_worker_has_its_time_to_start() -> None:
    starting = judge()
    assert starting.verdict(0, 0) is None
    assert starting.verdict(60, 0) is None
    assert starting.verdict(61, 0) == "was not ready after 60 s"


def test_silence_is_counted_from_the_last_sign() -> None:
    silent = judge()
    silent.verdict(0, 0)
    silent.hear(Sign(), 10)
    assert silent.verdict(40, 0) is None
    assert silent.verdict(41, 0) == "has given no sign for 30 s"


@pytest.mark.parametrize(
    ("waiting", "tasks", "replaced"),
    [(0, 0, False), (3, 0, True), (3, 1, True), (3, 2, False)],
    ids=["nothing waits", "messages wait", "it has room", "it has its hands full"],
)
def test_it_must_take_what_waits_where_it_has_room(waiting: int, tasks: int, replaced: bool) -> None:
    idle = judge(concurrency=2)
    for now in range(0, 100, 10):
        idle.hear(Sign(taken=2, tasks=("comention.fetch",) * tasks, moved_at=(float(now),) * tasks), now)
        verdict = idle.verdict(now, waiting)
        if verdict:
            break
    assert (verdict is not None) == replaced
    if verdict:
        assert now == 50
        assert "has taken nothing for 45 s" in verdict


def test_taking_one_message_begins_the_time_anew() -> None:
    slow = judge()
    for now in range(0, 200, 10):
        slow.hear(Sign(taken=now // 40), now)
        assert slow.verdict(now, 1) is None


def test_a_task_must_commit_something_from_time_to_time() -> None:
    stuck = judge(concurrency=2)
    stuck.verdict(0, 0)
    tasks = ("comention.fetch", "comention.annotate")
    stuck.hear(Sign(tasks=tasks, moved_at=(950.0, 100.0)), 1000)
    assert stuck.verdict(1000, 0) is None
    stuck.hear(Sign(tasks=tasks, moved_at=(950.0, 100.0)), 1001)
    assert stuck.verdict(1001, 0) == "has committed nothing of comention.annotate for 900 s"


def test_the_upkeep_of_the_night_takes_the_time_it_takes() -> None:
    busy = judge()
    busy.verdict(0, 0)
    busy.hear(Sign(tasks=("comention.nightly",), moved_at=(0.0,)), 10_000)
    assert busy.verdict(10_000, 0) is None


def test_nothing_is_held_against_it_while_the_broker_is_away_and_all_times_begin_anew() -> None:
    waiting = judge()
    waiting.hear(Sign(), 0)
    assert waiting.verdict(0, 1) is None
    for now in range(10, 1000, 10):
        assert waiting.verdict(now, None) is None
    assert waiting.verdict(1000, 1) is None
    assert waiting.verdict(1030, 1) is None
    assert waiting.verdict(1031, 1) == "has given no sign for 30 s"


def test_signs_tell_what_was_taken_is_in_hand_and_was_committed() -> None:
    reader, writer = os.pipe()
    signs, heard = SignWriter(writer), SignReader(reader)
    assert heard.read() is None
    signs.take()
    signs.begin("comention.annotate")
    signs.note(Progress(stage="annotate", records=3, sentences=20, mentions=7))
    signs.note(Progress(stage="fetch", records=5, failed=1))
    signs.write()
    signs.write()
    sign = heard.read()
    assert sign is not None
    assert (sign.taken, sign.tasks) == (1, ("comention.annotate",))
    assert sign.counts == sign.recent == Counts(fetched=5, annotated=3, sentences=20, mentions=7, failed=1)
    assert sign.progressed_at == sign.moved_at[0]
    signs.end()
    signs.write()
    sign = heard.read()
    assert sign is not None
    assert sign.tasks == ()
    heard.close()
    os.close(writer)


def test_a_supervisor_that_does_not_read_stops_nobody() -> None:
    reader, writer = os.pipe()
    signs, heard = SignWriter(writer), SignReader(reader)
    for _ in range(2000):
        signs.write()
    signs.take()
    assert heard.read() == Sign()
    signs.write()
    sign = heard.read()
    assert sign is not None
    assert sign.taken == 1
    heard.close()
    signs.write()
    os.close(writer)
