"""Downloads a range of candles: many pages at once, assembled and passed on in order.

The range is split into windows of one page each. From the second one, each page begins with the
last candle of the window before, so that both pages of every boundary can be compared.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from marketdata._candles.assembly import Clock, Page, assemble, no_page
from marketdata._candles.calendar import DAY
from marketdata._candles.causes import Causes
from marketdata._candles.paging import Pages
from marketdata._candles.spans import Gap, Span, Stretch, between, joined, merged, without
from marketdata._requests.tasks import all_of
from marketdata._requests.tasks import end as end_tasks
from marketdata.errors import DataUnavailableError, UpstreamError
from marketdata.models.columns import Columns

if TYPE_CHECKING:
    from marketdata._requests.reply import Reply

CONCURRENT = 24
"""Maximum requests in flight; the rate limit decides how fast they are sent."""
_AHEAD = 64
"""Maximum pages that wait for an earlier one."""
_GATHER = 0.3
"""Seconds between two commits: a commit costs as much as several pages."""
_LATE = DAY
"""Milliseconds in which missing newest candles prove nothing, because they can come late."""

Deliver = Callable[[list[Stretch], "Reply"], Awaitable[None]]


@dataclass(frozen=True)
class Tail:
    """The end of a range, which is not passed on because it can still change."""

    start: int
    open: Columns
    """The open candle, if there is one."""
    late: list[Gap]
    """Places without candles that may still come."""
    newest: int
    """The open time of the newest known candle of the series; 0 if there is none."""
    clock: Clock


@dataclass(frozen=True)
class _Window:
    """The pages that are assembled so far."""

    page: Page
    asked: Span
    """The requested range of the last page."""


class Download:
    """Downloads ranges of one series."""

    def __init__(
        self,
        pages: Pages,
        causes: Causes,
        deliver: Deliver,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._pages = pages
        self._causes = causes
        self._deliver = deliver
        self._progress = progress
        self._calendar = pages.calendar
        self._overlap = 1 if pages.size > 1 else 0
        """How many candles of the window before are requested along with one."""
        self._ready: list[Stretch] = []
        self._explaining: set[asyncio.Task[None]] = set()
        self._begins_served = True
        self._room = asyncio.Semaphore(_AHEAD)
        self._empty: list[Span] = []
        self._writer: asyncio.Future[None] | None = None

    async def run(self, span: Span, *, overlap: bool, served: bool, followed: bool) -> Tail:
        """Fetch a range, and hand it on as stretches; return what is left at its end.

        ``overlap`` says that the candle before the range is to be fetched along with it, and is
        handed on, too; ``served`` that there is a candle before the range, ``followed`` that there
        is one behind it. Raises `DataUnavailableError` where nothing of it can be had and
        `ExchangeUnavailableError` where the exchange cannot be reached any more; what had come by
        then has been handed on.
        """
        self._begins_served = served
        fetched = asyncio.Event()
        self._writer = asyncio.ensure_future(self._write(fetched))
        try:
            tail = await self._fetch(span, overlap=overlap, followed=followed)
            if self._explaining:
                await asyncio.gather(*self._explaining)
        finally:
            await end_tasks(*self._explaining)
            # Candles before a failure are kept, too; a thread that writes cannot be stopped.
            fetched.set()
            await self._writer
        return tail

    # ------------------------------------------------------------------ fetching

    async def _fetch(self, span: Span, *, overlap: bool, followed: bool) -> Tail:
        size, ruler = self._pages.size, self._calendar
        start = self._overlapping(span).start if overlap else span.start
        upto = ruler.shift(max(start, self._pages.first), size)
        asked = Span(start, min(span.end, max(upto, span.start + 1)))
        page = await self._page(asked, far=span.end)
        if overlap:
            # Whatever becomes of the rest, a candle that is stored may have been revised.
            before = page.cut(start, span.start)
            known = assemble([before], Span(start, span.start), ruler, page.clock)
            if len(known.columns):
                self._hand_on(Span(start, span.start), known.columns, [])
            start, page = span.start, page.cut(span.start, page.end)
        # Where the exchange's clock stands it alone knows; nothing behind that is requested.
        end = min(span.end, max(page.end, page.clock.exchange + 1))
        while not len(page.columns) and page.end < end:
            asked = Span(page.end, min(span.end, ruler.shift(page.end, size)))
            more = await self._page(asked, far=span.end)
            page = replace(more, start=start)
        end = min(span.end, max(end, page.end))
        page = page.cut(start, end)
        following = ruler.ceil(page.end)
        if following >= end > page.end:
            if self._pages.is_doubtful:
                following = page.end
            else:
                # There are no places left.
                page = replace(page, end=end)
        window = _Window(page, asked)
        plan = list(self._plan(following, end))
        if end < span.end:
            # Up to now: where the exchange's clock is behind, there are candles behind its time.
            if plan:
                plan[-1] = Span(plan[-1].start, span.end)
            elif following >= asked.end and not self._pages.venue.quirk.newest_bars_only:
                plan = [Span(following, span.end)]
        loop = asyncio.get_running_loop()
        pages: list[asyncio.Future[Page]] = [loop.create_future() for _ in plan]
        numbers = iter(range(len(plan)))
        working = (self._work(numbers, plan, pages) for _ in range(min(CONCURRENT, len(plan))))
        workers = loop.create_task(all_of(working))
        done, used = 0, loop.create_future()
        try:
            for wanted, coming in zip(plan, pages, strict=True):
                if not coming.done():
                    both: set[asyncio.Future[Any]] = {coming, workers}
                    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    workers.result()  # raises if the page has failed
                self._room.release()
                window = await self._put_together(window, coming.result(), wanted)
                # Pages are not kept, because those of a year are as large as the year.
                pages[done] = used
                done += 1
        except BaseException:
            self._keep(plan[done:], pages[done:])
            raise
        finally:
            await end_tasks(workers)
        end = min(span.end, max(end, window.page.end))
        return await self._finish(window.page, end, span.end, followed=followed)

    def _plan(self, start: int, end: int) -> Iterator[Span]:
        """Split a range into windows that are requested with the candle before them."""
        while start < end:
            upto = self._calendar.shift(start, max(1, self._pages.size - self._overlap))
            yield Span(start, min(end, max(upto, start + 1)))
            start = upto

    async def _work(
        self, numbers: Iterator[int], plan: list[Span], pages: list[asyncio.Future[Page]]
    ) -> None:
        """Request window after window until none is left."""
        for number in numbers:
            await self._room.acquire()
            if self._writer is not None and self._writer.done():
                self._writer.result()  # raises if candles can no longer be stored
            span = plan[number]
            clock = self._pages.clock
            if clock and any(one.start < span.start and span.end <= one.end for one in self._empty):
                pages[number].set_result(Page(*span, Columns.from_rows([]), clock))
                continue
            page = await self._page(self._overlapping(span))
            if page.end > span.end:
                last = page.columns.time[-1] + 1 if len(page.columns) else page.start
                self._empty.append(Span(last, page.end))
            pages[number].set_result(page.cut(page.start, span.end))

    def _overlapping(self, span: Span) -> Span:
        return Span(self._calendar.previous(span.start), span.end) if self._overlap else span

    async def _page(self, span: Span, far: int | None = None) -> Page:
        """Get the candles of a window; invalid ones are requested once more."""
        try:
            page = await self._pages.between(*span, far)
            if page.rejected:
                page = await self._pages.between(*span, far)
        except DataUnavailableError:
            # An unusable page does not affect the others.
            if self._pages.venue.is_closed or self._pages.clock is None or far is not None:
                raise
            clock = self._pages.clock
            return no_page(span.start, min(span.end, max(span.start, clock.exchange) + 1), clock)
        return page

    # ------------------------------------------------------------------ putting together

    async def _put_together(self, window: _Window, page: Page, wanted: Span) -> _Window:
        """Join a page to those before it, and pass on what is certain now."""
        before, calendar = window.page, self._calendar
        whole = Span(before.start, max(page.end, before.end))
        found = assemble([before, page], whole, calendar, page.clock)
        if found.disputed:
            with contextlib.suppress(DataUnavailableError):
                earlier = (await self._page(window.asked)).cut(window.asked.start, before.end)
                page = (await self._page(self._overlapping(wanted))).cut(page.start, page.end)
                both = [before.cut(before.start, earlier.start), earlier, page]
                both = both[1:] if earlier.start <= before.start else both
                found = assemble(both, whole, calendar, page.clock)
        columns = found.columns
        columns.extend(found.open)
        # A gap stays whole: what is settled ends with the last candle before this window.
        last = bisect_left(found.columns.time, wanted.start)
        cut = min(wanted.start, calendar.next(columns.time[last - 1])) if last else whole.start
        cut = min([cut, *map(calendar.floor, found.open.time)])
        self._hand_on(Span(whole.start, cut), between(columns, whole.start, cut), found.gaps)
        unknown = [gap.span for gap in found.gaps if gap.cause == "not_fetched"]
        rest = Page(
            cut,
            whole.end,
            between(columns, cut, whole.end),
            page.clock,
            found.newest,
            unknown=tuple(one for one in unknown if one.end > cut),
        )
        return _Window(rest, self._overlapping(wanted))

    async def _finish(self, page: Page, end: int, wanted: int, *, followed: bool) -> Tail:
        """Settle the end of what was requested, which is up to ``wanted`` or up to now."""
        latest = page.clock.exchange if self._pages.is_simulated else page.clock.latest
        pages = [page]
        if followed:
            pages = [replace(page, newest=max(page.newest, end))]
        elif end == wanted and page.newest < end <= latest and page.clock.both < end:
            # By one of the clocks the range is not over: whether it is, a newer candle tells.
            with contextlib.suppress(UpstreamError):
                newest = await self._pages.latest()
                if newest.start < end:
                    pages.append(newest.cut(page.start, end))
                else:
                    clock = page.clock.after(newest.newest)
                    pages = [replace(page, newest=max(page.newest, newest.newest), clock=clock)]
        clock = pages[-1].clock
        found = assemble(pages, Span(page.start, end), self._calendar, clock)
        gaps = found.gaps
        settled = max(
            [page.start, *(gap.end for gap in gaps[-1:])]
            + [self._calendar.next(time) for time in found.columns.time[-1:]]
        )
        # Where days are longer or shorter than was expected, it may open before that.
        settled = min([settled, *found.open.time])
        settled = end if found.newest >= end or settled > end else settled
        is_recent = settled > clock.exchange - _LATE and not followed
        late: list[Gap] = []
        if is_recent and gaps and gaps[-1].end >= settled > found.newest:
            late = [gaps.pop()]
            settled = late[0].start
        self._hand_on(Span(page.start, settled), found.columns, gaps)
        if late and late[0].cause is None:
            # Nothing was handed on yet where it is the first of the range as well.
            leads = not self._begins_served and late[0].start <= page.start
            late = await self._explained([late[0].span], leads=leads)
        return Tail(settled, found.open, late, found.newest, clock)

    def _keep(self, plan: list[Span], pages: list[asyncio.Future[Page]]) -> None:
        """Hand on those windows behind a failure whose neighbours came, too, and agree."""
        came = [number for number, page in enumerate(pages) if page.done()]
        for first, behind in _runs(came):
            found = [page.result() for page in pages[first:behind]]
            end = found[-1].end if behind == len(plan) else plan[behind - 1].start
            span = Span(plan[first].end, end)
            if span.start < span.end:
                clock = found[-1].clock
                joined = assemble(found, span, self._calendar, clock)
                self._begins_served = True
                self._hand_on(span, joined.columns, joined.gaps)

    # ------------------------------------------------------------------ handing on

    def _hand_on(self, span: Span, columns: Columns, gaps: list[Gap]) -> None:
        """Hand on what is known of a range, once it is known why candles are missing."""
        if span.start >= span.end:
            return
        inside = [gap for gap in gaps if gap.start < span.end and gap.end > span.start]
        unknown = [gap.span for gap in inside if gap.cause == "not_fetched"]
        missing = [gap.span for gap in inside if gap.cause is None]
        stretch = Stretch(span.start, span.end, columns)
        leads = bool(missing) and (not len(columns) or missing[0].start < columns.time[0])
        leads, self._begins_served = leads and not self._begins_served, True
        if not missing:
            self._add(stretch, unknown)
            return
        task = asyncio.ensure_future(self._explain(stretch, missing, unknown, leads=leads))
        self._explaining.add(task)
        task.add_done_callback(self._explaining.discard)

    async def _explain(
        self, stretch: Stretch, missing: list[Span], unknown: list[Span], *, leads: bool
    ) -> None:
        try:
            gaps = await self._explained(missing, leads=leads)
        except BaseException:
            # The candles are known even without the causes.
            self._add(stretch, sorted([*unknown, *missing]))
            raise
        self._add(replace(stretch, gaps=gaps), unknown)

    async def _explained(self, missing: list[Span], *, leads: bool = False) -> list[Gap]:
        begins: list[Gap] = []
        if leads and await self._pages.before(missing[0].start) is None:
            begins, missing = [Gap(*missing[0], "not_served")], missing[1:]
        return merged([*begins, *await self._causes.of(missing)])

    def _add(self, stretch: Stretch, unknown: list[Span]) -> None:
        left = without(stretch.span, unknown)
        self._ready[-1:] = joined([*self._ready[-1:], *(stretch.cut(*span) for span in left)])
        if self._progress is not None:
            self._progress(self._calendar.count(stretch.start, stretch.end))

    async def _write(self, fetched: asyncio.Event) -> None:
        """Pass on finished stretches until all are done."""
        try:
            while not fetched.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(fetched.wait(), _GATHER)
                await self._flush()
        finally:
            # Also at the end of the program, which cancels every task.
            await self._flush()

    async def _flush(self) -> None:
        ready, self._ready = self._ready, []
        if ready and self._pages.reply is not None:
            ready.sort(key=lambda one: one.start)
            await self._deliver(joined(ready), self._pages.reply)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Return the start and the exclusive end of each run of consecutive numbers, in order."""
    for _, run in groupby(enumerate(numbers), lambda one: one[1] - one[0]):
        found = [number for _, number in run]
        yield found[0], found[-1] + 1
