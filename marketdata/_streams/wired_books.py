"""Live order books that we keep ourselves, from the exchange's frames."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from marketdata._requests.tasks import end
from marketdata._streams.books import BookFeed
from marketdata._streams.feed import Ended, Subject
from marketdata._streams.sides import Sides
from marketdata._streams.wires import WIRES, Update
from marketdata.errors import DataUnavailableError
from marketdata.models import OrderBook

if TYPE_CHECKING:
    from marketdata._streams.inbox import Inbox
    from marketdata._streams.upstream import Upstream

_ROOM = 20_000
"""Largest number of updates that wait for a whole book."""
_LEVELS_KEPT = 10_000
"""Levels of a side above which the far half is dropped."""
_TIDIES_EVERY = 64
"""Number of frames between two checks of the number of levels."""
_WHOLE = 1_000
"""Levels a side of the requested book that updates are applied to."""
_SPARE = 50
"""If fewer levels are known beyond the wanted ones, a deeper book is requested."""


class _Pace:
    """Limits how often a book is requested: a burst at once, then a steady rate."""

    _BURST, _A_SECOND = 20.0, 2.0

    def __init__(self) -> None:
        self._left, self._at = self._BURST, time.monotonic()

    async def turn(self) -> None:
        """Wait for the next turn."""
        now = time.monotonic()
        self._left = min(self._BURST, self._left + (now - self._at) * self._A_SECOND) - 1
        self._at = now
        if self._left < 0:
            await asyncio.sleep(-self._left / self._A_SECOND)


class WiredBookFeed(BookFeed):
    """An order book kept from the frames: every update is applied, and checked by its number.

    After a missing number, a wrong checksum or a crossed book it waits for a new whole book.
    Watchers see that only in the counts of `Stream`.
    """

    def __init__(self, upstream: Upstream, subject: Subject, ended: Ended) -> None:
        self._sides = Sides(upstream.number)
        super().__init__(upstream, subject, ended)
        market = upstream.api.market(subject.pair)
        self._wire = WIRES[str(upstream.quirk.book_wire)](market, upstream.number)
        self._about = self._wire.name(market)
        self._last: int | None = None
        """The sequence number of the state."""
        self._is_whole = False
        self._is_wrong = False
        """Whether the levels were found to be wrong."""
        self._proved = 0
        """The last version that passed the checks."""
        self._waiting: deque[tuple[Update, float]] = deque(maxlen=_ROOM)
        """Updates that came while a whole book was requested, each with its time."""
        self._fetching: asyncio.Task[None] | None = None
        self._subscribed_depth = 0
        self._sent_depth = 0
        """Levels a side that the exchange counts; a recording may have more than subscribed."""
        self._mends = _Pace()
        self._joined = asyncio.Event()

    async def subscribe(self, api: Any) -> None:
        depth = self._depth_to_subscribe()
        self._subscribed_depth = depth or 0
        params = self.upstream.quirk.book_stream_params
        self._joined = asyncio.Event()
        asked = asyncio.ensure_future(api.watch_order_book(self.subject.pair, depth, params))
        joined = asyncio.ensure_future(self._joined.wait())
        try:
            await asyncio.wait({asked, joined}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                asked.result()
        finally:
            # ccxt waits for its own book, which never comes.
            await end(joined, asked)

    def joined(self, line: Any, /) -> None:
        super().joined(line)
        line.books[self._about] = self
        line.subject = self._wire.subject
        self._joined.set()

    def subscribed(self) -> None:
        """Note that the exchange has accepted the subscription: updates come from now on."""
        if self._wire.by_request and not self._is_whole:
            self._fetch_whole()

    def _depth_to_subscribe(self) -> int | None:
        depths = self._wire.depths
        return next((one for one in depths if one >= self.depth), depths[-1]) if depths else None

    def join(self, watch: Inbox) -> None:
        super().join(watch)
        wanted = self._depth_to_subscribe()
        if wanted is not None and 0 < self._subscribed_depth < wanted:
            self._subscribe_anew()
        elif self._is_whole and self._is_short:
            self._get_more()

    def look(self) -> None:
        if self._sides.is_behind:
            self._prove_deferred()
        super().look()

    async def complete(self) -> None:
        if self._fetching is not None:
            await asyncio.wait({self._fetching}, timeout=self.upstream.timeout)

    def begin_anew(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            self._fetching = None
        self._is_whole = False
        self._waiting.clear()

    async def stop(self) -> None:
        self.begin_anew()
        await super().stop()

    def take(self, result: Any, at: float) -> None:
        # ccxt's own book of the first frame; we keep ours.
        pass

    def size(self) -> int:
        # A tuple of two floats, two list entries, a key.
        levels = len(self._sides.bids) + len(self._sides.asks)
        return 176 * levels + 400 * len(self._waiting)

    # ------------------------------------------------------------------ frames

    def frame(self, frame: dict[str, Any], at: float) -> None:
        """Take a frame about this book."""
        update = self._wire.read(frame)
        self.note_frame(at)
        if self._fetching is not None and self._wire.by_request:
            self._wait(update, at)
        if update.whole:
            self._sides.replace(update.bids, update.asks)
            self._sent_depth = max(self._subscribed_depth, len(update.bids), len(update.asks))
            self._last = update.last
            self._is_whole, self._is_wrong = True, False
            self._settle(update, at)
        elif self._is_whole and self._follows(update, at):
            if self._wire.by_request and not self._each and not self._resting:
                self._defer(update, at)
                return
            self._sides.apply(update.bids, update.asks)
            self._last = update.last
            self._settle(update, at)

    def _defer(self, update: Update, at: float) -> None:
        """Keep an update until a watcher takes the book: its number proves that it is the next."""
        are_many = self._sides.defer(update.bids, update.asks)
        self._last, self._time = update.last, update.time
        if not are_many or self._prove_deferred():
            self.news(at, update.time)

    def _prove_deferred(self) -> bool:
        """Apply deferred updates and check the book; request a new one if it is wrong."""
        sides = self._sides
        try:
            sides.settle()
        except (ArithmeticError, TypeError, ValueError):
            self._is_wrong = True  # a price or a size is not a number
        else:
            self._is_wrong = sides.crossed
        if self._is_wrong:
            self._mend(None, self.heard or 0.0)
            return False
        sides.forget(_LEVELS_KEPT)
        if self._is_short:
            self._get_more()
        self._proved = self.version
        return True

    def _follows(self, update: Update, at: float) -> bool:
        """Return whether an update is the next one; if some are missing, request a new book."""
        last = self._last
        if last is None or update.first is None or update.last is None:
            return True
        following = last + 1
        if update.first == following:
            return True
        if self._wire.by_request and update.first < following <= update.last:
            return True  # the first update after a whole book may begin before it
        if update.last > last:
            self._mend(update, at)
        return False

    def _settle(self, update: Update, at: float) -> bool:
        """Check a new state and tell the watchers; return whether it is right."""
        sides = self._sides
        if self._subscribed_depth:
            sides.cut(self._sent_depth)
        elif self.messages % _TIDIES_EVERY == 0:
            sides.forget(_LEVELS_KEPT)
        if sides.crossed or (self._wire.is_checked and self._wire.differs(update, sides)):
            self._is_wrong = True
            self._mend(None, at)
            return False
        self._time = update.time
        if self._is_short:
            self._get_more()
        self.news(at, update.time)
        self._proved = self.version
        return True

    @property
    def _is_short(self) -> bool:
        """Whether few levels are known beyond the wanted ones, though there may be more."""
        enough, bids, asks = self.depth + _SPARE, self._sides.bids, self._sides.asks
        return (bids.limit is not None and len(bids) < enough) or (
            asks.limit is not None and len(asks) < enough
        )

    def _get_more(self) -> None:
        if self._wire.by_request:
            self._fetch_whole()
        else:
            self._subscribe_anew()

    # ------------------------------------------------------------------ recovery

    def _mend(self, update: Update | None, at: float) -> None:
        """Count a gap and get a new whole book; ``update`` was not applied yet."""
        self.gaps += 1
        self._is_whole = False
        self.wait_for_whole()
        if self._wire.by_request:
            if update is not None:
                self._wait(update, at)
            self._fetch_whole()
        else:
            self._subscribe_anew()

    def _wait(self, update: Update, at: float) -> None:
        self._waiting.append((update, at))

    @property
    def _is_fetching(self) -> bool:
        # A frame may come between the end of the task and its callback.
        return self._fetching is not None and not self._fetching.done()

    def _fetch_whole(self) -> None:
        if not self._is_fetching:
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)

    def _fetched(self, task: asyncio.Task[None]) -> None:
        if self._fetching is task:
            self._fetching = None
            self._waiting.clear()
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.trouble(error)

    async def _fetch(self) -> None:
        """Request whole books until the waiting updates follow on one.

        If the book is whole already and only more levels are wanted, it goes on meanwhile.
        """
        is_there = False
        while not is_there:
            await self._mends.turn()
            wanted = self._depth_to_fetch()
            book = await self.upstream.whole_book(self, self.subject.pair, wanted)
            self.resyncs += 1 if self.gaps or self.reconnects else 0
            if book.sequence is None:
                raise DataUnavailableError(
                    f"{self.upstream.id} does not number its books.", details=self.details
                )
            self._waiting = deque(sorted(self._waiting, key=_first), maxlen=_ROOM)
            known = (self._last or 0) if self._is_whole else 0
            oldest = _first(self._waiting[0]) - 1 if self._waiting else known
            if book.sequence < oldest:
                await asyncio.sleep(0.05)  # updates between it and the oldest waiting one are lost
                continue
            self._sides.replace(book.bids, book.asks)
            self._sides.limit(len(book.bids) >= wanted, len(book.asks) >= wanted)
            self._last, self._is_wrong = book.sequence, False
            # The book's own time, if any, does not compare with those of updates.
            first = self._waiting[0][0].time if self._waiting else None
            self._time = first or book.timestamp.timestamp() * 1000
            self.heard = max(self.heard or 0.0, book.received_at.timestamp())
            is_there = self._catch_up_silently() if self._is_whole else await self._catch_up()

    async def _catch_up(self) -> bool:
        """Apply the updates that waited for the book; return whether none was missing.

        Updates that come meanwhile wait behind them.
        """
        self.news(self.heard or time.time(), None)
        while self._waiting:
            await self.upstream.room()
            update, at = self._waiting.popleft()
            if self._last is None or update.last is None or update.last <= self._last:
                continue
            if (update.first or 0) > self._last + 1:
                self.gaps += 1
                self._waiting.appendleft((update, at))
                self.wait_for_whole()
                return False
            self._sides.apply(update.bids, update.asks)
            self._last = update.last
            if not self._settle(update, at):
                return False
        self._is_whole = True
        return True

    def _catch_up_silently(self) -> bool:
        """Apply to a deeper book the updates that watchers have already seen."""
        for update, _ in self._waiting:
            if self._last is not None and update.last is not None and update.last > self._last:
                self._sides.apply(update.bids, update.asks)
                self._last = update.last
        self._waiting.clear()
        self.tell_again()
        return True

    def _depth_to_fetch(self) -> int:
        # The price may move beyond the wanted levels in the next minutes.
        return _WHOLE if self.depth <= _WHOLE // 2 else 5 * _WHOLE

    def _subscribe_anew(self) -> None:
        """Unsubscribe and subscribe again, to get the whole book that comes first."""
        self._is_whole = False
        if not self._is_fetching:
            self._fetching = asyncio.create_task(self._resubscribe())
            self._fetching.add_done_callback(self._fetched)

    async def _resubscribe(self) -> None:
        await self._mends.turn()
        self.resyncs += 1
        depth = self._depth_to_subscribe()
        self._subscribed_depth = depth or 0
        await self.upstream.resubscribe(self, {"depth": depth} if depth else {})

    # ------------------------------------------------------------------ records

    def record(self, watch: Inbox, /) -> OrderBook | None:
        if self._sides.is_behind:
            self._prove_deferred()
        if not self._is_wrong:
            return super().record(watch)
        # Only a record made before the fault is right; other watchers wait for the next.
        last = self._made.get(watch.depth) if self._made_at == self._proved else None
        return None if last is None else last.model_copy(update={"stale": True})

    def _record(self, depth: int) -> OrderBook:
        self._sides.settle()
        fields = self._fields(depth)
        fields["sequence"] = self._last
        fields["bids"] = self._sides.bids.best(depth)
        fields["asks"] = self._sides.asks.best(depth)
        return OrderBook.trusted(fields)


def _first(waiting: tuple[Update, float]) -> int:
    return waiting[0].first or 0
