"""Helpers for tests of the request budget: a clock that costs no time, and budgets with it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from inside.requests import Budget, Limit, within

from marketdata.errors import ExchangeUnavailableError

T0 = 1_790_000_000.0
BINANCE = Limit(0.05, 60.0)
"""1,200 units a minute."""
USABLE = 1080
"""The part that all processes may use."""
KLINES = 0.4
COINBASE = Limit(0.1)
WEIGHT = "x-mbx-used-weight-1m"


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps forward whenever there is nothing to do."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        select = self._selector.select

        def skip(timeout: float | None = None) -> Any:
            found = select(0 if timeout is not None else None)
            if not found and timeout:
                self._now += timeout
            return found

        self._selector.select = skip  # type: ignore[method-assign]

    def time(self) -> float:
        return self._now


def play(main: Callable[[], Awaitable[Any]]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def virtual() -> float:
    return T0 + asyncio.get_running_loop().time()


def budget(file: Path, limit: Limit = BINANCE, clock: Callable[[], float] = virtual) -> Budget:
    return Budget(file, "binance", "binance", limit, clock)


def account(file: Path, source: str = "binance") -> dict[str, Any]:
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT account FROM account WHERE source = ?", [source])
        return json.loads(rows.fetchone()[0])


def granted(file: Path, source: str = "binance") -> float:
    return sum(units for _, units in account(file, source)["granted"])


async def spend_all(of: Budget, cost: float = 10.0) -> float:
    """Make requests until one is refused; return the cost of the others."""
    spent = 0.0

    async def spend() -> None:
        nonlocal spent
        while True:
            await of.acquire(cost)
            spent += cost

    with pytest.raises(ExchangeUnavailableError, match="budget of this machine for binance"):
        await within(30, "binance", spend())
    return spent


def spent_at(file: Path, now: float, cost: float = 10.0) -> float:
    """Spend the whole budget at a fixed time."""
    spent: float = play(lambda: spend_all(budget(file, clock=lambda: now), cost))
    return spent


async def refused(of: Budget, seconds: float = 30.0) -> float | None:
    """Return the seconds for which a call with a deadline is refused; None if it is not."""
    try:
        await within(seconds, "binance", of.acquire(1.0))
    except ExchangeUnavailableError as error:
        return error.retry_after
    return None
