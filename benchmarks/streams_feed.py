"""A stand-in exchange that sends order book updates at a given rate, in Binance's format.

``python -m benchmarks.streams_feed [--pairs 10] [--tape 100000]`` prints its address and the word
ready. Every book has about 1,000 levels per side, and each message changes ten of them on each
side. With a tape, messages of one book are generated before it is ready and sent at the maximum
rate. Without a tape, they are generated when they are sent. A new subscription gets one message at
once, and the others on a request of the benchmark:

- ``GET /_begin?rate=&count=&lose=``: sends ``count`` messages for each book at ``rate`` per second,
  and leaves out each ``lose``-th. With a tape, sends the tape. Returns the last number of each
  book.
- ``GET /_log``: the messages sent and left out since then, and the requested snapshots.
- ``GET /_book?symbol=``: the book after all messages.
- ``GET /_reset``: the tape starts again.
- ``GET /_requests``: the number of requests since the last call.
"""

import argparse
import asyncio
import itertools
import json
import random
import selectors
import time
from bisect import insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp import WSMsgType, web

from marketdata.sim import SimulatedExchange
from marketdata.sim.server import HEADER

SEED = 2026
LEVELS = 1_000
CHANGED = 10
"""Levels per side in a message: one is new, one is removed, the others change their size."""
STEP = 2 * CHANGED
"""The increase of the sequence number per message: one for each change, as on Binance."""
FIRST = 1_000_000_000
CENTS = 6_400_000
"""Bids are below and asks above this price, so that they never cross."""
AT_ONCE = 200
"""The number of messages of the tape in one write."""
AHEAD = 1 << 20
"""Maximum bytes in a socket's buffer before more are written."""
LOGGED = 200_000


class Side:
    """The levels of one side by their distance from the middle, in cents."""

    def __init__(self, rng: random.Random, sign: int) -> None:
        self._rng, self._sign = rng, sign
        self.sizes = {n: self._size() for n in itertools.accumulate(self._gaps())}
        self._near = sorted(self.sizes)

    def _gaps(self) -> list[int]:
        return [self._rng.randint(1, 5) for _ in range(LEVELS)]

    def _size(self) -> int:
        return self._rng.randint(1, 500_000)

    def change(self) -> str:
        """Change levels, most of them near the best, and return them as text."""
        rng, sizes, near = self._rng, self.sizes, self._near
        changed: dict[int, int] = {}
        gone = near.pop(self._index())
        del sizes[gone]
        changed[gone] = 0
        new = gone
        while new in sizes or new in changed:
            new = 1 + int(rng.expovariate(0.01))
        while len(changed) < CHANGED - 1:
            distance = near[self._index()]
            changed[distance] = sizes[distance] = self._size()
        changed[new] = sizes[new] = self._size()
        insort(near, new)
        return ",".join([self._text(*level) for level in changed.items()])

    def _index(self) -> int:
        return min(int(self._rng.expovariate(0.03)), len(self._near) - 1)

    def text(self, limit: int) -> str:
        """Return the best levels."""
        return ",".join([self._text(n, self.sizes[n]) for n in self._near[:limit]])

    def _text(self, distance: int, size: int) -> str:
        cents, units = CENTS + self._sign * distance, 1_000 * size
        price = f"{cents // 100}.{cents % 100:02d}000000"
        return f'["{price}","{units // 10**8}.{units % 10**8:08d}"]'


class Market:
    """One book, its messages, and the position of the last sent one."""

    def __init__(self, symbol: str, seed: int, tape: int) -> None:
        rng = random.Random(seed)
        self.symbol = symbol
        self.number = FIRST
        self._bids, self._asks = Side(rng, -1), Side(rng, 1)
        self._opening = self.book(LEVELS)
        self.tape = [self._make() for _ in range(tape)]
        self.sent = 0

    def _make(self) -> bytes:
        """Change the book; return the message without its beginning, which has the time."""
        first, self.number = self.number + 1, self.number + STEP
        return (
            f',"s":"{self.symbol}","U":{first},"u":{self.number},'
            f'"b":[{self._bids.change()}],"a":[{self._asks.change()}]}}'
        ).encode()

    def next(self) -> bytes:
        """Return the next message, without its beginning."""
        self.sent += 1
        return self.tape[self.sent - 1] if self.sent <= len(self.tape) else self._make()

    def book(self, limit: int) -> bytes:
        """Return the book after all generated messages."""
        bids, asks = self._bids.text(limit), self._asks.text(limit)
        return f'{{"lastUpdateId":{self.number},"bids":[{bids}],"asks":[{asks}]}}'.encode()

    def snapshot(self, limit: int) -> bytes:
        """Return the book before the next message."""
        return self._opening if self.tape and self.sent <= 1 else self.book(limit)


@dataclass(eq=False)
class Connection:
    """One socket and its subscriptions."""

    transport: asyncio.Transport
    is_combined: bool
    streams: dict[str, str] = field(default_factory=dict)
    """The streams by symbol."""

    def frame(self, market: Market, message: bytes) -> bytes:
        """Make a text frame with the current time."""
        data = b'{"e":"depthUpdate","E":%d' % (time.time() * 1000) + message
        if self.is_combined:
            data = b'{"stream":"%s","data":%s}' % (self.streams[market.symbol].encode(), data)
        return b"\x81\x7e" + len(data).to_bytes(2, "big") + data


