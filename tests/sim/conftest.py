"""Connects the real ccxt connectors to a simulated exchange."""

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import ccxt.async_support as ccxt
import pytest
from ccxt import pro

from marketdata.sim import SimulatedExchange

NOW = int(datetime(2025, 6, 15, 12, 34, 56, 789_000, tzinfo=UTC).timestamp() * 1000)

Connect = Callable[..., AbstractAsyncContextManager[Any]]


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _moved(urls: Any, base: str) -> Any:
    if isinstance(urls, dict):
        return {name: _moved(value, base) for name, value in urls.items()}
    return base + urlsplit(urls).path


@pytest.fixture(scope="session")
def connect() -> Connect:
    """Return a context manager: a ccxt connector whose every host is the simulator."""

    @contextlib.asynccontextmanager
    async def connector(name: str, sim: SimulatedExchange, **options: Any) -> AsyncIterator[Any]:
        exchange = getattr(ccxt, name)(
            {
                "enableRateLimit": False,
                "timeout_on_exit": 0,
                "options": {"fetchMarkets": {"types": ["spot"]}, **options},
            }
        )
        exchange.urls["api"] = _moved(exchange.urls["api"], sim.url)
        try:
            yield exchange
        finally:
            await exchange.close()

    return connector


def _streamed(urls: Any, base: str) -> Any:
    """Send what is told of sockets to the simulator and leave the rest alone."""
    if isinstance(urls, dict):
        return {name: _streamed(value, base) for name, value in urls.items()}
    parts = urlsplit(urls)
    return base + parts.path if parts.scheme in ("ws", "wss") else urls


@pytest.fixture(scope="session")
def stream() -> Connect:
    """Return a context manager: a ccxt.pro connector whose every host is the simulator."""

    @contextlib.asynccontextmanager
    async def connector(name: str, sim: SimulatedExchange, **options: Any) -> AsyncIterator[Any]:
        exchange = getattr(pro, name)(
            {
                "enableRateLimit": False,
                "timeout_on_exit": 0,
                "newUpdates": True,
                "options": {"fetchMarkets": {"types": ["spot"]}, **options},
            }
        )
        sockets = sim.url.replace("http", "ws", 1)
        moved = _streamed(exchange.urls["api"], sockets)
        exchange.urls["api"] = {**_moved(moved, sim.url), "ws": moved.get("ws")}
        try:
            yield exchange
        finally:
            await exchange.close()

    return connector


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatedExchange]:
    """A simulated exchange whose clock stands still at NOW."""
    with SimulatedExchange(seed=5, now=NOW, frozen=True) as started:
        yield started


@pytest.fixture
def now() -> int:
    return NOW


@pytest.fixture(scope="session")
def fetch() -> Callable[..., Answer]:
    """Return a function that sends one raw request."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(sim: SimulatedExchange, path: str, *, method: str = "GET", body: Any = None, **query):
        url = sim.url + path + ("?" + urlencode(query) if query else "")
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(url, method=method, data=data)
        try:
            with opener.open(request, timeout=30) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    return get
