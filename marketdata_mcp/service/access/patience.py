"""Waiting for so long at most, on an event loop that is busy with other things as well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

__all__ = ["others_come", "within"]

T = TypeVar("T")

_LOOKS = 4
"""How often `within` looks whether there is an answer, before it counts as none."""
_TURNS = 4


async def within(seconds: float, work: Awaitable[T]) -> T:
    """Wait for work so long at most; raises TimeoutError.

    Time in which the event loop was busy with something else does not count as the work's: between
    any two looks the loop takes in what has come.
    """
    loop = asyncio.get_running_loop()
    waiting = asyncio.timeout(None)
    timer: asyncio.TimerHandle

    def look(left: int) -> None:
        nonlocal timer
        if left:
            timer = loop.call_later(seconds / _LOOKS, look, left - 1)
        else:
            waiting.reschedule(loop.time())

    look(_LOOKS)
    try:
        async with waiting:
            return await work
    finally:
        timer.cancel()


async def others_come() -> None:
    """Let what is asked of a store in the next turns of the event loop come, to be asked together.

    A loop with nothing else to do is through with them at once.
    """
    for _ in range(_TURNS):
        await asyncio.sleep(0)
