"""A broken silent stream is detected, marked and repaired; a quiet one is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import (
    EXCHANGES,
    NAMES,
    OTHER,
    PAIR,
    all_live,
    as_rest,
    client_of,
    flowing,
    held,
    levels,
    newest,
    run,
    said,
    stream,
    subscribed,
    until,
)

Patience = Callable[[float], None]


@pytest.mark.parametrize(
    ("exchange", "kind"),
    [
        *((name, "orderbook") for name in EXCHANGES),
        ("binance", "quote"),
        ("kraken", "quote"),
        ("binance", "ticker"),
        ("coinbaseexchange", "ticker"),
    ],
)
def test_a_silent_subject_is_marked_and_begun_anew(
    sim: SimulatedExchange, patience: Patience, exchange: str, kind: str
) -> None:
    async def work() -> None:
        async with (
            client_of(sim, exchange, timeout=2) as client,
            getattr(client, f"watch_{kind}")(PAIR) as watch,
        ):
            other = client.watch_trades(OTHER)
            await other.open()
            await flowing(sim, lambda: watch.waiting)
            before = await anext(watch)
            assert (before.stale, before.is_stale) == (None, False)
            [channel] = {name.split("/")[0] for name in held(sim)} - {
                NAMES[exchange].trades.split("/")[0]
            }
            sim.faults.add(f"{exchange}:stream/{channel}/*:silence=40,times=1")
            await sim.advance(39)
            patience(0.3)
            found = await newest(watch, lambda one: one.stale is True)
            sim.clock.move(sim.clock.now() + 2_000)  # when it may speak again
            assert found.is_stale
            assert found.received_at >= before.received_at
            told = stream(client, kind)
            assert told.state in ("stale", "reconnecting", "connecting", "live")
            sim.faults.clear()
            await until(lambda: stream(client, kind).reconnects, what=client.streams)
            patience(5)
            await until(lambda: len(held(sim)) == 2, what=lambda: held(sim))
            await flowing(sim, lambda: stream(client, kind).state == "live")
            again = await newest(watch, lambda one: one.stale is None)
            assert again.received_at > found.received_at
            assert not again.is_stale
            await other.close()

    run(work())


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_silent_socket_is_replaced(
    sim: SimulatedExchange, patience: Patience, exchange: str
) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client:
            watch, other = client.watch_orderbook(PAIR), client.watch_orderbook(OTHER)
            async with watch, other:
                await all_live(client, 2)
                await sim.advance(1)
                await as_rest(client, watch)
                await as_rest(client, other, pair=OTHER)
                sim.faults.add(f"{exchange}:stream/*:silence=100000,times=1")
                await sim.advance(40)
                patience(0.3)
                for each in (watch, other):
                    assert (await newest(each, lambda one: one.stale is True)).is_stale
                sim.faults.clear()
                await until(lambda: all(one.reconnects for one in client.streams()))
                patience(5)
                await all_live(client, 2)
                await sim.advance(1)
                assert not (await as_rest(client, watch)).is_stale
                assert not (await as_rest(client, other, pair=OTHER)).is_stale

    run(work())


def test_a_stream_with_nothing_to_say_is_left_alone(
    sim: SimulatedExchange, patience: Patience
) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            books, quotes = client.watch_orderbook(PAIR), client.watch_quote(PAIR)
            trades, candles = client.watch_trades(PAIR), client.watch_candles(PAIR)
            ticker = client.watch_ticker(PAIR)
            async with books, quotes, trades, candles, ticker:
                await until(lambda: len(held(sim)) == 5)
                await sim.advance(50)
                await until(lambda: stream(client).messages == 500)
                await all_live(client, 5)
                patience(0.2)
                first = await anext(books)
                received = [first.received_at]
                async with asyncio.timeout(10):
                    while len(received) < 3:
                        again = await anext(books)
                        assert levels(again) == levels(first)
                        assert not again.is_stale
                        received.append(again.received_at)
                assert received == sorted(set(received))
                told = client.streams()
                assert [one.reconnects for one in told] == [0] * 5
                assert {one.state for one in told} == {"live"}
                assert len(said(sim, '"SUBSCRIBE"')) == 5

    run(work())


def test_looking_elsewhere_grows_rare(sim: SimulatedExchange, patience: Patience) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR):
            await all_live(client)
            sim.forget()
            patience(0.1)
            await asyncio.sleep(1.6)
            asked = [one for one in sim.requests if one.path.endswith("/depth")]
            assert 2 <= len(asked) <= 5
            assert stream(client).reconnects == 0

    run(work())


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_silent_trades_are_noticed_and_fetched(
    sim: SimulatedExchange, patience: Patience, exchange: str
) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_trades(PAIR) as watch:
            await subscribed(sim, NAMES[exchange].trades)
            await flowing(sim, lambda: watch.waiting > 3)
            rule = f"{exchange}:stream/{NAMES[exchange].trades}:silence=100000,times=1"
            sim.faults.add(rule)
            await sim.advance(60)
            patience(0.3)
            await until(lambda: stream(client, "trades").reconnects, what=client.streams)
            patience(5)
            sim.faults.clear()
            await subscribed(sim, NAMES[exchange].trades)
            had = watch.waiting
            await flowing(sim, lambda: watch.waiting > had + 3)
            found = await watch.batch()
            assert len({one.id for one in found}) == len(found)
            if exchange in ("binance", "coinbaseexchange"):
                ids = [int(str(one.id)) for one in found]
                assert ids == list(range(ids[0], ids[-1] + 1))

    run(work())


def test_trades_that_are_silent_from_the_first_on(
    sim: SimulatedExchange, patience: Patience
) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            sim.faults.add("binance:stream/trade/BTCUSDT:silence=100000,times=1")
            async with client.watch_trades(PAIR):
                await subscribed(sim, "trade/BTCUSDT")
                patience(0.3)
                # A first look finds the newest trade, a later one another.
                await flowing(sim, lambda: stream(client, "trades").reconnects, step=20)

    run(work())


def test_silent_candles_are_noticed_and_fetched(sim: SimulatedExchange, patience: Patience) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_candles(PAIR) as watch:
            await flowing(sim, lambda: watch.waiting)
            first = await anext(watch)
            sim.faults.add("binance:stream/kline_1m/BTCUSDT:silence=100000,times=1")
            await sim.advance(180)
            patience(0.3)
            found = await newest(watch, lambda one: one.stale is True)
            assert found.is_stale
            sim.faults.clear()
            await until(lambda: stream(client, "candles").reconnects)
            patience(5)
            await subscribed(sim, "kline_1m/BTCUSDT")
            await sim.advance(2)
            rest = await client.candles(PAIR, "1m", limit=1, store=False)
            times = {one.open_time for one in first}
            async with asyncio.timeout(10):
                while rest[-1].open_time not in times:
                    times |= {one.open_time for one in await anext(watch)}
            assert len(times) == (max(times) - min(times)).total_seconds() // 60 + 1

    run(work())


def test_age_grows(sim: SimulatedExchange, patience: Patience) -> None:
    patience(0.5)

    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            book = await anext(watch)
            ages = []
            for _ in range(4):
                ages.append(book.age)
                await asyncio.sleep(0.15)
            assert ages == sorted(set(ages))
            assert ages[0] >= 0
            assert book.age >= 0.6
            assert book.is_stale
            assert book.stale is None

    run(work())


def test_a_book_from_a_request_is_never_stale(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            book: md.OrderBook = await client.orderbook(PAIR)
            assert (book.fresh_for, book.stale, book.is_stale) == (None, None, False)

    run(work())
