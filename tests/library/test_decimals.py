"""Clients with Decimals: every digit that an exchange sends, and never a float in between."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from decimal import Decimal, Inexact, Rounded, localcontext
from pathlib import Path
from typing import Any

import pytest
from digits import FORMS, MORE, Form, Sent, numbers, told
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inside.exchanges import connector_class

import marketdata as md
from marketdata.models.decimals import exact_json, plain
from marketdata.sim import SimulatedExchange

from .built import bars
from .conftest import Factory
from .gateway import Gateway
from .markets import DIALECTS, NOW

PAIR = "BTC/USDT"
SMALL = "0.123456789012345678"
TINY = "0.00000000000000000000012345"


@pytest.fixture
def decimals(sim: SimulatedExchange, connect: Factory) -> md.Client:
    return connect(sim, DIALECTS, numbers="decimal")


def answers(client: md.Client, exchange: str) -> dict[str, Any]:
    """Ask for all that is read from an exchange's own numbers."""
    at = {"exchange": exchange}
    return {
        "ticker": client.ticker(PAIR, **at),
        "quote": client.quote(PAIR, **at),
        "orderbook": client.orderbook(PAIR, 5, **at),
        "candles": client.candles(PAIR, "1m", limit=3, **at),
        "trades": client.trades(PAIR, limit=5, **at),
    }


