"""The order books of several exchanges as one, live: equal to the request, without stale ones."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import (
    EXCHANGES,
    NAMES,
    PAIR,
    all_live,
    client_of,
    flowing,
    held,
    newest,
    refused,
    run,
    subscribed,
    until,
)

Patience = Callable[[float], None]


def quoting(book: md.ConsolidatedOrderBook) -> set[str]:
    """Who has levels in a book."""
    return {name for levels in (book.bids, book.asks) for _, _, by in levels for name, _ in by}


def test_it_is_what_asking_gives(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with (
            client_of(sim) as client,
            client.watch_consolidated_orderbook(PAIR, 10, exchanges=EXCHANGES) as watch,
        ):
            first = await anext(watch)
            assert [one.name for one in first.sources] == list(EXCHANGES)
            assert not any(one.is_missing for one in first.sources)
            for _ in range(3):
                await sim.advance(1)
                asked = await client.consolidated_orderbook(PAIR, 10, exchanges=EXCHANGES)
                found = await newest(
                    watch, lambda one, to=asked: (one.bids, one.asks) == (to.bids, to.asks)
                )
                assert (found.pair, found.simulated, found.crossed) == (PAIR, True, asked.crossed)
                assert [one.fee for one in found.sources] == [one.fee for one in asked.sources]
                assert all(one.age is not None and one.age >= 0 for one in found.sources)

    run(work())


def test_a_stale_source_is_left_out_until_it_is_fresh(
    sim: SimulatedExchange, patience: Patience
) -> None:
    async def work() -> None:
        names = ["binance", "kraken"]
        async with (
            client_of(sim, timeout=2) as client,
            client.watch_consolidated_orderbook(PAIR, 500, exchanges=names) as watch,
        ):
            await all_live(client, 2)
            assert quoting(await anext(watch)) == set(names)
            sim.faults.add("kraken:stream/book/*:silence=40,times=1")
            await sim.advance(39)
            patience(0.3)
            without = await newest(watch, lambda one: one.sources[1].stale is True)
            sim.clock.move(sim.clock.now() + 2_000)  # when it may speak again
            assert quoting(without) <= {"binance"}
            assert without.sources[1].is_missing
            assert without.sources[1].code is None
            sim.faults.clear()
            await until(lambda: any(one.reconnects for one in client.streams()))
            patience(5)
            await until(lambda: len(held(sim)) == 2, what=lambda: held(sim))
            await flowing(sim, lambda: all(one.state == "live" for one in client.streams()))
            again = await newest(watch, lambda one: not any(s.stale for s in one.sources))
            assert quoting(again) == set(names)

    run(work())


def test_a_source_that_fails_is_named_and_the_others_go_on(sim: SimulatedExchange) -> None:
    async def work() -> None:
        # Its whole book cannot be had, so that its stream is of no use.
        sim.faults.add(exchange="binance", path="*/depth", status=500)
        async with (
            client_of(sim, timeout=1.5) as client,
            client.watch_consolidated_orderbook(
                PAIR, exchanges=["binance", "okx", "nosuch"]
            ) as watch,
        ):
            found = await anext(watch)
            assert [(one.name, one.code) for one in found.sources] == [
                ("binance", "EXCHANGE_UNAVAILABLE"),
                ("okx", None),
                ("nosuch", "EXCHANGE_NOT_SUPPORTED"),
            ]
            assert quoting(found) == {"okx"}
            await sim.advance(1)
            assert quoting(await anext(watch)) == {"okx"}

    run(work())


def test_it_raises_where_nothing_is_left(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim, timeout=1.5) as client:
            watch = client.watch_consolidated_orderbook("NO/SUCH", exchanges=["kraken", "okx"])
            error = await refused(anext(watch))
            assert error.code == "PAIR_NOT_SUPPORTED"
            assert set(error.details["exchanges"]) == {"kraken", "okx"}
            sim.faults.add(exchange="binance", path="*/depth", status=500)
            alone = client.watch_consolidated_orderbook(PAIR, exchanges=["binance"])
            assert (await refused(anext(alone))).code == "EXCHANGE_UNAVAILABLE"
            with pytest.raises(StopAsyncIteration):
                await anext(alone)

    run(work())


def test_it_shares_what_is_watched_already_and_leaves_nothing(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR, 5) as alone:
            await anext(alone)
            async for _ in client.watch_consolidated_orderbook(PAIR, exchanges=["binance", "okx"]):
                told = {one.exchange: one.watchers for one in client.streams()}
                assert told == {"binance": 2, "okx": 1}
                break
            # Nobody holds it any more.
            await until(lambda: [one.watchers for one in client.streams()] == [1])
            await until(lambda: held(sim) == [NAMES["binance"].book])

    run(work())


def test_every_change_of_any_is_a_record(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with (
            client_of(sim) as client,
            client.watch_consolidated_orderbook(
                PAIR, exchanges=["binance", "okx"], delivery="every"
            ) as watch,
        ):
            await subscribed(sim, NAMES["binance"].book, NAMES["okx"].book)
            await anext(watch)
            await flowing(sim, lambda: watch.waiting > 5)
            found = await watch.batch(4)
            assert len(found) == 4
            numbers = [tuple(one.sequence for one in book.sources) for book in found]
            changed = [
                sum(one != two for one, two in zip(before, after, strict=True))
                for before, after in itertools.pairwise(numbers)
            ]
            assert set(changed) <= {0, 1}

    run(work())


def test_mixed_pairs_are_sources_of_their_own(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim, "kraken") as client:
            watch = client.watch_consolidated_orderbook(PAIR, quotes=["USD"])
            async with watch, asyncio.timeout(20):
                found = await anext(watch)
            assert [one.name for one in found.sources] == ["kraken BTC/USDT", "kraken BTC/USD"]
            assert quoting(found) <= {one.name for one in found.sources}

    run(work())


def test_without_await(sim: SimulatedExchange) -> None:
    with md.Client(endpoints=sim.endpoints, retries=0) as client:
        with client.watch_consolidated_orderbook(PAIR, exchanges=["binance", "okx"]) as watch:
            found = next(watch)
            assert [one.name for one in found.sources] == ["binance", "okx"]
            assert {one.exchange for one in watch.streams} == {"binance", "okx"}
        assert client.streams() == []
