"""How often somebody may come, counted in this process alone: cheap, and for what costs little.

What is paid for is counted where all replicas see it (`access/`). This is a bound on the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Rates"]

_BURST_SECONDS = 10.0
_BURST = 100
"""How much may come at once: what comes in so many seconds, and at least so many messages."""
_KNOWN = 10_000
"""Owners of whom something is known; who is not has not come for a while."""


class Rates:
    """The rates of many owners, each a bucket that fills at its rate and that a message empties."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: dict[str, float] = {}
        """When each bucket is full again; the fullest first."""

    def __len__(self) -> int:
        return len(self._full_at)

    def wait(self, owner: str, a_minute: float) -> float:
        """Count a message; if it is one too many, return the seconds to wait and count nothing."""
        now, each = self._clock(), 60.0 / a_minute
        full_at = max(now, self._full_at.pop(owner, now)) + each
        room = max(_BURST_SECONDS, _BURST * each)
        if full_at - now > room:
            self._full_at[owner] = full_at - each
            return full_at - now - room
        self._full_at[owner] = full_at
        if len(self._full_at) > _KNOWN:
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        """Forget a tenth at least, so that looking at all of them comes with few messages."""
        self._full_at = {owner: at for owner, at in self._full_at.items() if at > now}
        for owner in list(self._full_at)[: len(self._full_at) - _KNOWN * 9 // 10]:
            del self._full_at[owner]
