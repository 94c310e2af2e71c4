"""Arguments in the forms of other libraries: which are accepted, and which are suggested."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

import marketdata as md
from marketdata import arguments
from marketdata._arguments import names
from marketdata.operations import HISTORY, OPERATIONS, STREAMS
from marketdata.sim import SimulatedExchange

from .markets import ms

BY_NAME = {operation.name: operation for operation in (*OPERATIONS, *STREAMS, *HISTORY)}
NOW = datetime(2026, 11, 30, 12, 30, tzinfo=UTC)
TWO = ["BTC/USDT", "ETH/USDT"]


def parsed(operation: str, **given: Any) -> dict[str, Any]:
    return BY_NAME[operation].parse(given)


# ---------------------------------------------------------------------------- lists


@pytest.mark.parametrize(
    "form",
    [
        TWO,
        tuple(TWO),
        set(TWO),
        frozenset(TWO),
        dict.fromkeys(TWO).keys(),
        np.array(TWO),
        pd.Series(TWO),
        pd.Index(TWO),
        '["BTC/USDT", "ETH/USDT"]',
        "['BTC/USDT', 'ETH/USDT']",
        "BTC/USDT,ETH/USDT",
        "btc-usdt; eth-usdt",
        "BTC/USDT ETH/USDT",
    ],
    ids=lambda form: type(form).__name__,
)
def test_lists_in_any_form(form: Any) -> None:
    assert list(parsed("tickers", pairs=form)["pairs"]) == TWO
    assert sorted(parsed("watch_ticker", pair=form)["pair"]) == TWO
    assert list(parsed("list", pairs=form)["pairs"]) == TWO


@pytest.mark.parametrize("form", ["kraken", ["Kraken"], '["kraken"]', ("KRAKEN",), {"kraken"}])
def test_single_values_and_lists_of_one_are_interchangeable(form: Any) -> None:
    assert list(parsed("compare", pair="BTC/USDT", exchanges=form)["exchanges"]) == ["kraken"]
    assert parsed("ticker", pair="BTC/USDT", exchange=form)["exchange"] == "kraken"


def test_empty_values_never_select_everything_stored() -> None:
    for operation in ("remove", "repair", "verify", "list"):
        for name in ("pairs", "exchange"):
            with pytest.raises(md.InvalidParameterError) as caught:
                parsed(operation, **{"pairs": TWO, name: []})
            assert caught.value.details["parameter"].startswith(name)


# ---------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("operation", "given", "name", "ours"),
    [
        ("ticker", {"symbol": "BTC/USDT"}, "symbol", "pair"),
        ("ticker", {"market": "BTC/USDT"}, "market", "pair"),
        ("candles", {"pair": "BTC/USDT", "interval": "1h"}, "interval", "timeframe"),
        ("candles", {"pair": "BTC/USDT", "since": "-1d"}, "since", "start"),
        ("candles", {"pair": "BTC/USDT", "until": "now"}, "until", "end"),
        ("orderbook", {"pair": "BTC/USDT", "limit": 5}, "limit", "depth"),
        ("ticker", {"pair": "BTC/USDT", "venue": "okx"}, "venue", "exchange"),
        ("ticker", {"pair": "BTC/USDT", "exchnage": "okx"}, "exchnage", "exchange"),
        ("execution_cost", {"pair": "BTC/USDT", "side": "buy", "qty": 1}, "qty", "amount"),
    ],
)
def test_an_unknown_keyword_suggests_the_right_one(
    client: md.Client, operation: str, given: dict[str, Any], name: str, ours: str
) -> None:
    with pytest.raises(md.InvalidParameterError, match=f"'{name}'.*{ours}") as caught:
        getattr(client, operation)(**given)
    assert caught.value.details["parameter"] == name
    assert caught.value.details["closest"][0] == ours
    assert caught.value.details["rename"] == {name: ours}


def test_synonyms_of_arguments_are_accepted_if_unambiguous() -> None:
    known = ("pair", "depth", "exchange")
    given = {"Symbol": "BTC/USDT", "limit": 5, "exchangeId": "okx"}
    wanted = {"pair": "BTC/USDT", "depth": 5, "exchange": "okx"}
    assert names.renamed(given, known) == wanted
    assert names.renamed({"size": 5, "period": 1}, known) == {"size": 5, "period": 1}
    assert names.renamed({"limit": 5}, ("limit", "depth")) == {"limit": 5}
    with pytest.raises(md.InvalidParameterError, match="same argument"):
        names.renamed({"symbol": "BTC/USDT", "pair": "ETH/USDT"}, known)


# ---------------------------------------------------------------------------- pairs


def test_an_exchange_before_a_pair_is_the_one_requested(client: md.Client) -> None:
    assert client.ticker("KRAKEN:BTCUSD").exchange == "kraken"
    assert client.quote("okx:btc-usdt", exchange="okx").exchange == "okx"
    assert {one.exchange for one in client.tickers(["OKX:BTCUSDT", "OKX:ETHUSDT"])} == {"okx"}
    assert list(parsed("watch_ticker", pair="KRAKEN:BTCUSD")["exchange"]) == ["kraken"]
    assert list(parsed("compare", pair="KRAKEN:BTCUSD")["exchanges"]) == ["kraken"]
    for given in (
        {"pair": "KRAKEN:BTCUSD", "exchange": "okx"},
        {"pair": "BINANCE:BTCUSDT", "exchange": "kraken"},
    ):
        with pytest.raises(md.InvalidParameterError) as caught:
            client.ticker(**given)
        assert caught.value.details["closest"][1] == given["exchange"]


@pytest.mark.parametrize("operation", ["ticker", "orderbook", "candles", "trades", "fees"])
def test_a_coin_alone_is_refused_with_its_pairs(client: md.Client, operation: str) -> None:
    for coin in ("BTC", "bitcoin", "$btc", "Bitcoin"):
        with pytest.raises(md.PairNotSupportedError) as caught:
            getattr(client, operation)(coin, exchange="binance")
        assert caught.value.details["closest"][0] == "BTC/USDT"
        assert caught.value.details["parameter"] == "pair"


def test_a_name_of_two_pairs_is_refused_with_both(
    connect: Callable[..., md.Client], tmp_path: Any
) -> None:
    from .markets import minutes, record

    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 0, 5, tzinfo=UTC)
    tapes = [
        record(tmp_path, minutes(start, end), f"kraken_{name}-1m.csv")
        for name in ("BTC_USD", "TBTC_USD")
    ]
    with SimulatedExchange(tape=tapes) as sim:
        client = connect(sim, "kraken")
        with pytest.raises(md.PairNotSupportedError) as caught:
            client.ticker("tBTCUSD")
        assert sorted(caught.value.details["closest"]) == ["BTC/USD", "TBTC/USD"]
        assert client.ticker("TBTCUSD").pair == "TBTC/USD"
        assert client.ticker("tBTC/USD").pair == "TBTC/USD"


# ---------------------------------------------------------------------------- times, lengths


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("today", "2026-11-30T00:00"),
        ("yesterday", "2026-11-29T00:00"),
        ("7 days ago", "2026-11-23T12:30"),
        ("-1 week", "2026-11-23T12:30"),
        ("1 month ago", "2026-10-30T12:30"),
        ("last 24 hours", "2026-11-29T12:30"),
        ("2026-11", "2026-11-01T00:00"),
        ("31/12/2025", "2025-12-31T00:00"),
        ("5 Jan 2026", "2026-01-05T00:00"),
    ],
)
def test_times_in_words(form: str, wanted: str) -> None:
    assert arguments.instant(form, now=NOW) == ms(wanted)


@pytest.mark.parametrize(
    ("form", "meanings"),
    [
        ("5/6/2026", ["2026-05-06", "2026-06-05"]),
        ("last month", ["-1M", "2026-10-01"]),
        ("last week", ["-1w", "2026-11-23"]),
        ("7d", ["-7d"]),
    ],
)
def test_ambiguous_times_are_refused_with_both_meanings(form: str, meanings: list[str]) -> None:
    with pytest.raises(md.InvalidParameterError) as caught:
        arguments.instant(form, now=NOW)
    assert caught.value.details["closest"] == meanings
    assert all(one in str(caught.value) for one in meanings)


def test_timeframes_get_their_standard_form_and_keep_their_length() -> None:
    for form in ("1H", "60m", "hourly", "ONE_HOUR", "1 hour", timedelta(hours=1)):
        assert parsed("candles", pair="BTC/USDT", timeframe=form)["timeframe"] == "1h"
    assert parsed("candles", pair="BTC/USDT", timeframe="1M")["timeframe"] == "1M"
    assert parsed("candles", pair="BTC/USDT", timeframe="1m")["timeframe"] == "1m"
    once = parsed("candles", pair="BTC/USDT", timeframe="15 months")
    assert once["timeframe"] == "15M"
    assert parsed("candles", **once)["timeframe"] == "15M"
    for form, both in (("M", ["1M", "1m"]), ("60", ["1h", "1m"]), ("15M", ["15m", "15 months"])):
        with pytest.raises(md.InvalidParameterError) as caught:
            parsed("candles", pair="BTC/USDT", timeframe=form)
        assert caught.value.details["closest"] == both


# ---------------------------------------------------------------------------- bounds


def test_python_refuses_numbers_out_of_bounds() -> None:
    for depth in (0, 5_001, "5001", "all"):
        with pytest.raises(md.InvalidParameterError):
            parsed("orderbook", pair="BTC/USDT", depth=depth)
