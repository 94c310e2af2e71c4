"""A stretch of time of which every bar is known: it is there, or missing for a cause."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from marketdata._history import timeframes
from marketdata.models import Cause, Interval
from marketdata.models.columns import Columns


class Span(NamedTuple):
    """A time range in Unix milliseconds, start inside, end outside."""

    start: int
    end: int


class Hole(NamedTuple):
    """A range without bars, in Unix milliseconds, and why."""

    start: int
    end: int
    cause: Cause | None
    """None where nobody looked into it."""


@dataclass
class Stretch:
    """Bars and holes that together leave nothing between start and end unexplained."""

    start: int
    end: int
    columns: Columns
    holes: list[Hole] = field(default_factory=list)
    """In order; where no bar opens."""

    def cut(self, start: int, end: int) -> Stretch:
        """Give the part that lies in a range; the range has to overlap."""
        start, end = max(start, self.start), min(end, self.end)
        if (start, end) == (self.start, self.end):
            return self
        times = self.columns.time
        part = self.columns[bisect_left(times, start) : bisect_left(times, end)]
        return Stretch(start, end, part, clipped(self.holes, start, end))


def clipped(holes: Iterable[Hole], start: int, end: int) -> list[Hole]:
    """Give the parts of holes that lie in a range."""
    return [
        Hole(max(hole.start, start), min(hole.end, end), hole.cause)
        for hole in holes
        if hole.start < end and hole.end > start
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
        result[-1] = Stretch(last.start, one.end, last.columns, merged([*last.holes, *one.holes]))
    return result


def merged(holes: Iterable[Hole]) -> list[Hole]:
    """Join holes, given in order, that touch and have the same cause."""
    result: list[Hole] = []
    for hole in holes:
        if result and result[-1].end == hole.start and result[-1].cause == hole.cause:
            result[-1] = Hole(result[-1].start, hole.end, hole.cause)
        else:
            result.append(hole)
    return result


def without(span: Span, taken: Iterable[Span]) -> list[Span]:
    """Give what is left of a range, in order, without those given in order of their start."""
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


def intervals(holes: Sequence[Hole], timeframe: str) -> tuple[Interval, ...]:
    """Give holes as records, with the number of bars that each lacks."""
    return tuple(interval(*hole, timeframe=timeframe) for hole in holes)


def interval(start: int, end: int, cause: Cause | None, *, timeframe: str) -> Interval:
    """Give a range in Unix milliseconds as a record."""
    return Interval(
        start=datetime.fromtimestamp(start / 1000, UTC),
        end=datetime.fromtimestamp(end / 1000, UTC),
        bars=timeframes.count(start, end, timeframe),
        cause=cause,
    )


def milliseconds(moment: datetime) -> int:
    """Give a moment as Unix milliseconds."""
    return round(moment.timestamp() * 1000)
