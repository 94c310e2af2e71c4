"""Records in notebooks, in one line, and as tables."""

import csv
import io
import json
import pickle
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inside.shown import page

import marketdata as md
from marketdata import models
from marketdata.models import Columns, Record, stored, ticks
from marketdata.models._display.html import html
from marketdata.models._display.numbers import evened
from marketdata.models.decimals import plain_json
from marketdata.sim import SimulatedExchange

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
EVIL = '<script>alert(1)</script>"><img src=x onerror=y>&\n\x1b[31m'


class Page(HTMLParser):
    """Parses HTML, raises for unclosed tags, and keeps its text and tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.cells: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            return
        self.text += data
        if self.open[-1:] == ["td"]:
            self.cells.append(data)


def every_kind() -> list[type[Record]]:
    """All records that the package has."""
    found, left = [], [Record]
    while left:
        for kind in left.pop().__subclasses__():
            left.append(kind)
            if kind.__name__[0] != "_" and kind.__module__.startswith("marketdata.models"):
                found.append(kind)
    return sorted(set(found), key=lambda one: one.__name__)


def made(kind: type[Record], text: str) -> Record:
    """A record with something in every field, and a text wherever there is a text."""
    return kind.model_construct(
        **{name: value(field.annotation, text) for name, field in kind.model_fields.items()}
    )


def value(hint: Any, text: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hasattr(hint, "__metadata__"):
        return value(hint.__origin__, text)
    if origin in (Union, UnionType):
        return value(arguments[0], text)
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        inner = arguments[:-1] * 2 if arguments[-1] is Ellipsis else arguments
        return tuple(value(one, text) for one in inner)
    if origin is dict:
        return {"code": text, "message": text}
    if isinstance(hint, type) and issubclass(hint, Record):
        return made(hint, text)
    if hint is Columns:
        return Columns([0, 60_000], *[[1.5, 2.5]] * 5, [1, 2])
    values = {str: text, float: 1234.5, int: 7, bool: True, datetime: NOW}
    return values.get(hint, NOW.date())


KINDS = every_kind()


@pytest.mark.parametrize("kind", KINDS, ids=lambda one: one.__name__)
def test_names_from_exchanges_are_escaped(kind: type[Record]) -> None:
    record = made(kind, EVIL)
    several = md.Records([record, record], [md.Missing.of(EVIL, EVIL, md.InternalError(EVIL))])
    for shown in (record, several):
        source = shown._repr_html_()
        found = Page(source)
        assert {"script", "img"} & set(found.tags) == set()
        assert "onerror" not in found.attributes
        assert EVIL.partition("\n")[0] not in source
        line = repr(shown)
        assert len(line) <= 120
        assert line.isprintable()
        assert line == str(shown)
    assert EVIL.partition("\n")[0] in Page(several._repr_html_()).text


@pytest.mark.parametrize("kind", KINDS, ids=lambda one: one.__name__)
def test_every_record_converts_to_a_table(kind: type[Record], tmp_path: Path) -> None:
    record = made(kind, "a, b\n")
    for one in (record, md.Records([record, record])):
        arrow = one.to_arrow()
        assert arrow.num_rows >= 1
        assert all(name == name.lower() for name in arrow.column_names)
        rows = list(csv.reader(io.StringIO(one.to_csv())))
        assert len({len(row) for row in rows}) == 1
        assert len(rows) == arrow.num_rows + 1
        lines = [json.loads(line) for line in one.to_jsonl().splitlines()]
        assert len(lines) == arrow.num_rows
        frame = one.to_pandas()
        assert (len(frame), len(one.to_polars())) == (arrow.num_rows, arrow.num_rows)
    record.to_parquet(tmp_path / "one.parquet")
    assert pq.read_table(tmp_path / "one.parquet").num_rows == record.to_arrow().num_rows
    assert record.to_csv(tmp_path / "one.csv") is None
    assert (tmp_path / "one.csv").read_text() == record.to_csv()


def trade(**more: Any) -> md.Trade:
    told = {"exchange": "x", "pair": "A/B", "timestamp": NOW, "received_at": NOW, **more}
    return md.Trade(**{"price": 1e-7, "amount": 2e21, **told})


def test_times_are_datetimes_and_unknown_values_are_missing() -> None:
    trades = md.Records([trade(side="buy"), trade(timestamp=NOW + timedelta(microseconds=1))])
    frame = trades.to_pandas()
    assert isinstance(frame["timestamp"].dtype, pd.DatetimeTZDtype)
    assert str(frame["timestamp"].dtype.tz) == "UTC"
    assert list(frame["timestamp"]) == [NOW, NOW + timedelta(microseconds=1)]
    assert (frame["side"][0], frame["side"].isna()[1]) == ("buy", True)
    assert trades.to_polars()["timestamp"].dtype == pl.Datetime("us", "UTC")
    assert trades.to_arrow().schema.field("cost").type == pa.float64()
    assert trades.to_arrow().schema.field("id").type == pa.string()


def test_decimals_stay_exact() -> None:
    numbers = [Decimal("0.10000000000000000001"), Decimal(12)]
    trades = md.Records([trade(price=number) for number in numbers])
    for column in (
        trades.to_arrow()["price"].to_pylist(),
        trades.to_polars()["price"].to_list(),
        list(trades.to_pandas()["price"]),
    ):
        assert column == numbers
    rows = list(csv.DictReader(io.StringIO(trades.to_csv())))
    assert [row["price"] for row in rows] == [str(number) for number in numbers]


def test_no_exponent_is_written() -> None:
    one = trade(id="1e5")
    assert '"price":0.0000001,"amount":2000000000000000000000' in one.to_json()
    assert '"id":"1e5"' in one.to_json()
    assert md.Trade.model_validate_json(one.to_json()) == one
    [row] = csv.DictReader(io.StringIO(one.to_csv()))
    assert (row["price"], row["amount"]) == ("0.0000001", "2000000000000000000000.0")


@pytest.mark.parametrize(
    ("text", "plainly"),
    [
        ('{"a":1e-7}', '{"a":0.0000001}'),
        ("[-1.5E+3,2]", "[-1500,2]"),
        ('{"1e-7":"\\"1e-7"}', '{"1e-7":"\\"1e-7"}'),
        ('["\\\\",1e2]', '["\\\\",100]'),
    ],
)
def test_only_numbers_lose_their_exponents(text: str, plainly: str) -> None:
    assert plain_json(text) == plainly
    assert json.loads(plainly) == json.loads(text)


def test_a_list_is_a_list_that_knows_its_record_type() -> None:
    some = md.Records([trade(), trade(), trade()])
    assert some == [trade()] * 3
    assert type(some[1:]) is md.Records
    assert (some[0], len(some[1:])) == (trade(), 2)
    nothing = md.Records(of=md.Trade)
    assert repr(nothing) == "Records(0 Trade)"
    header = nothing.to_csv().strip().split(",")
    assert header == list(md.Trade.model_fields) == nothing.to_arrow().column_names
    assert "No trades." in nothing._repr_html_()


def test_amounts_of_one_column_have_the_same_decimal_places() -> None:
    assert evened([26877104.0, 2714.40764, None]) == ["26,877,104", "2,714", "–"]
    assert evened([0.0083, 1.5]) == ["0.0083", "1.5000"]
    assert evened([0.0, 5.0]) == ["0", "5"]


def test_prices_of_a_card_have_the_places_of_the_tick() -> None:
    told = {"exchange": "x", "pair": "A/B", "timestamp": NOW, "received_at": NOW}
    ticker = md.Ticker(
        **told,
        window="24h",
        source="ticker",
        last=1.25,
        high=2.0,
        low=1.0,
        vwap=1.23456789,
        average=1.1111111,
        change=-0.5,
    )
    text = Page(ticker._repr_html_()).text
    assert ("1.23" in text, "1.11" in text, "-0.50" in text) == (True, True, True)
    assert "1.2345" not in text
    assert "1.1111" not in text


def test_a_column_has_the_decimal_places_of_the_pairs_tick() -> None:
    told = {"exchange": "x", "pair": "A/B", "timestamp": NOW, "received_at": NOW}
    trades = [trade(price=1.5, amount=2.0), trade(price=2.0, amount=3.0)]
    answers = {
        "ticker": md.Ticker(**told, window="24h", source="ticker", last=1.5, vwap=1.23456),
        "quote": md.Quote(**told, source="quote", bid=1.5, ask=1.7, bid_volume=2.0),
        "book": md.OrderBook(**told, bids=((1.5, 2.0),), asks=((1.7, 3.0),)),
        "trades": md.Records(trades, of=md.Trade),
        "average": md.AveragePrice(**told, price=1.23456789, window="5m", source="exchange"),
    }
    wanted = {
        "ticker": {"1.5000", "1.2346"},
        "quote": {"1.5000", "1.7000", "2.00 A", "1.60000"},
        "book": {"1.5000", "1.7000", "2.00", "3.00"},
        "trades": {"1.5000", "2.0000", "2.00", "3.00"},
        "average": {"1.2346 B"},
    }
    digits = pickle.dumps(answers)
    ticks.note("x", "A/B", 0.0001, 0.01)
    assert pickle.dumps(answers) == digits
    for name, numbers in wanted.items():
        text = Page(answers[name]._repr_html_()).text
        assert [one for one in numbers if one not in text] == [], (name, text)
    # What an exchange has sent with more digits than its tick is not cut.
    finer = md.Quote(**told, source="quote", bid=1.123456, ask=1.7)
    assert "1.123456" in Page(finer._repr_html_()).text


def test_ticks_come_from_the_rules_of_a_pair() -> None:
    with (
        SimulatedExchange(seed=3, now=NOW, frozen=True) as sim,
        md.Client("kraken", endpoints=sim.endpoints) as client,
    ):
        client.ticker("SOL/USDT")
        pair = client.pairs(search="SOL/USDT")[0]
    assert (pair.price_tick, pair.amount_step) == (0.01, 1e-8)
    assert ticks.known("kraken", "SOL/USDT") == (2, 8)
    assert ticks.known("kraken", "DOGE/USDT") == (None, None)


@pytest.fixture(scope="module")
def answers() -> Any:
    """One of each display, of an exchange whose clock stands still."""
    with SimulatedExchange(seed=3, now=NOW, frozen=True) as sim:
        client = md.Client(endpoints=sim.endpoints)
        yield [
            client.ticker("BTC/USDT"),
            client.tickers(["BTC/USDT", "PEPE/USDT"]),
            client.orderbook("BTC/USDT", 5),
            client.trades("BTC/USDT", limit=5),
            client.candles("BTC/USDT", "1h", limit=20, store=False),
            client.compare("BTC/USDT"),
            client.consolidated_orderbook("BTC/USDT", depth=3),
            client.execution_cost("BTC/USDT", side="buy", amount=1),
            client.quotes(["BTC/USDT", "ETH/USDT"]),
            client.status(),
            client.fees("BTC/USDT"),
            client.exchanges(),
            client.pairs(base="BTC"),
            client.upstream(),
        ]


def test_a_notebook_shows_the_numbers_of_the_terminal(answers: Any) -> None:
    from marketdata_cli.views import drawing
    from marketdata_cli.views.layout import Screen

    for answer in answers:
        now = NOW + timedelta(seconds=1)
        drawn = drawing.lines(page(answer, now), Screen(400, 100, colour=False, now=now))
        terminal = "\n".join("".join(part for part, _ in line) for line in drawn)
        cells = [cell.strip() for cell in Page(html(page(answer, now))).cells if cell.strip()]
        assert all(cell in terminal for cell in cells), terminal


def test_simulated_records_are_marked(answers: Any) -> None:
    for answer in answers:
        records = answer if isinstance(answer, list) else [answer]
        if hasattr(records[0], "simulated"):
            assert records[0].simulated
            assert repr(records[0]).endswith(" simulated)")
            assert "SIMULATED" in answer._repr_html_()


def test_a_line_has_pair_exchange_price_and_age(answers: Any) -> None:
    line = (
        r"Ticker\(BTC/USDT binance [\d,]+\.\d\d [+-]\d\.\d\d% [\d,.]+ (s|min|h|d) ago simulated\)"
    )
    assert re.fullmatch(line, repr(answers[0])), repr(answers[0])


def test_no_colour_of_a_page_is_fixed(answers: Any) -> None:
    bundle = answers[0]._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert set(answers[0]._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}
    style = bundle["text/html"].partition("</style>")[0]
    assert "prefers-color-scheme: dark" in style
    rules = re.sub(r"--md-\w+:[^;}]*", "", style)
    assert re.findall(r"#[0-9a-fA-F]{3,6}\b|(?<![-\\w])(?:white|black)(?![-\\w])", rules) == []


def test_every_record_type_is_tested() -> None:
    named = {
        one.__name__
        for module in (models, stored, md)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Record) and one.__name__[0] != "_"
    }
    assert named - {"Record"} <= {kind.__name__ for kind in KINDS}
