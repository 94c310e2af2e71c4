"""Resamples candles to longer timeframes."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from marketdata._candles.calendar import Calendar
from marketdata._candles.spans import Gap, merged
from marketdata.models import Cause
from marketdata.models.columns import Columns, total

_UNCOUNTED = -1
_WORST_FIRST: tuple[Cause | None, ...] = (
    "not_fetched",
    "not_served",
    None,
    "no_trades",
    "outage",
)
"""The order of causes for a longer place without candles: an outage only if all of it is."""
_UNEXPLAINED = _WORST_FIRST.index(None)


def resample(
    columns: Columns,
    calendar: Calendar,
    gaps: Sequence[Gap],
    *,
    start: int,
    until: int,
    unknown: frozenset[Cause],
) -> tuple[Columns, list[Gap]]:
    """Resample candles, and return the gaps.

    ``columns`` are the shorter candles, ``gaps`` their gaps with causes, and ``calendar`` that of
    the longer ones. Longer candles that open from ``start`` and before ``until`` are made; both are
    open times in Unix ms. A longer candle is made of all shorter ones that open in its place.
    Volume is the exact sum, rounded once, and NaN if any part's volume is unknown. Trades are -1 if
    any part's number is unknown. A longer candle with a part of a cause in ``unknown`` is missing
    for that cause. Without any shorter candle, it is missing for the worst of their causes: not
    fetched, not served, unknown, no trades, outage.
    """
    times = columns.time
    opened: list[int] = []
    parts: list[slice] = []
    missing: list[Gap] = []
    position = 0
    for begin, end, cause in _with_causes(start, until, calendar, gaps):
        first = bisect_left(times, begin, position)
        position = bisect_left(times, end, first)
        if cause not in unknown and first < position:
            opened.append(begin)
            parts.append(slice(first, position))
        else:
            missing.append(Gap(begin, end, cause))
    made = Columns(
        opened,
        [columns.open[part.start] for part in parts],
        [max(columns.high[part]) for part in parts],
        [min(columns.low[part]) for part in parts],
        [columns.close[part.stop - 1] for part in parts],
        [total(columns.volume[part]) for part in parts],
        [_counted(columns.trades[part]) for part in parts],
    )
    return made, merged(missing)


def _counted(trades: array[int]) -> int:
    return _UNCOUNTED if _UNCOUNTED in trades else sum(trades)


def _with_causes(
    start: int, until: int, calendar: Calendar, gaps: Sequence[Gap]
) -> Iterator[tuple[int, int, Cause | None]]:
    """Return start and end of each place, and the worst cause of the gaps in it.

    None also stands for times that no gap covers.
    """
    ranked = sorted((gap.start, gap.end, _WORST_FIRST.index(gap.cause)) for gap in gaps)
    reached = 0
    for begin in calendar.openings(start, until):
        end = calendar.next(begin)
        while reached < len(ranked) and ranked[reached][1] <= begin:
            reached += 1
        worst, index, left = len(_WORST_FIRST) - 1, reached, end - begin
        while index < len(ranked) and ranked[index][0] < end:
            gap_start, gap_end, rank = ranked[index]
            worst = min(worst, rank)
            left -= min(gap_end, end) - max(gap_start, begin)
            index += 1
        if left > 0:
            # There are candles, or the cause is unknown.
            worst = min(worst, _UNEXPLAINED)
        yield begin, end, _WORST_FIRST[worst]
