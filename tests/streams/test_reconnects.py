"""A lost socket reconnects by itself: soon, without a storm, and counted."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from inside.streams import feed

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import (
    EXCHANGES,
    NAMES,
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
    stream,
    until,
)

PAIRS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "DOGE/USDT", "ADA/USDT", "ETH/BTC")


def dials(sim: SimulatedExchange) -> int:
    """Count the requests to open a socket."""
    return len([one for one in sim.requests if one.path.startswith("/ws/")])


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_cut_socket_comes_back(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client:
            watch, other = client.watch_orderbook(PAIR), client.watch_orderbook(OTHER)
            async with watch, other:
                await all_live(client, 2)
                for count in (1, 2):
                    sim.hang_up()
                    await until(lambda n=count: stream(client).reconnects == n)
                    stale = await newest(watch, lambda one: one.stale is True)
                    assert stale.is_stale
                    await all_live(client, 2)
                    await sim.advance(0.5)
                    assert (await as_rest(client, watch)).stale is None
                    assert (await as_rest(client, other, pair=OTHER)).stale is None
                assert [one.reconnects for one in client.streams()] == [2, 2]
                assert len(open_sockets(sim)) == 1

    run(work())


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_socket_cut_in_the_middle_of_a_frame(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            sim.faults.add(f"{exchange}:stream/{NAMES[exchange].book}:cut,after=3,times=2")
            await flowing(sim, lambda: stream(client).reconnects == 1, step=0.1)
            await all_live(client)
            await flowing(sim, lambda: stream(client).reconnects == 2, step=0.1)
            await all_live(client)
            sim.faults.clear()
            await sim.advance(0.3)
            await as_rest(client, watch)

    run(work())


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_an_exchange_that_is_restarted(exchange: str) -> None:
    async def work() -> None:
        first = SimulatedExchange(now=NOW, frozen=True)
        await first.start()
        port = int(first.url.rpartition(":")[2])
        async with (
            md.AsyncClient(exchange, endpoints=first.endpoints) as client,
            client.watch_orderbook(PAIR) as watch,
        ):
            await all_live(client)
            await first.stop()
            await until(lambda: stream(client).reconnects)
            second = SimulatedExchange(now=NOW + 3_600_000, frozen=True)
            await second.start(port=port)
            await all_live(client)
            await second.advance(0.5)
            assert not (await as_rest(client, watch)).is_stale
        await second.stop()

    run(work())


def test_pauses_grow_while_the_exchange_refuses(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            sim.faults.add("binance:/ws/*:status=503")
            sim.forget()
            sim.hang_up()
            times: list[float] = []
            ends = time.monotonic() + 2.3
            # The last of four pauses is the longer, also where a busy machine prolongs the first.
            while time.monotonic() < ends or len(times) < 5:
                if dials(sim) > len(times):
                    times.append(time.monotonic())
                await asyncio.sleep(0.005)
            pauses = [other - one for one, other in pairwise(times)]
            assert len(pauses) <= 7
            assert pauses[-1] > 1.5 * pauses[0]
            assert stream(client).state == "reconnecting"
            assert stream(client).error == "EXCHANGE_UNAVAILABLE"
            assert (await newest(watch, lambda one: one.stale is True)).is_stale

    run(work())


def test_many_subjects_of_a_socket_dial_no_more_than_one(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_quote(PAIRS):
            await until(lambda: len(held(sim)) == len(PAIRS))
            await asyncio.sleep(0.1)
            sim.faults.add("binance:/ws/*:status=503")
            sim.forget()
            sim.hang_up()
            await asyncio.sleep(1.5)
            assert dials(sim) <= 6
            await until(lambda: dials(sim) >= 2)
            sim.faults.clear()
            await until(lambda: len(held(sim)) == len(PAIRS), seconds=10)
            assert len(open_sockets(sim)) == 1

    run(work())


def test_a_pause_that_the_exchange_asks_for_is_kept(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_trades(PAIR):
            await until(lambda: held(sim))
            sim.faults.add("binance:/ws/*:status=429,retry_after=1,times=1")
            sim.forget()
            sim.hang_up()
            await until(lambda: dials(sim) == 1)
            refused_at = time.monotonic()
            await until(lambda: dials(sim) == 2)
            assert time.monotonic() - refused_at > 0.9
            await until(lambda: held(sim))

    run(work())


def test_whole_books_after_a_reconnect_are_fetched_one_by_one(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIRS):
            await all_live(client, len(PAIRS))
            sim.faults.add("binance:*/depth:latency=0.05")
            sim.forget()
            sim.hang_up()
            most = 0

            def fetched() -> bool:
                nonlocal most
                asked = [one for one in sim.requests if one.path.endswith("/depth")]
                most = max(most, sum(one.status is None for one in asked))
                return len(asked) == len(PAIRS) and all(one.status for one in asked)

            await until(fetched)
            assert most == 1
            await all_live(client, len(PAIRS))
            assert len([one for one in sim.requests if one.path.endswith("/depth")]) == len(PAIRS)

    run(work())


def test_books_that_wait_for_their_turn_are_not_given_up(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim, timeout=1) as client:
            sim.faults.add("binance:*/depth:latency=0.2")
            async with client.watch_orderbook(PAIRS) as watch:
                await until(
                    lambda: {one.state for one in client.streams()} == {"live"},
                    seconds=10,
                    what=client.streams,
                )
                assert [one.reconnects for one in client.streams()] == [0] * len(PAIRS)
                found = {(await anext(watch)).pair for _ in PAIRS}
                assert found == set(PAIRS)

    run(work())


@pytest.mark.paced
def test_subscriptions_that_wait_for_their_turn_are_not_given_up(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim, timeout=1) as client, client.watch_quote(PAIRS) as watch:
            await until(lambda: len(held(sim)) == len(PAIRS), seconds=5)
            await sim.advance(5)
            found: set[str] = set()
            async with asyncio.timeout(10):
                while found != set(PAIRS):
                    found.add((await anext(watch)).pair)
            assert [one.reconnects for one in client.streams()] == [0] * len(PAIRS)

    run(work())


@pytest.mark.parametrize("effect", ["status=503", "hang"])
def test_an_exchange_that_stays_away_is_given_up_with_one_error(
    sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch, effect: str
) -> None:
    monkeypatch.setattr(feed, "_GIVES_UP_AFTER", 0.6)

    async def work() -> None:
        async with client_of(sim, timeout=0.5) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            await anext(watch)
            sim.faults.add(f"binance:*:{effect}")
            sim.hang_up()
            errors: list[md.MarketDataError] = []
            async with asyncio.timeout(10):
                while not errors:
                    try:
                        async for book in watch:
                            assert book.is_stale
                        break
                    except md.MarketDataError as error:
                        errors.append(error)
            assert [one.code for one in errors] == ["EXCHANGE_UNAVAILABLE"]
            assert errors[0].details["pair"] == PAIR
            assert [one async for one in watch] == []
            assert client.streams() == []
            sim.faults.clear()

    run(work())


def test_after_it_was_given_up_it_can_be_watched_again(
    sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_GIVES_UP_AFTER", 0.5)

    async def work() -> None:
        async with client_of(sim) as client:
            first = client.watch_trades(PAIR)
            await first.open()
            await until(lambda: held(sim))
            await flowing(sim, lambda: first.waiting)
            await first.batch()
            sim.faults.add("binance:/ws/*:status=503")
            sim.hang_up()
            error = await refused(anext(first))
            assert error.code == "EXCHANGE_UNAVAILABLE"
            sim.faults.clear()
            async with client.watch_trades(PAIR) as second:
                await flowing(sim, lambda: second.waiting)
                assert (await anext(second)).pair == PAIR

    run(work())


def test_a_stream_on_which_nobody_has_traded_outlives_an_outage(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim, timeout=1) as client, client.watch_trades(PAIR) as watch:
            await all_live(client)
            sim.faults.add("binance:/ws/*:status=503")
            sim.hang_up()
            # By the fifth time more than the time of a call has passed.
            await until(lambda: stream(client, "trades").reconnects >= 5, what=client.streams)
            assert stream(client, "trades").state == "reconnecting"
            sim.faults.clear()
            await all_live(client)
            await flowing(sim, lambda: watch.waiting)
            assert (await anext(watch)).pair == PAIR

    run(work())


def test_streams_tells_how_each_is_doing(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            before = datetime.now(UTC)
            books = client.watch_orderbook(PAIR, delivery="every", buffer=3)
            async with books, client.watch_candles(PAIR, "5m") as candles:
                await until(lambda: stream(client).state == "live")
                await until(lambda: len(held(sim)) == 2)
                await sim.advance(10)
                await until(lambda: stream(client).messages == 100)
                await until(lambda: stream(client, "candles").messages == 10)
                book, bars = stream(client), stream(client, "candles")
                assert client.streams() == [book, bars]
                assert books.streams == [book]
                assert candles.streams == [bars]
                assert (book.exchange, book.simulated, book.timeframe) == ("binance", True, None)
                assert (bars.timeframe, bars.state, bars.watchers) == ("5m", "live", 1)
                assert book.last_message is not None
                assert before < book.last_message <= datetime.now(UTC)
                assert (book.updates, book.dropped) == (101, 98)
                assert book.memory > 50_000 > bars.memory > 0
                assert book.lag_ms is None  # the simulated exchange's clock is not ours
                assert book.to_dict()["lastMessage"]

    run(work())


def test_lag_is_from_the_exchanges_time_to_ours() -> None:
    async def work() -> None:
        async with (
            SimulatedExchange() as sim,
            client_of(sim) as client,
            client.watch_orderbook(PAIR) as watch,
        ):
            await all_live(client)
            await until(lambda: stream(client).messages > 5)
            lag = stream(client).lag_ms
            assert lag is not None
            assert -50 < lag < 2_000
            book = await anext(watch)
            assert abs((book.received_at - book.timestamp).total_seconds()) < 2

    run(work())
