"""The real ccxt connectors, through real sockets, against all four dialects."""

import asyncio
from itertools import pairwise
from typing import Any

import ccxt.async_support as ccxt
import pytest

from marketdata.sim import MARKETS

BARS_PER_REQUEST = {"binance": 1000, "kraken": 720, "coinbaseexchange": 300, "okx": 300}
HOUR = 3_600_000

each = pytest.mark.parametrize("name", MARKETS)


@each
def test_markets(name: str, sim, connect) -> None:
    async def run() -> Any:
        async with connect(name, sim) as exchange:
            return await exchange.load_markets()

    markets = asyncio.run(run())
    assert {"BTC/USDT", "ETH/BTC", "BTC/EUR", "PEPE/USDT", "WAVES/USDT"} <= set(markets)
    assert ("BTC/USD" in markets) == (name in ("kraken", "coinbaseexchange"))
    assert [pair for pair, market in markets.items() if not market["active"]] == ["WAVES/USDT"]
    for market in markets.values():
        assert market["spot"]
        assert market["precision"]["price"] > 0
        assert market["precision"]["amount"] > 0
    assert markets["PEPE/USDT"]["precision"]["price"] <= 1e-8
    assert markets["BTC/USDT"]["precision"]["price"] >= 0.01


@each
def test_ticker_agrees_with_candles_and_book(name: str, sim, connect, now) -> None:
    async def run() -> Any:
        async with connect(name, sim) as exchange:
            since = (now - 24 * HOUR) // HOUR * HOUR
            one = await exchange.fetch_ticker("BTC/USDT")
            every = await exchange.fetch_tickers()
            book = await exchange.fetch_order_book("BTC/USDT", 20)
            minutes = await exchange.fetch_ohlcv("BTC/USDT", "1m", limit=60)
            hours = await exchange.fetch_ohlcv("BTC/USDT", "1h", since, 26)
            return one, every, book, minutes, hours

    one, every, book, minutes, hours = asyncio.run(run())
    assert one["last"] == minutes[-1][4] == every["BTC/USDT"]["last"]
    assert one["bid"] == book["bids"][0][0]
    assert one["ask"] == book["asks"][0][0]
    assert one["bid"] <= one["last"] <= one["ask"]
    assert len(every) == (13 if name in ("kraken", "coinbaseexchange") else 11)
    assert sum(bar[5] for bar in hours[1:]) < one["baseVolume"] < sum(bar[5] for bar in hours)
    if name != "coinbaseexchange":
        assert max(bar[2] for bar in hours[1:]) <= one["high"] <= max(bar[2] for bar in hours)
        assert one["bidVolume"] > 0
        assert one["low"] <= one["vwap"] <= one["high"]


@each
def test_order_books(name: str, sim, connect) -> None:
    depths = (None, 1, 50, 450)

    async def run() -> Any:
        async with connect(name, sim) as exchange:
            return [await exchange.fetch_order_book("ETH/USDT", depth) for depth in depths]

    for depth, book in zip(depths, asyncio.run(run()), strict=True):
        for side, sign in (("bids", -1), ("asks", 1)):
            rows = book[side]
            assert all((b[0] - a[0]) * sign > 0 for a, b in pairwise(rows))
            assert all(row[1] > 0 for row in rows)
            assert len(rows) == (1000 if name == "coinbaseexchange" else depth or 100)


@each
def test_recent_candles(name: str, sim, connect, now) -> None:
    async def run() -> Any:
        async with connect(name, sim) as exchange:
            return [
                (
                    exchange.parse_timeframe(timeframe) * 1000,
                    await exchange.fetch_ohlcv("BTC/USDT", timeframe),
                )
                for timeframe in ("1m", "5m", "15m", "1h", "1d")
            ]

    for step, rows in asyncio.run(run()):
        assert len(rows) >= 100
        assert rows[-1][0] == now - now % step
        for before, after in pairwise(rows):
            assert after[0] - before[0] == step
            assert before[4] == after[1]
        assert all(row[3] <= min(row[1], row[4]) <= max(row[1], row[4]) <= row[2] for row in rows)


