"""The candles of one series, from the exchange, the store, or shorter candles.

All times are Unix milliseconds.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar, TypeVarTuple, Unpack

from marketdata._candles.assembly import Clock, Page, assemble
from marketdata._candles.calendar import Calendar, known, learned
from marketdata._candles.causes import Causes
from marketdata._candles.download import Download, Tail
from marketdata._candles.paging import Pages, our_now
from marketdata._candles.resampling import resample
from marketdata._candles.spans import (
    FOREVER,
    Gap,
    Span,
    Stretch,
    between,
    in_order,
    joined,
    joined_columns,
    merged,
    placed_over,
    with_causes,
    without,
)
from marketdata._requests.deadline import patient, unhurried
from marketdata.errors import DataUnavailableError
from marketdata.models import Cause
from marketdata.models.columns import Columns

if TYPE_CHECKING:
    from marketdata._candles.store import Store
    from marketdata._candles.table import SeriesTable
    from marketdata._exchanges.exchange import Venue
    from marketdata._requests.reply import Reply

_log = logging.getLogger("marketdata.candles")
Args = TypeVarTuple("Args")
T = TypeVar("T")


@dataclass
class Keep:
    """The store for candles, and how to use it."""

    store: Store | None = None
    read: bool = True
    """Whether stored candles are used."""
    refresh: bool = False
    """Whether stored candles are requested again and replaced."""
    progress: Callable[[int], None] | None = None
    """Called with the number of further known places as they arrive."""


class Renamed(NamedTuple):
    """The former name of a pair, before a token was renamed."""

    pair: str
    until: int
    """Candles that open before this time have the former name."""


@dataclass
class Known:
    """The known candles and gaps of a range of a series."""

    start: int
    end: int
    columns: Columns
    """Candles, including the open one."""
    causes: list[Gap]
    """Ranges without candles and their causes, ascending; edges can be off the calendar."""
    clock: Clock
    newest: int
    """The open time of the newest known candle, also after the range."""
    is_open: bool = False
    """Whether the last candle is open."""
    begins: bool = False
    """Whether no candle opens before the range."""
    is_refused: bool = False
    """Whether the exchange refused to return earlier candles than the first."""
    settled: int = 0
    """The time up to which the candles could be stored."""
    behind: int = 0
    """The open time of the first known candle after the range, or 0."""
    is_timed: bool = True
    """Whether the exchange's time is known, or later candles were searched; not in the store."""
    revised: frozenset[int] = frozenset()
    renamed: Renamed | None = None
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    has_date: bool = False
    """Whether the exchange sent its time."""
    simulated: bool = False

    @classmethod
    def stored(cls, stretch: Stretch, settled: int, *, simulated: bool) -> Known:
        """Make the known part of a range from the store, which is complete up to a time."""
        now = _settled(settled)
        newest = stretch.columns.time[-1] if len(stretch.columns) else 0
        return cls(
            stretch.start,
            stretch.end,
            stretch.columns,
            stretch.gaps,
            now,
            newest,
            is_timed=False,
            revised=stretch.revised,
            simulated=simulated,
        )

    @property
    def over(self) -> int:
        """The time up to which a candle can be missing.

        Both clocks have passed its end, or a newer candle exists, now or when it was stored.
        """
        return max(self.clock.both, self.newest, self.settled)

    def then(self, later: Known) -> Known:
        """Append the known candles and gaps of the next range."""
        columns = joined_columns([self.columns, later.columns])
        last = later if len(later.columns) or not self.is_open else self
        return replace(
            later,
            start=self.start,
            columns=columns,
            causes=merged([*self.causes, *later.causes]),
            newest=max(self.newest, later.newest),
            settled=max(self.settled, later.settled),
            is_open=last.is_open,
            begins=self.begins,
            is_refused=self.is_refused or later.is_refused,
            revised=self.revised | later.revised,
            renamed=later.renamed or self.renamed,
        )

    def cut(self, start: int, end: int) -> Known:
        """Return the known candles and gaps of a part of the range."""
        start, end = max(start, self.start), min(end, self.end)
        columns = between(self.columns, start, end)
        is_last = len(columns) > 0 and columns.time[-1] == self.columns.time[-1]
        later = bisect_left(self.columns.time, end)
        return replace(
            self,
            start=start,
            end=end,
            columns=columns,
            behind=self.columns.time[later] if later < len(self.columns) else self.behind,
            causes=[gap for gap in self.causes if gap.start < end and gap.end > start],
            is_open=self.is_open and is_last,
            begins=self.begins and (not len(self.columns) or start <= self.columns.time[0]),
        )

    def gaps(self, calendar: Calendar, start: int, end: int, *, regular: bool = False) -> list[Gap]:
        """List the gaps among the past places of a range, each with its cause.

        ``regular`` says that no candle is off the calendar. Then the number of candles shows
        whether one is missing.
        """
        upto = min(end, calendar.floor(self.over))
        times = self.columns.time
        there = bisect_left(times, upto) - bisect_left(times, start)
        if start >= upto or (regular and there == calendar.count(start, upto)):
            return []
        # The range can end inside a place, before its candle.
        occupied = [*times, self.behind] if self.behind else times
        places = calendar.gaps(occupied, start, upto)
        return with_causes(places, self.causes, calendar)


