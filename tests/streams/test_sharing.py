"""One subscription for each stream, and few sockets for many, for any number of readers."""

from __future__ import annotations

import asyncio
import json

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
    held,
    run,
    said,
    stream,
    subscribed,
    until,
)

PAIRS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_subject_is_subscribed_to_once(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client:
            watches = [client.watch_trades(PAIR) for _ in range(5)]
            for watch in watches:
                await watch.open()
            await subscribed(sim, NAMES[exchange].trades)
            await sim.advance(20)
            await until(lambda: watches[-1].waiting > 3)
            batches = [await watch.batch() for watch in watches]
            ids = [[one.id for one in batch] for batch in batches]
            assert ids == [ids[0]] * 5
            assert stream(client, "trades").watchers == 5
            assert len(sim.sockets) == 1
            assert len(asked(sim)) == 1
            for watch in watches:
                await watch.close()

    run(work())


def test_subscriptions_made_at_once_are_one(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            watches = [client.watch_orderbook(PAIR, depth) for depth in (1, 5, 20)]
            watches += [md.AsyncClient.watch_orderbook(client, "btcusdt")]
            await asyncio.gather(*[watch.open() for watch in watches])
            await all_live(client)
            await sim.advance(1)
            for watch, depth in zip(watches, (1, 5, 20, 20), strict=True):
                await as_rest(client, watch, depth=depth)
            assert said(sim, '"SUBSCRIBE"') == said(sim, "btcusdt@depth")
            assert len(said(sim, '"SUBSCRIBE"')) == 1
            assert len([one for one in sim.requests if "depth" in one.path]) == 1 + len(watches)
            for watch in watches:
                await watch.close()

    run(work())


def test_many_subjects_share_a_socket_on_binance(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            watches = [
                client.watch_trades(PAIRS),
                client.watch_orderbook(PAIRS, 5),
                client.watch_ticker(PAIRS),
                client.watch_quote(PAIRS),
                client.watch_candles(PAIRS),
            ]
            await asyncio.gather(*[watch.open() for watch in watches])
            await until(lambda: len(held(sim)) == 5 * len(PAIRS), what=lambda: held(sim))
            assert len(sim.sockets) == 1
            assert len(set(held(sim))) == 5 * len(PAIRS)
            for watch in watches:
                await watch.close()

    run(work())


def test_one_closing_watch_leaves_the_others_theirs(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_trades([PAIR, OTHER]) as both:
            await subscribed(sim, "trade/BTCUSDT", "trade/ETHUSDT")
            async with client.watch_trades(PAIR):
                pass
            await asyncio.sleep(0)
            assert said(sim, "UNSUBSCRIBE") == []
            await sim.advance(30)
            await until(lambda: all(one.messages for one in both.streams), what=client.streams)
            found = await both.batch()
            assert {one.pair for one in found} == {PAIR, OTHER}

    run(work())


def test_who_comes_later_gets_the_state_at_once(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as first:
            await all_live(client)
            await sim.advance(1)
            there = await as_rest(client, first)
            async with client.watch_orderbook(PAIR) as second, asyncio.timeout(5):
                assert (await anext(second)).sequence == there.sequence

    run(work())


def test_clients_do_not_share(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with (
            client_of(sim) as one,
            one.watch_trades(PAIR),
            md.AsyncClient(endpoints=sim.endpoints) as other,
        ):
            async with other.watch_trades(PAIR):
                await until(lambda: held(sim) == ["trade/BTCUSDT"] * 2)
            await until(lambda: held(sim) == ["trade/BTCUSDT"])
            assert [one.watchers for one in one.streams()] == [1]

    run(work())


def test_names_of_a_pair_are_one_subject(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with (
            client_of(sim) as client,
            client.watch_trades(["btc-usdt", "BTCUSDT", "BTC/USDT"]) as watch,
        ):
            await subscribed(sim, "trade/BTCUSDT")
            await sim.advance(20)
            found = await watch.batch()
            assert [one.id for one in found] == sorted({one.id for one in found}, key=int)
            assert len(asked(sim)) == 1

    run(work())


def asked(sim: SimulatedExchange) -> list[object]:
    """Return the subscriptions that were asked for."""
    sent = [json.loads(one) for socket in sim.sockets for one in socket.received if one[:1] == "{"]
    names = ("method", "op", "type")
    return [one for one in sent for name in names if str(one.get(name)).lower() == "subscribe"]
