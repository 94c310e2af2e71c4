"""Several order books merged into one, with the sources of each level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from marketdata._aggregation.asking import (
    Answer,
    Ask,
    ask_each,
    name_of,
    nobody_answered,
    pairs_of,
)
from marketdata.models.aggregates import BookSource, ConsolidatedLevel, ConsolidatedOrderBook
from marketdata.models.columns import float_total, total

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue
    from marketdata.models import Level, OrderBook


@dataclass(frozen=True)
class Books:
    """The order books of several exchanges, and the missing ones."""

    pair: str
    sources: tuple[BookSource, ...]
    books: tuple[OrderBook | None, ...]
    """One for each source; None if it is missing."""

    @property
    def there(self) -> list[tuple[BookSource, OrderBook]]:
        """The sources with an order book."""
        both = zip(self.sources, self.books, strict=True)
        return [(source, book) for source, book in both if book is not None]

    @property
    def timestamp(self) -> datetime | None:
        """The oldest of their times; None without an order book."""
        return min((book.timestamp for _, book in self.there), default=None)


async def consolidate(
    ask: Ask, pair: str, exchanges: Sequence[str], depth: int, quotes: Sequence[str] | None
) -> ConsolidatedOrderBook:
    """Request all order books and merge them; see `AsyncClient.consolidated_orderbook`."""
    found = await books(ask, pair, exchanges, depth, quotes)
    return consolidated(found, depth, datetime.now(UTC))


async def books(
    ask: Ask, pair: str, exchanges: Sequence[str], depth: int, quotes: Sequence[str] | None
) -> Books:
    """Request all order books; if there is none, raise the error of `nobody_answered`."""

    async def check(venue: Venue) -> None:
        venue.check("orderbook")

    async def book(venue: Venue, symbol: str) -> OrderBook:
        return await venue.orderbook(symbol, depth)

    pairs = pairs_of(pair, quotes)
    answers = await ask_each(ask, exchanges, pairs, check, book)
    now = datetime.now(UTC)
    sources = tuple(source_of(one, one.given, now, mixed=len(pairs) > 1) for one in answers)
    errors = [
        (source.name, answer.error)
        for source, answer in zip(sources, answers, strict=True)
        if answer.error is not None
    ]
    if len(errors) == len(answers):
        raise nobody_answered(errors)
    return Books(name_of(pair, answers), sources, tuple(one.given for one in answers))


def source_of(
    answer: Answer[Any], book: OrderBook | None, now: datetime, *, mixed: bool
) -> BookSource:
    """Describe a source: its order book if there is one, and its error."""
    error = answer.error
    return BookSource(
        name=f"{answer.exchange} {answer.pair}" if mixed else answer.exchange,
        exchange=answer.exchange,
        pair=answer.pair,
        timestamp=None if book is None else book.timestamp,
        age=None if book is None else round((now - book.received_at).total_seconds(), 3),
        latency_ms=None if book is None else answer.latency_ms,
        sequence=None if book is None else book.sequence,
        fee=answer.fee,
        code=None if error is None else error.code,
        message=None if error is None else error.message,
    )


def consolidated(found: Books, depth: int, now: datetime) -> ConsolidatedOrderBook:
    """Merge order books received until a time."""
    there = found.there
    bids = merged([(source.name, book.bids) for source, book in there], depth, descending=True)
    asks = merged([(source.name, book.asks) for source, book in there], depth, descending=False)
    # Validating a thousand levels takes longer than merging them.
    return ConsolidatedOrderBook.model_construct(
        pair=found.pair,
        timestamp=found.timestamp or now,
        received_at=now,
        simulated=True if any(book.simulated for _, book in there) else None,
        crossed=bool(bids and asks) and bids[0][0] > asks[0][0],
        bids=bids,
        asks=asks,
        sources=found.sources,
    )


def merged(
    sides: Sequence[tuple[str, Sequence[Level]]], depth: int, *, descending: bool
) -> tuple[ConsolidatedLevel, ...]:
    """Merge one side of several books, each best first, to its best ``depth`` prices."""
    prices = _best_prices([levels for _, levels in sides], depth, descending=descending)
    at: dict[float, list[tuple[str, float]]] = {price: [] for price in prices}
    for name, levels in sides:
        for price, size in levels:
            quoted = at.get(price)
            if quoted is None:
                break
            quoted.append((name, size))
    add = float_total if prices and isinstance(prices[0], float) else total
    return tuple(
        [
            (price, by[0][1] if len(by) == 1 else add([size for _, size in by]), tuple(by))
            for price, by in at.items()
        ]
    )


def _best_prices(
    sides: Sequence[Sequence[Level]], depth: int, *, descending: bool
) -> Sequence[float]:
    """Return the best ``depth`` different prices, reading each side only as deep as needed."""
    share = 3 * depth // max(1, len(sides)) + 8
    while True:
        prices = [price for levels in sides for price, _ in levels[:share]]
        # Python's sort merges sides that are sorted already.
        prices.sort(reverse=descending)
        different = list(dict.fromkeys(prices))
        ends = [levels[share - 1][0] for levels in sides if len(levels) > share]
        if ends and share < depth:
            # After the first end of a side there may be prices that were not read.
            end = max(ends) if descending else min(ends)
            if different.index(end) + 1 < depth:
                share *= 2
                continue
        return different[:depth]
