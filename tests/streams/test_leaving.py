"""A reader that leaves in any way leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
from pathlib import Path

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
    open_sockets,
    refused,
    run,
    said,
    stream,
    subscribed,
    until,
)

KINDS = ("ticker", "quote", "orderbook", "trades", "candles")


def nothing_left(client: md.AsyncClient, sim: SimulatedExchange) -> bool:
    return not client.streams() and not open_sockets(sim) and len(asyncio.all_tasks()) == 1


async def left(client: md.AsyncClient, sim: SimulatedExchange) -> None:
    """Wait until nothing is left, although the client is still there."""
    await until(
        lambda: nothing_left(client, sim),
        seconds=3,
        what=lambda: (client.streams(), open_sockets(sim), asyncio.all_tasks()),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_the_last_to_leave_unsubscribes(sim: SimulatedExchange, exchange: str, kind: str) -> None:
    if kind == "candles" and NAMES[exchange].candles is None:
        pytest.skip("the exchange has none")

    async def work() -> None:
        async with client_of(sim, exchange) as client:
            watches = [getattr(client, f"watch_{kind}")(PAIR) for _ in range(2)]
            for watch in watches:
                await watch.open()
            await until(lambda: held(sim))
            await sim.advance(2)
            await watches[0].close()
            assert len(client.streams()) == 1
            assert said(sim, "nsubscribe") + said(sim, "UNSUBSCRIBE") == []
            await watches[1].close()
            await left(client, sim)
            assert len(said(sim, "nsubscribe") + said(sim, "UNSUBSCRIBE")) == 1
            assert [socket.subscriptions for socket in sim.sockets] == [[]]

    run(work())


def test_a_socket_stays_while_something_is_on_it(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            async with client.watch_trades(PAIR), client.watch_trades(OTHER) as other:
                await subscribed(sim, "trade/BTCUSDT", "trade/ETHUSDT")
                await other.close()
                await until(lambda: held(sim) == ["trade/BTCUSDT"])
            await left(client, sim)
            assert len(sim.sockets) == 1

    run(work())


def test_break_is_leaving(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            async for book in client.watch_orderbook(PAIR):
                assert book.bids
                break
            gc.collect()
            await left(client, sim)
            assert len(said(sim, "UNSUBSCRIBE")) == 1

    run(work())


def test_dropping_the_watch_is_leaving(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            watch = client.watch_orderbook([PAIR, OTHER])
            await watch.open()
            await all_live(client, 2)
            del watch
            gc.collect()
            await left(client, sim)

    run(work())


def test_a_watch_that_never_began_leaves_nothing(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            client.watch_orderbook(PAIR)
            watch = client.watch_trades(PAIR)
            assert (watch.streams, watch.waiting, watch.dropped) == ([], 0, 0)
            await watch.close()
            assert [one async for one in watch] == []
            assert (client.streams(), sim.sockets) == ([], [])

    run(work())


def test_watching_again_after_leaving(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            for _ in range(3):
                async with client.watch_orderbook(PAIR) as watch:
                    await all_live(client)
                    await sim.advance(1)
                    await as_rest(client, watch)
            await left(client, sim)

    run(work())


@pytest.mark.parametrize("kind", ["orderbook", "ticker", "trades"])
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_leaving_and_coming_back_at_once(sim: SimulatedExchange, exchange: str, kind: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client:
            async with client.watch_trades(OTHER):
                await until(lambda: held(sim))
                for _ in range(4):
                    watches = [getattr(client, f"watch_{kind}")(PAIR) for _ in range(2)]
                    await watches[0].open()
                    await until(lambda: len(held(sim)) == 2)
                    await flowing(sim, lambda w=watches[0]: w.waiting)
                    await asyncio.gather(watches[0].close(), watches[1].open())
                    await flowing(sim, lambda w=watches[1]: w.waiting)
                    assert (await anext(watches[1])).pair == PAIR
                    told = stream(client, kind)
                    assert (told.state, told.reconnects, told.error) == ("live", 0, None)
                    await watches[1].close()
            await left(client, sim)

    run(work())


@pytest.mark.parametrize("turns", [1, 3, 9])
def test_leaving_while_it_connects(sim: SimulatedExchange, turns: int) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            await client.orderbook(PAIR, 1)
            watch = client.watch_orderbook(PAIR)
            opening = asyncio.create_task(watch.open())
            for _ in range(turns):
                await asyncio.sleep(0)
            await watch.close()
            with contextlib.suppress(md.MarketDataError):
                await opening
            await left(client, sim)
            assert [one async for one in watch] == []

    run(work())


@pytest.mark.parametrize("kind", ["orderbook", "trades"])
def test_leaving_any_number_of_turns_after_it_began(sim: SimulatedExchange, kind: str) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            async with client.watch_ticker(PAIR):
                await until(lambda: held(sim))
            for turns in range(25):
                watch = getattr(client, f"watch_{kind}")(PAIR)
                await watch.open()
                for _ in range(turns):
                    await asyncio.sleep(0)
                await watch.close()
                await left(client, sim)

    run(work())


def test_leaving_while_the_exchange_takes_its_time(sim: SimulatedExchange) -> None:
    async def work() -> None:
        sim.faults.add("binance:/ws/*:latency=0.3")
        async with client_of(sim) as client:
            async with client.watch_orderbook(PAIR):
                await until(lambda: [one for one in sim.requests if "/ws/" in one.path])
            assert client.streams() == []
            await asyncio.sleep(0.4)
            await left(client, sim)

    run(work())


def test_leaving_while_the_book_is_on_its_way(sim: SimulatedExchange) -> None:
    async def work() -> None:
        sim.faults.add("binance:*/depth:hang")
        async with client_of(sim) as client:
            async with client.watch_orderbook(PAIR):
                await until(lambda: [one for one in sim.requests if "depth" in one.path])
            await left(client, sim)

    run(work())


def test_cancelling_the_reader_loses_nothing(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_trades(PAIR) as watch:
            await subscribed(sim, "trade/BTCUSDT")
            found = []
            for _ in range(20):
                reading = asyncio.ensure_future(anext(watch))
                await asyncio.sleep(0)
                await sim.advance(2)
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    found.append(await reading)
                while watch.waiting:
                    found.append(await anext(watch))
            rest = await client.trades(PAIR, limit=200)
            ids = [int(str(one.id)) for one in found]
            while ids[-1] < int(str(rest[-1].id)):
                ids.append(int(str((await anext(watch)).id)))
            assert ids == list(range(ids[0], int(str(rest[-1].id)) + 1))
            assert len(ids) > 20

    run(work())


def test_closing_ends_who_waits(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            watch = client.watch_trades(PAIR)
            reading = asyncio.create_task(collected(watch))
            await subscribed(sim, "trade/BTCUSDT")
            await watch.close()
            async with asyncio.timeout(5):
                assert await reading == []
            await left(client, sim)

    run(work())


def test_a_closed_watch_gives_nothing_more(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            books, trades = client.watch_orderbook(PAIR), client.watch_trades(PAIR)
            await books.open()
            await trades.open()
            await subscribed(sim, "trade/BTCUSDT", "depth/BTCUSDT")
            await sim.advance(30)
            await until(lambda: trades.waiting and books.waiting)
            await books.close()
            await trades.close()
            assert [one async for one in books] == []
            assert [one async for one in trades] == []
            assert (books.waiting, trades.waiting) == (0, 0)
            await books.open()
            await left(client, sim)

    run(work())


def test_closing_the_client_ends_its_watches_with_an_error(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            watch = client.watch_trades([PAIR, OTHER])
            await watch.open()
            await subscribed(sim, "trade/BTCUSDT", "trade/ETHUSDT")
            reading = asyncio.create_task(collected(watch))
            await asyncio.sleep(0)
            await client.close()
            for error in (await refused(reading), await refused(collected(watch))):
                assert (error.code, error.retryable) == ("DATA_UNAVAILABLE", True)
                assert "closed" in error.message
            assert await collected(watch) == []
            await left(client, sim)
            async with client.watch_trades(PAIR):
                await subscribed(sim, "trade/BTCUSDT")

    run(work())


async def collected(watch: md.AsyncWatch[md.Trade]) -> list[md.Trade]:
    return [one async for one in watch]


CARRIED_OVER = """
import os
import marketdata as md
from marketdata.sim import SimulatedExchange

with SimulatedExchange(seed=7) as sim:
    client = md.Client("binance", endpoints=sim.endpoints)
    watch = client.watch_orderbook("BTC/USDT", delivery="every")
    next(watch)
    child = os.fork()
    if not child:
        try:
            for _ in range(2_000):
                next(watch)
        except md.DataUnavailableError:
            watch.close()
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    next(watch)
    client.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_an_iterator_carried_over_a_fork_ends_with_an_error(isolated: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CARRIED_OVER],
        env={**os.environ, "MARKETDATA_HOME": str(isolated)},
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
