"""A server on the loopback whose connections a test serves itself, as streams of bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from marketdata.sim.listening import close

Take = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(take: Take) -> AsyncIterator[int]:
    """Have `take` serve every connection, and give the port; at the end none is open.

    A server of asyncio's leaves those open that it accepts while it is closed, and those whose
    task is cancelled.
    """
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                await take(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await close(server)
        for one in serving:
            one.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
