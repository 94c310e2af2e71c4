"""Determines why candles are missing, from other candles of the exchange."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from marketdata._candles.calendar import HOUR, Calendar, expected, nominal_length
from marketdata._candles.paging import Pages
from marketdata._candles.spans import FOREVER, Gap, Span, merged, without
from marketdata.errors import UpstreamError
from marketdata.models import Cause
from marketdata.models.columns import Columns

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue


class Causes:
    """Determines why places of one series have no candles.

    A place had no trades if one of the most traded pairs was traded in it, and is in an outage if
    none was. For timeframes below an hour, hourly candles decide about whole hours without candles,
    since a gap of a year has half a million minutes. Hours at the edge of a gap or an outage are
    decided minute by minute.
    """

    def __init__(self, venue: Venue, pair: str, calendar: Calendar) -> None:
        self._venue = venue
        self._pair = pair
        self._calendar = calendar
        is_short = nominal_length(calendar.timeframe) < HOUR and "1h" in venue.timeframes
        self._hours = expected("1h") if is_short else None
        self._pages: dict[tuple[str, str], Pages] = {}
        self._served_since: dict[Pages, int] = {}
        """A time at which each of the other pairs had candles."""
        self._otherwise: Cause = "outage" if venue.quirk.quiet_bars else "no_trades"

    async def of(self, gaps: Sequence[Span]) -> list[Gap]:
        """Return sorted gaps with their causes, split where the cause changes."""
        found = [] if self._hours is None else await self._whole_hours(gaps, self._hours)
        known = [one.span for one in found]
        left = [part for gap in gaps for part in without(gap, known)]
        for group in _grouped(left, self._calendar, self._venue):
            found += await self._judged(group, self._calendar) or []
        return merged(found)

    def _pages_of(self, pair: str, calendar: Calendar) -> Pages:
        named = (pair, calendar.timeframe)
        if named not in self._pages:
            self._pages[named] = Pages(self._venue, pair, calendar)
        return self._pages[named]

    async def _whole_hours(self, gaps: Sequence[Span], hours: Calendar) -> list[Gap]:
        whole = [Span(hours.ceil(gap.start), hours.floor(gap.end)) for gap in gaps]
        whole = [gap for gap in whole if gap.start < gap.end]
        judged: dict[int, Gap] = {}
        for group in _grouped(whole, hours, self._venue):
            judged |= {one.start: one for one in await self._judged(group, hours) or []}

        def is_sure(one: Gap) -> bool:
            if one.cause == "outage":
                return True
            beside = (judged.get(hours.previous(one.start)), judged.get(one.end))
            return all(other is not None and other.cause == one.cause for other in beside)

        return [one for _, one in sorted(judged.items()) if is_sure(one)]

    async def _judged(self, gaps: Sequence[Span], calendar: Calendar) -> list[Gap] | None:
        """Determine the causes of gaps in one page; None if hours open off the calendar."""
        known: dict[int, Cause] = {}
        left = [place for gap in gaps for place in calendar.openings(*gap)]
        otherwise: Cause | None = self._otherwise
        for other in self._venue.listed.traded_most(besides=self._pair) if left else ():
            pages = self._pages_of(other, calendar)
            try:
                columns = (await pages.between(left[0], calendar.next(left[-1]) + 1)).columns
                first = min([self._served_since.get(pages, FOREVER), *columns.time[:1]])
                # A pair that was listed later proves nothing.
                if first > calendar.next(left[0]) and await pages.before(left[0]) is not None:
                    first = left[0]
                self._served_since[pages] = first
            except UpstreamError:
                otherwise = None
                continue
            if calendar is self._hours and calendar.unexpected(columns.time):
                return None
            traded = {calendar.floor(time) for time in _traded(columns)}
            for place in left:
                if first <= calendar.next(place):
                    known[place] = "no_trades" if place in traded else "outage"
            left = [place for place in left if known.get(place) != "no_trades"]
            if not left:
                break
        return [
            Gap(place, calendar.next(place), known.get(place, otherwise))
            for gap in gaps
            for place in calendar.openings(*gap)
        ]


def _grouped(gaps: Sequence[Span], calendar: Calendar, venue: Venue) -> Iterator[list[Span]]:
    """Group gaps that one page covers; split longer ones."""
    room = max(1, venue.candles_per_request(calendar.timeframe) - 2)
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
