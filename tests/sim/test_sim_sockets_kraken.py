"""Kraken's streams of version 2, read by the real connector and by a bare client."""

import asyncio
import zlib
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from sim_wires import Wire, rest, wire

from marketdata.sim import SimulatedExchange

NOW = 1_750_000_000_700
PAIR = "BTC/USDT"
DEPTH = "/0/public/Depth"

Sides = dict[str, dict[str, str]]


def request(method: str, channel: str, *symbols: str, number: int = 7, **params: Any) -> Any:
    params = {"channel": channel, "symbol": list(symbols or [PAIR]), **params}
    return {"method": method, "params": params, "req_id": number}


def summed(rows: Any) -> str:
    parts = [part for row in rows[:10] for part in (row["price"], row["qty"])]
    return "".join([part.replace(".", "").lstrip("0") for part in parts])


def apply(sides: Sides, data: Any, depth: int) -> dict[str, list[dict[str, str]]]:
    """Keep a book as Kraken documents it, and check its checksum."""
    ordered = {}
    for side, rows in sides.items():
        for row in data[side]:
            if float(row["qty"]):
                rows[row["price"]] = row["qty"]
            else:
                del rows[row["price"]]
        best = sorted(rows, key=float, reverse=side == "bids")[:depth]
        for price in set(rows) - set(best):
            del rows[price]
        ordered[side] = [{"price": price, "qty": rows[price]} for price in best]
    text = summed(ordered["asks"]) + summed(ordered["bids"])
    assert data["checksum"] == zlib.crc32(text.encode())
    return ordered


def running(faults: Any = ()) -> SimulatedExchange:
    return SimulatedExchange(now=NOW, frozen=True, faults=faults)


async def subscribed(client: Wire, channel: str, **params: Any) -> Any:
    """Subscribe on a fresh socket and return the first frame of the channel."""
    assert (await client.next())["channel"] == "status"
    assert (await client.say(request("subscribe", channel, **params)))["success"] is True
    return await client.next()


@pytest.mark.parametrize("pair", [PAIR, "PEPE/USDT", "LTC/BTC"])
@pytest.mark.parametrize("depth", [10, 25, 100, 500, 1000])
def test_books_of_any_depth(depth: int, pair: str) -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, "/v2") as client:
            first = await subscribed(client, "book", symbol=[pair], depth=depth)
            await sim.advance(20)
            frames = await client.all(sim.sockets[0].sent - 3)
            query = {"pair": pair.replace("BTC", "XBT"), "count": depth}
            truth = await rest(sim, DEPTH, **query)
        assert (first["channel"], first["type"]) == ("book", "snapshot")
        sides: Sides = {"bids": {}, "asks": {}}
        found = apply(sides, first["data"][0], depth)
        updates = [frame for frame in frames if frame["channel"] == "book"]
        assert len(updates) > 20
        for frame in updates:
            assert frame["type"] == "update"
            found = apply(sides, frame["data"][0], depth)
        (book,) = truth["result"].values()
        for side in ("bids", "asks"):
            kept = [(float(row["price"]), float(row["qty"])) for row in found[side]]
            assert len(kept) == depth or side == "bids"
            told = [(float(price), float(size)) for price, size, _ in book[side]]
            assert kept[: len(told)] == told[: len(kept)]

    asyncio.run(run())