def _settled(end: int) -> Clock:
    """Return the clock of stored candles up to a time that both clocks had reached."""
    now = max(our_now(), end)
    return Clock(now, now)


class Source(Protocol):
    """A series of candles."""

    calendar: Calendar
    """The expected calendar of its candles."""
    room: int
    """The number of candles that cost about as much as one."""

    async def newest(self, count: int) -> Known:
        """Return at least the newest ``count`` candles, or those of one request."""

    async def between(self, start: int, end: int | None) -> Known:
        """Return all candles that open in a range (``end=None``: up to now)."""

    async def before(self, moment: int) -> int | None:
        """Return a time between which and the moment no candle opens, with one near before it.

        None if there is no candle before the moment.
        """

    async def after(self, moment: int, end: int) -> int:
        """Return a time at or after the moment, near and not after the next candle."""

    async def why(self, gap: Span) -> list[Gap]:
        """Tell why a range has no candles."""


# ---------------------------------------------------------------------------- native


class NativeSeries:
    """A native series of the exchange, with the store."""

    def __init__(
        self, venue: Venue, pair: str, timeframe: str, keep: Keep, plays: str | None
    ) -> None:
        self.calendar = known(venue.id, timeframe)
        self.pages = Pages(venue, pair, self.calendar, self._heed)
        self.room = self.pages.size
        self.table: SeriesTable | None = None
        self._venue = venue
        self._keep = keep
        self._plays = plays
        self._causes = Causes(venue, pair, self.calendar)
        self._reads = keep.read
        """Whether stored parts of this request are read from the store."""
        self._fetched: list[Stretch] = []
        """Downloaded stretches that were not stored immediately."""
        self._refused: list[Stretch] = []
        """Ranges whose candles the exchange refused."""
        self._writes = keep.store is not None and keep.store.read_only is None
        self._stores = self._writes and keep.read and not keep.refresh
        """Whether downloaded candles are stored immediately."""
        if keep.store is not None:
            from marketdata._candles.store import SeriesName

            self.table = keep.store.table(SeriesName(venue.id, pair, timeframe, plays))

    async def newest(self, count: int) -> Known:
        """Return the newest candles of one request."""
        self._reads = False
        page = await self.pages.newest(count)
        if page.rejected:
            page = await self.pages.newest(count)
        found = assemble([page], Span(page.start, FOREVER), self.calendar, page.clock)
        if self.pages.reply is not None and self.pages.reply.plays == self._plays:
            await self._revise(found.columns)
        columns = joined_columns([found.columns, found.open])
        unknown = [gap for gap in found.gaps if gap.cause is not None]
        places = [gap.span for gap in found.gaps if gap.cause is None]
        last = [Span(gap.start, min(gap.end, found.newest)) for gap in places]
        causes = await self._causes.of([gap for gap in last if gap.start < gap.end])
        end = columns.time[-1] + 1 if len(columns) else page.start
        causes = in_order([*unknown, *causes])
        made = Known(page.start, end, columns, causes, page.clock, found.newest)
        return self._told(made, is_open=len(found.open) > 0)

    async def between(self, start: int, end: int | None) -> Known:
        """Return all candles of a range: those that are stored from there, the rest requested."""
        self._reads = self._keep.read
        # Whole places, also where the range begins or ends inside of one.
        upto = FOREVER if end is None else self.calendar.ceil(end)
        span = Span(self.calendar.floor(start), upto)
        self._fetched, self._refused = [], []
        tail: Tail | None = None
        covered = await self._covered()
        for part in without(span, covered):
            overlap = any(one.end == part.start for one in covered)
            served = any(one.start < part.start for one in covered)
            served = served and await self._stored_before(part.start)
            followed = bool(covered) and part.end < covered[-1].end
            job = Download(self.pages, self._causes, self._deliver, self._keep.progress)
            with patient():
                tail = await job.run(part, overlap=overlap, served=served, followed=followed)
        found = await self._together(span, tail)
        return found.cut(start, FOREVER if end is None else end)

    async def before(self, moment: int) -> int | None:
        """Return a time from which on no candle opens up to the moment; None: none before it."""
        return await self.pages.before(moment)

    async def after(self, moment: int, end: int) -> int:
        """Return a time near the next candle from a moment on."""
        upto = self.calendar.shift(moment, self.pages.size)
        page = await self.pages.between(moment, min(upto, end), end)
        if self.pages.reply is not None:
            await self._heed(page, self.pages.reply)
        return min(end, page.columns.time[0] if len(page.columns) else max(page.end, moment))

    async def why(self, gap: Span) -> list[Gap]:
        """Tell why a range has no candles."""
        return await self._causes.of([gap])

    # ------------------------------------------------------------------ the store

    async def _apart(self, work: Callable[[Unpack[Args]], T], *arguments: *Args) -> T:
        store = self._keep.store
        if store is None:
            return work(*arguments)
        with unhurried():
            return await store.apart(work, *arguments)

    async def _covered(self) -> list[Span]:
        if self.table is None or self._keep.refresh or not self._keep.read:
            return []
        await self._apart(self.table.refresh)
        return self.table.covered()

    async def _stored_before(self, moment: int) -> bool:
        if self.table is None:
            return False
        return await self._apart(self.table.has_candle_before, moment)

    async def _deliver(self, stretches: list[Stretch], reply: Reply) -> None:
        self._check(reply)
        if self.pages.is_refused:
            # Not stored, because a refused range may have candles.
            first = self.pages.first
            self._refused += [one.cut(one.start, first) for one in stretches if one.start < first]
            stretches = [one.cut(first, one.end) for one in stretches if one.end > first]
        if self.table is None or not self._stores:
            self._fetched += stretches
            return
        for stretch in stretches:
            await self._revise(stretch.columns)
        await self._apart(self.table.add, stretches)

    async def _heed(self, page: Page, reply: Reply) -> None:
        """Update the store with the exchange's candles of a range, also if it is not read."""
        if reply.plays == self._plays:
            found = assemble([page], page.span, self.calendar, page.clock)
            await self._revise(found.columns)

    async def _revise(self, closed: Columns) -> None:
        """Replace stored candles that the exchange has revised."""
        if self.table is None or not self._writes or not len(closed):
            return
        if self.table.is_surely_empty():
            return
        try:
            if await self._apart(self.table.refresh):
                await self._apart(self.table.revise, closed.as_floats(), self.calendar)
        except DataUnavailableError:
            # A call that does not use the store must not fail because of it.
            if self._reads:
                raise
            _log.warning("%s cannot be revised", self.table.url, exc_info=True)

    def _check(self, reply: Reply) -> None:
        if reply.plays != self._plays:
            self._venue.listed.forget()
            raise DataUnavailableError(
                f"{self._venue.id} is simulated and plays something else than a while ago. "
                "Call again.",
                retryable=True,
                details={"exchange": self._venue.id},
            )

    # ------------------------------------------------------------------ assembly

    async def _together(self, span: Span, tail: Tail | None) -> Known:
        found = sorted(self._fetched, key=lambda one: one.start)
        if self.table is not None:
            if found and self._writes and self._keep.refresh:
                await self._apart(self.table.replace, found)
            elif not self._keep.read:
                for stretch in found:
                    await self._revise(stretch.columns)
            if self._keep.read:
                if self._writes and tail is not None:
                    await self._apart(self.table.tidy)
                stored = await self._apart(self.table.read, *span)
                # Candles that could not be stored are the exchange's current ones.
                found = stored if self._writes else placed_over(found, stored)
        found = sorted([*found, *self._refused], key=lambda one: one.start)
        found = [one for one in joined(found) if one.end > span.start and one.start < span.end]
        found = [one.cut(*span) for one in found]
        clock = tail.clock if tail else _settled(span.end)
        there = [one.span for one in found]
        settled = span.end if tail is None else min(span.end, tail.start)
        left = without(Span(span.start, settled), there)
        causes = [Gap(*one, "not_fetched") for one in left]
        causes += [gap for one in found for gap in one.gaps]
        columns = found[0].columns if found else Columns.from_rows([])
        for stretch in found[1:]:
            columns.extend(stretch.columns)
        newest = max([tail.newest if tail else 0, *columns.time[-1:]])
        is_open = False
        if tail is not None:
            causes += tail.late
            # A range requested again can have stored candles that the exchange no longer has.
            if len(tail.open) and (not len(columns) or tail.open.time[0] > columns.time[-1]):
                columns.extend(tail.open)
                is_open = True
        causes = in_order(causes)
        upto = span.end if span.end < FOREVER else max(newest + 1, clock.exchange)
        revised = frozenset[int]().union(*(one.revised for one in found))
        made = Known(span.start, upto, columns, causes, clock, newest, revised=revised)
        first = causes[0] if causes else None
        made.begins = bool(first and first.cause == "not_served" and first.start <= span.start)
        made.is_timed = tail is not None and self.pages.is_timed
        made.settled = max((one.end for one in found), default=0)
        return self._told(made, is_open=is_open)

    def _told(self, known: Known, *, is_open: bool) -> Known:
        reply = self.pages.reply
        known.is_open = is_open
        known.is_refused = self.pages.is_refused
        known.simulated = self._plays is not None
        if reply is not None:
            known.simulated = reply.simulated
            known.received_at = reply.received_at
            known.has_date = reply.date is not None
        return known


