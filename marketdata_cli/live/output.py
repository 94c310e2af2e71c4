"""Standard output for a long time: what is written waits for its reader, and nothing else does."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress

from marketdata_cli import process

_AT_ONCE = 4096
"""Bytes that a pipe which can take any takes at once."""


class Output:
    """Standard output, written to on an event loop that goes on meanwhile."""

    def __init__(self) -> None:
        self._number: int | None = None
        with suppress(OSError, ValueError):  # there is none, or what stands in for it has none
            self._number = sys.stdout.fileno()

    async def write(self, text: str) -> int:
        """Write, and give the exit code that follows from it; 0 is to go on."""
        data = text.encode(sys.stdout.encoding, "replace")
        for start in range(0, len(data), _AT_ONCE):
            await self._can_take()
            if code := process.send([data[start : start + _AT_ONCE]]):
                return code
        return 0

    async def _can_take(self) -> None:
        """Wait until a write does not have to."""
        if self._number is None:
            return
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        try:
            loop.add_writer(self._number, ready.set)
        # A file always can take it. Of other things Windows and macOS may not be able to tell.
        except (OSError, NotImplementedError):
            self._number = None
            return
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._number)

    def when_closed(self, call: Callable[[], None]) -> None:
        """Have something called as soon as the reader of a pipe has gone."""
        if self._number is None or not stat.S_ISFIFO(os.fstat(self._number).st_mode):
            return
        loop = asyncio.get_running_loop()

        def closed(number: int) -> None:
            loop.remove_reader(number)
            call()

        # The end that is written to can never be read from, except for this. Where the loop cannot
        # wait for it (Windows, macOS), the next write tells.
        with suppress(OSError, NotImplementedError):
            loop.add_reader(self._number, closed, self._number)
