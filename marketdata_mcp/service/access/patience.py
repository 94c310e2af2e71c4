"""Waiting for so long at most, on an event loop that is busy with other things as well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

__all__ = ["within"]

T = TypeVar("T")

_LOOKS = 4
"""How often `within` looks whether there is an answer, before it counts as none."""


async def within(seconds: float, work: Awaitable[T]) -> T:
    """Wait for work so long at most; raises TimeoutError.

    Time in which the event loop was busy with something else does not count as the work's: between
    any two looks the loop takes in what has come.
    """
    task = asyncio.ensure_future(work)
    try:
        for _ in range(_LOOKS):
            done, _ = await asyncio.wait([task], timeout=seconds / _LOOKS)
            if done:
                return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
