"""Ports that are listened on, and closed with every connection they have accepted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from typing import cast

from aiohttp import web


class Listener:
    """What listens for an aiohttp server.

    The sites of aiohttp leave connections open that are accepted while they stop: an
    asyncio.Server that is closed makes no connection of a socket it has accepted, and
    `BaseRunner.cleanup` closes those that it knows of.
    """

    def __init__(self, runner: web.BaseRunner) -> None:
        self._runner = runner
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen on ``host`` and ``port`` (0: a free one) and return the base URL.

        Where a machine has no loopback of IPv4, 127.0.0.1 is that of IPv6.
        """
        await self._runner.setup()
        try:
            self._server = await self._listen(host, port)
        except OSError:
            await self._runner.cleanup()
            raise
        # Of a name that has several addresses, each may have another port.
        address, bound = self._server.sockets[0].getsockname()[:2]
        return f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}"

    async def _listen(self, host: str, port: int) -> asyncio.Server:
        # A runner that is set up has a server.
        factory = cast(web.Server, self._runner.server)
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(factory, host, port)
        except OSError as error:
            lacks_it = error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
            if not (lacks_it and host == "127.0.0.1"):
                raise
            return await loop.create_server(factory, "::1", port)

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            await close(self._server)
        await self._runner.cleanup()
        await _settled()


async def close(server: asyncio.Server) -> None:
    """Close what ``server`` listens on, once it has made connections of all it has accepted."""
    for listening in server.sockets:
        # Loops that do not watch their sockets in this way do not accept them in this way either.
        with contextlib.suppress(NotImplementedError):
            server.get_loop().remove_reader(listening.fileno())
    await _settled()
    server.close()


async def _settled() -> None:
    # An accepted socket is a connection three turns of the loop later, a closed one is lost within
    # one.
    for _ in range(3):
        await asyncio.sleep(0)
