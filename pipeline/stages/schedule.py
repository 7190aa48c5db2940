"""When a subscription is due: every so often, or by a cron expression."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Protocol

from cronsim import CronSim, CronSimError

from comention.errors import SettingsError

SHORTEST = dt.timedelta(minutes=1)
_INTERVAL = re.compile(r"([0-9]{1,6})\s*(m|min|h|d|w)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SECOND = dt.timedelta(seconds=1)


class Schedule(Protocol):
    """A row of moments."""

    def latest(self, now: dt.datetime) -> dt.datetime | None:
        """The last moment that is not after ``now``; ``None`` before the first."""
        ...

    def following(self, now: dt.datetime) -> dt.datetime:
        """The first moment after ``now``."""
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """A moment every ``length``, beginning at ``start``."""

    start: dt.datetime
    length: dt.timedelta

    def latest(self, now: dt.datetime) -> dt.datetime | None:
        """The last moment that is not after ``now``."""
        return None if now < self.start else self.start + (now - self.start) // self.length * self.length

    def following(self, now: dt.datetime) -> dt.datetime:
        """The first moment after ``now``."""
        latest = self.latest(now)
        return self.start if latest is None else latest + self.length


@dataclass(frozen=True, slots=True)
class Cron:
    """The moments of a cron expression, in UTC, from ``start`` on."""

    start: dt.datetime
    expression: str

    def latest(self, now: dt.datetime) -> dt.datetime | None:
        """The last moment that is not after ``now``."""
        found = next(CronSim(self.expression, now.astimezone(dt.UTC) + _SECOND, reverse=True))
        return found if found >= self.start else None

    def following(self, now: dt.datetime) -> dt.datetime:
        """The first moment after ``now``."""
        return next(CronSim(self.expression, max(now, self.start).astimezone(dt.UTC)))


def parse_schedule(every: str, start: dt.datetime) -> Schedule:
    """Read ``30m``, ``6h``, ``1d``, ``2w``, or a cron expression of five fields such as ``0 3 * * 1-5``.

    Raises:
        SettingsError: it is neither, names no moment, or comes more often than once a minute.
    """
    if found := _INTERVAL.fullmatch(every.strip()):
        length = dt.timedelta(**{_UNITS[found[2]]: int(found[1])})
        if length < SHORTEST:
            raise SettingsError(f"--every {every!r} is too often: a minute is the least")
        return Interval(start, length)
    try:
        if len(every.split()) != 5:
            raise CronSimError("a cron expression has five fields")
        schedule = Cron(start, " ".join(every.split()))
        schedule.following(start)
    except (CronSimError, StopIteration) as error:
        reason = str(error) or "it names no moment that ever comes"
        raise SettingsError(
            f"--every {every!r} cannot be used ({reason}): write 30m, 6h, 1d or 2w, or a cron expression such as "
            "'0 3 * * 1-5' (minute, hour, day, month, weekday; UTC)"
        ) from error
    return schedule
