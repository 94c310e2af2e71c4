"""The two sides of a live order book, kept sorted, that changes are applied to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from marketdata.models import Level

__all__ = ["Change", "Side", "Sides"]

Change: TypeAlias = Sequence[Any]
"""Price and size, as text or as numbers; size 0 removes the level. More positions are ignored."""


class Side:
    """The levels of one side, best first.

    Two lists of equal length: the levels, and the prices that they are sorted by, negative on
    the bid side. Lists of a thousand are searched and changed faster than any tree, and their
    best part is copied at once.
    """

    __slots__ = ("_keys", "_sign", "levels")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys: list[float] = []
        self.levels: list[Level] = []
        """(price, size), best first."""

    def replace(self, changes: Iterable[Change]) -> None:
        """Take these levels and no others."""
        found = {float(change[0]): float(change[1]) for change in changes}
        self.levels = sorted(
            ((price, size) for price, size in found.items() if size),
            reverse=self._sign < 0,
        )
        self._keys = [self._sign * level[0] for level in self.levels]

    def apply(self, changes: Iterable[Change]) -> None:
        """Set the sizes of levels, in turn."""
        keys, levels, sign = self._keys, self.levels, self._sign
        for change in changes:
            price, size = float(change[0]), float(change[1])
            key = sign * price
            at = bisect_left(keys, key)
            if at < len(keys) and keys[at] == key:
                if size:
                    levels[at] = (price, size)
                else:
                    del keys[at], levels[at]
            elif size:
                keys.insert(at, key)
                levels.insert(at, (price, size))

    def cut(self, depth: int) -> None:
        """Drop what lies behind so many levels."""
        if len(self._keys) > depth:
            del self._keys[depth:], self.levels[depth:]

    def best(self, depth: int) -> tuple[Level, ...]:
        """Copy the best levels."""
        return tuple(self.levels[:depth])

    def __len__(self) -> int:
        return len(self._keys)


class Sides:
    """Bids and asks."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = Side(-1)
        self.asks = Side(1)

    def replace(self, bids: Iterable[Change], asks: Iterable[Change]) -> None:
        """Take a whole book."""
        self.bids.replace(bids)
        self.asks.replace(asks)

    def apply(self, bids: Iterable[Change], asks: Iterable[Change]) -> None:
        """Apply what has changed."""
        self.bids.apply(bids)
        self.asks.apply(asks)

    def cut(self, depth: int) -> None:
        """Drop what lies behind so many levels a side."""
        self.bids.cut(depth)
        self.asks.cut(depth)

    @property
    def crossed(self) -> bool:
        """Whether somebody bids as much as somebody asks, which no exchange leaves standing."""
        bids, asks = self.bids.levels, self.asks.levels
        return bool(bids and asks) and bids[0][0] >= asks[0][0]

    @property
    def empty(self) -> bool:
        """Whether there is no level at all."""
        return not (self.bids.levels or self.asks.levels)
