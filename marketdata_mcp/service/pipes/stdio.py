"""MCP over stdin and stdout, with the event loop's own pipes.

The SDK's transport uses a thread for each read, write and flush, waits for the next line before
Ctrl-C can end it, and is killed by SIGTERM without closing anything. Windows, whose loop cannot
wait for such pipes, uses it all the same (`serve_by_sdk`).
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from mcp.server import Server
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from marketdata.machine import on_signal
from marketdata_mcp.service.pipes import identity, wire

if TYPE_CHECKING:
    from mcp.shared._context_streams import ContextSendStream

__all__ = ["serve", "serve_by_sdk"]


async def serve(server: Server[Any], incoming: int, outgoing: int) -> None:
    """Serve one client over two descriptors.

    Ends when the client has closed its end and has all answers, and at once on SIGINT or SIGTERM.
    In both cases the server's lifespan ends, so that all upstream connections are closed.
    """
    output = await wire.Output.open(outgoing)
    written = _Piped(output)
    read = _Read(_messages(wire.lines(incoming), written), written)
    serving = asyncio.ensure_future(
        server.run(read, written, server.create_initialization_options())
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        on_signal(number, serving.cancel)
    await asyncio.wait([serving])
    await output.finish()
    if not serving.cancelled():
        serving.result()


async def serve_by_sdk(server: Server[Any]) -> None:
    """Serve one client over stdin and stdout with the SDK's transport.

    Ends when the client has closed its end and has all answers.
    """
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (incoming, outgoing):
        written = _Handed(outgoing)
        read = _Read(incoming, written)
        async with outgoing:  # its writer ends with it
            await server.run(read, written, server.create_initialization_options())


class _Stream:
    """The interface that the SDK expects in both directions."""

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
    """Messages to the client, and its requests without an answer."""

    def __init__(self) -> None:
        self._waiting: set[str] = set()
        self._all_answered = asyncio.Event()
        self._all_answered.set()

    async def send(self, item: SessionMessage) -> None:
        """Write one message."""
        raise NotImplementedError

    def note(self, item: SessionMessage) -> None:
        """Note a written message, which can be an answer."""
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self.settle(item.message.id)

    def expect(self, request_id: object) -> None:
        """Note a received request."""
        self._waiting.add(str(request_id))
        self._all_answered.clear()

    def settle(self, request_id: object) -> None:
        """Note that a request was answered, or was cancelled and gets no answer."""
        self._waiting.discard(str(request_id))
        if not self._waiting:
            self._all_answered.set()

    async def all_answered(self) -> None:
        """Wait until all requests are answered."""
        await self._all_answered.wait()


class _Piped(_Written):
    """Writes messages to a pipe of the loop."""

    def __init__(self, output: wire.Output) -> None:
        super().__init__()
        self._output = output

    async def send(self, item: SessionMessage) -> None:
        """Write one message."""
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        self._output.put(line.encode())
        self.note(item)
        await self._drain()

    async def refuse(self, line: bytes) -> None:
        """Answer an invalid line, with its id if that can be read."""
        self._output.put(json.dumps(identity.refused(line)).encode())
        await self._drain()

    async def _drain(self) -> None:
        try:
            await self._output.drain()
        except ConnectionError:
            raise anyio.BrokenResourceError from None


class _Handed(_Written):
    """Passes messages to the SDK's transport, which writes them."""

    def __init__(self, outgoing: ContextSendStream[SessionMessage]) -> None:
        super().__init__()
        self._outgoing = outgoing

    async def send(self, item: SessionMessage) -> None:
        """Pass on one message."""
        try:
            await self._outgoing.send(item)
        finally:
            self.note(item)


class _Read(_Stream):
    """Messages from the client; ends after its last request has been answered.

    The SDK drops calls in flight when this ends, but a client may send its calls, close its end and
    then read.
    """

    def __init__(
        self, messages: AsyncIterator[SessionMessage | Exception], written: _Written
    ) -> None:
        self._messages = messages
        self._written = written

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message or its error; raises `anyio.EndOfStream` at the end."""
        async for item in self._messages:
            match item:
                case SessionMessage(message=JSONRPCRequest(method="subscriptions/listen")):
                    pass  # a listening request is answered at its end, which would never come
                case SessionMessage(message=JSONRPCRequest(id=request_id)):
                    self._written.expect(request_id)
                case SessionMessage(
                    message=JSONRPCNotification(method="notifications/cancelled", params=params)
                ):
                    self._written.settle((params or {}).get("requestId"))
            return item
        await self._written.all_answered()
        raise anyio.EndOfStream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


async def _messages(
    lines: AsyncIterator[bytes | None], written: _Piped
) -> AsyncIterator[SessionMessage | Exception]:
    """Read messages; invalid lines are answered here."""
    async for line in lines:
        if line is None:
            await written.send(SessionMessage(_TOO_LONG))
            continue
        if not line.strip():
            continue
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValidationError:
            await written.refuse(line)
            continue
        if isinstance(message, JSONRPCNotification) and identity.is_unanswered(line):
            await written.refuse(line)
        else:
            yield SessionMessage(message)


_TOO_LONG = JSONRPCError(
    jsonrpc="2.0",
    id=None,
    error=ErrorData(
        code=INVALID_REQUEST,
        message=f"Invalid request: a message has at most {wire.LONGEST_LINE} bytes.",
    ),
)
