"""Budgets of machines that share a Redis; each machine is a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from inside.requests import Account, Budget, Limit, within
from redis_server import RedisServer

from marketdata._requests.rate_ledger_redis import SharedLedger
from marketdata.errors import ExchangeUnavailableError

MINUTE = Limit(0.05, 60.0)
"""1,200 units a minute, as binance has them."""
USABLE = 1080
"""The part that all machines may use."""
SPACED = Limit(0.1)
KEY = "marketdata:1:budget:binance"

Machine = Callable[..., Budget]


def calm(server: RedisServer) -> str:
    """Return its URL with longer time limits, for a busy machine."""
    return f"{server.url}?socket_timeout=10&socket_connect_timeout=10"


def machines(folder: Path, server: RedisServer) -> Machine:
    """Return a function that makes the budget of a machine by its name."""

    def machine(name: str, limit: Limit = MINUTE, url: str | None = None) -> Budget:
        file = folder / name / "budget.sqlite"
        return Budget(file, "binance", "binance", limit, redis=url or calm(server))

    return machine


def ledger_of(budget: Budget) -> SharedLedger:
    assert isinstance(budget._ledger, SharedLedger)
    return budget._ledger


def told(ledger: SharedLedger) -> None:
    """Wait until Redis has the data of a machine."""
    ledger._worker.submit(bool).result()


async def spend_all(of: Budget, cost: float = 10.0) -> float:
    """Make requests until one is refused; return the cost of the others."""
    spent = 0.0

    async def spend() -> None:
        nonlocal spent
        while True:
            await of.acquire(cost)
            spent += cost

    with pytest.raises(ExchangeUnavailableError, match="budget of these machines for binance"):
        await within(30, "binance", spend())
    return spent


def spent(of: Budget, cost: float = 10.0) -> float:
    return asyncio.run(spend_all(of, cost))


def refused(of: Budget) -> float | None:
    """Return the seconds for which a call with 30 s is refused; None if it is not."""

    async def ask() -> None:
        await within(30, "binance", of.acquire(1.0))

    try:
        asyncio.run(ask())
    except ExchangeUnavailableError as error:
        return error.retry_after
    return None


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happened():
            await asyncio.sleep(0.01)


def is_back(of: Budget) -> None:
    """Wait until a machine has noticed that Redis is back."""
    asyncio.run(until(lambda: not ledger_of(of)._redis.is_away()))


def account(server: RedisServer) -> Account:
    with server.client() as client:
        return Account.parse(client.hget(KEY, "account").decode())
