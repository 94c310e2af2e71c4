"""A ticker's fields cover its time span and agree with each other, on every exchange."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from inside.exchanges import connector_class, parsing

import marketdata as md
from marketdata._exchanges.ticker_layouts import LAYOUTS
from marketdata.models.decimals import exact_json

from . import ccxts_tickers
from .invariants import check_ticker

ACCEPTED = Path(__file__).with_name("ticker_fields.json")
RECEIVED = datetime(2026, 1, 1, tzinfo=UTC)
SPOT = ccxts_tickers.spot_exchanges()


@cache
def connector(exchange: str, *, exact: bool = False) -> Any:
    api = connector_class(exchange, exact=exact)({})
    api.set_markets([market()])
    return api


def market(pair: str = "BTC/USD") -> dict[str, Any]:
    base, quote = pair.split("/")
    sides = {"base": base, "quote": quote, "baseId": base, "quoteId": quote}
    kinds = {"spot": True, "contract": False, "swap": False, "inverse": False, "linear": False}
    precision = {"price": 0.01, "amount": 0.01}
    return {
        **sides,
        **kinds,
        "id": "BTC-USD",
        "symbol": pair,
        "type": "spot",
        "active": True,
        "precision": precision,
        "limits": {},
        "contractSize": None,
        "priceScale": 8,
        "valueScale": 8,
        "info": {},
    }


def read(exchange: str, sent: Any, *, exact: bool = False) -> md.Ticker:
    api = connector(exchange, exact=exact)
    raw = api.parse_ticker(exact_json(json.dumps(sent)) if exact else sent, api.market("BTC/USD"))
    return parsing.ticker(
        raw,
        exchange=exchange,
        pair="BTC/USD",
        window="24h",
        received_at=RECEIVED,
        simulated=False,
    )


# ---------------------------------------------------------------------------- all exchanges


def test_ccxt_makes_tickers_of_the_fields_that_were_looked_up() -> None:
    """A field that ccxt reads anew may cover another span: look that up, then accept it."""
    accepted = json.loads(ACCEPTED.read_text())
    assert {name: ccxts_tickers.fields(name) for name in SPOT} == accepted


def test_what_is_declared_is_read_by_ccxt() -> None:
    for name, how in LAYOUTS.items():
        theirs = parsing._TICKER_FIELDS
        read_by_ccxt = ccxts_tickers.fields(name, set(theirs.values()))
        for field, raw in how.other_span.items():
            assert set(raw) & set(read_by_ccxt[theirs[field]]), (name, field)


WITHOUT_EXAMPLES = {
    *("alpaca", "bit2c", "bitbank", "bitfinex", "bitflyer", "btcbox", "btse", "cex", "coinspot"),
    *("foxbit", "nado", "revolutx", "toobit"),
}
"""ccxt's parsers of these show no answer that can be read, or have none."""
OF_CONTRACTS = {"bingx", "delta", "derive", "lbank"}
"""The answers that these show are of contracts, with fields that a pair does not have."""


@pytest.mark.parametrize("exact", [False, True], ids=["float", "decimal"])
@pytest.mark.parametrize("exchange", sorted({*SPOT} - WITHOUT_EXAMPLES - OF_CONTRACTS))
def test_the_answers_that_ccxt_shows_agree_with_themselves(exchange: str, exact: bool) -> None:
    checked = 0
    for sent in ccxts_tickers.examples(exchange):
        try:
            ticker = read(exchange, sent, exact=exact)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # an example of something else, or without a price
        check_ticker(ticker)
        checked += 1
    assert checked


# ---------------------------------------------------------------------------- by hand


def numbers(ticker: md.Ticker, *names: str) -> tuple[float | None, ...]:
    return tuple(getattr(ticker, name) for name in names)


OF_A_DAY = ("open", "change", "percentage", "average")


