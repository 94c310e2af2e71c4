"""The buffer of one watcher: records that it has not read yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from marketdata.errors import MarketDataError

if TYPE_CHECKING:
    from marketdata.models import Record, Stream


class Source(Protocol):
    """A stream that puts records into inboxes."""

    dropped: int
    """Records dropped because watchers read too slowly."""

    def join(self, watch: Inbox) -> None:
        """Add a watcher."""

    async def leave(self, watch: Inbox) -> None:
        """Remove a watcher."""

    def record(self, watch: Inbox, /) -> Record | None:
        """Return the newest state in the form the watcher wants; None before the first one."""

    def rest(self, watch: Inbox) -> None:
        """Note that a watcher has taken the newest state."""

    def stats(self) -> Stream:
        """Return its state and counts."""


class Inbox:
    """What one watcher has not taken yet.

    With delivery "latest" it only notes which subjects have a new state; the record is made when
    it is taken. With delivery "every" it holds up to ``buffer`` records and drops the oldest.
    """

    def __init__(self, *, every: bool, buffer: int, depth: int) -> None:
        self.every = every
        self.depth = depth
        self._buffer = buffer
        self.dropped = 0
        self.feeds: list[Source] = []
        self.ended: list[Stream] = []
        """The final state of streams that have ended."""
        self._changed: deque[Source | MarketDataError] = deque()
        self._records: deque[Record | MarketDataError] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        """Usually one. Several tasks may share a watch; each record goes to one of them."""
        self.is_left = False

    def __len__(self) -> int:
        return len(self._records) + len(self._changed)

    @property
    def half_full(self) -> bool:
        """Whether more than half of the buffer is used."""
        return len(self._records) > self._buffer // 2

    # ------------------------------------------------------------------ for feeds

    def changed(self, feed: Source) -> None:
        """Note that a feed has a new state."""
        self._changed.append(feed)
        if self._waiters:
            self._wake()

    def put(self, feed: Source, record: Record) -> None:
        """Add a record for the watcher."""
        waiting = self._records
        if len(waiting) >= self._buffer:
            self.dropped += 1
            feed.dropped += 1
            if isinstance(oldest := waiting.popleft(), MarketDataError):
                waiting.appendleft(oldest)
                del waiting[1]
        waiting.append(record)
        if self._waiters:
            self._wake()

    def finished(self, feed: Source, error: MarketDataError | None) -> None:
        """Note that a feed has ended; its error, if any, is raised after the waiting records."""
        if feed in self.feeds:
            self.feeds.remove(feed)
            self.ended.append(feed.stats())
        if error is not None:
            (self._records if self.every else self._changed).append(error)
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # ------------------------------------------------------------------ for the watcher

    def join(self, feeds: Sequence[Source]) -> None:
        """Join feeds."""
        self.feeds = list(feeds)
        for feed in feeds:
            feed.join(self)

    def take(self) -> Record | None:
        """Take the next record; None if there is none.

        Raises the error that ended a feed when its turn comes.
        """
        if self._records:
            first = self._records.popleft()
            if isinstance(first, MarketDataError):
                raise first
            return first
        while self._changed:
            feed = self._changed.popleft()
            if isinstance(feed, MarketDataError):
                raise feed
            record: Record | None = feed.record(self)
            feed.rest(self)
            if record is not None:
                return record
        return None

    @property
    def has_record(self) -> bool:
        """Whether a record is next, not an error."""
        waiting = self._records or self._changed
        return bool(waiting) and not isinstance(waiting[0], MarketDataError)

    async def next(self) -> Record:
        """Wait for the next record.

        Raises the error that ended a feed, once, and StopAsyncIteration after all have ended.
        """
        while True:
            record = self.take()
            if record is not None:
                return record
            if self.is_left or not self.feeds:
                raise StopAsyncIteration
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def leave(self) -> None:
        """Leave all feeds and drop what waits."""
        if self.is_left:
            return
        self.is_left = True
        self._records.clear()
        self._changed.clear()
        feeds, self.feeds = self.feeds, []
        self.ended += [feed.stats() for feed in feeds]
        for feed in feeds:
            await feed.leave(self)
        self._wake()
