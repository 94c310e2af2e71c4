"""Memory that a load has left behind, given back to the system once the load is over."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import Callable

__all__ = ["keep_small"]

_LOOK_SECONDS = 0.5
_LOAD = 100
"""Requests under way at a time from which on there is something to give back."""
_OVER = 10
"""A load is over when it has come down to this part of it."""


async def keep_small(under_way: Callable[[], int]) -> None:
    """Look how many requests are under way, again and again, and give memory back after many."""
    most = 0
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now = under_way()
        most = max(most, now)
        if most >= _LOAD and now * _OVER <= most:
            _give_back()
            most = now


def _give_back() -> None:
    """Free what nobody refers to, and what the C library keeps of it for later."""
    # What the collector looks at are some thousand objects: those of imports are frozen.
    gc.collect()
    if sys.platform == "linux":
        # Of glibc; others, such as musl, give back by themselves.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
