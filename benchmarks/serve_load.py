"""The MCP server with a thousand clients, and with two replicas.

A server process has one core, and its clients the other. Counters are in SQLite or Redis.
"""

import argparse
import asyncio
import contextlib
import socket
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.serve import BARE, OURS, http_server, pin, verdict
from benchmarks.serve_clients import Load, call, files, loaded, memory, p99
from marketdata_mcp.service.access.redis_store import RedisStore
from marketdata_mcp.service.access.registry import Registry
from marketdata_mcp.service.access.sqlite_store import SqliteStore
from marketdata_mcp.service.access.tiers import Policy

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from redis_server import RedisServer
from servers import NGINX, REDIS

BACK_SECONDS = 80.0
"""Seconds until an unused connection and its timers have ended."""
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


# ---------------------------------------------------------------------- servers


class Accounts:
    """Keys in a home folder or in Redis."""

    def __init__(self, home: str, redis: str | None) -> None:
        Path(home, "policy.toml").write_text("[tiers.unbounded]\n")
        self.variables = {"MARKETDATA_HOME": home} | ({"MARKETDATA_REDIS": redis} if redis else {})

    def key(self, name: str, tier: str = "unbounded") -> str:
        """Create an account, and return a key of it."""
        with ThreadPoolExecutor(1) as thread:  # it needs its own event loop
            return thread.submit(asyncio.run, self._made(name, tier)).result()

    async def _made(self, name: str, tier: str) -> str:
        home, redis = (
            Path(self.variables["MARKETDATA_HOME"]),
            self.variables.get("MARKETDATA_REDIS"),
        )
        store = RedisStore(redis) if redis else SqliteStore(home / "access.sqlite")
        registry = Registry(Policy.read(home / "policy.toml"), store)
        try:
            await registry.add_account(name, tier)
            return (await registry.add_key(name))[0]
        finally:
            await store.close()

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
    print(f"    {text:58} {value:10{form}}   ({sign} {bound:g}){verdict(holds)}", flush=True)


async def came_back(pid: int, idle: tuple[float, int]) -> tuple[float, int]:
    """Return memory and open files once they are back, or after the longest timer."""
    for _ in range(round(BACK_SECONDS)):
        await asyncio.sleep(1)
        after = memory(pid), files(pid)
        if after[0] <= 1.1 * idle[0] and after[1] <= idle[1]:
            break
    return after


async def lines(options: argparse.Namespace) -> None:
    """Print the results under load, each with its bound."""
    took, many = options.load_seconds, options.clients
    with tempfile.TemporaryDirectory() as home:
        async with http_server([*BARE, "http"], home) as (host, port, pid):
            pin(pid, 1)
            bare = await loaded(
                (host, port), [pid], 32, [call("nothing", None)], took, probed=False
            )
    print(f"\nLoad: {took:g} s each; bare SDK, 32 clients: {bare.rate:.0f} calls/s "
          f"at {bare.cost:.0f} us CPU a call")  # fmt: skip
    alone = None
    for kind in ["SQLite", *(["Redis"] if REDIS else [])]:
        with accounts(kind) as kept:
            key = kept.key("benchmark")
            async with kept.server() as (host, port, pid):
                pin(pid, 1)
                sent, where = [call("watch_list", key)], (host, port)
                few = await loaded(where, [pid], 32, sent, took, probed=False)
                idle = memory(pid), files(pid)
                full = await loaded(where, [pid], many, sent, took)
                after = await came_back(pid, idle)
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
                both = await loaded(("127.0.0.1", port), pids, 32, sent, took, probed=False)
    print(f"  two replicas behind nginx with Redis, 32 clients: {both.rate:.0f}/s")
    line("CPU a call, of one replica's", both.cost / alone.cost, 1.25)
    line("errors", sum(both.wrong.values()), 0, ".0f")
