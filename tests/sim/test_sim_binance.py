"""Behaviour of Binance only."""

import asyncio
from itertools import pairwise

import pytest

V3 = "/api/v3"


def test_windows_full_and_mini(sim, fetch, now) -> None:
    for path in ("ticker", "ticker/tradingDay"):
        full = fetch(sim, f"{V3}/{path}", symbol="BTCUSDT").json
        mini = fetch(sim, f"{V3}/{path}", symbol="BTCUSDT", type="MINI").json
        extra = {"priceChange", "priceChangePercent", "weightedAvgPrice"}
        assert set(full) - set(mini) == extra
        assert {name: full[name] for name in mini} == mini
        assert full["lastId"] - full["firstId"] + 1 == full["count"]


def test_a_rolling_window_starts_on_the_minute(sim, fetch, now) -> None:
    found = fetch(sim, f"{V3}/ticker", symbol="BTCUSDT", windowSize="4h").json
    assert found["openTime"] == (now - 4 * 3_600_000) // 60_000 * 60_000
    assert found["closeTime"] == now
    rows = fetch(
        sim, f"{V3}/klines", symbol="BTCUSDT", interval="1m", startTime=found["openTime"]
    ).json
    assert sum(row[8] for row in rows) == found["count"]
    assert max(rows, key=lambda row: float(row[2]))[2] == found["highPrice"]
    assert sum(round(float(row[5]) * 1e5) for row in rows) == round(float(found["volume"]) * 1e5)
    quote = sum(round(float(row[7]) * 1e7) for row in rows)
    assert quote == round(float(found["quoteVolume"]) * 1e7)


def test_a_trading_day_starts_at_midnight_of_its_zone(sim, fetch, now) -> None:
    day = 86_400_000
    found = fetch(sim, f"{V3}/ticker/tradingDay", symbol="BTCUSDT").json
    assert found["openTime"] == now - now % day
    assert found["closeTime"] == found["openTime"] + day - 1
    shifted = fetch(sim, f"{V3}/ticker/tradingDay", symbol="BTCUSDT", timeZone="8").json
    assert shifted["openTime"] == now - now % day - 8 * 3_600_000


def test_the_day_ticker(sim, fetch, now) -> None:
    found = fetch(sim, f"{V3}/ticker/24hr", symbol="BTCUSDT").json
    book = fetch(sim, f"{V3}/ticker/bookTicker", symbol="BTCUSDT").json
    depth = fetch(sim, f"{V3}/depth", symbol="BTCUSDT", limit=5).json
    assert found["closeTime"] - found["openTime"] == 86_400_000
    assert {name: found[name] for name in book} == book
    assert depth["bids"][0] == [book["bidPrice"], book["bidQty"]]
    assert depth["asks"][0] == [book["askPrice"], book["askQty"]]
    price = fetch(sim, f"{V3}/ticker/price", symbol="BTCUSDT").json
    assert price == {"symbol": "BTCUSDT", "price": found["lastPrice"]}


def test_several_symbols_at_once(sim, fetch) -> None:
    names = '["BTCUSDT","ETHUSDT"]'
    for path in ("24hr", "bookTicker", "price", "tradingDay"):
        found = fetch(sim, f"{V3}/ticker/{path}", symbols=names).json
        assert [entry["symbol"] for entry in found] == ["BTCUSDT", "ETHUSDT"]
    info = fetch(sim, f"{V3}/exchangeInfo", symbols=names).json
    assert [entry["symbol"] for entry in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]


def test_trades_from_id_0_on(sim, fetch) -> None:
    found = fetch(sim, f"{V3}/historicalTrades", symbol="ETHBTC", fromId=0, limit=1000).json
    assert [trade["id"] for trade in found] == list(range(1000))
    assert all(a["time"] <= b["time"] for a, b in pairwise(found))
    then = fetch(sim, f"{V3}/historicalTrades", symbol="ETHBTC", fromId=1000, limit=3).json
    assert [trade["id"] for trade in then] == [1000, 1001, 1002]


