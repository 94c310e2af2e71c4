"""Trades: none is lost or repeated, and all are in order, with any fault."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import (
    EXCHANGES,
    NAMES,
    PAIR,
    client_of,
    flowing,
    held,
    run,
    stream,
    subscribed,
    until,
)

NUMBERED = [name for name in EXCHANGES if name in ("binance", "coinbaseexchange")]
"""Exchanges whose trades are numbered without a hole."""


def numbers(trades: list[md.Trade]) -> list[int]:
    return [int(str(trade.id)) for trade in trades]


async def up_to_now(
    client: md.AsyncClient, watch: md.AsyncWatch[md.Trade], found: list[md.Trade]
) -> list[int]:
    """Read until the exchange's newest trade was handed out; give the numbers of all."""
    [newest] = await client.trades(PAIR, limit=1)
    async with asyncio.timeout(10):
        while not found or numbers(found)[-1] < int(str(newest.id)):
            found += await watch.batch()
    return numbers(found)


def holes(found: list[int]) -> list[tuple[int, int]]:
    """Return the neighbours that are none."""
    return [(one, other) for one, other in pairwise(found) if other != one + 1]


@pytest.mark.parametrize("exchange", NUMBERED)
@pytest.mark.parametrize("effect", ["lose", "twice", "swap", "garbage", "flood=20"])
def test_trades_through_faults(sim: SimulatedExchange, exchange: str, effect: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_trades(PAIR) as watch:
            await subscribed(sim, NAMES[exchange].trades)
            found: list[md.Trade] = []
            await flowing(sim, lambda: watch.waiting)
            rule = f"{effect},every=4,times=8"
            sim.faults.add(f"{exchange}:stream/{NAMES[exchange].trades}:{rule}")
            await sim.advance(60)
            sim.faults.clear()
            # What comes next tells that something is missing before it.
            last = watch.waiting
            await flowing(sim, lambda: watch.waiting > last + 1)
            found += await watch.batch()
            ids = await up_to_now(client, watch, found)
            assert len(ids) > 25
            assert holes(ids) == []
            told = stream(client, "trades")
            assert (told.gaps > 0) == (effect in ("lose", "swap"))
            assert (told.reconnects, watch.dropped, told.error) == (0, 0, None)
            assert [one for one in found if one.is_stale] == []

    run(work())


@pytest.mark.parametrize("exchange", NUMBERED)
def test_trades_of_the_time_without_a_socket_are_fetched(
    sim: SimulatedExchange, exchange: str
) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_trades(PAIR) as watch:
            await subscribed(sim, NAMES[exchange].trades)
            found: list[md.Trade] = []
            await flowing(sim, lambda: watch.waiting)
            for count in range(1, 4):
                sim.hang_up()
                await until(lambda: not held(sim))
                sim.clock.move(sim.clock.now() + 30_000)
                await subscribed(sim, NAMES[exchange].trades)
                had = watch.waiting
                await flowing(sim, lambda n=had: watch.waiting > n)
                found += await watch.batch()
                ids = await up_to_now(client, watch, found)
                assert holes(ids) == []
                told = stream(client, "trades")
                assert (told.reconnects, told.gaps) == (count, count)
            assert len(ids) > 50

    run(work())


def test_a_gap_of_thousands(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_trades(PAIR) as watch:
            await subscribed(sim, "trade/BTCUSDT")
            await flowing(sim, lambda: watch.waiting)
            sim.hang_up()
            await until(lambda: not held(sim))
            sim.clock.move(sim.clock.now() + 1_800_000)
            await subscribed(sim, "trade/BTCUSDT")
            had = watch.waiting
            await flowing(sim, lambda: watch.waiting > had)
            ids = await up_to_now(client, watch, [])
            assert len(ids) > 2_000
            assert holes(ids) == []

    run(work())


def test_a_gap_is_closed_although_the_exchange_stumbles(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim, retries=1) as client, client.watch_trades(PAIR) as watch:
            await subscribed(sim, "trade/BTCUSDT")
            await flowing(sim, lambda: watch.waiting)
            sim.faults.add("binance:*istoricalTrades:status=503,times=1")
            sim.faults.add("binance:stream/trade/BTCUSDT:lose,times=2")
            await flowing(sim, lambda: stream(client, "trades").gaps)
            await flowing(sim, lambda: watch.waiting > 3)
            assert holes(await up_to_now(client, watch, [])) == []

    run(work())


def test_frames_that_change_places_at_the_start(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            sim.faults.add("binance:stream/trade/BTCUSDT:swap,times=1")
            async with client.watch_trades(PAIR) as watch:
                await subscribed(sim, "trade/BTCUSDT")
                await flowing(sim, lambda: watch.waiting > 4)
                ids = await up_to_now(client, watch, [])
                assert ids == sorted(set(ids))

    run(work())


@pytest.mark.parametrize("exchange", [name for name in EXCHANGES if name not in NUMBERED])
def test_trades_without_numbers_go_on_after_a_loss(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_trades(PAIR) as watch:
            await subscribed(sim, NAMES[exchange].trades)
            await flowing(sim, lambda: watch.waiting > 2)
            sim.faults.add(f"{exchange}:stream/{NAMES[exchange].trades}:twice,every=2")
            sim.hang_up()
            await until(lambda: not held(sim))
            await subscribed(sim, NAMES[exchange].trades)
            had = watch.waiting
            await flowing(sim, lambda: watch.waiting > had + 5)
            found = await watch.batch()
            ids = [one.id for one in found]
            assert len(set(ids)) == len(ids)
            times = [one.timestamp for one in found]
            assert times == sorted(times)
            assert stream(client, "trades").reconnects == 1

    run(work())


def test_the_latest_trade_is_handed_out_once(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_trades(PAIR, delivery="latest") as watch:
            await subscribed(sim, "trade/BTCUSDT")
            await flowing(sim, lambda: watch.waiting)
            first = await anext(watch)
            sim.hang_up()
            await until(lambda: stream(client, "trades").reconnects == 1)
            await subscribed(sim, "trade/BTCUSDT")
            await flowing(sim, lambda: watch.waiting)
            second = await anext(watch)
            assert (first.id, first.stale) != (second.id, None)
            assert int(str(second.id)) > int(str(first.id))

    run(work())
