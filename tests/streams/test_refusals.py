"""Refusals are reported at once, once, and only to the stream that they concern."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from waiting import taking_at_most

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import (
    EXCHANGES,
    NAMES,
    NOW,
    PAIR,
    all_live,
    as_rest,
    client_of,
    flowing,
    held,
    open_sockets,
    refused,
    run,
    stream,
    subscribed,
    until,
)

KINDS = ("ticker", "quote", "orderbook", "trades", "candles")
GONE = "SOL/USDT"
CODES = ("PAIR_NOT_SUPPORTED", "DATA_UNAVAILABLE", "INVALID_PARAMETER")


@contextlib.asynccontextmanager
async def delisting(exchange: str) -> AsyncIterator[tuple[SimulatedExchange, md.AsyncClient]]:
    """Yield an exchange that no longer has all pairs that a client knows of it, and the client."""
    first = SimulatedExchange(now=NOW, frozen=True)
    await first.start()
    port = int(first.url.rpartition(":")[2])
    async with md.AsyncClient(exchange, endpoints=first.endpoints, retries=0, timeout=5) as client:
        assert await client.pairs(search="SOL/USDT")
        await first.stop()
        second = SimulatedExchange(now=NOW, frozen=True, pairs=2)
        await second.start(port=port)
        try:
            yield second, client
        finally:
            await client.close()
            await second.stop()


@pytest.mark.parametrize(
    ("exchange", "kind"),
    [*(("binance", kind) for kind in KINDS), *((name, "trades") for name in EXCHANGES[1:])],
)
def test_an_unknown_pair_fails_before_a_socket_is_opened(
    sim: SimulatedExchange, exchange: str, kind: str
) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client:
            watch = getattr(client, f"watch_{kind}")([PAIR, "NOPE/USDT"])
            error = await refused(anext(watch))
            assert error.code == "PAIR_NOT_SUPPORTED"
            assert (client.streams(), sim.sockets) == ([], [])

    run(work())


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("kind", [one for one in KINDS if one != "candles"])
def test_a_refused_subscription_is_raised_once(exchange: str, kind: str) -> None:
    async def work() -> None:
        async with (
            delisting(exchange) as (sim, client),
            client.watch_orderbook(PAIR) as book,
            client.watch_trades(PAIR) as trades,
        ):
            await until(lambda: stream(client).state == "live")
            await subscribed(sim, NAMES[exchange].trades)
            watch = getattr(client, f"watch_{kind}")(GONE)
            error = await refused(anext(watch))
            assert error.code in CODES
            assert not error.retryable
            assert (error.details["exchange"], error.details["pair"]) == (exchange, GONE)
            assert "nvalid" not in error.message
            assert [one async for one in watch] == []
            assert {one.pair for one in client.streams()} == {PAIR}
            await sim.advance(1)
            await as_rest(client, book)
            await flowing(sim, lambda: trades.waiting)
            assert [(one.reconnects, one.error) for one in client.streams()] == [(0, None)] * 2

    run(work())


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_one_refused_of_several_lets_the_others_go_on(exchange: str) -> None:
    async def work() -> None:
        async with (
            delisting(exchange) as (sim, client),
            client.watch_orderbook([GONE, PAIR]) as watch,
        ):
            errors, books = [], []

            async def time_goes_by() -> None:
                while True:
                    await sim.advance(0.5)
                    await asyncio.sleep(0.03)

            going = asyncio.create_task(time_goes_by())
            async with asyncio.timeout(10):
                while not (errors and len(books) > 2):
                    try:
                        books.append(await anext(watch))
                    except md.MarketDataError as error:
                        errors.append(error)
            going.cancel()
            assert [error.details["pair"] for error in errors] == [GONE]
            assert {book.pair for book in books} == {PAIR}

    run(work())


def test_a_reader_with_much_to_read_hears_of_an_error() -> None:
    async def work() -> None:
        async with (
            delisting("kraken") as (sim, client),
            client.watch_orderbook([GONE, PAIR]) as watch,
        ):
            await until(lambda: [one.state for one in client.streams()] == ["live"])
            errors = []
            for _ in range(50):
                await sim.advance(0.5)
                await until(lambda: watch.waiting)
                try:
                    await anext(watch)
                except md.PairNotSupportedError as error:
                    errors.append(error)
            assert [error.details["pair"] for error in errors] == [GONE]

    run(work())


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_news_is_not_handed_out(
    sim: SimulatedExchange, exchange: str, kind: str
) -> None:
    if kind == "candles" and NAMES[exchange].candles is None:
        pytest.skip("the exchange has none")
    record = {"quote": "Quote", "trades": "Trade", "orderbook": "OrderBook"}.get(kind, kind.title())

    async def work() -> None:
        async with client_of(sim, exchange) as client:
            sim.faults.add(f"{exchange}:stream/*/*:garbage,every=2")
            async with getattr(client, f"watch_{kind}")(PAIR, delivery="every") as watch:
                await until(lambda: held(sim))
                await sim.advance(20)
                await flowing(sim, lambda: watch.waiting > 2)
                found = await watch.batch()
                assert {type(one).__name__ for one in found} == {record}
                assert {one.pair for one in found} == {PAIR}
                told = stream(client, kind)
                assert (told.error, told.reconnects, told.state) == (None, 0, "live")

    run(work())


@pytest.mark.parametrize(
    ("exchange", "effect"),
    [
        ("binance", "status=403"),
        ("binance", "drop,times=100"),
        ("binance", "hang"),
        *((name, "status=503") for name in EXCHANGES),
    ],
)
def test_a_socket_that_cannot_be_opened(sim: SimulatedExchange, exchange: str, effect: str) -> None:
    paths = {"binance": "/ws/*", "kraken": "/v2", "coinbaseexchange": "/", "okx": "/ws/*"}

    async def work() -> None:
        async with client_of(sim, exchange, timeout=0.5) as client:
            sim.faults.add(f"{exchange}:{paths[exchange]}:{effect}")
            watch = client.watch_orderbook(PAIR)
            with taking_at_most(3):
                error = await refused(anext(watch))
            assert error.code == "EXCHANGE_UNAVAILABLE"
            assert error.details["exchange"] == exchange
            assert [one async for one in watch] == []
            assert (client.streams(), open_sockets(sim)) == ([], [])
            await until(lambda: len(asyncio.all_tasks()) == 1, what=asyncio.all_tasks)

    run(work())


def test_nobody_listens_at_the_address(sim: SimulatedExchange) -> None:
    async def work() -> None:
        other = SimulatedExchange(now=NOW, frozen=True)
        await other.start()
        async with md.AsyncClient(endpoints=other.endpoints, retries=0, timeout=1) as client:
            await client.orderbook(PAIR, 1)
            await other.stop()
            error = await refused(anext(client.watch_trades(PAIR)))
            assert error.code == "EXCHANGE_UNAVAILABLE"
            assert client.streams() == []

    run(work())


def test_an_exchange_that_never_answers_a_subscription(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim, timeout=1) as client:
            await client.orderbook(PAIR, 1)
            sim.faults.add("binance:stream/*:lose")
            error = await refused(anext(client.watch_orderbook(PAIR)))
            assert error.code == "EXCHANGE_UNAVAILABLE"
            assert client.streams() == []

    run(work())


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"pair": "BTC/USDT/EUR"}, "pair"),
        ({"pair": []}, "pair"),
        ({"pair": ["BTC/USDT"] * 3 + ["!"]}, "pair"),
        ({"pair": [f"A{n}/USDT" for n in range(201)]}, "pair"),
        ({"pair": PAIR, "delivery": "some"}, "delivery"),
        ({"pair": PAIR, "buffer": 0}, "buffer"),
        ({"pair": PAIR, "buffer": 10**9}, "buffer"),
        ({"pair": PAIR, "exchange": ["binance", 5]}, "exchange"),
        ({"pair": PAIR, "unheard": 1}, "unheard"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_wrong_arguments_fail_at_the_call(
    kind: str, arguments: dict[str, Any], parameter: str
) -> None:
    for client in (md.AsyncClient(), md.Client()):
        with pytest.raises(md.InvalidRequestError) as caught:
            getattr(client, f"watch_{kind}")(**arguments)
        assert caught.value.code == "INVALID_PARAMETER"
        assert caught.value.details["parameter"] == parameter


def test_more_wrong_arguments_fail_at_the_call() -> None:
    client = md.AsyncClient()
    for call in (
        lambda: client.watch_orderbook(PAIR, 0),
        lambda: client.watch_orderbook(PAIR, 5_001),
        lambda: client.watch_orderbook(PAIR, "deep"),  # type: ignore[arg-type]
        lambda: client.watch_candles(PAIR, "1 fortnight"),
    ):
        with pytest.raises(md.InvalidParameterError):
            call()
    with pytest.raises(md.MissingParameterError):
        client.watch_ticker()  # type: ignore[call-arg]
    with pytest.raises(md.PairNotSupportedError):
        client.watch_ticker("BTC/USDT:USDT")


def test_an_unknown_exchange(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            watch = client.watch_trades(PAIR, exchange=["binance", "bynance"])
            error = await refused(anext(watch))
            assert error.code == "EXCHANGE_NOT_SUPPORTED"
            assert "binance" in error.details["closest"]
            assert (client.streams(), sim.sockets) == ([], [])

    run(work())


def test_the_first_exchange_that_can_be_reached_is_watched(
    sim: SimulatedExchange, tmp_path: Path
) -> None:
    async def work() -> None:
        sim.faults.add("kraken:*:status=503")
        async with (
            client_of(sim, ["kraken", "binance"], home=tmp_path) as client,
            client.watch_orderbook(PAIR) as watch,
        ):
            await all_live(client)
            assert (await anext(watch)).exchange == "binance"

    run(work())
