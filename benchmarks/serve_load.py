"""The MCP server with a thousand clients, with two replicas, and among hostile ones.

One server process has one core, its clients the other. Counts go to SQLite or to a Redis.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import own_environment
from benchmarks.serve import BARE, META, OURS, VERSIONS, cpu_seconds, http_server, message, pin

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from redis_server import RedisServer
from servers import NGINX, REDIS

PATIENCE = 60.0
_SIMULATOR = """
import json, time
from marketdata.sim import SimulatedExchange
with SimulatedExchange() as simulator:
    print(json.dumps(simulator.endpoints), flush=True)
    time.sleep(1e9)
"""
_REFUSED = ("RATE_LIMIT_EXCEEDED",)
_PROXY = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    upstream replicas {{
        hash $http_authorization consistent; {servers} keepalive 256; keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host localhost; proxy_buffering off;
        }}
    }}
}}
"""


@dataclass
class Load:
    """What many clients got in some seconds."""

    clients: int
    seconds: float = 0.0
    answered: Counter[int] = field(default_factory=Counter)
    """Calls by client."""
    waits: list[float] = field(default_factory=list)
    refused: int = 0
    """Told when to come back."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Everything else."""
    probes: dict[str, list[float]] = field(default_factory=dict)
    cpu: float = 0.0
    """Seconds of the servers."""
    memory: float = 0.0
    """MiB at most."""

    @property
    def calls(self) -> int:
        return self.answered.total()

    @property
    def rate(self) -> float:
        return self.calls / self.seconds

    @property
    def cost(self) -> float:
        """Microseconds of CPU for each call."""
        return self.cpu / max(1, self.calls) * 1e6


def p99(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)] if values else float("nan")


