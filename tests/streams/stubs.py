"""Small servers with one exchange's format each, for cases that the simulator lacks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from inside.exchanges import connector_class
from inside.markets import Lists

import marketdata as md
from marketdata.sim.listening import Listener

Talk = Callable[[web.WebSocketResponse, Any], Awaitable[None]]
Answer = Callable[[web.Request], Any]


@asynccontextmanager
async def stub(
    exchange: str,
    home: Path,
    talk: Talk,
    answer: Answer = lambda request: {},
    **more: Any,
) -> AsyncIterator[md.AsyncClient]:
    """Yield a client of one exchange that trades BTC/USDT, whose id is ``btcusdt``.

    ``talk`` is called with each message of the client, ``answer`` makes the answers to requests.
    """

    async def serve(request: web.Request) -> web.StreamResponse:
        if "upgrade" not in request.headers.get("Connection", "").lower():
            return web.json_response(answer(request))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if isinstance(message.data, str) and message.data[:1] in "{[":
                await talk(socket, json.loads(message.data))
        return socket

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serve)
    listener = Listener(web.AppRunner(app, shutdown_timeout=0.1))
    endpoint = await listener.start()
    Lists(home).plant(exchange, [_market(exchange)], endpoint=endpoint)
    try:
        async with md.AsyncClient(
            exchange, endpoints={exchange: endpoint}, home=home, retries=0, **more
        ) as client:
            yield client
    finally:
        await listener.stop()


def _market(exchange: str) -> Any:
    kinds = dict.fromkeys(("margin", "swap", "future", "option", "contract", "stock"), False)
    return connector_class(exchange)({}).safe_market_structure(
        {
            **kinds,
            "id": "btcusdt",
            "lowercaseId": "btcusdt",
            "symbol": "BTC/USDT",
            "base": "BTC",
            "quote": "USDT",
            "baseId": "BTC",
            "quoteId": "USDT",
            "type": "spot",
            "spot": True,
            "active": True,
            "info": {},
            "precision": {"amount": 1e-8, "price": 0.01},
        }
    )