SAID = {
    "ticker": ("last", "bid", "ask", "bid_volume", "ask_volume", "high", "low", "base_volume"),
    "quote": ("bid", "ask", "bid_volume", "ask_volume"),
    "orderbook": ("bids", "asks"),
    "candles": ("columns",),
}
"""The fields that are never computed here."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("exchange", DIALECTS)
def test_every_sent_digit_is_kept(
    sim: SimulatedExchange, gateway: Gateway, connect: Factory, exchange: str, form: Form
) -> None:
    client = connect(gateway, numbers="decimal")
    client.pairs(exchange=exchange)
    sent = Sent(form)
    gateway.change("*", sent.change)
    found = answers(client, exchange)

    for kind, names in SAID.items():
        texts = told(found[kind], *names)
        assert {one for one in texts if "." in one} <= sent.texts, kind
        assert any(one.endswith(MORE) for one in texts), kind
    for trade in found["trades"]:
        texts = told(trade, "price", "amount")
        assert {one for one in texts if "." in one} <= sent.texts
    for record in numbers(list(found.values())):
        assert type(record) is Decimal


@pytest.mark.parametrize("exchange", DIALECTS)
def test_floats_keep_15_digits_of_the_same_responses(
    sim: SimulatedExchange, gateway: Gateway, connect: Factory, exchange: str
) -> None:
    client = connect(gateway)
    client.pairs(exchange=exchange)
    sent = Sent()
    gateway.change("*", sent.change)
    found = answers(client, exchange)

    for kind, names in SAID.items():
        values = [one for name in names for one in numbers((getattr(found[kind], name),))]
        assert values, kind
        assert all(type(one) is float for one in values), kind
        known = {float(one) for one in sent.texts}
        assert {one for one in values if not one.is_integer()} <= known, kind


DIGITS = st.builds(
    "{}{}".format,
    st.integers(0, 10**15),
    st.one_of(st.just(""), st.from_regex(r"\.[0-9]{1,24}", fullmatch=True)),
).filter(lambda text: Decimal(text) > 0)
LEVELS = st.lists(
    st.tuples(DIGITS, DIGITS), min_size=1, max_size=30, unique_by=lambda level: float(level[0])
)
"""No price twice: sizes at one price are added up."""


def test_any_number_is_returned_as_sent(gateway: Gateway, connect: Factory) -> None:
    exact, floats = (connect(gateway, numbers=form) for form in ("decimal", "float"))
    exact.pairs()

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(found=LEVELS, quoted=st.booleans())
    def check(found: list[tuple[str, str]], quoted: bool) -> None:
        sent = sorted(found, key=lambda level: Decimal(level[0]))
        rows = json.dumps(sent) if quoted else json.dumps(sent).replace('"', "")
        gateway.answer("*/depth", f'{{"lastUpdateId":1,"bids":[],"asks":{rows}}}')

        asks = exact.orderbook(PAIR, 5000).asks
        assert [tuple(map(plain, level)) for level in asks] == sent
        asks = floats.orderbook(PAIR, 5000).asks
        assert list(asks) == [(float(price), float(size)) for price, size in sent]
        for value, text in zip(
            numbers(asks), [one for level in sent for one in level], strict=True
        ):
            if len(text.replace(".", "").lstrip("0")) <= 15:
                assert Decimal(repr(value)) == Decimal(text)

    check()


@pytest.mark.parametrize("exchange", DIALECTS)
def test_computed_numbers_are_decimals_too(decimals: md.Client, exchange: str) -> None:
    start = NOW - timedelta(hours=3)
    found: list[Any] = [
        decimals.ticker(PAIR, exchange=exchange, window="4h"),
        decimals.candles(PAIR, "2h", limit=2, exchange=exchange),
        decimals.candles(PAIR, "1m", start=start, end=NOW, fill="previous", exchange=exchange),
        decimals.trades(PAIR, limit=20, aggregate=True, exchange=exchange),
        decimals.fees(PAIR, exchange=exchange),
        decimals.pairs(base="BTC", exchange=exchange),
    ]
    for one in found:
        values = list(numbers(one))
        assert values, one
        assert {type(value) for value in values} == {Decimal}, one


def test_several_exchanges_at_once(decimals: md.Client) -> None:
    book = decimals.consolidated_orderbook(PAIR, 5)
    found: list[Any] = [
        decimals.compare(PAIR),
        book,
        decimals.execution_cost(PAIR, side="buy", amount=0.5),
        decimals.execution_cost(PAIR, side="sell", quote_amount=1_000),
    ]
    for one in found:
        values = list(numbers(one))
        assert len(values) > 10
        assert {type(value) for value in values} == {Decimal}, one
    assert type(book.mid) is type(book.spread) is Decimal


def test_bars_of_trades_are_exact_sums(gateway: Gateway, connect: Factory) -> None:
    client = connect(gateway, "kraken", numbers="decimal")
    client.pairs()
    sent = Sent()
    gateway.change("*/Trades", sent.change)
    trades = client.trades(PAIR, limit=50)
    columns = bars(trades, "1m")
    assert columns.is_decimal
    with localcontext(prec=100):
        assert sum(columns.volume) == sum(trade.amount for trade in trades)
    assert set(map(str, columns.high)) <= sent.texts


@pytest.mark.parametrize("numbers_are", ["float", "decimal"])
def test_the_decimal_context_of_the_program_changes_nothing(
    sim: SimulatedExchange, connect: Factory, numbers_are: str
) -> None:
    client = connect(sim, DIALECTS, numbers=numbers_are)

    def shown() -> str:
        found = [answers(client, exchange) for exchange in ("binance", "kraken")]
        text = repr([found, client.ticker(PAIR, window="4h", exchange="okx")])
        times = [one.timestamp for one in client.trades(PAIR, exchange="kraken")]
        return re.sub(r"[\d.]+ s ago|\d+ ms ago", "", text) + repr(times)

    with localcontext() as context:
        before = shown()
        context.prec = 2
        context.traps[Inexact] = context.traps[Rounded] = True
        assert shown() == before


def test_trading_rules_are_the_text_of_the_stored_floats(decimals: md.Client) -> None:
    [pair] = decimals.pairs(base="PEPE", quote="USDT", exchange="binance")
    assert '"priceTick":"0.00000001"' in pair.to_json()
    assert str(decimals.fees(PAIR, exchange="binance").taker) == "0.001"


def test_lists_on_disk_are_the_same_for_both(
    sim: SimulatedExchange, connect: Factory, tmp_path: Path
) -> None:
    kept = []
    for form in ("decimal", "float"):
        home = tmp_path / form
        for exchange in DIALECTS:
            connect(sim, exchange, numbers=form, home=home).pairs()
        with closing(sqlite3.connect(next(home.glob("**/*.sqlite")))) as file:
            kept.append(sorted(file.execute("SELECT * FROM market").fetchall()))
    assert kept[0] == kept[1]
    assert len(kept[0]) > 20


def test_the_store_is_not_used_but_downloads_work(
    sim: SimulatedExchange, connect: Factory, isolated: Path
) -> None:
    span: dict[str, Any] = {"start": NOW - timedelta(hours=2), "end": NOW - timedelta(hours=1)}
    client = connect(sim, numbers="decimal")
    for _ in range(2):
        sim.forget()
        bars = client.candles(PAIR, "1m", **span)
        assert bars.columns.is_decimal
        assert any("klines" in one.path for one in sim.requests)
    assert not (isolated / "candles").exists()

    client.history.download([PAIR], "1m", **span)
    [series] = client.history.list()
    assert series.pair == PAIR
    sim.forget()
    stored = connect(sim).candles(PAIR, "1m", **span)
    assert not any("klines" in one.path for one in sim.requests)
    assert [one.close for one in stored] == [float(one.close) for one in bars]
    assert client.candles(PAIR, "1m", **span).columns.is_decimal
    assert any("klines" in one.path for one in sim.requests)


@pytest.mark.parametrize("number", ["1e999999999", "-1e-999999999", "NaN", "Infinity"])
@pytest.mark.parametrize("quoted", [False, True])
def test_impossible_prices_are_an_unusable_response(
    gateway: Gateway, connect: Factory, number: str, quoted: bool
) -> None:
    client = connect(gateway, numbers="decimal", timeout=5)
    client.pairs()
    text = f'"{number}"' if quoted else number
    gateway.answer("*/depth", f'{{"lastUpdateId":1,"bids":[[{text},"1"]],"asks":[]}}')
    with pytest.raises(md.MarketDataError) as caught:
        client.orderbook(PAIR)
    assert caught.value.code in ("DATA_UNAVAILABLE", "EXCHANGE_UNAVAILABLE")


def test_an_exponent_is_written_out(gateway: Gateway, connect: Factory) -> None:
    client = connect(gateway, numbers="decimal")
    client.pairs()
    gateway.answer("*/depth", '{"lastUpdateId":1,"bids":[[1.5E-8,"25e-1"]],"asks":[["1E+3",2]]}')
    book = client.orderbook(PAIR)
    assert book.to_dict()["bids"] == [["0.000000015", "2.5"]]
    assert book.to_dict()["asks"] == [["1000", "2"]]


def test_an_invalid_bar_removes_no_other(gateway: Gateway, connect: Factory) -> None:
    client = connect(gateway, numbers="decimal")
    client.pairs()

    def spoil(rows: list[Any]) -> None:
        if len(rows) > 5:
            rows[3][2] = "NaN"

    gateway.edit("*/klines", spoil)
    bars = client.candles(PAIR, "1m", start=NOW - timedelta(minutes=30), end=NOW)
    assert len(bars) > 20
    assert bars.columns.is_decimal


def test_the_setting_is_checked_and_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert md.Client().settings.numbers == "float"
    monkeypatch.setenv("MARKETDATA_NUMBERS", "decimal")
    assert md.Client().settings.numbers == "decimal"
    assert md.Client(numbers="float").settings.numbers == "float"
    monkeypatch.setenv("MARKETDATA_NUMBERS", "exact")
    with pytest.raises(md.InvalidParameterError, match="MARKETDATA_NUMBERS"):
        md.Client()


def test_fees_of_the_account(
    gateway: Gateway, connect: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETDATA_BINANCE_API_KEY", "key")
    monkeypatch.setenv("MARKETDATA_BINANCE_SECRET", "secret")
    gateway.answer(
        "*/asset/tradeFee",
        f'[{{"symbol": "BTCUSDT", "makerCommission": {SMALL}, "takerCommission": "{TINY}"}}]',
    )
    fees = connect(gateway, numbers="decimal").fees(PAIR)
    assert fees.source == "account"
    assert fees.to_dict()["maker"] == SMALL
    assert fees.to_dict()["taker"] == TINY


def test_candles_that_ccxt_does_not_convert() -> None:
    made = connector_class("coinbaseinternational", exact=True)({})
    sent = exact_json(
        f'[[1700000000000,{SMALL},"{SMALL}",5,{TINY},null],[1700000060000,1,1,1,1,1]]'
    )
    first, second = made.parse_ohlcvs(sent)
    assert first[0] == 1700000000000
    assert [plain(one) for one in first[1:5]] == [SMALL, SMALL, "5", TINY]
    assert first[5] is None
    assert {type(one) for one in second[1:]} == {Decimal}


def test_levels_that_one_exchange_parses_differently() -> None:
    made = connector_class("ndax", exact=True)({})
    level = f"[97244115,1,1607456142963,0,19069.32,1,{SMALL},8,{TINY},1]"
    book = made.parse_order_book(exact_json(f"[{level}]"), PAIR)
    assert [[plain(one) for one in row[:2]] for row in book["asks"]] == [[SMALL, TINY]]


def test_ccxt_reads_a_decimal_as_a_text() -> None:
    made = connector_class("kraken", exact=True)({})
    found = {"small": Decimal("1E-8"), "text": "5", "none": None}
    assert made.safe_string(found, "small") == "0.00000001"
    assert made.safe_string_2(found, "none", "small") == "0.00000001"
    assert made.safe_string_n(found, ["none", "small"]) == "0.00000001"
    assert made.safe_string(found, "text") == made.safe_string_n(found, ["text"]) == "5"
    assert made.safe_string(found, "none", "x") == made.safe_string("12.5", 0, "x") == "x"
    assert made.safe_number(found, "small") == Decimal("1E-8")
    assert made.safe_float("12.5", 0) is None
    assert type(made.parse_to_numeric("0.5")) is Decimal
    plainly = connector_class("kraken")({})
    assert type(plainly.safe_number({"a": "0.5"}, "a")) is float
