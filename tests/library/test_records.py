"""The common fields of answers, their JSON, and numbers without loss."""

from __future__ import annotations

import json
import pickle
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import marketdata as md
from marketdata import models
from marketdata.models import aggregates
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .gateway import Gateway
from .markets import DIALECTS, NOW, ms, record

QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("pairs", {"base": "BTC"}),
    ("ticker", {"pair": "BTC/USDT"}),
    ("ticker", {"pair": "BTC/USDT", "window": "1h"}),
    ("ticker", {"pair": "BTC/USDT", "window": "day"}),
    ("tickers", {"pairs": ["BTC/USDT", "ETH/USDT"]}),
    ("quote", {"pair": "BTC/USDT"}),
    ("quotes", {"pairs": ["BTC/USDT", "ETH/USDT"]}),
    ("orderbook", {"pair": "BTC/USDT", "depth": 3}),
    ("candles", {"pair": "BTC/USDT", "limit": 3}),
    ("candles", {"pair": "LTC/BTC", "timeframe": "1m", "start": "2024-05-01T11:00Z"}),
    ("trades", {"pair": "BTC/USDT", "limit": 3}),
    ("trades", {"pair": "BTC/USDT", "limit": 3, "aggregate": True}),
    ("status", {}),
    ("fees", {"pair": "BTC/USDT"}),
]
SEVERAL: list[tuple[str, dict[str, Any]]] = [
    ("compare", {"pair": "BTC/USDT", "exchanges": ["binance", "nosuch"], "quotes": ["USD"]}),
    ("consolidated_orderbook", {"pair": "BTC/USDT", "exchanges": ["kraken", "nosuch"]}),
    ("execution_cost", {"pair": "BTC/USDT", "side": "buy", "amount": 0.01, "exchanges": ["okx"]}),
    ("execution_cost", {"pair": "BTC/USDT", "side": "sell", "quote_amount": 1e9}),
]
"""The operations on several exchanges at once."""
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
CAMEL = re.compile(r"[a-z][a-zA-Z0-9]*")


@pytest.fixture
def records(client: md.Client, request: pytest.FixtureRequest) -> list[models.Record]:
    """An exchange's answers to all questions."""
    found: list[models.Record] = []
    for operation, given_ in QUESTIONS:
        answer = getattr(client, operation)(exchange=request.param, **given_)
        found += answer if isinstance(answer, list) else [answer]
    return found


@pytest.fixture
def together(client: md.Client) -> list[Any]:
    """Answers of several exchanges, of which one fails."""
    return [getattr(client, operation)(**given_) for operation, given_ in SEVERAL]


each = pytest.mark.parametrize("records", DIALECTS, indirect=True)


@each
def test_every_answer_has_its_source_and_time(records: list[Any]) -> None:
    now = datetime.now(UTC)
    for one in records:
        assert one.exchange in DIALECTS
        assert one.simulated is True
        moments = [one.received_at]
        if not isinstance(one, md.Pair):  # a list on disk has no time of the exchange's
            moments.append(one.timestamp)
        for moment in moments:
            assert moment.tzinfo is UTC
            assert datetime(2024, 4, 30, tzinfo=UTC) < moment <= now
        assert (now - one.received_at).total_seconds() < 60


@each
def test_json_is_camel_case_without_nulls_and_with_utc_times(
    records: list[Any], together: list[Any]
) -> None:
    def check(value: Any, key: str = "") -> None:
        assert value is not None, key
        if isinstance(value, dict):
            for name, inner in value.items():
                assert CAMEL.fullmatch(name)
                if name == "candles":  # rows, in which null holds a place
                    continue
                check(inner, name)
        elif isinstance(value, list):
            for inner in value:
                check(inner, key)
        elif key in ("timestamp", "receivedAt", "openTime", "serverTime", "start", "end"):
            assert MOMENT.fullmatch(value), value

    for one in [*records, *together]:
        sent = one.to_dict()
        check(sent)
        assert json.loads(one.to_json()) == sent
        assert sent["simulated"] is True
        assert "\n" not in one.to_json()


@each
def test_json_matches_the_schema(records: list[Any], together: list[Any]) -> None:
    draft = jsonschema.Draft202012Validator
    records = [*records, *together]
    for kind in {type(one) for one in records}:
        schema = kind.json_schema()
        draft.check_schema(schema)
        checker = draft(schema, format_checker=draft.FORMAT_CHECKER)
        for one in records:
            if type(one) is kind:
                checker.validate(one.to_dict())


@each
def test_answers_survive_json_and_pickle(records: list[Any], together: list[Any]) -> None:
    for one in [*records, *together]:
        assert type(one).model_validate_json(one.to_json()) == one
        assert type(one).model_validate(one.to_dict()) == one
        assert pickle.loads(pickle.dumps(one)) == one
        assert isinstance(hash(one), int)


