"""One stream of the older HTTP+SSE transport: its owner and its end."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from mcp_types import INVALID_REQUEST
from starlette.types import Message, Send

from marketdata.errors import InternalError, MarketDataError
from marketdata_mcp import answers

__all__ = ["EventSession"]

_SESSION = re.compile(rb"session_id=([0-9a-f]{32})")
"""The session id in the first event, which has the URL for the client's messages."""
_AGAIN_SECONDS = 50.0
"""Seconds between two checks of its key, even without events."""


class EventSession:
    """A stream of events that ends with its key."""

    def __init__(self, again: Callable[[], Awaitable[object]] | None, send: Send) -> None:
        """`again` raises if its owner would no longer be admitted."""
        self.name = ""
        """The transport's name of the session, once it is known."""
        self._look = again
        self._send = send
        self._ends = asyncio.timeout(None)
        self._error: MarketDataError | None = None

    async def send(self, message: Message) -> None:
        """Send a part of the stream, and note its name."""
        found = None if self.name else _SESSION.search(message.get("body", b""))
        self.name = self.name or (found[1].decode() if found else "")
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last and self._error is not None:
            message = {**message, "body": message.get("body", b"") + self._last()}
        await self._send(message)

    async def again(self) -> None:
        """Check its key again; if it is no longer valid, end the stream and raise the error.

        The stream continues if accounts cannot be reached.
        """
        if self._look is None:
            return
        try:
            await self._look()
        except InternalError:
            return
        except MarketDataError as error:
            self._error = error
            self.end()
            raise

    def end(self) -> None:
        """End the stream with the error code of `again`."""
        if self._ends.when() is None:
            self._ends.reschedule(0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the block until it ends or `end` is called, and check the key meanwhile."""
        looking = asyncio.create_task(self._keep_looking())
        try:
            async with self._ends:
                yield
        except TimeoutError:
            if not self._ends.expired():
                raise
        finally:
            looking.cancel()

    async def _keep_looking(self) -> None:
        while self._error is None:
            await asyncio.sleep(_AGAIN_SECONDS)
            try:
                await self.again()
            except MarketDataError:
                return

    def _last(self) -> bytes:
        """Return the last event: an error without a request, if there is one."""
        if self._error is None:
            return b""
        said = json.loads(answers.told(self._error))
        error = {"code": INVALID_REQUEST, "message": said["message"], "data": said}
        message = answers.compact({"jsonrpc": "2.0", "id": None, "error": error})
        return f"event: message\r\ndata: {message}\r\n\r\n".encode()
