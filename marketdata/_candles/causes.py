"""Why candles are missing: what an exchange's other candles say about it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from marketdata._candles.calendar import DAY, Calendar, nominal_length
from marketdata._candles.paging import Pages
from marketdata._candles.spans import Gap, Span, merged, without
from marketdata.errors import UpstreamError
from marketdata.models import Cause
from marketdata.models.columns import Columns

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue


class Causes:
    """Finds out why places of one series have no candles.

    A place is without trades where one of the pairs that are always traded was traded in it, and
    in an outage where none was. Days without a candle of the pair are judged as a whole, by daily
    candles. So the cause of a place does not depend on what was requested along with it.
    """

    def __init__(self, venue: Venue, pair: str, calendar: Calendar, days: Calendar | None) -> None:
        """``days`` is the calendar of the exchange's days; None where it has no daily candles."""
        self._venue = venue
        self._pair = pair
        self._calendar = calendar
        self._days = days if nominal_length(calendar.timeframe) < DAY else None
        self._otherwise: Cause = "outage" if venue.quirk.quiet_bars else "no_trades"

    async def of(self, gaps: Sequence[Span]) -> list[Gap]:
        """Give gaps, which come in order, with their causes, divided where those change."""
        found: list[Gap] = []
        left = list(gaps)
        if self._days is not None:
            whole = [_inside(gap, self._days) for gap in left]
            whole = [gap for gap in whole if gap.start < gap.end]
            for group in _grouped(whole, self._days, self._venue.candles_per_request):
                found += await self._judged(group, self._days) or []
            left = [
                part for gap in left for part in without(gap, [Span(*one[:2]) for one in found])
            ]
        for group in _grouped(left, self._calendar, self._venue.candles_per_request):
            found += await self._judged(group, self._calendar) or []
        return merged(sorted(found, key=lambda gap: gap.start))

    async def _judged(self, gaps: Sequence[Span], calendar: Calendar) -> list[Gap] | None:
        """Judge gaps that lie within a page; None where days open elsewhere than was expected."""
        known: dict[int, Cause] = {}
        left = [place for gap in gaps for place in calendar.openings(*gap)]
        otherwise: Cause | None = self._otherwise
        for other in self._venue.listed.traded_most(besides=self._pair) if left else ():
            pages = Pages(self._venue, other, calendar)
            # The page reaches back as far as it can: a pair that was listed later says nothing.
            room = pages.size - calendar.count(left[0], gaps[-1].end) - 2
            since = calendar.shift(left[0], -max(0, room))
            try:
                columns = (await pages.between(since, calendar.next(left[-1]) + 1)).columns
            except UpstreamError:
                otherwise = None
                continue
            if calendar is self._days and calendar.unexpected(columns.time):
                return None
            traded = {calendar.floor(time) for time in _traded(columns)}
            for place in left:
                if len(columns) and columns.time[0] <= calendar.next(place):
                    known[place] = "no_trades" if place in traded else "outage"
            left = [place for place in left if known.get(place) != "no_trades"]
            if not left:
                break
        return [
            Gap(place, calendar.next(place), known.get(place, otherwise))
            for gap in gaps
            for place in calendar.openings(*gap)
        ]


def _inside(gap: Span, days: Calendar) -> Span:
    return Span(days.ceil(gap.start), days.floor(gap.end))


def _grouped(gaps: Sequence[Span], calendar: Calendar, size: int) -> Iterator[list[Span]]:
    """Put gaps together that one page covers; divide those that are longer."""
    room = max(1, size - 2)
    group: list[Span] = []
    for gap in gaps:
        start = gap.start
        while start < gap.end:
            part = Span(start, min(gap.end, calendar.shift(start, room)))
            if group and calendar.count(group[0].start, part.end) > room:
                yield group
                group = []
            group.append(part)
            start = part.end
    if group:
        yield group


def _traded(columns: Columns) -> list[int]:
    return [
        time
        for time, volume in zip(columns.time, columns.volume, strict=True)
        if math.isnan(volume) or volume > 0
    ]
