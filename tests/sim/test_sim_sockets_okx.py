"""OKX's streams, read by the real connector and by a bare client."""

import asyncio
import zlib
from typing import Any

import pytest
from ccxt.base.errors import InvalidNonce
from sim_wires import Wire, rest, wire

from marketdata.sim import SimulatedExchange

NOW = 1_750_000_000_700
NAME = "BTC-USDT"
PUBLIC = "/ws/v5/public"
BUSINESS = "/ws/v5/business"
MARKET = "/api/v5/market"


def request(op: str, *channels: str, name: str = NAME, **more: Any) -> Any:
    args = [{"channel": channel, "instId": name} for channel in channels]
    return {"op": op, "args": args, **more}


def running(faults: Any = ()) -> SimulatedExchange:
    return SimulatedExchange(now=NOW, frozen=True, faults=faults)


async def subscribed(client: Wire, channel: str, name: str = NAME) -> None:
    ack = await client.say(request("subscribe", channel, name=name))
    assert (ack["event"], ack["arg"]) == ("subscribe", {"channel": channel, "instId": name})


def summed(bids: list[list[str]], asks: list[list[str]]) -> int:
    parts = []
    for place in range(25):
        parts += [":".join(rows[place][:2]) for rows in (bids, asks) if place < len(rows)]
    found = zlib.crc32(":".join(parts).encode())
    return found - 2**32 if found >= 2**31 else found


def kept(frames: list[Any], *, strict: bool = True) -> dict[str, list[list[str]]]:
    """Keep a book as OKX documents it, and check its numbers and its checksums."""
    sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    found: dict[str, list[list[str]]] = {}
    before = -1
    for index, frame in enumerate(frames):
        (data,) = frame["data"]
        assert frame["action"] == ("update" if index else "snapshot")
        assert data["prevSeqId"] == before
        before = data["seqId"]
        for side, rows in sides.items():
            for price, size, zero, orders in data[side]:
                assert zero == "0"
                assert (orders == "0") is (size == "0")
                if size == "0":
                    assert rows.pop(price, None) or not strict
                else:
                    rows[price] = size
            best = sorted(rows, key=float, reverse=side == "bids")
            found[side] = [[price, rows[price]] for price in best]
        assert data["checksum"] == summed(found["bids"], found["asks"])
    return found


@pytest.mark.parametrize("name", [NAME, "PEPE-USDT", "LTC-BTC"])
@pytest.mark.parametrize("faults", [[], ["okx:stream/books/*:flood=40,after=2,times=2"]])
def test_books(name: str, faults: list[str]) -> None:
    async def run() -> None:
        async with running(faults) as sim, wire(sim, PUBLIC) as client:
            await subscribed(client, "books", name)
            await sim.advance(10)
            frames = await client.all(sim.sockets[0].sent - 1)
            truth = await rest(sim, f"{MARKET}/books", instId=name, sz=400)
        assert len(frames) > 100 + 80 * len(faults) - 20
        found = kept(frames)
        for side in ("bids", "asks"):
            assert found[side] == [row[:2] for row in truth["data"][0][side]]

    asyncio.run(run())


@pytest.mark.parametrize(("channel", "depth"), [("books5", 5), ("bbo-tbt", 1)])
def test_shallow_books_are_sent_whole(channel: str, depth: int) -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, PUBLIC) as client:
            await subscribed(client, channel)
            await sim.advance(10)
            frames = await client.all(sim.sockets[0].sent - 1)
            truth = await rest(sim, f"{MARKET}/books", instId=NAME, sz=depth)
        assert len(frames) > 20
        assert all("action" not in frame for frame in frames)
        numbers = [frame["data"][0]["seqId"] for frame in frames]
        assert numbers == sorted(set(numbers))
        for side in ("bids", "asks"):
            last = frames[-1]["data"][0][side]
            assert [row[:2] for row in last] == [row[:2] for row in truth["data"][0][side]]

    asyncio.run(run())


def test_requests_are_answered_or_refused() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, PUBLIC) as client, wire(sim, BUSINESS) as other:
            await client.socket.send_str("ping")
            assert await client.socket.receive_str() == "pong"
            ack = await client.say(request("subscribe", "trades", id="1512"))
            assert (ack["id"], ack["event"], len(ack["connId"])) == ("1512", "subscribe", 8)
            refused = await client.say(request("subscribe", "tickers", name="FOO-BAR"))
            assert (refused["event"], refused["code"]) == ("error", "60018")
            assert "channel:tickers,instId:FOO-BAR doesn't exist" in refused["msg"]
            for one, channel in ((client, "candle1m"), (client, "trades-all"), (client, "odd")):
                assert (await one.say(request("subscribe", channel)))["code"] == "60018"
            for channel in ("books", "candle7m"):
                assert (await other.say(request("subscribe", channel)))["code"] == "60018"
            for body in ({"op": "odd", "args": []}, {"op": "subscribe"}, []):
                assert (await client.say(body))["code"] == "60012"
            await client.socket.send_str("{")
            assert (await client.next())["code"] == "60012"
            assert (await client.say({"op": "subscribe", "args": [5]}))["code"] == "60018"
            assert (await client.say({"op": "login", "args": [{}]}))["event"] == "login"
            assert sim.sockets[0].subscriptions == ["trades/BTC-USDT"]
            gone = await client.say(request("unsubscribe", "trades"))
            assert (gone["event"], gone["arg"]["channel"]) == ("unsubscribe", "trades")
            sent = sim.sockets[0].sent
            await sim.advance(5)
            assert (sim.sockets[0].subscriptions, sim.sockets[0].sent) == ([], sent)

    asyncio.run(run())


