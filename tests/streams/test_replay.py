"""A replayed recording returns the records that were watched when it was made."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import (
    EXCHANGES,
    PAIR,
    client_of,
    held,
    levels,
    run,
    stream,
    until,
)
from .stubs import stub
from .tapes import events, recorded

Patience = Callable[[float], None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "streams.recording"


def said(trade: md.Trade) -> tuple[Any, ...]:
    return trade.id, trade.timestamp, trade.side, trade.price, trade.amount


async def played(
    client: md.AsyncClient, file: Path, *, pause: float = 0.0, depth: int = 20
) -> tuple[list[md.Trade], list[md.OrderBook]]:
    """Play a recording to its end."""
    async with client.replay(file, math.inf, wait_for=2) as replay:
        trades = replay.watch_trades(PAIR)
        books = replay.watch_orderbook(PAIR, depth, delivery="every")

        async def read(watch: md.AsyncWatch[Any]) -> list[Any]:
            found = []
            async for one in watch:
                found.append(one)
                if pause and len(found) % 20 == 0:
                    await asyncio.sleep(pause)
            return found

        async with asyncio.timeout(20):
            first, second = await asyncio.gather(read(trades), read(books))
        assert replay.streams() == []
        assert (trades.dropped, books.dropped) == (0, 0)
        return first, second


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_replay_gives_the_same(sim: SimulatedExchange, exchange: str, file: Path) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client:
            trades = client.watch_trades(PAIR)
            async with trades, client.watch_orderbook(PAIR, 20) as books:
                await until(lambda: len(held(sim)) == 2)
                await until(lambda: stream(client).state == "live")
                await recorded(client, sim, file, advance=20)
                last = await client.orderbook(PAIR, 20)
                live = await trades.batch()
                async with asyncio.timeout(10):
                    while levels(await anext(books)) != levels(last):
                        pass
            again, states = await played(client, file)
            known = {said(one) for one in live}
            found = [said(one) for one in again if said(one) in known]
            recorded_ids = {one[0] for one in found}
            assert found == [said(one) for one in live if one.id in recorded_ids]
            assert len(found) >= len(live) - 1 > 5
            assert levels(states[-1]) == levels(last)
            for one in (*again, *states):
                assert (one.exchange, one.pair, one.simulated) == (exchange, PAIR, True)

    run(work())


def test_two_replays_are_alike(sim: SimulatedExchange, file: Path) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            await recorded(client, sim, file, advance=20)
            found = [await played(client, file) for _ in range(2)]
            trades = [[said(one) for one in each] for each, _ in found]
            books = [[(one.sequence, *levels(one)) for one in each] for _, each in found]
            assert trades[0] == trades[1]
            assert books[0][-1] == books[1][-1]
            assert set(map(str, books[0])) == set(map(str, books[1]))
            assert len(trades[0]) > 5
            assert len(books[0]) > 150

    run(work())


def test_a_slow_reader_misses_nothing(
    sim: SimulatedExchange, file: Path, patience: Patience
) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            await recorded(client, sim, file, advance=10)
            fast, states = await played(client, file)
            patience(0.1)
            slow, slow_states = await played(client, file, pause=0.25)
            assert [said(one) for one in slow] == [said(one) for one in fast]
            assert levels(slow_states[-1]) == levels(states[-1])

    run(work())


def test_a_small_buffer_of_a_replay_makes_the_recording_wait(
    sim: SimulatedExchange, file: Path
) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            await recorded(client, sim, file, advance=60, what=["trades"], subjects=1)
            count = sum('"trade"' in event.text for event in events(file, "got"))
            async with client.replay(file, math.inf) as replay:
                watch = replay.watch_trades(PAIR, buffer=5)
                found = []
                async with asyncio.timeout(20):
                    async for trade in watch:
                        found.append(trade.id)
                        await asyncio.sleep(0.01)
                assert (len(found), watch.dropped) == (count, 0)
                assert count > 20

    run(work())


def test_a_recording_that_was_interrupted_is_played_to_its_end(
    sim: SimulatedExchange, file: Path
) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            recording = asyncio.create_task(client.record([PAIR], file, seconds=60))
            await until(lambda: len(held(sim)) == 2)
            await asyncio.sleep(0.1)
            await sim.advance(5)
            sim.hang_up()
            await until(lambda: not held(sim))
            sim.clock.move(sim.clock.now() + 20_000)
            await until(lambda: len(held(sim)) == 2)
            await asyncio.sleep(0.1)
            await sim.advance(5)
            last = await client.orderbook(PAIR, 20)
            await asyncio.sleep(0.1)
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)
            trades, states = await played(client, file)
            assert levels(states[-1]) == levels(last)
            ids = [int(str(one.id)) for one in trades]
            assert ids == sorted(set(ids))

    run(work())


def test_at_the_speed_of_then(sim: SimulatedExchange, file: Path) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            recording = asyncio.create_task(client.record([PAIR], file, seconds=60))
            await until(lambda: len(held(sim)) == 2)
            for _ in range(8):
                await sim.advance(0.5)
                await asyncio.sleep(0.1)
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)
            times = [event.time for event in events(file, "got")]
            length = (times[-1] - times[0]) / 1e9
            loop = asyncio.get_running_loop()
            for speed in (1.0, 10.0):
                async with client.replay(file, speed) as replay:
                    began = loop.time()
                    async with asyncio.timeout(length / speed + 3):
                        async for _ in replay.watch_orderbook(PAIR):
                            pass
                    assert loop.time() - began > 0.8 * length / speed

    run(work())


def test_replays_for_code_that_does_not_await(sim: SimulatedExchange, file: Path) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            await recorded(client, sim, file, what=["trades"], subjects=1)

    run(work())
    with md.Client("binance", endpoints=sim.endpoints).replay(file, math.inf) as played:
        found = list(played.watch_trades(PAIR))
        assert len(found) > 2
        assert all(one.simulated for one in found)
        assert played.streams() == []


@pytest.mark.parametrize("speed", [0, -1, math.nan, "fast"])
def test_wrong_speeds(sim: SimulatedExchange, file: Path, speed: Any) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            await recorded(client, sim, file, advance=1)
            with pytest.raises(md.InvalidParameterError) as caught:
                client.replay(file, speed)
            assert caught.value.details["parameter"] == "speed"

    run(work())


def test_what_was_not_recorded_is_refused(sim: SimulatedExchange, file: Path) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            await recorded(client, sim, file, what=["trades"], subjects=1)
            async with client.replay(file, math.inf) as replay:
                with pytest.raises(md.MarketDataError) as caught:
                    async with asyncio.timeout(10):
                        await anext(replay.watch_quote("ETH/USDT"))
                assert caught.value.code in ("PAIR_NOT_SUPPORTED", "DATA_UNAVAILABLE")
                assert replay.streams() == []

    run(work())


@pytest.mark.parametrize("speed", [20.0, math.inf])
def test_a_book_that_is_requested_by_number_is_played(
    isolated: Path, file: Path, speed: float
) -> None:
    """HTX's answers repeat the number of the request, and ccxt counts anew in each process."""
    channel, last, heard = "market.btcusdt.mbp.20", 6, asyncio.Event()

    async def talk(socket: web.WebSocketResponse, message: Any) -> None:
        asked = message.get("sub") or message.get("req")
        if "pong" in message:
            heard.set()
        if asked != channel:
            return

        async def change(number: int) -> None:
            rows = {"bids": [[100 - number, number]], "asks": [[100 + number, number]]}
            tick = {"seqNum": number, "prevSeqNum": number - 1, **rows}
            await socket.send_json({"ch": channel, "ts": number, "tick": tick})

        answer = {"id": message["id"], "status": "ok", "ts": 1}
        if "sub" in message:
            await socket.send_json({**answer, "subbed": channel})
            await change(1)
        else:
            book = {"seqNum": 1, "bids": [[99, 1]], "asks": [[101, 1]]}
            await socket.send_json({**answer, "rep": channel, "data": book})
            for number in range(2, last + 1):
                await change(number)
            await socket.send_json({"ping": 1})

    def answer(request: web.Request) -> Any:
        market = {"symbol": "btcusdt", "base-currency": "btc", "quote-currency": "usdt"}
        about = {"state": "online", "price-precision": 2, "amount-precision": 6}
        known = request.path == "/v1/common/symbols"
        return {"status": "ok", "data": [{**market, **about}] if known else []}

    async def work() -> None:
        async with stub("htx", isolated, talk, answer) as client:
            what = ("trades", "orderbook")
            recording = asyncio.create_task(client.record([PAIR], file, what=what, depth=20))
            await heard.wait()
            recording.cancel()
            await asyncio.wait({recording})
            numbers = [json.loads(one.text).get("id") for one in events(file, "sent")]
            assert numbers[:3] == ["1", "2", "3"]
            async with client.replay(file, speed, wait_for=1) as replay, asyncio.timeout(10):
                watch = replay.watch_orderbook(PAIR, 20, delivery="every")
                books = [one async for one in watch]
            assert books[-1].sequence == last
            assert list(books[-1].bids) == [(100 - one, one) for one in range(1, last + 1)]

    run(work())
