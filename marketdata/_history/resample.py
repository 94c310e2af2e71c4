"""Bars made of shorter bars."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from marketdata._history import timeframes
from marketdata._history.stretch import Hole, intervals, merged, milliseconds
from marketdata.errors import DataUnavailableError
from marketdata.models import Cause, Interval
from marketdata.models.columns import Columns, total

UNKNOWN = frozenset({"not_served", "not_fetched"})
"""Causes of holes in which there may have been trades, so that nothing can be said of them."""

_DAY = 86_400_000
_LONGEST = 10 * 365 * _DAY
_NAME = re.compile(r"[1-9]\d{0,3}[smhdwMy]", re.ASCII)
_UNCOUNTED = -1
_WORST_FIRST: tuple[Cause | None, ...] = (
    "not_fetched",
    "not_served",
    None,
    "outage",
    "no_trades",
)
_UNEXPLAINED = _WORST_FIRST.index(None)


def divides(finer: str, coarser: str) -> bool:
    """Tell whether bars of one timeframe can be made of bars of another.

    The finer one has to divide a day and the coarser one. The coarser one has to divide a day, to
    be some whole days or weeks, or to be months or years: 45m will do, 7m and 36h will not. Bars
    of more than a day are never the finer ones, since exchanges open them on different days.
    False for names that are no timeframes of ours, which some exchanges have, and for bars of more
    than ten years.
    """
    if not (_NAME.fullmatch(finer) and _NAME.fullmatch(coarser)):
        return False
    step, whole = timeframes.length(finer), timeframes.length(coarser)
    if _DAY % step or whole % step or whole > _LONGEST:
        return False
    return not _DAY % whole or not whole % _DAY


def source_for(wanted: str, offered: Sequence[str]) -> str | None:
    """Choose the longest of the timeframes offered that divides one; None where there is none."""
    fitting = (name for name in offered if divides(name, wanted))
    return max(fitting, key=timeframes.length, default=None)


def resample(
    columns: Columns,
    finer: str,
    coarser: str,
    holes: Sequence[Interval],
    *,
    start: int,
    until: int,
) -> tuple[Columns, list[Interval]]:
    """Make longer bars of shorter ones, and list the longer ones that are missing.

    ``columns`` are bars of ``finer``, ``holes`` those of them that are missing and why, ``start``
    is the earliest opening of a longer bar and ``until`` the end of what is known, both in Unix
    ms. Longer bars stand on the grid of `timeframes.first_open` without a known bar; those that
    open before ``start`` are left out, even where some of their shorter bars are there.

    Volume is the exact sum, rounded once, and NaN where that of any shorter bar is unknown;
    trades are -1 where those of any are uncounted. A longer bar of whose time anything was not
    served or not fetched is missing for that cause. So is one without any shorter bar, for the
    worst of their causes: not fetched, not served, unknown, outage, no trades. One that ends after
    ``until`` is made of what is there, for the caller to mark as forming; without shorter bars it
    is not missing yet. Holes come in order; those that touch and have the same cause are one.

    Raises ValueError where ``finer`` does not divide ``coarser``, `DataUnavailableError` where the
    shorter bars do not open on the grid of midnight in UTC.
    """
    if not divides(finer, coarser):
        raise ValueError(f"{coarser} bars cannot be made of {finer} bars")
    times, step = columns.time, timeframes.length(finer)
    if any(time % step for time in times):
        raise DataUnavailableError(
            f"No {coarser} bars can be made: the exchange's {finer} bars do not open at multiples "
            "of their length from midnight UTC.",
            details={"timeframe": finer},
        )
    opened: list[int] = []
    parts: list[slice] = []
    missing: list[Hole] = []
    position = 0
    for begin, end, cause in _with_causes(start, until, coarser, holes):
        first = bisect_left(times, begin, position)
        position = bisect_left(times, end, first)
        if cause not in UNKNOWN and first < position:
            opened.append(begin)
            parts.append(slice(first, position))
        elif cause in UNKNOWN or end <= until:
            missing.append(Hole(begin, end, cause))
    made = Columns(
        opened,
        [columns.open[part.start] for part in parts],
        [max(columns.high[part]) for part in parts],
        [min(columns.low[part]) for part in parts],
        [columns.close[part.stop - 1] for part in parts],
        [total(columns.volume[part]) for part in parts],
        [_counted(columns.trades[part]) for part in parts],
    )
    return made, list(intervals(merged(missing), coarser))


def _counted(trades: array[int]) -> int:
    return _UNCOUNTED if _UNCOUNTED in trades else sum(trades)


def _with_causes(
    start: int, until: int, timeframe: str, holes: Sequence[Interval]
) -> Iterator[tuple[int, int, Cause | None]]:
    """Give opening and end of each bar, and the worst cause of what is missing in it.

    None also stands for time that no hole covers.
    """
    ranked = sorted(
        (milliseconds(hole.start), milliseconds(hole.end), _WORST_FIRST.index(hole.cause))
        for hole in holes
    )
    first = timeframes.first_open(start, timeframe, None)
    reached = 0
    for begin in timeframes.openings(first, until, timeframe):
        end = timeframes.following(begin, timeframe)
        while reached < len(ranked) and ranked[reached][1] <= begin:
            reached += 1
        worst, index, left = len(_WORST_FIRST), reached, end - begin
        while index < len(ranked) and ranked[index][0] < end:
            hole_start, hole_end, rank = ranked[index]
            worst = min(worst, rank)
            left -= min(hole_end, end) - max(hole_start, begin)
            index += 1
        if left > 0:
            # There are bars, or nobody has told why there are none.
            worst = min(worst, _UNEXPLAINED)
        yield begin, end, _WORST_FIRST[worst]
