"""The requests that may be made to one exchange, shared with all processes of the machine.

Exchanges count requests by address, so everything behind one address spends from the same budget.
Where an exchange adds requests up over a window of time, a process takes a small lease out of the
window, for a second at most, and spends it without a look at the ledger that all share. Where it
wants requests to keep a distance, each request reserves its turn there.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from marketdata._deadline import is_patient, rest, seconds_left
from marketdata._ledger import (
    AHEAD,
    PATIENT_SHARE,
    SHARE,
    Account,
    Answer,
    LedgerBusyError,
    Limit,
    ledger,
)
from marketdata.errors import ExchangeUnavailableError

T = TypeVar("T")
Step = Callable[[Account, float], T]

_WATCHED = 0.5
"""Share of its window up to which it does not matter who else uses it."""

_GIVE_UP = 2.0
"""Seconds after which a ledger that somebody holds locked is done without."""


_NEVER = -math.inf
"""When a lease began that there is not, or no longer."""


class Budget:
    """What one connection may ask of an exchange; it belongs to one event loop.

    ``source`` is the exchange's name in the ledger, ``exchange`` that in messages.
    """

    def __init__(
        self,
        file: Path,
        source: str,
        exchange: str,
        limit: Limit,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger(file)
        self._source = source
        self._exchange = exchange
        self._limit = limit
        self._clock = clock
        self._since = _NEVER
        self._leased = 0.0
        self._left = 0.0
        """When the last lease began, how many units it had, and how many it has."""
        self._used = 0.0
        """Units of the window that all had taken when the ledger was last asked."""
        self._full: dict[bool, tuple[float, float]] = {}
        """Since when and until when the window has no room, for patient calls and for others."""
        self._waiting = 0.0
        """Units that calls are waiting for."""

    def spend(self, cost: float) -> bool:
        """Spend units of the lease; False where it does not have so many."""
        if cost > self._left or not 0 <= self._clock() - self._since < self._limit.lease:
            return False
        self._left -= cost
        return True

    async def take(self, cost: float) -> None:
        """Wait until a request of this cost may be made.

        Raises `ExchangeUnavailableError` at once where that takes longer than the running call
        may, unless that is patient.
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
        """Have every process leave the exchange alone for so long: it has asked for that."""
        self._since = _NEVER
        self._tell(partial(Account.block, seconds=seconds), patience=0.25)

    def correct(self, used: float) -> None:
        """Take in which share of the window the exchange says is used, by whomever."""
        units = used * self._limit.units
        if used > _WATCHED and units > self._used:
            self._since = _NEVER  # the next request sees whether there is room
            found = self._tell(partial(Account.correct, limit=self._limit, units=units))
            self._used = found or self._used

    async def _lease(self, cost: float) -> None:
        """Spend units of the lease, or of the next one once the window has room for that."""
        patient = is_patient()
        while not self.spend(cost):
            now = self._clock()
            since, until = self._full.get(patient, (0.0, 0.0))
            wait = until - now if since <= now else 0.0
            if wait <= 0:
                answer = await self._ask(self._next_lease(cost, patient))
                self._since, self._leased, self._used = answer.since, answer.units or 0, answer.used
                self._left = max(0.0, self._leased - cost)
                if answer.units is not None:
                    return
                wait = answer.wait
            self._check(wait)
            self._full[patient] = (now, now + wait)
            await rest(wait)

    def _next_lease(self, cost: float, patient: bool) -> Step[Answer]:
        def step(account: Account, now: float) -> Answer:
            account.give_back(self._since, self._left)
            # As much as was spent of the last one, and twice that where it did not do: so a single
            # call takes what it needs, and a download a second's worth.
            spent = self._leased - self._left
            runs = 0 <= now - self._since < self._limit.lease
            wanted = max(2 * self._leased if runs else spent, self._waiting)
            most = self._limit.lease / self._limit.seconds_per_unit
            share = PATIENT_SHARE if patient else SHARE
            return account.grant(now, self._limit, cost, min(wanted, most), share)

        return step

    async def _reserve(self, cost: float, ahead: float) -> float:
        """Reserve a turn behind what other calls wait for, in units; give the seconds to it."""
        wait = ahead * self._limit.seconds_per_unit
        while True:
            if wait > 0:
                self._check(wait)
                await rest(wait)
            longest = math.inf if is_patient() else seconds_left(math.inf)
            answer = await self._ask(
                partial(Account.reserve, limit=self._limit, cost=cost, longest=longest)
            )
            if answer.units is not None:
                return answer.wait
            self._check(answer.wait)
            wait = answer.wait - AHEAD

    def _check(self, wait: float) -> None:
        if not is_patient() and wait >= seconds_left(math.inf):
            raise ExchangeUnavailableError(
                f"The request budget of this machine for {self._exchange} is used up; it is free "
                f"again in {math.ceil(wait)} s.",
                retry_after=math.ceil(wait * 1000) / 1000,
                details={"exchange": self._exchange},
            )

    async def _ask(self, step: Step[T]) -> T:
        """Do a step on the account, as soon as no other process is at the ledger."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + _GIVE_UP
        while True:
            try:
                return self._ledger.change(self._source, step, self._clock)
            except LedgerBusyError:
                if loop.time() > ends:
                    self._ledger.turn_to_memory()
            await asyncio.sleep(random.uniform(0.001, 0.01))  # noqa: S311 no secret

    def _tell(self, step: Step[T], patience: float = 0.0) -> T | None:
        """Do a step on the account; None where other processes are at the ledger for too long."""
        try:
            return self._ledger.change(self._source, step, self._clock, patience)
        except LedgerBusyError:
            return None
