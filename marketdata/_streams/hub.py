"""All live subjects of one exchange on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from marketdata._candles.trades import trades
from marketdata._exchanges.exchange import closed
from marketdata._exchanges.sockets import opposite
from marketdata._requests.deadline import within
from marketdata._streams.bars import CandlesFeed
from marketdata._streams.books import KeptBookFeed
from marketdata._streams.feed import Feed, Subject
from marketdata._streams.prices import QuoteFeed, TickerFeed
from marketdata._streams.tape import TradesFeed
from marketdata._streams.wired_books import WiredBookFeed
from marketdata.errors import MarketDataError
from marketdata.models import Columns, OrderBook, Stream, Trade
from marketdata.models.decimals import decimal

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue
    from marketdata._exchanges.quirks import Quirk

__all__ = ["Hub"]

T = TypeVar("T")

_LOOKS_EVERY = 0.5
"""Seconds between two looks of the watchdog."""
_LONGEST_PAUSE = 30.0
"""Seconds between two attempts to open a socket, at most."""
_LONGEST_FAREWELL = 1.0
"""Seconds that taking a subscription back may take."""


class Hub:
    """The feeds of one exchange: one for each subject, however many watch it."""

    def __init__(
        self, venue: Venue, api: Any, *, timeout: float, retries: int, simulated: bool
    ) -> None:
        self.id = venue.id
        self.venue = venue
        self.api = api
        self.quirk: Quirk = venue.quirk
        self.number: Callable[[Any], Any] = decimal if venue.is_exact else float
        """Reads a price or a size."""
        self.timeout = timeout
        """Seconds for the first state to come."""
        self.retries = retries
        """0: no request that fails is made again; streams are mended all the same."""
        self.simulated: Literal[True] | None = True if simulated else None
        self.feeds: dict[Subject, Feed[Any]] = {}
        self._watchdog: asyncio.Task[None] | None = None
        self._one_book_at_a_time = asyncio.Lock()
        self._failed_dials = 0
        self._not_before = 0.0
        """When a socket may be opened again, by the loop's monotonic clock."""
        api.dialed = self._dialed
        self._waits = False
        self._closing: list[asyncio.Task[None]] = []
        """Sockets that are being closed; nobody else holds these tasks."""

    def feed(self, subject: Subject) -> Feed[Any]:
        """Give the feed of a subject, made where it is not there."""
        feed = self.feeds.get(subject)
        if feed is None:
            feed = self.feeds[subject] = self._make(subject)
            if self._watchdog is None or self._watchdog.done():
                self._watchdog = asyncio.create_task(self._watch())
        return feed

    def _make(self, subject: Subject) -> Feed[Any]:
        match subject.kind:
            case "ticker":
                return TickerFeed(self, subject)
            case "quote":
                return QuoteFeed(self, subject)
            case "trades":
                return TradesFeed(self, subject)
            case "candles":
                return CandlesFeed(self, subject)
            case "orderbook" if self.quirk.book_wire is not None:
                return WiredBookFeed(self, subject)
        return KeptBookFeed(self, subject)

    def wait_for_readers(self) -> None:
        """Receive no more than is read: what comes is a recording, which can wait."""
        self._waits = True
        self.api.room = self.room

    async def room(self) -> None:
        """Wait until readers have taken some of what is there, where it can wait for them."""
        while self._waits and self._is_full():  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # readers are many, and do not tell when they have read

    def _is_full(self) -> bool:
        return any(watch.half_full for feed in self.feeds.values() for watch in feed.watches)

    def forget(self, feed: Feed[Any]) -> None:
        """Let a feed go that has ended."""
        if self.feeds.get(feed.subject) is feed:
            del self.feeds[feed.subject]
        if not any(one.subject.pair == feed.subject.pair for one in self.feeds.values()):
            for kept in ("orderbooks", "trades", "ohlcvs", "tickers", "bidsasks"):
                (getattr(self.api, kept, None) or {}).pop(feed.subject.pair, None)
        if not self.feeds and self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def told(self) -> list[Stream]:
        """Tell how each is doing."""
        return [feed.told() for feed in self.feeds.values()]

    async def close(self) -> None:
        """End all of them."""
        for feed in list(self.feeds.values()):
            for watch in list(feed.watches):
                watch.finished(feed, closed(self.id))
            await feed.stop()
        for line in list((self.api.clients or {}).values()):
            await self.api.drop(line)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOKS_EVERY)
            for feed in list(self.feeds.values()):
                feed.look()

    # ------------------------------------------------------------------ upstream

    def _dialed(self, is_open: bool, retry_after: float | None) -> None:
        if is_open:
            self._failed_dials = 0
            return
        self._failed_dials += 1
        pause = min(_LONGEST_PAUSE, 0.1 * 2**self._failed_dials) * random.uniform(0.5, 1.0)  # noqa: S311
        self._not_before = time.monotonic() + max(pause, retry_after or 0.0)

    async def turn_to_dial(self) -> None:
        """Wait until a socket may be opened: all subjects wait for the same moment."""
        while (left := self._not_before - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)

    async def subscribe(self, feed: Feed[Any]) -> None:
        """Have a feed's subscription made; `asking` names the feed."""
        await feed.subscribe(self.api)

    async def unsubscribe(self, feed: Feed[Any]) -> None:
        """Take a feed's subscription back, and close sockets that nobody needs any more."""
        for line in self.api.lines(feed):
            messages = line.leave(feed)
            # A socket that is gone, or whose other end is, has no subscriptions.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_LONGEST_FAREWELL):
                    for message in messages:
                        await line.send(message)
            if not line.routes:
                await self.api.drop(line)

    async def resubscribe(self, feed: Feed[Any], changes: dict[str, Any]) -> None:
        """Take a feed's subscription back and make it again, with changed parameters."""
        for line in self.api.lines(feed):
            for name, request in list(line.requests.items()):
                if feed not in line.routes.get(name, ()):
                    continue
                taking_back = opposite(request)
                if taking_back is None:
                    await self.api.drop(line)
                    return
                if changes:
                    request = {**request, "params": {**request.get("params", {}), **changes}}
                    line.requests[name] = request
                try:
                    await line.send(taking_back)
                    await line.send(request)
                except Exception:  # noqa: BLE001 - whatever it is, the socket cannot be used
                    await self.api.drop(line)
                    return

    def drop_silent(self, feed: Feed[Any], seconds: float) -> bool:
        """Close the sockets of a feed on which nothing at all came for so long."""
        silent = [line for line in self.api.lines(feed) if time.time() - line.heard >= seconds]
        for line in silent:
            line.over(ended=False)
            self._closing.append(asyncio.create_task(self.api.drop(line)))
        self._closing = [task for task in self._closing if not task.done()]
        return bool(silent)

    def is_alive(self, feed: Feed[Any], seconds: float) -> bool:
        """Tell whether the other end of a feed's socket was heard of within so many seconds."""
        now = time.time()
        lines = self.api.lines(feed)
        return any(now - max(line.heard, (line.lastPong or 0) / 1000) < seconds for line in lines)

    async def request(self, work: Awaitable[T]) -> T:
        """Do something over REST, in the time that an exchange is given."""
        return await within(self.timeout, self.id, work)

    def is_open(self, feed: Feed[Any]) -> bool:
        """Tell whether the socket that a feed waits for is open."""
        return any(line.isConnected for line in self.api.lines(feed))

    async def request_again(self, make: Callable[[], Awaitable[T]]) -> T:
        """Do something over REST, again and again while that may help and time is left.

        Once where retries are switched off.
        """
        ends, pause = time.monotonic() + self.timeout, 0.25
        while True:
            try:
                return await make()
            except MarketDataError as error:
                pause = max(2 * pause, error.retry_after or 0.0)
                over = not self.retries or time.monotonic() + pause > ends
                if over or not error.retryable:
                    raise
            await asyncio.sleep(pause)

    def unreadable(self, feed: Feed[Any]) -> int:
        """Count the frames on a feed's socket of which nothing could be made."""
        return sum(line.unreadable for line in self.api.lines(feed))

    # ------------------------------------------------------------------ requests

    async def whole_book(self, feed: Feed[Any], depth: int) -> OrderBook:
        """Get a feed's book over REST; one after the other, however many need theirs."""
        feed.waits_its_turn = True
        try:
            async with self._one_book_at_a_time:
                feed.has_its_turn()
                return await self.request(self.venue.whole_book(feed.subject.pair, depth))
        finally:
            feed.waits_its_turn = False

    async def trades_between(self, pair: str, start: int, end: int) -> list[Trade]:
        """Get the trades with ids from ``start`` up to ``end`` over REST."""
        found: list[Trade] = []
        while start < end:
            page = await self.request(
                trades(
                    self.venue,
                    pair,
                    limit=min(1_000, end - start),
                    start=None,
                    from_id=start,
                    aggregate=False,
                )
            )
            page = [one for one in page if one.id is not None and start <= int(one.id) < end]
            if not page:
                break
            found += page
            start = int(page[-1].id or 0) + 1
        return found

    async def bars_from(self, pair: str, timeframe: str, start: int | None) -> Columns:
        """Get a page of bars from a time on, or of the newest, over REST."""
        columns, _ = await self.request(
            self.venue.candles(pair, timeframe, start, self.venue.candles_per_request)
        )
        return columns