def test_a_socket_is_greeted_and_answered() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, "/v2") as client:
            status = await client.next()
            assert (status["channel"], status["data"][0]["system"]) == ("status", "online")
            pong = await client.say({"method": "ping", "req_id": 101})
            assert (pong["method"], pong["req_id"]) == ("pong", 101)
            ack = await client.say(request("subscribe", "book", PAIR, "ETH/USDT", snapshot=False))
            assert ack["result"] == {
                "channel": "book",
                "symbol": PAIR,
                "snapshot": False,
                "depth": 10,
            }
            assert (ack["method"], ack["success"], ack["req_id"]) == ("subscribe", True, 7)
            assert (await client.next())["result"]["symbol"] == "ETH/USDT"
            assert sim.sockets[0].subscriptions == ["book/BTC/USDT", "book/ETH/USDT"]
            again = await client.say(request("subscribe", "book", PAIR))
            assert (again["success"], again["error"]) == (False, "Already subscribed")
            gone = await client.say(request("unsubscribe", "book", PAIR, number=8))
            assert (gone["method"], gone["success"], gone["req_id"]) == ("unsubscribe", True, 8)
            assert sim.sockets[0].subscriptions == ["book/ETH/USDT"]
            gone = await client.say(request("unsubscribe", "book", PAIR))
            assert gone["error"] == "Subscription Not Found"

    asyncio.run(run())


def test_requests_that_are_refused() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, "/v2") as client:
            await client.next()
            refused = await client.say(request("subscribe", "ticker", "FOO/BAR", number=3))
            assert refused["error"] == "Currency pair not supported FOO/BAR"
            assert (refused["method"], refused["success"]) == ("subscribe", False)
            assert (refused["req_id"], refused["symbol"]) == (3, "FOO/BAR")
            for body, error in (
                (request("subscribe", "book", PAIR, depth=11), "depth not supported"),
                (request("subscribe", "ohlc", PAIR, interval=2), "interval not supported"),
                (request("subscribe", "odd", PAIR), "name invalid"),
                (request("subscribe", "book", symbol="BTC/USDT"), "must be an array"),
                (request("unsubscribe", "book", "FOO/BAR"), "not supported"),
                ({"method": "odd"}, "Malformed"),
                ([], "Malformed"),
            ):
                assert error in (await client.say(body))["error"]
            await client.socket.send_str("{")
            assert "Malformed" in (await client.next())["error"]
            assert sim.sockets[0].subscriptions == []

    asyncio.run(run())


def test_heartbeats_come_when_nothing_else_does() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, "/v2") as idle, wire(sim, "/v2") as client:
            await idle.next()
            first = await subscribed(client, "ticker", symbol=["LTC/BTC"])
            assert first["type"] == "snapshot"
            await sim.advance(120)
            frames = await client.all(sim.sockets[1].sent - 3)
            assert sim.sockets[0].sent == 1
        beats = [frame for frame in frames if frame == {"channel": "heartbeat"}]
        others = len(frames) - len(beats)
        assert 120 - 2 * others - 2 < len(beats) < 120

    asyncio.run(run())


def test_trades_begin_with_the_newest() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, "/v2") as client:
            first = await subscribed(client, "trade")
            await sim.advance(30)
            frames = await client.all(sim.sockets[0].sent - 3)
            found = await rest(sim, "/0/public/Trades", pair="XBTUSDT")
        assert (first["type"], len(first["data"])) == ("snapshot", 50)
        updates = [row for frame in frames if frame["channel"] == "trade" for row in frame["data"]]
        told = [
            (row["price"], row["qty"], row["side"][0], row["trade_id"])
            for row in first["data"] + updates
        ]
        (rows,) = [rows for name, rows in found["result"].items() if name != "last"]
        assert told == [(row[0], row[1], row[3], row[6]) for row in rows][-len(told) :]
        assert len(updates) > 10

    asyncio.run(run())


@pytest.mark.parametrize("trigger", ["trades", "bbo"])
def test_tickers(trigger: str) -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, "/v2") as client:
            first = await subscribed(client, "ticker", event_trigger=trigger)
            await sim.advance(30.1)
            frames = [one for one in await client.all(sim.sockets[0].sent - 3) if "data" in one]
            found = await rest(sim, "/0/public/Ticker", pair="XBTUSDT")
        assert first["type"] == "snapshot"
        assert len(frames) > (60 if trigger == "bbo" else 10)
        data = frames[-1]["data"][0]
        truth = found["result"]["XBTUSDT"]
        assert data["last"] == truth["c"][0]
        assert (data["low"], data["high"]) == (truth["l"][1], truth["h"][1])
        if trigger == "bbo":
            assert (data["bid"], data["ask"]) == (truth["b"][0], truth["a"][0])

    asyncio.run(run())


