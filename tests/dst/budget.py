"""The request budget in a virtual world: its file, the processes that share it, its window."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from inside.requests import Account, Budget, Ledger, Limit

from .quota import _failed
from .world import World

LIMIT = Limit(0.5, 60.0)
"""120 units a minute."""
NOWHERE = Path("/nowhere/budget.sqlite")
SECONDS = 200.0


class VirtualLedger:
    """A file of accounts on a disk that fails now and then."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._accounts: dict[str, str] = {}

    def transact(
        self, _: Path, source: str, step: Any, clock: Callable[[], float], __: float
    ) -> Any:
        """Do a step on an account, as `_in_file` does it on a real one."""
        happens = self._world.happens
        if happens(0.2):
            raise _failed(sqlite3.SQLITE_BUSY)
        account = Account.parse(self._accounts.get(source, ""))
        now = clock()
        account.settle(now)
        given = step(account, now)
        if happens(0.03):  # the commit is lost
            raise _failed(sqlite3.SQLITE_FULL)
        self._accounts[source] = account.text()
        if happens(0.03):  # or what tells that it was not
            raise _failed(sqlite3.SQLITE_IOERR)
        return given


def use(kind: type[Budget] = Budget) -> Callable[[World], Awaitable[None]]:
    """Have processes ask as fast as they may while things go wrong; check what was asked."""

    async def work(world: World) -> None:
        file = VirtualLedger(world)
        sent: list[tuple[float, float]] = []
        booted = 0.0

        def clock() -> float:
            return world.now - booted

        def begin() -> asyncio.Task[None]:
            mine = kind(NOWHERE, "x", "x", LIMIT, clock, kept=Ledger(NOWHERE, file.transact))
            return asyncio.create_task(_process(world, mine, sent))

        ends = world.now + SECONDS
        processes = [begin() for _ in range(3)]
        while world.now < ends:
            await world.passes(60.0)
            if world.happens(0.2):  # the machine is started anew, and its clock with it
                for one in processes:
                    one.cancel()
                booted = world.now
                processes = [begin() for _ in range(3)]
            else:
                killed = world.random.randrange(3)
                processes[killed].cancel()
                processes[killed] = begin()
        for one in processes:
            one.cancel()
        await asyncio.gather(*processes, return_exceptions=True)
        _check(sent)

    return work


async def _process(world: World, budget: Budget, sent: list[tuple[float, float]]) -> None:
    async def caller() -> None:
        while True:
            cost = float(world.random.choice((1, 1, 1, 2, 5)))
            await budget.acquire(cost)
            sent.append((world.now, cost))
            # Bursts, so that leases are large, and pauses, so that they are not used up.
            await world.passes(world.random.choice((0.01, 0.01, 0.1, 0.1, 3.0)))

    callers = [asyncio.create_task(caller()) for _ in range(3)]
    try:
        await asyncio.gather(*callers)
    finally:
        for one in callers:
            one.cancel()


def _check(sent: list[tuple[float, float]]) -> None:
    """No window of the exchange's may hold more than it allows, wherever it begins."""
    first, total = 0, 0.0
    assert LIMIT.window is not None
    for at, cost in sent:
        total += cost
        while sent[first][0] <= at - LIMIT.window:
            total -= sent[first][1]
            first += 1
        assert total <= LIMIT.units, (at, total)
    assert sent, "nothing was asked"
