"""Coinbase Exchange's streams, read by the real connector and by a bare client."""

import asyncio
from typing import Any

import pytest
from sim_wires import rest, wire

from marketdata.sim import SimulatedExchange

NOW = 1_750_000_000_700
PRODUCT = "BTC-USD"


def request(kind: str, *channels: Any, products: Any = (PRODUCT,), **more: Any) -> Any:
    return {"type": kind, "product_ids": list(products), "channels": list(channels), **more}


def running(faults: Any = ()) -> SimulatedExchange:
    return SimulatedExchange(now=NOW, frozen=True, faults=faults)


def apply(book: dict[str, dict[str, str]], frame: Any) -> None:
    for side, price, size in frame["changes"]:
        if float(size):
            book[side][price] = size
        else:
            book[side].pop(price, None)


def test_a_book_is_kept_from_its_snapshot_on() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, "/") as client:
            ack = await client.say(request("subscribe", "level2_batch"))
            assert (ack["type"], ack["channels"][0]["name"]) == ("subscriptions", "level2_batch")
            assert ack["channels"][0]["product_ids"] == [PRODUCT]
            first = await client.next()
            await sim.advance(19.85)
            await sim.advance(0.15)
            frames = await client.all(sim.sockets[0].sent - 2)
            truth = await rest(sim, f"/products/{PRODUCT}/book", level=2)
        assert (first["type"], first["product_id"]) == ("snapshot", PRODUCT)
        assert len(first["bids"]) > 5_000
        book = {"buy": dict(first["bids"]), "sell": dict(first["asks"])}
        assert len(frames) == 200
        for frame in frames:
            assert (frame["type"], frame["product_id"]) == ("l2update", PRODUCT)
            apply(book, frame)
        for side, name in (("buy", "bids"), ("sell", "asks")):
            best = sorted(book[side], key=float, reverse=side == "buy")
            kept = [[price, book[side][price]] for price in best]
            assert kept[:1000] == [row[:2] for row in truth[name]]

    asyncio.run(run())


def test_level2_wants_a_signature() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, "/") as client:
            refused = await client.say(request("subscribe", "level2"))
            assert refused == {
                "type": "error",
                "message": "Failed to subscribe",
                "reason": "level2, level3, and full channels now require authentication",
            }
            signed = {"signature": "x", "key": "k", "passphrase": "p", "timestamp": 1}
            ack = await client.say(request("subscribe", "level2", **signed))
            assert ack["channels"][0]["name"] == "level2"
            assert (await client.next())["type"] == "snapshot"

    asyncio.run(run())


def test_requests_are_answered_or_refused() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, "/") as client:
            refused = await client.say(request("subscribe", "ticker", products=["FOO-BAR"]))
            assert refused["message"] == "Failed to subscribe"
            assert refused["reason"] == "FOO-BAR is not a valid product"
            refused = await client.say(request("subscribe", "odd"))
            assert refused["reason"] == "odd is not a valid channel"
            refused = await client.say({"type": "odd"})
            assert refused["reason"].startswith("Type has to be")
            await client.socket.send_str("{")
            assert await client.next() == {"type": "error", "message": "Malformed JSON"}
            ticker = {"name": "ticker", "product_ids": ["ETH-USD"]}
            ack = await client.say(request("subscribe", "heartbeat", ticker))
            assert [(one["name"], one["product_ids"]) for one in ack["channels"]] == [
                ("heartbeat", [PRODUCT]),
                ("ticker", ["ETH-USD"]),
            ]
            assert (await client.next())["type"] == "ticker"
            assert sim.sockets[0].subscriptions == ["heartbeat/BTC-USD", "ticker/ETH-USD"]
            ack = await client.say({"type": "unsubscribe", "channels": ["heartbeat"]})
            assert [one["name"] for one in ack["channels"]] == ["ticker"]
            ack = await client.say(request("unsubscribe", "ticker", products=["ETH-USD"]))
            assert ack["channels"] == []
            await sim.advance(3)
            assert sim.sockets[0].sent == 8

    asyncio.run(run())


def test_matches_tickers_and_heartbeats() -> None:
    async def run() -> None:
        async with running() as sim, wire(sim, "/") as client:
            await client.say(request("subscribe", "matches", "ticker", "heartbeat"))
            await sim.advance(30)
            frames = await client.all(sim.sockets[0].sent - 1)
            trades = await rest(sim, f"/products/{PRODUCT}/trades")
            stats = await rest(sim, f"/products/{PRODUCT}/stats")
        by_type: dict[str, list[Any]] = {}
        for frame in frames:
            by_type.setdefault(frame["type"], []).append(frame)
        matches = by_type["last_match"] + by_type["match"]
        assert len(by_type["last_match"]) == 1
        names = ("trade_id", "side", "size", "price", "time")
        told = [[match[name] for name in names] for match in matches]
        assert told == [[trade[name] for name in names] for trade in trades[: len(told)][::-1]]
        tickers = by_type["ticker"]
        assert [one["trade_id"] for one in tickers] == [one["trade_id"] for one in matches]
        assert [one["sequence"] for one in tickers[1:]] == [
            one["sequence"] for one in by_type["match"]
        ]
        assert all(one["side"] != two["side"] for one, two in zip(tickers, matches, strict=True))
        assert (tickers[-1]["price"], tickers[-1]["high_24h"]) == (stats["last"], stats["high"])
        beats = by_type["heartbeat"]
        assert len(beats) == 30
        assert beats[-1]["last_trade_id"] in {one["trade_id"] for one in matches}

    asyncio.run(run())


@pytest.mark.parametrize("effect", ["flood=30", "stray"])
def test_faults_of_the_book(effect: str) -> None:
    async def run() -> None:
        faults = [f"coinbaseexchange:stream/level2_batch/*:{effect},after=3,times=1"]
        async with running(faults) as sim, wire(sim, "/") as client:
            await client.say(request("subscribe", "level2_batch"))
            first = await client.next()
            await sim.advance(5)
            frames = await client.all(sim.sockets[0].sent - 2)
            truth = await rest(sim, f"/products/{PRODUCT}/book", level=2)
        book = {"buy": dict(first["bids"]), "sell": dict(first["asks"])}
        for frame in frames:
            apply(book, frame)
        bids = sorted(book["buy"], key=float, reverse=True)
        crossed = float(bids[0]) > float(truth["asks"][0][0])
        assert crossed is (effect == "stray")
        assert len(frames) == (50 if effect == "stray" else 80)
        assert bids[crossed] == truth["bids"][0][0]

    asyncio.run(run())


def test_the_real_connector(stream) -> None:
    pair = "BTC/USD"

    async def run() -> None:
        async with running() as sim, stream("coinbaseexchange", sim) as exchange:
            exchange.apiKey, exchange.secret, exchange.password = "key", "c2VjcmV0", "phrase"
            await exchange.watch_order_book(pair)
            ticker = await exchange.watch_ticker(pair)
            assert ticker["symbol"] == pair
            watching = asyncio.create_task(exchange.watch_trades(pair))
            while len(sim.sockets[0].subscriptions) < 3:
                await asyncio.sleep(0.001)
            await sim.advance(10)
            trades = await asyncio.wait_for(watching, 10)
            newest = await exchange.fetch_trades(pair, limit=100)
            assert {trade["id"] for trade in trades} <= {trade["id"] for trade in newest}
            truth = await exchange.fetch_order_book(pair, 500)
            book = exchange.orderbooks[pair]
            for side in ("bids", "asks"):
                kept = [list(row)[:2] for row in book[side]]
                assert kept[:500] == [row[:2] for row in truth[side]][:500]

    asyncio.run(run())