# ---------------------------------------------------------------------------- stored


class StoredSeries:
    """The stored candles of a series that the exchange no longer lists."""

    room = 1 << 20

    def __init__(self, stored: Stretch, calendar: Calendar) -> None:
        self.calendar = calendar
        self._stored = stored

    async def newest(self, count: int) -> Known:
        """Return the newest candles."""
        times = self._stored.columns.time
        start = times[-count] if len(times) >= count else self._stored.start
        return await self.between(start, times[-1] + 1 if len(times) else self._stored.end)

    async def between(self, start: int, end: int | None) -> Known:
        """Return all candles that open in a range; missing parts are gaps that are not fetched."""
        upto, whole = our_now() if end is None else end, self._stored
        gaps = [Gap(*one, "not_fetched") for one in without(Span(start, upto), [whole.span])]
        part = Stretch(start, upto, whole.columns[:0])
        if start < whole.end and upto > whole.start:
            part = whole.cut(start, upto)
        gaps = in_order([*gaps, *part.gaps])
        told = Stretch(start, upto, part.columns, gaps, part.revised)
        return Known.stored(told, whole.end, simulated=False)

    async def before(self, moment: int) -> int | None:
        """Return the end of the last candle before a moment; None if none is stored."""
        times = self._stored.columns.time
        index = bisect_left(times, moment)
        return times[index - 1] + 1 if index else None

    async def after(self, moment: int, end: int) -> int:
        """Return the open time of the next candle after a moment."""
        times = self._stored.columns.time
        index = bisect_left(times, moment)
        return min(end, times[index]) if index < len(times) else end

    async def why(self, gap: Span) -> list[Gap]:
        """Return the stored causes of a range without candles."""
        return (await self.between(*gap)).causes


