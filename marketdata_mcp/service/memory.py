"""Memory that a load has left behind, given back to the system once the load is over."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["Bodies", "keep_small"]

_LOOK_SECONDS = 0.5
_LOAD = 100
"""Requests under way at a time from which on there is something to give back."""
_OVER = 10
"""A load is over when it has come down to this part of it."""
_GROWN = 1.05
"""How much more memory than after the last time there may be before some is given back."""
_BODIES = 8 << 20
"""Bytes of requests after which garbage is collected; what is made of them takes several times as
many."""


async def keep_small(under_way: Callable[[], int]) -> None:
    """Look how many requests are under way, again and again, and give memory back after many.

    After few as well, where the process has grown by them: each may have been as large as it may.
    """
    most, small = 0, _resident()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now = under_way()
        most = max(most, now)
        if now * _OVER <= most and (most >= _LOAD or _resident() > small * _GROWN):
            _give_back()
            most, small = now, _resident()


class Bodies:
    """Collects garbage by the bytes of requests.

    Python does so by the number of objects. What is made of a long list of texts are few of those
    that it counts, and an error that refuses the list holds it in a circle.
    """

    def __init__(self) -> None:
        self._bytes = 0

    def took(self, size: int) -> None:
        """Note that so many bytes of a request have come."""
        self._bytes += size
        if self._bytes > _BODIES:
            self._bytes = 0
            gc.collect()


def _resident() -> int:
    """Tell how many pages of memory the process has; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0


def _give_back() -> None:
    """Free what nobody refers to, and what the C library keeps of it for later."""
    # What the collector looks at are some thousand objects: those of imports are frozen.
    gc.collect()
    if sys.platform == "linux":
        import ctypes

        # Of glibc; others, such as musl, give back by themselves.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
