"""A server that accepts any socket and request, and notes the requests for each exchange."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from marketdata.sim import listening

TOKEN = {
    "code": "200000",
    "data": {
        "token": "T",
        "instanceServers": [
            {"endpoint": "wss://example.org/", "pingInterval": 18_000, "pingTimeout": 10_000}
        ],
    },
}
"""What some exchanges want to be asked for before a socket is opened."""
_OF_THE_MOMENT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\d{10,}")


class Listener:
    """Notes, by the first part of the path: requests, sockets and messages, in order."""

    def __init__(self) -> None:
        self.heard: dict[str, list[str]] = defaultdict(list)
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def begun(cls) -> AsyncIterator[Listener]:
        made = cls()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", made._answer)
        listener = listening.Listener(web.AppRunner(app, shutdown_timeout=0.1))
        made.url = await listener.start()
        try:
            yield made
        finally:
            await listener.stop()

    def _note(self, exchange: str, what: str) -> None:
        self.heard[exchange].append(_OF_THE_MOMENT.sub("N", what))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        _, exchange, *_ = request.path.split("/")
        path = request.path_qs.removeprefix(f"/{exchange}")
        if "upgrade" not in request.headers.get("Connection", "").lower():
            self._note(exchange, f"{request.method} {path}")
            return web.json_response(TOKEN)
        self._note(exchange, f"socket {path}")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if isinstance(message.data, str):
                self._note(exchange, message.data)
        return socket


def subscription(heard: list[str]) -> list[str]:
    """Return the last socket and what was sent on it, without pings."""
    sockets = [number for number, one in enumerate(heard) if one.startswith("socket ")]
    if not sockets:
        return []
    path, *sent = heard[sockets[-1] :]
    sent = [one for one in sent if one[:1] in "{[" and '"ping"' not in one.lower()]
    return [path, *sent[:1]]


def as_row(cell: Any) -> str:
    """Return a cell of the table as one text."""
    return " ".join(cell) if isinstance(cell, list) else str(cell)
