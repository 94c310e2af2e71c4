"""All live subjects of one exchange on one event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from marketdata._exchanges.exchange import closed
from marketdata._streams import upstream
from marketdata._streams.bars import CandlesFeed
from marketdata._streams.books import KeptBookFeed
from marketdata._streams.feed import Feed, Subject
from marketdata._streams.prices import QuoteFeed, TickerFeed
from marketdata._streams.tape import TradesFeed
from marketdata._streams.upstream import Upstream
from marketdata._streams.wired_books import WiredBookFeed
from marketdata.models import Stream

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue

__all__ = ["Hub"]


class Hub:
    """The feeds of one exchange: one for each subject, however many watch it."""

    def __init__(
        self, venue: Venue, api: Any, *, timeout: float, retries: int, simulated: bool
    ) -> None:
        self.id = venue.id
        self.upstream = Upstream(venue, api, timeout=timeout, retries=retries, simulated=simulated)
        self.feeds: dict[Subject, Feed[Any]] = {}
        self._watchdog: asyncio.Task[None] | None = None

    def feed(self, subject: Subject) -> Feed[Any]:
        """Give the feed of a subject, made where it is not there."""
        feed = self.feeds.get(subject)
        if feed is None:
            feed = self.feeds[subject] = self._kind(subject)(self.upstream, subject, self._forget)
            if self._watchdog is None or self._watchdog.done():
                self._watchdog = asyncio.create_task(self._watch())
        return feed

    def _kind(self, subject: Subject) -> type[Feed[Any]]:
        match subject.kind:
            case "ticker":
                return TickerFeed
            case "quote":
                return QuoteFeed
            case "trades":
                return TradesFeed
            case "candles":
                return CandlesFeed
            case "orderbook" if self.upstream.quirk.book_wire is not None:
                return WiredBookFeed
        return KeptBookFeed

    def wait_for_readers(self) -> None:
        """Receive no more than is read: what comes is a recording, which can wait."""
        self.upstream.room = self.upstream.api.room = self._room

    async def _room(self) -> None:
        # Readers are many, and do not tell when they have read; what ccxt asks for, as a book that
        # changes are applied to, belongs before the next frame.
        while self._is_full() or self.upstream.api.transport.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    def _is_full(self) -> bool:
        return any(watch.half_full for feed in self.feeds.values() for watch in feed.watches)

    def _forget(self, feed: Feed[Any]) -> None:
        """Let a feed go that has ended."""
        if self.feeds.get(feed.subject) is feed:
            del self.feeds[feed.subject]
        if not any(one.subject.pair == feed.subject.pair for one in self.feeds.values()):
            self.upstream.forget(feed.subject.pair)
        if not self.feeds and self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def stats(self) -> list[Stream]:
        """Tell how each is doing."""
        return [feed.stats() for feed in self.feeds.values()]

    async def close(self) -> None:
        """End all of them."""
        for feed in list(self.feeds.values()):
            for watch in list(feed.watches):
                watch.finished(feed, closed(self.id))
            await feed.stop()
        await self.upstream.close()

    async def _watch(self) -> None:
        self.upstream.begins_to_look()
        while True:
            await asyncio.sleep(upstream.LOOKS_EVERY)
            self.upstream.looked()
            for feed in list(self.feeds.values()):
                feed.look()
