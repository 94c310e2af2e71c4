"""Filled candles for places without trades, and never for unknown places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside.candles import Gap, expected, intervals

import marketdata as md
from marketdata._candles.filling import fill
from marketdata.models import Columns

from .markets import ms, when

MINUTE = 60_000
MINUTES = expected("1m")
NOON = ms("2024-05-01T12:00")
CAUSES = ["no_trades", "outage", None, "not_served", "not_fetched"]
FILLED = CAUSES[:3]

Row = tuple[Any, ...]


def bar(minute: int) -> Row:
    return (NOON + minute * MINUTE, 10.0 + minute, 30.0 + minute, 5.0, 20.0 + minute, 1.5, 3)


def flat(minute: int, price: float) -> Row:
    return (NOON + minute * MINUTE, price, price, price, price, 0.0, 0)


def gap(first: int, last: int, cause: Any = "no_trades") -> Gap:
    return Gap(NOON + first * MINUTE, NOON + last * MINUTE, cause)


def full(
    rows: Sequence[Row], gaps: Sequence[Gap], how: Any
) -> tuple[list[Row], list[Gap], list[Gap]]:
    columns, filled, left = fill(Columns.from_rows(rows), gaps, MINUTES, how)
    return columns.rows(), filled, left


def test_none_changes_nothing() -> None:
    columns = Columns.from_rows([bar(0), bar(2)])
    one = gap(1, 2)

    assert fill(columns, [one], MINUTES, "none") == (columns, [], [one])


def test_previous_repeats_the_last_close() -> None:
    gaps = [gap(1, 3), gap(4, 5, "outage"), gap(6, 7, None)]
    rows, filled, left = full([bar(0), bar(3), bar(5)], gaps, "previous")

    assert rows == [bar(0), flat(1, 20), flat(2, 20), bar(3), flat(4, 23), bar(5), flat(6, 25)]
    assert (filled, left) == (gaps, [])


def test_zero_is_zero() -> None:
    gaps = [gap(0, 1), gap(2, 4)]
    rows, filled, left = full([bar(1), bar(4)], gaps, "zero")

    assert rows == [flat(0, 0), bar(1), flat(2, 0), flat(3, 0), bar(4)]
    assert (filled, left) == (gaps, [])


def test_before_the_first_candle_there_is_no_previous() -> None:
    first, later = gap(0, 2), gap(3, 4)
    rows, filled, left = full([bar(2), bar(4)], [first, later], "previous")

    assert rows == [bar(2), flat(3, 22), bar(4)]
    assert (filled, left) == ([later], [first])


@pytest.mark.parametrize("how", ["previous", "zero"])
@pytest.mark.parametrize("cause", ["not_served", "not_fetched"])
def test_gaps_of_unknown_cause_are_not_filled(how: str, cause: str) -> None:
    unknown = gap(1, 3, cause)
    assert full([bar(0), bar(3)], [unknown], how) == ([bar(0), bar(3)], [], [unknown])


def test_a_close_before_an_unknown_gap_is_not_the_previous_one() -> None:
    gaps = [gap(1, 2), gap(2, 3, "not_fetched"), gap(3, 4), gap(4, 5, "outage"), gap(6, 7)]
    rows, filled, left = full([bar(0), bar(5)], gaps, "previous")

    assert rows == [bar(0), flat(1, 20), bar(5), flat(6, 25)]
    assert (filled, left) == ([gaps[0], gaps[4]], [gaps[1], gaps[2], gaps[3]])


def test_zero_needs_no_close() -> None:
    gaps = [gap(1, 2, "not_fetched"), gap(2, 3)]
    rows, filled, left = full([bar(0)], gaps, "zero")

    assert rows == [bar(0), flat(2, 0)]
    assert (filled, left) == ([gaps[1]], [gaps[0]])


def test_gaps_can_be_in_any_order() -> None:
    gaps = [gap(4, 5), gap(1, 2), gap(2, 3, "outage")]
    rows, filled, left = full([bar(0), bar(3)], gaps, "previous")

    assert rows == [bar(0), flat(1, 20), flat(2, 20), bar(3), flat(4, 23)]
    assert (filled, left) == ([gaps[1], gaps[2], gaps[0]], [])


def test_months_are_filled_by_the_calendar() -> None:
    months = [ms(f"2024-{month:02}-01") for month in range(1, 6)]
    rows = [(months[0], 1.0, 4.0, 1.0, 2.0, None, None), (months[4], 3.0, 3.0, 3.0, 3.0, 1.0, 1)]
    quiet = Gap(months[1], months[4], "no_trades")
    columns, filled, left = fill(Columns.from_rows(rows), [quiet], expected("1M"), "previous")

    made = [(month, 2.0, 2.0, 2.0, 2.0, 0.0, 0) for month in months[1:4]]
    assert columns.rows() == [rows[0], *made, rows[1]]
    assert (filled, left) == ([quiet], [])


def test_filled_candles_are_marked() -> None:
    columns, filled, left = fill(Columns.from_rows([bar(0)]), [gap(1, 3)], MINUTES, "previous")
    record = md.Candles(
        exchange="binance",
        pair="BTC/USDT",
        timestamp=when(NOON),
        received_at=when(NOON),
        timeframe="1m",
        source="candles",
        forming=False,
        missing=intervals(left, MINUTES),
        filled=intervals(filled, MINUTES),
        columns=columns,
    )
    assert [one.filled for one in record] == [False, True, True]
    assert [one.bars for one in record.filled or ()] == [2]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Row], list[Gap]]:
    rows: list[Row] = []
    gaps: list[Gap] = []
    minute = 0
    kinds = st.tuples(st.integers(1, 5), st.sampled_from(["candles", "candles", *CAUSES]))
    for length, kind in draw(st.lists(kinds, max_size=10)):
        if kind == "candles":
            rows += [bar(one) for one in range(minute, minute + length)]
        else:
            gaps.append(gap(minute, minute + length, kind))
        minute += length
    return rows, gaps


@given(histories(), st.sampled_from(["previous", "zero"]))
def test_every_minute_is_a_candle_or_in_a_gap(history: Any, how: str) -> None:
    rows, gaps = history
    made, filled, left = full(rows, gaps, how)

    # What a look at one minute after the other gives.
    known = {row[0]: row for row in rows}
    wanted: list[Row] = []
    missing: list[int] = []
    close: float | None = 0.0 if how == "zero" else None
    end = max([one.end for one in gaps] + [row[0] + MINUTE for row in rows], default=NOON)
    for time in range(NOON, end, MINUTE):
        if time in known:
            wanted.append(known[time])
            close = known[time][4] if how == "previous" else close
            continue
        [inside] = [one for one in gaps if one.start <= time < one.end]
        if inside.cause in FILLED and close is not None:
            wanted.append((time, close, close, close, close, 0.0, 0))
        else:
            missing.append(time)
            close = None if how == "previous" else close
    assert made == wanted
    assert [time for one in left for time in range(one.start, one.end, MINUTE)] == missing
    assert sorted([*filled, *left], key=lambda one: one.start) == gaps
