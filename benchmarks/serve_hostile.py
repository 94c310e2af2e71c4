"""The MCP server with hostile clients: a mixed load, and the worst messages of each transport."""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator

from benchmarks.processes import own_environment
from benchmarks.serve import META, pin
from benchmarks.serve_clients import call, files, loaded, memory, p99, probe, request
from benchmarks.serve_load import Accounts, accounts, came_back, line

_SIMULATOR = """
import json, time
from marketdata.sim import SimulatedExchange
with SimulatedExchange() as simulator:
    print(json.dumps(simulator.endpoints), flush=True)
    time.sleep(1e9)
"""

_LONG = "x" * 250_000


@contextlib.asynccontextmanager
async def _served(kept: Accounts, home: str) -> AsyncIterator[tuple[str, int, int]]:
    """Run a simulator, and a server with all transports that uses it."""
    simulator = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SIMULATOR,
        stdout=subprocess.PIPE, env=own_environment(MARKETDATA_HOME=home),
    )  # fmt: skip
    endpoints = (await simulator.stdout.readline()).decode()
    try:
        async with kept.server("--sse", MARKETDATA_ENDPOINTS=endpoints) as (host, port, pid):
            pin(pid, 1)
            yield host, port, pid
    finally:
        simulator.kill()
        await simulator.wait()


async def soak(options: argparse.Namespace) -> None:
    """Run honest and hostile clients together, and print the results of the honest ones.

    The honest ones ask for more than Binance allows in a minute. What is over that is refused with
    a time to try again, which they wait for: it is counted, and is no error.
    """
    took = options.soak_seconds
    print(f"\nSoak: {took:g} s, 16 clients who ask among hostile ones")
    with accounts("SQLite") as kept, tempfile.TemporaryDirectory() as other:
        keys = [kept.key(f"benchmark{number}") for number in range(16)]
        poor = kept.key("poor", "pioneer")
        async with _served(kept, other) as (host, port, pid):
            where, asked = (host, port), {"pair": "BTC/USDT", "exchange": "binance"}
            tools = {"get_ticker": asked, "get_orderbook": asked, "watch_list": None}
            sent = [call(tool, key, given) for key in keys for tool, given in tools.items()]
            await loaded(where, [pid], 16, sent, min(5, took))
            idle = memory(pid), files(pid)
            attacks = [
                asyncio.create_task(_attack(where, attack(poor), took))
                for attack in ATTACKS
                for _ in range(4)
            ]
            load = await loaded(where, [pid], 16, sent, took)
            done = await asyncio.gather(*attacks)
            await asyncio.sleep(32)  # until every connection has reached its time limit
            after = await came_back(pid, idle)
    print(f"  {load.rate:.0f} answers/s, p50 {statistics.median(load.waits) * 1000:.0f} ms; "
          f"{load.refused:,} refused with a time to come back; {sum(done):,} attacks")  # fmt: skip
    line("p99 of those who ask, ms", p99(load.waits) * 1000, 200, ".0f")
    line("errors of those who ask", sum(load.wrong.values()), 0, ".0f")
    for what, count in load.wrong.items():
        print(f"      {what}: {count}")
    for path, waits in load.probes.items():
        line(f"{path} p99, ms", p99(waits) * 1000, 200, ".0f")
    line("memory, MiB", load.memory, 300, ".0f")
    line("memory after, of before", after[0] / idle[0], 1.1)
    line("file descriptors more than before", after[1] - idle[1], 0, ".0f")


_LIST = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
).encode()
ATTACKS = (
    # Without a key: large, invalid, incomplete and smuggled requests, and none at all.
    lambda _: call("get_tickers", None, {"pairs": ["BTC/USDT"] * 18_000}),
    lambda _: call("get_ticker", "md_nobody_0000", {"pair": "BTC/USDT"}),
    lambda _: request(b"{" * 4_000, key=None),
    lambda _: call("get_ticker", None)[:-40],
    lambda _: (
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"
    ),
    lambda _: b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    lambda _: os.urandom(5_000),
    lambda _: b"",
    # With a key of the lowest tier: the most expensive requests that are refused.
    lambda key: call("get_tickers", key, {"pairs": ["BTC/USDT"] * 18_000}),
    lambda key: call("get_ticker", key, {"pair": _LONG}),
    lambda key: call("get_candles", key, {"pair": "BTC/USDT", "start": _LONG}),
    lambda key: request(_LIST, key=key, method="tools/list"),
    lambda key: (
        b"GET /sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n" % key.encode()
    ),
)


