"""The used part of an exchange's request budget, for operators."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inside.requests import Budget, Limit

import marketdata as md
from marketdata.sim import SimulatedExchange


def test_the_used_share_of_the_window(tmp_path: Path) -> None:
    now = 1_700_000_000.0
    file = tmp_path / "budget.sqlite"
    one, other = (
        Budget(file, "binance", "binance", Limit(0.05, 60.0), lambda: now) for _ in range(2)
    )
    assert one.used == 0.0

    async def spend() -> None:
        await one.acquire(120.0)  # of 1,200 that the window has
        await other.acquire(240.0)

    asyncio.run(spend())
    assert (one.used, other.used) == (0.1, 0.3)
    now += 61
    assert other.used == 0.0


def test_without_a_window_there_is_no_share(tmp_path: Path) -> None:
    file = tmp_path / "budget.sqlite"
    assert Budget(file, "x", "x", Limit(0.1), lambda: 0.0).used is None


@pytest.mark.paced
def test_a_client_reports_it(sim: SimulatedExchange, connect: Callable[..., md.Client]) -> None:
    client = connect(sim)
    client.ticker("BTC/USDT")
    found: Any = client.upstream()[0].budget_used
    assert 0 < found < 0.1
