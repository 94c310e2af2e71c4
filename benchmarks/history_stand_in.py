"""A stand-in exchange with a year of 1m candles that needs little CPU per request.

``python -m benchmarks.history_stand_in [seconds]`` prints its address and the word ready. Each
response takes that many seconds. The candles are generated from a seed, and responses have the
simulator's headers. All candles are one text in advance, and a response is a slice of it. Every
listed pair has the same candles. ``startTime``, ``endTime`` and ``limit`` work as on Binance.
``GET /_requests`` returns the number of requests since its last call, and ``GET
/_latency?seconds=`` sets the duration of later responses. Neither is counted or delayed.

HTTP is implemented by hand, because a server framework would need more time for a request than some
of the measured clients.
"""

import asyncio
import json
import random
import sys
import time
from array import array
from email.utils import formatdate
from itertools import pairwise
from urllib.parse import parse_qsl

import aiohttp

from benchmarks.stand_in import INVERSE, LINEAR, PAIRS, contracts
from benchmarks.year import BARS, DAY, MINUTE, START
from marketdata.sim import SimulatedExchange
from marketdata.sim.server import HEADER, PLAYS_HEADER

SEED = 2023
SERVED = BARS + 14 * 1440
"""Candles of the year and of the two weeks after it, which can be added."""


class Bars:
    """The candles of one timeframe as text, and the offset of each."""

    def __init__(self, step: int, rows: list[bytes]) -> None:
        self.step = step
        self.text = b",".join(rows)
        # The offset of each row, and the end of the last.
        self.starts = array("q", [0])
        for row in rows:
            self.starts.append(self.starts[-1] + len(row) + 1)

    def page(self, query: dict[str, str]) -> bytes:
        """Return the response that Binance would send."""
        count = len(self.starts) - 1
        limit = min(int(query.get("limit", 500)), 1000)
        low, high = 0, count
        if "startTime" in query:
            low = max(0, -((START - int(query["startTime"])) // self.step))
        if "endTime" in query:
            high = min(count, (int(query["endTime"]) - START) // self.step + 1)
        if "startTime" in query:
            high = min(high, low + limit)
        else:
            low = max(0, high - limit)
        if low >= high:
            return b"[]"
        return b"[" + self.text[self.starts[low] : self.starts[high] - 1] + b"]"


def make_bars() -> dict[str, Bars]:
    """Generate the 1m candles, and the daily candles of them."""
    rng = random.Random(SEED)
    uniform = rng.random
    minutes: list[tuple[int, ...]] = []
    close = 1_654_200  # in cents
    for _ in range(SERVED):
        opened = close + int(uniform() * 300) - 150
        close = max(100_000, opened + int((uniform() - 0.5) * 4000))
        high = max(opened, close) + int(uniform() * 1000)
        low = min(opened, close) - int(uniform() * 1000)
        volume = 1 + int(uniform() * 30_000_000)  # in units of 0.000001
        minutes.append((opened, high, low, close, volume, 1 + volume // 20_000))
    days = [
        (
            day[0][0],
            max(bar[1] for bar in day),
            min(bar[2] for bar in day),
            day[-1][3],
            sum(bar[4] for bar in day),
            sum(bar[5] for bar in day),
        )
        for low, high in pairwise(range(0, SERVED + 1, 1440))
        if (day := minutes[low:high])
    ]
    return {
        "1m": Bars(MINUTE, list(map(_row, range(START, START + SERVED * MINUTE, MINUTE), minutes))),
        "1d": Bars(DAY, [_row(START + n * DAY, day, DAY) for n, day in enumerate(days)]),
    }


def _row(opened: int, bar: tuple[int, ...], step: int = MINUTE) -> bytes:
    first, high, low, close, volume, trades = bar
    quote = volume * close
    return (
        f'[{opened},"{first / 100:.8f}","{high / 100:.8f}","{low / 100:.8f}","{close / 100:.8f}",'
        f'"{volume / 1e6:.8f}",{opened + step - 1},"{quote / 1e8:.8f}",{trades},'
        f'"{volume / 2e6:.8f}","{quote / 2e8:.8f}","0"]'
    ).encode()


class Exchange:
    """The state that all connections share."""

    def __init__(self, latency: float, bars: dict[str, Bars], listing: bytes) -> None:
        self.latency = latency
        self.bars = bars
        self.requests = 0
        spot = json.loads(listing)
        self.symbols = {one["symbol"] for one in spot["symbols"]}
        self.fixed = {
            "/api/v3/exchangeInfo": listing,
            "/api/v3/ping": b"{}",
            "/fapi/v1/exchangeInfo": contracts(spot, LINEAR, margin="USDT"),
            "/dapi/v1/exchangeInfo": contracts(spot, INVERSE, margin=None),
        }

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        """Return the status and the body."""
        if path == "/api/v3/klines":
            if query.get("symbol") not in self.symbols:
                return 400, b'{"code":-1121,"msg":"Invalid symbol."}'
            bars = self.bars.get(query.get("interval", ""))
            if bars is None:
                return 400, b'{"code":-1120,"msg":"Invalid interval."}'
            return 200, bars.page(query)
        if path == "/api/v3/time":
            return 200, b'{"serverTime":%d}' % (time.time() * 1000)
        if path in self.fixed:
            return 200, self.fixed[path]
        return 404, b'{"code":-1,"msg":"Not found."}'

    def control(self, path: str, query: dict[str, str]) -> bytes:
        """Handle a request of the benchmark itself."""
        if path == "/_latency":
            self.latency = float(query["seconds"])
        seen, self.requests = self.requests, 0
        return b"%d" % seen


class Connection(asyncio.Protocol):
    """The connection of one client: GET requests without bodies."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            target = self._waiting[: self._waiting.index(b"\r\n")].split(b" ")[1].decode()
            self._waiting = self._waiting[end + 4 :]
            path, _, text = target.partition("?")
            query = dict(parse_qsl(text))
            if path.startswith("/_"):
                self._send(200, self._exchange.control(path, query))
                continue
            self._exchange.requests += 1
            answer = self._exchange.answer(path, query)
            if self._exchange.latency:
                self._loop.call_later(self._exchange.latency, self._send, *answer)
            else:
                self._send(*answer)

    def _send(self, status: int, body: bytes) -> None:
        head = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\n"
            f"Content-Type: application/json;charset=UTF-8\r\nContent-Length: {len(body)}\r\n"
            f"Date: {formatdate(usegmt=True)}\r\n"
            f"{HEADER}: 1\r\n{PLAYS_HEADER}: benchmark-{SEED}\r\n\r\n"
        )
        self._transport.writelines((head.encode(), body))


async def _listing() -> bytes:
    async with (
        SimulatedExchange(pairs=PAIRS, frozen=True) as simulated,
        aiohttp.ClientSession(simulated.url) as session,
        session.get("/api/v3/exchangeInfo") as response,
    ):
        return await response.read()


async def serve(latency: float) -> None:
    exchange = Exchange(latency, make_bars(), await _listing())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(exchange), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port} ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
