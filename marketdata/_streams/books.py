"""Live order books: the common base, and books that ccxt keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from marketdata._exchanges.stream_offers import stream_offer
from marketdata._streams.feed import Ended, Feed, Subject
from marketdata.models import Level, OrderBook

if TYPE_CHECKING:
    from marketdata._streams.inbox import Inbox
    from marketdata._streams.upstream import Upstream

_COMPARED = 20
"""Levels a side that are compared when a silent book is confirmed over REST."""
_LEVELS_KEPT = 40_000
"""Levels of both sides above which ccxt's book is requested anew: ccxt drops none."""


class BookFeed(Feed[OrderBook]):
    """The base of both kinds of book: the wanted depth, and records of a state."""

    def __init__(self, upstream: Upstream, subject: Subject, ended: Ended) -> None:
        super().__init__(upstream, subject, ended)
        self._made: dict[int, OrderBook] = {}
        """Records of the newest state by depth; most watchers want the same one."""
        self._made_at = -1
        self._most: dict[int, int | None] = {}
        """The maximum number of levels by wanted depth."""
        self._time: float | None = None
        self.offer = stream_offer(upstream.id)
        self.depth = 1
        """The largest depth that a watcher wants."""

    def join(self, watch: Inbox) -> None:
        self.depth = max(watch.depth, *(one.depth for one in self.watches), 1)
        super().join(watch)

    async def leave(self, watch: Inbox) -> None:
        await super().leave(watch)
        self.depth = max((one.depth for one in self.watches), default=self.depth)

    def record(self, watch: Inbox, /) -> OrderBook | None:
        if self._made_at != self.version:
            self._made.clear()
            self._made_at = self.version
        made = self._made.get(watch.depth)
        if made is None and self.version:
            made = self._made[watch.depth] = self.received(self._record(watch.depth))
        return made

    def _record(self, depth: int) -> OrderBook:
        raise NotImplementedError

    def _fields(self, depth: int) -> dict[str, Any]:
        if depth not in self._most:
            self._most[depth] = self.offer.levels_for(depth)
        received = datetime.fromtimestamp(self.heard or 0.0, UTC)
        time = self._time
        return {
            "exchange": self.upstream.id,
            "timestamp": received if time is None else datetime.fromtimestamp(time / 1000, UTC),
            "received_at": received,
            "simulated": self.upstream.simulated,
            "fresh_for": self.fresh_for,
            "stale": None if self.state == "live" else True,
            "pair": self.subject.pair,
            "max_depth": self._most[depth],
        }

    async def confirm(self) -> bool:
        now = await self.upstream.whole_book(self, self.subject.pair, _COMPARED)
        mine = self._record(_COMPARED)
        return _agree(now.bids, mine.bids) and _agree(now.asks, mine.asks)


def _agree(requested: Sequence[Level], streamed: Sequence[Level]) -> bool:
    """Return whether one side is the same in both, down to the shorter one."""
    both = min(len(requested), len(streamed))
    return requested[:both] == streamed[:both] and bool(requested) == bool(streamed)


class KeptBookFeed(BookFeed):
    """A book that ccxt keeps."""

    def __init__(self, upstream: Upstream, subject: Subject, ended: Ended) -> None:
        super().__init__(upstream, subject, ended)
        self._book: Any = None
        self._subscribed_depth: int | None = None

    async def subscribe(self, api: Any) -> None:
        self._subscribed_depth = self.offer.depth_for(self.depth)
        await api.watch_order_book(self.subject.pair, self._subscribed_depth)

    def join(self, watch: Inbox) -> None:
        super().join(watch)
        had, wanted = self._subscribed_depth, self.offer.depth_for(self.depth)
        if had is not None and (wanted is None or wanted > had):
            self.subscribe_anew()

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
            self.trouble(ConnectionError())
            return
        self._book, self._time = result, result.get("timestamp")
        self.news(at, self._time)

    def refused(self, error: Exception) -> None:
        """Note a gap that ccxt found, or a refusal."""
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
        book, number = self._book, self.upstream.number
        fields = self._fields(depth)
        depth = fields["max_depth"] or depth
        return OrderBook.trusted(
            {
                **fields,
                "sequence": book.get("nonce"),
                "bids": tuple((number(row[0]), number(row[1])) for row in book["bids"][:depth]),
                "asks": tuple((number(row[0]), number(row[1])) for row in book["asks"][:depth]),
            }
        )
