"""A simulated exchange whose clock the test moves, and watches of it over every transport."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client
from mcp_doors import content, over_stdio, serving
from waiting import soon as until

from marketdata import AsyncClient
from marketdata.sim import SimulatedExchange
from marketdata_mcp import app
from marketdata_mcp.live.watches import Limits

NOW = 1_750_000_000_700
BTC = "market://binance/BTC-USDT"

DOORS = ("memory", "stdio", "http")
WAYS = (("memory", "auto"), ("memory", "legacy"), ("stdio", "legacy"), ("http", "auto"))
"""Transports and protocol versions for tests that do not depend on both."""

KINDS: dict[str, dict[str, Any]] = {
    "ticker": {"pair": "btc-usdt"},
    "quote": {"pair": "BTC/USDT"},
    "orderbook": {"pairs": ["BTC/USDT", "ETHUSDT"], "depth": 7},
    "trades": {"pair": "BTC/USDT", "exchange": "binance"},
    "candles": {"pair": "BTC/USDT", "timeframe": "1m"},
}


def frozen(**options: Any) -> SimulatedExchange:
    """Return an exchange on which only `advance` moves the time."""
    return SimulatedExchange(seed=3, now=NOW, frozen=True, **options)


def endpoints(sim: SimulatedExchange) -> dict[str, str]:
    """Return the variables for a server that uses the simulated exchange."""
    return {
        "MARKETDATA_ENDPOINTS": json.dumps(sim.endpoints),
        "MARKETDATA_EXCHANGE": "binance",
    }


@asynccontextmanager
async def near(
    sim: SimulatedExchange,
    home: Path,
    era: str = "auto",
    *,
    timeout: float = 10,
    message_handler: Any = None,
    **limits: Any,
) -> AsyncIterator[Client]:
    """Connect to a server in memory, with other limits than the usual ones."""
    client = AsyncClient("binance", endpoints=sim.endpoints, home=home, retries=0, timeout=timeout)
    server = app.Service(client, limits=Limits(**limits)).server()
    async with Client(server, mode=era, message_handler=message_handler) as connected:
        yield connected


@asynccontextmanager
async def through(
    door: str, sim: SimulatedExchange, home: Path, era: str = "auto", message_handler: Any = None
) -> AsyncIterator[Client]:
    """Connect to a server over a door."""
    named = {"era": era, "message_handler": message_handler}
    if door == "memory":
        async with near(sim, home, **named) as client:
            yield client
    elif door == "stdio":
        async with over_stdio(home, **named, **endpoints(sim)) as client:
            yield client
    else:
        async with (
            serving(home, "--http", "127.0.0.1:0", **endpoints(sim)) as (url, _),
            Client(url, mode=era, message_handler=message_handler) as client,
        ):
            yield client


async def start(client: Client, sim: SimulatedExchange, **asked: Any) -> dict[str, Any]:
    """Start a watch, and advance the time until it has its first data."""
    starting = asyncio.create_task(client.call_tool("watch_start", asked))
    while not starting.done():
        await sim.advance(0.5)
        await asyncio.sleep(0.01)
    return content(await starting)


async def read(client: Client, watch: dict[str, Any], **asked: Any) -> dict[str, Any]:
    """Read a watch."""
    return content(await client.call_tool("watch_read", {"watch": watch["watch"], **asked}))


async def read_resource(client: Client, uri: str) -> dict[str, Any]:
    """Read a resource, and check its form."""
    [found] = (await client.read_resource(uri)).contents
    assert (found.uri, found.mime_type) == (uri, "application/json")
    decoded: dict[str, Any] = json.loads(found.text)
    assert found.text == json.dumps(decoded, ensure_ascii=False, separators=(",", ":"))
    return decoded


def subscriptions(sim: SimulatedExchange) -> list[str]:
    """Return the subscriptions at the exchange."""
    return [one for socket in sim.sockets if not socket.closed for one in socket.subscriptions]


async def nothing_left(sim: SimulatedExchange) -> None:
    """Check that the server has closed everything that it opened."""
    await until(lambda: all(socket.closed for socket in sim.sockets))
