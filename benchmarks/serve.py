"""The MCP server with access, quota and metrics, compared with an empty tool on the bare SDK.

It measures calls per second, latency, start-up, and the upstream requests of a thousand callers.
Then it runs `benchmarks.serve_load` and `benchmarks.serve_hostile`.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import own_environment
from marketdata.sim import SimulatedExchange

VERSIONS = ("2026-07-28", "2025-11-25")
OURS = str(Path(sys.executable).with_name("marketdata-mcp"))
BARE = [sys.executable, "-m", "benchmarks.serve_bare"]
_POLICY = "[tiers.unbounded]\n"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSIONS[0],
    "io.modelcontextprotocol/clientCapabilities": {},
}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Measured:
    """The calls of one round."""

    a_second: float
    median: float
    slowest: float
    """The 99th percentile; both in milliseconds."""
    cpu: float
    """CPU microseconds of the server per call."""


def message(tool: str, version: str, number: int = 1, arguments: dict | None = None) -> bytes:
    params = {"name": tool, "arguments": arguments or {}}
    if version == VERSIONS[0]:
        params["_meta"] = META
    call = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    return json.dumps(call).encode()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def pin(pid: int, core: int) -> None:
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(pid, {cores[core]})


async def measured(
    pid: int, seconds: float, callers: Sequence[Callable[[], "asyncio.Future[None]"]]
) -> Measured:
    """Let all callers make call after call concurrently for a number of seconds."""
    taken: list[float] = []
    before, began = cpu_seconds(pid), time.perf_counter()
    ends = began + seconds

    async def repeat(call: Callable[[], "asyncio.Future[None]"]) -> None:
        while (start := time.perf_counter()) < ends:
            await call()
            taken.append(time.perf_counter() - start)

    await asyncio.gather(*(repeat(call) for call in callers))
    elapsed = time.perf_counter() - began
    taken.sort()
    return Measured(
        len(taken) / elapsed,
        statistics.median(taken) * 1000,
        taken[int(len(taken) * 0.99)] * 1000,
        (cpu_seconds(pid) - before) / len(taken) * 1e6,
    )


# ---------------------------------------------------------------------------- HTTP


@contextlib.asynccontextmanager
async def http_server(command: Sequence[str], home: str) -> AsyncIterator[tuple[str, int, int]]:
    """Run a server; gives its host, port and process."""
    process = await asyncio.create_subprocess_exec(
        *command, stderr=subprocess.PIPE, env=own_environment(MARKETDATA_HOME=home)
    )
    try:
        line = (await process.stderr.readline()).decode()
        found = re.search(r"serving http://([\d.]+):(\d+)/mcp", line)
        if not found:
            raise SystemExit(line + (await process.stderr.read()).decode())
        yield found[1], int(found[2]), process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


class HttpCaller:
    """A connection with one call at a time."""

    def __init__(self, reader, writer, request: bytes) -> None:
        self._reader, self._writer, self._request = reader, writer, request

    @classmethod
    async def open(cls, host, port, version, tool, key=None, arguments=None) -> "HttpCaller":
        body = message(tool, version, arguments=arguments)
        headers = [
            "POST /mcp HTTP/1.1",
            f"Host: {host}:{port}",
            "Content-Type: application/json",
            "Accept: application/json, text/event-stream",
            f"MCP-Protocol-Version: {version}",
            f"Content-Length: {len(body)}",
        ]
        if version == VERSIONS[0]:
            headers += ["Mcp-Method: tools/call", f"Mcp-Name: {tool}"]
        if key:
            headers.append(f"Authorization: Bearer {key}")
        request = "\r\n".join(headers).encode() + b"\r\n\r\n" + body
        return cls(*await asyncio.open_connection(host, port, limit=1 << 20), request)

    async def call(self) -> bytes:
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(head.decode())
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if length:
            body = await self._reader.readexactly(int(length[1]))
        else:
            body = await self._reader.readuntil(b"0\r\n\r\n")
        if b'"isError":true' in body:
            raise SystemExit(body.decode())
        return body

    def close(self) -> None:
        self._writer.close()


async def over_http(options: argparse.Namespace, home: str, key: str) -> None:
    print("\nStreamable HTTP, stateless, event stream allowed; each server on a core of its own")
    ours = [OURS, "--http", "127.0.0.1:0", "--access", "--sim"]
    async with (
        http_server([*BARE, "http"], home) as bare,
        http_server(ours, home) as mine,
    ):
        servers = {"bare SDK, nothing": (bare, "nothing", None)}
        servers["ours, watch_list, all on"] = (mine, "watch_list", key)
        for _, _, pid in (bare, mine):
            pin(pid, 1)
        for version in VERSIONS:
            for callers in (1, 32):
                rounds: dict[str, list[Measured]] = {name: [] for name in servers}
                for _ in range(options.rounds):
                    for name, ((host, port, pid), tool, secret) in servers.items():
                        made = [
                            await HttpCaller.open(host, port, version, tool, secret)
                            for _ in range(callers)
                        ]
                        calls = [one.call for one in made]
                        rounds[name].append(await measured(pid, options.seconds, calls))
                        for one in made:
                            one.close()
                show(f"{version}, {callers} at once", rounds, 0.7)


# ---------------------------------------------------------------------------- stdio


class Pipe:
    """A server on stdin and stdout, with any number of calls in flight."""

    def __init__(self, process, version: str, tool: str) -> None:
        self.process, self._version, self._tool = process, version, tool
        self._waiting: dict[int, asyncio.Future] = {}
        self._number = 0
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def open(cls, command: Sequence[str], home: str, version: str, tool: str) -> "Pipe":
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=own_environment(MARKETDATA_HOME=home),
            limit=1 << 20,
        )
        pipe = cls(process, version, tool)
        if version != VERSIONS[0]:
            client = {"name": "benchmark", "version": "1"}
            hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": client}
            await pipe.send("initialize", hello)
            ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            process.stdin.write(json.dumps(ready).encode() + b"\n")
        return pipe

    async def _read(self) -> None:
        async for line in self.process.stdout:
            answer = json.loads(line)
            if "error" in answer or answer.get("result", {}).get("isError"):
                raise SystemExit(line.decode())
            self._waiting.pop(answer["id"]).set_result(None)

    def send(self, method: str, params: dict) -> asyncio.Future:
        self._number += 1
        call = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._waiting[self._number] = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps(call).encode() + b"\n")
        return self._waiting[self._number]

    async def call(self) -> None:
        params: dict = {"name": self._tool, "arguments": {}}
        if self._version == VERSIONS[0]:
            params["_meta"] = META
        await self.send("tools/call", params)

    async def close(self) -> None:
        self._reading.cancel()
        self.process.kill()
        await self.process.wait()


async def over_stdio(options: argparse.Namespace, home: str) -> None:
    print("\nstdio")
    servers = {
        "bare SDK, nothing": ([*BARE, "stdio"], "nothing"),
        "ours, watch_list": ([OURS, "--sim"], "watch_list"),
    }
    for version in VERSIONS:
        for callers in (1, 32):
            rounds: dict[str, list[Measured]] = {name: [] for name in servers}
            for name, (command, tool) in servers.items():
                for _ in range(options.rounds):
                    pipe = await Pipe.open(command, home, version, tool)
                    pin(pipe.process.pid, 1)
                    await pipe.call()
                    calls = [pipe.call] * callers
                    rounds[name].append(await measured(pipe.process.pid, options.seconds, calls))
                    await pipe.close()
            show(f"{version}, {callers} at once", rounds, 1.5)


# ---------------------------------------------------------------------------- starting


async def first_list(command: Sequence[str], home: str) -> float:
    began = time.perf_counter()
    pipe = await Pipe.open(command, home, VERSIONS[0], "")
    await pipe.send("tools/list", {"_meta": META})
    taken = time.perf_counter() - began
    await pipe.close()
    return taken


async def starting(options: argparse.Namespace, home: str) -> None:
    print("\nFrom the start of a process to its first list of tools, on stdio")
    bare, mine = [], []
    for _ in range(options.starts):
        bare.append(await first_list([*BARE, "stdio"], home))
        mine.append(await first_list([OURS], home))
    ratio = statistics.median(mine) / statistics.median(bare)
    print(f"  bare SDK {statistics.median(bare) * 1000:6.0f} ms")
    print(f"  ours     {statistics.median(mine) * 1000:6.0f} ms   {ratio:.2f} of it (<= 1.2)"
          f"{verdict(ratio <= 1.2)}")  # fmt: skip


# ---------------------------------------------------------------------------- one request


async def shared(home: str, key: str) -> None:
    print("\n1,000 concurrent get_ticker calls for one pair, the exchange takes 10 s")
    with SimulatedExchange(faults=["binance:*24hr*:latency=10"]) as sim:
        endpoints = json.dumps({"binance": sim.endpoints["binance"]})
        os.environ["MARKETDATA_ENDPOINTS"] = endpoints
        command = ["env", f"MARKETDATA_ENDPOINTS={endpoints}", OURS, "--http", "127.0.0.1:0"]
        async with http_server([*command, "--access"], home) as (host, port, _):
            arguments = {"pair": "BTC/USDT", "exchange": "binance"}
            warm = await HttpCaller.open(host, port, VERSIONS[0], "list_pairs", key)
            await warm.call()
            warm.close()
            before = len(sim.requests)
            callers = [
                await HttpCaller.open(host, port, VERSIONS[0], "get_ticker", key, arguments)
                for _ in range(1000)
            ]
            answers = await asyncio.gather(*(caller.call() for caller in callers))
            for caller in callers:
                caller.close()
            made = len(sim.requests) - before
    different = len(set(answers))
    print(f"  {len(answers)} answers, {different} different, {made} upstream requests (<= 1)"
          f"{verdict(made <= 1)}")  # fmt: skip


def verdict(holds: bool) -> str:
    """Return the end of a line: empty, or a mark that its bound is not met."""
    return "" if holds else "   NOT HELD"


def show(title: str, rounds: dict[str, list[Measured]], bound: float) -> None:
    print(f"  {title}")
    first = None
    for name, all_of in rounds.items():
        rate, median, slowest, cpu = (
            statistics.median(getattr(one, field) for one in all_of)
            for field in ("a_second", "median", "slowest", "cpu")
        )
        share = rate / first if first else bound
        ratio = f"   {share:.2f} of it (>= {bound}){verdict(share >= bound)}" if first else ""
        first = first or rate
        print(
            f"    {name:26} {rate:6.0f}/s  p50 {median:6.2f} ms  p99 {slowest:6.2f} ms"
            f"  {cpu:5.0f} us CPU a call{ratio}"
        )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks serve", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    parser.add_argument("--starts", type=int, default=9)
    parser.add_argument(
        "--skip",
        nargs="*",
        default=[],
        choices=["http", "stdio", "start", "shared", "load", "doors", "soak"],
    )
    parser.add_argument("--clients", type=int, default=1000, help="of a server under load")
    parser.add_argument("--load-seconds", type=float, default=30.0, help="of each load")
    parser.add_argument("--door-seconds", type=float, default=3.0, help="of each worst message")
    parser.add_argument("--soak-seconds", type=float, default=300.0, help="among hostile clients")
    options = parser.parse_args(arguments)
    pin(0, 0)
    with tempfile.TemporaryDirectory() as home:
        Path(home, "policy.toml").write_text(_POLICY)
        environment = own_environment(MARKETDATA_HOME=home)

        def access(*command: str) -> str:
            return subprocess.run(
                [OURS, "access", *command],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()

        access("account", "add", "benchmark", "--tier", "unbounded")
        key = access("key", "add", "benchmark")

        async def run() -> None:
            if "http" not in options.skip:
                await over_http(options, home, key)
            if "stdio" not in options.skip:
                await over_stdio(options, home)
            if "start" not in options.skip:
                await starting(options, home)
            if "shared" not in options.skip:
                await shared(home, key)
            if "load" not in options.skip:
                await serve_load.lines(options)
            if "doors" not in options.skip:
                await serve_hostile.doors(options)
            if "soak" not in options.skip:
                await serve_hostile.soak(options)

        from benchmarks import serve_hostile, serve_load

        asyncio.run(run())
    return 0
