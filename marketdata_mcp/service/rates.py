"""Rate limits of messages, counted in this process only, because they are cheap.

Calls with a price are counted for all replicas (`access/`). This limits everything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Rates"]

_BURST_SECONDS = 10.0
_BURST = 100
"""The size of a burst: the messages of so many seconds, and at least so many messages."""
_KNOWN = 10_000
"""Maximum number of owners with a state; others have sent nothing for a while."""


class Rates:
    """The rates of many owners: token buckets that fill at a rate, and that messages empty."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: dict[str, float] = {}
        """The time at which each bucket is full again, earliest first."""

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
        """Forget at least a tenth, so that this full scan is rare."""
        self._full_at = {owner: at for owner, at in self._full_at.items() if at > now}
        for owner in list(self._full_at)[: len(self._full_at) - _KNOWN * 9 // 10]:
            del self._full_at[owner]
