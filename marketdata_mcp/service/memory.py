"""Returns memory to the system after a load."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from contextvars import copy_context
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
"""Bytes of requests after which garbage is collected; what is made of them takes several times as
many."""
_TIMERS = 2_000
"""More than there are of others after a load."""
_LATER_SECONDS = 3600.0
_STATE = Path("/proc/self/statm")
_ITERATORS = 255
"""How many iterators of futures Python keeps."""


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
            await _give_back()
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
        return int(_STATE.read_bytes().split()[1])
    except OSError:
        return 0


async def _give_back() -> None:
    """Free what nobody needs, and what Python and the C library keep of it for later.

    Python can free a mebibyte only when nothing at all is left in it. After a load a few hundred
    small things that it keeps hold ten times that, each a piece of its own.
    """
    await _drop_timers()
    _forget_names()
    # What the collector looks at are some thousand objects: those of imports are frozen.
    gc.collect()
    _renew_iterators()
    if sys.platform == "linux":
        import ctypes

        # Only glibc needs this; others, such as musl, return memory by themselves.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


async def _drop_timers() -> None:
    """Have the event loop drop its cancelled timers, each with the context of its request.

    It keeps them until they are due, unless they are more than half of all.
    """
    loop, context = asyncio.get_running_loop(), copy_context()
    for _ in range(_TIMERS):
        loop.call_later(_LATER_SECONDS, _give_back, context=context).cancel()
    await asyncio.sleep(0)


def _forget_names() -> None:
    """Have Python forget the names that attributes were looked up by last.

    It keeps 4,096 of them, many of which were made for one look-up.
    """
    if sys.version_info >= (3, 13):
        sys._clear_internal_caches()
    else:
        sys._clear_type_cache()


def _renew_iterators() -> None:
    """Have Python free the iterators that it keeps for the next ``await`` of a future.

    It takes those that it keeps first, and frees what comes back when it has enough.
    """
    future = asyncio.get_running_loop().create_future()
    kept = [future.__await__() for _ in range(_ITERATORS)]
    fresh = [future.__await__() for _ in range(_ITERATORS)]
    del fresh
    del kept
