"""Assembles responses of an exchange into candles and gaps, and finds what to request again.

No I/O. All times are Unix milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Context, localcontext
from operator import le, lt
from typing import NamedTuple

from marketdata._candles.calendar import Calendar
from marketdata._candles.spans import Gap, Span, between, joined_columns, merged, without
from marketdata.models.columns import Columns, Row

_AGREE = 60_000
"""Milliseconds by which two clocks may differ."""
_LAG = 5_000
"""Milliseconds by which a correct clock may be behind an exchange's newest candle."""


class Clock(NamedTuple):
    """The time of an exchange's response."""

    exchange: int
    """The exchange's clock, which is never before a candle that it returned."""
    ours: int

    def after(self, opened: int) -> Clock:
        """Return the clock of a response with a candle that opens at this time."""
        return self if opened <= self.exchange else Clock(opened, self.ours)

    @property
    def disagrees(self) -> bool:
        """Whether the two clocks differ by more than a minute."""
        return abs(self.exchange - self.ours) > _AGREE

    def has_reached(self, end: int) -> bool:
        """Return whether a candle without a newer one is closed at its end."""
        return (self.both if self.disagrees else self.exchange) >= end

    @property
    def reached(self) -> int:
        """The time up to which candles may have opened: the later one if the clocks disagree.

        Only a newer candle could show that the exchange's clock is wrong.
        """
        return max(self) if self.disagrees else self.exchange

    @property
    def latest(self) -> int:
        """The latest time at which a candle may already have opened."""
        return max(self.exchange, self.ours) + _LAG

    @property
    def both(self) -> int:
        """The time that both clocks have reached."""
        return min(self.exchange, self.ours)


@dataclass(frozen=True)
class Page:
    """The content of responses for a range: all candles that open in it."""

    start: int
    end: int
    columns: Columns
    """Sound candles, ascending."""
    clock: Clock
    newest: int = 0
    """The open time of the newest candle in these responses, also after the range."""
    rejected: frozenset[int] = frozenset()
    """The open times of candles that are invalid, or that were sent in two versions."""
    unknown: tuple[Span, ...] = ()
    """Ranges in it that are unknown."""

    @property
    def span(self) -> Span:
        """Its range."""
        return Span(self.start, self.end)

    def has_closed(self, opened: int, calendar: Calendar) -> bool:
        """Return whether a candle was closed when it was sent."""
        return opened < self.newest or self.clock.has_reached(calendar.end(opened))

    def cut(self, start: int, end: int) -> Page:
        """Return the part that lies in a range; the range has to overlap."""
        start, end = max(start, self.start), min(end, self.end)
        if (start, end) == (self.start, self.end):
            return self
        return replace(
            self,
            start=start,
            end=end,
            columns=between(self.columns, start, end),
            rejected=frozenset(time for time in self.rejected if start <= time < end),
            unknown=tuple(
                Span(max(one.start, start), min(one.end, end))
                for one in self.unknown
                if one.start < end and one.end > start
            ),
        )


def page(
    start: int,
    end: int,
    columns: Columns,
    clock: Clock,
    disputed: frozenset[int] = frozenset(),
) -> Page:
    """Make a page of all candles that open in a range, valid or not, ascending.

    ``disputed`` are the open times of those that were sent in two versions.
    """
    kept, rejected = sound(columns, disputed)
    newest = columns.time[-1] if len(columns) else 0
    return Page(start, end, kept, clock.after(newest), newest, rejected)


def no_page(start: int, end: int, clock: Clock) -> Page:
    """Make the page of an unusable response."""
    return Page(start, end, Columns.from_rows([]), clock, unknown=(Span(start, end),))


@dataclass(frozen=True)
class Assembly:
    """The result of assembled pages."""

    columns: Columns
    """Closed candles."""
    open: Columns
    """The open candle, if there is one; it is the last one."""
    gaps: list[Gap]
    """Past places without a candle: ``not_fetched``, or of a cause not determined yet (None)."""
    disputed: frozenset[int]
    """The open times of candles that differ in overlapping pages."""
    again: list[Span]
    """The ranges of pages to request once more."""
    newest: int
    """The open time of the newest candle in all responses; 0 if there is none."""


