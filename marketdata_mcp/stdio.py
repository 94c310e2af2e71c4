"""MCP over stdin and stdout, on the event loop's own pipes.

The SDK's transport for this crosses to a thread for each read, write and flush, waits for the
next line before Ctrl-C can end it, and dies of SIGTERM with nothing closed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import anyio
from mcp.server import Server
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import from_json

from marketdata_mcp import wire

__all__ = ["serve"]


async def serve(server: Server[Any], incoming: int, outgoing: int) -> None:
    """Serve one client over two descriptors.

    Ends when the client has closed its end and has got all its answers, and at once on SIGINT or
    SIGTERM. Either way the server's lifespan has ended, so that everything upstream is closed.
    """
    output = await wire.Output.open(outgoing)
    written = _Written(output)
    read = _Read(wire.lines(incoming), written)
    serving = asyncio.ensure_future(
        server.run(read, written, server.create_initialization_options())
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    await asyncio.wait([serving])
    await output.finish()
    if not serving.cancelled():
        serving.result()


class _Stream:
    """What the SDK expects of both directions."""

    async def aclose(self) -> None:
        """Do nothing: `serve` closes, after the last answer."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class _Written(_Stream):
    """Messages to the client, and which of its requests still wait for one."""

    def __init__(self, output: wire.Output) -> None:
        self._output = output
        self._waiting: set[str] = set()
        self._all_answered = asyncio.Event()
        self._all_answered.set()

    async def send(self, item: SessionMessage) -> None:
        """Write one message."""
        message = item.message
        self._output.put(message.model_dump_json(by_alias=True, exclude_unset=True).encode())
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self.settle(message.id)
        try:
            await self._output.drain()
        except ConnectionError:
            raise anyio.BrokenResourceError from None

    def expect(self, request_id: object) -> None:
        """Note that a request has come."""
        self._waiting.add(str(request_id))
        self._all_answered.clear()

    def settle(self, request_id: object) -> None:
        """Note that a request has its answer, or was cancelled and gets none."""
        self._waiting.discard(str(request_id))
        if not self._waiting:
            self._all_answered.set()

    async def all_answered(self) -> None:
        """Wait until no request waits."""
        await self._all_answered.wait()


class _Read(_Stream):
    """Messages from the client; ends after its last request has been answered.

    The SDK drops the calls under way when this ends, and a client may well send its calls, close
    its end and then read.
    """

    def __init__(self, lines: AsyncIterator[bytes | None], written: _Written) -> None:
        self._lines = lines
        self._written = written

    async def receive(self) -> SessionMessage:
        """Give the next message; raises `anyio.EndOfStream` at the end."""
        async for line in self._lines:
            if line is None:
                await self._written.send(SessionMessage(_TOO_LONG))
                continue
            if not line.strip():
                continue
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValidationError as error:
                await self._written.send(SessionMessage(_refusal(line, error)))
                continue
            match message:
                case JSONRPCRequest(method="subscriptions/listen"):
                    pass  # answered when it ends, which would be never
                case JSONRPCRequest():
                    self._written.expect(message.id)
                case JSONRPCNotification(method="notifications/cancelled"):
                    self._written.settle((message.params or {}).get("requestId"))
            return SessionMessage(message)
        await self._written.all_answered()
        raise anyio.EndOfStream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


_TOO_LONG = JSONRPCError(
    jsonrpc="2.0",
    id=None,
    error=ErrorData(
        code=INVALID_REQUEST,
        message=f"Invalid request: a message has at most {wire.LONGEST_LINE} bytes.",
    ),
)


def _refusal(line: bytes, error: ValidationError) -> JSONRPCError:
    """Answer a line that is not JSON, or JSON that is not a message."""
    if error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid":
        said = ErrorData(code=PARSE_ERROR, message="Parse error: a message is one line of JSON.")
        return JSONRPCError(jsonrpc="2.0", id=None, error=said)
    said = ErrorData(code=INVALID_REQUEST, message="Invalid request: not a JSON-RPC 2.0 message.")
    decoded = from_json(line)
    given = decoded.get("id") if isinstance(decoded, dict) else None
    request_id = given if isinstance(given, str | int) and not isinstance(given, bool) else None
    return JSONRPCError(jsonrpc="2.0", id=request_id, error=said)
