"""What a load leaves behind is given back once it is over."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextvars import Context, ContextVar

import pytest
from waiting import soon

from marketdata_mcp.service import memory

PINNED = """
import asyncio, sys
from pathlib import Path
from marketdata_mcp.service import memory

def resident():
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * 4096 / 2**20

def spread(make, filler):
    "Make 250 things, each in a piece of memory in which nothing else stays."
    things, fillers = [], []
    for number in range(250):
        fillers.append([bytes(filler) for _ in range(400)])
        things.append(make(number))
    return things

async def main():
    memory._LOOK_SECONDS = 0.01
    future = asyncio.get_running_loop().create_future()
    before = resident()
    things = spread(lambda _: future.__await__(), 15)
    things = spread(lambda number: getattr(future, f"name{number}", None), 31)
    del things
    held = resident()
    under_way = iter([1000])
    giving = asyncio.create_task(memory.keep_small(lambda: next(under_way, 0)))
    for _ in range(300):
        await asyncio.sleep(0.01)
        if resident() - before < (held - before) / 2:
            break
    print(held - before, resident() - before)

asyncio.run(main())
"""
"""Has Python keep iterators and names, for its own use, all over the memory that a load took."""


class _Held:
    """Something that a request's context holds."""


async def _given_back(condition: Callable[[], bool]) -> None:
    """Have a load be over, and wait until something holds."""
    under_way = iter([1000])
    giving = asyncio.create_task(memory.keep_small(lambda: next(under_way, 0)))
    try:
        await soon(condition)
    finally:
        giving.cancel()


def test_cancelled_timers_of_a_load_hold_nothing_once_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_LOOK_SECONDS", 0.01)
    request: ContextVar[_Held] = ContextVar("request")

    def timed() -> weakref.ref[_Held]:
        held = _Held()
        context = Context()
        context.run(request.set, held)
        asyncio.get_running_loop().call_later(75, print, context=context).cancel()
        return weakref.ref(held)

    async def work() -> None:
        waiting = asyncio.get_running_loop().call_later(60, print)  # the next that is due
        held = [timed() for _ in range(90)]
        await asyncio.sleep(0)
        assert all(one() is not None for one in held)
        await _given_back(lambda: all(one() is None for one in held))
        assert not waiting.cancelled()
        waiting.cancel()

    asyncio.run(work())


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told in /proc")
def test_what_python_keeps_for_itself_pins_no_memory_of_a_load() -> None:
    told = subprocess.run(
        [sys.executable, "-c", PINNED], check=True, capture_output=True, text=True
    ).stdout
    held, left = map(float, told.split())
    assert left < held / 2
