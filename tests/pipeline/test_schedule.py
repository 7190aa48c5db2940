"""Moments of a schedule: none missed, none twice."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comention.errors import SettingsError
from pipeline.stages.schedule import parse_schedule

START = dt.datetime(2026, 1, 5, 10, 0, 0, tzinfo=dt.UTC)  # a Monday
MOMENTS = st.datetimes(dt.datetime(2026, 1, 6), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC))


@given(st.sampled_from(["1m", "30m", "6h", "1d", "2w", "*/5 * * * *", "0 3 * * 1-5", "15 */6 1 * *"]), MOMENTS)
def test_now_lies_from_the_latest_moment_to_before_the_following_one(every: str, now: dt.datetime) -> None:
    schedule = parse_schedule(every, START)
    latest, following = schedule.latest(now), schedule.following(now)
    assert following > now
    if latest is not None:
        assert START <= latest <= now
        assert schedule.latest(latest) == latest
        assert schedule.following(latest) == following
    assert schedule.latest(following) == following


def test_an_interval_begins_when_it_is_made_and_a_cron_expression_at_its_first_moment() -> None:
    assert parse_schedule("6h", START).latest(START) == START
    nightly = parse_schedule("0 3 * * *", START)
    assert nightly.latest(START + dt.timedelta(hours=16)) is None
    assert nightly.following(START) == dt.datetime(2026, 1, 6, 3, tzinfo=dt.UTC)
    assert nightly.latest(dt.datetime(2026, 1, 6, 3, tzinfo=dt.UTC)) == dt.datetime(2026, 1, 6, 3, tzinfo=dt.UTC)


@pytest.mark.parametrize("every", ["", "6", "0m", "often", "* * * *", "61 * * * *", "0 0 31 2 *", "* * * * * *", "6 y"])
def test_what_is_no_schedule_is_refused_with_an_example(every: str) -> None:
    with pytest.raises(SettingsError, match="--every"):
        parse_schedule(every, START)
