"""Fetching a range of bars: many pages at once, each checked, each handed on as it comes.

The range is divided into chunks of one page each. From the second one on a chunk begins with the
last bar of the one before, so that every seam is seen from both sides. A chunk is handed on, as a
`Stretch`, once it agrees with its neighbours.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from marketdata._history import timeframes
from marketdata._history.causes import Causes
from marketdata._history.checks import sound
from marketdata._history.pages import FIRST_MARKET, bars_between, exchange_now, spans_missing
from marketdata._history.stretch import Hole, Span, Stretch, joined, merged, without
from marketdata._requests.tasks import all_of
from marketdata.errors import DataUnavailableError
from marketdata.models.columns import Columns, Row

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue
    from marketdata._requests.reply import Reply

CONCURRENT = 16
"""Requests under way at once; the exchange's limits decide how fast they may follow another."""
_AHEAD = 128
"""Chunks that may wait for a neighbour or for the disk."""
_GATHER = 0.1
"""Seconds between two commits: a commit costs as much as several pages."""
_RECENT = 86_400_000
"""Milliseconds for which the absence of the newest bars proves nothing: they may come late."""

Deliver = Callable[[list[Stretch], "Reply"], Awaitable[None]]


@dataclass(frozen=True)
class _Chunk:
    """One page of a range, and what came of it; times are Unix milliseconds."""

    start: int
    end: int
    columns: Columns
    """Its bars, and before them the last one of the chunk before, where that was asked for."""
    now: int
    """The exchange's time when it answered."""
    until: int
    """Behind the last bar none opens before this."""
    beyond: Columns
    """Bars from behind it that came along."""
    rejected: frozenset[int] = frozenset()
    """Where bars open that cannot be, twice."""
    skipped: bool = False
    """Whether it was not asked for because it is known to be empty."""

    @property
    def own(self) -> Columns:
        """The bars that open in it."""
        return self.columns[bisect_left(self.columns.time, self.start) :]