def test_bars() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, "/v2") as client:
            first = await subscribed(client, "ohlc", interval=1)
            await sim.advance(130)
            frames = [one for one in await client.all(sim.sockets[0].sent - 3) if "data" in one]
            found = await rest(sim, "/0/public/OHLC", pair="XBTUSDT", interval=1)
        rows = {row[0]: row for row in found["result"]["XBTUSDT"]}
        last: dict[str, Any] = {}
        for frame in [first, *frames]:
            for bar in frame["data"]:
                last[bar["interval_begin"]] = bar
        assert len(first["data"]) == 100
        checked = 0
        for start, bar in last.items():
            second = _seconds(start)
            _, opening, high, low, close, vwap, volume, count = rows[second]
            if second + 60 <= NOW // 1000 + 130:
                names = ("open", "high", "low", "close", "vwap", "volume", "trades")
                told = tuple(bar[name] for name in names)
                assert told == (opening, high, low, close, vwap, volume, count)
                checked += 1
        assert checked > 100

    asyncio.run(run())


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("effect", "wrong"), [("checksum", True), ("lose", True), ("flood=20", False)]
)
def test_faults_show_in_the_checksum(effect: str, wrong: bool) -> None:
    async def run() -> None:
        faults = [f"kraken:stream/book/BTC/USDT:{effect},after=5,times=1"]
        async with running(faults) as sim, wire(sim, "/v2") as client:
            first = await subscribed(client, "book", depth=25)
            await sim.advance(10)
            frames = await client.all(sim.sockets[0].sent - 3)
        sides: Sides = {"bids": {}, "asks": {}}
        failures = 0
        for frame in [first, *frames]:
            if frame["channel"] == "book":
                try:
                    apply(sides, frame["data"][0], 25)
                except (AssertionError, KeyError):
                    failures += 1
        assert (failures > 0) is wrong

    asyncio.run(run())


def test_a_stray_bid_crosses_the_book() -> None:
    async def run() -> None:
        async with (
            running(["kraken:stream/book/*:stray,after=2,times=1"]) as sim,
            wire(sim, "/v2") as client,
        ):
            first = await subscribed(client, "book")
            await sim.advance(5)
            frames = await client.all(sim.sockets[0].sent - 3)
        top = max(float(row["price"]) for row in first["data"][0]["asks"])
        bids = [row for one in frames if "data" in one for row in one["data"][0]["bids"]]
        assert sum(float(row["price"]) > 1.5 * top for row in bids) == 1

    asyncio.run(run())


def test_the_real_connector(stream) -> None:
    async def run() -> None:
        async with running() as sim, stream("kraken", sim) as exchange:
            book = await exchange.watch_order_book(PAIR, 25)
            trades = await exchange.watch_trades(PAIR)
            ticker = await exchange.watch_ticker(PAIR)
            bars = await exchange.watch_ohlcv(PAIR, "5m")
            assert trades[0]["symbol"] == PAIR
            assert ticker["bid"] == book["bids"][0][0]
            assert all(after[0] - before[0] == 300_000 for before, after in pairwise(bars))
            for _ in range(10):
                watching = asyncio.create_task(exchange.watch_order_book(PAIR, 25))
                await asyncio.sleep(0)
                await sim.advance(2)
                await asyncio.wait_for(watching, 10)
            truth = await exchange.fetch_order_book(PAIR, 25)
            for side in ("bids", "asks"):
                kept = [row[:2] for row in exchange.orderbooks[PAIR][side]]
                assert kept[:25] == [row[:2] for row in truth[side]]

    asyncio.run(run())