def test_alpaca_has_bars_of_days() -> None:
    day = {"o": 100, "h": 103, "l": 99, "c": 101, "v": 10, "vw": 100.5, "n": 9}
    sent = {"dailyBar": day, "latestTrade": {"p": 101}, "latestQuote": {"bp": 100.5, "ap": 101.5}}
    raw = connector("alpaca").safe_ticker(
        {
            "last": "101",
            "bid": "100.5",
            "open": "100",
            "high": "103",
            "vwap": "100.5",
            "baseVolume": "10",
            "quoteVolume": "1005",
            "timestamp": None,
            "info": sent,
        }
    )
    ticker = parsing.ticker(
        raw, exchange="alpaca", pair="BTC/USD", window="24h", received_at=RECEIVED, simulated=False
    )
    assert numbers(ticker, "last", "bid") == (101, 100.5)
    of_the_day = ("high", "low", "vwap", "base_volume", "quote_volume")
    assert numbers(ticker, *OF_A_DAY, *of_the_day) == (None,) * 9


def test_a_change_that_may_be_a_fraction_is_none() -> None:
    ticker = read("gemini", {"pair": "btcusd", "price": "0.2", "percentChange24h": "0.0146"})
    assert numbers(ticker, "last", *OF_A_DAY) == (0.2, None, None, None, None)


@pytest.mark.parametrize(
    ("low", "high", "quote_volume", "vwap"),
    [
        (95, 105, 202, None),  # as Gemini, Coinbase and BTC Markets have it
        (None, None, 202, None),
        (101, 101, 202, 101),
        (95, 105, 201, 100.5),
    ],
)
def test_a_volume_at_the_last_price_makes_no_average_price(
    low: float | None, high: float | None, quote_volume: float, vwap: float | None
) -> None:
    raw = connector("coinbase").safe_ticker(
        {
            "last": 101,
            "low": low,
            "high": high,
            "baseVolume": 2,
            "quoteVolume": quote_volume,
            "timestamp": None,
            "info": {},
        }
    )
    ticker = parsing.ticker(
        raw,
        exchange="coinbase",
        pair="BTC/USD",
        window="24h",
        received_at=RECEIVED,
        simulated=False,
    )
    assert numbers(ticker, "quote_volume", "vwap") == (quote_volume, vwap)


def test_ndax_has_a_volume_for_a_bid_in_its_list() -> None:
    sent = {
        "trading_pairs": "BTC_CAD",
        "last_price": 90_000,
        "lowest_ask": 90_010,
        "highest_bid": 50.5,
        "base_volume": 89_990,
        "quote_volume": 4_545_000,
        "highest_price_24h": 91_000,
        "lowest_price_24h": 89_000,
    }
    ticker = read("ndax", sent)
    assert numbers(ticker, "bid", "ask", "base_volume", "vwap") == (None, 90_010, None, None)


def test_zebpay_sends_its_change_under_names_that_ccxt_does_not_read() -> None:
    sent = {"symbol": "BTC-USD", "last": "101", "priceChange": "1", "priceChangePercent": "0.99"}
    ticker = read("zebpay", sent)
    assert numbers(ticker, "open", "change", "percentage") == (100, 1, 1)


def test_kraken_has_no_price_of_24_hours_ago() -> None:
    sent = {
        "a": ["101", "1", "1"],
        "b": ["100", "1", "1"],
        "c": ["100.5", "0.1"],
        "v": ["10", "20"],
        "p": ["100.1", "99.0"],
        "t": [30, 70],
        "l": ["99.5", "95"],
        "h": ["101", "103"],
        "o": "100",
    }
    ticker = read("kraken", sent)
    assert numbers(ticker, *OF_A_DAY) == (None, None, None, None)
    assert numbers(ticker, "low", "high", "vwap", "base_volume") == (95, 103, 99, 20)
    assert ticker.trades == 70


@pytest.mark.parametrize("exact", [False, True])
def test_bitstamp_is_read_from_the_fields_of_24_hours(exact: bool) -> None:
    sent = {
        "timestamp": "1700000000",
        "open": "110",
        "high": "120",
        "low": "90",
        "last": "101",
        "volume": "5",
        "vwap": "100",
        "bid": "100.9",
        "ask": "101.1",
        "side": "0",
        "open_24": "100",
        "percent_change_24": "1.00",
    }
    ticker = read("bitstamp", sent, exact=exact)
    assert numbers(ticker, *OF_A_DAY) == (100, 1, 1, Decimal("100.5"))
    assert isinstance(ticker.change, Decimal) == exact


