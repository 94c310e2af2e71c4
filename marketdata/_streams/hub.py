"""All streams of one exchange on one event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from marketdata._exchanges.exchange import closed
from marketdata._streams import upstream
from marketdata._streams.books import KeptBookFeed
from marketdata._streams.candles import CandlesFeed
from marketdata._streams.feed import Feed, Subject
from marketdata._streams.tickers import QuoteFeed, TickerFeed
from marketdata._streams.trades import TradesFeed
from marketdata._streams.upstream import Upstream
from marketdata._streams.wired_books import WiredBookFeed
from marketdata.models import Stream

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue


class Hub:
    """The feeds of one exchange: one per subject, shared by all its watchers."""

    def __init__(
        self, venue: Venue, api: Any, *, timeout: float, retries: int, simulated: bool
    ) -> None:
        self.id = venue.id
        self.upstream = Upstream(venue, api, timeout=timeout, retries=retries, simulated=simulated)
        self.feeds: dict[Subject, Feed[Any]] = {}
        self._watchdog: asyncio.Task[None] | None = None

    def feed(self, subject: Subject) -> Feed[Any]:
        """Return the feed of a subject, created if needed."""
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
        """Receive frames only as fast as they are read: a recording can wait."""
        self.upstream.room = self.upstream.api.room = self._room

    async def _room(self) -> None:
        # Polled, as many readers share it. A request that ccxt makes, as for the book that changes
        # build on, has to be answered before the next frame.
        while self._is_full() or self.upstream.api.transport.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    def _is_full(self) -> bool:
        return any(watch.half_full for feed in self.feeds.values() for watch in feed.watches)

    def _forget(self, feed: Feed[Any]) -> None:
        """Drop a feed that has ended."""
        if self.feeds.get(feed.subject) is feed:
            del self.feeds[feed.subject]
        if not any(one.subject.pair == feed.subject.pair for one in self.feeds.values()):
            self.upstream.forget(feed.subject.pair)
        if not self.feeds and self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def stats(self) -> list[Stream]:
        """Return the state of each stream."""
        return [feed.stats() for feed in self.feeds.values()]

    async def close(self) -> None:
        """End all streams."""
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
