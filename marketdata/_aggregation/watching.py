"""The live consolidated order book."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias, cast

from marketdata._aggregation.asking import Answer, name_of, nobody_answered
from marketdata._aggregation.consolidating import Books, consolidated, source_of
from marketdata._streams.watch import AsyncWatch
from marketdata.errors import MarketDataError
from marketdata.models.aggregates import BookSource, ConsolidatedOrderBook

if TYPE_CHECKING:
    from marketdata._streams.feed import Subject
    from marketdata._streams.hub import Hub
    from marketdata.models import OrderBook

Found: TypeAlias = "Answer[tuple[Hub, Subject]]"
"""The subject to watch on an exchange, or the error."""

_MOST = 1_000


class _Gathered:
    """The newest state of each source."""

    def __init__(
        self, find: Callable[[], Awaitable[Sequence[Found]]], pair: str, *, mixed: bool
    ) -> None:
        self._find = find
        self._pair = pair
        self._mixed = mixed
        self._sources: dict[tuple[str, str], BookSource] = {}
        """By exchange and pair, in the requested order."""
        self._errors: dict[tuple[str, str], MarketDataError] = {}
        self._books: dict[tuple[str, str], OrderBook] = {}

    async def subjects(self) -> Sequence[tuple[Hub, Subject]]:
        """Find the subjects to watch; raise an error if there are none."""
        found = await self._find()
        now = datetime.now(UTC)
        for one in found:
            key = one.exchange, one.pair
            self._sources[key] = source_of(one, None, now, mixed=self._mixed)
            if one.error is not None:
                self._errors[key] = one.error
        self._check_some_are_left()
        self._pair = name_of(self._pair, found)
        return [one.given for one in found if one.given is not None]

    @property
    def is_whole(self) -> bool:
        """Whether each source has an order book or has failed."""
        return len(self._books.keys() | self._errors.keys()) == len(self._sources)

    def take(self, book: OrderBook) -> None:
        """Store a newer state."""
        self._books[book.exchange, book.pair] = book

    def fail(self, error: MarketDataError) -> None:
        """Note the sources that ended; raise the error if none is left."""
        exchange, pair = error.details.get("exchange"), error.details.get("pair")
        for key, source in self._sources.items():
            if key[0] == exchange and pair in (None, key[1]) and key not in self._errors:
                self._errors[key] = error
                self._books.pop(key, None)
                update = {"code": error.code, "message": error.message}
                self._sources[key] = source.model_copy(update=update)
        self._check_some_are_left()

    def _check_some_are_left(self) -> None:
        if len(self._errors) == len(self._sources):
            raise nobody_answered(
                [(self._sources[key].name, error) for key, error in self._errors.items()]
            )

    def made(self, depth: int) -> ConsolidatedOrderBook:
        """Merge the order books that are not stale."""
        now = datetime.now(UTC)
        sources, books = [], []
        for key, known in self._sources.items():
            book = self._books.get(key)
            source = known
            if book is not None:
                source = known.model_copy(
                    update={
                        "timestamp": book.timestamp,
                        "age": round((now - book.received_at).total_seconds(), 3),
                        "sequence": book.sequence,
                        "stale": book.stale,
                    }
                )
            sources.append(source)
            books.append(None if book is None or book.stale else book)
        return consolidated(Books(self._pair, tuple(sources), tuple(books)), depth, now)


class ConsolidatedWatch(AsyncWatch[ConsolidatedOrderBook]):
    """A watch of several order books that returns them merged.

    A source whose stream is interrupted is marked and left out until it is current again; one that
    fails for good stays in ``sources`` with its code. The first record comes when each source has
    its book or has failed. Raises an error only when all have failed.
    """

    def __init__(
        self,
        find: Callable[[], Awaitable[Sequence[Found]]],
        pair: str,
        *,
        mixed: bool,
        every: bool,
        buffer: int,
        depth: int,
    ) -> None:
        self._gathered = _Gathered(find, pair, mixed=mixed)
        super().__init__(self._gathered.subjects, every=every, buffer=buffer, depth=depth)

    async def __anext__(self) -> ConsolidatedOrderBook:
        if not self._is_open:
            await self.open()
        while True:
            await self._hear()
            # In between, only the newest state of each counts.
            while not self.every and len(self._inbox):
                await self._hear()
            if self._gathered.is_whole:
                return self._gathered.made(self._inbox.depth)

    async def _hear(self) -> None:
        try:
            book = cast("OrderBook", self._inbox.take() or await self._inbox.next())
        except MarketDataError as error:
            self._gathered.fail(error)
        else:
            self._gathered.take(book)

    async def batch(self, most: int = _MOST) -> list[ConsolidatedOrderBook]:
        """Wait for a record, and take up to ``most`` waiting ones; empty at the end."""
        try:
            found = [await anext(self)]
        except StopAsyncIteration:
            return []
        while self.every and len(found) < most and self._inbox.has_record:
            found.append(await anext(self))
        return found