def memory(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024


def files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


# ---------------------------------------------------------------------- clients


def request(body: bytes, *, key: str | None, tool: str = "", method: str = "tools/call") -> bytes:
    lines = [
        "POST /mcp HTTP/1.1",
        "Host: 127.0.0.1:1",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"MCP-Protocol-Version: {VERSIONS[0]}",
        f"Mcp-Method: {method}",
        f"Content-Length: {len(body)}",
        *([f"Mcp-Name: {tool}"] if tool else []),
        *([f"Authorization: Bearer {key}"] if key else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def call(tool: str, key: str | None, arguments: dict | None = None) -> bytes:
    return request(message(tool, VERSIONS[0], arguments=arguments), key=key, tool=tool)


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    fields = [line.partition(":") for line in head.decode().split("\r\n")[1:]]
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    if "content-length" in headers:
        return status, headers, await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding") == "chunked":
        return status, headers, await reader.readuntil(b"0\r\n\r\n")
    return status, headers, b""


async def client(load: Load, number: int, where: tuple[str, int], sent: bytes, ends: float) -> None:
    """Call again and again; wait as long as told where refused."""
    reader, writer = None, None
    while (began := time.perf_counter()) < ends:
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(*where, limit=1 << 20)
            writer.write(sent)
            async with asyncio.timeout(PATIENCE):
                status, headers, body = await answer(reader)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            load.wrong[type(error).__name__] += 1
            if writer is not None:
                writer.close()
            writer = None
            await asyncio.sleep(0.1)
            continue
        code = re.search(rb'"code":\s*"([A-Z_]+)"', body)
        if status == 200 and b'"isError":true' not in body:
            load.answered[number] += 1
            load.waits.append(time.perf_counter() - began)
        elif "retry-after" in headers or (code and code[1].decode() in _REFUSED):
            load.refused += 1
            await asyncio.sleep(float(headers.get("retry-after", 1)))
        else:
            load.wrong[f"{status} {code and code[1].decode()}"] += 1
            await asyncio.sleep(0.1)
        if headers.get("connection") == "close":
            writer.close()
            writer = None
    if writer is not None:
        writer.close()


async def probe(load: Load, path: str, where: tuple[str, int], ends: float) -> None:
    waits = load.probes.setdefault(path, [])
    sent = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    while time.perf_counter() < ends:
        began = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection(*where)
            writer.write(sent)
            status, _, _ = await answer(reader)
            writer.close()
            if status != 200:
                load.wrong[f"{path} {status}"] += 1
        except (OSError, asyncio.IncompleteReadError) as error:
            load.wrong[f"{path} {type(error).__name__}"] += 1
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(0.1)


async def watch(load: Load, pids: Sequence[int], ends: float) -> None:
    while time.perf_counter() < ends:
        load.memory = max(load.memory, *map(memory, pids))
        await asyncio.sleep(0.25)


async def loaded(
    where: tuple[str, int],
    pids: Sequence[int],
    clients: int,
    requests: Sequence[bytes],
    took: float,
) -> Load:
    """Have so many clients call for some seconds, each with one of the requests."""
    load = Load(clients)
    before, began = sum(map(cpu_seconds, pids)), time.perf_counter()
    ends = began + took
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            sent = requests[number % len(requests)]
            group.create_task(client(load, number, where, sent, ends))
        for path in ("/healthz", "/readyz"):
            group.create_task(probe(load, path, where, ends))
        group.create_task(watch(load, pids, ends))
    load.seconds = time.perf_counter() - began
    load.cpu = sum(map(cpu_seconds, pids)) - before
    return load


# ---------------------------------------------------------------------- servers


class Accounts:
    """Keys in one place, a home or a Redis."""

    def __init__(self, home: str, redis: str | None) -> None:
        Path(home, "policy.toml").write_text("[tiers.unbounded]\n")
        self.variables = {"MARKETDATA_HOME": home} | ({"MARKETDATA_REDIS": redis} if redis else {})

    def key(self, name: str, tier: str = "unbounded") -> str:
        self._run("account", "add", name, "--tier", tier)
        return self._run("key", "add", name)

    def _run(self, *line: str) -> str:
        done = subprocess.run(
            [OURS, "access", *line],
            env=own_environment(**self.variables),
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def server(
        self, *options: str, **more: str
    ) -> contextlib.AbstractAsyncContextManager[tuple[str, int, int]]:
        variables = [f"{name}={value}" for name, value in (self.variables | more).items()]
        line = ["env", *variables, OURS, "--http", "127.0.0.1:0", "--access", *options]
        return http_server(line, self.variables["MARKETDATA_HOME"])


@contextlib.contextmanager
def accounts(kind: str) -> Iterator[Accounts]:
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        redis = stack.enter_context(RedisServer()).url if kind == "Redis" else None
        yield Accounts(home, redis)


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


@contextlib.asynccontextmanager
async def proxy(ports: Sequence[int]) -> AsyncIterator[int]:
    with tempfile.TemporaryDirectory() as folder:
        import socket

        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        servers = " ".join(f"server 127.0.0.1:{one};" for one in ports)
        text = _PROXY.format(folder=folder, servers=servers, port=port)
        file = _written(Path(folder, "nginx.conf"), text)
        process = await asyncio.create_subprocess_exec(NGINX, "-c", file, "-p", folder)
        try:
            pin(process.pid, 0)
            for _ in range(100):
                with contextlib.suppress(OSError):
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                await asyncio.sleep(0.05)
            yield port
        finally:
            process.terminate()
            await process.wait()


# ---------------------------------------------------------------------- lines


def line(text: str, value: float, bound: float, form: str = ".2f", *, least: bool = False) -> None:
    holds = value >= bound if least else value <= bound
    sign = ">=" if least else "<="
    verdict = "" if holds else "   NOT HELD"
    print(f"    {text:58} {value:10{form}}   ({sign} {bound:g}){verdict}", flush=True)


async def lines(options: argparse.Namespace) -> None:
    """Print the lines of load, each with its bound."""
    took, many = options.load_seconds, options.clients
    with tempfile.TemporaryDirectory() as home:
        async with http_server([*BARE, "http"], home) as (host, port, pid):
            pin(pid, 1)
            bare = await loaded((host, port), [pid], 32, [call("nothing", None)], took)
    print(f"\nLoad: {took:g} s each; bare SDK, 32 clients: {bare.rate:.0f} calls/s")
    alone = None
    for kind in ["SQLite", *(["Redis"] if REDIS else [])]:
        with accounts(kind) as kept:
            key = kept.key("benchmark")
            async with kept.server() as (host, port, pid):
                pin(pid, 1)
                sent, where = [call("watch_list", key)], (host, port)
                few = await loaded(where, [pid], 32, sent, took)
                idle = memory(pid), files(pid)
                full = await loaded(where, [pid], many, sent, took)
                await asyncio.sleep(2)
                after = memory(pid), files(pid)
        alone = few
        print(f"  {kind}: 32 clients {few.rate:.0f}/s at {few.cost:.0f} us CPU a call, "
              f"{many:,} clients {full.rate:.0f}/s at {full.cost:.0f} us")  # fmt: skip
        line("32 clients, of the bare SDK", few.rate / bare.rate,
             0.8 if kind == "SQLite" else 0.75, least=True)  # fmt: skip
        line(f"{many:,} clients, of 32", full.rate / few.rate, 0.8, least=True)
        line("refused, %", 100 * full.refused / max(1, full.calls + full.refused), 1)
        served = [full.answered[number] for number in range(many)]
        line("the client that got least, of the mean", min(served) / statistics.mean(served), 0.5,
             least=True)  # fmt: skip
        line("errors that tell no time to come back", sum(full.wrong.values()), 0, ".0f")
        for what, count in full.wrong.items():
            print(f"      {what}: {count}")
        line("p99, of clients / throughput", p99(full.waits) / (many / full.rate), 1.2)
        for path, waits in full.probes.items():
            line(f"{path} p99, ms", p99(waits) * 1000, 200, ".0f")
        line("memory, MiB", full.memory, 300, ".0f")
        line("memory after, of before", after[0] / idle[0], 1.1)
        line("file descriptors more than before", after[1] - idle[1], 0, ".0f")
    if REDIS and NGINX and alone:
        await _replicas(took, alone)


async def _replicas(took: float, alone: Load) -> None:
    with accounts("Redis") as kept:
        keys = [kept.key(f"benchmark{number}") for number in range(16)]
        async with kept.server() as first, kept.server() as second:
            for _, _, pid in (first, second):
                pin(pid, 1)
            async with proxy([first[1], second[1]]) as port:
                pids = [first[2], second[2]]
                sent = [call("watch_list", key) for key in keys]
                both = await loaded(("127.0.0.1", port), pids, 32, sent, took)
    print(f"  two replicas behind nginx with Redis, 32 clients: {both.rate:.0f}/s")
    line("CPU a call, of one replica's", both.cost / alone.cost, 1.25)
    line("errors", sum(both.wrong.values()), 0, ".0f")


# ---------------------------------------------------------------------- hostile


async def soak(options: argparse.Namespace) -> None:
    """Mix those who ask with those who attack, and tell how the first fare."""
    took = options.soak_seconds
    print(f"\nSoak: {took:g} s, 16 clients who ask among hostile ones")
    with accounts("SQLite") as kept, tempfile.TemporaryDirectory() as other:
        keys = [kept.key(f"benchmark{number}") for number in range(16)]
        poor = kept.key("poor", "pioneer")
        simulator = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _SIMULATOR,
            stdout=subprocess.PIPE, env=own_environment(MARKETDATA_HOME=other),
        )  # fmt: skip
        endpoints = (await simulator.stdout.readline()).decode()
        try:
            async with kept.server("--sse", MARKETDATA_ENDPOINTS=endpoints) as (host, port, pid):
                pin(pid, 1)
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
                await asyncio.sleep(32)  # what does not end has its time, and no more
                after = memory(pid), files(pid)
        finally:
            simulator.kill()
            await simulator.wait()
    print(f"  {load.rate:.0f} answers/s, p50 {statistics.median(load.waits) * 1000:.0f} ms; "
          f"{sum(done):,} attacks")  # fmt: skip
    line("p99 of those who ask, ms", p99(load.waits) * 1000, 200, ".0f")
    line("errors of those who ask", sum(load.wrong.values()), 0, ".0f")
    for what, count in load.wrong.items():
        print(f"      {what}: {count}")
    for path, waits in load.probes.items():
        line(f"{path} p99, ms", p99(waits) * 1000, 200, ".0f")
    line("memory, MiB", load.memory, 300, ".0f")
    line("memory after, of before", after[0] / idle[0], 1.1)
    line("file descriptors more than before", after[1] - idle[1], 0, ".0f")


_LONG = "x" * 800_000
_LIST = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
).encode()
ATTACKS = (
    # Without a key: large, wrong, half, smuggled, none at all.
    lambda _: call("get_tickers", None, {"pairs": ["BTC/USDT"] * 50_000}),
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
    # With the key of the lowest tier: what costs most before it is refused.
    lambda key: call("get_tickers", key, {"pairs": ["BTC/USDT"] * 50_000}),
    lambda key: call("get_ticker", key, {"pair": _LONG}),
    lambda key: call("get_candles", key, {"pair": "BTC/USDT", "start": _LONG}),
    lambda key: request(_LIST, key=key, method="tools/list"),
    lambda key: (
        b"GET /sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n" % key.encode()
    ),
)


async def _attack(where: tuple[str, int], sent: bytes, took: float) -> int:
    """Send something again and again, each time on a new connection; read little of the answer."""
    ends, done = time.perf_counter() + took, 0
    while time.perf_counter() < ends:
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_connection(*where)
            try:
                writer.write(sent)
                async with asyncio.timeout(1):
                    await writer.drain()
                    await reader.read(100)
            finally:
                writer.close()
        done += 1
        await asyncio.sleep(0.05)
    return done
