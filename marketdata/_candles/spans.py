"""Ranges of time, and what is known of them: candles, and gaps with their causes.

All times are Unix milliseconds; a range has its start inside and its end outside.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import NamedTuple

from marketdata._candles.calendar import Calendar
from marketdata.models import Cause, Flag, Interval, Quality
from marketdata.models.columns import Columns

FOREVER = 1 << 62
EARLIEST = -62_135_596_800_000
"""The first moment that a datetime can be."""


class Span(NamedTuple):
    """A range of open times."""

    start: int
    end: int


class Gap(NamedTuple):
    """Places without candles, and why."""

    start: int
    end: int
    cause: Cause | None
    """None where nobody could say."""

    @property
    def span(self) -> Span:
        """Its range."""
        return Span(self.start, self.end)


@dataclass
class Stretch:
    """All candles that open in a range, and the causes of its gaps."""

    start: int
    end: int
    columns: Columns
    gaps: list[Gap] = field(default_factory=list)
    """In order; no candle opens inside one."""
    revised: frozenset[int] = frozenset()
    """The open times of candles that the exchange has revised since they were stored."""

    @property
    def span(self) -> Span:
        """Its range."""
        return Span(self.start, self.end)

    def cut(self, start: int, end: int) -> Stretch:
        """Return the part that lies in a range; the range has to overlap."""
        start, end = max(start, self.start), min(end, self.end)
        if (start, end) == (self.start, self.end):
            return self
        revised = frozenset(time for time in self.revised if start <= time < end)
        part = between(self.columns, start, end)
        return Stretch(start, end, part, clipped(self.gaps, start, end), revised)


def between(columns: Columns, start: int, end: int) -> Columns:
    """Return the candles that open in a range."""
    times = columns.time
    first, behind = bisect_left(times, start), bisect_left(times, end)
    return columns if behind - first == len(times) else columns[first:behind]


def joined_columns(parts: Sequence[Columns]) -> Columns:
    """Return the candles of parts that are given in order; of a single one, its own columns."""
    if len(parts) == 1:
        return parts[0]
    whole = Columns.from_rows([])
    for one in parts:
        whole.extend(one)
    return whole


def clipped(gaps: Iterable[Gap], start: int, end: int) -> list[Gap]:
    """Return the parts of gaps that lie in a range."""
    return [
        Gap(max(gap.start, start), min(gap.end, end), gap.cause)
        for gap in gaps
        if gap.start < end and gap.end > start
    ]


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Join stretches, given in order, where one begins at the end of another.

    Takes over the columns of the first of those that it joins: a year of them is 30 MiB.
    """
    result: list[Stretch] = []
    for one in stretches:
        if not result or result[-1].end != one.start:
            result.append(one)
            continue
        last = result[-1]
        last.columns.extend(one.columns)
        gaps, revised = merged([*last.gaps, *one.gaps]), last.revised | one.revised
        result[-1] = Stretch(last.start, one.end, last.columns, gaps, revised)
    return result


def placed_over(newer: Sequence[Stretch], older: Iterable[Stretch]) -> list[Stretch]:
    """Return all of some stretches, and of older ones what those do not tell of, in order."""
    taken = [one.span for one in newer]
    kept = [one.cut(*span) for one in older for span in without(one.span, taken)]
    return sorted([*newer, *kept], key=lambda one: one.start)


def with_unknown(stretches: Sequence[Stretch]) -> Stretch:
    """Join stretches, given in order and at least one, with what lies between them not fetched."""
    whole: list[Stretch] = []
    for one in stretches:
        if whole and whole[-1].end < one.start:
            between_them = Gap(whole[-1].end, one.start, "not_fetched")
            nothing = one.columns[:0]
            whole.append(Stretch(whole[-1].end, one.start, nothing, [between_them]))
        whole.append(one)
    [joined_up] = joined(whole)
    return joined_up


def merged(gaps: Iterable[Gap]) -> list[Gap]:
    """Put gaps in order, and join those that touch and have the same cause."""
    result: list[Gap] = []
    for gap in in_order(gaps):
        if result and result[-1].end == gap.start and result[-1].cause == gap.cause:
            result[-1] = Gap(result[-1].start, gap.end, gap.cause)
        else:
            result.append(gap)
    return result


def in_order(gaps: Iterable[Gap]) -> list[Gap]:
    """Sort gaps by their start."""
    return sorted(gaps, key=attrgetter("start"))


def without(span: Span, taken: Iterable[Span]) -> list[Span]:
    """Return what is left of a range, in order, without those given in order of their start."""
    left: list[Span] = []
    at = span.start
    for one in taken:
        if one.start > at:
            left.append(Span(at, min(one.start, span.end)))
        at = max(at, one.end)
        if at >= span.end:
            break
    if at < span.end:
        left.append(Span(at, span.end))
    return [one for one in left if one.start < one.end]


def intervals(gaps: Iterable[Gap], calendar: Calendar) -> tuple[Interval, ...]:
    """Return gaps as records, with the number of their places."""
    return tuple(
        Interval(
            start=moment(gap.start),
            end=moment(gap.end),
            bars=calendar.count(gap.start, gap.end),
            cause=gap.cause,
        )
        for gap in gaps
    )


def flags(times: Sequence[int], revised: Iterable[int], odd: Iterable[int]) -> tuple[Flag, ...]:
    """Return as records those of the candles that are revised or off the calendar."""
    marks: dict[int, Quality] = dict.fromkeys(revised, "revised")
    marks |= dict.fromkeys(odd, "off_calendar")
    return tuple(
        Flag(open_time=moment(time), quality=marks[time])
        for time in sorted(marks)
        if len(times) and times[0] <= time <= times[-1]
    )


def moment(milliseconds: int) -> datetime:
    """Return Unix milliseconds as a datetime."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def with_causes(
    places: Sequence[tuple[int, int]], causes: Sequence[Gap], calendar: Calendar
) -> list[Gap]:
    """Return runs of places as gaps, divided where their causes change.

    ``causes`` are ranges with a cause, in order, wherever their edges are; a place has the cause
    of the first of them that reaches into it, and None where none does.
    """
    found: list[Gap] = []
    index = 0
    for start, end in places:
        at = start
        while at < end:
            following = calendar.next(at)
            while index < len(causes) and causes[index].end <= at:
                index += 1
            cause, until = None, min(following, end)
            if index < len(causes):
                known = causes[index]
                if known.start < until:
                    # As many places at once as the cause reaches into.
                    cause, until = known.cause, max(until, min(end, calendar.ceil(known.end)))
                else:
                    until = max(until, min(end, calendar.floor(known.start)))
            else:
                until = end
            found.append(Gap(at, until, cause))
            at = until
    return merged(found)
