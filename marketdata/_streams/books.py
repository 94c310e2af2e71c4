"""Live order books: read from the frames where their wire is known, kept by ccxt elsewhere."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from marketdata._streams.feed import Feed, Subject
from marketdata._streams.sides import Sides
from marketdata._streams.wires import WIRES, Update
from marketdata.errors import DataUnavailableError
from marketdata.models import OrderBook

if TYPE_CHECKING:
    from marketdata._streams.hub import Hub
    from marketdata._streams.inbox import Inbox

__all__ = ["KeptBookFeed", "WiredBookFeed"]

_COMPARED = 20
"""Levels a side by which a silent book is compared with a requested one."""
_ROOM = 20_000
"""Frames that wait for the whole book, at most."""
_LEVELS_KEPT = 40_000
"""Levels that are kept, of both sides, before the far half is dropped or, where ccxt keeps them,
the book fetched anew."""
_WHOLE = 1_000
"""Levels a side that are asked for, for changes to build upon."""


class _Pace:
    """Lets a book be mended at once now and then, and not all the time."""

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


class BookFeed(Feed[OrderBook]):
    """What both kinds of book share: the depth that is wanted, and records of a state."""

    def __init__(self, hub: Hub, subject: Subject) -> None:
        super().__init__(hub, subject)
        self._made: dict[int, OrderBook] = {}
        """Records of the newest state, by depth: most watchers want the same."""
        self._made_at = -1
        self._time: float | None = None

    @property
    def depth(self) -> int:
        """The deepest that a watcher wants."""
        return max((watch.depth for watch in self.watches), default=20)

    def record(self, watch: Inbox, /) -> OrderBook | None:
        if self._made_at != self.version:
            self._made.clear()
            self._made_at = self.version
        made = self._made.get(watch.depth)
        if made is None and self.version:
            made = self._made[watch.depth] = self._record(watch.depth)
        return made

    def _record(self, depth: int) -> OrderBook:
        raise NotImplementedError

    def _fields(self) -> dict[str, Any]:
        received = datetime.fromtimestamp(self.heard or 0.0, UTC)
        time = self._time
        return {
            "exchange": self.hub.id,
            "timestamp": received if time is None else datetime.fromtimestamp(time / 1000, UTC),
            "received_at": received,
            "simulated": self.hub.simulated,
            "fresh_for": self.fresh_for,
            "stale": None if self.state == "live" else True,
            "pair": self.subject.pair,
        }

    async def confirm(self) -> bool:
        now = await self.hub.whole_book(self.subject.pair, _COMPARED)
        mine = self._record(_COMPARED)
        return (now.bids, now.asks) == (mine.bids, mine.asks)


class WiredBookFeed(BookFeed):
    """A book that is read from the frames themselves: every change applied, counted, proved.

    A number that is missing, a checksum that differs or a crossed book makes it wait for a new
    whole book; watchers hear of it only by what `Stream` counts.
    """

    def __init__(self, hub: Hub, subject: Subject) -> None:
        super().__init__(hub, subject)
        market = hub.api.market(subject.pair)
        self._wire = WIRES[str(hub.quirk.book_wire)](market)
        self._about = self._wire.name(market)
        self._sides = Sides()
        self._last: int | None = None
        """The number of the state."""
        self._is_whole = False
        self._waiting: list[Update] = []
        """What came while the whole book was not there yet."""
        self._fetching: asyncio.Task[None] | None = None
        self._subscribed_depth = self._fetched_depth = 0
        self._mends = _Pace()
        self._joined = asyncio.Event()

    async def subscribe(self, api: Any) -> None:
        depth = self._depth_to_subscribe()
        self._subscribed_depth = depth or 0
        params = self.hub.quirk.book_stream_params
        self._joined = asyncio.Event()
        asked = asyncio.ensure_future(api.watch_order_book(self.subject.pair, depth, params))
        joined = asyncio.ensure_future(self._joined.wait())
        try:
            await asyncio.wait({asked, joined}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                asked.result()
        finally:
            # ccxt waits for a book of its own, which it will not get.
            joined.cancel()
            asked.cancel()

    def joined(self, line: Any) -> None:
        line.books[self._about] = self
        line.subject = self._wire.subject
        self._joined.set()

    def subscribed(self) -> None:
        """Hear that the exchange has accepted the subscription: changes come from now on."""
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
        elif self._is_whole and self._depth_to_fetch() > self._fetched_depth > 0:
            self._is_whole = False
            self._fetch_whole()

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
        # ccxt's own book, made of the first frame; this one is ours.
        pass

    def size(self) -> int:
        # A tuple of two floats, its place in two lists, its key.
        levels = len(self._sides.bids) + len(self._sides.asks)
        return 176 * levels + 400 * len(self._waiting)

    # ------------------------------------------------------------------ frames

    def frame(self, frame: dict[str, Any], at: float) -> None:
        """Take a frame about this book."""
        update = self._wire.read(frame)
        self.note_frame(at)
        if update.whole:
            self._sides.replace(update.bids, update.asks)
            self._last = update.last
            self._is_whole = True
            self._settle(update, at)
        elif not self._is_whole:
            if self._wire.by_request:
                self._wait(update)
        elif self._follows(update):
            self._sides.apply(update.bids, update.asks)
            self._last = update.last
            self._settle(update, at)

    def _follows(self, update: Update) -> bool:
        """Tell whether an update is the next; where it is a later one, have the book mended."""
        last = self._last
        if last is None or update.first is None or update.last is None:
            return True
        following = last + 1
        if update.first == following:
            return True
        if self._wire.by_request and update.first < following <= update.last:
            return True  # the first one after the whole book may begin before it
        if update.last > last:
            self._mend(update)
        return False

    def _settle(self, update: Update, at: float) -> None:
        """Prove a new state, and tell of it."""
        sides = self._sides
        if self._subscribed_depth:
            sides.cut(self._subscribed_depth)
        elif len(sides.bids) + len(sides.asks) > _LEVELS_KEPT:
            sides.cut(_LEVELS_KEPT // 4)
        if sides.crossed or self._wire.differs(update, sides):
            self._mend(None)
            return
        self._time = update.time
        self.news(at, update.time)

    # ------------------------------------------------------------------ mending

    def _mend(self, update: Update | None) -> None:
        """Count a loss, and have the whole book sent anew; ``update`` was not applied yet."""
        self.gaps += 1
        self._is_whole = False
        self.wait_for_whole()
        if self._wire.by_request:
            self._waiting = [] if update is None else [update]
            self._fetch_whole()
        else:
            self._subscribe_anew()

    def _wait(self, update: Update) -> None:
        if len(self._waiting) >= _ROOM:
            del self._waiting[: _ROOM // 2]
        self._waiting.append(update)

    def _fetch_whole(self) -> None:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)

    def _fetched(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.trouble(error)

    async def _fetch(self) -> None:
        """Ask for the whole book until it is one that the changes lead on from."""
        while not self._is_whole:
            await self._mends.turn()
            wanted = self._fetched_depth = self._depth_to_fetch()
            book = await self.hub.whole_book(self.subject.pair, wanted)
            self.resyncs += 1 if self.gaps or self.reconnects else 0
            if book.sequence is None:
                raise DataUnavailableError(
                    f"{self.hub.id} does not number its books.", details=self.details
                )
            self._waiting.sort(key=_first)
            if self._waiting and book.sequence < (self._waiting[0].first or 0) - 1:
                await asyncio.sleep(0.05)  # it is from before the first change that we have
                continue
            self._sides.replace(book.bids, book.asks)
            self._last, self._is_whole = book.sequence, True
            self._time = None if self.heard is None else self.heard * 1000
            self._catch_up()

    def _catch_up(self) -> None:
        """Apply what came while the whole book was on its way."""
        waiting, self._waiting = self._waiting, []
        for at, update in enumerate(waiting):
            if update.last is not None and self._last is not None and update.last <= self._last:
                continue
            if self._last is not None and (update.first or 0) > self._last + 1:
                self.gaps += 1
                self._is_whole, self._waiting = False, waiting[at:]
                return
            self._sides.apply(update.bids, update.asks)
            self._last, self._time = update.last, update.time
            self.updates += 1
        if self._sides.crossed:
            self.gaps += 1
            self._is_whole = False
            return
        self.heard = self.heard or time.time()
        self.news(self.heard, None)

    def _depth_to_fetch(self) -> int:
        # The changes of the next minutes may lead behind what is asked for now.
        return _WHOLE if self.depth <= _WHOLE // 2 else 5 * _WHOLE

    def _subscribe_anew(self) -> None:
        """Take the subscription back and make it again, for the whole book that comes with it."""
        self._is_whole = False
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._resubscribe())
            self._fetching.add_done_callback(self._fetched)

    async def _resubscribe(self) -> None:
        await self._mends.turn()
        self.resyncs += 1
        depth = self._depth_to_subscribe()
        self._subscribed_depth = depth or 0
        await self.hub.resubscribe(self, {"depth": depth} if depth else {})

    # ------------------------------------------------------------------ records

    def _record(self, depth: int) -> OrderBook:
        return OrderBook.trusted(
            {
                **self._fields(),
                "sequence": self._last,
                "bids": self._sides.bids.best(depth),
                "asks": self._sides.asks.best(depth),
            }
        )


class KeptBookFeed(BookFeed):
    """A book that ccxt keeps."""

    def __init__(self, hub: Hub, subject: Subject) -> None:
        super().__init__(hub, subject)
        self._book: Any = None

    async def subscribe(self, api: Any) -> None:
        self.demand(api, "watchOrderBook")
        await api.watch_order_book(self.subject.pair)

    def take(self, result: Any, at: float) -> None:
        if not isinstance(result, dict) or "bids" not in result:
            return
        self.note_frame(at)
        bids, asks = result["bids"], result["asks"]
        if bids and asks and bids[0][0] >= asks[0][0]:
            self.gaps += 1
            self.resyncs += 1
            self.trouble(ConnectionError())
            return
        if len(bids) + len(asks) > _LEVELS_KEPT:
            self.resyncs += 1
            self.trouble(ConnectionError())  # levels that ccxt never drops
            return
        self._book, self._time = result, result.get("timestamp")
        self.news(at, self._time)

    def refused(self, error: Exception) -> None:
        """Hear of a gap that ccxt found, or of a refusal."""
        if self._book is not None:
            self.gaps += 1
            self.resyncs += 1
            self.trouble(ConnectionError())
        else:
            super().refused(error)

    def size(self) -> int:
        book = self._book
        return 0 if book is None else 300 * (len(book["bids"]) + len(book["asks"]))

    def _record(self, depth: int) -> OrderBook:
        book = self._book
        return OrderBook.trusted(
            {
                **self._fields(),
                "sequence": book.get("nonce"),
                "bids": tuple((float(row[0]), float(row[1])) for row in book["bids"][:depth]),
                "asks": tuple((float(row[0]), float(row[1])) for row in book["asks"][:depth]),
            }
        )


def _first(update: Update) -> int:
    return update.first or 0
