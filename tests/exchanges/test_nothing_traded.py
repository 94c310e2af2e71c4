"""Pairs without a price, books without orders, empty levels and rows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import marketdata as md
from marketdata_cli import text
from marketdata_mcp import answers

from .wires import NOTHING, Wire, binance, binance_ticker

Open = Callable[..., tuple[md.Client, Wire]]


@pytest.fixture
def speaking(tmp_path: Path) -> Iterator[Open]:
    """Makes a server that speaks as an exchange does, and a client that asks it."""
    made: list[Any] = []
    count = itertools.count()

    def speaking(name: str, routes: dict[str, Any], **more: Any) -> tuple[md.Client, Wire]:
        wire = Wire(routes).__enter__()
        made.append(wire)
        more.setdefault("retries", 2)
        home = tmp_path / f"home{next(count)}"
        client = md.Client(name, endpoints={name: wire.url}, home=home, **more)
        made.append(client)
        return client, wire

    yield speaking
    for one in reversed(made):
        one.__exit__(None, None, None)


TICKERS = {
    "BTCUSDT": binance_ticker("BTCUSDT"),
    "NEWUSDT": binance_ticker("NEWUSDT") | NOTHING | {"firstId": -1, "lastId": -1, "count": 0},
}
EMPTY = {"lastUpdateId": 5, "bids": [], "asks": []}


def refused(ask: Callable[[], object]) -> md.MarketDataError:
    with pytest.raises(md.DataUnavailableError, match="NEW/USDT has not been traded yet") as caught:
        ask()
    assert caught.value.retryable is False
    return caught.value


def test_a_pair_that_was_never_traded_says_so_and_is_not_asked_for_again(speaking: Open) -> None:
    client, wire = speaking("binance", binance(TICKERS, EMPTY))

    for ask in (client.ticker, client.quote, client.orderbook):
        before = len(wire.asked)
        error = refused(lambda ask=ask: ask("NEW/USDT"))  # type: ignore[misc]
        assert error.details["attempts"] == 1 if "attempts" in error.details else True
        paths = [one.path for one in wire.asked[before:] if "exchangeInfo" not in one.path]
        assert len(paths) == len(set(paths)), paths
    assert client.upstream()[0].failures == 0


@pytest.mark.parametrize("call", ["orderbook", "quote"])
@pytest.mark.parametrize("answer", [[], {}, "<html></html>", ""])
def test_an_answer_without_a_book_is_a_failure_of_the_exchange(
    speaking: Open, call: str, answer: Any
) -> None:
    routes = {"/depth": answer, "/ticker/bookTicker": answer, "/ticker/24hr": answer}
    client, _ = speaking("binance", {**binance(TICKERS), **routes}, retries=0)
    with pytest.raises(md.DataUnavailableError, match="unusable response") as caught:
        getattr(client, call)("BTC/USDT")
    assert caught.value.retryable
    assert client.upstream()[0].failures == 1


@pytest.mark.parametrize("call", ["tickers", "quotes"])
def test_it_does_not_take_other_pairs_with_it(speaking: Open, call: str) -> None:
    client, _ = speaking("binance", binance(TICKERS, EMPTY))
    ask = getattr(client, call)

    found = ask(["NEW/USDT", "BTC/USDT"])
    assert [one.pair for one in found] == ["BTC/USDT"]
    [missing] = found.errors
    assert (missing.exchange, missing.pair) == ("binance", "NEW/USDT")
    assert missing.code == "DATA_UNAVAILABLE"
    assert "has not been traded yet" in missing.message
    # Of all there are, it is simply not among them.
    assert ([one.pair for one in ask()], ask().errors) == (["BTC/USDT"], ())
    refused(lambda: ask(["NEW/USDT"]))


@pytest.mark.parametrize("call", ["tickers", "quotes"])
def test_shell_and_tools_have_a_row_with_a_code_for_it(speaking: Open, call: str) -> None:
    client, _ = speaking("binance", binance(TICKERS, EMPTY))
    found = getattr(client, call)(["NEW/USDT", "BTC/USDT"])

    for rows in (
        json.loads(text.as_json(found)),
        list(map(json.loads, found.to_jsonl().splitlines())),
    ):
        assert [one["pair"] for one in rows] == ["BTC/USDT", "NEW/USDT"]
        assert [one.get("code") for one in rows] == [None, "DATA_UNAVAILABLE"]
    header, *lines = found.to_csv().splitlines()
    assert header.endswith(",code,message")
    assert [",DATA_UNAVAILABLE," in line for line in lines] == [False, True]
    content = answers.table(call, found, answers.Cut(()), lambda _: None).content
    assert [one["pair"] for one in content[call]] == ["BTC/USDT"]
    assert [(one["pair"], one["code"]) for one in content["errors"]] == [
        ("NEW/USDT", "DATA_UNAVAILABLE")
    ]


def test_a_side_on_which_nobody_quotes_is_none_and_no_zero(speaking: Open) -> None:
    one_sided = {"NEWUSDT": TICKERS["NEWUSDT"] | {"askPrice": "0.5", "askQty": "10"}}
    book = {"lastUpdateId": 5, "bids": [], "asks": [["0.5", "10"]]}
    client, _ = speaking("binance", binance(TICKERS | one_sided, book))

    for found in (
        client.quote("NEW/USDT"),
        *client.quotes(["NEW/USDT"]),
        client.ticker("NEW/USDT"),
        *client.tickers(["NEW/USDT"]),
        *client.compare("NEW/USDT").rows,
    ):
        told = (found.bid, found.bid_volume, found.ask, found.ask_volume)
        assert told == (None, None, 0.5, 10.0)
    ticker = client.ticker("NEW/USDT")
    for name in ("last", "open", "high", "low", "close", "vwap", "average", "percentage"):
        assert not getattr(ticker, name), name


LEVELS: dict[str, tuple[Any, Any]] = {
    "size 0": (
        [["99.99", "0.0"], ["99.98", "1"]],
        [["100.01", "0"], ["100.02", "2"]],
    ),
    "negative size": ([["99.99", "-1"], ["99.98", "1"]], [["100.02", "2"], ["100.03", "-5"]]),
    "negative price": ([["99.98", "1"], ["-1", "1"]], [["-100", "1"], ["100.02", "2"]]),
    "twice": (
        [["99.98", "0.25"], ["99.98", "0.75"]],
        [["100.02", "0.5"], ["100.02", "1.5"]],
    ),
    "unsorted": ([["1", "1"], ["99.98", "1"]], [["200", "2"], ["100.02", "2"]]),
}


@pytest.mark.parametrize("numbers", ["float", "decimal"])
@pytest.mark.parametrize("name", LEVELS)
def test_levels_of_nothing_never_reach_the_caller(speaking: Open, name: str, numbers: str) -> None:
    bids, asks = LEVELS[name]
    book = {"lastUpdateId": 5, "bids": bids, "asks": asks}
    client, _ = speaking("binance", binance(TICKERS, book), numbers=numbers)
    found = client.orderbook("BTC/USDT", 1)

    assert (found.bids, found.asks) == (((99.98, 1),), ((100.02, 2),)) or (
        [[str(number) for number in level] for level in (*found.bids, *found.asks)]
        == [["99.98", "1"], ["100.02", "2"]]
    )
    whole = client.orderbook("BTC/USDT", 20)
    for side, is_better in ((whole.bids, 1), (whole.asks, -1)):
        prices = [price for price, _ in side]
        assert prices == sorted(set(prices), reverse=is_better == 1)
        assert all(price > 0 and size > 0 for price, size in side)
        assert all(isinstance(price, Decimal) == (numbers == "decimal") for price in prices)


def test_a_ticker_time_of_zero_or_less_is_none(speaking: Open) -> None:
    for time in (0, -1):
        sent = {"BTCUSDT": binance_ticker("BTCUSDT") | {"closeTime": time}}
        client, _ = speaking("binance", binance(sent))
        ticker = client.ticker("BTC/USDT")
        assert ticker.timestamp == ticker.received_at


def cryptomus(trades: Any) -> dict[str, Any]:
    market = {
        "id": "01JHN5EFT64YC4HR9KCGM5M65D",
        "symbol": "BTC_USDT",
        "baseCurrency": "BTC",
        "quoteCurrency": "USDT",
        "baseMinSize": "0.0001",
        "quoteMinSize": "1",
        "baseMaxSize": "100",
        "quoteMaxSize": "1000000",
        "basePrec": "4",
        "quotePrec": "2",
    }
    return {"/markets": {"result": [market]}, "/trades/": {"data": trades}}


def test_a_trade_without_a_price_costs_that_row_and_not_the_answer(speaking: Open) -> None:
    sound = {
        "trade_id": "01J829C3RAXHXHR09HABGQ1YAT",
        "price": "2315.63",
        "base_volume": "21.96",
        "quote_volume": "50837.91",
        "timestamp": 1726653796,
        "type": "sell",
    }
    rows = [{**sound, "price": price} for price in ("2315.63", None, "0", "-1", "NaN", "2316")]
    client, _ = speaking("cryptomus", cryptomus(rows))

    assert [one.price for one in client.trades("BTC/USDT")] == [2315.63, 2316.0]
    assert client.upstream()[0].unreadable == 4
    client, _ = speaking("cryptomus", cryptomus([{**sound, "price": None}]), retries=0)
    with pytest.raises(md.DataUnavailableError, match="unusable response"):
        client.trades("BTC/USDT")
