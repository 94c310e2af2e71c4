"""Behaviour of Coinbase Exchange only."""

import asyncio
from itertools import pairwise

import pytest


def test_products(sim, fetch) -> None:
    products = {entry["id"]: entry for entry in fetch(sim, "/products").json}
    assert products["WAVES-USDT"]["status"] == "delisted"
    assert products["BTC-USD"]["quote_increment"] == "0.01"
    assert fetch(sim, "/products/BTC-USD").json == products["BTC-USD"]
    currencies = {entry["id"]: entry for entry in fetch(sim, "/currencies").json}
    assert currencies["EUR"]["details"]["type"] == "fiat"
    assert fetch(sim, "/currencies/BTC").json == currencies["BTC"]


@pytest.mark.parametrize(
    ("path", "query", "status", "message"),
    [
        ("/products/NO-SUCH", {}, 404, "NotFound"),
        ("/products/NO-SUCH/ticker", {}, 404, "NotFound"),
        ("/currencies/NOSUCH", {}, 404, "NotFound"),
        ("/products/BTC-USD/candles", {"granularity": "120"}, 400, "Unsupported granularity"),
        ("/products/BTC-USD/candles", {"granularity": "1m"}, 400, "Invalid granularity"),
        ("/products/BTC-USD/book", {"level": "4"}, 400, "Invalid level"),
        (
            "/products/BTC-USD/candles",
            {"start": "noon", "end": "2025-01-01"},
            400,
            "start must be a valid date-time",
        ),
        (
            "/products/BTC-USD/candles",
            {"start": "2025-01-02", "end": "2025-01-01"},
            400,
            "start must be before end",
        ),
    ],
)
def test_refusals(sim, fetch, path: str, query: dict, status: int, message: str) -> None:
    answer = fetch(sim, path, **query)
    assert (answer.status, answer.json) == (status, {"message": message})


def test_more_than_300_candles_are_refused(sim, fetch, now) -> None:
    path = "/products/BTC-USD/candles"
    end = now // 60_000 * 60
    allowed = fetch(sim, path, granularity=60, start=end - 299 * 60, end=end).json
    assert len(allowed) == 300
    refused = fetch(sim, path, granularity=60, start=end - 301 * 60, end=end)
    assert refused.status == 400
    assert "exceeds 300" in refused.json["message"]


def test_candles_are_newest_first_and_numbers(sim, fetch, now) -> None:
    rows = fetch(sim, "/products/BTC-USD/candles", granularity=3600).json
    assert len(rows) == 300
    assert rows[0][0] == now // 3_600_000 * 3_600
    assert all(a[0] - b[0] == 3_600 for a, b in pairwise(rows))
    assert all(isinstance(value, float) for value in rows[0][1:])
    assert all(low <= min(o, c) <= max(o, c) <= high for _, low, high, o, c, _ in rows)


def test_one_bound_alone_is_ignored(sim, fetch) -> None:
    path = "/products/BTC-USD/candles"
    assert fetch(sim, path, start="2020-01-01").json == fetch(sim, path).json


def test_bounds_may_be_text_or_seconds(sim, fetch) -> None:
    path = "/products/BTC-USD/candles"
    text = fetch(sim, path, start="2025-01-01T00:00:00.000Z", end="2025-01-01T00:09:00Z").json
    seconds = fetch(sim, path, start=1735689600, end=1735689600 + 540).json
    assert text == seconds
    assert len(text) == 10


def test_quiet_minutes_are_left_out(sim, fetch) -> None:
    rows = fetch(sim, "/products/LTC-BTC/candles", granularity=60).json
    assert 10 < len(rows) < 250
    assert all(row[5] > 0 for row in rows)


def test_trades_page_by_cursors(sim, fetch) -> None:
    path = "/products/BTC-USD/trades"
    first = fetch(sim, path, limit=100)
    ids = [trade["trade_id"] for trade in first.json]
    assert len(ids) == 100
    assert all(a - 1 == b for a, b in pairwise(ids))
    assert first.headers["CB-BEFORE"] == str(ids[0])
    assert first.headers["CB-AFTER"] == str(ids[-1])
    older = fetch(sim, path, limit=100, after=first.headers["CB-AFTER"]).json
    assert [trade["trade_id"] for trade in older] == [number - 100 for number in ids]
    newer = fetch(sim, path, before=ids[10]).json
    assert newer == first.json[:10]
    beginning = fetch(sim, path, after=3).json
    assert [trade["trade_id"] for trade in beginning] == [2, 1, 0]


def test_book_levels(sim, fetch) -> None:
    path = "/products/BTC-USD/book"
    best = fetch(sim, path).json
    whole = fetch(sim, path, level=2).json
    orders = fetch(sim, path, level=3).json
    assert (len(best["bids"]), len(whole["bids"])) == (1, 1000)
    assert best["asks"] == whole["asks"][:1]
    assert [row[:2] for row in orders["asks"]] == [row[:2] for row in whole["asks"]]
    assert len({row[2] for row in orders["asks"]}) == 1000
    assert best["sequence"] == whole["sequence"]


def test_ticker_and_stats(sim, fetch) -> None:
    ticker = fetch(sim, "/products/BTC-USD/ticker").json
    stats = fetch(sim, "/products/BTC-USD/stats").json
    trade = fetch(sim, "/products/BTC-USD/trades", limit=1).json[0]
    assert (ticker["price"], ticker["volume"]) == (stats["last"], stats["volume"])
    assert (ticker["trade_id"], ticker["time"]) == (trade["trade_id"], trade["time"])
    assert float(stats["low"]) <= float(stats["open"]) <= float(stats["high"])
    assert float(stats["volume_30day"]) > 10 * float(stats["volume"])


def test_the_side_is_the_makers(sim, fetch, connect) -> None:
    async def run():
        async with connect("coinbaseexchange", sim) as exchange:
            return await exchange.fetch_trades("BTC/USD", limit=50)

    sides = {str(t["trade_id"]): t["side"] for t in fetch(sim, "/products/BTC-USD/trades").json}
    for trade in asyncio.run(run()):
        assert {trade["side"], sides[trade["id"]]} == {"buy", "sell"}
