"""Records with Decimals: JSON and back, exact arithmetic, frames and pictures."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from digits import numbers
from hypothesis import given, settings
from hypothesis import strategies as st

import marketdata as md
from marketdata.models import Columns
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .test_candle_columns import ROWS, candles

PRICE, SIZE = Decimal("123456789.123456789123"), Decimal("0.123456789012345678")
AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
WHEN: dict[str, Any] = {
    "exchange": "binance",
    "pair": "BTC/USDT",
    "timestamp": AT,
    "received_at": AT,
}


def book(bids: list[Any], asks: list[Any]) -> md.OrderBook:
    return md.OrderBook(**WHEN, bids=tuple(bids), asks=tuple(asks))


def test_json_has_strings_and_survives_a_round_trip(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim, numbers="decimal")
    pair = "BTC/USDT"
    records: list[md.models.Record] = [
        client.ticker(pair),
        client.quote(pair),
        client.orderbook(pair, 3),
        client.candles(pair, "1m", limit=3),
        client.candles(pair, "1m", limit=1)[0],
        *client.trades(pair, limit=2),
        *client.pairs(base="BTC"),
        client.fees(pair),
        client.compare(pair),
        client.consolidated_orderbook(pair, 3),
        client.execution_cost(pair, side="buy", amount=1),
        client.orderbook(pair, 3).fill("sell", 1),
    ]
    for record in records:
        text = record.to_json()
        back = type(record).model_validate_json(text)
        assert back == record
        assert back.to_json() == text
        assert type(record).model_validate(json.loads(text)) == record
        found, again = list(numbers(record)), list(numbers(back))
        assert list(map(str, found)) == list(map(str, again))
        assert {type(one) for one in again} == {Decimal}
        assert json.loads(text) == record.to_dict()
        for number in found:
            assert f'"{number:f}"' in text


def test_small_numbers_have_no_exponent() -> None:
    trade = md.Trade(**WHEN, price=Decimal("1E-8"), amount=Decimal("1E+3"))
    assert trade.to_dict()["price"] == "0.00000001"
    assert trade.to_dict()["amount"] == "1000"
    assert '"price":"0.00000001"' in trade.to_json()
    assert trade.model_dump()["price"] == Decimal("1E-8")
    level = book([(Decimal("1E-8"), Decimal("1E+3"))], [])
    assert level.to_dict()["bids"] == [["0.00000001", "1000"]]
    bar = Columns([0], *[[Decimal("1E-8")]] * 5)
    assert candles(bar).to_dict()["candles"] == [[0, *["0.00000001"] * 5, None]]
    assert candles(bar).model_dump()["candles"] == [(0, *[Decimal("1E-8")] * 5, None)]


def test_numbers_in_json_stay_floats() -> None:
    text = '"exchange":"x","pair":"A/B","timestamp":"2024-05-01T12:00:00Z"'
    trade = md.Trade.model_validate_json(
        f'{{{text},"receivedAt":"2024-05-01T12:00:00Z","price":0.1,"amount":5}}'
    )
    assert (trade.price, trade.amount) == (0.1, 5.0)
    assert type(trade.price) is type(trade.amount) is float
    assert type(md.Trade(**WHEN, price=1, amount=2).price) is float
    found = book([(1, 2.5)], [[3, 4]])
    assert found.bids == ((1.0, 2.5),)
    assert type(found.bids[0][0]) is type(found.asks[0][1]) is float


@pytest.mark.parametrize("wrong", ["many", None, [], float])
def test_invalid_numbers_are_refused(wrong: Any) -> None:
    for make in (
        lambda: md.Trade(**WHEN, price=wrong, amount=1.0),
        lambda: book([(wrong, 1.0)], []),
        lambda: book([(Decimal(1), wrong)], []),
    ):
        with pytest.raises(ValueError, match="validation error"):
            make()


@pytest.mark.parametrize("kind", [md.Ticker, md.OrderBook, md.Candles, md.ExecutionCost])
def test_schemas_still_say_number(kind: type[md.models.Record]) -> None:
    schema = json.dumps(kind.json_schema())
    assert '"type": "number"' in schema
    assert "pattern" not in schema
    assert '"anyOf": [{"type": "number"}' not in schema


def test_equality_hashes_and_copies() -> None:
    exact = md.Trade(**WHEN, price=PRICE, amount=SIZE)
    assert exact == md.Trade(**WHEN, price=PRICE, amount=SIZE)
    assert hash(exact) == hash(md.Trade(**WHEN, price=PRICE, amount=SIZE))
    other = exact.model_copy(update={"price": PRICE + 1})
    assert other.price == PRICE + 1
    assert len({exact, other, exact}) == 2
    # A float of a few binary digits and the same Decimal are one number.
    assert md.Trade(**WHEN, price=Decimal("0.5"), amount=Decimal(2)) == md.Trade(
        **WHEN, price=0.5, amount=2.0
    )


NUMBERS = st.decimals(
    min_value=Decimal("1e-18"), max_value=10**15, allow_nan=False, allow_infinity=False, places=18
)


@settings(max_examples=50, deadline=None)
@given(
    bid=NUMBERS,
    ask=NUMBERS,
    sizes=st.tuples(NUMBERS, NUMBERS),
    amount=NUMBERS,
    places=st.integers(1, 28),
)
def test_arithmetic_is_exact_in_any_decimal_context(
    bid: Decimal, ask: Decimal, sizes: tuple[Decimal, Decimal], amount: Decimal, places: int
) -> None:
    found = book([(bid, sizes[0])], [(ask, sizes[1])])
    quote = md.Quote(**WHEN, source="quote", bid=bid, ask=ask)
    with localcontext(prec=places):
        filled = found.fill("buy", amount)
        results = found.spread, found.mid, quote.spread, quote.mid, found.depth(ask)
        imbalance = found.imbalance()
    assert all(type(one) is Decimal for one in (*results, imbalance))
    exact = [Fraction(one) for one in results if one is not None]
    between = Fraction(ask) - Fraction(bid), (Fraction(ask) + Fraction(bid)) / 2
    offered = (sizes[1] if ask > bid else 0) and Fraction(sizes[1])
    assert exact[:4] == [*between, *between]
    if ask > bid:
        assert exact[4] == offered
    taken = min(Fraction(amount), Fraction(sizes[1]))
    assert (Fraction(filled.amount), Fraction(filled.cost)) == (taken, taken * Fraction(ask))
    assert Fraction(filled.amount) + Fraction(filled.unfilled) == Fraction(amount)
    assert filled.average_price == pytest.approx(ask, rel=Decimal("1e-27"))


def test_a_float_price_counts_as_its_decimal_text() -> None:
    found = book([(Decimal("0.1"), Decimal(2))], [(Decimal("0.3"), Decimal(3))])
    assert found.depth(0.1) == 2
    assert found.depth(0.3) == 3
    assert found.depth(Decimal("0.2")) == 0
    assert found.fill("buy", 0.7).cost == Decimal("0.21")


@pytest.mark.parametrize("amount", [Decimal("NaN"), Decimal("sNaN"), float("nan"), True, "x"])
def test_invalid_amounts_are_refused(amount: Any) -> None:
    found = book([(Decimal("0.1"), Decimal(2))], [(Decimal("0.3"), Decimal(3))])
    with pytest.raises(md.InvalidParameterError, match="positive amount"):
        found.fill("buy", amount)


def test_nothing_is_offered_up_to_no_price() -> None:
    found = book([(Decimal("0.1"), Decimal(2))], [(Decimal("0.3"), Decimal(3))])
    assert found.depth(float("nan")) == found.depth(Decimal("NaN")) == 0
    assert book([(0.1, 2.0)], []).depth(Decimal("NaN")) == 0


def test_a_side_without_levels_has_the_number_type_of_the_other() -> None:
    filled = book([(Decimal("0.1"), Decimal(2))], []).fill("buy", 0.5)
    assert (filled.amount, filled.unfilled) == (0, Decimal("0.5"))
    assert {type(one) for one in numbers(filled)} == {Decimal}
    assert type(book([(0.1, 2.0)], []).fill("buy", Decimal("0.5")).unfilled) is float


# ---------------------------------------------------------------------------- columns, frames

EXACT = [
    [time, *(None if one is None else Decimal(str(one)) + SIZE for one in numbers_), trades]
    for time, *numbers_, trades in ROWS
]
FIELDS = ("open", "high", "low", "close", "volume")


def exact_bars(rows: list[Any] = EXACT) -> md.Candles:
    return candles(Columns.from_rows(rows))


def test_columns_have_one_set_of_methods() -> None:
    columns = exact_bars().columns
    assert columns.is_decimal
    assert [list(row) for row in columns.rows()] == EXACT
    assert [list(columns.row(index)) for index in range(len(columns))] == EXACT
    assert columns[1:].is_decimal
    joined = Columns.from_rows([])
    joined.extend(columns[:1])
    joined.extend(columns[1:])
    joined.extend(Columns.from_rows([]))
    assert joined == columns
    assert hash(joined) == hash(columns)
    assert columns.as_floats().open.typecode == "d"
    assert list(columns.as_floats().open) == [float(one) for one in columns.open]
    with pytest.raises(TypeError):
        Columns.from_rows([EXACT[0], [5, None, *EXACT[0][2:]]])


def test_pandas() -> None:
    frame = exact_bars().to_pandas()
    for position, name in enumerate(FIELDS, 1):
        assert frame[name].dtype == object
        assert [None if pd.isna(one) else one for one in frame[name]] == [
            row[position] for row in EXACT
        ]
    assert str(frame["trades"].dtype) == "Int64"


def test_polars_and_arrow() -> None:
    bars = exact_bars()
    frame, table = bars.to_polars(), bars.to_arrow()
    assert frame.columns == table.column_names == ["time", *FIELDS, "trades"]
    for position, name in enumerate(FIELDS, 1):
        wanted = [row[position] for row in EXACT]
        assert frame[name].dtype == pl.Decimal(38, 18)
        assert table[name].type == pa.decimal128(38, 18)
        assert frame[name].to_list() == table[name].to_pylist() == wanted
    assert pl.DataFrame(bars).equals(frame)


def test_more_digits_than_a_frame_supports() -> None:
    wide = exact_bars([[0, *[Decimal(f"{'1' * 30}.{'1' * 20}")] * 5, 1]])
    assert wide.to_arrow()["open"].type == pa.decimal256(76, 20)
    with pytest.raises(md.DataUnavailableError, match="50 digits"):
        wide.to_polars()
    with pytest.raises(md.DataUnavailableError, match="to_pandas"):
        exact_bars([[0, *[Decimal("1" * 80)] * 5, 1]]).to_arrow()
    assert exact_bars([]).to_arrow().num_rows == 0


def test_picture_and_html() -> None:
    bars = exact_bars()
    figure = bars.plot()
    figure.draw_without_rendering()
    heights = [patch.get_height() for patch in figure.axes[1].patches]
    assert np.isfinite(heights[0])
    assert f"<td>{EXACT[0][1]:,f}" in bars._repr_html_()
    small = Columns([0], *[[Decimal("1E-8")]] * 5)
    assert "<td>0.00000001</td>" in candles(small)._repr_html_()