def korean(**more: Any) -> dict[str, Any]:
    return {
        "market": "USD-BTC",
        "trade_timestamp": 1_700_000_000_000,
        "opening_price": 100.0,
        "high_price": 102.0,
        "low_price": 99.0,
        "trade_price": 101.0,
        "prev_closing_price": 100.0,
        "change": "RISE",
        "signed_change_price": 1.0,
        "signed_change_rate": 0.01,
        "acc_trade_price_24h": 1_200.0,
        "acc_trade_volume_24h": 10.0,
        "timestamp": 1_700_000_000_000,
        **more,
    }


@pytest.mark.parametrize("exchange", ["upbit", "bithumb"])
def test_prices_since_midnight_are_not_those_of_24_hours(exchange: str) -> None:
    ticker = read(exchange, korean())
    assert numbers(ticker, *OF_A_DAY, "low", "high") == (None,) * 6
    # The volumes are of 24 hours, and so is the average that they make.
    assert numbers(ticker, "last", "base_volume", "quote_volume", "vwap") == (101, 10, 1200, 120)


def test_the_change_of_bithumb_is_the_one_of_24_hours() -> None:
    """Since midnight it has risen, in 24 hours it has fallen."""
    sent = {
        "opening_price": "9000",
        "closing_price": "9079",
        "min_price": "8990",
        "max_price": "9100",
        "units_traded": "1",
        "acc_trade_value": "9000",
        "prev_closing_price": "9000",
        "units_traded_24H": "10",
        "acc_trade_value_24H": "91000",
        "fluctate_24H": "-49",
        "fluctate_rate_24H": "-0.54",
        "date": "1700000000000",
    }
    ticker = read("bithumb", sent)
    assert numbers(ticker, "open", "change", "percentage") == (9128, -49, -0.54)
    assert numbers(ticker, "low", "high") == (None, None)


def test_htx_has_prices_of_the_day_in_its_list_alone() -> None:
    row = {
        "symbol": "btcusdt",
        "open": 100.0,
        "high": 103.0,
        "low": 99.0,
        "close": 101.0,
        "amount": 10.0,
        "vol": 1_250.0,
        "count": 7,
        "bid": 100.9,
        "bidSize": 1.0,
        "ask": 101.1,
        "askSize": 1.0,
    }
    for exchange in ("htx", "bittrade"):
        ticker = read(exchange, row)
        assert numbers(ticker, *OF_A_DAY, "low", "high") == (None,) * 6
        assert (ticker.vwap, ticker.trades) == (125, 7)
        merged = {**row, "bid": [100.9, 1.0], "ask": [101.1, 1.0]}
        del merged["bidSize"], merged["askSize"]
        ticker = read(exchange, merged)
        assert numbers(ticker, "open", "low", "high", "change") == (100, 99, 103, 1)


def test_ndax_is_read_from_its_rolling_fields() -> None:
    sent = {
        "InstrumentId": 8,
        "BestBid": 100.0,
        "BestOffer": 102.0,
        "LastTradedPx": 101.0,
        "SessionOpen": 105.0,
        "SessionHigh": 106.0,
        "SessionLow": 100.5,
        "SessionClose": 101.0,
        "Rolling24HrVolume": 10.0,
        "Rolling24HrNotional": 1_010.0,
        "Rolling24NumTrades": 12,
        "Rolling24HrPxChange": 1.0,
        "Rolling24HrPxChangePercent": 1.0,
        "TimeStamp": 1_700_000_000_000,
    }
    ticker = read("ndax", sent)
    assert numbers(ticker, "open", "change", "percentage") == (100, 1, 1)
    assert numbers(ticker, "low", "high", "trades") == (None, None, 12)