def assemble(pages: Sequence[Page], span: Span, calendar: Calendar, clock: Clock) -> Assembly:
    """Put pages together, each candle and each place once.

    ``pages`` are given in the order of their ranges, which may overlap; ``span`` is the range that
    is wanted, ``clock`` the time of the last answer. To be requested again is what was not sound,
    what pages that overlap say differently of a closed candle, and a candle that was open when it
    was given although there is a newer one. Given once more, such a candle is ``not_fetched``.
    """
    kept: list[Page] = []
    doubtful: dict[int, int] = {}
    """Open times that are to be requested again, and which page they are of."""
    disputed: set[int] = set()
    for number, one in enumerate(pages):
        doubtful |= dict.fromkeys(one.rejected, number)
        if kept and one.start < kept[-1].end:
            kept[-1], one, differ = _seam(kept[-1], one, calendar)
            disputed |= differ
        kept.append(one)
    newest = max((one.newest for one in kept), default=0)
    columns = Columns.from_rows([])
    is_open = False
    for number, one in enumerate(kept):
        part = between(one.columns, max(span.start, one.start), min(span.end, one.end))
        if len(part) and not one.has_closed(part.time[-1], calendar):
            is_open = part.time[-1] >= newest
            if not is_open:
                # It has changed since it was sent.
                doubtful[part.time[-1]] = number
        columns.extend(part)
    gone = disputed.union(doubtful)
    if gone.intersection(columns.time):
        columns = Columns.from_rows([row for row in columns.rows() if row[0] not in gone])
    again = {
        *doubtful.values(),
        *(
            number
            for number, one in enumerate(pages)
            if one.unknown or any(one.start <= time < one.end for time in disputed)
        ),
    }
    # A place after the newest candle is a gap only if both clocks have passed its end.
    over = max(calendar.floor(clock.after(newest).both), calendar.floor(newest) if newest else 0)
    upto = min(span.end, over)
    places = calendar.gaps(columns.time, span.start, upto) if upto > span.start else []
    known = [part for one in kept for part in without(one.span, one.unknown)]
    lost = [Span(calendar.floor(time), calendar.next(time)) for time in gone]
    unknown = sorted([*without(span, known), *lost])
    return Assembly(
        columns[:-1] if is_open else columns,
        columns[-1:] if is_open else columns[:0],
        [part for place in places for part in _divided(Span(*place), unknown)],
        frozenset(disputed),
        [pages[number].span for number in sorted(again)],
        newest,
    )


def _seam(before: Page, behind: Page, calendar: Calendar) -> tuple[Page, Page, set[int]]:
    """Cut two overlapping pages so that they touch; return the candles that differ."""
    start, end = behind.start, min(before.end, behind.end)
    earlier = {row[0]: row for row in between(before.columns, start, end).rows()}
    later = {row[0]: row for row in between(behind.columns, start, end).rows()}
    rows: list[Row] = []
    differ: set[int] = set()
    for time in sorted(earlier.keys() | later.keys()):
        first, second = earlier.get(time), later.get(time)
        if first != second and _knows(before, time) and _knows(behind, time):
            if not before.has_closed(time, calendar):
                first = None
            elif not behind.has_closed(time, calendar):
                second = None
            else:
                differ.add(time)
        rows += [row for row in (second or first,) if row is not None]
    if rows != list(later.values()):
        later_on = between(behind.columns, end, behind.end)
        columns = joined_columns([Columns.from_rows(rows), later_on])
        behind = replace(behind, columns=columns)
    if before.end > behind.end:
        longer = between(before.columns, behind.end, before.end)
        columns = joined_columns([behind.columns, longer])
        newest = max(before.newest, behind.newest)
        behind = replace(behind, end=before.end, columns=columns, newest=newest)
    return before.cut(before.start, start), behind, differ


def _knows(one: Page, time: int) -> bool:
    return time not in one.rejected and not any(start <= time < end for start, end in one.unknown)


def _divided(place: Span, unknown: Sequence[Span]) -> list[Gap]:
    known = without(place, unknown)
    gone = without(place, known)
    lost = [Gap(*one, "not_fetched") for one in gone]
    return merged([*(Gap(*one, None) for one in known), *lost])


# ---------------------------------------------------------------------------- validity


def sound(
    columns: Columns, disputed: frozenset[int] = frozenset()
) -> tuple[Columns, frozenset[int]]:
    """Return the valid candles, and the open times of the others.

    Prices are positive and finite, low and high bound the others, and volume is not negative.
    ``disputed`` are the open times of those that were sent in two versions.
    """
    with localcontext(Context(traps=[])):  # comparisons of Decimals with NaN would raise
        if not len(columns) or (not disputed and _all_sound(columns)):
            return columns, disputed
        rows = columns.rows()
        wrong = {row[0] for row in rows if not _sound(*row[1:6])} | disputed
        return Columns.from_rows([row for row in rows if row[0] not in wrong]), frozenset(wrong)


def _all_sound(columns: Columns) -> bool:
    opened, high, low, close = columns.open, columns.high, columns.low, columns.close
    return (
        # Comparisons with NaN are false.
        all(map(le, low, opened))
        and all(map(le, low, close))
        and all(map(le, opened, high))
        and all(map(le, close, high))
        and min(low) > 0
        and math.isfinite(max(high))
        and not any(map(lt, columns.volume, bytes(len(columns))))
        and math.inf not in columns.volume
    )


def _sound(opened: float, high: float, low: float, close: float, volume: float | None) -> bool:
    # Comparisons with NaN are false here, too.
    prices = 0 < low <= opened <= high < math.inf and low <= close <= high
    return prices and (volume is None or 0 <= volume < math.inf)