async def _attack(where: tuple[str, int], sent: bytes, took: float, wait: float = 1) -> int:
    """Send a request repeatedly, each time on a new connection; read little of the response."""
    ends, done = time.perf_counter() + took, 0
    while time.perf_counter() < ends:
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_connection(*where)
            try:
                writer.write(sent)
                async with asyncio.timeout(wait):
                    await writer.drain()
                    await reader.read(100)
            finally:
                writer.close()
        done += 1
        await asyncio.sleep(0.05)
    return done


# ---------------------------------------------------------------------- the worst messages


def _worst(key: str | None) -> dict[str, bytes]:
    """Return the most expensive refused messages; without a key, also the largest parsed ones."""
    some = 800 if key is None else 14_000
    return {
        "a list": call("get_tickers", key, {"pairs": ["BTC/USDT"] * 18_000}),
        "a list that is read": call("get_tickers", key, {"pairs": ["x"] * some}),
        "a text": call("get_ticker", key, {"pair": _LONG}),
        "a time": call("get_candles", key, {"pair": "BTC/USDT", "start": _LONG}),
        "many arguments": call("get_ticker", key, {f"a{n}": n for n in range(some)}),
        "an object": call("get_ticker", key, {"pair": {f"a{n}": n for n in range(some)}}),
        "a tool's name": call(_LONG, key),
        "lists in lists": request(b"[" * 8_000, key=key),
        "the list of tools": request(_LIST, key=key, method="tools/list"),
    }


async def doors(options: argparse.Namespace) -> None:
    """Send the worst messages over each transport, and print how long they block the server."""
    took = options.door_seconds
    print(f"\nThe worst messages of each door, {took:g} s each; 4 clients ask meanwhile")
    with accounts("SQLite") as kept, tempfile.TemporaryDirectory() as other:
        poor, keys = kept.key("poor", "pioneer"), [kept.key(f"other{number}") for number in "1234"]
        async with _served(kept, other) as (host, port, pid):
            where = host, port
            asked = [call("get_ticker", one, {"pair": "BTC/USDT"}) for one in keys]
            for door, key, bound in (("without a key", None, 20), ("with a key", poor, 100)):
                for what, sent in _worst(key).items():
                    await _door(f"{door}: {what}", where, pid, sent, asked, took, bound)
            async with _session(where, poor) as path:
                for what, sent in _worst(poor).items():
                    posted = sent.replace(b"POST /mcp ", b"POST %b " % path.encode(), 1)
                    await _door(f"HTTP+SSE: {what}", where, pid, posted, asked, took, 100)


async def _door(
    what: str,
    where: tuple[str, int],
    pid: int,
    sent: bytes,
    asked: list[bytes],
    took: float,
    bound: float,
) -> None:
    # The latency of repeated requests on one connection shows the duration of the event loop's
    # turns. Other load of the machine makes single latencies longer, so the median of some rounds
    # counts.
    longest: list[float] = []
    load = None
    for _ in range(3):
        attack = asyncio.create_task(_attack(where, sent, took / 3, wait=5))
        stall = asyncio.create_task(probe(where, took / 3, 0, "/healthz"))
        load = await loaded(where, [pid], len(asked), asked, took / 3, probed=False)
        await attack
        longest.append(max((await stall)[0]["/healthz"]))
    assert load is not None
    line(f"{what}, ms", statistics.median(longest) * 1000, bound, ".0f")
    line(f"{'':4}p99 of others, ms", p99(load.waits) * 1000, 200, ".0f")


@contextlib.asynccontextmanager
async def _session(where: tuple[str, int], key: str) -> AsyncIterator[str]:
    """Open a session of HTTP+SSE, and yield the path of its messages."""
    reader, writer = await asyncio.open_connection(*where)
    writer.write(
        f"GET /sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    )
    await reader.readuntil(b"data: ")
    path = (await reader.readline()).decode().strip()

    async def read() -> None:
        while await reader.read(1 << 16):
            pass

    reading = asyncio.create_task(read())
    try:
        yield path
    finally:
        reading.cancel()
        writer.close()