def test_recent_trades_are_the_newest(sim, fetch, now) -> None:
    found = fetch(sim, f"{V3}/trades", symbol="BTCUSDT", limit=20).json
    day = fetch(sim, f"{V3}/ticker/24hr", symbol="BTCUSDT").json
    assert found[-1]["id"] == day["lastId"]
    assert found[-1]["price"] == day["lastPrice"]
    assert len(found) == 20


def test_aggregates_cover_every_trade_once(sim, fetch, now) -> None:
    newest = fetch(sim, f"{V3}/aggTrades", symbol="BTCUSDT", limit=500).json
    assert len(newest) == 500
    for before, after in pairwise(newest):
        assert after["a"] == before["a"] + 1
        assert after["f"] == before["l"] + 1
    assert any(entry["l"] > entry["f"] for entry in newest)
    by_id = fetch(sim, f"{V3}/aggTrades", symbol="BTCUSDT", fromId=newest[100]["a"], limit=50)
    assert by_id.json == newest[100:150]
    start, end = newest[200]["T"], newest[300]["T"]
    timed = fetch(sim, f"{V3}/aggTrades", symbol="BTCUSDT", startTime=start, endTime=end).json
    assert timed == [entry for entry in newest if start <= entry["T"] <= end]
    first = fetch(sim, f"{V3}/aggTrades", symbol="BTCUSDT", fromId=0, limit=2).json
    assert [entry["a"] for entry in first] == [0, 1]


def test_klines_bounds_are_both_inside(sim, fetch, now) -> None:
    minute = now - now % 60_000 - 600_000
    rows = fetch(
        sim,
        f"{V3}/klines",
        symbol="BTCUSDT",
        interval="1m",
        startTime=minute,
        endTime=minute + 120_000,
    ).json
    assert [row[0] for row in rows] == [minute, minute + 60_000, minute + 120_000]
    assert rows[0][6] == minute + 59_999
    assert all(isinstance(value, str) for value in rows[0][1:6])
    same = fetch(sim, f"{V3}/uiKlines", symbol="BTCUSDT", interval="1m", endTime=minute, limit=1)
    assert same.json == rows[:1]


@pytest.mark.parametrize("interval", ["1s", "3m", "2h", "8h", "3d", "1w", "1M"])
def test_every_interval(sim, fetch, interval: str) -> None:
    rows = fetch(sim, f"{V3}/klines", symbol="BTCUSDT", interval=interval, limit=50).json
    assert len(rows) == 50
    assert all(a[6] + 1 == b[0] for a, b in pairwise(rows))


def test_quiet_minutes_have_candles_without_volume(sim, fetch) -> None:
    rows = fetch(sim, f"{V3}/klines", symbol="LTCBTC", interval="1m", limit=1000).json
    assert len(rows) == 1000
    quiet = [row for row in rows if row[8] == 0]
    assert len(quiet) > 500
    assert all(row[1] == row[2] == row[3] == row[4] for row in quiet)


def test_no_candles_before_a_listing(sim, fetch) -> None:
    rows = fetch(sim, f"{V3}/klines", symbol="SOLUSDT", interval="1d", startTime=0, limit=5).json
    assert rows[0][0] == 1597104000000
    assert len(rows) == 5


def test_a_closed_pair_stays_where_it_ended(sim, fetch) -> None:
    rows = fetch(sim, f"{V3}/klines", symbol="WAVESUSDT", interval="1d", limit=3).json
    assert [row[0] for row in rows][-1] == 1718496000000
    day = fetch(sim, f"{V3}/ticker/24hr", symbol="WAVESUSDT").json
    assert day["volume"] == "0.00000000"
    assert day["lastPrice"] == rows[-1][4]


