"""Tickers and quotes that an exchange has no call for, or that it leaves incomplete."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from inside.exchanges import described
from waiting import taking_at_most

import marketdata as md

from . import other_exchanges as wire
from .derivation import BEST, Open, fields
from .other_exchanges import (
    DAY,
    HANG,
    MINUTE,
    Status,
    opened,
    price,
    wait_for_room,
)


def test_bulk_tickers_are_derived_from_single_ones(speaking: Open) -> None:
    client, server = speaking("bitso", wire.bitso("btc_mxn", "eth_mxn", "xrp_btc"))
    named = client.tickers(["ETH/MXN", "BTC/MXN"])

    assert [one.pair for one in named] == ["ETH/MXN", "BTC/MXN"]
    assert [one.query["book"] for one in server.asked[1:]] == ["eth_mxn", "btc_mxn"]
    for one in named:
        assert {"last", "bid", "ask", "high", "baseVolume"} <= fields(one)
        assert {"pair", "timestamp", "exchange"}.isdisjoint(fields(one))
        assert (one.source, one.window) == ("ticker", "24h")
    assert [one.bid for one in named] == [101.0, 100.0]

    every = client.tickers()
    assert [one.pair for one in every] == ["BTC/MXN", "ETH/MXN", "XRP/BTC"]
    assert all(one.derived for one in every)
    assert client.ticker("BTC/MXN").derived is None


def test_quotes_are_derived_from_books(speaking: Open) -> None:
    client, server = speaking("bitso", wire.bitso("btc_mxn", "eth_mxn"))
    quotes = client.quotes(["ETH/MXN", "BTC/MXN"])

    assert [(one.pair, one.bid, one.bid_volume, one.ask) for one in quotes] == [
        ("ETH/MXN", 101.0, 2.0, 102.0),
        ("BTC/MXN", 100.0, 2.0, 101.0),
    ]
    assert all(fields(one) == BEST for one in quotes)
    assert {one.source for one in quotes} == {"orderbook"}
    assert server.paths()[1:] == ["order_book"] * 2
    assert client.quote("BTC/MXN").derived is None
    assert [one.pair for one in client.quotes()] == ["BTC/MXN", "ETH/MXN"]


def test_requests_for_all_pairs_leave_out_pairs_without_data(speaking: Open) -> None:
    """As in a bulk response; a pair requested by name is an error next to the others."""
    routes = wire.bitso("btc_mxn", "eth_mxn")
    ticker, book = routes["*/ticker"], routes["*/order_book"]

    def nothing_of_ether(route: Any) -> Any:
        empty = {"success": True, "payload": {"bids": [], "asks": []}}
        return lambda asked: empty if asked.query["book"] == "eth_mxn" else route(asked)

    client, _ = speaking(
        "bitso",
        {
            **routes,
            "*/ticker": nothing_of_ether(ticker),
            "*/order_book": nothing_of_ether(book),
        },
    )
    assert [one.pair for one in client.tickers()] == ["BTC/MXN"]
    assert [one.pair for one in client.quotes()] == ["BTC/MXN"]
    for ask in (client.tickers, client.quotes):
        found = ask(["ETH/MXN", "BTC/MXN"])
        assert [one.pair for one in found] == ["BTC/MXN"]
        assert [(one.pair, one.code) for one in found.errors] == [("ETH/MXN", "DATA_UNAVAILABLE")]
        with pytest.raises(md.DataUnavailableError):
            ask(["ETH/MXN"])


def test_requests_for_all_pairs_without_any_data_are_an_error(speaking: Open) -> None:
    nothing = {"success": True, "payload": {"bids": [], "asks": []}}
    routes = wire.bitso("btc_mxn", "eth_mxn")
    client, _ = speaking("bitso", {**routes, "*/ticker": nothing, "*/order_book": nothing})
    for ask in (client.tickers, client.quotes):
        with pytest.raises(md.DataUnavailableError):
            ask()


def test_a_failing_exchange_is_not_an_exchange_without_pairs(speaking: Open) -> None:
    routes = wire.bitso("btc_mxn", "eth_mxn")
    ticker = routes["*/ticker"]
    client, _ = speaking(
        "bitso",
        {
            **routes,
            "*/ticker": lambda asked: (
                Status(500) if asked.query["book"] == "eth_mxn" else ticker(asked)
            ),
        },
    )
    with pytest.raises(md.ExchangeUnavailableError):
        client.tickers()


@pytest.mark.paced
def test_more_pairs_than_the_rate_limit_allows_are_too_many(speaking: Open) -> None:
    names = [f"a{number}_mxn" for number in range(9)]
    client, _ = speaking("bitso", wire.bitso(*names), timeout=2)
    with pytest.raises(md.ExchangeUnavailableError, match="request fewer") as caught:
        client.tickers()
    assert "9 pairs" in str(caught.value)
    assert caught.value.retry_after is not None


def test_bulk_tickers_that_only_cover_all_pairs(speaking: Open) -> None:
    client, server = speaking("cryptocom", wire.cryptocom("BTC_USD", "ETH_USD", "CRO_USD"))
    found = client.tickers(["CRO/USD", "BTC/USD"])

    assert [(one.pair, one.last) for one in found] == [("CRO/USD", 3.5), ("BTC/USD", 1.5)]
    assert [(one.derived, fields(one)) for one in found] == [(None, set())] * 2
    assert [one.query for one in server.asked if one.path.endswith("get-tickers")] == [{}]
    assert [one.pair for one in client.tickers()] == ["BTC/USD", "CRO/USD", "ETH/USD"]
    assert [one.bid for one in client.quotes(["ETH/USD", "BTC/USD"])] == [2.0, 1.0]
    assert client.quotes(["ETH/USD"])[0].derived is None


def test_bulk_tickers_of_one_currency_are_not_used(speaking: Open) -> None:
    client, server = speaking("deribit", wire.deribit("BTC_USDC", "ETH_BTC"))
    found = client.tickers()

    assert [(one.pair, one.last) for one in found] == [("BTC/USDC", 1.0), ("ETH/BTC", 2.0)]
    assert all({"last", "bid", "askVolume"} <= fields(one) for one in found)
    assert sorted(server.paths()) == ["get_instruments", "ticker", "ticker"]


def test_one_pair_of_many_has_a_ticker(speaking: Open) -> None:
    client, server = speaking("coincheck", wire.coincheck())
    with pytest.raises(md.DataUnavailableError, match=r"only has tickers of BTC/JPY.*ETC/JPY"):
        client.ticker("ETC/JPY")
    found = client.tickers(["BTC/JPY", "ETC/JPY"])
    assert [one.pair for one in found] == ["BTC/JPY"]
    assert [one.pair for one in found.errors] == ["ETC/JPY"]
    assert server.paths().count("ticker") == 1
    assert [one.pair for one in client.tickers()] == ["BTC/JPY"]
    assert client.ticker("BTC/JPY").last == 10.0
    assert client.quote("ETC/JPY").bid == 9.0
    row = client.compare("ETC/JPY").rows[0]
    assert (row.code, row.bid) == ("DATA_UNAVAILABLE", None)


def test_a_ticker_is_derived_from_candles_and_a_book(speaking: Open) -> None:
    wait_for_room(5 * MINUTE)
    client, server = speaking("woo", wire.woo("SPOT_BTC_USDT", "SPOT_ETH_USDT"))
    ticker = client.ticker("BTC/USDT")

    step = 5 * MINUTE  # the shortest of which a page of 1,000 covers a day
    bars = range(opened(step, DAY // step), opened(step) + 1, step)
    assert (ticker.source, ticker.window) == ("candles", "24h")
    assert ticker.open_time == datetime.fromtimestamp(bars[0] / 1000, UTC)
    assert ticker.open == price(bars[0])
    assert ticker.high == max(map(price, bars)) + 3
    assert ticker.low == min(map(price, bars)) - 2
    assert ticker.last == ticker.close == price(bars[-1]) + 1
    assert ticker.base_volume == 2.0 * len(bars)
    assert (ticker.bid, ticker.bid_volume, ticker.ask, ticker.ask_volume) == (99.0, 2.0, 101.0, 3.0)
    assert fields(ticker) == BEST | {
        *("last", "open", "high", "low", "close", "average", "baseVolume", "change", "percentage"),
    }
    assert server.paths() == ["instruments", "klineHistory", "orderbook"]
    assert "trades" not in ticker.to_dict()


def test_tickers_of_all_pairs_are_derived_from_candles(speaking: Open) -> None:
    client, _ = speaking(
        "woo", wire.woo("SPOT_BTC_USDT", "SPOT_OLD_USDT", "PERP_BTC_USDT", quiet="SPOT_OLD_USDT")
    )
    assert [(one.pair, one.source) for one in client.tickers()] == [("BTC/USDT", "candles")]
    with pytest.raises(md.DataUnavailableError, match="Nothing was traded in OLD/USDT"):
        client.ticker("OLD/USDT")


def test_missing_bid_and_ask_of_a_ticker_come_from_the_book(speaking: Open) -> None:
    client, server = speaking("blockchaincom", wire.blockchaincom([99, 98], [101, 102]))
    ticker = client.ticker("BTC/USD")

    assert (ticker.last, ticker.base_volume) == (100.0, 5.0)
    assert (ticker.bid, ticker.bid_volume, ticker.ask, ticker.ask_volume) == (99.0, 2.0, 101.0, 3.0)
    assert fields(ticker) == BEST
    assert server.asked[-1].query == {"depth": "1"}


def test_a_book_with_one_side_completes_that_side(speaking: Open) -> None:
    client, _ = speaking("blockchaincom", wire.blockchaincom(asks=[101]))
    ticker = client.ticker("BTC/USD")
    assert (ticker.bid, ticker.ask) == (None, 101.0)
    assert fields(ticker) == {"ask", "askVolume"}


@pytest.mark.parametrize("book", [Status(500), Status(404), {"bids": [], "asks": []}, "html"])
def test_a_failing_book_leaves_the_ticker_unchanged(speaking: Open, book: Any) -> None:
    client, server = speaking("blockchaincom", {"*/l2/*": book, **wire.blockchaincom([9], [11])})
    ticker = client.ticker("BTC/USD")
    assert (ticker.last, ticker.bid, ticker.derived) == (100.0, None, None)
    assert server.paths() == ["symbols", "BTC-USD", "BTC-USD"]


def test_a_hanging_book_leaves_the_ticker_unchanged_in_time(speaking: Open) -> None:
    routes = {"*/l2/*": lambda _: HANG, **wire.blockchaincom()}
    client, _ = speaking("blockchaincom", routes, timeout=1)
    client.pairs()
    with taking_at_most(5):
        ticker = client.ticker("BTC/USD")
    assert (ticker.last, ticker.bid, ticker.derived) == (100.0, None, None)


def test_no_price_is_not_a_price_of_zero(speaking: Open) -> None:
    """Some exchanges write 0 for a side of the book that is empty."""
    routes = wire.bitso("btc_mxn")
    payload = {"last": "100", "bid": "0", "ask": "101", "volume": "1", "vwap": "100"}
    client, _ = speaking("bitso", {**routes, "*/ticker": {"success": True, "payload": payload}})
    assert client.ticker("BTC/MXN").bid == 100.0

    one_sided = {"bids": [], "asks": [{"price": "101", "amount": "1"}]}
    client, _ = speaking(
        "bitso",
        {
            **routes,
            "*/ticker": {"success": True, "payload": payload},
            "*/order_book": {"success": True, "payload": one_sided},
        },
    )
    ticker = client.ticker("BTC/MXN")
    assert (ticker.bid, ticker.ask, ticker.ask_volume) == (None, 101.0, 1.0)


def test_only_a_ticker_of_the_last_day_is_completed(speaking: Open) -> None:
    client, server = speaking("woo", wire.woo("SPOT_BTC_USDT"))
    ticker = client.ticker("BTC/USDT", window="4h")
    assert (ticker.bid, ticker.ask, ticker.window) == (None, None, "4h")
    assert "orderbook" not in server.paths()


def test_a_window_without_candles_for_it(speaking: Open) -> None:
    for name, pair, routes in (
        ("blockchaincom", "BTC/USD", wire.blockchaincom()),
        ("luno", "BTC/ZAR", wire.luno()),
    ):
        client, server = speaking(name, routes)
        said = "no ticker over '4h', and no candles to compute it from"
        with pytest.raises(md.DataUnavailableError, match=said):
            client.ticker(pair, window="4h")
        assert server.asked == []


def test_bulk_tickers_are_not_completed(speaking: Open) -> None:
    client, server = speaking("blockchaincom", wire.blockchaincom([99], [101]))
    [ticker] = client.tickers(["BTC/USD"])
    assert (ticker.last, ticker.bid, ticker.derived) == (100.0, None, None)
    assert server.paths() == ["symbols", "tickers"]


def test_rows_of_a_comparison_name_derived_fields(speaking: Open) -> None:
    client, _ = speaking("blockchaincom", wire.blockchaincom([99], [101]))
    row = client.compare("BTC/USD").rows[0]
    assert (row.last, row.bid, row.ask, row.spread) == (100.0, 99.0, 101.0, 2.0)
    assert fields(row) == BEST

    client, _ = speaking("woo", wire.woo("SPOT_BTC_USDT"))
    found = client.compare("BTC/USDT")
    assert fields(found.rows[0]) == {"last", "baseVolume"} | BEST
    assert found.best_bid is not None
    assert found.best_bid.price == 99.0


def test_quotes_of_tickers_without_bid_and_ask_come_from_books(speaking: Open) -> None:
    client, server = speaking("blockchaincom", wire.blockchaincom([99], [101]))
    for pairs in (["BTC/USD"], None):
        [quote] = client.quotes(pairs)
        assert (quote.bid, quote.ask, quote.source) == (99.0, 101.0, "orderbook")
        assert fields(quote) == BEST
    assert server.paths() == ["symbols", "BTC-USD", "BTC-USD"]
    known = described("blockchaincom")
    assert "quotes" in known.derived
    assert "quote" not in known.streams


def test_quotes_of_tickers_that_lack_them_today_come_from_books(speaking: Open) -> None:
    routes = wire.cryptocom("BTC_USD", "ETH_USD")
    for one in routes["*/get-tickers"]["result"]["data"]:
        del one["b"], one["k"]
    book = {"bids": [["9", "1", "1"]], "asks": [["11", "2", "1"]], "t": 1714564800000}
    routes["*/get-book"] = {"code": 0, "result": {"data": [book]}}
    client, _ = speaking("cryptocom", routes)
    found = client.quotes(["BTC/USD", "ETH/USD"])
    assert [(one.bid, fields(one)) for one in found] == [(9.0, BEST)] * 2
    # Of all pairs that would be a book for each.
    with pytest.raises(md.DataUnavailableError, match="unusable response"):
        client.quotes()
