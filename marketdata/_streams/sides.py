"""The two sides of a live order book, kept sorted."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any, TypeAlias

from marketdata.models import Level

Change: TypeAlias = tuple[str | float, str | float]
"""Price and size, as text or numbers, in a sequence of two; size 0 removes the level."""


_MANY = 2_000
"""Number of deferred changes above which they are applied, in about a millisecond."""


class Side:
    """The levels of one side.

    Two lists by ascending price: the prices, with infinity after the last, and the levels. At a
    thousand entries lists are searched and changed faster than a tree, and slicing copies the best
    levels at once.
    """

    __slots__ = ("_ascending", "_levels", "_number", "later", "limit", "prices")

    def __init__(self, *, ascending: bool, number: Callable[[Any], float] = float) -> None:
        self._ascending = ascending
        """Whether the lowest price is the best."""
        self._number = number
        """Reads a price or a size."""
        self.prices: list[float] = [inf]
        """Ascending, with infinity after the last."""
        self._levels: list[Level] = []
        self.limit: float | None = None
        """The worst price up to which all levels are known; None: all levels are."""
        self.later: dict[str | float, str | float] = {}
        """Changes not applied yet: the last size of each price, as sent."""

    def replace(self, changes: Iterable[Change]) -> None:
        """Replace all levels."""
        number = self._number
        found = {number(price): number(size) for price, size in changes}
        self._levels = sorted((price, size) for price, size in found.items() if size)
        self.prices = [price for price, _ in self._levels]
        self.prices.append(inf)
        self.limit = None
        self.later.clear()

    def apply(self, changes: Iterable[Change]) -> None:
        """Apply changes in order."""
        prices, levels = self.prices, self._levels
        limit, ascending, number = self.limit, self._ascending, self._number
        for price_text, size_text in changes:
            price, size = number(price_text), number(size_text)
            at = bisect_left(prices, price)
            if prices[at] == price:
                if size:
                    levels[at] = (price, size)
                else:
                    del prices[at], levels[at]
            elif size and (limit is None or (price <= limit if ascending else price >= limit)):
                prices.insert(at, price)
                levels.insert(at, (price, size))

    def settle(self) -> None:
        """Apply the changes that wait in `later`."""
        if self.later:
            changes, self.later = self.later, {}
            self.apply(changes.items())

    def forget(self, most: int) -> None:
        """Keep the best half of ``most`` levels if there are more than ``most``."""
        if len(self._levels) > most:
            self.cut(most // 2)
            self.limit = self.worst

    def cut(self, depth: int) -> None:
        """Keep only the best ``depth`` levels, as the exchange does."""
        more = len(self._levels) - depth
        if more <= 0:
            return
        if self._ascending:
            del self._levels[depth:], self.prices[depth:-1]
        else:
            del self._levels[:more], self.prices[:more]

    def best(self, depth: int) -> tuple[Level, ...]:
        """Return the best levels, best first."""
        if self._ascending:
            return tuple(self._levels[:depth])
        return tuple(self._levels[: -depth - 1 : -1])

    @property
    def worst(self) -> float | None:
        """The worst price; None on an empty side."""
        if not self._levels:
            return None
        return self.prices[-2] if self._ascending else self.prices[0]

    def __len__(self) -> int:
        return len(self._levels)


class Sides:
    """Bids and asks."""

    __slots__ = ("asks", "bids")

    def __init__(self, number: Callable[[Any], float] = float) -> None:
        self.bids = Side(ascending=False, number=number)
        self.asks = Side(ascending=True, number=number)

    def replace(self, bids: Iterable[Change], asks: Iterable[Change]) -> None:
        """Replace the whole book."""
        self.bids.replace(bids)
        self.asks.replace(asks)

    def apply(self, bids: Iterable[Change], asks: Iterable[Change]) -> None:
        """Apply changes."""
        self.settle()
        self.bids.apply(bids)
        self.asks.apply(asks)

    def defer(self, bids: Sequence[Change], asks: Sequence[Change]) -> bool:
        """Keep changes for `settle`; return whether they are many by now.

        Most levels change again before a watcher takes the book; only the last size is applied.
        """
        later_bids, later_asks = self.bids.later, self.asks.later
        later_bids.update(bids)
        later_asks.update(asks)
        return len(later_bids) + len(later_asks) > _MANY

    @property
    def is_behind(self) -> bool:
        """Whether there are deferred changes."""
        return bool(self.bids.later or self.asks.later)

    def settle(self) -> None:
        """Apply the changes that were deferred."""
        self.bids.settle()
        self.asks.settle()

    def limit(self, bids: bool, asks: bool) -> None:
        """Note which sides may have more levels than the known ones."""
        for side, is_limited in ((self.bids, bids), (self.asks, asks)):
            side.limit = side.worst if is_limited else None

    def forget(self, most: int) -> None:
        """Keep the best half of ``most`` levels of a side that has more than ``most``."""
        self.bids.forget(most)
        self.asks.forget(most)

    def cut(self, depth: int) -> None:
        """Keep only the best ``depth`` levels a side."""
        self.bids.cut(depth)
        self.asks.cut(depth)

    @property
    def crossed(self) -> bool:
        """Whether the best bid reaches the best ask: no exchange leaves such orders open."""
        bids, asks = self.bids.prices, self.asks.prices
        return len(bids) > 1 and len(asks) > 1 and bids[-2] >= asks[0]
