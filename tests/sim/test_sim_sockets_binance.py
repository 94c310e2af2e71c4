"""Binance's streams, read by the real connector and by a bare client."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sim_wires import applied, rest, wire

from marketdata.sim import SimulatedExchange

V3 = "/api/v3"
ON_A_SLOT = 1_750_000_000_700
PAIR = "BTC/USDT"


@pytest.fixture
def minutes(tmp_path: Path) -> Path:
    """A tape of minutes that ends after ON_A_SLOT."""
    path = tmp_path / "binance_BTC_USDT-1m.csv"
    start = ON_A_SLOT // 60_000 * 60_000 - 3_600_000
    rows = [
        f"{start + 60_000 * index},{60_000 + index}.5,{60_009 + index},{59_990},{60_001 + index},2"
        for index in range(70)
    ]
    path.write_text("\n".join(["timestamp_ms,open,high,low,close,volume", *rows]) + "\n")
    return path


@pytest.mark.parametrize("speed", ["", "@100ms"])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "PEPEUSDT", "LTCBTC"])
def test_differences_lead_from_one_rest_book_to_the_next(symbol: str, speed: str) -> None:
    async def run() -> None:
        async with SimulatedExchange(now=ON_A_SLOT + 340, frozen=True) as sim, wire(sim) as client:
            await client.ask("SUBSCRIBE", f"{symbol.lower()}@depth{speed}")
            before = await rest(sim, f"{V3}/depth", symbol=symbol, limit=5000)
            await sim.advance(19.96)
            after = await rest(sim, f"{V3}/depth", symbol=symbol, limit=1000)
            events = await client.all(sim.sockets[0].sent - 1)
        assert len(events) == (200 if speed else 20)
        found = applied(before, events)
        assert found["lastUpdateId"] == after["lastUpdateId"]
        for side in ("bids", "asks"):
            assert found[side][:1000] == after[side]

    asyncio.run(run())


def test_a_snapshot_may_lie_between_two_differences() -> None:
    async def run() -> None:
        async with SimulatedExchange(now=ON_A_SLOT, frozen=True) as sim, wire(sim) as client:
            await client.ask("SUBSCRIBE", "btcusdt@depth@100ms")
            books = []
            for _ in range(60):
                await sim.advance(0.033)
                books.append(await rest(sim, f"{V3}/depth", symbol="BTCUSDT", limit=5000))
            await sim.advance(0.02)
            after = await rest(sim, f"{V3}/depth", symbol="BTCUSDT", limit=1000)
            events = await client.all(20)
        assert len({book["lastUpdateId"] for book in books}) > 20
        for book in books:
            found = applied(book, events)
            assert found["lastUpdateId"] == after["lastUpdateId"]
            assert (found["bids"][:1000], found["asks"][:1000]) == (after["bids"], after["asks"])

    asyncio.run(run())


def test_neighbouring_books_differ_in_a_few_rows() -> None:
    async def run() -> list[Any]:
        async with SimulatedExchange(now=ON_A_SLOT, frozen=True) as sim, wire(sim) as client:
            await client.ask("SUBSCRIBE", "ethusdt@depth@100ms")
            await sim.advance(10)
            return await client.all(100)

    events = asyncio.run(run())
    for before, after in pairwise(events):
        assert after["U"] == before["u"] + 1
        assert after["E"] == before["E"] + 100
    rows = [len(event["b"]) + len(event["a"]) for event in events]
    assert min(rows) > 0
    assert sum(rows) / len(rows) < 100


def test_books_of_a_tape(minutes: Path) -> None:
    async def run() -> None:
        async with SimulatedExchange(tape=minutes, now=ON_A_SLOT) as sim, wire(sim) as client:
            await client.ask("SUBSCRIBE", "btcusdt@depth@100ms")
            before = await rest(sim, f"{V3}/depth", symbol="BTCUSDT", limit=5000)
            await sim.advance(60)
            after = await rest(sim, f"{V3}/depth", symbol="BTCUSDT", limit=1000)
            events = await client.all(600)
        found = applied(before, events)
        assert found["lastUpdateId"] == after["lastUpdateId"]
        assert (found["bids"][:1000], found["asks"][:1000]) == (after["bids"], after["asks"])

    asyncio.run(run())


def test_trades_are_those_of_rest() -> None:
    async def run() -> None:
        async with SimulatedExchange(now=ON_A_SLOT, frozen=True) as sim:
            async with wire(sim) as single, wire(sim, "/stream") as combined:
                await single.ask("SUBSCRIBE", "btcusdt@trade")
                await combined.ask("SUBSCRIBE", "btcusdt@aggTrade")
                await sim.advance(30)
                trades = await single.all(sim.sockets[0].sent - 1)
                groups = await combined.all(sim.sockets[1].sent - 1)
            query = {"symbol": "BTCUSDT", "limit": 1000}
            rows = await rest(sim, f"{V3}/trades", **query)
            aggregates = await rest(sim, f"{V3}/aggTrades", **query, startTime=ON_A_SLOT + 1)
        assert len(trades) > 10
        assert [(one["t"], one["p"], one["q"], one["T"], one["m"]) for one in trades] == [
            (row["id"], row["price"], row["qty"], row["time"], row["isBuyerMaker"])
            for row in rows
            if row["time"] > ON_A_SLOT
        ]
        assert {group["stream"] for group in groups} == {"btcusdt@aggTrade"}
        sent = [{name: one["data"][name] for name in aggregates[0]} for one in groups]
        assert sent == aggregates

    asyncio.run(run())


def test_best_quotes_and_tickers_are_those_of_rest() -> None:
    async def run() -> None:
        async with SimulatedExchange(now=ON_A_SLOT + 300, frozen=True) as sim:
            path = "/stream?streams=btcusdt@bookTicker/btcusdt@ticker/btcusdt@miniTicker"
            async with wire(sim, path) as client:
                await sim.advance(20)
                found = await client.all(sim.sockets[0].sent)
                assert sim.sockets[0].subscriptions == [
                    "bookTicker/BTCUSDT",
                    "ticker/BTCUSDT",
                    "miniTicker/BTCUSDT",
                ]
            best = await rest(sim, f"{V3}/ticker/bookTicker", symbol="BTCUSDT")
            day = await rest(sim, f"{V3}/ticker/24hr", symbol="BTCUSDT")
        by_name: dict[str, list[Any]] = {}
        for one in found:
            by_name.setdefault(one["stream"], []).append(one["data"])
        quotes = by_name["btcusdt@bookTicker"]
        assert len(quotes) > 60
        assert all(before["u"] < after["u"] for before, after in pairwise(quotes))
        assert [quotes[-1][name] for name in "sbBaA"] == list(best.values())
        full, mini = by_name["btcusdt@ticker"], by_name["btcusdt@miniTicker"]
        assert len(full) == len(mini) == 20
        assert (full[-1]["c"], full[-1]["n"]) == (day["lastPrice"], day["count"])
        assert (full[-1]["b"], full[-1]["O"]) == (day["bidPrice"], day["openTime"])
        assert all(
            one[name] == two[name] for one, two in zip(full, mini, strict=True) for name in "ohlc"
        )

    asyncio.run(run())


def test_bars_close_on_the_second() -> None:
    async def run() -> None:
        async with SimulatedExchange(now=ON_A_SLOT, frozen=True) as sim, wire(sim) as client:
            await client.ask("SUBSCRIBE", "btcusdt@kline_1m", "btcusdt@kline_1s")
            await sim.advance(130)
            found = await client.all(260)
            rows = {
                interval: await rest(
                    sim, f"{V3}/klines", symbol="BTCUSDT", interval=interval, limit=200
                )
                for interval in ("1m", "1s")
            }
        for interval, count in (("1m", 3), ("1s", 130)):
            bars = [one["k"] for one in found if one["k"]["i"] == interval]
            closed = {bar["t"]: bar for bar in bars if bar["x"]}
            assert len(bars) == 130
            assert len(closed) >= count - 1
            by_time = {row[0]: row for row in rows[interval]}
            for start, bar in closed.items():
                row = by_time[start]
                assert [bar[name] for name in "ohlcvTqn"] == row[1:9]
                assert bar["n"] == (bar["L"] - bar["f"] + 1 if bar["n"] else 0)

    asyncio.run(run())


def test_a_running_clock_sends_by_itself() -> None:
    async def run() -> None:
        async with SimulatedExchange() as sim, wire(sim) as client:
            await client.ask("SUBSCRIBE", "btcusdt@depth@100ms", "btcusdt@bookTicker")
            before = await rest(sim, f"{V3}/depth", symbol="BTCUSDT", limit=1000)
            events = [one for one in await client.all(12) if one.get("e") == "depthUpdate"]
            with pytest.raises(RuntimeError, match="cannot be advanced"):
                await sim.advance(1)
        assert applied(before, events)["lastUpdateId"] == events[-1]["u"]

    asyncio.run(run())


def test_requests_are_acknowledged_or_refused() -> None:
    async def run() -> None:
        async with (
            SimulatedExchange(now=ON_A_SLOT, frozen=True) as sim,
            wire(sim) as client,
            wire(sim, "/ws") as other,
        ):
            assert await client.ask("SUBSCRIBE", "btcusdt@depth", number=7) == {
                "result": None,
                "id": 7,
            }
            assert await client.ask("LIST_SUBSCRIPTIONS", number="a") == {
                "result": ["btcusdt@depth"],
                "id": "a",
            }
            for stream in ("foobar@depth", "btcusdt@kline_7m", "btcusdt@odd", "btcusdt", "@"):
                refused = await client.ask("SUBSCRIBE", "ethusdt@trade", stream)
                assert refused["error"]["code"] == 2
                assert refused["error"]["msg"].startswith("Invalid request: ")
                assert refused["id"] == 1
            for text, code in (("{", 3), ("[]", 2), ("{}", 2), ('{"method":"ODD"}', 2)):
                await client.socket.send_str(text)
                assert (await client.next())["error"]["code"] == code
            assert (await client.ask("SUBSCRIBE", 5))["error"]["code"] == 2
            assert (await client.ask("SET_PROPERTY", "odd", True))["error"]["code"] == 0
            assert (await client.ask("SET_PROPERTY", "combined", 1))["error"]["code"] == 1
            assert (await client.ask("SET_PROPERTY", "combined", True))["result"] is None
            assert (await client.ask("GET_PROPERTY", "combined"))["result"] is True
            await sim.advance(1)
            assert set(await client.next()) == {"stream", "data"}
            assert (await client.ask("UNSUBSCRIBE", "btcusdt@depth"))["result"] is None
            await sim.advance(5)
            assert [record.sent for record in sim.sockets] == [18, 0]
            assert sim.sockets[0].subscriptions == []
            await client.socket.ping(b"here")
            await other.ask("SUBSCRIBE", "waves" + "usdt@trade")
            await sim.advance(3600)
            assert sim.sockets[1].sent == 1

    asyncio.run(run())


def test_sockets_are_written_down_and_cut(fetch) -> None:
    async def run(sim: SimulatedExchange) -> None:
        async with wire(sim, "/ws/btcusdt@trade") as client, wire(sim) as other:
            await other.ask("SUBSCRIBE", "ethusdt@ticker", number=3)
            first, second = sim.sockets
            assert (first.exchange, first.path) == ("binance", "/ws/btcusdt@trade")
            assert (first.opened, first.closed, first.sent) == (ON_A_SLOT, False, 0)
            assert second.subscriptions == ["ticker/ETHUSDT"]
            assert second.received == [
                '{"method": "SUBSCRIBE", "params": ["ethusdt@ticker"], "id": 3}'
            ]
            sim.hang_up("kraken")
            assert not any(record.closed for record in sim.sockets)
            sim.hang_up()
            assert all(record.closed for record in sim.sockets)
            for one in (client, other):
                message = await one.socket.receive()
                assert message.type is aiohttp.WSMsgType.CLOSED
                assert one.socket.close_code == 1006

    with SimulatedExchange(now=ON_A_SLOT, frozen=True) as sim:
        asyncio.run(run(sim))
        assert [(one.path, one.status) for one in sim.requests] == [
            ("/ws/btcusdt@trade", 101),
            ("/ws/0", 101),
        ]
        log = fetch(sim, "/_sim/sockets").json
        assert [record["path"] for record in log] == ["/ws/btcusdt@trade", "/ws/0"]
        sim.forget()
        assert sim.sockets == []
        assert fetch(sim, "/ws/0").status == 400


def test_an_upgrade_says_that_it_is_simulated() -> None:
    async def run() -> None:
        async with SimulatedExchange(seed=9) as sim, aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{sim.url}/ws/0") as socket:
                headers = socket._response.headers
            assert headers["X-Marketdata-Simulated"] == "1"
            assert headers["X-Marketdata-Plays"] == "seed-9"

    asyncio.run(run())


def test_the_clock_is_advanced_from_any_thread() -> None:
    with SimulatedExchange(now=ON_A_SLOT, frozen=True) as sim:
        sim.advance(1.5)
        assert sim.clock.now() == ON_A_SLOT + 1_500

        async def run() -> list[Any]:
            async with wire(sim, "/ws/btcusdt@miniTicker") as client:
                await sim.advance(5)
                return await client.all(5)

        assert [one["e"] for one in asyncio.run(run())] == ["24hrMiniTicker"] * 5
        assert sim.clock.now() == ON_A_SLOT + 6_500
    sim.advance(1)
    assert sim.clock.now() == ON_A_SLOT + 7_500


def test_stopping_closes_sockets() -> None:
    async def run() -> None:
        async with (
            SimulatedExchange() as sim,
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{sim.url}/ws/btcusdt@depth") as socket,
        ):
            stopping = asyncio.create_task(sim.stop())
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
            await stopping

    asyncio.run(run())


def test_the_real_connector_keeps_its_book(stream) -> None:
    async def run() -> None:
        async with (
            SimulatedExchange(now=ON_A_SLOT, frozen=True) as sim,
            stream("binance", sim) as exchange,
        ):
            first = await exchange.watch_order_book(PAIR)
            assert first["nonce"] is not None
            for _ in range(20):
                watching = asyncio.create_task(exchange.watch_order_book(PAIR))
                await asyncio.sleep(0)
                await sim.advance(0.5)
                await asyncio.wait_for(watching, 10)
            truth = await exchange.fetch_order_book(PAIR, 1000)
            book = exchange.orderbooks[PAIR]
            while book["nonce"] < truth["nonce"]:
                await asyncio.sleep(0)
            for side in ("bids", "asks"):
                kept = [list(row) for row in book[side]]
                assert kept[:900] == [list(row) for row in truth[side]][:900]

    asyncio.run(run())


def test_the_real_connector_reads_every_channel(stream) -> None:
    async def run() -> None:
        async with (
            SimulatedExchange(now=ON_A_SLOT, frozen=True) as sim,
            stream("binance", sim) as exchange,
        ):
            await exchange.load_markets()
            watching = [
                asyncio.create_task(exchange.watch_trades(PAIR)),
                asyncio.create_task(exchange.watch_ticker(PAIR, {"name": "ticker"})),
                asyncio.create_task(exchange.watch_bids_asks([PAIR])),
                asyncio.create_task(exchange.watch_ohlcv(PAIR, "1m")),
            ]
            while sum(record.sent for record in sim.sockets) < 4:
                await asyncio.sleep(0.001)
            await sim.advance(10)
            trades, ticker, quotes, bars = await asyncio.wait_for(asyncio.gather(*watching), 10)
            day = await exchange.fetch_ticker(PAIR)
        assert trades[0]["symbol"] == ticker["symbol"] == PAIR
        assert abs(ticker["last"] / day["last"] - 1) < 0.01
        assert quotes[PAIR]["bid"] < quotes[PAIR]["ask"]
        assert bars[0][0] == ON_A_SLOT // 60_000 * 60_000

    asyncio.run(run())


def test_the_real_connector_is_told_of_a_cut(stream) -> None:
    async def run() -> None:
        async with (
            SimulatedExchange(now=ON_A_SLOT, frozen=True) as sim,
            stream("binance", sim) as exchange,
        ):
            await exchange.watch_order_book(PAIR)
            watching = asyncio.create_task(exchange.watch_order_book(PAIR))
            await asyncio.sleep(0)
            sim.hang_up("binance")
            with pytest.raises(Exception, match=r"1006|closed|reset"):
                await asyncio.wait_for(watching, 10)
            again = await asyncio.wait_for(exchange.watch_order_book(PAIR), 10)
            assert again["nonce"] is not None

    asyncio.run(run())