@pytest.mark.parametrize("exact", [False, True])
def test_the_change_of_cryptocom_is_a_fraction(exact: bool) -> None:
    sent = {"i": "BTC_USD", "h": "51790", "l": "47895.5", "a": "51174.5", "c": "0.03955106"}
    ticker = read("cryptocom", sent, exact=exact)
    assert float(ticker.percentage or 0) == pytest.approx(3.955106)
    assert float(ticker.open or 0) == pytest.approx(49_227.5, abs=0.01)
    assert float(ticker.change or 0) == pytest.approx(1_947, abs=0.01)


def test_what_ccxt_does_not_read_is_read() -> None:
    sent = {
        "marketId": "BTC-USD",
        "bestBid": "100",
        "bestAsk": "102",
        "lastPrice": "101",
        "volume24h": "10",
        "volumeQte24h": "1000",
        "price24h": "1",
        "pricePct24h": "1",
        "low24h": "99",
        "high24h": "103",
        "timestamp": "2024-01-01T00:00:00Z",
    }
    assert numbers(read("btcmarkets", sent), "low", "high", "open") == (99, 103, 100)
    sent = {
        "last": "100",
        "change_24": "-4",
        "bid": "99",
        "ask": "101",
        "volume": "1",
        "vwap": "98",
    }
    assert numbers(read("bitso", sent), "open", "change", "percentage") == (104, -4, -3.84615385)


# ---------------------------------------------------------------------------- raw fields


def test_times_are_read_in_the_unit_in_which_they_are_sent() -> None:
    opened = datetime(2025, 11, 5, 20, 33, 20, tzinfo=UTC)
    seconds = int(opened.timestamp())
    shown = {"lastPrice": "100", "openPrice": "99"}
    assert read("btse", {**shown, "openTime": seconds}).open_time == opened
    assert read("binance", {**shown, "openTime": seconds * 1000}).open_time == opened
    for exchange, time in (("binance", 0), ("binance", -1), ("btse", 0), ("bitrue", 0)):
        assert read(exchange, {**shown, "openTime": time}).open_time is None
    # What an exchange that is not known to send it has under that name is something else.
    time_sent = "2025-01-01T00:00:00Z"
    sent = {"last": "100", "openTime": seconds, "count": 12, "timestamp": time_sent}
    ticker = read("hitbtc", sent)
    assert (ticker.open_time, ticker.trades) == (None, None)


def test_ids_of_aggregated_trades_are_read_where_they_are_known_to_be() -> None:
    raw = {
        "timestamp": 1_700_000_000_000,
        "price": 1.0,
        "amount": 1.0,
        "id": "7",
        "info": {"a": 7, "f": 10, "l": 12},
    }
    about: dict[str, Any] = {"pair": "BTC/USD", "received_at": RECEIVED, "simulated": False}
    [trade] = parsing.trades([raw], exchange="binance", **about)
    assert (trade.first_id, trade.last_id) == ("10", "12")
    [trade] = parsing.trades([raw], exchange="xt", **about)
    assert (trade.first_id, trade.last_id) == (None, None)


# ---------------------------------------------------------------------------- contradictions


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"high": "100"}, {"high": 101.0}),
        ({"low": "102"}, {"low": 101.0}),
        ({"volume_quote": "20000"}, {"vwap": None}),
        ({"volume_quote": "10"}, {"vwap": None}),
        ({"low": "200", "high": "90"}, {"low": None, "high": None}),
        ({"open": "0"}, {"open": None, "change": None, "percentage": None}),
        ({"last": "-5", "bid": "1"}, {"last": None, "close": None}),
        ({"volume": "-1"}, {"base_volume": None}),
        ({"bid": "0"}, {"bid": None}),
    ],
)
def test_what_contradicts_the_rest_is_left_out_or_widened(
    changed: dict[str, str], wanted: dict[str, float | None]
) -> None:
    sent = {
        "last": "101",
        "open": "100",
        "low": "99",
        "high": "103",
        "volume": "100",
        "volume_quote": "10100",
        "bid": "100.5",
        "ask": "101.5",
        "timestamp": "2024-01-01T00:00:00Z",
    }
    ticker = read("hitbtc", sent | changed)
    check_ticker(ticker)
    assert {name: getattr(ticker, name) for name in wanted} == wanted
