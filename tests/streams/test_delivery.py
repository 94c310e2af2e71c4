"""What a slow reader gets: the newest state, or each record from a buffer that counts losses."""

from __future__ import annotations

import asyncio
import itertools

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import (
    EXCHANGES,
    OTHER,
    PAIR,
    all_live,
    as_rest,
    client_of,
    levels,
    newest,
    run,
    said,
    stream,
    subscribed,
    until,
)


def test_a_slow_reader_of_the_latest_gets_the_newest_and_drops_nothing(
    sim: SimulatedExchange,
) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            await anext(watch)
            await sim.advance(30)
            await until(lambda: stream(client).messages == 300)
            rest = await client.orderbook(PAIR, 20)
            assert watch.waiting == 1
            assert levels(await anext(watch)) == levels(rest)
            assert (watch.waiting, watch.dropped, stream(client).dropped) == (0, 0, 0)
            assert not watch.every

    run(work())


def test_a_state_is_handed_out_once(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            await anext(watch)
            again = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0.05)
            assert not again.done()
            await sim.advance(0.1)
            assert (await again).bids

    run(work())


def test_every_record_waits_in_a_buffer_that_counts(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            small = client.watch_trades(PAIR, buffer=5)
            large = client.watch_trades(PAIR)
            async with small, large:
                await subscribed(sim, "trade/BTCUSDT")
                await sim.advance(60)
                count = sim.sockets[0].sent - 1
                assert count > 30
                await until(lambda: stream(client, "trades").messages == count)
                assert (small.waiting, small.dropped) == (5, count - 5)
                assert (large.waiting, large.dropped) == (count, 0)
                assert stream(client, "trades").dropped == count - 5
                oldest_first = await large.batch()
                assert len(oldest_first) == count
                assert await small.batch() == oldest_first[-5:]
                assert (small.every, large.every) == (True, True)

    run(work())


def test_every_state_of_a_book_in_turn(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with (
            client_of(sim) as client,
            client.watch_orderbook(PAIR, 3, delivery="every") as watch,
        ):
            await all_live(client)
            wanted = []
            for _ in range(20):
                await sim.advance(0.1)
                wanted.append(await client.orderbook(PAIR, 3))
            found = {}
            while wanted[-1].sequence not in found:
                book = await anext(watch)
                assert book.sequence not in found
                found[book.sequence] = levels(book)
            assert list(found)[-20:] == [one.sequence for one in wanted]
            assert list(found.values())[-20:] == [levels(one) for one in wanted]

    run(work())


def test_the_latest_of_trades_and_every_of_books_count_apart(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            latest = client.watch_trades(PAIR, delivery="latest")
            each = client.watch_orderbook(PAIR, delivery="every", buffer=10)
            async with latest, each:
                await subscribed(sim, "trade/BTCUSDT", "depth/BTCUSDT")
                await until(lambda: stream(client).state == "live")
                await sim.advance(10)
                newest_trade = (await client.trades(PAIR, limit=1))[-1]
                assert (await newest(latest, lambda one: one.id == newest_trade.id)).price
                await until(lambda: stream(client).messages == 100)
                assert (each.waiting, latest.dropped) == (10, 0)
                assert each.dropped == stream(client).dropped == 91
                assert stream(client, "trades").dropped == 0

    run(work())


def test_each_watcher_has_its_depth(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            depths = (5, 1, 100, 20, 5)
            watches = [client.watch_orderbook(PAIR, depth) for depth in depths]
            for watch in watches:
                await watch.open()
            await all_live(client)
            await sim.advance(3)
            for watch, depth in zip(watches, depths, strict=True):
                found = await as_rest(client, watch, depth=depth)
                assert len(found.bids) == len(found.asks) == depth
            for watch in watches:
                await watch.close()

    run(work())


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_deeper_watcher_that_comes_later(sim: SimulatedExchange, exchange: str) -> None:
    depth = {"binance": 3_000, "kraken": 500, "coinbaseexchange": 1_000, "okx": 300}[exchange]

    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_orderbook(PAIR, 5) as shallow:
            await all_live(client)
            await sim.advance(1)
            await as_rest(client, shallow, depth=5)
            async with client.watch_orderbook(PAIR, depth) as deep:
                found = await newest(deep, lambda book: len(book.bids) == depth)
                assert len(found.asks) == depth
                await sim.advance(1)
                await as_rest(client, deep, depth=depth)
                await as_rest(client, shallow, depth=5)
            await sim.advance(1)
            await as_rest(client, shallow, depth=5)
            assert stream(client).gaps == 0

    run(work())


def test_tasks_share_a_watch(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_trades(PAIR) as watch:
            await subscribed(sim, "trade/BTCUSDT")
            found: list[list[int]] = [[], [], []]

            async def read(into: list[int]) -> None:
                async for trade in watch:
                    into.append(int(str(trade.id)))
                    await asyncio.sleep(0)

            readers = [asyncio.create_task(read(into)) for into in found]
            await sim.advance(20)
            readers[0].cancel()
            await sim.advance(40)
            await until(lambda: not watch.waiting)
            every = sorted(number for each in found for number in each)
            assert every == list(range(every[0], every[0] + len(every)))
            assert len(every) > 20
            assert all(each == sorted(each) for each in found)
            await watch.close()
            await asyncio.gather(*readers, return_exceptions=True)

    run(work())


def test_a_hundred_watchers(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            depths = [1 + number % 30 for number in range(100)]
            watches = [client.watch_orderbook(PAIR, depth) for depth in depths]
            await asyncio.gather(*[watch.open() for watch in watches])
            await all_live(client)
            assert stream(client).watchers == 100
            await sim.advance(2)
            found = await asyncio.gather(
                *[
                    as_rest(client, watch, depth=depth)
                    for watch, depth in zip(watches, depths, strict=True)
                ]
            )
            assert [len(book.bids) for book in found] == depths
            same = {id(book) for book, depth in zip(found, depths, strict=True) if depth == 7}
            assert len(same) == 1
            assert len(said(sim, "SUBSCRIBE")) == 1
            await asyncio.gather(*[watch.close() for watch in watches])

    run(work())


def test_several_pairs_come_in_order_of_arrival(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_trades([PAIR, OTHER]) as watch:
            await subscribed(sim, "trade/BTCUSDT", "trade/ETHUSDT")
            for _ in range(30):
                await sim.advance(2)
            count = sim.sockets[0].sent - 2
            await until(lambda: watch.waiting == count)
            found = await watch.batch()
            times = [one.timestamp for one in found]
            assert times == sorted(times)
            pairs = [one.pair for one in found]
            assert set(pairs) == {PAIR, OTHER}
            assert sum(one != other for one, other in itertools.pairwise(pairs)) > 5
            assert {one.pair for one in watch.streams} == {PAIR, OTHER}

    run(work())


def test_a_batch_of_the_latest_has_one_of_each(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook([PAIR, OTHER], 2) as watch:
            await all_live(client, 2)
            await sim.advance(2)
            await until(lambda: watch.waiting == 2)
            found = await watch.batch()
            assert sorted(one.pair for one in found) == [PAIR, OTHER]
            assert watch.waiting == 0

    run(work())


def test_a_batch_is_as_large_as_asked_for(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            watch: md.AsyncWatch[md.Trade] = client.watch_trades(PAIR)
            async with watch:
                await subscribed(sim, "trade/BTCUSDT")
                await sim.advance(30)
                await until(lambda: watch.waiting > 10)
                assert len(await watch.batch(3)) == 3
                assert len(await watch.batch(1)) == 1
                assert await watch.batch()
            assert await watch.batch() == []

    run(work())
