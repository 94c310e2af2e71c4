"""Standard output of a long-running command: a slow reader delays only the writes."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress

from marketdata_cli import process

_AT_ONCE = 4096
"""Bytes that a pipe accepts at once if it accepts any."""


class Output:
    """Standard output that does not block the event loop."""

    def __init__(self) -> None:
        self._number: int | None = None
        with suppress(OSError, ValueError):  # standard output is closed, or is no file
            self._number = sys.stdout.fileno()

    async def write(self, text: str) -> int:
        """Write, and return the exit code; 0 means to continue."""
        data = text.encode(sys.stdout.encoding, "replace")
        for start in range(0, len(data), _AT_ONCE):
            await self._can_take()
            if code := process.send([data[start : start + _AT_ONCE]]):
                return code
        return 0

    async def _can_take(self) -> None:
        """Wait until a write would not block."""
        if self._number is None:
            return
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        try:
            loop.add_writer(self._number, ready.set)
        # A file never blocks. Windows and macOS cannot wait for some other kinds of output.
        except (OSError, NotImplementedError):
            self._number = None
            return
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._number)

    def when_closed(self, call: Callable[[], None]) -> None:
        """Call a function as soon as the reader of a pipe has closed it."""
        if self._number is None or not stat.S_ISFIFO(os.fstat(self._number).st_mode):
            return
        loop = asyncio.get_running_loop()

        def closed(number: int) -> None:
            loop.remove_reader(number)
            call()

        # The writing end of a pipe becomes readable only when its reader has closed it. If the loop
        # cannot wait for that (Windows, macOS), the next write fails.
        with suppress(OSError, NotImplementedError):
            loop.add_reader(self._number, closed, self._number)
