"""Behaviour of OKX only."""

import asyncio
from itertools import pairwise

import pytest

V5 = "/api/v5"


def test_instruments(sim, fetch) -> None:
    found = {
        entry["instId"]: entry
        for entry in fetch(sim, f"{V5}/public/instruments", instType="SPOT").json["data"]
    }
    assert found["WAVES-USDT"]["state"] == "suspend"
    assert found["BTC-USDT"]["tickSz"] == "0.1"
    assert found["PEPE-USDT"]["tickSz"] == "0.000000001"
    one = fetch(sim, f"{V5}/public/instruments", instType="SPOT", instId="BTC-USDT").json
    assert one["data"] == [found["BTC-USDT"]]


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("market/ticker", {"instId": "NO-SUCH"}, 200, "51001"),
        ("market/ticker", {}, 400, "50014"),
        ("market/candles", {"instId": "BTC-USDT", "bar": "7m"}, 400, "51000"),
        ("market/candles", {"instId": "BTC-USDT", "limit": "301"}, 400, "51000"),
        ("market/candles", {"instId": "BTC-USDT", "after": "soon"}, 400, "51000"),
        ("market/books", {"instId": "BTC-USDT", "sz": "401"}, 400, "51000"),
        ("market/history-trades", {"instId": "BTC-USDT", "limit": "101"}, 400, "51000"),
        ("public/instruments", {}, 400, "50014"),
        ("public/instruments", {"instType": "SWAP"}, 404, "51000"),
        ("market/tickers", {"instType": "FUTURES"}, 404, "51000"),
    ],
)
def test_refusals(sim, fetch, path: str, query: dict, status: int, code: str) -> None:
    answer = fetch(sim, f"{V5}/{path}", **query)
    assert (answer.status, answer.json["code"]) == (status, code)


def test_candles_are_newest_first_within_two_exclusive_bounds(sim, fetch, now) -> None:
    path = f"{V5}/market/candles"
    newest = fetch(sim, path, instId="BTC-USDT", bar="1m", limit=300).json["data"]
    starts = [int(row[0]) for row in newest]
    assert starts[0] == now // 60_000 * 60_000
    assert all(a - b == 60_000 for a, b in pairwise(starts))
    assert [row[8] for row in newest[:2]] == ["0", "1"]
    inner = fetch(sim, path, instId="BTC-USDT", after=starts[10], before=starts[20]).json["data"]
    assert inner == newest[11:20]
    since = fetch(sim, path, instId="BTC-USDT", before=starts[20], limit=5).json["data"]
    assert since == newest[:5]


def test_recent_candles_end_where_history_goes_on(sim, fetch, now) -> None:
    old = now - 2_000 * 60_000
    query = {"instId": "BTC-USDT", "bar": "1m", "after": old, "limit": 5}
    assert fetch(sim, f"{V5}/market/candles", **query).json["data"] == []
    assert len(fetch(sim, f"{V5}/market/history-candles", **query).json["data"]) == 5


@pytest.mark.parametrize("bar", ["6H", "1D", "1W", "1M"])
def test_long_bars_begin_in_hong_kong_or_utc(sim, fetch, bar: str) -> None:
    def start(name: str) -> int:
        query = {"instId": "BTC-USDT", "bar": name, "limit": 1}
        return int(fetch(sim, f"{V5}/market/candles", **query).json["data"][0][0])

    assert start(f"{bar}utc") % 21_600_000 == 0
    assert start(bar) % 21_600_000 == 4 * 3_600_000


def test_books(sim, fetch, now) -> None:
    small = fetch(sim, f"{V5}/market/books", instId="BTC-USDT", sz=400).json["data"][0]
    full = fetch(sim, f"{V5}/market/books-full", instId="BTC-USDT", sz=5000).json["data"][0]
    assert (len(small["bids"]), len(full["bids"])) == (400, 5000)
    assert [row[:2] for row in small["asks"]] == [row[:2] for row in full["asks"][:400]]
    assert small["ts"] == str(now)
    alone = fetch(sim, f"{V5}/market/books", instId="BTC-USDT").json["data"][0]
    assert len(alone["asks"]) == 1


def test_history_trades_page_by_id_and_by_time(sim, fetch) -> None:
    path = f"{V5}/market/history-trades"
    first = fetch(sim, path, instId="BTC-USDT").json["data"]
    ids = [int(trade["tradeId"]) for trade in first]
    assert ids == list(range(ids[0], ids[0] - 100, -1))
    older = fetch(sim, path, instId="BTC-USDT", after=ids[-1]).json["data"]
    assert int(older[0]["tradeId"]) == ids[-1] - 1
    newer = fetch(sim, path, instId="BTC-USDT", before=ids[5]).json["data"]
    assert newer == first[:5]
    moment = first[50]["ts"]
    timed = fetch(sim, path, instId="BTC-USDT", type=2, after=moment).json["data"]
    assert timed[0] == next(trade for trade in first if trade["ts"] < moment)


def test_trades_page_through_ccxt(sim, connect) -> None:
    async def run():
        async with connect("okx", sim) as exchange:
            params = {"method": "publicGetMarketHistoryTrades"}
            first = await exchange.fetch_trades("BTC/USDT", limit=100, params=params)
            params["after"] = first[0]["id"]
            return await exchange.fetch_trades("BTC/USDT", limit=100, params=params) + first

    ids = [int(trade["id"]) for trade in asyncio.run(run())]
    assert ids == list(range(ids[0], ids[0] + 200))


def test_the_ticker_tells_where_the_day_began(sim, fetch, now) -> None:
    ticker = fetch(sim, f"{V5}/market/ticker", instId="BTC-USDT").json["data"][0]
    for bar, name in (("1Dutc", "sodUtc0"), ("1D", "sodUtc8")):
        query = {"instId": "BTC-USDT", "bar": bar, "limit": 1}
        candle = fetch(sim, f"{V5}/market/candles", **query).json["data"][0]
        assert candle[1] == ticker[name]
    assert not ticker["last"].endswith("0") or "." not in ticker["last"]
