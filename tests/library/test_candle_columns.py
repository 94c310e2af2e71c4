"""Candles as a sequence of bars, as columns and as JSON rows."""

import json
import math
import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import marketdata as md
from marketdata.models import Columns

from .markets import newest

ROWS = [
    (1_700_000_000_000 + index * 60_000, 10.0 + index, 12.5 + index, 9.0, 11.0, volume, trades)
    for index, (volume, trades) in enumerate([(1.5, 7), (None, None), (0.0, 0), (3.25, None)])
]


def candles(rows=ROWS, **changes) -> md.Candles:
    return md.Candles(
        **{
            "exchange": "binance",
            "pair": "BTC/USDT",
            "timeframe": "1m",
            "timestamp": datetime(2023, 11, 14, 22, 20, tzinfo=UTC),
            "received_at": datetime(2023, 11, 14, 22, 20, 1, tzinfo=UTC),
            "source": "candles",
            "forming": True,
            "missing": (),
            "columns": Columns.from_rows(rows),
            **changes,
        }
    )


def test_bars_are_counted_indexed_and_iterated() -> None:
    all_of_them = candles()

    assert len(all_of_them) == 4
    assert all_of_them[0] == md.Candle(
        open_time=datetime.fromtimestamp(1_700_000_000, UTC),
        open=10.0,
        high=12.5,
        low=9.0,
        close=11.0,
        volume=1.5,
        trades=7,
    )
    assert list(all_of_them) == [all_of_them[index] for index in range(4)]
    assert all_of_them[-1] == all_of_them[3]
    assert (all_of_them[1].volume, all_of_them[1].trades) == (None, None)
    assert (all_of_them[2].volume, all_of_them[2].trades) == (0.0, 0)


@pytest.mark.parametrize("index", [4, -5, 1 << 70])
def test_an_index_out_of_range_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError):
        candles()[index]


def test_only_the_last_bar_can_be_open() -> None:
    assert [bar.forming for bar in candles()] == [False, False, False, True]
    assert [bar.forming for bar in candles(forming=False)] == [False] * 4


@pytest.mark.parametrize(
    ("part", "forming"),
    [
        (slice(None), True),
        (slice(2, None), True),
        (slice(-1, None), True),
        (slice(None, -1), False),
        (slice(1, 3), False),
        (slice(4, None), False),
        (slice(None, None, 3), True),
    ],
)
def test_a_slice_is_candles_and_knows_whether_it_has_the_open_bar(
    part: slice, forming: bool
) -> None:
    sliced = candles()[part]

    assert isinstance(sliced, md.Candles)
    assert sliced.columns.rows() == ROWS[part]
    assert sliced.forming is forming
    assert (sliced.pair, sliced.timestamp) == ("BTC/USDT", candles().timestamp)


def test_json_rows_have_seven_columns_and_null_for_unknown_values() -> None:
    assert candles().to_dict()["candles"] == [list(row) for row in ROWS]
    assert json.loads(candles().to_json())["candles"][1][5:] == [None, None]


def test_candles_survive_json_and_pickle() -> None:
    whole = candles()

    for again in (
        md.Candles.model_validate_json(whole.to_json()),
        md.Candles.model_validate(whole.to_dict()),
        pickle.loads(pickle.dumps(whole)),
        whole.model_copy(deep=True),
    ):
        assert again == whole
        assert hash(again) == hash(whole)


def test_equality_compares_every_field_of_every_bar() -> None:
    for place in range(7):
        changed = [list(row) for row in ROWS]
        changed[0][place] = 5
        assert candles(changed) != candles(), place
    assert candles(ROWS[:3]) != candles()
    assert candles(pair="ETH/USDT") != candles()


def test_columns_are_buffers_of_numbers(client: md.Client) -> None:
    columns = client.candles("BTC/USDT", "1m", limit=5).columns
    truth = newest("binance", "BTC/USDT", "1m", 5)

    assert [
        memoryview(getattr(columns, name)).tolist()
        for name in ("time", "open", "high", "low", "close", "volume", "trades")
    ] == [list(column) for column in zip(*truth, strict=True)]
    assert memoryview(columns.close).format == "d"
    assert memoryview(columns.time).format == "q"


def test_unknown_volumes_and_counts_are_masked_in_the_columns() -> None:
    columns = candles().columns

    assert math.isnan(columns.volume[1])
    assert list(columns.trades) == [7, -1, 0, -1]
    assert columns.row(1) == ROWS[1]
    assert list(columns) == ROWS


@pytest.mark.parametrize(
    "rows",
    [
        [(1, 1.0, 1.0, 1.0, 1.0)],
        [(1, 1.0, None, 1.0, 1.0, 1.0)],
        [(1, 1.0, 1.0, 1.0, 1.0, 1.0), (2, 1.0, 1.0, 1.0, 1.0)],
        [(1, "x", 1.0, 1.0, 1.0, 1.0)],
        [("x", 1.0, 1.0, 1.0, 1.0, 1.0)],
    ],
)
def test_rows_without_all_prices_are_refused(rows: list[tuple[object, ...]]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Columns.from_rows(rows)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="lengths"):
        Columns([1], [1.0], [1.0], [1.0], [1.0], [])


price = st.floats(allow_nan=False, allow_infinity=False)
row = st.tuples(
    st.integers(0, 32_503_679_999_999),
    price,
    price,
    price,
    price,
    st.none() | price,
    st.none() | st.integers(0, 2**63 - 1),
)


@given(st.lists(row, max_size=20))
def test_any_rows_survive_a_round_trip(rows: list[tuple[object, ...]]) -> None:
    made = candles(rows)

    assert made.columns.rows() == rows
    assert md.Candles.model_validate_json(made.to_json()).columns.rows() == rows
    assert [list(one) for one in rows] == made.to_dict()["candles"]
