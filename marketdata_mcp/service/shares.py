"""Places that are held for a while, by whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from marketdata_mcp.live.places import has_share

__all__ = ["Shares"]


class Shares:
    """Places that are held for a while, by whom."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._held: Counter[str] = Counter()
        self._taken = 0

    def __len__(self) -> int:
        return self._taken

    def held(self, owner: str) -> int:
        """Return the number of places of an owner."""
        return self._held[owner]

    def take(self, owner: str) -> bool:
        """Take a place; False if there is none for this owner."""
        if not has_share(self._held[owner], self._taken, self._places):
            return False
        self._held[owner] += 1
        self._taken += 1
        return True

    def give_back(self, owner: str) -> None:
        """Release a place."""
        self._taken -= 1
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]

    @contextmanager
    def one(self, owner: str) -> Iterator[bool]:
        """Hold a place inside the block; yields False if there is none."""
        taken = self.take(owner)
        try:
            yield taken
        finally:
            if taken:
                self.give_back(owner)
