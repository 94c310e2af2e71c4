"""Requests candles page by page, and finds the next ones after a gap.

Times are Unix milliseconds.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from marketdata._candles.assembly import Clock, Page, page
from marketdata._candles.calendar import Calendar, expected, nominal_length
from marketdata._candles.spans import FOREVER, between, joined_columns
from marketdata.arguments import is_timeframe
from marketdata.errors import InvalidParameterError, UpstreamError
from marketdata.models.columns import Columns, Row

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue
    from marketdata._requests.reply import Reply

Aside = Callable[[Page, "Reply"], Awaitable[None]]

FIRST_MARKET = 1_262_304_000_000
"""2010-01-01, before there were markets: nothing earlier is requested."""
_OPENED = 5
"""The number of candles that can open during a request."""


class Pages:
    """Requests the candles of one series of an exchange, natively.

    ``calendar`` is the expected calendar of the series. It only decides how far pages reach, and
    never which candles exist.
    """

    def __init__(
        self, venue: Venue, pair: str, calendar: Calendar, aside: Aside | None = None
    ) -> None:
        """``aside`` gets pages of the series that were requested only to find candles."""
        self.venue = venue
        self._aside = aside
        self.pair = pair
        self.calendar = calendar
        self.timeframe = calendar.timeframe
        self.size = venue.candles_per_request(self.timeframe)
        self.reply: Reply | None = None
        """The last answer."""
        self.clock: Clock | None = None
        """The time of the last response."""
        self._told: Clock | None = None
        """The same without the candles in it."""
        self._given = 0
        """The open time of the newest candle in all responses."""
        self._leaves_out = False
        """Whether a page was short although there were more candles."""
        self._has_odd = False
        """Whether a candle opened off the calendar, so that a place can have several."""
        self._listed = 0
        """A time before which no candle opens, as far as is known."""
        self._refused: set[str] = set()
        """Timeframes with a start that was refused as too early."""
        self._shown: dict[str, list[Page]] = {}
        """Pages of longer candles, by timeframe."""
        self._looked_ahead = False
        """Whether candles later than our clock were looked for."""
        self._served: list[int] = []
        """The open times of all candles, if the exchange serves only its newest ones."""

    @property
    def is_refused(self) -> bool:
        """Whether the exchange refused a start as too early."""
        return self.timeframe in self._refused

    @property
    def is_timed(self) -> bool:
        """Whether the exchange sends its time, or candles later than our clock were searched."""
        return self._looked_ahead or (self.reply is not None and self.reply.date is not None)

    @property
    def first(self) -> int:
        """A time before which nothing is requested, because no candle opens earlier."""
        return self._first(self.calendar)

    def _first(self, calendar: Calendar) -> int:
        kept = self.venue.quirk.bars_kept
        if kept is None or calendar.timeframe not in self._refused:
            return FIRST_MARKET
        # A few more can open before the request or until its response.
        return max(FIRST_MARKET, calendar.shift(self.venue.now(), _OPENED - kept))

    async def _ask(
        self, calendar: Calendar, since: int | None, count: int, until: int | None, *, finite: bool
    ) -> tuple[Columns, Reply]:
        """Request candles; if the exchange refuses the start, from its first candles.

        Raises the errors of `Venue.candles`.
        """
        timeframe = calendar.timeframe
        ask = functools.partial(
            self.venue.candles, self.pair, timeframe, until=until, finite=finite
        )
        try:
            return await ask(since, count)
        except InvalidParameterError:
            if self.venue.quirk.bars_kept is None or since is None or timeframe in self._refused:
                raise
            self._refused.add(timeframe)
            first = _whole_second(self._first(calendar))
            if since >= first:
                self._refused.discard(timeframe)  # The start was not the reason.
                raise
            return await ask(first, count)

    @property
    def is_simulated(self) -> bool:
        """Whether the last response came from a simulated exchange, whose clock is right."""
        return self.reply is not None and self.reply.simulated

    @property
    def is_doubtful(self) -> bool:
        """Whether a place can have more candles than the last one returned for it."""
        return self._leaves_out or self._has_odd

    # ------------------------------------------------------------------ candles

    async def newest(self, count: int) -> Page:
        """Get the newest ``count`` candles, at most as many as one request returns."""
        asked, opened = self._newest_of(count), self.calendar.floor(self.venue.now())
        found = await self._request(*asked)
        await self._look_ahead()
        again = self._newest_of(count)
        if asked != again or opened < self.calendar.floor(self.venue.now()):
            # They may have been requested up to our time, which is too early.
            found = await self._request(*again)
        columns = _in_order(found, 0, FOREVER, set())[-count:]
        self._has_odd = self._has_odd or bool(self.calendar.unexpected(columns.time))
        clock = self._now()
        start = columns.time[0] if len(columns) else clock.reached
        return page(start, FOREVER, columns, clock)

    async def latest(self) -> Page:
        """Get the newest candles of one request."""
        found = await self.newest(self.size)
        if self._aside is not None and self.reply is not None:
            await self._aside(found, self.reply)
        return found

    def _newest_of(self, count: int) -> tuple[int | None, int]:
        """Return start and number of the request for the newest candles."""
        count = min(count, self.size)
        if not self.venue.quirk.bars_from_start:
            return None, count
        # They are in a range up to the later of both clocks.
        later = self.venue.now()
        now = later if self.clock is None else self.clock.exchange
        since = self.calendar.shift(min(now, later), 1 - count)
        return since, min(self.size, self.calendar.count(since, max(now, later) + 1))

    async def between(
        self, start: int, end: int | None, far: int | None = None, *, more: int = 1
    ) -> Page:
        """Get all candles that open in a range (``end=None``: up to now), and later ones received.

        Received candles after the range belong to the page, too. If the range ends without candles,
        the next one is searched up to ``far``, and the page reaches up to that. ``more`` candles
        are requested besides those that fit into the range: one can be off the calendar, or show
        that the last one is closed.
        """
        parts: list[Columns] = []
        disputed: set[int] = set()
        cursor, end = max(start, self.first), FOREVER if end is None else end
        given = self._given
        now = max(our_now(), self.clock.exchange if self.clock else 0)
        # Nothing in the future is requested, unless our clock is wrong.
        stop = now + 1 if start <= now < end else end
        first: Clock | None = None
        was_short = False
        unsettled: int | None = None
        """The open time of the last candle, if it was open when it was given."""
        asked_again: int | None = None
        while True:
            # Some exchanges refuse a start in the future, so the open candle is requested.
            since = self._not_later(cursor)
            ask = max(1, min(self.size, self.calendar.count(since, stop) + more))
            found = await self._request(since, ask)
            if end > self._now().exchange and await self._look_ahead():
                continue  # The candles may have been requested up to our time.
            clock = self._now()
            if since < self._not_later(cursor):
                continue  # Our clock was behind the exchange's.
            first = first or clock
            # Candles are possible up to here; up to the exchange's time, missing ones are gaps.
            stop, over = min(end, self._latest() + 1), min(end, clock.exchange + 1)
            fresh = _in_order(found, cursor, FOREVER, disputed)
            if parts and not len(fresh) and cursor < self.calendar.ceil(cursor):
                # It may round a start inside a place down to that place, which it returned already.
                cursor = self.calendar.ceil(cursor)
                if cursor < stop:
                    continue
            if unsettled is not None and len(fresh):
                # Until the next one opened it may have gone on.
                parts[-1] = parts[-1][:-1]
                cursor, unsettled, asked_again = unsettled, None, unsettled
                continue
            inside = fresh.time[bisect_left(fresh.time, cursor) : bisect_left(fresh.time, stop)]
            if len(inside):
                first_place = self.calendar.ceil(cursor)
                self._leaves_out |= was_short and inside[0] <= first_place
                self._has_odd = self._has_odd or bool(self.calendar.unexpected(inside))
                was_short = len(found) < ask
                if first_place < inside[0]:
                    head = await self._beginning(found, cursor, inside[0], ask, more)
                    parts.append(head.columns)
                    disputed |= head.rejected
                parts.append(fresh)
                last = fresh.time[-1]
                if last != asked_again and not clock.has_reached(self.calendar.end(last)):
                    unsettled = last
                cursor = last + 1
                if self.calendar.next(cursor - 1) < stop:
                    continue
                if cursor < over and end <= clock.exchange:
                    if len(found) < ask and self.is_doubtful:
                        continue
                    # A full page says nothing about later candles in its last place.
                    over = cursor
            if cursor < (reached := min(end, self._reached() + 1)) and not len(fresh):
                until = max(reached, min(far or 0, self._reached() + 1))
                cursor = await self._behind_nothing(cursor, ask, until)
                if cursor < reached:
                    continue
            elif len(fresh) and not len(inside):
                is_first = not parts
                if more:
                    # It may have returned only the last one of several candles.
                    head = await self._beginning(found, cursor, fresh.time[0], ask, more)
                    parts.append(head.columns)
                    disputed |= head.rejected
                # Some exchanges return later candles, so there are none before those.
                if is_first:
                    parts.append(fresh)
                else:
                    over = max(over, fresh.time[0])
            columns = joined_columns(parts)
            upto = max([cursor, over, *(time + 1 for time in columns.time[-1:])])
            made = page(start, upto, columns, first, frozenset(disputed))
            # Candles older than an already known one are closed, whatever the clocks say.
            return replace(made, newest=max(made.newest, given))

    def _not_later(self, moment: int) -> int:
        """Return a moment, or the open time of the open candle if the moment is in the future."""
        now = self.venue.now()
        return moment if _whole_second(moment) <= now else min(moment, self.calendar.floor(now))

    async def _look_ahead(self) -> bool:
        """Search candles later than our clock if the exchange does not send its time.

        Returns whether there are any. Some exchanges return the newest candles up to our time, so
        a page from then on is requested as well.
        """
        if self.is_timed:
            return False
        self._looked_ahead = True
        quirk, ahead = self.venue.quirk, self.venue.ahead
        asked: list[tuple[int | None, int]] = [] if quirk.bars_from_start else [(None, 1)]
        asked += [] if quirk.newest_bars_only else [(self.calendar.floor(our_now()), self.size)]
        for since, count in asked:
            with contextlib.suppress(InvalidParameterError, UpstreamError):
                found = await self._request(since, count)
                if self.reply is not None:
                    until = None if since is None else self.calendar.shift(since, count) - 1
                    await self._tell(found, since or 0, until, self.reply)
        return self.venue.ahead > ahead

    async def _beginning(self, found: Columns, start: int, end: int, asked: int, more: int) -> Page:
        """Get candles before the first of a page that may not have fitted into it.

        Exchanges that return the newest first cut a page at its beginning: if their pages are
        short, or if they count the candle at the end, which is one more than requested.
        """
        last = self.calendar.shift(self.calendar.ceil(start), asked)
        is_cut = more > 0 and self.size > 1 and max(found.time) <= last
        if self.venue.quirk.newest_bars_only or not (len(found) < asked or is_cut):
            return page(start, end, found[:0], self._now())
        # If the candle at the end counts, this page lacks its first candle, too.
        early = start if len(found) < asked else self.calendar.previous(start)
        head = await self.between(early, end, more=0)
        return replace(head, columns=between(head.columns, start, end))

    async def _request(self, since: int | None, count: int) -> Columns:
        until = None
        if since is not None:
            since = _whole_second(since)
            until = self.calendar.shift(since, count) - 1
        try:
            found, self.reply = await self._ask(self.calendar, since, count, until, finite=False)
        except InvalidParameterError:
            if self.clock is None or since is None or since <= self.clock.exchange:
                raise
            # By the exchange's clock this is in the future, which some refuse.
            return Columns.from_rows([])
        self._told = clock_of(self.reply)
        self._given = max(self._given, max(found.time, default=0))
        self.clock = self._told.after(self._given)
        is_whole = len(found) >= self.size or (since is None and count >= self.size)
        if self.venue.quirk.newest_bars_only and is_whole:
            # With a start, it returns only candles after it.
            self._served = sorted(found.time)
        return found

    def _latest(self) -> int:
        """Return a time after which no candle had opened at the last answer."""
        told, clock = self._told or self._now(), self._now()
        # A wrong clock does not show where candles end.
        if self.is_simulated:
            return clock.exchange
        return FOREVER if told.disagrees or told.latest < clock.exchange else told.latest

    def _reached(self) -> int:
        """Return the time up to which candles may have opened at the last answer."""
        return self._now().exchange if self.is_simulated else self._now().reached

    def _now(self) -> Clock:
        if self.clock is None:
            raise RuntimeError("nothing was requested yet")
        return self.clock

    # ------------------------------------------------------------------ behind gaps

    async def _behind_nothing(self, cursor: int, asked: int, stop: int) -> int:
        """Return where to continue after a page without candles; ``stop`` or later if nowhere.

        Such a page can cover a fixed time, which is then empty. Longer candles, whose pages cover
        years, show how long it stays empty.
        """
        behind = self.calendar.shift(cursor, asked)
        if behind >= stop:
            return behind
        for longer in reversed(self._longer()):
            later = await self._longer_from(longer, behind, stop)
            behind = behind if later is None else max(behind, later)
            if behind >= stop:
                break
        return behind

    async def _longer_from(self, longer: Calendar, moment: int, stop: int) -> int | None:
        """Return when the first longer candle that ends after a moment opens; None: unknown."""
        # They can open off the calendar, at most one length earlier.
        at = longer.previous(longer.floor(moment))
        while at < stop:
            page = await self._longer_page(longer, at)
            if page is None:
                return None
            times = sorted([*page.columns.time, *page.rejected])
            later = next((time for time in times if longer.end(time) > moment), None)
            if later is not None:
                return later
            at = max(page.end, longer.next(at))
        return at

    async def _longer_page(self, longer: Calendar, moment: int) -> Page | None:
        """Get a page of longer candles from a moment on, once; None if it is unusable."""
        for one in self._shown.get(longer.timeframe, ()):
            if one.start <= moment < one.end:
                return one
        pages = Pages(self.venue, self.pair, longer)
        try:
            found = await pages.between(moment, longer.shift(moment, pages.size))
        except UpstreamError:
            return None
        self._shown.setdefault(longer.timeframe, []).append(found)
        return found

    async def before(self, moment: int) -> int | None:
        """Return a time near the last candle before a moment; None if there is none.

        No candle opens from that time up to the moment, and at least one does before it.
        """
        if moment <= max(self._listed, self.first):
            return None
        if self.venue.quirk.newest_bars_only:
            served = self._served or await self._probe(self.calendar) or ()
            earlier = [time for time in served if time < moment]
            if not earlier:
                self._listed = moment
                return None
            return earlier[-1] + 1
        empty = moment  # no candle opens between this and the moment
        for calendar in (self.calendar, *self._longer()):
            start = calendar.shift(moment - 1, 1 - self._size(calendar))
            times = await self._all_between(start, moment, calendar)
            if times is None:
                continue
            for opened in reversed(times):
                if calendar is self.calendar:
                    return opened + 1
                if calendar.end(opened) <= empty:
                    return calendar.end(opened)
                if opened < empty:
                    last = await self._last_between(opened, empty)
                    if last is not None:
                        return last + 1
                    empty = opened
            empty = min(empty, start)
            if calendar is self.calendar and self._given < moment:
                # It can be older than even pages of the longest candles reach.
                newest = () if self.venue.quirk.bars_from_start else await self._probe(calendar)
                if newest and newest[-1] < moment:
                    return newest[-1] + 1
        self._listed = moment
        return None

    async def _all_between(self, start: int, end: int, calendar: Calendar) -> list[int] | None:
        """List the open times in a range of one page, also if pages are short.

        None if the exchange does not answer.
        """
        found = list[int]()
        while start < end:
            times = await self._probe(calendar, start)
            if times is None:
                return found or None
            found += [time for time in times if start <= time < end]
            if not times or times[-1] >= end or times[-1] < start:
                break
            start = times[-1] + 1
        return found

    async def _last_between(self, start: int, end: int) -> int | None:
        """Return the open time of the last candle in a range; None if none is found."""
        while start < end:
            early = max(start, self.calendar.shift(end - 1, 1 - self.size))
            times = await self._all_between(early, end, self.calendar)
            if times:
                return times[-1]
            end = early
        return None

    async def _probe(self, calendar: Calendar, since: int | None = None) -> list[int] | None:
        """Return the open times of one page, by default the newest; None if it is unusable."""
        until = None
        if since is not None:
            since = _whole_second(max(since, self._first(calendar)))
            until = calendar.shift(since, self._size(calendar)) - 1
        try:
            found, reply = await self._ask(
                calendar, since, self._size(calendar), until, finite=True
            )
        except UpstreamError:
            return None
        if calendar is self.calendar:
            await self._tell(found, since or 0, until, reply)
        return sorted(found.time)

    async def _tell(self, found: Columns, start: int, until: int | None, reply: Reply) -> None:
        """Pass on candles that were requested only to find others."""
        if self._aside is not None:
            end, disputed = FOREVER if until is None else until + 1, set[int]()
            columns = _in_order(found, start, end, disputed)
            clock = clock_of(reply).after(max(found.time, default=0))
            await self._aside(page(start, end, columns, clock, frozenset(disputed)), reply)

    def _size(self, calendar: Calendar) -> int:
        return self.venue.candles_per_request(calendar.timeframe)

    def _longer(self) -> list[Calendar]:
        """List calendars of longer candles for searching: days, and the longest timeframe."""
        named = [name for name in self.venue.timeframes if is_timeframe(name)]
        longest = max(named, key=nominal_length, default="1d")
        return [
            expected(name)
            for name in dict.fromkeys(("1d", longest))
            if name in named and nominal_length(name) > nominal_length(self.timeframe)
        ]


def clock_of(reply: Reply) -> Clock:
    """Return the time of a response: its ``Date``, which has whole seconds, or else ours."""
    ours = round(reply.received_at.timestamp() * 1000)
    return Clock(round((reply.date or reply.received_at).timestamp() * 1000), ours)


def _whole_second(since: int) -> int:
    """Round a start time up: many exchanges take whole seconds, and would round it down."""
    return -(-since // 1000) * 1000


def our_now() -> int:
    """Return the time by our own clock."""
    return round(datetime.now(UTC).timestamp() * 1000)


def _in_order(columns: Columns, start: int, end: int, disputed: set[int]) -> Columns:
    """Return the candles of a range, once and ascending, and note those sent in two versions."""
    times = columns.time
    if all(map(operator.lt, times, times[1:])):
        return between(columns, start, end)
    rows: dict[int, Row] = {}
    for row in columns.rows():
        if start <= row[0] < end and rows.setdefault(row[0], row) != row:
            disputed.add(row[0])
    return Columns.from_rows([rows[time] for time in sorted(rows)])
