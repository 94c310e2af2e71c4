"""The HTTP server inside the test's own process, and clients that write HTTP by hand."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import uvicorn.protocols.http.auto
from mcp_doors import ENVELOPE, PATIENCE
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from marketdata import AsyncClient
from marketdata_mcp.app import Service
from marketdata_mcp.live.watches import Limits
from marketdata_mcp.service import http
from marketdata_mcp.service.access.gate import Gate
from marketdata_mcp.service.admission import GatedAdmission
from marketdata_mcp.service.bounds import Ceilings
from marketdata_mcp.service.metrics import Metrics
from marketdata_mcp.service.web import Web

MODERN = "2026-07-28"
HANDSHAKE = "2025-11-25"
VERSIONS = (MODERN, HANDSHAKE)

PARSERS = {"httptools": HttpToolsProtocol, "h11": H11Protocol}
"""The HTTP parsers that uvicorn can use."""

TICKER: dict[str, Any] = {
    "name": "get_ticker",
    "arguments": {"pair": "BTC/USDT", "exchange": "binance"},
}
BARS: dict[str, Any] = {
    "name": "get_candles",
    "arguments": {"pair": "BTC/USDT", "exchange": "binance", "limit": 500},
}

_PIECE = 1 << 18

HELLO = {
    "protocolVersion": HANDSHAKE,
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


@dataclass(frozen=True)
class Loopback:
    """A running server."""

    web: Web
    port: int

    def metric(self, name: str, **labels: str) -> float:
        """Return a metric of the server."""
        assert self.web.metrics is not None
        return self.web.metrics.registry.get_sample_value(f"marketdata_mcp_{name}", labels) or 0.0

    async def is_well(self) -> bool:
        """Return whether it answers a call."""
        answered = await exchange(self.port, ask("tools/call", **TICKER))
        return "structuredContent" in answered.message["result"]

    @property
    def connections(self) -> int:
        """The number of open connections."""
        ours = psutil.Process().net_connections("tcp")
        return sum(one.laddr.port == self.port and bool(one.raddr) for one in ours)

    @property
    def under_way(self) -> int:
        """The number of requests in flight."""
        return int(self.metric("requests_under_way"))


@asynccontextmanager
async def loopback(
    home: Path,
    endpoints: Mapping[str, str],
    *,
    client: AsyncClient | None = None,
    gate: Gate | None = None,
    limits: Limits | None = None,
    parser: str = "httptools",
    small: bool = False,
    **ceilings: Any,
) -> AsyncIterator[Loopback]:
    """Serve with other limits than the usual ones; it is stopped like by an operator.

    `small` connections hold little of what their client does not read. Whatever clients do, there
    may be no error in the log.
    """
    if client is None:
        client = AsyncClient("binance", endpoints=dict(endpoints), home=home, retries=0)
    metrics = Metrics()
    most = Ceilings(**ceilings)
    admission = GatedAdmission(client, gate, metrics, ceilings=most)
    service = Service(client, admission=admission, limits=limits)
    web = Web(service, (), gate, True, metrics, most)
    listener = http.listen("127.0.0.1", 0)
    if small:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    ready = asyncio.Event()
    web.ready = ready.set
    port = listener.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch, _errors() as logged:
        patch.setattr(uvicorn.protocols.http.auto, "AutoHTTPProtocol", PARSERS[parser])
        served = asyncio.create_task(http.serve(web, listener))
        try:
            async with asyncio.timeout(PATIENCE):
                await ready.wait()
            yield Loopback(web, port)
        finally:
            if ready.is_set():
                os.kill(os.getpid(), signal.SIGTERM)
            else:
                served.cancel()
            await asyncio.wait_for(served, PATIENCE)
        assert logged == []


@contextmanager
def _errors() -> Iterator[list[str]]:
    """Collect logged errors and tracebacks."""
    logged: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno > logging.WARNING or record.exc_info:
                logged.append(self.format(record))

    handler = Handler()
    logging.getLogger().addHandler(handler)
    try:
        yield logged
    finally:
        logging.getLogger().removeHandler(handler)


# ---------------------------------------------------------------------------- requests


def message(method: str, number: int | str | None = 1, **params: Any) -> bytes:
    """Return a JSON-RPC message; without a number it is a notification."""
    named = {} if number is None else {"id": number}
    return json.dumps({"jsonrpc": "2.0", **named, "method": method, "params": params}).encode()


def post(
    body: bytes, path: str = "/mcp", version: str | None = HANDSHAKE, **headers: str | None
) -> bytes:
    """Return a whole HTTP request; a header that is None is left out."""
    sent: dict[str, str | None] = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Content-Length": str(len(body)),
        "MCP-Protocol-Version": version,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"POST {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in sent.items() if value is not None]
    return "\r\n".join([*lines, "", ""]).encode() + body


def ask(method: str, version: str = MODERN, number: int = 1, **params: Any) -> bytes:
    """Return a whole HTTP request of a revision."""
    if version != MODERN:
        return post(message(method, number, **params), version=version)
    named = {"Mcp-Name": params["name"]} if "name" in params else {}
    body = message(method, number, **params, _meta=ENVELOPE)
    return post(body, version=version, **{"Mcp-Method": method, **named})


def get(path: str, **headers: str) -> bytes:
    """Return a whole HTTP request."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def with_headers(request: bytes, **headers: str) -> bytes:
    """Return a whole HTTP request with more headers."""
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return request.replace(b"Host:", "".join(lines).encode() + b"Host:", 1)


# ---------------------------------------------------------------------------- answers


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        """The JSON-RPC message of the body or of its last event."""
        text = self.body
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            events = [line for line in text.split(b"\r\n") if line.startswith(b"data: {")]
            text = events[-1].removeprefix(b"data: ")
        decoded: dict[str, Any] = json.loads(text)
        return decoded


async def answer(
    reader: asyncio.StreamReader, endless: re.Pattern[bytes] | None = None, *, is_head: bool = False
) -> Answer:
    """Read one response; raises IncompleteReadError if the connection ends too early.

    Of a stream no more is read than what is `endless`: its connection can then be closed only.
    """
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines if line)
        headers = {name.lower(): value for name, _, value in pairs}
        status, body = int(first.split()[1]), b""
        if status == 100:
            return await answer(reader, endless, is_head=is_head)
        if headers.get("transfer-encoding") == "chunked":
            async for chunk in _chunks(reader):
                body += chunk
                if endless is not None and endless.search(body):
                    headers["connection"] = "close"
                    break
        elif not is_head:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(status, headers, body)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readline()


class Peer(NamedTuple):
    """A connection to a server, as its client holds it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def asks(self, request: bytes) -> Answer:
        """Send a request, and return its response."""
        self.writer.write(request)
        return await answer(self.reader)

    async def sends(self, data: bytes) -> None:
        """Send any number of bytes; raises ConnectionError if they are not accepted."""
        for at in range(0, len(data), _PIECE):
            self.writer.write(data[at : at + _PIECE])
            await self.writer.drain()

    async def is_closed(self) -> bool:
        """Wait until the server has closed; return whether it sent nothing before."""
        async with asyncio.timeout(PATIENCE):
            try:
                return not await self.reader.read()
            except ConnectionError:
                return True


@asynccontextmanager
async def connected(port: int, *, small: bool = False) -> AsyncIterator[Peer]:
    """Connect; a `small` client has a small receive buffer."""
    sock = socket.socket()
    if small:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 24)
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


async def exchange(port: int, request: bytes) -> Answer:
    """Send a request on a new connection, and return its response."""
    async with connected(port) as peer:
        return await peer.asks(request)
