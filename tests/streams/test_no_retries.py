"""With retries=0, the requests of streams are sent once, but streams still recover."""

from __future__ import annotations

import pytest

from marketdata.sim import SimulatedExchange

from .live import (
    PAIR,
    all_live,
    as_rest,
    client_of,
    flowing,
    refused,
    run,
    stream,
    subscribed,
    until,
)


def asked(sim: SimulatedExchange, path: str) -> int:
    return len([one for one in sim.requests if path in one.path])


@pytest.mark.parametrize("effect", ["status=503", "status=429,retry_after=0", "body=malformed"])
def test_the_first_book_is_asked_for_once(sim: SimulatedExchange, effect: str) -> None:
    async def work() -> None:
        sim.faults.add(f"binance:*/depth:{effect}")
        async with client_of(sim) as client:
            error = await refused(anext(client.watch_orderbook(PAIR)))
            assert error.details["attempts"] == asked(sim, "/depth") == 1
            assert client.streams() == []

    run(work())


def test_with_retries_the_first_book_is_asked_for_again(sim: SimulatedExchange) -> None:
    async def work() -> None:
        sim.faults.add("binance:*/depth:status=503,retry_after=0,times=2")
        async with client_of(sim, retries=1) as client, client.watch_orderbook(PAIR) as watch:
            assert (await anext(watch)).pair == PAIR
            assert asked(sim, "/depth") == 3

    run(work())


def test_a_book_that_was_there_is_mended_all_the_same(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            sim.faults.add("binance:*/depth:status=503,times=1")
            sim.faults.add("binance:stream/depth/BTCUSDT:lose,times=1")
            await flowing(sim, lambda: stream(client).gaps, step=0.1)
            await flowing(sim, lambda: stream(client).state == "live", step=0.1)
            sim.faults.clear()
            await sim.advance(0.2)
            await as_rest(client, watch)

    run(work())


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (1, 2)])
def test_trades_of_a_gap_are_asked_for_once(
    sim: SimulatedExchange, retries: int, requests: int
) -> None:
    async def work() -> None:
        async with client_of(sim, retries=retries) as client, client.watch_trades(PAIR) as watch:
            await subscribed(sim, "trade/BTCUSDT")
            await flowing(sim, lambda: watch.waiting)
            sim.forget()
            sim.faults.add("binance:*istoricalTrades:status=503,retry_after=0,times=1")
            sim.faults.add("binance:stream/trade/BTCUSDT:lose,times=1")
            await flowing(sim, lambda: stream(client, "trades").gaps)
            await until(lambda: asked(sim, "istoricalTrades") == requests)
            before = stream(client, "trades").updates
            await flowing(sim, lambda: stream(client, "trades").updates > before)
            assert asked(sim, "istoricalTrades") == requests

    run(work())
