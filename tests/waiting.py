"""Waits for what other threads, processes and tasks do.

What does not happen in time is a TimeoutError, as it is where asyncio or a socket waits: time may
be all that was lacking, on a busy machine. In CI a test may be repeated for that alone.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds until something counts as hanging."""

Told = Callable[[], object]


def until(
    condition: Callable[[], T],
    *,
    seconds: float = PATIENCE,
    pause: float = 0.005,
    what: Told | None = None,
    process: Popen[Any] | None = None,
) -> T:
    """Wait until something holds, and give it; `what` is told where it never does.

    A `process` that has to go on meanwhile may not end.
    """
    ends = time.monotonic() + seconds
    while not (found := condition()):
        _in_time(ends, what)
        assert process is None or process.poll() is None, f"ended before; {_told(what)}"
        time.sleep(pause)
    return found


async def soon(
    condition: Callable[[], T],
    *,
    seconds: float = PATIENCE,
    pause: float = 0.005,
    what: Told | None = None,
) -> T:
    """Wait as `until` does, while other tasks go on."""
    ends = time.monotonic() + seconds
    while not (found := condition()):
        _in_time(ends, what)
        await asyncio.sleep(pause)
    return found


def happened(event: threading.Event, seconds: float = PATIENCE) -> None:
    """Wait for what another thread tells."""
    if not event.wait(seconds):
        raise TimeoutError("it never happened")


def joined(thread: threading.Thread, seconds: float = PATIENCE) -> None:
    """Wait for the end of a thread."""
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"{thread.name} goes on")


@contextmanager
def taking_at_most(seconds: float) -> Iterator[None]:
    """Fail as a timeout does where a block has taken longer."""
    began = time.monotonic()
    yield
    if (took := time.monotonic() - began) > seconds:
        raise TimeoutError(f"it took {took:.1f} s instead of {seconds:g}")


def _in_time(ends: float, what: Told | None) -> None:
    if time.monotonic() > ends:
        raise TimeoutError(f"never came true; {_told(what)}")


def _told(what: Told | None) -> object:
    return what() if what else "nothing more is known"
