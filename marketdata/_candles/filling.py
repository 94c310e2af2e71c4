"""Fills gaps with candles."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, TypeAlias, TypeVar

from marketdata._candles.calendar import Calendar
from marketdata._candles.spans import Gap, in_order
from marketdata.models.columns import Columns
from marketdata.models.decimals import as_number

N = TypeVar("N", int, float)
How: TypeAlias = Literal["none", "zero", "previous"]

UNKNOWN = frozenset({"not_served", "not_fetched"})
"""Causes of gaps in which trades are possible."""


def fill(
    columns: Columns, gaps: Sequence[Gap], calendar: Calendar, how: How
) -> tuple[Columns, list[Gap], list[Gap]]:
    """Fill gaps; return all candles, the gaps that were filled, and those that were not.

    ``zero`` makes candles of zeros; ``previous`` repeats the last close with zero volume and no
    trades; ``none`` fills nothing. Gaps without trades, in an outage, or without a known cause
    (None) are filled. ``previous`` also requires the candle right before the gap, or before the
    filled gaps that lead up to it. Gaps that are not served or not fetched are unknown and stay.
    """
    if how == "none":
        return columns, [], list(gaps)
    times = columns.time
    filled: list[Gap] = []
    left: list[Gap] = []
    places: list[tuple[int, Sequence[int]]] = []
    blank = 0
    for gap in in_order(gaps):
        index = bisect_left(times, gap.start)
        # A close from before an unknown gap is not the last close.
        known = how == "zero" or (index > 0 and times[index - 1] >= blank)
        if known and gap.cause not in UNKNOWN:
            filled.append(gap)
            places.append((index, calendar.openings(gap.start, gap.end)))
        else:
            left.append(gap)
            blank = gap.end
    closes = columns.close
    nothing = as_number(Decimal(0)) if columns.is_decimal else 0.0
    prices = [nothing if how == "zero" else closes[index - 1] for index, _ in places]
    counts = [len(opened) for _, opened in places]
    flat = [_run(closes, price, count) for price, count in zip(prices, counts, strict=True)]
    # There are many short gaps, so those of one length share their constant values.
    quiet = {count: _run(closes, nothing, count) for count in set(counts)}
    untraded = {count: array("q", [0]) * count for count in set(counts)}
    at = [index for index, _ in places]
    full = Columns(
        _spliced(times, at, [array("q", opened) for _, opened in places]),
        _spliced(columns.open, at, flat),
        _spliced(columns.high, at, flat),
        _spliced(columns.low, at, flat),
        _spliced(columns.close, at, flat),
        _spliced(columns.volume, at, [quiet[count] for count in counts]),
        _spliced(columns.trades, at, [untraded[count] for count in counts]),
    )
    return full, filled, left


def _run(column: array[float], value: float, count: int) -> array[float]:
    """Return a column of one value with the type of another."""
    run = column[:0]
    run.append(value)
    return run * count


def _spliced(source: array[N], at: Sequence[int], runs: Sequence[array[N]]) -> array[N]:
    """Insert runs of values before positions of a column, in order."""
    result, done = source[:0], 0
    for index, run in zip(at, runs, strict=True):
        result += source[done:index]
        result += run
        done = index
    result += source[done:]
    return result