def test_trades_one_by_one_and_by_taker() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, PUBLIC) as client, wire(sim, BUSINESS) as other:
            await subscribed(client, "trades")
            await subscribed(other, "trades-all")
            await sim.advance(30)
            grouped = await client.all(sim.sockets[0].sent - 1)
            single = await other.all(sim.sockets[1].sent - 1)
            truth = await rest(sim, f"{MARKET}/trades", instId=NAME, limit=500)
        rows = [frame["data"][0] for frame in single]
        assert len(rows) > 20
        assert rows == truth["data"][: len(rows)][::-1]
        groups = [frame["data"][0] for frame in grouped]
        assert sum(int(group["count"]) for group in groups) == len(rows)
        assert (
            abs(
                sum(float(row["sz"]) for row in groups + rows) / 2
                - sum(float(row["sz"]) for row in rows)
            )
            < 1e-9
        )
        assert len(groups) < len(rows)

    asyncio.run(run())


def test_tickers_and_candles() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, PUBLIC) as client, wire(sim, BUSINESS) as other:
            await subscribed(client, "tickers")
            await subscribed(other, "candle1m")
            await sim.advance(130)
            tickers = [one["data"][0] for one in await client.all(sim.sockets[0].sent - 1)]
            candles = [one["data"][0] for one in await other.all(sim.sockets[1].sent - 1)]
            truth = await rest(sim, f"{MARKET}/ticker", instId=NAME)
            bars = await rest(sim, f"{MARKET}/candles", instId=NAME, limit=5)
        assert len(tickers) > 300
        assert {**tickers[-1], "ts": ""} == {**truth["data"][0], "ts": ""}
        assert len(candles) == 131
        by_start = {row[0]: row for row in bars["data"]}
        closed = [row for row in candles if row[-1] == "1"]
        assert len(closed) >= 2
        assert all(by_start[row[0]] == row for row in closed)

    asyncio.run(run())


@pytest.mark.parametrize("effect", ["checksum", "lose", "stray"])
def test_faults_show(effect: str) -> None:
    async def run() -> None:
        faults = [f"okx:stream/books/BTC-USDT:{effect},after=5,times=1"]
        async with running(faults) as sim, wire(sim, PUBLIC) as client:
            await subscribed(client, "books")
            await sim.advance(2)
            frames = await client.all(sim.sockets[0].sent - 1)
        with pytest.raises((AssertionError, KeyError)):
            kept(frames)
        kept(frames[:5])

    asyncio.run(run())


def test_the_real_connector(stream) -> None:
    pair = "BTC/USDT"

    async def run() -> None:
        async with running() as sim, stream("okx", sim) as exchange:
            await exchange.watch_order_book(pair)
            ticker = await exchange.watch_ticker(pair)
            quotes = await exchange.watch_bids_asks([pair])
            bars = await exchange.watch_ohlcv(pair, "1h")
            assert ticker["bid"] == quotes[pair]["bid"]
            assert bars[0][0] == NOW // 3_600_000 * 3_600_000
            watching = asyncio.create_task(exchange.watch_trades(pair))
            while len(sim.sockets[0].subscriptions) < 4:
                await asyncio.sleep(0.001)
            await sim.advance(10)
            assert (await asyncio.wait_for(watching, 10))[0]["symbol"] == pair
            truth = await exchange.fetch_order_book(pair, 400)
            for side in ("bids", "asks"):
                rows = [list(row)[:2] for row in exchange.orderbooks[pair][side]]
                assert rows == [row[:2] for row in truth[side]]
            await exchange.un_watch_order_book(pair)
            assert "books/BTC-USDT" not in sim.sockets[0].subscriptions

    asyncio.run(run())


def test_the_real_connector_tells_of_a_gap(stream) -> None:
    pair = "BTC/USDT"

    async def run() -> None:
        faults = ["okx:stream/books/*:lose,after=3,times=1"]
        async with running(faults) as sim, stream("okx", sim) as exchange:
            await exchange.watch_order_book(pair)
            failed = False
            while not failed:
                watching = asyncio.create_task(exchange.watch_order_book(pair))
                await asyncio.sleep(0)
                sent = sim.sockets[0].sent
                await sim.advance(0.1)
                if sim.sockets[0].sent > sent:
                    try:
                        await asyncio.wait_for(watching, 10)
                    except InvalidNonce:
                        failed = True
                else:
                    watching.cancel()
            assert sim.sockets[0].sent == 5

    asyncio.run(run())


def test_who_subscribes_again_gets_a_new_book() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, PUBLIC) as client:
            await subscribed(client, "books")
            await sim.advance(1)
            await client.all(sim.sockets[0].sent - 1)
            await subscribed(client, "books")
            sent = sim.sockets[0].sent
            assert (await client.say(request("unsubscribe", "books")))["event"] == "unsubscribe"
            await subscribed(client, "books")
            await sim.advance(1)
            frames = await client.all(sim.sockets[0].sent - sent - 2)
            truth = await rest(sim, f"{MARKET}/books", instId=NAME, sz=400)
        found = kept(frames)
        assert found["bids"] == [row[:2] for row in truth["data"][0]["bids"]]

    asyncio.run(run())
