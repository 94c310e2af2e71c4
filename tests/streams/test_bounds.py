"""Memory is bounded."""

from __future__ import annotations

import asyncio
import gc

import pytest

from marketdata._streams import wired_books
from marketdata.sim import SimulatedExchange

from .live import (
    PAIR,
    all_live,
    as_rest,
    client_of,
    flowing,
    held,
    run,
    stream,
    subscribed,
    until,
)


def test_a_buffer_is_as_large_as_it_was_to_be(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with (
            client_of(sim) as client,
            client.watch_orderbook(PAIR, 1, delivery="every", buffer=50) as watch,
        ):
            await all_live(client)
            for _ in range(2):
                await sim.advance(15)
                await until(lambda: watch.waiting == 50)
            await until(lambda: stream(client).messages == 300)
            assert watch.dropped == stream(client).dropped == 301 - 50

    run(work())


def test_the_memory_of_a_book_stays(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            await sim.advance(30)
            await as_rest(client, watch)
            after_a_minute = stream(client).memory
            await sim.advance(60)
            await as_rest(client, watch)
            assert stream(client).memory < 1.5 * after_a_minute
            assert stream(client).memory < 40_000_000

    run(work())


def test_frames_that_wait_for_the_whole_book_are_bounded(
    sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wired_books, "_ROOM", 50)

    async def work() -> None:
        async with client_of(sim) as client:
            sim.faults.add("binance:*/depth:latency=2,times=1")
            async with client.watch_orderbook(PAIR) as watch:
                await subscribed(sim, "depth/BTCUSDT")
                await until(lambda: [one for one in sim.requests if "depth" in one.path])
                await sim.advance(15)
                await until(lambda: stream(client).messages == 150)
                assert stream(client).memory < 60 * 400
                await flowing(sim, lambda: stream(client).state == "live", step=0.1)
                await sim.advance(0.2)
                await as_rest(client, watch)

    run(work())


def test_ids_of_trades_are_forgotten(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_trades(PAIR, buffer=100) as watch:
            await subscribed(sim, "trade/BTCUSDT")
            sim.faults.add("binance:stream/trade/BTCUSDT:flood=6000,times=1")
            await flowing(sim, lambda: stream(client, "trades").messages > 6_000)
            assert watch.waiting == 100
            assert stream(client, "trades").memory < 5_000 * 180 + 100 * 500 + 10_000

    run(work())


def test_watchers_that_come_and_go_leave_nothing(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with (
            client_of(sim) as client,
            client.watch_orderbook(PAIR),
            client.watch_candles(PAIR),
        ):
            await until(lambda: len(held(sim)) == 2)
            await until(lambda: stream(client).state == "live")

            async def come_and_go() -> int:
                for _ in range(40):
                    async with client.watch_orderbook(PAIR, 5) as watch:
                        await anext(watch)
                    async with client.watch_candles(PAIR) as candles:
                        await sim.advance(0.1)
                        del candles
                gc.collect()
                return len(gc.get_objects())

            await come_and_go()
            first = await come_and_go()
            second = await come_and_go()
            assert second - first < 500
            assert [one.watchers for one in client.streams()] == [1, 1]

    run(work())


def test_a_watcher_that_never_reads_the_latest_costs_nothing(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as never:
            await all_live(client)
            await sim.advance(10)
            before = stream(client).memory
            await sim.advance(20)
            await until(lambda: stream(client).messages == 300)
            assert never.waiting == 1
            assert stream(client).memory < 1.3 * before
            await asyncio.sleep(0)

    run(work())
