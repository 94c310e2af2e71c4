"""Bars made up for times in which nothing was traded."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, TypeAlias, TypeVar

from marketdata._history import timeframes
from marketdata._history.resample import UNKNOWN
from marketdata._history.stretch import milliseconds
from marketdata.models import Interval
from marketdata.models.columns import Columns
from marketdata.models.decimals import as_number

N = TypeVar("N", int, float)
How: TypeAlias = Literal["none", "zero", "previous"]


def fill(
    columns: Columns, missing: Sequence[Interval], timeframe: str, how: How
) -> tuple[Columns, tuple[Interval, ...], tuple[Interval, ...]]:
    """Make up bars for holes; give all bars, the holes that were filled, and those that were not.

    ``zero`` makes bars whose every value is 0; ``previous`` bars that stand at the close before,
    without volume and trades; ``none`` makes none. Filled are holes without trades, in an outage,
    or of no known cause (None), and with ``previous`` only where the bar right before the hole, or
    before the filled holes that lead up to it, is there. What was not served or not fetched is
    unknown and stays missing. Holes may come in any order and leave in order of time; their edges
    are opening times.
    """
    if how == "none":
        return columns, (), tuple(missing)
    times = columns.time
    filled: list[Interval] = []
    left: list[Interval] = []
    places: list[tuple[int, Sequence[int]]] = []
    blank = 0
    for hole in sorted(missing, key=lambda one: one.start):
        start, end = milliseconds(hole.start), milliseconds(hole.end)
        index = bisect_left(times, start)
        # A close from before a time that is unknown is not the close before this hole.
        known = how == "zero" or (index > 0 and times[index - 1] >= blank)
        if known and hole.cause not in UNKNOWN:
            filled.append(hole)
            places.append((index, timeframes.openings(start, end, timeframe)))
        else:
            left.append(hole)
            blank = end
    closes = columns.close
    nothing = as_number(Decimal(0)) if columns.is_decimal else 0.0
    prices = [nothing if how == "zero" else closes[index - 1] for index, _ in places]
    counts = [len(opened) for _, opened in places]
    flat = [_run(closes, price, count) for price, count in zip(prices, counts, strict=True)]
    # Holes are many and mostly short: those of one length share what is the same in them.
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
    return full, tuple(filled), tuple(left)


def _run(column: array[float], value: float, count: int) -> array[float]:
    """Give a column like another, of one value."""
    run = column[:0]
    run.append(value)
    return run * count


def _spliced(source: array[N], at: Sequence[int], runs: Sequence[array[N]]) -> array[N]:
    """Put runs of values before the positions of a column that are given with them, in order."""
    result, done = source[:0], 0
    for index, run in zip(at, runs, strict=True):
        result += source[done:index]
        result += run
        done = index
    result += source[done:]
    return result
