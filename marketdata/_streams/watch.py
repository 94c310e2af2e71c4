"""The iterators over live records of one or several pairs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from marketdata._requests.portal import portal
from marketdata._streams.inbox import Inbox
from marketdata.errors import DataUnavailableError, MarketDataError, as_of_here

if TYPE_CHECKING:
    from marketdata._streams.feed import Subject
    from marketdata._streams.hub import Hub
    from marketdata.models import Record, Stream
    from marketdata.models.lists import Records

R = TypeVar("R", bound="Record")

_FRAME = 0.1
"""Seconds between two updates of a live display."""
_BATCH = 1_000
"""Largest number of records that a blocking caller gets at once."""

_forks = 0
"""Number of forks since this module was imported: cheaper to read than the process id."""


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class AsyncWatch(Generic[R]):
    """Live records, as an asynchronous iterator and context manager.

    Watching starts with the first record requested, or with ``async with``. It ends with `close`,
    with the block, or when nobody holds it any more, as after a ``break``; the last to watch a
    subject ends its subscription. Records come in the order in which they arrived; each says of
    which pair and exchange it is.

    A failure that is final is raised once, as a `MarketDataError`; other subjects go on with the
    next record. A replayed recording ends without an error.
    """

    def __init__(
        self,
        find: Callable[[], Awaitable[Sequence[tuple[Hub, Subject]]]],
        *,
        every: bool,
        buffer: int,
        depth: int = 0,
    ) -> None:
        self._find = find
        self._inbox = Inbox(every=every, buffer=buffer, depth=depth)
        self._opening: asyncio.Lock | None = None
        self._is_open = False
        self._forks = _forks

    @property
    def dropped(self) -> int:
        """Number of records dropped because the caller read too slowly."""
        return self._inbox.dropped

    @property
    def every(self) -> bool:
        """Whether it gets each record, and not only the newest state."""
        return self._inbox.every

    @property
    def waiting(self) -> int:
        """Number of records ready to be read."""
        return len(self._inbox)

    @property
    def streams(self) -> Records[Stream]:
        """The state of each subscription; empty before watching starts."""
        from marketdata.models import Stream
        from marketdata.models.lists import Records

        told = (feed.stats() for feed in self._inbox.feeds)
        return Records([*self._inbox.ended, *told], of=Stream)

    async def open(self) -> None:
        """Start to watch; a second call does nothing.

        Raises `PairNotSupportedError` and the other errors of a call.
        """
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            await self._begin()

    async def _begin(self) -> None:
        if self._is_open:
            return
        self._forks = _forks
        found = await self._find()
        if self._inbox.is_left:
            return
        loop = asyncio.get_running_loop()
        weakref.finalize(self, _leave_soon, self._inbox, loop).atexit = False
        self._is_open = True
        self._inbox.join([hub.feed(subject) for hub, subject in found])

    def __aiter__(self) -> Self:
        return self

    @property
    def is_carried_over(self) -> bool:
        """Whether this process was forked from the one that watches."""
        return self._is_open and self._forks != _forks

    def check_process(self) -> None:
        """Raise `DataUnavailableError` in a process that was forked from the one that watches."""
        if self.is_carried_over:
            raise DataUnavailableError(
                "This stream belongs to the process that started it, not to a fork. Start a new "
                "one here."
            )

    async def __anext__(self) -> R:
        self.check_process()
        if not self._is_open:
            await self.open()
        return cast("R", self._inbox.take() or await self._inbox.next())

    async def batch(self, most: int = _BATCH) -> list[R]:
        """Wait for a record, and take up to ``most`` that are ready.

        Empty at the end. With delivery "latest" it is at most one per subject.
        """
        try:
            found = [await anext(self)]
        except StopAsyncIteration:
            return []
        while len(found) < most and self._inbox.has_record:
            if (more := self._inbox.take()) is None:
                break
            found.append(cast("R", more))
        return found

    async def display(self) -> None:
        """Show the newest records in a notebook cell until interrupted or the stream ends.

        Raises `DataUnavailableError` outside a notebook, and the errors of the stream.
        """
        from marketdata.models._display.notebook import Live

        live = Live()
        async with self:
            while records := await self.batch():
                live.show(records, self.streams)
                await asyncio.sleep(_FRAME)

    async def close(self) -> None:
        """Stop watching; in a forked process, do nothing."""
        if self.is_carried_over:
            return
        self._is_open = True
        await self._inbox.leave()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _leave_soon(inbox: Inbox, loop: asyncio.AbstractEventLoop) -> None:
    """Leave the feeds, from whichever thread collected the watch."""
    if loop.is_closed() or not inbox.feeds:
        return
    leaving = inbox.leave()
    with contextlib.suppress(RuntimeError):  # closed since
        loop.call_soon_threadsafe(loop.create_task, leaving)
        return
    leaving.close()


class Watch(Generic[R]):
    """Live records for blocking code, as an iterator and context manager.

    Like `AsyncWatch`; `next` waits for a record. Use it from one thread at a time.
    """

    def __init__(self, watch: AsyncWatch[R]) -> None:
        self._watch = watch
        self._most = _BATCH if watch.every else 1
        self._taken: deque[R] = deque()

    @property
    def dropped(self) -> int:
        """Number of records dropped because the caller read too slowly."""
        return self._watch.dropped

    @property
    def waiting(self) -> int:
        """Number of records ready to be read."""
        return len(self._taken) + self._watch.waiting

    @property
    def streams(self) -> Records[Stream]:
        """The state of each subscription; empty before watching starts."""
        return portal().call(_streams(self._watch))

    def open(self) -> None:
        """Start to watch; a second call does nothing."""
        try:
            portal().call(self._watch.open())
        except MarketDataError as error:
            as_of_here(error)
            raise

    def __iter__(self) -> Iterator[R]:
        return self

    def __next__(self) -> R:
        self._watch.check_process()
        if not self._taken:
            try:
                self._taken.extend(portal().call(self._watch.batch(self._most)))
            except MarketDataError as error:
                as_of_here(error)
                raise
        if not self._taken:
            raise StopIteration
        return self._taken.popleft()

    def display(self) -> None:
        """Show the newest records in a notebook cell until interrupted or the stream ends.

        Raises `DataUnavailableError` outside a notebook, and the errors of the stream.
        """
        from marketdata.models._display.notebook import Live

        live = Live()
        with self, contextlib.suppress(KeyboardInterrupt):
            for record in self:
                live.show([record, *self._taken], self.streams)
                self._taken.clear()
                time.sleep(_FRAME)

    def close(self) -> None:
        """Stop watching."""
        self._taken.clear()
        if not self._watch.is_carried_over:
            portal().call(self._watch.close())

    def __enter__(self) -> Self:
        try:
            self.open()
        except MarketDataError as error:
            as_of_here(error)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def _streams(watch: AsyncWatch[Any]) -> Records[Stream]:
    return watch.streams
