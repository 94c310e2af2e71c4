"""A gateway that holds back requests until a test releases them, and clients behind it."""

from __future__ import annotations

import asyncio
from fnmatch import fnmatchcase
from typing import Any

import pytest
from aiohttp import ClientSession, web

import marketdata as md
from marketdata.sim import SimulatedExchange

from .gateway import Gateway
from .markets import DIALECTS


class Gate(Gateway):
    """``came`` holds the addresses of the requests that were held back.

    ``gone`` counts those whose callers left meanwhile, ``most`` how many were there at once.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self._shut: str | None = None
        self._opened = asyncio.Event()
        self.came: list[str] = []
        self.here = self.most = self.gone = 0

    def shut(self, path: str = "*") -> None:
        """From now on, hold back requests for paths like ``path``."""
        self._shut, self._opened = path, asyncio.Event()

    def open(self) -> None:
        """Release all requests."""
        self._shut = None
        self._loop.call_soon_threadsafe(self._opened.set)

    async def _pass(self, session: ClientSession, request: web.BaseRequest) -> web.Response:
        if self._shut is not None and fnmatchcase(request.path, self._shut):
            self.came.append(request.path_qs)
            self.here += 1
            self.most = max(self.most, self.here)
            try:
                await self._opened.wait()
            except asyncio.CancelledError:
                self.gone += 1
                raise
            finally:
                self.here -= 1
        return await super()._pass(session, request)


def client_of(to: SimulatedExchange | Gate, exchange: Any = "binance", **more: Any):
    """A client of the simulated exchanges at an address, without retries unless they are given."""
    more.setdefault("retries", 0)
    return md.AsyncClient(exchange, endpoints=dict.fromkeys(DIALECTS, to.url), **more)


def let_all_time_pass() -> None:
    """Let the deadlines of all calls pass at once, as if a program had blocked its loop."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + 1000.0  # type: ignore[method-assign]


def told(client: md.AsyncClient, exchange: str = "binance") -> md.Upstream:
    """Return a client's state of its calls to an exchange."""
    [found] = [one for one in client.upstream() if one.exchange == exchange]
    return found


async def failure(call: Any) -> md.ExchangeUnavailableError:
    """Return the error of a failing call."""
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        await call
    assert caught.value.__context__ is None
    return caught.value
