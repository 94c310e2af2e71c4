"""Calendars: where the candles of a series are expected to open.

Only this module calculates with lengths of candles. All times are Unix milliseconds.
"""

from __future__ import annotations

import calendar as _months
import functools
import sys
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from marketdata._exchanges.openings import OPENINGS, Opening
from marketdata.arguments import is_timeframe

HOUR = 3_600_000
DAY = 24 * HOUR
_WEEK = 7 * DAY
_MONDAY = 4 * DAY
"""1970-01-05, the Monday from which weeks are counted."""
_JANUARY_1970 = 1970 * 12
_UNITS = {"s": 1_000, "m": 60_000, "h": HOUR, "d": DAY, "w": _WEEK}
_MONTHS = {"M": 1, "y": 12}
_LONGEST = 10 * 366 * DAY
_BEGINNING = -(1 << 62)
_FEWEST = 3
"""The number of consecutive candles below a day that define another calendar."""
_ZONE_YEARS = range(2009, 2051)
_CHUNK = 4_096
_UTC = Opening()


# ---------------------------------------------------------------------------- grids


@dataclass(frozen=True, slots=True)
class Fixed:
    """Open times at equal distances."""

    step: int
    phase: int
    """The remainder of every open time by the step."""

    def floor(self, moment: int) -> int:
        """Return the last open time at or before a moment."""
        return moment - (moment - self.phase) % self.step

    def shift(self, opened: int, places: int) -> int:
        """Return the open time ``places`` after another, or before it if negative."""
        return opened + places * self.step

    def count(self, start: int, end: int) -> int:
        """Count the open times in a range."""
        first, behind = ((self.phase - at) // self.step for at in (start, end))
        return max(0, first - behind)


@dataclass(frozen=True, slots=True)
class Monthly:
    """Open times on the first of a month, or so long before or after it."""

    months: int
    phase: int
    """The month's number, counted from January of the year 0, modulo the step."""
    offset: int

    def floor(self, moment: int) -> int:
        """Return the last open time at or before a moment."""
        number = _month_of(moment - self.offset)
        return _first_of(number - (number - self.phase) % self.months) + self.offset

    def shift(self, opened: int, places: int) -> int:
        """Return the open time ``places`` after another, or before it if negative."""
        number = _month_of(opened - self.offset) + places * self.months
        return _first_of(number) + self.offset

    def count(self, start: int, end: int) -> int:
        """Count the open times in a range."""
        if start >= end:
            return 0
        first, last = (_month_of(self.floor(at - 1) - self.offset) for at in (start, end))
        return (last - first) // self.months


Grid: TypeAlias = Fixed | Monthly
"""Open times that repeat without a change."""


def _month_of(moment: int) -> int:
    """Return the number of a moment's month, limited to the years 1 to 9999."""
    seconds = max(-62_135_596_800, min(moment // 1000, 253_402_300_799))
    found = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return found.year * 12 + found.month - 1


def _first_of(month: int) -> int:
    year, index = divmod(max(12, min(month, 9999 * 12 + 11)), 12)
    return _months.timegm((year, index + 1, 1, 0, 0, 0)) * 1000


# ---------------------------------------------------------------------------- calendars


class Era(NamedTuple):
    """A grid, and the time from which it holds."""

    since: int
    grid: Grid


@dataclass(frozen=True)
class Calendar:
    """The expected open times of one series: its places."""

    timeframe: str
    eras: tuple[Era, ...]
    sure: bool = field(default=False, compare=False)
    """Whether candles do not overrule it."""

    @functools.cached_property
    def _since(self) -> list[int]:
        return [era.since for era in self.eras]

    def floor(self, moment: int) -> int:
        """Return the open time of a moment's place."""
        index = bisect_right(self._since, moment) - 1
        while True:
            since, grid = self.eras[index]
            opened = grid.floor(moment)
            if opened >= since or index == 0:
                return opened
            # The last place before a change ends at the first place after it.
            index, moment = index - 1, since - 1

    def ceil(self, moment: int) -> int:
        """Return the first open time at a moment or after it."""
        return self.next(moment - 1)

    def next(self, moment: int) -> int:
        """Return the first open time after a moment."""
        index = max(0, bisect_right(self._since, moment) - 1)
        while True:
            since, grid = self.eras[index]
            opened = grid.shift(grid.floor(max(moment, since - 1)), 1)
            if index + 1 == len(self.eras) or opened < self.eras[index + 1].since:
                return opened
            index += 1

    def end(self, opened: int) -> int:
        """Return the end of a candle with this open time, on the calendar or off it."""
        place = self.floor(opened)
        return self.next(place) + opened - place

    def previous(self, moment: int) -> int:
        """Return the last open time before a moment."""
        return self.floor(moment - 1)

    def shift(self, moment: int, places: int) -> int:
        """Return the open time ``places`` after the place of a moment, or before it if negative."""
        opened = self.floor(moment)
        if len(self.eras) == 1:
            return self.eras[0].grid.shift(opened, places)
        for _ in range(abs(places)):
            opened = self.next(opened) if places > 0 else self.previous(opened)
        return opened

    def count(self, start: int, end: int) -> int:
        """Count the places that open in a range; start is inclusive, end exclusive."""
        total = 0
        for index, (since, grid) in enumerate(self.eras):
            until = self.eras[index + 1].since if index + 1 < len(self.eras) else end
            first, last = (start if index == 0 else max(start, since)), min(end, until)
            if first < last:
                total += grid.count(first, last)
        return total

    def openings(self, start: int, end: int) -> Sequence[int]:
        """List the open times in a range; start is inclusive, end exclusive."""
        first = self.ceil(start)
        if len(self.eras) == 1 and isinstance(grid := self.eras[0].grid, Fixed):
            return range(first, end, grid.step)
        found = []
        while first < end:
            found.append(first)
            first = self.next(first)
        return found

    def is_expected(self, opened: int) -> bool:
        """Return whether a candle is expected to open at this time."""
        return self.floor(opened) == opened

    def unexpected(self, times: Sequence[int]) -> list[int]:
        """List the open times that are off the calendar."""
        if self._is_regular(times):
            return []
        return [
            time
            for part in _chunks(times)
            if not self._is_regular(part)
            for time in part
            if not self.is_expected(time)
        ]

    def gaps(self, times: Sequence[int], start: int, end: int) -> list[tuple[int, int]]:
        """List the runs of consecutive places without a candle in a range.

        ``times`` are the open times of all candles in the range, ascending; others are ignored.
        Start is inclusive, end exclusive.
        """
        found: list[tuple[int, int]] = []
        expected = self.ceil(start)
        for part in _chunks(times):
            if part[0] == expected and self._is_regular(part):
                expected = self.next(part[-1])
                continue
            for time in part:
                place = self.floor(time)
                if expected < min(place, end):
                    found.append((expected, min(place, self.ceil(end))))
                expected = max(expected, self.next(time))
        if expected < end:
            found.append((expected, self.ceil(end)))
        return found

    def _is_regular(self, times: Sequence[int]) -> bool:
        """Return whether every place between two candles has exactly one candle."""
        if not len(times):
            return True
        if len(self.eras) > 1 or not isinstance(grid := self.eras[0].grid, Fixed):
            return False
        first, last = times[0], times[-1]
        if (first - grid.phase) % grid.step or last - first != (len(times) - 1) * grid.step:
            return False
        return _are_even(as_array(times), grid.step)


def _are_even(times: array[int], step: int) -> bool:
    """Return whether open times are equidistant."""
    expected = times[0]
    for part in _chunks(times):
        # Comparing them as one large number takes a sixth of the time.
        ones, ramp = _row_of(len(part), step)
        if int.from_bytes(as_array(part), sys.byteorder) != expected * ones + ramp:
            return False
        expected += len(part) * step
    return True


@functools.lru_cache(16)
def _row_of(count: int, step: int) -> tuple[int, int]:
    """Return two large numbers of ``count`` parts: ones, and multiples of a step from 0."""
    ones = int.from_bytes(array("q", [1]) * count, sys.byteorder)
    ramp = int.from_bytes(array("q", range(0, count * step, step)), sys.byteorder)
    return ones, ramp


def _chunks(times: Sequence[int]) -> Iterator[Sequence[int]]:
    return (times[at : at + _CHUNK] for at in range(0, len(times), _CHUNK))


# ---------------------------------------------------------------------------- timeframes


@functools.cache
def nominal_length(timeframe: str) -> int:
    """Return the length of a candle in milliseconds; for months and years, the shortest."""
    count, unit = int(timeframe[:-1]), timeframe[-1]
    if unit in _UNITS:
        return count * _UNITS[unit]
    return count * (28 * DAY if unit == "M" else 365 * DAY)


def _months_in(timeframe: str) -> int:
    return int(timeframe[:-1]) * _MONTHS.get(timeframe[-1], 0)


@functools.lru_cache(256)
def expected(timeframe: str, opening: Opening = _UTC) -> Calendar:
    """Return the calendar of a timeframe on an exchange with these openings.

    Candles below a day, and those of several days, are counted from 1970-01-01, several weeks from
    the first week of 1970, and several months from January.
    """
    if opening.zone is not None and nominal_length(timeframe) >= DAY:
        return Calendar(timeframe, tuple(_zoned(timeframe, opening)))
    return Calendar(timeframe, (Era(_BEGINNING, _grid(timeframe, opening, _offset(opening))),))


def known(exchange: str, timeframe: str) -> Calendar:
    """Return the expected calendar of a series, before its candles are known."""
    opening = OPENINGS.get(exchange)
    calendar = expected(timeframe, opening or _UTC)
    return replace(calendar, sure=opening is not None and nominal_length(timeframe) < DAY)


def _offset(opening: Opening) -> int:
    """Return when days open relative to midnight: from 12:00 on, on the evening before."""
    return (opening.hours - 24 if opening.hours >= 12 else opening.hours) * HOUR


def _grid(timeframe: str, opening: Opening, offset: int) -> Grid:
    if months := _months_in(timeframe):
        return Monthly(months, _JANUARY_1970 % months, offset)
    step = nominal_length(timeframe)
    if step < DAY:
        return Fixed(step, 0)
    if timeframe.endswith("w"):
        offset += _MONDAY + opening.weekday * DAY
    return Fixed(step, offset % step)


def _zoned(timeframe: str, opening: Opening) -> Iterator[Era]:
    zone = ZoneInfo(opening.zone or "UTC")

    def ahead(moment: datetime) -> timedelta:
        return moment.astimezone(zone).utcoffset() or timedelta()

    def era(since: int, moment: datetime) -> Era:
        offset = _offset(opening) - ahead(moment) // timedelta(milliseconds=1)
        return Era(since, _grid(timeframe, opening, offset))

    day = datetime(_ZONE_YEARS.start, 1, 1, tzinfo=UTC)
    yield era(_BEGINNING, day)
    while day.year < _ZONE_YEARS.stop:
        before, day = day, day + timedelta(days=1)
        if ahead(before) != ahead(day):
            hours = (before + timedelta(hours=hour) for hour in range(1, 25))
            change = next(hour for hour in hours if ahead(hour) != ahead(before))
            yield era(round(change.timestamp() * 1000), day)


def can_make(source: Calendar, target: Calendar) -> bool:
    """Return whether candles of one calendar can be resampled to another.

    The longer ones must be a multiple of the shorter ones, and each must open with a shorter one.
    """
    months, parts = _months_in(target.timeframe), _months_in(source.timeframe)
    whole, step = nominal_length(target.timeframe), nominal_length(source.timeframe)
    if whole > _LONGEST or len(source.eras) > 1:
        return False
    grid, wanted = source.eras[0].grid, target.eras[0].grid
    if parts:
        return (
            months > 0
            and months % parts == 0
            and isinstance(grid, Monthly)
            and isinstance(wanted, Monthly)
            and grid.offset == wanted.offset
            and (wanted.phase - grid.phase) % parts == 0
        )
    if not isinstance(grid, Fixed):
        return False
    if isinstance(wanted, Monthly):
        # Months are whole days.
        return DAY % step == 0 and (wanted.offset - grid.phase) % step == 0
    return whole % step == 0 and isinstance(wanted, Fixed) and wanted.phase % step == grid.phase


def sources(
    target: str, offered: Sequence[str], calendar_of: Callable[[str], Calendar]
) -> list[str]:
    """List the timeframes that another can be resampled from, longest first.

    ``calendar_of`` returns the calendar of a timeframe of the exchange.
    """
    wanted = expected(target)
    named = [name for name in offered if is_timeframe(name) and name != target]
    fitting = [name for name in named if can_make(calendar_of(name), wanted)]
    return sorted(fitting, key=nominal_length, reverse=True)


def source_for(target: str, offered: Sequence[str]) -> str | None:
    """Return the longest timeframe that another can be resampled from if days open at 00:00 UTC."""
    return next(iter(sources(target, offered, expected)), None)


# ---------------------------------------------------------------------------- learning


def learned(timeframe: str, times: Sequence[int], known: Calendar) -> Calendar:
    """Return the calendar that open times show; the known one where they show nothing else.

    ``times`` are ascending. Candles in a row that open off the known calendar and agree with each
    other are a calendar of their own: all candles of a series, or those since a change. Single
    ones are off the calendar. Where the days move by an hour, or right before others that are off
    it, a single one is enough. Candles shorter than a day overrule a known line of the exchange
    never, and others only together.
    """
    if known.sure or not known.unexpected(times):
        return known
    length = nominal_length(timeframe)
    is_short = length < DAY
    if is_short and any(map(known.is_expected, times)):
        return known

    def phase_of(time: int) -> int:
        return _month_phase(time) if _months_in(timeframe) else time % length

    runs = [(phase, list(run)) for phase, run in groupby(times, phase_of)]
    kept: list[tuple[int, list[int]]] = []
    for number, (phase, run) in enumerate(runs):
        beside = kept[-1:] or runs[number + 1 : number + 2]
        follows = not is_short and any(
            (phase - other) % length in (HOUR, length - HOUR)
            or (not number and _is_next(length, run, after, known))
            for other, after in beside
        )
        if kept and kept[-1][0] == phase:
            kept[-1][1].extend(run)
        elif len(run) >= (_FEWEST if is_short else 2) or follows or known.is_expected(run[0]):
            kept.append((phase, run))
    if not kept:
        phase = Counter(map(phase_of, times)).most_common(1)[0][0]
        kept = [(phase, [time for time in times if phase_of(time) == phase])]
    eras = [Era(_BEGINNING, _grid_of(timeframe, *kept[0]))]
    for (_, before), (phase, after) in pairwise(kept):
        # A place that a change lengthens or shortens is neither a gap nor two places.
        since = max(before[-1] + 1, after[0] - length // 2)
        eras.append(Era(since, _grid_of(timeframe, phase, after)))
    return Calendar(timeframe, tuple(eras))


def _is_next(length: int, run: list[int], after: list[int], known: Calendar) -> bool:
    """Return whether no candle is missing between two runs with different calendars."""
    return 2 * (after[0] - run[-1]) < 3 * length and not known.is_expected(after[0])


def _month_phase(time: int) -> int:
    """Return the distance of a candle's open time from the first of the nearest month."""
    return time - _first_of(_month_of(time + 15 * DAY))


def _grid_of(timeframe: str, phase: int, times: Sequence[int]) -> Grid:
    if months := _months_in(timeframe):
        number = Counter(_month_of(time - phase) % months for time in times)
        return Monthly(months, number.most_common(1)[0][0], phase)
    return Fixed(nominal_length(timeframe), phase)


def as_array(times: Sequence[int]) -> array[int]:
    """Return open times as an array."""
    return times if isinstance(times, array) else array("q", times)
