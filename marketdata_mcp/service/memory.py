"""Returns memory to the system after a load."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["Bodies", "keep_small"]

_LOOK_SECONDS = 0.5
_LOAD = 100
"""Requests in flight from which memory is worth returning."""
_OVER = 10
"""A load is over when the requests in flight have dropped to this part of its maximum."""
_GROWN = 1.05
"""Relative growth of memory since the last time that causes another return."""
_BODIES = 8 << 20
"""Bytes of requests after which garbage is collected; the objects of them take several times as
much."""


async def keep_small(under_way: Callable[[], int]) -> None:
    """Check the number of requests in flight repeatedly, and return memory after many.

    Also after few requests if the process has grown, since each can have the maximum size.
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

    Python collects by the number of objects. A long list of strings has few of the objects that it
    counts, and the error that refuses the list keeps it in a reference cycle.
    """

    def __init__(self) -> None:
        self._bytes = 0

    def took(self, size: int) -> None:
        """Count received bytes of a request."""
        self._bytes += size
        if self._bytes > _BODIES:
            self._bytes = 0
            gc.collect()


def _resident() -> int:
    """Return the number of memory pages of the process; 0 if the system does not report it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0


def _give_back() -> None:
    """Collect garbage, and return the C library's free memory to the system."""
    # The collector traverses only some thousand objects, since those of imports are frozen.
    gc.collect()
    if sys.platform == "linux":
        # Only glibc needs this; others, such as musl, return memory by themselves.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
