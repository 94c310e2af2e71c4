"""Known failures of a widely used server of live data (W1 to W15), each as a test."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import threading
import weakref
from typing import Any

import pytest
from inside.streams import TickerFeed, feed
from waiting import joined

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import (
    NOW,
    OTHER,
    PAIR,
    all_live,
    as_rest,
    client_of,
    flowing,
    held,
    newest,
    open_sockets,
    refused,
    run,
    said,
    stream,
    subscribed,
    until,
)


def test_w1_unsubscribing_reaches_the_exchange(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_trades(OTHER):
            async with client.watch_trades(PAIR):
                await subscribed(sim, "trade/BTCUSDT", "trade/ETHUSDT")
            await until(lambda: held(sim) == ["trade/ETHUSDT"])
            [message] = said(sim, "UNSUBSCRIBE")
            assert json.loads(message)["params"] == ["btcusdt@trade"]

    run(work())


def test_w2_and_w3_a_dropped_connection_comes_back_and_says_so(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            before = await anext(watch)
            sim.faults.add("binance:/ws/*:status=503,times=3")
            sim.hang_up()
            stale = await newest(watch, lambda one: one.stale is True)
            assert stale.bids == before.bids
            assert stream(client).state == "reconnecting"
            async with client.watch_orderbook(PAIR) as second:
                assert (await anext(second)).is_stale
                await all_live(client)
                await sim.advance(0.5)
                await as_rest(client, watch)
                await as_rest(client, second)
            assert stream(client).watchers == 1

    run(work())


def test_w4_an_acknowledgement_is_no_data(
    sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_FIRST_WORD", 60.0)

    async def work() -> None:
        async with (
            client_of(sim) as client,
            client.watch_ticker(PAIR, delivery="every") as watch,
        ):
            await until(lambda: sim.sockets and sim.sockets[0].sent == 1)
            await asyncio.sleep(0.05)
            assert (watch.waiting, stream(client, "ticker").messages) == (0, 0)
            await sim.advance(3)
            await until(lambda: watch.waiting == 3)
            assert [type(one) for one in await watch.batch()] == [md.Ticker] * 3

    run(work())


def test_w5_what_does_not_exist_does_not_look_subscribed(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            for watch, code in (
                (client.watch_trades("NOPE/USDT"), "PAIR_NOT_SUPPORTED"),
                (client.watch_candles(PAIR, "7m"), "TIMEFRAME_NOT_SUPPORTED"),
            ):
                assert (await refused(anext(watch))).code == code
                assert (client.streams(), watch.streams) == ([], [])
            assert sim.sockets == []

    run(work())


def test_w6_two_quick_subscriptions_are_one(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            sim.faults.add("binance:/ws/*:latency=0.1")
            watches = [client.watch_trades(PAIR) for _ in range(10)]
            await asyncio.gather(*[watch.open() for watch in watches])
            await subscribed(sim, "trade/BTCUSDT")
            assert len(sim.sockets) == len(said(sim, '"SUBSCRIBE"')) == 1
            await flowing(sim, lambda: watches[0].waiting > 5)
            ids = [one.id for one in await watches[0].batch()]
            assert len(ids) == len(set(ids))
            await asyncio.gather(*[watch.close() for watch in watches])

    run(work())


def test_w7_a_refused_connection_is_told(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim, timeout=0.5) as client:
            sim.faults.add("binance:/ws/*:status=503")
            error = await refused(anext(client.watch_trades(PAIR)))
            assert (error.code, error.details["stream"]) == ("EXCHANGE_UNAVAILABLE", "trades")
            assert (client.streams(), open_sockets(sim)) == ([], [])

    run(work())


def test_w7_tasks_are_held(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            for _ in range(3):
                gc.collect()
                await sim.advance(0.5)
            await as_rest(client, watch)
            sim.faults.add("binance:stream/depth/BTCUSDT:lose,times=1")
            await flowing(sim, lambda: stream(client).gaps, step=0.1)
            gc.collect()
            await all_live(client)
            sim.hang_up()
            gc.collect()
            await until(lambda: stream(client).reconnects == 1)
            gc.collect()
            await all_live(client)

    run(work())


def test_w8_what_is_dropped_is_counted(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_trades(PAIR, buffer=1) as watch:
            await subscribed(sim, "trade/BTCUSDT")
            await flowing(sim, lambda: watch.dropped > 3)
            assert watch.dropped == stream(client, "trades").dropped
            assert watch.waiting == 1

    run(work())


def test_w9_what_goes_wrong_inside_is_raised(
    sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: Any, api: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(TickerFeed, "subscribe", broken)

    async def work() -> None:
        async with client_of(sim, timeout=0.5) as client:
            watch = client.watch_ticker(PAIR)
            error = await refused(anext(watch))
            assert isinstance(error, md.MarketDataError)
            assert [one async for one in watch] == []
            assert client.streams() == []

    run(work())


def test_w10_names_are_brought_to_one_form(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with (
            client_of(sim) as client,
            client.watch_trades("btc_usdt"),
            client.watch_trades("BTCUSDT"),
        ):
            await subscribed(sim, "trade/BTCUSDT")
            [one] = client.streams()
            assert (one.pair, one.watchers) == (PAIR, 2)

    run(work())


def test_w11_closing_twice_and_at_once(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            watch = client.watch_orderbook(PAIR)
            await watch.open()
            await all_live(client)
            await asyncio.gather(*[watch.close() for _ in range(5)], client.close())
            await watch.close()
            await client.close()
            assert client.streams() == []

    run(work())


def test_w11_closing_while_the_socket_is_cut(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            for _ in range(5):
                watch = client.watch_orderbook(PAIR)
                await watch.open()
                await all_live(client)
                sim.hang_up()
                await watch.close()
                await until(lambda: not open_sockets(sim))

    run(work())


def test_w12_messages_of_a_shared_socket_go_where_they_belong(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            trades = {pair: client.watch_trades(pair) for pair in (PAIR, OTHER)}
            books = {pair: client.watch_orderbook(pair) for pair in (PAIR, OTHER)}
            for watch in (*trades.values(), *books.values()):
                await watch.open()
            await until(lambda: len(held(sim)) == 4)
            await until(lambda: [o.state for o in client.streams()].count("live") >= 2)
            await flowing(sim, lambda: all(watch.waiting > 3 for watch in trades.values()))
            for pair, watch in trades.items():
                assert {one.pair for one in await watch.batch()} == {pair}
            for pair, book in books.items():
                assert (await as_rest(client, book, pair=pair)).pair == pair
            assert len(sim.sockets) == 1
            for watch in (*trades.values(), *books.values()):
                await watch.close()

    run(work())


def test_w13_many_streams_are_few_connections(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            pairs = [one.pair for one in await client.pairs(quote="USDT")]
            watches = [client.watch_trades(pairs), client.watch_quote(pairs)]
            watches += [client.watch_candles(pairs)]
            await asyncio.gather(*[watch.open() for watch in watches])
            await until(lambda: len(held(sim)) == 3 * len(pairs), what=lambda: len(held(sim)))
            assert len(sim.sockets) == 1
            assert len(client.streams()) == 3 * len(pairs) > 20
            await asyncio.gather(*[watch.close() for watch in watches])

    run(work())


def test_w14_arguments_are_checked(sim: SimulatedExchange) -> None:
    client = md.AsyncClient(endpoints=sim.endpoints)
    for depth in (0, -5, 10_000, 2.5):
        with pytest.raises(md.InvalidParameterError):
            client.watch_orderbook(PAIR, depth)  # type: ignore[arg-type]
    with pytest.raises(md.InvalidParameterError):
        client.watch_candles(PAIR, "fortnightly")
    assert sim.sockets == []


def test_w15_streams_begin_in_any_thread(sim: SimulatedExchange) -> None:
    client = md.Client(endpoints=sim.endpoints)
    found: list[md.OrderBook] = []

    def tool() -> None:
        with client.watch_orderbook(PAIR, 2) as watch:
            found.append(next(watch))

    thread = threading.Thread(target=tool)
    thread.start()
    joined(thread)
    assert [len(book.bids) for book in found] == [2]
    client.close()


def test_w15_streams_belong_to_the_loop_that_watches(sim: SimulatedExchange) -> None:
    client = md.AsyncClient(endpoints=sim.endpoints)

    async def work() -> int:
        async with client.watch_orderbook(PAIR, 1) as watch:
            await anext(watch)
            assert len(client.streams()) == 1
        count = len(client.streams())
        await client.close()
        return count

    assert [run(work()), run(work())] == [0, 0]


def test_nothing_of_a_watch_outlives_it(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            watch = client.watch_orderbook(PAIR)
            await watch.open()
            await all_live(client)
            ghosts = [weakref.ref(watch), weakref.ref(watch._inbox.feeds[0])]
            with contextlib.suppress(StopAsyncIteration):
                await anext(watch)
            await watch.close()
            del watch
            await until(lambda: len(asyncio.all_tasks()) == 1)
            await asyncio.sleep(0.05)
            gc.collect()
            assert [ghost() for ghost in ghosts] == [None, None]
            assert sim.clock.now() == NOW

    run(work())
