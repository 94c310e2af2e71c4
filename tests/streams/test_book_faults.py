"""An order book recovers from every fault, and no reader gets a wrong one."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from library.markets import record

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
    crossed,
    flowing,
    levels,
    run,
    stream,
    subscribed,
    until,
)

TOLD = {
    "binance": ("lose", "swap", "stray"),
    "kraken": ("lose", "checksum", "stray"),
    "coinbaseexchange": ("stray",),
    "okx": ("lose", "swap", "checksum", "stray"),
}
"""Faults that an exchange's frames give away."""
HARMLESS = ("twice", "garbage", "flood=50")

Seen = dict[tuple[str, str], list[md.OrderBook]]


async def watched(watch: md.AsyncWatch[md.OrderBook], into: list[md.OrderBook]) -> None:
    """Read all that is handed out."""
    async for book in watch:
        into.append(book)  # noqa: PERF401 - it is looked at before the end


@pytest.mark.parametrize(
    ("exchange", "effect"),
    [(name, effect) for name in EXCHANGES for effect in TOLD[name]],
)
def test_a_loss_is_counted_and_mended(sim: SimulatedExchange, exchange: str, effect: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client:
            watch = client.watch_orderbook(PAIR)
            reader = client.watch_orderbook(PAIR, 5, delivery="every")
            seen: list[md.OrderBook] = []
            async with watch, reader:
                reading = asyncio.create_task(watched(reader, seen))
                await all_live(client)
                for number in range(1, 4):
                    # Kraken's checksums are of ten levels; not every frame changes one of these.
                    times = 5 if (exchange, effect) == ("kraken", "lose") else 1
                    rule = f"{effect},times={times}"
                    sim.faults.add(f"{exchange}:stream/{NAMES[exchange].book}:{rule}")
                    await flowing(sim, lambda n=number: stream(client).gaps >= n, step=0.1)
                    await flowing(sim, lambda: stream(client).state == "live", step=0.1)
                    await sim.advance(0.5)
                    await as_rest(client, watch)
                    told = stream(client)
                    assert (told.gaps, told.reconnects, told.error) == (number, 0, None)
                    assert told.resyncs >= number
            await reading
            assert len(seen) > 5
            assert [book for book in seen if crossed(book)] == []

    run(work())


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("effect", HARMLESS)
def test_what_is_no_loss_is_not_taken_for_one(
    sim: SimulatedExchange, exchange: str, effect: str
) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            sim.faults.add(f"{exchange}:stream/{NAMES[exchange].book}:{effect},every=3")
            await sim.advance(3)
            await as_rest(client, watch)
            told = stream(client)
            assert (told.gaps, told.resyncs, told.reconnects) == (0, 0, 0)
            assert told.unreadable > 3 if effect == "garbage" else told.unreadable == 0
            assert told.state == "live"

    run(work())


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_other_subjects_of_the_socket_lose_nothing(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client:
            names = NAMES[exchange]
            other = client.watch_orderbook(OTHER)
            trades = client.watch_trades(PAIR)
            async with client.watch_orderbook(PAIR) as watch, other, trades:
                await until(lambda: len(client.streams()) == 3)
                await until(lambda: stream(client).state == "live")
                await until(lambda: stream(client, pair=OTHER).state == "live")
                await subscribed(sim, names.trades)
                effect = TOLD[exchange][0]
                sim.faults.add(f"{exchange}:stream/{names.book}:{effect},every=20")
                # A frame that is lost may have held nothing that a checksum covers.
                await flowing(sim, lambda: stream(client).gaps >= 3, step=0.5)
                sim.faults.clear()
                await flowing(sim, lambda: stream(client).state == "live", step=0.5)
                await sim.advance(1)
                await as_rest(client, watch)
                await as_rest(client, other, pair=OTHER)
                told = stream(client, pair=OTHER)
                assert (told.gaps, told.resyncs, told.reconnects) == (0, 0, 0)
                told = stream(client, "trades")
                assert (told.gaps, told.resyncs, told.reconnects) == (0, 0, 0)
                assert len(sim.sockets) == 1

    run(work())


@pytest.mark.parametrize(
    ("exchange", "effect"),
    [
        (name, effect)
        for name in EXCHANGES
        for effect in TOLD[name]
        if effect in ("stray", "checksum")
    ],
)
def test_who_looks_in_the_wrong_moment_is_not_shown_a_wrong_book(
    sim: SimulatedExchange, exchange: str, effect: str
) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_orderbook(PAIR) as slow:
            await all_live(client)
            await anext(slow)
            await sim.advance(0.2)
            await until(lambda: slow.waiting)
            right = await client.orderbook(PAIR)
            sim.faults.add("*:*depth*:hang")
            sim.faults.add(f"{exchange}:stream/{NAMES[exchange].book}:{effect},times=1")
            sim.faults.add(f"{exchange}:stream/{NAMES[exchange].book}:lose")
            await flowing(sim, lambda: stream(client).gaps, step=0.1)
            async with client.watch_orderbook(PAIR) as late:
                for watch in (slow, late):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.2):
                            found = await anext(watch)
                            assert not crossed(found)
                            assert levels(found) == levels(right)
                            assert found.is_stale

    run(work())


def test_losses_at_any_time(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            watch = client.watch_orderbook([PAIR, OTHER], 10, delivery="every", buffer=100_000)
            seen: Seen = {}
            async with watch:
                await all_live(client, 2)
                for seed, effect in enumerate(("lose", "swap", "twice", "garbage", "stray")):
                    rule = f"{effect},probability=0.03,seed={seed}"
                    sim.faults.add(f"binance:stream/depth/*:{rule}")
                for _ in range(40):
                    await sim.advance(0.5)
                sim.faults.clear()
                for pair in (PAIR, OTHER):
                    await flowing(
                        sim,
                        lambda p=pair: stream(client, pair=p).state == "live",
                        what=client.streams,
                    )
                await sim.advance(0.3)
                ends = {pair: await client.orderbook(pair, 10) for pair in (PAIR, OTHER)}
                while {pair for _, pair in seen} != {PAIR, OTHER} or any(
                    seen["binance", pair][-1].sequence != end.sequence for pair, end in ends.items()
                ):
                    book = await anext(watch)
                    seen.setdefault((book.exchange, book.pair), []).append(book)
                for pair, end in ends.items():
                    found = seen["binance", pair]
                    assert levels(found[-1]) == levels(end)
                    assert [book for book in found if crossed(book)] == []
                    numbers = [book.sequence for book in found]
                    assert numbers == sorted(numbers)
                told = [stream(client, pair=pair) for pair in (PAIR, OTHER)]
                assert all(one.gaps > 5 for one in told)
                assert [one.reconnects for one in told] == [0, 0]
                assert watch.dropped == 0

    run(work())


def test_every_state_shown_is_one_that_the_exchange_had(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            watch = client.watch_orderbook(PAIR, 5, delivery="every")
            truth: dict[int | None, Any] = {}
            async with watch:
                await all_live(client)
                sim.faults.add("binance:stream/depth/BTCUSDT:lose,every=7")
                sim.faults.add("binance:stream/depth/BTCUSDT:stray,every=5")
                for _ in range(40):
                    await sim.advance(0.1)
                    book = await client.orderbook(PAIR, 5)
                    truth[book.sequence] = levels(book)
                sim.faults.clear()
                await flowing(sim, lambda: stream(client).state == "live", step=0.1)
                while watch.waiting:
                    book = await anext(watch)
                    if book.sequence in truth:
                        assert levels(book) == truth.pop(book.sequence)
                assert len(truth) < 30

    run(work())


def test_an_old_whole_book_is_not_built_upon(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            await sim.advance(1)
            sim.faults.add("binance:*/depth:stale=5,times=3")
            sim.faults.add("binance:stream/depth/BTCUSDT:lose,times=1")
            await flowing(sim, lambda: stream(client).gaps, step=0.1)
            await until(lambda: stream(client).state == "live")
            sim.faults.clear()
            await as_rest(client, watch)
            assert stream(client).resyncs == 4

    run(work())


@pytest.mark.parametrize("effect", ["status=503", "status=429,retry_after=0.2", "malformed"])
def test_a_whole_book_that_is_refused_is_asked_for_again(
    sim: SimulatedExchange, effect: str
) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            await sim.advance(1)
            sim.faults.add(f"binance:*/depth:{effect},times=2")
            sim.faults.add("binance:stream/depth/BTCUSDT:lose,times=1")
            await flowing(sim, lambda: stream(client).gaps, step=0.1)
            await flowing(sim, lambda: stream(client).state == "live", step=0.1)
            sim.faults.clear()
            await sim.advance(0.2)
            await as_rest(client, watch)

    run(work())


def test_losses_without_end_do_not_become_a_storm_of_requests(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR):
            await all_live(client)
            sim.forget()
            sim.faults.add("binance:stream/depth/BTCUSDT:lose,every=2")
            began = asyncio.get_running_loop().time()
            for _ in range(70):
                await sim.advance(0.1)
                await asyncio.sleep(0.01)
            took = asyncio.get_running_loop().time() - began
            asked = [one for one in sim.requests if one.path.endswith("/depth")]
            assert 5 <= len(asked) <= 21 + 2 * took

    run(work())


def test_a_book_stays_whole_when_the_price_runs(tmp_path: Path) -> None:
    rows = [
        (NOW + 100 * at, at, "limit", "buy", 60_000 + 40 * max(0, at), "0.05", 3_000)
        for at in range(-50, 101)
    ]
    header = "timestamp_ms,id,type,side,price,amount,cost"
    rows = [(time, number + 51, *rest) for time, number, *rest in rows]
    tape = record(tmp_path, rows, "binance_BTC_USDT-trades.csv", header)

    async def work() -> None:
        with SimulatedExchange(tape=tape, now=NOW, frozen=True) as sim:
            async with client_of(sim) as client, client.watch_orderbook(PAIR, 100) as watch:
                await all_live(client)
                for _ in range(5):
                    await sim.advance(2)
                    await as_rest(client, watch, depth=100)

    run(work())