class Download:
    """Fetches ranges of one series."""

    def __init__(
        self,
        venue: Venue,
        pair: str,
        timeframe: str,
        deliver: Deliver,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._venue = venue
        self._pair = pair
        self._timeframe = timeframe
        self._step = timeframes.length(timeframe)
        self._deliver = deliver
        self._progress = progress
        self._causes = Causes(venue, pair, timeframe)
        self._ready: list[Stretch] = []
        self._room = asyncio.Semaphore(_AHEAD)
        self._plan: list[Span] = []
        self._overlap = 0
        self._writer: asyncio.Future[None] | None = None
        self._is_first_known = False
        self._is_followed = False
        self._empty: list[Span] = []
        self._held: list[Span] = []
        """Where bars are missing at the ends of chunks, which those behind them may prove."""
        self._newest = 0
        """When the newest bar opens that is known."""
        self._chunks: dict[int, _Chunk] = {}
        self._agreed: set[int] = set()
        """Chunks that agree with the one behind them."""
        self._done: set[int] = set()
        self.under_way = 1 << 62
        """Where the bar opens that is not over yet, where the range reaches that far (Unix ms)."""
        self.late: Span | None = None
        """Where the newest bars are missing but may still come."""
        self.reply: Reply | None = None
        """The last answer."""
        self.forming: Columns = Columns.from_rows([])
        """The bar that was not over yet, where there is one at the end."""
        self.now: int | None = None
        """The exchange's time when it last answered, in Unix milliseconds."""
        self.corrected: Stretch | None = None
        """The bar before the range, where the exchange has changed it since it was stored."""

    async def run(self, span: Span, before: Row | None, *, followed: bool = False) -> None:
        """Fetch a range; ``before`` is the bar right before it, where that is known.

        ``followed`` tells that there are newer bars than the range's.
        Raises `DataUnavailableError` where nothing of it can be had and
        `ExchangeUnavailableError` where the exchange cannot be reached any more; what had come
        by then has been delivered.
        """
        fetched = asyncio.Event()
        self._is_followed = followed
        self._writer = asyncio.ensure_future(self._write(fetched))
        try:
            await self._fetch_all(span, before)
        finally:
            # Also what came before a failure is kept; a thread that writes cannot be stopped.
            fetched.set()
            await self._writer

    # ------------------------------------------------------------------ in what order

    async def _fetch_all(self, span: Span, before: Row | None) -> None:
        page = self._venue.candles_per_request
        # A page that holds one bar cannot hold the last one of another page, too.
        overlap = self._step if page > 1 else 0
        start = max(span.start, FIRST_MARKET)
        behind = overlap if before is not None else 0
        end = min(span.end, start + page * self._step - behind)
        first = await self._fetch(Span(start, end), start - behind, far=span.end)
        if before is not None:
            first = await self._compare_with_stored(first, before)
        # Where the exchange's clock stands it alone knows; behind that is nothing to ask for.
        now = first.now - first.now % self._step + self._step
        span = Span(span.start, min(span.end, max(first.end, now)))
        first = replace(_with_more(first, span.end, self._step), start=span.start)
        while not len(first.own) and first.end < span.end:
            end = min(span.end, first.end + page * self._step)
            more = await self._fetch(Span(first.end, end), first.end, far=span.end)
            first = replace(_with_more(more, span.end, self._step), start=span.start)
        end = first.end
        room = max(1, page - 1) * self._step
        self._plan = [
            Span(span.start, end),
            *(Span(at, min(span.end, at + room)) for at in range(end, span.end, room)),
        ]
        self._overlap = overlap
        self._is_first_known = before is None
        await self._arrived(0, first)
        numbers = iter(range(1, len(self._plan)))
        await all_of(self._work(numbers) for _ in range(min(CONCURRENT, len(self._plan))))
        await self._settle()

    async def _work(self, numbers: Iterator[int]) -> None:
        """Fetch one chunk after another until none is left."""
        for number in numbers:
            await self._room.acquire()
            if self._writer is not None and self._writer.done():
                return  # what is fetched can no longer be kept; `run` raises why
            span = self._plan[number]
            if any(empty.start <= span.start and span.end <= empty.end for empty in self._empty):
                await self._arrived(number, self._nothing(span))
                continue
            try:
                chunk = await self._fetch(span, span.start - self._overlap)
            except DataUnavailableError:
                if self._venue.is_closed:
                    raise
                # One page that cannot be used does not take the others with it.
                times = range(span.start, span.end, self._step)
                chunk = replace(self._nothing(span), rejected=frozenset(times))
            if chunk.until > chunk.end:
                self._empty.append(Span(chunk.end, chunk.until))
            await self._arrived(number, chunk)

    def _nothing(self, span: Span) -> _Chunk:
        now = self.now or 0
        nothing = Columns.from_rows([])
        return _Chunk(*span, nothing, now, span.end, nothing, skipped=True)

    async def _fetch(self, span: Span, asked_from: int, far: int | None = None) -> _Chunk:
        """Get the bars of a chunk and the one before it; ask twice for bars that cannot be."""
        for _ in range(2):
            found = await bars_between(
                self._venue, self._pair, self._timeframe, asked_from, span.end, far, finite=False
            )
            columns, rejected = sound(found.columns, self._timeframe, found.disputed)
            if not rejected:
                break
        self.reply = found.reply
        self.now = exchange_now(found.reply)
        beyond = found.beyond
        if sound(beyond, self._timeframe)[1]:
            beyond = Columns.from_rows([])
        return _Chunk(*span, columns, self.now, found.until, beyond, rejected)

    async def _compare_with_stored(self, first: _Chunk, before: Row) -> _Chunk:
        """See whether the exchange still says what is stored of the bar before the range."""
        if _row_at(first, before[0]) in (None, before):
            return first
        again = await self._fetch(Span(first.start, first.end), before[0])
        bar = _row_at(again, before[0])
        if bar not in (None, before):
            self.corrected = Stretch(before[0], first.start, again.columns[:1])
        return again

    # ------------------------------------------------------------------ seams

    async def _arrived(self, number: int, chunk: _Chunk) -> None:
        """Take in a chunk, and hand on those that now agree with both neighbours."""
        self._chunks[number] = chunk
        for left in (number - 1, number):
            if left in self._chunks and left + 1 in self._chunks:
                await self._compare(left)
        for one in (number - 1, number, number + 1):
            first, last = one == 0, one == len(self._plan) - 1
            agree = (first or one - 1 in self._agreed) and (last or one in self._agreed)
            if agree and one in self._chunks and one not in self._done:
                self._done.add(one)
                await self._hand_on(one)
        for one in [one for one in self._chunks if one - 1 in self._done and one in self._done]:
            if one + 1 in self._done:
                del self._chunks[one]

    async def _compare(self, left: int) -> None:
        """Ask for two neighbours again where they tell of the bar between them differently."""
        seam = self._plan[left].end - self._step
        if not self._differ(left, seam):
            self._agreed.add(left)
            return
        with contextlib.suppress(DataUnavailableError):
            for number in (left, left + 1):
                span = self._plan[number]
                start = span.start - (self._overlap if number else 0)
                self._chunks[number] = await self._fetch(span, start)
        if self._differ(left, seam):
            chunk = self._chunks[left]
            known = chunk.columns[: bisect_left(chunk.columns.time, seam)]
            self._chunks[left] = replace(chunk, columns=known, rejected=chunk.rejected | {seam})
        self._agreed.add(left)

    def _differ(self, left: int, seam: int) -> bool:
        one, other = self._chunks[left], self._chunks[left + 1]
        if (
            not self._overlap
            or seam in one.rejected | other.rejected
            or other.skipped
            or one.skipped
        ):
            return False
        return _row_at(one, seam) != _row_at(other, seam)

    # ------------------------------------------------------------------ handing on

    async def _hand_on(self, number: int) -> None:
        chunk = self._chunks[number]
        own = chunk.own
        anchor = own.time[0] if len(own) else 0
        # Where the bar opens that the exchange's clock has not reached the end of.
        under_way = chunk.now - (chunk.now - anchor) % self._step
        end = max(chunk.start, min(chunk.end, under_way))
        if chunk.end > under_way:
            self.under_way = min(self.under_way, under_way)
        newest = chunk.beyond or own
        self._newest = max([self._newest, *newest.time[-1:]])
        if len(own) and own.time[-1] >= under_way:
            self.forming, own = own[-1:], own[:-1]
        rejected = [Span(time, time + self._step) for time in sorted(chunk.rejected)]
        holes = [
            part
            for hole in spans_missing(own.time, self._timeframe, chunk.start, end)
            for part in without(hole, rejected)
        ]
        recent = end > chunk.now - _RECENT and not self._is_followed
        if recent and holes and holes[-1].end == end and self._newest < end:
            self._held.append(holes.pop())
            end = self._held[-1].start
        explained = await self._explained(number, holes)
        stretch = Stretch(chunk.start, end, own, merged(explained))
        if stretch.start < stretch.end:
            self._ready += _without_rejected(stretch, chunk.rejected, self._step)
        self._room.release()
        if self._progress is not None:
            self._progress((end - chunk.start) // self._step)

    async def _settle(self) -> None:
        """Hand on what bars behind it have proven to be missing; the rest of it is late."""
        for hole in sorted(self._held, reverse=True):
            if hole.start < self._newest:
                explained = await self._causes.of([hole], leading=False)
                self._ready.append(Stretch(*hole, Columns.from_rows([]), explained))
            elif self.late is None or self.late.start == hole.end:
                self.late = Span(hole.start, hole.end if self.late is None else self.late.end)

    async def _explained(self, number: int, holes: list[Span]) -> list[Hole]:
        if not holes:
            return []
        chunk = self._chunks[number]
        leading = self._is_first_known and number == 0 and holes[0].start <= self._opens(chunk)
        return await self._causes.of(holes, leading=leading)

    def _opens(self, chunk: _Chunk) -> int:
        known = chunk.columns.time[0] if len(chunk.columns) else None
        return timeframes.first_open(chunk.start, self._timeframe, known)

    async def _write(self, fetched: asyncio.Event) -> None:
        """Hand on what is ready, again and again, until all is."""
        try:
            while not fetched.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(fetched.wait(), _GATHER)
                await self._flush()
        finally:
            # Also where the program is ending, which cancels every task.
            await self._flush()

    async def _flush(self) -> None:
        ready, self._ready = self._ready, []
        if ready and self.reply is not None:
            await self._deliver(joined(sorted(ready, key=lambda one: one.start)), self.reply)


def _with_more(chunk: _Chunk, end: int, step: int) -> _Chunk:
    """Take bars that came along into a chunk, and the time up to them that they prove empty."""
    more = chunk.beyond[: bisect_left(chunk.beyond.time, end)]
    if not len(more):
        return replace(chunk, end=max(chunk.end, min(chunk.until, end)))
    columns = chunk.columns[:]
    columns.extend(more)
    rest = chunk.beyond[len(more) :]
    return replace(chunk, columns=columns, end=more.time[-1] + step, beyond=rest)


def _row_at(chunk: _Chunk, time: int) -> Row | None:
    index = bisect_left(chunk.columns.time, time)
    there = index < len(chunk.columns) and chunk.columns.time[index] == time
    return chunk.columns.row(index) if there else None


def _without_rejected(stretch: Stretch, rejected: frozenset[int], step: int) -> list[Stretch]:
    """Divide a stretch so that it claims nothing of bars that could not be had."""
    if not rejected:
        return [stretch]
    gone = [Span(time, time + step) for time in sorted(rejected)]
    return [stretch.cut(*span) for span in without(Span(stretch.start, stretch.end), gone)]
