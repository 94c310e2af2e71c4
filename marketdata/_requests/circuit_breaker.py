"""An exchange that keeps failing is left alone for a while."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Literal

from marketdata.errors import ExchangeUnavailableError, MarketDataError, UpstreamError

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds for which it is left alone at first, and after many probes."""
_LONGEST_BAN = 3600.0
"""Seconds for which it is left alone at most, whatever it asks for."""


class Breaker:
    """Counts an exchange's failures in a row; after ``trip_after`` of them nothing goes out.

    After a pause one attempt goes out as a probe. If that is answered all go on, otherwise the
    next pause is twice as long.
    """

    def __init__(
        self,
        exchange: str,
        trip_after: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures = 0
        """All so far."""
        self._exchange = exchange
        self._trip_after = trip_after
        self._clock = clock
        self._in_a_row = 0
        self._pause = 0.0
        self._until: float | None = None
        """Until when nothing goes out but, from then on, one probe; None where all may."""
        self._probing = False
        self._turn = 0
        """Counts the changes: what became of attempts from before one says nothing any more."""

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        """Whether all attempts may go out, or none, or a single one."""
        if self._until is None:
            return "closed"
        return "half-open" if self._probing or self._until <= self._clock() else "open"

    @property
    def wait(self) -> float:
        """Seconds for which no attempt may go out, or one second where a probe is under way."""
        if self._until is None:
            return 0.0
        return _FIRST_PAUSE if self._probing else max(0.0, self._until - self._clock())

    def check(self) -> None:
        """Raise `ExchangeUnavailableError` where no attempt may go out now."""
        if self._until is None:
            return
        wait = self.wait
        if wait > 0:
            raise ExchangeUnavailableError(
                f"{self._exchange} has failed {self._in_a_row} times in a row. It gets no requests "
                f"for another {math.ceil(wait)} s.",
                retry_after=math.ceil(wait * 1000) / 1000,
                details={"exchange": self._exchange, "reason": "failing"},
            )

    def begin(self) -> int:
        """Let an attempt go out, and give the number by which to say what became of it."""
        if self._until is not None:
            self.check()
            self._probing = True
            self._turn += 1
        return self._turn

    def answered(self, turn: int) -> None:
        """Note that the exchange has answered, whatever it said."""
        if turn != self._turn:
            return
        self._in_a_row = 0
        if self._until is not None:
            self._until, self._pause, self._probing = None, 0.0, False
            self._turn += 1

    def failed(self, turn: int, retry_after: float | None = None) -> None:
        """Note that the exchange has not answered, and for how long it asks to be left alone."""
        self.failures += 1
        longest = min(retry_after or 0.0, _LONGEST_BAN)
        if turn == self._turn:
            self._in_a_row += 1
            if self._probing or self._in_a_row == self._trip_after:
                self._pause = min(_LONGEST_PAUSE, 2 * self._pause or _FIRST_PAUSE)
                self._until = self._clock() + max(self._pause, longest)
                self._probing = False
                self._turn += 1
        elif self._until is not None:
            self._until = max(self._until, self._clock() + longest)

    def judge(self, turn: int, error: MarketDataError) -> None:
        """Note what an error says of the exchange that it comes from."""
        if isinstance(error, UpstreamError) and error.retryable:
            self.failed(turn, error.retry_after)
        else:
            self.answered(turn)

    def end(self, turn: int) -> None:
        """Let another attempt be the probe where this one has come to nothing."""
        if turn == self._turn:
            self._probing = False