class Feed:
    """The server."""

    def __init__(self, listing: bytes, symbols: list[str], tape: int) -> None:
        self._listing = listing
        self.markets = {one: Market(one, SEED + n, tape) for n, one in enumerate(symbols)}
        self._connections: list[Connection] = []
        self._task: asyncio.Task[None] | None = None
        self._requests = self._books = 0
        self._began = 0.0
        self._sent: deque[tuple[str, int, float]] = deque(maxlen=LOGGED)
        self._lost: list[tuple[str, int, float]] = []

    def app(self) -> web.Application:
        app = web.Application()
        for path in ("/ws", "/ws/{any}", "/stream"):
            app.router.add_get(path, self._socket)
        app.router.add_get("/_{what}", self._control)
        app.router.add_get("/{path:.*}", self._answer)
        return app

    # ------------------------------------------------------------------ the exchange

    async def _answer(self, request: web.Request) -> web.Response:
        self._requests += 1
        match request.path:
            case "/api/v3/exchangeInfo":
                body = self._listing
            case "/api/v3/depth":
                self._books += 1
                market = self.markets[request.query["symbol"]]
                body = market.snapshot(int(request.query.get("limit", 100)))
            case "/api/v3/time":
                body = b'{"serverTime":%d}' % (time.time() * 1000)
            case "/api/v3/ping":
                body = b"{}"
            case _:
                return web.Response(status=404)
        return web.Response(body=body, content_type="application/json", headers={HEADER: "1"})

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        connection = Connection(request.transport, request.path == "/stream")
        self._connections.append(connection)
        try:
            if "streams" in request.query:
                self._subscribe(connection, request.query["streams"].split("/"))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    asked = json.loads(message.data)
                    await socket.send_str(f'{{"result":null,"id":{json.dumps(asked["id"])}}}')
                    if asked["method"] == "SUBSCRIBE":
                        self._subscribe(connection, asked["params"])
                    else:
                        for stream in asked["params"]:
                            connection.streams.pop(_symbol(stream), None)
        finally:
            self._connections.remove(connection)
        return socket

    def _subscribe(self, connection: Connection, streams: list[str]) -> None:
        for stream in streams:
            connection.streams[_symbol(stream)] = stream
            market = self.markets[_symbol(stream)]
            if self._task is None:
                self._send(market, market.next())

    def _send(self, market: Market, message: bytes) -> None:
        for one in self._connections:
            if market.symbol in one.streams:
                one.transport.write(one.frame(market, message))

    # ------------------------------------------------------------------ the benchmark

    async def _control(self, request: web.Request) -> web.Response:
        query = request.query
        match request.match_info["what"]:
            case "begin":
                return web.json_response(self._begin(query))
            case "log":
                return web.json_response(
                    {
                        "began": self._began,
                        "sent": list(self._sent),
                        "lost": self._lost,
                        "books": self._books,
                    }
                )
            case "book":
                return web.Response(body=self.markets[query["symbol"]].book(2 * LEVELS))
            case "reset":
                self._reset()
                return web.json_response(len(self.markets))
            case "requests":
                seen, self._requests = self._requests, 0
                return web.json_response(seen)
        return web.Response(status=404)

    def _reset(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for market in self.markets.values():
            market.sent = 0

    def _begin(self, query: Mapping[str, str]) -> dict[str, int]:
        self._sent.clear()
        self._lost.clear()
        self._books = 0
        if "rate" not in query:
            self._task = asyncio.create_task(self._flood())
            return {one.symbol: one.number for one in self.markets.values()}
        count, lose = int(query["count"]), int(query.get("lose", 0))
        self._task = asyncio.create_task(self._pace(float(query["rate"]), count, lose))
        return {one.symbol: one.number + count * STEP for one in self.markets.values()}

    async def _pace(self, rate: float, count: int, lose: int) -> None:
        markets = list(self.markets.values())
        pause = 1 / (rate * len(markets))
        self._began = time.time()
        started = time.perf_counter()
        for n in range(count * len(markets)):
            await asyncio.sleep(max(0.0, started + n * pause - time.perf_counter()))
            market = markets[n % len(markets)]
            message = market.next()
            noted = (market.symbol, market.number, time.time())
            if lose and n // len(markets) % lose == lose // 2:
                self._lost.append(noted)
            else:
                self._sent.append(noted)
                self._send(market, message)
        self._task = None

    async def _flood(self) -> None:
        [market] = self.markets.values()
        [connection] = [one for one in self._connections if market.symbol in one.streams]
        frames = [connection.frame(market, one) for one in market.tape[market.sent :]]
        chunks = [b"".join(frames[at : at + AT_ONCE]) for at in range(0, len(frames), AT_ONCE)]
        transport = connection.transport
        market.sent = len(market.tape)
        self._began = time.time()
        for chunk in chunks:
            transport.write(chunk)
            # aiohttp does not report when the buffer is written.
            while transport.get_write_buffer_size() > AHEAD:  # noqa: ASYNC110
                await asyncio.sleep(0.0005)


def _symbol(stream: str) -> str:
    return stream.partition("@")[0].upper()


async def _listing(pairs: int) -> bytes:
    async with (
        SimulatedExchange(pairs=pairs, frozen=True) as simulated,
        aiohttp.ClientSession(simulated.url) as session,
        session.get("/api/v3/exchangeInfo") as response,
    ):
        return await response.read()


async def serve(pairs: int, tape: int) -> None:
    listing = await _listing(pairs)
    symbols = [one["symbol"] for one in json.loads(listing)["symbols"]]
    runner = web.AppRunner(Feed(listing, symbols, tape).app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    print(f"http://{host}:{port} ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks.streams_feed")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--tape", type=int, default=0)
    options = parser.parse_args()
    # Only this selector can wait for less than a millisecond.
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
    ) as loop:
        loop.run(serve(options.pairs, options.tape))
