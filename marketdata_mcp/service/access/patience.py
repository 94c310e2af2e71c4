"""Time limits on an event loop that is busy with other work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

__all__ = ["others_come", "within"]

T = TypeVar("T")

_LOOKS = 4
"""The number of checks of `within` for a result before it times out."""
_TURNS = 4


async def within(seconds: float, work: Awaitable[T]) -> T:
    """Wait for work for a maximum time; raises TimeoutError.

    Time in which the event loop was busy with other work does not count: between two checks, the
    loop handles received data.
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
    """Wait some turns of the event loop, to collect more requests to a store.

    On an idle loop this takes no time.
    """
    for _ in range(_TURNS):
        await asyncio.sleep(0)
