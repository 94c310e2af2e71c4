"""What an exchange has no call for: made of other calls and marked, or refused before asking."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import marketdata as md
from marketdata._candles.calendar import source_for
from marketdata._exchanges import capabilities, loader
from marketdata._exchanges.quirks import quirk
from marketdata.sim import SimulatedExchange

from . import other_exchanges as wire
from .conftest import Factory
from .markets import NOW
from .other_exchanges import (
    DATE,
    DAY,
    HANG,
    HOUR,
    MINUTE,
    OtherExchange,
    Status,
    opened,
    price,
    wait_for_room,
)

Open = Callable[..., tuple[md.Client, OtherExchange]]

BEST = {"bid", "bidVolume", "ask", "askVolume"}


@pytest.fixture
def speaking() -> Iterator[Open]:
    """Makes a server that speaks as an exchange does, and a client that asks it."""
    made: list[Any] = []

    def speaking(name: str, routes: dict[str, Any], **more: Any) -> tuple[md.Client, OtherExchange]:
        server = OtherExchange(routes, more.pop("date", None)).__enter__()
        made.append(server)
        more.setdefault("retries", 0)
        client = md.Client(name, endpoints={name: server.url}, **more)
        made.append(client)
        return client, server

    yield speaking
    for one in reversed(made):
        one.__exit__(None, None, None)


@functools.cache
def described(name: str) -> md.Exchange:
    """What `exchanges` says of an exchange."""
    api = loader.described(name)
    return capabilities.exchange(vars(api), quirk(name), source_for)


def fields(record: Any) -> set[str]:
    """Which of its fields a record says are derived; its JSON satisfies its schema."""
    sent = record.to_dict()
    Draft202012Validator(type(record).json_schema()).validate(sent)
    assert record.derived is (True if record.derived_fields else None)
    assert set(record.derived_fields or ()) <= sent.keys()
    return set(record.derived_fields or ())


# ---------------------------------------------------------------------------- no bulk tickers


def test_tickers_are_made_of_single_ones(speaking: Open) -> None:
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


def test_quotes_are_made_of_books(speaking: Open) -> None:
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


def test_of_all_pairs_those_that_have_nothing_are_left_out(speaking: Open) -> None:
    """As a bulk answer does; a pair that was asked for by name is an error beside the others."""
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


def test_of_all_pairs_having_nothing_is_an_error(speaking: Open) -> None:
    nothing = {"success": True, "payload": {"bids": [], "asks": []}}
    routes = wire.bitso("btc_mxn", "eth_mxn")
    client, _ = speaking("bitso", {**routes, "*/ticker": nothing, "*/order_book": nothing})
    for ask in (client.tickers, client.quotes):
        with pytest.raises(md.DataUnavailableError):
            ask()


def test_an_exchange_that_fails_is_not_an_exchange_without_pairs(speaking: Open) -> None:
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
def test_more_pairs_than_the_limits_allow_are_said_to_be_too_many(speaking: Open) -> None:
    names = [f"a{number}_mxn" for number in range(9)]
    client, _ = speaking("bitso", wire.bitso(*names), timeout=2)
    with pytest.raises(md.ExchangeUnavailableError, match="name fewer") as caught:
        client.tickers()
    assert "9 pairs" in str(caught.value)
    assert caught.value.retry_after is not None


def test_bulk_tickers_can_only_be_of_all(speaking: Open) -> None:
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


# ---------------------------------------------------------------------------- no spot tickers


def test_a_ticker_is_made_of_candles_and_a_book(speaking: Open) -> None:
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


def test_tickers_of_all_pairs_are_made_of_candles(speaking: Open) -> None:
    client, _ = speaking(
        "woo", wire.woo("SPOT_BTC_USDT", "SPOT_OLD_USDT", "PERP_BTC_USDT", quiet="SPOT_OLD_USDT")
    )
    assert [(one.pair, one.source) for one in client.tickers()] == [("BTC/USDT", "candles")]
    with pytest.raises(md.DataUnavailableError, match="Nothing was traded in OLD/USDT"):
        client.ticker("OLD/USDT")


# ---------------------------------------------------------------------------- bid and ask


def test_bid_and_ask_that_a_ticker_lacks_come_from_the_book(speaking: Open) -> None:
    client, server = speaking("blockchaincom", wire.blockchaincom([99, 98], [101, 102]))
    ticker = client.ticker("BTC/USD")

    assert (ticker.last, ticker.base_volume) == (100.0, 5.0)
    assert (ticker.bid, ticker.bid_volume, ticker.ask, ticker.ask_volume) == (99.0, 2.0, 101.0, 3.0)
    assert fields(ticker) == BEST
    assert server.asked[-1].query == {"depth": "1"}


def test_a_book_with_one_side_completes_that(speaking: Open) -> None:
    client, _ = speaking("blockchaincom", wire.blockchaincom(asks=[101]))
    ticker = client.ticker("BTC/USD")
    assert (ticker.bid, ticker.ask) == (None, 101.0)
    assert fields(ticker) == {"ask", "askVolume"}


@pytest.mark.parametrize("book", [Status(500), Status(404), {"bids": [], "asks": []}, "html"])
def test_a_book_that_fails_leaves_the_ticker_as_it_is(speaking: Open, book: Any) -> None:
    client, server = speaking("blockchaincom", {"*/l2/*": book, **wire.blockchaincom([9], [11])})
    ticker = client.ticker("BTC/USD")
    assert (ticker.last, ticker.bid, ticker.derived) == (100.0, None, None)
    assert server.paths() == ["symbols", "BTC-USD", "BTC-USD"]


def test_a_book_that_hangs_leaves_the_ticker_in_time(speaking: Open) -> None:
    routes = {"*/l2/*": lambda _: HANG, **wire.blockchaincom()}
    client, _ = speaking("blockchaincom", routes, timeout=1)
    client.pairs()
    began = time.monotonic()
    ticker = client.ticker("BTC/USD")
    assert time.monotonic() - began < 5
    assert (ticker.last, ticker.bid, ticker.derived) == (100.0, None, None)


def test_no_price_is_not_a_price_of_nothing(speaking: Open) -> None:
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


def test_a_window_without_candles_to_make_it_of(speaking: Open) -> None:
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


def test_rows_of_a_comparison_say_what_is_derived(speaking: Open) -> None:
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
    with pytest.raises(md.DataUnavailableError, match="no sense"):
        client.quotes()


# ---------------------------------------------------------------------------- no stream


def test_a_stream_that_cannot_be_had_is_not_asked_for(speaking: Open) -> None:
    for exchange, routes, kind, why in (
        ("bitso", wire.bitso("btc_mxn"), "ticker", "no streams that ccxt knows"),
        ("derive", wire.derive(), "candles", "no stream of candles"),
        ("blockchaincom", wire.blockchaincom(), "quote", "no stream of quote"),
    ):
        client, server = speaking(exchange, routes)
        with pytest.raises(md.DataUnavailableError, match=why):
            next(getattr(client, f"watch_{kind}")("BTC/USD"))
        assert server.asked == []


# ---------------------------------------------------------------------------- no book


def test_best_prices_without_a_book_are_the_tickers(speaking: Open) -> None:
    client, server = speaking("derive", wire.derive())
    quote = client.quote("ETH/USDC")
    assert (quote.source, quote.bid, quote.ask_volume) == ("ticker", 99.0, 3.0)
    assert fields(quote) == BEST
    [quote] = client.quotes(["ETH/USDC"])
    assert fields(quote) == BEST
    assert "get_ticker" in server.paths()
    ticker = client.ticker("ETH/USDC")
    assert (ticker.last, ticker.bid, ticker.derived) == (None, 99.0, None)


def test_a_book_that_cannot_be_had_is_not_asked_for(speaking: Open) -> None:
    client, server = speaking("derive", wire.derive())
    with pytest.raises(md.DataUnavailableError, match="derive gives no order books: ccxt has no"):
        client.orderbook("ETH/USDC")
    for ask in (
        lambda: client.consolidated_orderbook("ETH/USDC"),
        lambda: client.execution_cost("ETH/USDC", side="buy", amount=1),
    ):
        with pytest.raises(md.DataUnavailableError, match="no order books"):
            ask()
    assert server.asked == []


def test_a_book_that_cannot_be_had_is_a_source_with_a_code(
    speaking: Open, sim: SimulatedExchange, connect: Factory
) -> None:
    _, server = speaking("derive", wire.derive())
    client = connect(sim, "binance", endpoints={"derive": server.url})
    names = ["binance", "derive"]
    book = client.consolidated_orderbook("ETH/USDT", exchanges=names)
    cost = client.execution_cost("ETH/USDT", side="buy", amount=0.1, exchanges=names)
    for sources in (book.sources, cost.sources):
        assert [one.code for one in sources] == [None, "DATA_UNAVAILABLE"]
        assert "no order books" in (sources[1].message or "")
    assert book.bids
    assert server.asked == []


# ---------------------------------------------------------------------------- candles, trades


def test_what_cannot_be_had_is_not_asked_for(speaking: Open) -> None:
    client, server = speaking("blockchaincom", wire.blockchaincom())
    for noun, ask in (
        ("candles", lambda: client.candles("BTC/USD")),
        ("candles", lambda: client.candles("BTC/USD", start="2024-01-01", end="2024-01-02")),
        ("trades", lambda: client.trades("BTC/USD")),
        ("trades", lambda: client.trades("BTC/USD", start="2024-01-01")),
    ):
        with pytest.raises(md.DataUnavailableError, match=f"no {noun}: ccxt has no call") as caught:
            ask()
        assert caught.value.retryable is False
        assert caught.value.details["exchange"] == "blockchaincom"
    [stored] = client.history.download(["BTC/USD"], "1h", start="2024-01-01", end="2024-01-02")
    assert stored.error is not None
    assert stored.error["code"] == "DATA_UNAVAILABLE"
    assert "candles" in stored.error["message"]
    assert server.asked == []


TRADED = [(1_000, 10.0), (61_000, 12.0), (62_000, 9.0), (185_000, 11.0)]
"""Milliseconds from the beginning of a minute, and prices."""


def recent(minutes_ago: int) -> list[tuple[int, float]]:
    wait_for_room(MINUTE)
    first = opened(MINUTE, minutes_ago)
    return [(first + after, cost) for after, cost in TRADED]


def test_candles_are_made_of_trades(speaking: Open) -> None:
    first = opened(MINUTE, 9)
    client, server = speaking("bitflyer", wire.bitflyer(recent(9)))
    second = datetime.fromtimestamp(first / 1000 + 60, UTC)
    candles = client.candles("BTC/JPY", "1m", start=second)

    assert candles.columns.rows() == [
        (first + MINUTE, 12.0, 12.0, 9.0, 9.0, 1.0, 2),
        (first + 3 * MINUTE, 11.0, 11.0, 11.0, 11.0, 0.5, 1),
    ]
    assert (candles.source, fields(candles), candles.forming) == ("trades", {"candles"}, False)
    assert {hole.cause for hole in candles.missing} == {"no_trades"}
    assert server.paths()[-1] == "getexecutions"
    five = client.candles("BTC/JPY", "5m", start=second)
    assert (fields(five), five.resampled_from) == ({"candles"}, None)


def test_candles_from_before_the_trades_are_not_served(speaking: Open) -> None:
    traded = recent(9)
    client, _ = speaking("bitflyer", wire.bitflyer(traded))
    newest = client.candles("BTC/JPY", "1m", limit=30)
    [gone] = [hole for hole in newest.missing if hole.cause == "not_served"]

    # Of the first bar some trades may be gone.
    assert gone.end == datetime.fromtimestamp(opened(MINUTE, 8) / 1000, UTC)
    assert newest.columns.rows() == client.candles("BTC/JPY", "1m", start=gone.end).columns.rows()
    assert len(newest) == 2
    assert gone.bars >= 20


def test_candles_that_are_longer_than_the_trades_reach_are_unavailable(speaking: Open) -> None:
    traded = recent(9)
    client, _ = speaking("bitflyer", wire.bitflyer(traded))
    with pytest.raises(md.DataUnavailableError, match="only gives its newest trades") as caught:
        client.candles("BTC/JPY", "1M", limit=10)
    since = datetime.fromtimestamp(traded[0][0] / 1000, UTC)
    assert f"{since:%Y-%m-%dT%H:%M:%SZ}" in str(caught.value)
    known = described("bitflyer")
    assert ("candles" in known.derived, known.timeframes) == (True, ())
    assert "1h" in known.derived_timeframes


def test_trades_from_a_time_are_all_or_none(speaking: Open) -> None:
    traded = recent(9)
    client, server = speaking("bitflyer", wire.bitflyer(traded))
    from_second = client.trades("BTC/JPY", start=traded[1][0])
    assert [one.price for one in from_second] == [12.0, 9.0, 11.0]
    assert [one.price for one in client.trades("BTC/JPY", start=traded[1][0], limit=2)] == [12, 9]
    assert client.trades("BTC/JPY", start=traded[-1][0] + 1) == []
    for before in (traded[0][0], traded[0][0] - DAY):
        with pytest.raises(md.DataUnavailableError, match="begin later"):
            client.trades("BTC/JPY", start=before)
    asked = len(server.asked)
    with pytest.raises(md.DataUnavailableError, match="from an id on"):
        client.trades("BTC/JPY", from_id=1)
    assert len(server.asked) == asked


def test_trades_after_an_id_only(speaking: Open) -> None:
    client, server = speaking("p2b", wire.p2b(range(90, 120)))
    for ask in (
        lambda: client.trades("BTC/USDT"),
        lambda: client.trades("BTC/USDT", start="2024-05-01"),
        lambda: client.trades("BTC/USDT", aggregate=True),
    ):
        with pytest.raises(md.DataUnavailableError, match="ask with from_id"):
            ask()
    assert server.asked == []

    found = client.trades("BTC/USDT", from_id=100, limit=5)
    assert [one.id for one in found] == ["100", "101", "102", "103", "104"]
    assert server.asked[-1].query["lastId"] == "99"
    assert [one.id for one in client.trades("BTC/USDT", from_id=118)] == ["118", "119"]


# ---------------------------------------------------------------------------- with a key

KEY, SECRET = "Lk3-canary-key", "Ls4-canary-secret"


def keyed(monkeypatch: pytest.MonkeyPatch, exchange: str) -> None:
    monkeypatch.setenv(f"MARKETDATA_{exchange.upper()}_API_KEY", KEY)
    monkeypatch.setenv(f"MARKETDATA_{exchange.upper()}_SECRET", SECRET)


def test_candles_are_made_of_trades_until_there_is_a_key(
    speaking: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_room(HOUR)
    routes = wire.luno([(opened(HOUR, 3), 90.0), (opened(HOUR, 1), 100.0)])
    client, server = speaking("luno", routes)
    candles = client.candles("BTC/ZAR", limit=2)
    assert (candles.source, len(candles), fields(candles)) == ("trades", 1, {"candles"})
    assert not any("Authorization" in one.headers for one in server.asked)
    [stored] = client.history.download(["BTC/ZAR"], "1h", start="2024-01-01", end="2024-01-02")
    assert stored.error is not None
    assert "MARKETDATA_LUNO_API_KEY" in stored.error["message"]

    keyed(monkeypatch, "luno")
    client, server = speaking("luno", routes)
    candles = client.candles("BTC/ZAR", limit=3)
    assert (candles.source, len(candles), fields(candles)) == ("candles", 3, set())
    assert [row[0] for row in candles.columns.rows()] == [opened(HOUR, ago) for ago in (2, 1, 0)]
    [signed] = [one for one in server.asked if one.path.endswith("candles")]
    assert signed.headers["Authorization"].startswith("Basic ")
    assert not any(secret in candles.to_json() for secret in (KEY, SECRET))


def test_nothing_is_signed_while_it_is_recorded(
    speaking: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed(monkeypatch, "luno")
    client, server = speaking("luno", wire.luno([(opened(HOUR, 3), 90.0)]))
    client._client._session._recorder = lambda event: None
    assert client.candles("BTC/ZAR", limit=2).source == "trades"
    assert not any("Authorization" in one.headers for one in server.asked)


def test_a_call_that_wants_a_key_says_which(speaking: Open) -> None:
    client, server = speaking("coinspot", wire.coinspot())
    for noun, ask in (
        ("order books", lambda: client.orderbook("BTC/AUD")),
        ("trades", lambda: client.trades("BTC/AUD")),
        ("candles", lambda: client.candles("BTC/AUD")),
    ):
        with pytest.raises(md.DataUnavailableError) as caught:
            ask()
        assert str(caught.value) == (
            f"coinspot gives no {noun}: it wants the key of an account. "
            "Set MARKETDATA_COINSPOT_API_KEY and MARKETDATA_COINSPOT_SECRET."
        )
    assert server.asked == []
    assert fields(client.quote("BTC/AUD")) == {"bid", "ask"}


def test_where_everything_wants_a_key(speaking: Open) -> None:
    client, server = speaking("alpaca", wire.alpaca(), date=DATE)
    for ask in (
        client.pairs,
        client.tickers,
        lambda: client.ticker("BTC/USD"),
        lambda: client.orderbook("BTC/USD"),
        lambda: client.fees("BTC/USD"),
    ):
        with pytest.raises(md.DataUnavailableError, match="MARKETDATA_ALPACA_API_KEY"):
            ask()
    assert server.asked == []

    status = client.status()
    assert (status.reachable, status.server_time) == (True, datetime(2024, 5, 1, 12, tzinfo=UTC))
    assert fields(status) == {"reachable", "latencyMs", "serverTime"}
    assert server.paths() == ["orderbooks"]
    server.routes.clear()
    server.routes["*"] = Status(500)
    assert client.status().reachable is False
    known = described("alpaca")
    assert ("status" in known.derived, "status" in known.needs_key) == (True, False)
    assert {"pairs", "ticker", "candles"} <= set(known.needs_key)


# ---------------------------------------------------------------------------- no status


def test_a_status_is_made_of_another_call(speaking: Open) -> None:
    client, server = speaking("bitso", wire.bitso("btc_mxn"), date=DATE)
    status = client.status()

    assert (status.reachable, status.code, status.maintenance) == (True, None, None)
    assert status.server_time == datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert status.latency_ms is not None
    assert 0 < status.latency_ms < 10_000
    assert status.clock_offset_ms is None
    assert fields(status) == {"reachable", "latencyMs", "serverTime"}
    assert server.paths() == ["available_books", "order_book"]
    client.status()
    assert server.paths()[2:] == ["order_book"]


@pytest.mark.parametrize("broken", ["*/order_book", "*"])
@pytest.mark.parametrize("answer", [Status(500), "html", lambda _: HANG], ids=["500", "html", "-"])
def test_an_exchange_without_a_status_that_is_down(
    speaking: Open, broken: str, answer: Any
) -> None:
    routes = {broken: answer, **{k: v for k, v in wire.bitso("btc_mxn").items() if k != broken}}
    client, _ = speaking("bitso", routes, timeout=1)
    began = time.monotonic()
    status = client.status()
    assert time.monotonic() - began < 5
    assert (status.reachable, status.latency_ms, status.server_time) == (False, None, None)
    assert status.code in ("EXCHANGE_UNAVAILABLE", "DATA_UNAVAILABLE")
    assert fields(status) - {"reason"} == {"reachable", "code"}
    assert ("reason" in fields(status)) is (status.code == "EXCHANGE_UNAVAILABLE")


def test_an_exchange_without_a_status_that_is_not_there(speaking: Open) -> None:
    client, server = speaking("bitso", wire.bitso("btc_mxn"))
    server.__exit__()
    status = client.status()
    assert (status.reachable, status.code) == (False, "EXCHANGE_UNAVAILABLE")
    server.__enter__()  # for the fixture to stop


# ---------------------------------------------------------------------------- ranges of candles


@pytest.mark.parametrize(
    ("exchange", "pair", "last", "start", "end"),
    [
        ("pacifica", "SOL/USDC", "kline", "start_time", "end_time"),
        ("btcturk", "BTC/TRY", "history", "from", "to"),
        ("zebpay", "BTC/INR", "klines", "startTime", "endTime"),
    ],
)
def test_bars_that_can_only_be_asked_for_from_a_time_on(
    speaking: Open, exchange: str, pair: str, last: str, start: str, end: str
) -> None:
    client, server = speaking(exchange, getattr(wire, exchange)())
    wait_for_room(HOUR)
    unit = 1000 if exchange == "btcturk" else 1
    newest = client.candles(pair, limit=5)
    assert [row[0] for row in newest.columns.rows()] == [opened(HOUR, n) for n in range(4, -1, -1)]
    assert (newest.forming, newest.missing, newest.derived) == (True, (), None)
    [asked] = [one for one in server.asked if one.path.endswith(last)]
    assert int(asked.query[start]) * unit == opened(HOUR, 4)
    assert int(asked.query[end]) * unit >= opened(HOUR)

    first, behind = opened(HOUR, 450), opened(HOUR, 30)
    found = client.candles(
        pair,
        start=datetime.fromtimestamp(first / 1000, UTC),
        end=datetime.fromtimestamp(behind / 1000, UTC),
    )
    assert [row[0] for row in found.columns.rows()] == list(range(first, behind, HOUR))
    assert found.missing == ()
    pages = [one for one in server.asked if one.path.endswith(last)]
    assert all({start, end} <= one.query.keys() for one in pages)
    assert len(pages) > 4


def test_bars_that_can_only_be_asked_for_up_to_a_time(speaking: Open) -> None:
    wait_for_room(HOUR)
    client, server = speaking("nado", wire.nado())
    [pair] = [one.pair for one in client.pairs()]
    newest = client.candles(pair, limit=5)
    assert [row[0] for row in newest.columns.rows()] == [opened(HOUR, n) for n in range(4, -1, -1)]

    first, behind = opened(HOUR, 1_450), opened(HOUR, 30)
    found = client.candles(
        pair,
        start=datetime.fromtimestamp(first / 1000, UTC),
        end=datetime.fromtimestamp(behind / 1000, UTC),
    )
    assert [row[0] for row in found.columns.rows()] == list(range(first, behind, HOUR))
    assert found.missing == ()
    pages = [one for one in server.asked if "candlesticks" in one.body]
    assert len(pages) < 10, "no page is asked for twice because it lacks its first bar"


def test_a_range_within_the_newest_page(speaking: Open) -> None:
    wait_for_room(MINUTE)
    client, server = speaking("bithumb", wire.bithumb(has=200))
    first, behind = opened(MINUTE, 150), opened(MINUTE, 140)
    found = client.candles(
        "BTC/KRW",
        "1m",
        start=datetime.fromtimestamp(first / 1000, UTC),
        end=datetime.fromtimestamp(behind / 1000, UTC),
    )
    assert [row[0] for row in found.columns.rows()] == list(range(first, behind, MINUTE))
    assert found.missing == ()
    counts = {one.query["count"] for one in server.asked if "candles" in one.path}
    assert counts == {"200"}


@pytest.mark.parametrize("limit", [None, 20])
def test_what_is_older_than_the_newest_page_is_not_served(
    speaking: Open, limit: int | None
) -> None:
    wait_for_room(MINUTE)
    client, _ = speaking("bithumb", wire.bithumb(has=200))
    first = opened(MINUTE, 500)
    found = client.candles(
        "BTC/KRW", "1m", start=datetime.fromtimestamp(first / 1000, UTC), limit=limit
    )
    oldest = found.columns.time[0]
    assert (oldest, len(found)) == (opened(MINUTE, 199), limit or 200)
    [hole] = found.missing
    assert (hole.cause, hole.start) == ("not_served", datetime.fromtimestamp(first / 1000, UTC))
    assert hole.end == datetime.fromtimestamp(oldest / 1000, UTC)


def test_a_range_before_the_newest_page_is_not_served(speaking: Open) -> None:
    client, _ = speaking("bithumb", wire.bithumb(has=200))
    found = client.candles("BTC/KRW", "1m", start="2024-05-01T00:00", end="2024-05-01T03:00")
    assert len(found) == 0
    assert [(hole.cause, hole.bars) for hole in found.missing] == [("not_served", 180)]
    with pytest.raises(md.DataUnavailableError, match="180 candles"):
        client.candles(
            "BTC/KRW", "1m", start="2024-05-01T00:00", end="2024-05-01T03:00", strict=True
        )


# ---------------------------------------------------------------------------- longer bars


@pytest.mark.parametrize("fill", ["none", "zero", "previous"])
def test_longer_bars_made_of_shorter_ones_are_derived(
    sim: SimulatedExchange, connect: Factory, tmp_path: Path, fill: Any
) -> None:
    client = connect(sim, "coinbaseexchange", home=tmp_path)
    day = NOW.replace(hour=0, minute=0, second=0)
    asked = {"start": day.isoformat(), "end": NOW.replace(minute=0, second=0).isoformat()}
    for _ in range(2):  # from the exchange, then from the store
        made = client.candles("BTC/USDT", "4h", fill=fill, **asked)
        assert fields(made) == {"candles"}
        assert (made.resampled_from, made.source, len(made)) == ("1h", "candles", 3)
        assert fields(made[:1]) == {"candles"}
    requests = len(sim.requests)
    stored = client.candles("BTC/USDT", "4h", fill=fill, **asked)
    assert (stored.derived, len(sim.requests)) == (True, requests)
    own = client.candles("BTC/USDT", "1h", fill=fill, **asked)
    assert (own.derived, own.derived_fields, own.resampled_from) == (None, None, None)
