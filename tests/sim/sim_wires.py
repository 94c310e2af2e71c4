"""Plain clients of a simulated exchange's sockets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from marketdata.sim import SimulatedExchange


class Wire:
    """A bare client of one socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def ask(self, method: str, *streams: Any, number: Any = 1) -> Any:
        """Ask as Binance's clients do."""
        return await self.say({"method": method, "params": list(streams), "id": number})

    async def say(self, body: Any) -> Any:
        """Send JSON and return the answer."""
        await self.socket.send_json(body)
        return await self.next()

    async def next(self) -> Any:
        """Read a frame; numbers with a point stay as they are written."""
        text = await asyncio.wait_for(self.socket.receive_str(), 10)
        return json.loads(text, parse_float=str)

    async def all(self, count: int) -> list[Any]:
        return [await self.next() for _ in range(count)]


@contextlib.asynccontextmanager
async def wire(sim: SimulatedExchange, path: str = "/ws/0") -> AsyncIterator[Wire]:
    async with aiohttp.ClientSession() as session, session.ws_connect(sim.url + path) as socket:
        yield Wire(socket)


async def rest(sim: SimulatedExchange, path: str, **query: Any) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.get(sim.url + path, params=query) as answer,
    ):
        return await answer.json()


def applied(book: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    """Keep a book as Binance documents it."""
    sides = {"b": dict(book["bids"]), "a": dict(book["asks"])}
    last = book["lastUpdateId"]
    for event in events:
        if event["u"] <= last:
            continue
        assert event["U"] <= last + 1 <= event["u"]
        for side, rows in sides.items():
            for price, size in event[side]:
                if float(size):
                    rows[price] = size
                else:
                    rows.pop(price, None)
        last = event["u"]
    return {
        "lastUpdateId": last,
        "bids": [list(row) for row in sorted(sides["b"].items(), key=_price, reverse=True)],
        "asks": [list(row) for row in sorted(sides["a"].items(), key=_price)],
    }


def _price(row: tuple[str, str]) -> float:
    return float(row[0])
