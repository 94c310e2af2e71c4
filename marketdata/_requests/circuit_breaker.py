"""The circuit breaker: an exchange that keeps failing gets no requests for a while."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Literal

from marketdata.errors import ExchangeUnavailableError, MarketDataError, UpstreamError

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds of the first pause, and of the longest one after failed probes."""
_LONGEST_BAN = 3600.0
"""Maximum seconds of a pause that the exchange asks for."""


class Breaker:
    """Counts consecutive failures; after ``trip_after`` of them no requests are sent.

    After a pause one request is sent as a probe. If it succeeds, requests continue; otherwise the
    next pause is twice as long.
    """

    def __init__(
        self,
        exchange: str,
        trip_after: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures = 0
        """All failures so far."""
        self._exchange = exchange
        self._trip_after = trip_after
        self._clock = clock
        self._in_a_row = 0
        self._pause = 0.0
        self._until: float | None = None
        """End of the pause, after which one probe is sent; None: requests are allowed."""
        self._probing = False
        self._turn = 0
        """Number of state changes: results of requests from before a change do not count."""

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        """Whether all requests may be sent, none, or a single probe."""
        if self._until is None:
            return "closed"
        return "half-open" if self._probing or self._until <= self._clock() else "open"

    @property
    def wait(self) -> float:
        """Seconds until the next request is allowed; one second while a probe is in flight."""
        if self._until is None:
            return 0.0
        return _FIRST_PAUSE if self._probing else max(0.0, self._until - self._clock())

    def check(self) -> None:
        """Raise `ExchangeUnavailableError` if no request is allowed now."""
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
        """Allow a request, and return the number to report its result with."""
        if self._until is not None:
            self.check()
            self._probing = True
            self._turn += 1
        return self._turn

    def answered(self, turn: int) -> None:
        """Note a response, also one with an error."""
        if turn != self._turn:
            return
        self._in_a_row = 0
        if self._until is not None:
            self._until, self._pause, self._probing = None, 0.0, False
            self._turn += 1

    def failed(self, turn: int, retry_after: float | None = None) -> None:
        """Note a failure, and the seconds that the exchange asks to wait."""
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
        """Note an error as a failure or as a response."""
        if isinstance(error, UpstreamError) and error.retryable:
            self.failed(turn, error.retry_after)
        else:
            self.answered(turn)

    def end(self, turn: int) -> None:
        """Allow another probe if this one ended without a result."""
        if turn == self._turn:
            self._probing = False
