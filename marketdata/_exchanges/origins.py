"""Redirects are followed on the same host only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yarl import URL

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse


async def same_origin(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Send a request, and end it if it is redirected to another host.

    Requests may be signed with an account's key, and another host's response is not the exchange's.
    This includes the requests that open WebSockets.
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
