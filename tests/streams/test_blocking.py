"""Streams for blocking code, in threads, and inside a running loop."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator

import pytest
from waiting import joined, until

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import EXCHANGES, NAMES, OTHER, PAIR, held, levels, open_sockets, said

Connect = Callable[..., md.Client]


@pytest.fixture
def connect(sim: SimulatedExchange) -> Iterator[Connect]:
    """Makes clients, and closes them at the end."""
    made: list[md.Client] = []

    def connect(exchange: object = "binance") -> md.Client:
        client = md.Client(exchange, endpoints=sim.endpoints, retries=0)  # type: ignore[arg-type]
        made.append(client)
        return client

    yield connect
    for client in made:
        client.close()
        assert client.streams() == []
    until(lambda: not open_sockets(sim))


def test_plain_for(sim: SimulatedExchange, connect: Connect) -> None:
    client = connect()
    with client.watch_trades(PAIR) as watch:
        until(lambda: held(sim))
        sim.advance(40)
        until(lambda: watch.waiting > 10)
        found = []
        for trade in watch:
            found.append(trade)
            if len(found) == 10:
                break
        assert [int(str(one.id)) for one in found] == list(
            range(int(str(found[0].id)), int(str(found[0].id)) + 10)
        )
        assert [one.pair for one in watch.streams] == [PAIR]
        assert watch.dropped == 0
    until(lambda: not open_sockets(sim))


def test_break_is_leaving(sim: SimulatedExchange, connect: Connect) -> None:
    client = connect()
    for book in client.watch_orderbook(PAIR, 5):
        assert len(book.bids) == 5
        break
    gc.collect()
    until(lambda: not open_sockets(sim))
    assert len(said(sim, "UNSUBSCRIBE")) == 1
    assert client.streams() == []


def test_the_latest_is_the_newest(sim: SimulatedExchange, connect: Connect) -> None:
    client = connect()
    with client.watch_orderbook(PAIR) as watch:
        next(watch)
        sim.advance(20)
        until(lambda: watch.streams[0].messages == 200)
        rest = client.orderbook(PAIR, 20)
        assert levels(next(watch)) == levels(rest)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_inside_a_loop_that_runs(sim: SimulatedExchange, connect: Connect, exchange: str) -> None:
    async def cell() -> md.OrderBook:
        client = connect(exchange)
        for book in client.watch_orderbook(PAIR, 3):
            return book
        raise AssertionError

    async def notebook() -> None:
        book = await cell()
        assert (book.exchange, len(book.bids)) == (exchange, 3)
        await asyncio.sleep(0)

    asyncio.run(notebook())
    gc.collect()


def test_several_exchanges_in_one_iterator(sim: SimulatedExchange, connect: Connect) -> None:
    client = connect()
    with client.watch_trades([PAIR, OTHER], exchange=list(EXCHANGES)) as watch:
        until(lambda: len(held(sim)) == 2 * len(EXCHANGES))
        sim.advance(60)
        seen: set[tuple[str, str]] = set()
        for trade in watch:
            seen.add((trade.exchange, trade.pair))
            if len(seen) == 2 * len(EXCHANGES):
                break
        assert {(one.exchange, one.pair) for one in watch.streams} == seen
        assert len(NAMES) * 2 == len(client.streams())


def test_watches_in_threads_share_a_subscription(sim: SimulatedExchange, connect: Connect) -> None:
    client = connect()
    found: dict[int, list[str | None]] = {}
    started = threading.Barrier(5)

    def read(number: int) -> None:
        with client.watch_trades(PAIR) as watch:
            started.wait(20)
            ids = found.setdefault(number, [])
            for trade in watch:
                ids.append(trade.id)
                if len(ids) == 8:
                    return

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    started.wait(20)
    until(lambda: held(sim))
    sim.advance(40)
    for thread in threads:
        joined(thread)
    assert [found[number] for number in range(4)] == [found[0]] * 4
    assert len(said(sim, '"SUBSCRIBE"')) == 1
    until(lambda: not open_sockets(sim))


def test_closing_from_another_thread_ends_the_loop(
    sim: SimulatedExchange, connect: Connect
) -> None:
    client = connect()
    watch = client.watch_trades(PAIR)
    threading.Timer(0.3, watch.close).start()
    assert list(watch) == []


def test_closing_the_client_raises_where_somebody_waits(
    sim: SimulatedExchange, connect: Connect
) -> None:
    client = connect()
    watch = client.watch_trades(PAIR)
    watch.open()
    threading.Timer(0.3, client.close).start()
    with pytest.raises(md.DataUnavailableError, match="closed"):
        next(watch)
    assert list(watch) == []


def test_a_closed_watch_gives_nothing_more(sim: SimulatedExchange, connect: Connect) -> None:
    client = connect()
    with client.watch_trades(PAIR) as watch:
        until(lambda: held(sim))
        sim.advance(40)
        until(lambda: watch.waiting > 10)
        next(watch)
    assert list(watch) == []
    assert watch.waiting == 0


def test_functions_of_the_module(sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    monkeypatch.setenv("MARKETDATA_ENDPOINTS", json.dumps(sim.endpoints))
    with md.watch_orderbook(PAIR, 2) as watch:
        assert len(next(watch).bids) == 2
        assert [one.kind for one in md.streams()] == ["orderbook"]
    assert md.streams() == []
    until(lambda: not open_sockets(sim))
