"""All spot exchanges of ccxt with a server that answers nonsense: always an error code."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from inside.exchanges import connector_class
from inside.markets import Lists

from marketdata import AsyncClient, MarketDataError

from .asking import ASKED, MORE, PAIR, PAIRS, Case, World, keyed, offences, spot
from .loopback import SMALL, Body

EVERYTHING = "HOSTILE" in os.environ
"""Whether each operation of each exchange gets each body; else bodies other than those below are
for the plain operations of some exchanges, of others with the next body."""
FULLY = ("nothing, and the connection closed", "500", "HTML", "{}", "[]", "null", "enveloped {}")

KEY = "Kq7-canary-key"
SECRET = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbg=="  # as long as those that are decoded


async def run(home: Path, bodies: Sequence[Body]) -> list[Case]:
    cases = []
    async with World.begun(home, spot(home)) as world:
        for number, body in enumerate(bodies):
            if EVERYTHING or body.name in FULLY:
                cases += await world.asks_all(body, ASKED + MORE)
            else:
                cases += await world.asks_all(body, ASKED, world.exchanges[number % 4 :: 4])
    return cases


@pytest.mark.parametrize("half", [0, 1])
def test_every_call_ends_with_an_answer_or_a_code(
    half: int, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    cases = asyncio.run(run(home, SMALL[half::2]))
    gc.collect()  # what was not closed says so now, and fails the test

    assert offences(cases) == []
    assert caplog.records == []
    assert len(cases) > 4_000
    asked = {one.exchange for one in cases if one.requests}
    assert set(spot(home)) - asked <= keyed(home)


def test_signed_calls_end_so_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in spot(home):
        for field, value in (("API_KEY", KEY), ("SECRET", SECRET), ("PASSWORD", KEY)):
            monkeypatch.setenv(f"MARKETDATA_{name.upper()}_{field}", value)
    asked = (("fees", PAIR), ("pairs", {}), ("ticker", PAIR), ("quotes", PAIRS))
    bodies = [one for one in SMALL if one.name in ("500", "HTML", "{}", "[]", "null")]

    async def ask() -> list[Case]:
        async with World.begun(home, spot(home)) as world:
            each = [await world.asks_all(body, asked) for body in bodies]
            return [case for cases in each for case in cases]

    cases = asyncio.run(ask())
    assert offences(cases) == []
    assert sum(one.operation == "fees" and one.requests > 0 for one in cases) > 100


def test_a_list_that_ccxt_knows_by_heart_stays_whole(home: Path) -> None:
    names = [name for name in spot(home) if connector_class(name)().known_by_heart]

    async def ask() -> None:
        async with AsyncClient(endpoints=dict.fromkeys(names, "http://127.0.0.1:9")) as client:
            for name in names:
                first = await client.pairs(exchange=name)
                with pytest.raises(MarketDataError):
                    await client.orderbook(first[0].pair, exchange=name)
                Lists(home).forget(name, "http://127.0.0.1:9")
                assert [one.pair for one in await client.pairs(exchange=name)] == [
                    one.pair for one in first
                ]

    assert names
    asyncio.run(ask())
