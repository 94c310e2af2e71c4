"""Missed bars are requested, and each bar equals the exchange's."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
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

WITH_CANDLES = [name for name in EXCHANGES if NAMES[name].candles]

Bars = dict[datetime, md.Candle]


async def up_to_now(
    client: md.AsyncClient, watch: md.AsyncWatch[md.Candles], seen: Bars
) -> list[md.Candle]:
    """Read until the bar that forms is what REST says of it; give what REST says of them all."""
    rest = await client.candles(PAIR, "1m", limit=30, store=False)
    try:
        async with asyncio.timeout(10):
            while (last := seen.get(rest[-1].open_time)) is None or last.close != rest[-1].close:
                seen |= {one.open_time: one for one in await anext(watch)}
    except TimeoutError:
        raise TimeoutError(f"the bar {rest[-1]} never came; {list(seen.values())[-2:]}") from None
    first = min(seen)
    return [one for one in rest if one.open_time >= first]


def same(seen: Bars, rest: list[md.Candle]) -> None:
    assert list(seen) == [one.open_time for one in rest]
    for one, other in zip(seen.values(), rest, strict=True):
        prices = (one.open, one.high, one.low, one.close, one.volume)
        assert prices == (other.open, other.high, other.low, other.close, other.volume)


@pytest.mark.parametrize("exchange", WITH_CANDLES)
@pytest.mark.parametrize("effect", ["twice", "garbage"])
def test_bars_through_faults(sim: SimulatedExchange, exchange: str, effect: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_candles(PAIR) as watch:
            await subscribed(sim, str(NAMES[exchange].candles))
            seen: Bars = {}
            await sim.advance(30)
            await up_to_now(client, watch, seen)
            sim.faults.add(f"{exchange}:stream/{NAMES[exchange].candles}:{effect},every=3")
            await sim.advance(200)
            sim.faults.clear()
            await sim.advance(10)
            rest = await up_to_now(client, watch, seen)
            assert len(rest) > 2
            same(seen, rest)
            assert stream(client, "candles").reconnects == 0

    run(work())


@pytest.mark.parametrize("exchange", WITH_CANDLES)
def test_bars_of_the_time_without_a_socket_are_fetched(
    sim: SimulatedExchange, exchange: str
) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_candles(PAIR) as watch:
            await subscribed(sim, str(NAMES[exchange].candles))
            seen: Bars = {}
            await sim.advance(90)
            await up_to_now(client, watch, seen)
            for minutes in (1, 5):
                sim.hang_up()
                await until(lambda: not held(sim))
                sim.clock.move(sim.clock.now() + 60_000 * minutes)
                await subscribed(sim, str(NAMES[exchange].candles))
                await sim.advance(10)
                same(seen, await up_to_now(client, watch, seen))
            assert len(seen) > 6
            told = stream(client, "candles")
            assert (told.reconnects, told.resyncs) == (2, 2)

    run(work())


def test_bars_lost_in_the_stream_are_fetched(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_candles(PAIR) as watch:
            await subscribed(sim, "kline_1m/BTCUSDT")
            seen: Bars = {}
            await sim.advance(90)
            await up_to_now(client, watch, seen)
            sim.faults.add("binance:stream/kline_1m/BTCUSDT:lose,times=200")
            await sim.advance(235)
            same(seen, await up_to_now(client, watch, seen))
            assert len(seen) > 4
            told = stream(client, "candles")
            assert (told.gaps, told.resyncs, told.reconnects) == (1, 1, 0)

    run(work())


def test_who_looks_while_bars_are_fetched_misses_none(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_candles(PAIR) as watch:
            await subscribed(sim, "kline_1m/BTCUSDT")
            await sim.advance(30)
            await until(lambda: watch.waiting)
            found = list(await anext(watch))
            await sim.advance(5)
            await until(lambda: watch.waiting)  # and is not taken before it is too late
            sim.hang_up()
            await until(lambda: not held(sim))
            sim.clock.move(sim.clock.now() + 300_000)
            await subscribed(sim, "kline_1m/BTCUSDT")
            sim.faults.add("binance:*/klines:latency=0.5,times=1")
            sim.forget()
            await sim.advance(2)
            await until(lambda: [one for one in sim.requests if "klines" in one.path])
            rest = await client.candles(PAIR, "1m", limit=1, store=False)
            async with asyncio.timeout(10):
                while found[-1].open_time != rest[-1].open_time:
                    more = await anext(watch)
                    assert more[0].open_time <= found[-1].open_time
                    steps = [b.open_time - a.open_time for a, b in pairwise(more)]
                    assert set(steps) <= {timedelta(minutes=1)}
                    found += more

    run(work())


def test_bars_are_fetched_although_the_exchange_stumbles(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim, retries=1) as client, client.watch_candles(PAIR) as watch:
            await subscribed(sim, "kline_1m/BTCUSDT")
            seen: Bars = {}
            await sim.advance(30)
            await up_to_now(client, watch, seen)
            sim.hang_up()
            await until(lambda: not held(sim))
            sim.clock.move(sim.clock.now() + 300_000)
            await subscribed(sim, "kline_1m/BTCUSDT")
            sim.faults.add("binance:*/klines:status=503,times=1")
            await sim.advance(2)
            await until(lambda: [one for one in sim.requests if one.status == 503])
            await sim.advance(10)
            same(seen, await up_to_now(client, watch, seen))

    run(work())


def test_every_record_of_candles(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_candles(PAIR, delivery="every") as watch:
            await subscribed(sim, "kline_1m/BTCUSDT")
            await sim.advance(150)
            await until(lambda: watch.waiting == 150)
            found = await watch.batch()
            assert max(len(one) for one in found) == 2
            volumes: dict[datetime, list[float]] = {}
            for one in found:
                for bar in one:
                    volumes.setdefault(bar.open_time, []).append(bar.volume or 0.0)
            assert all(each == sorted(each) for each in volumes.values())
            assert len(volumes) >= 3

    run(work())


def test_a_reader_that_sleeps_misses_no_bar(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with (
            client_of(sim) as client,
            client.watch_candles(PAIR) as slow,
            client.watch_candles(PAIR) as fast,
        ):
            await subscribed(sim, "kline_1m/BTCUSDT")
            await sim.advance(30)
            await until(lambda: stream(client, "candles").messages == 30)
            first = await anext(slow)
            seen: Bars = {}
            await up_to_now(client, fast, seen)
            for _ in range(10):
                await sim.advance(60)
                await up_to_now(client, fast, seen)
            found = await anext(slow)
            assert found[0].open_time == first[-1].open_time
            same({one.open_time: one for one in found}, list(seen.values()))

    run(work())


def test_lengths_of_bars_are_not_mixed(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with (
            client_of(sim) as client,
            client.watch_candles(PAIR, "1m") as one,
            client.watch_candles(PAIR, "5m") as five,
        ):
            await subscribed(sim, "kline_1m/BTCUSDT", "kline_5m/BTCUSDT")
            await sim.advance(400)
            for watch, timeframe in ((one, "1m"), (five, "5m")):
                rest = await client.candles(PAIR, timeframe, limit=3, store=False)
                async with asyncio.timeout(10):
                    async for found in watch:
                        assert found.timeframe == timeframe
                        if found[-1].close == rest[-1].close:
                            break
                assert found[-1].open_time == rest[-1].open_time
                assert found[-1].volume == rest[-1].volume

    run(work())


@pytest.mark.parametrize("exchange", WITH_CANDLES)
def test_a_length_that_the_exchange_does_not_have(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client:
            with pytest.raises(md.TimeframeNotSupportedError):
                await anext(client.watch_candles(PAIR, "7m"))
            assert sim.sockets == []

    run(work())


@pytest.mark.parametrize("exchange", WITH_CANDLES)
def test_bars_go_on_after_a_quiet_time(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_candles(PAIR) as watch:
            await subscribed(sim, str(NAMES[exchange].candles))
            seen: Bars = {}
            await flowing(sim, lambda: watch.waiting)
            for _ in range(5):
                await sim.advance(45)
                await up_to_now(client, watch, seen)
            assert stream(client, "candles").state == "live"

    run(work())
