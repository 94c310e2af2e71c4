"""Bar lengths, and the grid of opening times that they make."""

from __future__ import annotations

import calendar
import functools
from collections.abc import Sequence
from datetime import UTC, datetime

_DAY = 86_400_000
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@functools.cache
def length(timeframe: str) -> int:
    """Give the length of a bar in milliseconds; of a month or year, its shortest."""
    count, unit = int(timeframe[:-1]), timeframe[-1]
    if unit in _SECONDS:
        return count * _SECONDS[unit] * 1000
    return count * (28 if unit == "M" else 365) * _DAY


def longest(timeframe: str) -> int:
    """Give the length of the longest bar in milliseconds, where months and years differ."""
    months = _months(timeframe)
    return months * 31 * 86_400_000 if months else length(timeframe)


def following(opened: int, timeframe: str) -> int:
    """Give the opening time of the bar behind the one that opens at ``opened`` (Unix ms)."""
    return earlier(opened, timeframe, -1)


def earlier(opened: int, timeframe: str, count: int) -> int:
    """Give the opening time of the bar so many places before the one that opens at ``opened``.

    Months and years end with the calendar: before the year 1 and behind 9999 there are none.
    """
    months = _months(timeframe)
    if months == 0:
        return opened - count * length(timeframe)
    moment = datetime.fromtimestamp(opened / 1000, UTC)
    month = moment.year * 12 + moment.month - 1 - count * months
    month = max(12, min(month, 9999 * 12 + 11))
    year, month = month // 12, month % 12 + 1
    # Months that begin at midnight elsewhere open on the last day of the one before.
    last = calendar.monthrange(year, month)[1]
    day = last if moment.day > 27 else moment.day
    return round(moment.replace(year=year, month=month, day=day).timestamp() * 1000)


def last_end(opened: int, end: int, timeframe: str) -> int:
    """Give where the last whole bar ends that fits between an opening time and an end."""
    if not _months(timeframe):
        step = length(timeframe)
        return opened + max(0, (end - opened) // step) * step
    while (later := following(opened, timeframe)) <= end:
        opened = later
    return opened


def count(start: int, end: int, timeframe: str) -> int:
    """Count the bars between two opening times."""
    if not _months(timeframe):
        return (end - start) // length(timeframe)
    bars = 0
    while start < end:
        bars, start = bars + 1, following(start, timeframe)
    return bars


def _months(timeframe: str) -> int:
    unit = {"M": 1, "y": 12}.get(timeframe[-1], 0)
    return int(timeframe[:-1]) * unit


def first_open(start: int, timeframe: str, known: int | None) -> int:
    """Give the first opening time at or after ``start``, on the grid that a known bar stands on.

    Without a known bar, days and shorter bars open at multiples of their length since 1970, and so
    do several days; weeks on Mondays, several of them counted from 1970-01-05; months and years on
    the first day of the month, several of them counted from January 1970.
    """
    months = _months(timeframe)
    if months:
        anchor = 0 if known is None else known
        # As many bars as surely do not pass the start: the few that are left are counted off.
        longest = length(timeframe) if start < anchor else months * 31 * _DAY
        opened = earlier(anchor, timeframe, -((start - anchor) // longest))
        while opened < start:
            opened = following(opened, timeframe)
        return opened
    step = length(timeframe)
    monday = 4 * _DAY  # 1970-01-05
    anchor = (monday if timeframe.endswith("w") else 0) if known is None else known
    return anchor + -((anchor - start) // step) * step


def opening(moment: int, timeframe: str) -> int:
    """Give when the bar opens that a moment (Unix ms) is in, on the grid without a known bar."""
    return earlier(first_open(moment + 1, timeframe, None), timeframe, 1)


def openings(start: int, end: int, timeframe: str) -> Sequence[int]:
    """Give the opening times from one of them on, in order, up to but not including ``end``."""
    if not _months(timeframe):
        return range(start, end, length(timeframe))
    opened = []
    while start < end:
        opened.append(start)
        start = following(start, timeframe)
    return opened
