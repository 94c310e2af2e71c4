"""The process's stdin and stdout as bytes: used by nothing else, and read without threads."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator

__all__ = ["LONGEST_LINE", "Output", "claim", "lines"]

LONGEST_LINE = 4 << 20
"""Maximum bytes of a line, as in the SDK's servers."""
_CHUNK = 256 * 1024
_FLUSH_SECONDS = 1.0


def claim() -> tuple[int, int]:
    """Return descriptors of stdin and stdout that nothing else uses.

    Afterwards descriptor 0 is empty and descriptor 1 is stderr, so that a library that prints, or a
    child process, cannot write into the protocol. Raises OSError if one is closed.
    """
    incoming, outgoing = _apart(0), _apart(1)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return incoming, outgoing


def _apart(descriptor: int) -> int:
    """Copy a descriptor to a number above 2, because other code uses the first three."""
    copy = os.dup(descriptor)
    if copy > 2:
        return copy
    try:
        return _apart(descriptor)
    finally:
        os.close(copy)


async def lines(descriptor: int) -> AsyncIterator[bytes | None]:
    """Read lines until the other end closes; the last one may lack a newline.

    A line longer than `LONGEST_LINE` is discarded while it arrives, and yielded as None.
    """
    begun: list[bytes] = []
    size = 0
    async for chunk in _chunks(descriptor):
        for number, part in enumerate(chunk.split(b"\n")):
            if number:
                yield None if size > LONGEST_LINE else b"".join(begun)
                begun, size = [], 0
            size += len(part)
            if size > LONGEST_LINE:
                begun.clear()
            else:
                begun.append(part)
    yield None if size > LONGEST_LINE else b"".join(begun)


async def _chunks(descriptor: int) -> AsyncIterator[bytes]:
    if not _can_wait(descriptor):
        while chunk := os.read(descriptor, _CHUNK):
            yield chunk
        return
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    while chunk := await reader.read(_CHUNK):
        yield chunk


class Output:
    """Writes whole lines; `open` makes one."""

    def __init__(self, descriptor: int, writer: asyncio.StreamWriter | None) -> None:
        self._descriptor = descriptor
        self._writer = writer

    @classmethod
    async def open(cls, descriptor: int) -> Output:
        """Open a descriptor for writing."""
        if not _can_wait(descriptor):
            return cls(descriptor, None)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()),
            os.fdopen(descriptor, "wb", buffering=0),
        )
        return cls(descriptor, asyncio.StreamWriter(transport, protocol, None, loop))

    def put(self, line: bytes) -> None:
        """Queue a line; it may still wait for the reader when this returns."""
        data = line + b"\n"
        if self._writer is not None:
            self._writer.write(data)
            return
        while data:
            data = data[os.write(self._descriptor, data) :]

    async def drain(self) -> None:
        """Wait until the reader has caught up; raises ConnectionError if it has closed."""
        if self._writer is not None:
            await self._writer.drain()

    async def finish(self) -> None:
        """Write the waiting lines if the reader accepts them, and close."""
        if self._writer is None:
            return
        self._writer.close()
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await self._writer.wait_closed()
        except (ConnectionError, TimeoutError):
            pass


def _can_wait(descriptor: int) -> bool:
    """Return whether the event loop can wait for a descriptor; not for files or the null device."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
