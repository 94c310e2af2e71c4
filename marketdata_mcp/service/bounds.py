"""How much one server takes on: requests at a time, slow senders and readers, its end."""

from __future__ import annotations

import asyncio
import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketdata.errors import InternalError, MarketDataError, RateLimitExceededError
from marketdata_mcp.service.refusals import refusal

__all__ = ["Bounded", "Ceilings", "request_id"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""What the running request is called in logs: its ``X-Request-Id``, or one of our own."""

_ALWAYS = ("/healthz", "/readyz")
"""What is answered however much there is to do."""
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Ceilings:
    """What a server takes on at most."""

    body: int = 1 << 20
    """Bytes of a request; an argument has some dozens."""
    requests: int = 2048
    """Requests under way, streams included."""
    sessions: int = 1000
    """Sessions of the HTTP+SSE transport."""
    connections: int = 4096
    header_seconds: float = 15.0
    """Seconds until a connection has sent a request's header."""
    body_seconds: float = 30.0
    """Seconds until the rest of a request has come."""
    stall_seconds: float = 60.0
    """Seconds for which a client may read nothing of what it is sent."""
    idle_seconds: int = 75
    """Seconds for which a connection may lie idle between requests."""


class Bounded:
    """Runs an application within bounds, and so that its requests can be ended with an answer."""

    def __init__(self, app: ASGIApp, ceilings: Ceilings) -> None:
        self._app = app
        self._ceilings = ceilings
        self._exchanges: set[_Exchange] = set()
        self._is_ending = False

    @property
    def under_way(self) -> int:
        """How many requests are under way."""
        return len(self._exchanges)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # httptools, where installed, leaves blanks around values, which then fail to match.
        headers = [(name, value.strip()) for name, value in scope["headers"]]
        name = _named(headers)
        exchange = _Exchange(receive, send, name, self._ceilings.body_seconds)
        token = request_id.set(name)
        try:
            refused = None if scope["path"] in _ALWAYS else self._refused()
            if refused is not None:
                await refusal(refused)(scope, receive, exchange.send)
                return
            async with exchange.limit:
                self._exchanges.add(exchange)
                try:
                    await self._app({**scope, "headers": headers}, exchange.receive, exchange.send)
                finally:
                    self._exchanges.discard(exchange)
        except TimeoutError:
            if not exchange.limit.expired():
                raise
            await exchange.finish(scope)
        finally:
            request_id.reset(token)

    def _refused(self) -> MarketDataError | None:
        if self._is_ending:
            return _closing()
        return _busy() if len(self._exchanges) >= self._ceilings.requests else None

    def end(self) -> None:
        """End the requests under way, and take no more."""
        self._is_ending = True
        for exchange in self._exchanges:
            exchange.end()


class _Exchange:
    """A request and its answer, between the application and the connection."""

    def __init__(self, receive: Receive, send: Send, name: str, body_seconds: float) -> None:
        self.limit = asyncio.timeout(None)
        """What the application runs in, so that it can be ended."""
        self._receive = receive
        self._send = send
        self._name = name
        self._body_seconds = body_seconds
        self._read_by: float | None = None
        self._is_read = self._is_slow = self._is_gone = False
        self._is_begun = self._is_answered = False
        self._is_sending = self._is_ending = False

    async def receive(self) -> Message:
        """Give what comes; of a body that breaks off the application does not hear.

        Those of the protocol take that for a bug of theirs: a traceback in the log, and a 500.
        """
        if self._is_read:
            return await self._receive()
        if self._read_by is None:
            self._read_by = asyncio.get_running_loop().time() + self._body_seconds
        try:
            async with asyncio.timeout_at(self._read_by):
                message = await self._receive()
        except TimeoutError:
            self._is_slow = True
        else:
            if message["type"] == "http.request":
                self._is_read = not message.get("more_body", False)
                return message
            self._is_gone = True
        self._stop()
        return await asyncio.Future()

    async def send(self, message: Message) -> None:
        """Send a part of the answer, and with it what the request is called."""
        if message["type"] == "http.response.start":
            self._is_begun = True
            mine = (b"x-request-id", self._name.encode())
            message = {**message, "headers": [*message.get("headers", ()), mine]}
        else:
            self._is_answered = not message.get("more_body", False)
        self._is_sending = True
        try:
            await self._send(message)
        finally:
            self._is_sending = False
            if self._is_ending and not self._is_answered:
                self._stop()

    def end(self) -> None:
        """End the application; not amid a part of its answer, of which nothing may be left out."""
        self._is_ending = True
        if not self._is_sending:
            self._stop()

    def _stop(self) -> None:
        if self.limit.when() is None:
            self.limit.reschedule(0)

    async def finish(self, scope: Scope) -> None:
        """Answer for the application, which was ended, as far as it did not."""
        self._is_ending = False
        if self._is_answered or self._is_gone:
            return
        if self._is_begun:
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})
        elif self._is_slow:
            slow = Response(status_code=408, headers={"Connection": "close"})
            await slow(scope, self._receive, self.send)
        else:
            await refusal(_closing())(scope, self._receive, self.send)


def _named(headers: list[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"x-request-id" and _ID.fullmatch(value):
            return value.decode()
    return secrets.token_hex(8)


def _busy() -> RateLimitExceededError:
    return RateLimitExceededError(
        "The server has as many requests under way as it takes on. Send this again.",
        retry_after=1.0,
    )


def _closing() -> InternalError:
    return InternalError("The server is closing; send this again.", retryable=True, retry_after=1.0)
