"""The transports that the tests share, and a client with prepared answers behind the server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult
from raw_server import listening

from marketdata import AsyncClient
from marketdata.operations import OPERATIONS
from marketdata_mcp import app

T = TypeVar("T")

ERAS = ("auto", "legacy")
"""How the SDK's client connects: by revision 2026-07-28, or by the handshake of earlier ones."""

COMMAND = Path(sys.executable).with_name("marketdata-mcp")

PATIENCE = 60
"""Seconds until something counts as hanging; tests take less than a tenth of it."""

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


class FedClient(AsyncClient):
    """Answers with prepared results by operation, raises prepared exceptions, and notes calls."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(sim=True)
        self.asked: list[dict[str, Any]] = []
        self.closed = False
        for operation in OPERATIONS:
            if operation.name in answers:
                setattr(self, operation.name, self._feed(answers[operation.name]))

    def _feed(self, answer: Any) -> Any:
        async def method(**arguments: Any) -> Any:
            self.asked.append(arguments)
            if isinstance(answer, BaseException):
                raise answer
            return await answer() if asyncio.iscoroutinefunction(answer) else answer

        return method

    async def close(self) -> None:
        self.closed = True
        await super().close()


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine with a time limit."""
    return asyncio.run(asyncio.wait_for(work, PATIENCE))


def ask(
    client: AsyncClient, tool: str, arguments: Mapping[str, Any] | None = None, era: str = "auto"
) -> CallToolResult:
    """Call one tool of a server in memory."""

    async def work() -> CallToolResult:
        async with Client(app.Service(client).server(), mode=era) as connected:
            return await connected.call_tool(tool, dict(arguments or {}))

    return finish(work())


def content(result: CallToolResult) -> dict[str, Any]:
    """Return the answer of a successful call, after checking its form."""
    assert not result.is_error, result.content
    (block,) = result.content
    decoded = json.loads(block.text)
    assert decoded == result.structured_content
    assert block.text == json.dumps(decoded, ensure_ascii=False, separators=(",", ":"))
    assert len(block.text) <= 80_000
    return decoded


def failure(result: CallToolResult) -> dict[str, Any]:
    """Return the error of a failed call, after checking its form."""
    assert result.is_error
    assert result.structured_content is None
    (block,) = result.content
    decoded = json.loads(block.text)
    assert block.text == json.dumps(decoded, ensure_ascii=False, separators=(",", ":"))
    assert result.meta is not None
    assert result.meta[app.ERROR_KEY] == decoded
    assert set(decoded) - {"retryAfter", "details"} == {"code", "message", "retryable"}
    return decoded


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment for a server process, without MARKETDATA_* variables."""
    kept = {name: value for name, value in os.environ.items() if name[:11] != "MARKETDATA_"}
    return {**kept, "MARKETDATA_HOME": str(home), **more}


@asynccontextmanager
async def over_stdio(
    home: Path,
    *arguments: str,
    era: str = "auto",
    message_handler: Any = None,
    **variables: str,
) -> AsyncIterator[Client]:
    """Connect the SDK's client to the installed command."""
    parameters = StdioServerParameters(
        command=str(COMMAND), args=list(arguments), env=environment(home, **variables)
    )
    transport = stdio_client(parameters)
    async with Client(transport, mode=era, message_handler=message_handler) as client:
        yield client


@asynccontextmanager
async def serving(
    home: Path, *arguments: str, **variables: str
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Start the server, and return its URL once it serves."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *(arguments or ("--http", "127.0.0.1:0", "--sim")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home, **variables),
    )
    try:
        assert process.stderr
        line = (await process.stderr.readline()).decode()
        found = re.fullmatch(r"marketdata-mcp: serving (http://\S+/mcp)\n", line)
        assert found, line
        yield found[1], process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@contextmanager
def running(command: list[str], home: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process with pipes on all three descriptors, and make sure that it ends."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home, **variables),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def request(number: int, method: str, **params: Any) -> bytes:
    """Return a request of revision 2026-07-28 as one line."""
    body = {
        "jsonrpc": "2.0",
        "id": number,
        "method": method,
        "params": {**params, "_meta": ENVELOPE},
    }
    return json.dumps(body).encode() + b"\n"


class Silent:
    """An exchange that accepts requests and never answers; notes the first and its end."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen, and return the value of MARKETDATA_ENDPOINTS."""
        async with listening(self._take) as port:
            yield json.dumps({"binance": f"http://127.0.0.1:{port}"})

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        await reader.read()
        self.left.set()
