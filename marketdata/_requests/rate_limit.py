"""The rate limit of one exchange, shared with all processes of the machine.

Exchanges count requests by address, so all processes behind an address share a budget; with
MARKETDATA_REDIS also several machines. If the limit has a time window, a process leases a small
part of it, for at most a second, and spends that without access to the shared ledger. If the
exchange requires a minimum interval, each request reserves its turn in the ledger.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from marketdata._requests.deadline import is_patient, rest, seconds_left
from marketdata._requests.rate_ledger import (
    AHEAD,
    PATIENT_SHARE,
    SHARE,
    SOON,
    Account,
    Answer,
    Ledger,
    Limit,
    ledger,
)
from marketdata.errors import ExchangeUnavailableError

T = TypeVar("T")
Step = Callable[[Account, float], T]

_WATCHED = 0.5
"""Used share of the window below which other users do not matter."""

_NEVER = -math.inf
"""The start of a lease that does not exist."""


class Budget:
    """The requests that one connection may send; it belongs to one event loop.

    ``source`` is the exchange's name in the ledger, ``exchange`` its name in messages.
    """

    def __init__(
        self,
        file: Path,
        source: str,
        exchange: str,
        limit: Limit,
        clock: Callable[[], float] = time.monotonic,
        *,
        redis: str | None = None,
        kept: Ledger | None = None,
    ) -> None:
        """Use the accounts in a file, or those in a Redis, which has its own clock.

        `kept` replaces the file's ledger that the process shares.
        """
        if redis is None and kept is not None:
            self._ledger, self._clock, self._whose = kept, clock, "this machine"
        elif redis is None:
            self._ledger, self._clock, self._whose = ledger(file), clock, "this machine"
        else:
            # Most programs run on one machine.
            from marketdata._requests.rate_ledger_redis import shared_ledger

            shared = shared_ledger(file, redis)
            self._ledger, self._clock, self._whose = shared, shared.clock, "these machines"
        self._source = source
        self._exchange = exchange
        self._limit = limit
        self._renewing = asyncio.Lock()
        self._since = _NEVER
        self._leased = 0.0
        self._left = 0.0
        """Start of the last lease, its units, and its remaining units."""
        self._ended = 0
        """Number of leases that ended early."""
        self._used = 0.0
        """Used units of the window when the ledger was last read."""
        self._full: dict[bool, tuple[float, float]] = {}
        """Start and end of the time without free units, for patient calls and for others."""
        self._waiting = 0.0
        """Units that calls are waiting for."""

    @property
    def used(self) -> float | None:
        """Used share of the window when the ledger was last read.

        0.0 once that window has passed; None if the limit has no window.
        """
        window = self._limit.window
        if window is None:
            return None
        has_passed = self._since != _NEVER and self._clock() - self._since > window
        return 0.0 if has_passed else self._used / self._limit.units

    def spend(self, cost: float) -> bool:
        """Spend units of the lease; False if it has too few."""
        if cost > self._left or not 0 <= self._clock() - self._since < self._limit.lease:
            return False
        self._left -= cost
        return True

    async def acquire(self, cost: float) -> None:
        """Wait until a request of this cost may be made.

        Raises `ExchangeUnavailableError` at once if that takes longer than the running call's
        timeout, unless the call is patient.
        """
        turn = 0.0
        ahead = self._waiting
        self._waiting += cost
        try:
            if self._limit.window is None:
                turn = await self._reserve(cost, ahead)
            else:
                await self._lease(cost)
        finally:
            self._waiting -= cost
        if turn > 0:
            await rest(turn)

    def block(self, seconds: float) -> None:
        """Let all processes pause for a time that the exchange has requested."""
        self._end_lease()
        self._ledger.block(self._source, seconds, self._clock)

    def correct(self, used: float) -> None:
        """Note the used share of the window that the exchange reports."""
        units = used * self._limit.units
        if used > _WATCHED and units > self._used:
            self._end_lease()
            step = partial(Account.correct, limit=self._limit, units=units)
            self._used = self._ledger.tell(self._source, step, self._clock) or self._used

    def _end_lease(self) -> None:
        """End the lease, so that the next request reads the ledger."""
        self._since = _NEVER
        self._ended += 1

    async def _lease(self, cost: float) -> None:
        """Spend units of the lease, or of the next one once the window has free units."""
        patient = is_patient()
        while not self.spend(cost):
            async with self._renewing:  # whoever waited for that finds a new lease
                if self.spend(cost):
                    return
                now = self._clock()
                since, until = self._full.get(patient, (0.0, 0.0))
                wait = until - now if since <= now else 0.0
                if wait < SOON:
                    step = self._next_lease(cost, patient)
                    self._left = 0.0  # that step returns it
                    ended = self._ended
                    answer = await self._ledger.ask(self._source, step, self._clock)
                    if ended != self._ended:  # meanwhile
                        continue
                    self._since, self._used = answer.since, answer.used
                    self._leased = answer.units or 0.0
                    self._left = max(0.0, self._leased - cost)
                    if answer.units is not None:
                        return
                    wait = answer.wait
            self._check(wait)
            self._full[patient] = (now, now + wait)
            await rest(wait)

    def _next_lease(self, cost: float, patient: bool) -> Step[Answer]:
        since, left, leased, waiting = self._since, self._left, self._leased, self._waiting

        def step(account: Account, now: float) -> Answer:
            account.give_back(since, left)
            # As much as was spent of the last lease, or twice that if it was too small: so a single
            # call leases what it needs, and a download what it needs for a second.
            runs = 0 <= now - since < self._limit.lease
            wanted = max(2 * leased if runs else leased - left, waiting)
            most = self._limit.lease / self._limit.seconds_per_unit
            share = PATIENT_SHARE if patient else SHARE
            return account.grant(now, self._limit, cost, min(wanted, most), share)

        return step

    async def _reserve(self, cost: float, ahead: float) -> float:
        """Reserve a turn after the units that other calls wait for; return the seconds to it."""
        wait = ahead * self._limit.seconds_per_unit
        while True:
            if wait > 0:
                self._check(wait)
                await rest(wait)
            longest = math.inf if is_patient() else seconds_left(math.inf)
            step = partial(Account.reserve, limit=self._limit, cost=cost, longest=longest)
            answer = await self._ledger.ask(self._source, step, self._clock)
            if answer.units is not None:
                return answer.wait
            self._check(answer.wait)
            wait = answer.wait - AHEAD

    def _check(self, wait: float) -> None:
        if not is_patient() and wait >= seconds_left(math.inf):
            raise ExchangeUnavailableError(
                f"The request budget of {self._whose} for {self._exchange} is used up. "
                f"Try again in {math.ceil(wait)} s.",
                retry_after=math.ceil(wait * 1000) / 1000,
                details={"exchange": self._exchange, "reason": "rate_limited"},
            )