# ---------------------------------------------------------------------------- resampled


class ElsewhereError(Exception):
    """Candles open off the expected calendar."""


class ResampledSeries:
    """A series that is resampled from a shorter one."""

    def __init__(
        self, finer: Source, calendar: Calendar, unknown: frozenset[Cause], *, strict: bool
    ) -> None:
        """``unknown`` are the causes of gaps that leave a longer candle incomplete.

        With ``strict``, `ElsewhereError` is raised if the shorter candles open off their expected
        calendar, so that the longer ones cannot be made of them.
        """
        self.calendar = calendar
        self.finer = finer
        self._unknown = unknown
        self._strict = strict
        start = calendar.floor(0)
        self._parts = max(1, finer.calendar.count(start, calendar.next(start)))
        self.room = max(1, finer.room // self._parts)

    async def newest(self, count: int) -> Known:
        """Return the newest candles whose parts are all in one request."""
        found = await self.finer.newest((count + 1) * self._parts)
        start = self.calendar.ceil(found.start)
        if found.newest and self.calendar.floor(found.newest) < start:
            # One candle is longer than the request.
            return await self.between(self.calendar.floor(found.newest), None)
        # Nothing is known after the newest.
        return self._made(found, start, self.calendar.next(max(found.newest, start)))

    async def between(self, start: int, end: int | None) -> Known:
        """Return all candles that open in a range, with all their parts."""
        first = self.calendar.ceil(start)
        upto = None if end is None else self.calendar.ceil(end)
        if upto is not None and first >= upto:
            # No place opens in it; shorter candles give the time of the exchange.
            found = await self.finer.between(start, end)
            return replace(found, columns=found.columns[:0], causes=[], newest=0, is_open=False)
        return replace(self._made(await self.finer.between(first, upto), first, upto), start=start)

    async def before(self, moment: int) -> int | None:
        """Return a time from which on no candle opens up to the moment; None: none before it."""
        found = await self.finer.before(moment)
        return None if found is None else min(moment, self.calendar.ceil(found))

    async def after(self, moment: int, end: int) -> int:
        """Return a time near the next candle from a moment on."""
        return max(moment, self.calendar.floor(await self.finer.after(moment, end)))

    async def why(self, gap: Span) -> list[Gap]:
        """Tell why a range has no candles."""
        start, end = self.calendar.floor(gap.start), self.calendar.ceil(gap.end)
        causes = await self.finer.why(Span(start, end))
        nothing = Columns.from_rows([])
        return resample(
            nothing, self.calendar, causes, start=start, until=end, unknown=frozenset()
        )[1]

    def _made(self, found: Known, start: int, end: int | None) -> Known:
        clock, calendar = found.clock, self.calendar
        expects = self.finer.calendar
        fine = learned(expects.timeframe, found.columns.time, expects)
        if self._strict and fine != expects:
            raise ElsewhereError
        upto = calendar.next(found.over)
        upto = upto if end is None else min(end, upto)
        gaps = found.gaps(fine, start, upto)
        # A place that is not over is not a gap and has no cause.
        unknown: set[Cause] = {*self._unknown}
        if found.is_refused:
            unknown.add("not_served")
        columns, missing = resample(
            found.columns, calendar, gaps, start=start, until=upto, unknown=frozenset(unknown)
        )
        end_of_last = calendar.end(columns.time[-1]) if len(columns) else 0
        is_open = found.over < end_of_last and not clock.has_reached(end_of_last)
        return replace(
            found,
            start=start,
            end=upto if end is None else end,
            columns=columns,
            causes=missing,
            is_open=is_open,
            newest=calendar.floor(found.newest) if found.newest else 0,
            revised=frozenset(calendar.floor(time) for time in found.revised),
        )