def test_average_price(sim, fetch, now) -> None:
    found = fetch(sim, f"{V3}/avgPrice", symbol="BTCUSDT").json
    assert found["mins"] == 5
    assert now - 60_000 < found["closeTime"] <= now


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("klines", {"symbol": "NOSUCH", "interval": "1m"}, 400, -1121),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, 400, -1120),
        ("klines", {"symbol": "BTCUSDT"}, 400, -1102),
        ("klines", {"interval": "1m"}, 400, -1102),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "0"}, 400, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "-5"}, 400, -1100),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": "x"}, 400, -1100),
        ("depth", {"symbol": "btc/usdt"}, 400, -1100),
        ("ticker", {}, 400, -1102),
        ("ticker/tradingDay", {}, 400, -1102),
        ("ticker", {"symbol": "BTCUSDT", "windowSize": "25h"}, 400, -1130),
        ("ticker", {"symbol": "BTCUSDT", "type": "HUGE"}, 400, -1130),
        ("ticker/24hr", {"symbol": "BTCUSDT", "symbols": '["BTCUSDT"]'}, 400, -1128),
        ("ticker/24hr", {"symbols": "BTCUSDT"}, 400, -1130),
        ("aggTrades", {"symbol": "BTCUSDT", "fromId": "1", "startTime": "1"}, 400, -1128),
        ("nothing", {}, 404, -1000),
    ],
)
def test_refusals(sim, fetch, path: str, query: dict, status: int, code: int) -> None:
    answer = fetch(sim, f"{V3}/{path}", **query)
    assert (answer.status, answer.json["code"]) == (status, code)


def test_a_page_is_never_longer_than_its_limit(sim, fetch) -> None:
    rows = fetch(sim, f"{V3}/klines", symbol="BTCUSDT", interval="1m", limit=5000).json
    assert len(rows) == 1000
    assert len(fetch(sim, f"{V3}/trades", symbol="BTCUSDT", limit=5000).json) == 1000
    depth = fetch(sim, f"{V3}/depth", symbol="BTCUSDT", limit=9999).json
    assert len(depth["asks"]) == 5000


def test_used_weight_adds_up(sim, fetch) -> None:
    def used(path: str, **query: str) -> int:
        return int(fetch(sim, V3 + path, **query).headers["X-MBX-USED-WEIGHT-1M"])

    before = used("/ping")
    assert used("/time") == before + 1
    assert used("/exchangeInfo") == before + 21
    assert used("/depth", symbol="BTCUSDT", limit="5000") == before + 271
    assert used("/ticker", symbols='["BTCUSDT","ETHUSDT"]') == before + 279
    assert used("/ticker/24hr") == before + 359


def test_rolling_tickers_and_quotes_through_ccxt(sim, connect) -> None:
    async def run():
        async with connect("binance", sim) as exchange:
            rolling = await exchange.fetch_ticker("BTC/USDT", {"rolling": True, "windowSize": "4h"})
            several = await exchange.fetch_tickers(["BTC/USDT", "ETH/USDT"], {"rolling": True})
            quotes = await exchange.fetch_bids_asks(["BTC/USDT", "ETH/BTC"])
            prices = await exchange.fetch_last_prices(["BTC/USDT"])
            exchange.apiKey = "the connector wants one for historicalTrades"
            trades = await exchange.fetch_trades(
                "BTC/USDT",
                limit=5,
                params={"fetchTradesMethod": "publicGetHistoricalTrades", "fromId": 0},
            )
            return rolling, several, quotes, prices, trades

    rolling, several, quotes, prices, trades = asyncio.run(run())
    assert rolling["bid"] is None
    assert set(several) == {"BTC/USDT", "ETH/USDT"}
    assert set(quotes) == {"BTC/USDT", "ETH/BTC"}
    assert prices["BTC/USDT"]["price"] == rolling["last"]
    assert [trade["id"] for trade in trades] == ["0", "1", "2", "3", "4"]
