"""Redirects: followed at the host that was asked, and to no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yarl import URL

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse


async def same_origin(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Send a request, and end it where the answer leads to another host.

    What is sent may be signed with the key of an account, and what comes from elsewhere is not the
    exchange's. Sockets begin with a request as well.
    """
    response = await handler(request)
    location = response.headers.get("Location") or response.headers.get("URI")
    if response.status in (301, 302, 303, 307, 308) and location is not None:
        import aiohttp

        try:
            there = request.url.join(URL(location)).origin()
        except ValueError:
            there = None
        if there != request.url.origin():
            response.close()
            raise aiohttp.ClientConnectionError("a redirect to another host")
    return response
