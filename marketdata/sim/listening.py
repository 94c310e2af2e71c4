"""Listening ports that close together with every connection they accepted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from typing import cast

from aiohttp import web


class Listener:
    """Accepts the connections of an aiohttp server.

    aiohttp's own sites leave connections open that were accepted while they stop. A closed
    asyncio.Server no longer creates a connection for a socket that it has accepted, and
    `BaseRunner.cleanup` closes only the connections that it knows.
    """

    def __init__(self, runner: web.BaseRunner) -> None:
        self._runner = runner
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen on ``host`` and ``port`` (0: any free port) and return the base URL.

        On a machine without an IPv4 loopback address, 127.0.0.1 means the IPv6 one.
        """
        await self._runner.setup()
        try:
            self._server = await self._listen(host, port)
        except OSError:
            await self._runner.cleanup()
            raise
        # A name with several addresses can get a different port for each of them.
        address, bound = self._server.sockets[0].getsockname()[:2]
        return f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}"

    async def _listen(self, host: str, port: int) -> asyncio.Server:
        # A runner has a server once it is set up.
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
    """Close the port of ``server`` after every accepted socket has become a connection."""
    for listening in server.sockets:
        # Only loops with this selector accept sockets in the way that needs the wait.
        with contextlib.suppress(NotImplementedError):
            server.get_loop().remove_reader(listening.fileno())
    await _settled()
    server.close()


async def _settled() -> None:
    # asyncio needs three turns of the loop to make a connection of an accepted socket, and one to
    # drop a closed one.
    for _ in range(3):
        await asyncio.sleep(0)