@each
def test_answers_are_immutable(records: list[Any]) -> None:
    for one in records:
        with pytest.raises(ValueError, match="frozen"):
            one.exchange = "other"


@pytest.mark.parametrize(
    "kind",
    [
        value
        for module in (models, aggregates)
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, models.Record) and name in module.__all__
    ],
)
def test_schemas_forbid_unknown_fields(kind: type[models.Record]) -> None:
    schema = kind.json_schema()

    assert "null" not in json.dumps(schema.get("required", []))
    text = json.dumps(schema)
    assert '"anyOf"' not in text
    assert '"default": null' not in text
    for name, field in schema.get("properties", {}).items():
        if name != "candles":
            assert '"null"' not in json.dumps(field), name
    with pytest.raises(ValueError, match="extra"):
        kind.model_validate({"nonsense": 1})


def test_real_data_are_not_marked_as_simulated(gateway: Gateway, connect: Factory) -> None:
    def unmark(answer: Any) -> Any:
        answer.headers.pop("X-Marketdata-Simulated", None)
        return answer

    gateway.change("*", unmark)
    client = connect(gateway)
    for operation, given_ in QUESTIONS:
        answer = getattr(client, operation)(**given_)
        for one in answer if isinstance(answer, list) else [answer]:
            assert one.simulated is None
            assert "simulated" not in one.to_dict()


# Up to 15 significant digits, as exchanges write them.
@st.composite
def decimals(draw: st.DrawFn) -> str:
    digits = draw(st.integers(1, 15).flatmap(lambda count: st.integers(1, 10**count - 1)))
    scale = draw(st.integers(0, 18))
    return format(Decimal(digits).scaleb(-scale), "f")


def same(sent: str, received: float | None) -> bool:
    return received is not None and Decimal(repr(received)) == Decimal(sent)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(decimals(), min_size=6, max_size=6))
def test_numbers_are_returned_as_sent(
    client: md.Client, gateway: Gateway, connect: Factory, texts: list[str]
) -> None:
    through = connect(gateway)
    bid, ask = sorted(texts[:2], key=Decimal)
    gateway.edit(
        "*/24hr",
        lambda sent: sent.update(
            lastPrice=texts[2], bidPrice=bid, askPrice=ask, bidQty=texts[3], volume=texts[4]
        ),
    )
    ticker = through.ticker("BTC/USDT")
    assert same(texts[2], ticker.last)
    assert same(bid, ticker.bid)
    assert same(ask, ticker.ask)
    assert same(texts[3], ticker.bid_volume)
    assert same(texts[4], ticker.base_volume)
    as_json = json.loads(ticker.to_json(), parse_float=Decimal, parse_int=Decimal)
    assert as_json["last"] == Decimal(texts[2])

    gateway.edit(
        "*/depth", lambda sent: {**sent, "bids": [[bid, texts[3]]], "asks": [[ask, texts[4]]]}
    )
    book = through.orderbook("BTC/USDT", 1)
    assert same(bid, book.bids[0][0])
    assert same(texts[3], book.bids[0][1])
    assert same(ask, book.asks[0][0])

    low, opened, high = sorted(texts[:3], key=Decimal)
    gateway.edit(
        "*/klines", lambda sent: [[sent[0][0], opened, high, low, opened, texts[5], *sent[0][6:]]]
    )
    [bar] = through.candles("BTC/USDT", "1h", limit=1)
    for text, value in zip((opened, high, low, opened, texts[5]), list(bar)[1:6], strict=True):
        assert same(text, value[1])

    gateway.edit("*/trades", lambda sent: [{**sent[0], "price": texts[0], "qty": texts[1]}])
    [trade] = through.trades("BTC/USDT", limit=1)
    assert same(texts[0], trade.price)
    assert same(texts[1], trade.amount)


@pytest.mark.parametrize(
    ("prices", "volume"),
    [
        (("0.00000001", "0.00000002", "0.00000001", "0.00000001"), "999999999999999"),
        (("123456789.123456", "123456789.123456", "1", "2.5"), "0.00000001"),
        (("0.1", "0.3", "0.1", "0.2"), "0.7"),
    ],
)
@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_recorded_market_is_returned_on_every_exchange(
    tmp_path: Path, connect: Factory, exchange: str, prices: tuple[str, ...], volume: str
) -> None:
    opened = ms(NOW) - ms(NOW) % 60_000
    path = record(tmp_path, [(opened, *prices, volume)], f"{exchange}_AAA_USDT-1m.csv")
    with SimulatedExchange(tape=path) as sim:
        candles = connect(sim, exchange).candles("AAA/USDT", "1m", limit=1)

    [row] = candles.columns.rows()
    for text, value in zip((*prices, volume), row[1:6], strict=True):
        assert same(text, value)
