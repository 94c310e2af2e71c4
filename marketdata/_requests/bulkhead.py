"""The limit of concurrent requests to one exchange."""

from __future__ import annotations

import asyncio
import math

from marketdata._requests.deadline import is_patient, renew, seconds_left
from marketdata.errors import ExchangeUnavailableError

_FOR_OTHERS = 0.2
"""Share of the limit that long downloads leave to other calls; at least one request."""
_LOOKS_EVERY = 1.0
"""Seconds between two checks of the remaining time of a waiting call."""
_TO_REPORT = 0.1
"""Seconds that a waiting call keeps to raise its error."""
_WEIGHT = 0.2
"""Weight of the last request in their average duration."""


class Bulkhead:
    """A limit of concurrent requests, or none (None); it belongs to one event loop."""

    def __init__(self, exchange: str, places: int | None) -> None:
        self.under_way = 0
        self._exchange = exchange
        self._is_bounded = places is not None
        self._places = places or 0
        self._for_patient = max(1.0, self._places - max(1.0, _FOR_OTHERS * self._places))
        self._patient = 0
        """The limit for long downloads."""
        self._queues: dict[bool, dict[asyncio.Future[float], None]] = {False: {}, True: {}}
        """Waiting calls, by whether they are long downloads; first come, first served."""
        self._begun = 0.0
        """The sum of the start times of requests in flight."""
        self._usual = 0.0
        """Average seconds of a request."""
        self._now = asyncio.get_running_loop().time

    @property
    def waiting(self) -> int:
        """Number of waiting calls."""
        return sum(map(len, self._queues.values()))

    def acquire(self) -> float | None:
        """Take a place and return the time, for `release`. None: the limit is reached."""
        if not self._is_bounded:
            self.under_way += 1
            return 0.0
        patient = is_patient()
        return self._acquire(patient) if self._has_room(patient) else None

    async def wait(self) -> float:
        """Wait for a place, and take it.

        Raises `ExchangeUnavailableError` if none will be free within the running call's time.
        """
        patient = is_patient()
        queue = self._queues[patient]
        if not patient and self._expected(len(queue)) >= seconds_left(math.inf):
            raise self._full(len(queue))
        place: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        queue[place] = None
        try:
            while not place.done():
                left = _LOOKS_EVERY
                if patient:
                    renew()
                else:
                    left = min(left, seconds_left(math.inf) - _TO_REPORT)
                    if left <= 0:
                        raise self._full(0)
                await asyncio.wait({place}, timeout=left)
        except BaseException:
            if place.done():
                self._give_back(patient, place.result())
            else:
                del queue[place]
            raise
        return place.result()

    def release(self, begun: float) -> None:
        """Release a place that was taken at a time."""
        if not self._is_bounded:
            self.under_way -= 1
            return
        self._usual += _WEIGHT * (self._now() - begun - self._usual)
        self._give_back(is_patient(), begun)

    def _has_room(self, patient: bool) -> bool:
        room = self.under_way < self._places
        return room and (not patient or self._patient < self._for_patient)

    def _acquire(self, patient: bool) -> float:
        begun = self._now()
        self.under_way += 1
        self._patient += patient
        self._begun += begun
        return begun

    def _give_back(self, patient: bool, begun: float) -> None:
        self.under_way -= 1
        self._patient -= patient
        self._begun -= begun
        for who, queue in self._queues.items():
            while queue and self._has_room(who):
                place = next(iter(queue))
                del queue[place]
                place.set_result(self._acquire(who))

    def _expected(self, ahead: int) -> float:
        """Return the expected seconds until a place is free after the waiting calls."""
        so_far = self._now() - self._begun / self.under_way
        return max(self._usual, so_far) * (ahead + 1) / self._places

    def _full(self, ahead: int) -> ExchangeUnavailableError:
        wait = max(_TO_REPORT, self._expected(ahead))
        return ExchangeUnavailableError(
            f"{self._exchange} has {self.under_way} concurrent calls, the limit of "
            f"MARKETDATA_MAX_CALLS. Try again in {math.ceil(wait)} s.",
            retry_after=math.ceil(wait * 1000) / 1000,
            details={"exchange": self._exchange, "reason": "busy"},
        )
