"""Many clients of a server, their requests and the results."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serve import VERSIONS, cpu_seconds, message

PATIENCE = 60.0
_OVER = re.compile(
    rb'"code":\s*"(?:RATE_LIMIT_EXCEEDED|EXCHANGE_UNAVAILABLE.*"reason":\s*"rate_limited)"',
    re.DOTALL,
)
"""A call over the server's limits, or over what its exchange allows all callers together."""
_AFTER = re.compile(rb'"retryAfter":\s*([\d.]+)')


@dataclass
class Load:
    """The results of many clients over some seconds."""

    clients: int
    seconds: float = 0.0
    answered: Counter[int] = field(default_factory=Counter)
    """Calls by client."""
    waits: list[float] = field(default_factory=list)
    refused: int = 0
    """Responses over a limit that say when to try again: not errors."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Everything else."""
    probes: dict[str, list[float]] = field(default_factory=dict)
    cpu: float = 0.0
    """CPU seconds of the servers."""
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
        """CPU microseconds per call."""
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
    """Call repeatedly; after a refusal, wait for its `Retry-After`."""
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
        body = body.replace(rb"\"", b'"')  # an error is JSON in a text of JSON
        code = re.search(rb'"code":\s*"([A-Z_]+)"', body)
        later = _later(headers, body)
        if status == 200 and b'"isError":true' not in body:
            load.answered[number] += 1
            load.waits.append(time.perf_counter() - began)
        elif later is not None:
            load.refused += 1
            await asyncio.sleep(min(later, max(0, ends - time.perf_counter())))
        else:
            load.wrong[f"{status} {code and code[1].decode()}"] += 1
            await asyncio.sleep(0.1)
        if headers.get("connection") == "close":
            writer.close()
            writer = None
    if writer is not None:
        writer.close()


def _later(headers: dict[str, str], body: bytes) -> float | None:
    """Give the seconds after which to come back; None where the answer does not say."""
    if "retry-after" in headers:
        return float(headers["retry-after"])
    after = _AFTER.search(body)
    return float(after[1]) if after and _OVER.search(body) else None


async def probe(
    where: tuple[str, int], seconds: float, pause: float, *paths: str
) -> tuple[dict[str, list[float]], Counter[str]]:
    """Let another process check a server; return the latencies by path, and the errors."""
    line = [*where, seconds, pause, *paths]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.serve_probe", *map(str, line), stdout=subprocess.PIPE
    )
    found = json.loads((await process.communicate())[0])
    return found["waits"], Counter(found["wrong"])


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
    *,
    probed: bool = True,
) -> Load:
    """Let clients call for some seconds, each with one of the requests.

    Meanwhile `/healthz` and `/readyz` are requested if `probed`.
    """
    load = Load(clients)
    before, began = sum(map(cpu_seconds, pids)), time.perf_counter()
    ends = began + took
    async with asyncio.TaskGroup() as group:
        if probed:
            asked = group.create_task(probe(where, took, 0.05, "/healthz", "/readyz"))
        calling = [
            group.create_task(client(load, number, where, requests[number % len(requests)], ends))
            for number in range(clients)
        ]
        group.create_task(watch(load, pids, ends))
        await asyncio.wait(calling)
        load.seconds = time.perf_counter() - began
        load.cpu = sum(map(cpu_seconds, pids)) - before
    if probed:
        load.probes, wrong = asked.result()
        load.wrong += wrong
    return load
