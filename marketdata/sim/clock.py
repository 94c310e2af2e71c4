"""The time that a simulated exchange believes it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Unix milliseconds, real or set elsewhere, running or still.

    ``now`` is a datetime (UTC when naive) or Unix milliseconds; None is the real time.
    """

    def __init__(self, now: datetime | int | None = None, *, frozen: bool = False) -> None:
        self._frozen = frozen
        self._offset = 0
        self._still = _real()
        if now is not None:
            self.move(now)

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._frozen

    def now(self) -> int:
        """Return the exchange's time in Unix milliseconds."""
        return self._still if self._frozen else _real() + self._offset

    def move(self, to: datetime | int) -> None:
        """Set the clock to ``to``; it goes on from there unless it is frozen."""
        self._still = milliseconds(to)
        self._offset = self._still - _real()


def milliseconds(moment: datetime | int) -> int:
    """Return ``moment`` as Unix milliseconds; a naive datetime is taken as UTC."""
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    return moment


def _real() -> int:
    return time.time_ns() // 1_000_000
