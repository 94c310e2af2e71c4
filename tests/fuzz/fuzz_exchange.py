"""Exchanges that answer with anything, and in words that nobody else may repeat."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from marketdata.sim import SimulatedExchange
from marketdata.sim.listening import Listener

CANARY = "Upstream5c4f1e"
"""A text that is the exchanges' own."""


class Poison(NamedTuple):
    """An answer that is none."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Poisoned:
    """Simulated exchanges, of which every answer can be replaced."""

    def __init__(self) -> None:
        self.poison: Poison | None = None
        """What all requests are answered with; None: what the exchange answers."""
        self.change: Callable[[Any], bytes] | None = None
        """What is made of what it answers."""
        self._simulated = SimulatedExchange(seed=3)
        self._listener = Listener(web.AppRunner(self._application(), access_log=None))
        self._session: aiohttp.ClientSession | None = None

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/{name}/{rest:.*}", self._answer)
        return application

    async def start(self) -> dict[str, str]:
        """Listen, and give the endpoints."""
        await self._simulated.start()
        self._session = aiohttp.ClientSession()
        url = await self._listener.start()
        return {name: f"{url}/{name}" for name in self._simulated.endpoints}

    async def stop(self) -> None:
        """Listen no more."""
        await self._listener.stop()
        assert self._session is not None
        await self._session.close()
        await self._simulated.stop()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        poison = self.poison
        if poison is not None:
            return web.Response(status=poison.status, headers=poison.headers, body=poison.body)
        assert self._session is not None
        name = request.match_info["name"]
        url = self._simulated.endpoints[name] + "/" + request.match_info["rest"]
        async with self._session.get(url, params=request.query) as told:
            body = await told.read()
        if self.change is not None:
            body = self.change(json.loads(body))
        return web.Response(status=told.status, body=body, content_type="application/json")
