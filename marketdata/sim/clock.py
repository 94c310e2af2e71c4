"""The time that a simulated exchange believes it is."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime


class Clock:
    """Unix milliseconds, real or set elsewhere, running or still.

    ``now`` is a datetime (UTC when naive) or Unix milliseconds; None is the real time.
    """

    def __init__(self, now: datetime | int | None = None, *, frozen: bool = False) -> None:
        self._frozen = frozen
        self._offset = 0
        self._still = real()
        if now is not None:
            self.move(now)

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._frozen

    def now(self) -> int:
        """Return the exchange's time in Unix milliseconds."""
        return self._still if self._frozen else real() + self._offset

    def move(self, to: datetime | int) -> None:
        """Set the clock to ``to``; it runs on from there unless it is frozen."""
        self._still = milliseconds(to)
        self._offset = self._still - real()


class PlayedClock(Clock):
    """The time in a recording: it stops at ``begin`` until the replay begins, and at ``end``.

    ``speed`` is relative to real time. With infinity, the replay moves it, as if it was ``frozen``.
    """

    def __init__(self, begin: int, end: int, speed: float, *, frozen: bool) -> None:
        self._since: int | None = None
        super().__init__(begin, frozen=frozen)
        self.flat_out = math.isinf(speed) and not frozen
        self._begin = begin
        self._end = end
        self._speed = speed

    def now(self) -> int:
        """Return the current time in the recording, in Unix milliseconds."""
        if self._since is None:
            return self._still
        return min(self._end, self._still + round((real() - self._since) * self._speed))

    def move(self, to: datetime | int) -> None:
        """Go on from ``to``."""
        self._still = milliseconds(to)
        self._since = None if self._since is None else real()

    def rewind(self) -> None:
        """Stand at the beginning."""
        self._still, self._since = self._begin, None

    def start(self) -> None:
        """Go, unless it is moved by others."""
        if not self.frozen and not self.flat_out:
            self._since = real()


def milliseconds(moment: datetime | int) -> int:
    """Return ``moment`` as Unix milliseconds; a naive datetime is taken as UTC."""
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    return moment


def real() -> int:
    """Return the real time in Unix milliseconds."""
    return time.time_ns() // 1_000_000