@each
def test_candle_pages_join(name: str, sim, connect, now) -> None:
    most = BARS_PER_REQUEST[name]
    # Kraken has the last 720 bars only, wherever a request begins.
    back = 700 if name == "kraken" else 2 * most

    async def run() -> Any:
        async with connect(name, sim) as exchange:
            start = now - now % HOUR - back * HOUR
            first = await exchange.fetch_ohlcv("BTC/USDT", "1h", start, most // 2)
            then = await exchange.fetch_ohlcv("BTC/USDT", "1h", first[-1][0] + HOUR, most // 2)
            again = await exchange.fetch_ohlcv("BTC/USDT", "1h", start, 2 * most)
            return start, first, then, again

    start, first, then, again = asyncio.run(run())
    joined = first + then
    assert joined[0][0] == start
    assert [row[0] for row in joined] == [start + n * HOUR for n in range(len(joined))]
    assert joined == again[: len(joined)]
    assert len(again) <= most


@each
def test_deep_history(name: str, sim, connect, now) -> None:
    async def run() -> Any:
        async with connect(name, sim) as exchange:
            start = exchange.parse8601("2019-03-01T00:00:00Z")
            return start, await exchange.fetch_ohlcv("BTC/USDT", "1d", start, 100)

    start, rows = asyncio.run(run())
    if name == "kraken":
        assert rows == [] or rows[0][0] > start
    else:
        assert rows[0][0] == start
        assert len(rows) == 100


@each
def test_recent_trades_make_the_candles(name: str, sim, connect, now) -> None:
    async def run() -> Any:
        async with connect(name, sim) as exchange:
            trades = await exchange.fetch_trades("ETH/USDT", limit=100)
            minutes = await exchange.fetch_ohlcv("ETH/USDT", "1m", limit=50)
            return trades, minutes

    trades, minutes = asyncio.run(run())
    assert len(trades) == 100
    assert all(a["timestamp"] <= b["timestamp"] <= now for a, b in pairwise(trades))
    assert {trade["side"] for trade in trades} == {"buy", "sell"}
    whole = trades[0]["timestamp"] // 60_000 * 60_000 + 60_000
    inside = [trade for trade in trades if trade["timestamp"] >= whole]
    bars = [bar for bar in minutes if bar[0] >= whole]
    assert inside
    assert (inside[0]["price"], inside[-1]["price"]) == (bars[0][1], bars[-1][4])
    assert max(trade["price"] for trade in inside) == max(bar[2] for bar in bars)
    assert min(trade["price"] for trade in inside) == min(bar[3] for bar in bars)
    amount = sum(trade["amount"] for trade in inside)
    assert amount == pytest.approx(sum(bar[5] for bar in bars), rel=1e-12)


@each
def test_time_and_status(name: str, sim, connect, now) -> None:
    async def run() -> Any:
        async with connect(name, sim) as exchange:
            status = await exchange.fetch_status() if exchange.has["fetchStatus"] else None
            return await exchange.fetch_time(), status

    moment, status = asyncio.run(run())
    assert moment == (now // 1000 * 1000 if name == "kraken" else now)
    assert status is None or status["status"] == "ok"


@each
def test_an_unknown_pair_is_refused(name: str, sim, connect) -> None:
    errors = {
        "binance": ccxt.BadSymbol,
        "kraken": ccxt.ExchangeError,
        "coinbaseexchange": ccxt.ExchangeError,
        "okx": ccxt.BadSymbol,
    }

    async def run() -> None:
        async with connect(name, sim) as exchange:
            await exchange.load_markets()
            exchange.markets["BTC/USDT"]["id"] = "NO-SUCH" if name != "binance" else "NOSUCH"
            with pytest.raises(errors[name]):
                await exchange.fetch_ticker("BTC/USDT")

    asyncio.run(run())


@pytest.mark.parametrize("name", ["binance", "okx"])
def test_anything_but_spot_is_answered_404_and_logged(name: str, sim, connect) -> None:
    async def run() -> None:
        async with connect(name, sim) as exchange:
            exchange.options["fetchMarkets"]["types"] = ["linear" if name == "binance" else "swap"]
            with pytest.raises(ccxt.BaseError):
                await exchange.fetch_markets()

    sim.forget()
    asyncio.run(run())
    (request,) = sim.requests
    assert (request.exchange, request.status) == (name, 404)
    if name == "binance":
        assert request.path == "/fapi/v1/exchangeInfo"
    else:
        assert request.query == {"instType": "SWAP"}


@each
def test_a_thousand_pairs_can_be_listed(name: str, connect) -> None:
    async def run() -> Any:
        from marketdata.sim import SimulatedExchange

        async with SimulatedExchange(pairs=300) as sim, connect(name, sim) as exchange:
            return await exchange.load_markets()

    markets = asyncio.run(run())
    assert len(markets) == 300
    assert sum(market["active"] for market in markets.values()) == 299
