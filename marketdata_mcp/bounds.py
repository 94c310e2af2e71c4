"""How much one server takes on: requests at a time, slow senders and readers, its end."""

from __future__ import annotations

import asyncio
import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketdata.errors import InternalError, RateLimitExceededError
from marketdata_mcp.refusals import refusal

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
        self._limits: set[asyncio.Timeout] = set()

    @property
    def under_way(self) -> int:
        """How many requests are under way."""
        return len(self._limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # httptools, where installed, leaves blanks around values, which then fail to match.
        headers = [(name, value.strip()) for name, value in scope["headers"]]
        name = _named(headers)
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                mine = (b"x-request-id", name.encode())
                message = {**message, "headers": [*message.get("headers", ()), mine]}
            await send(message)

        complete = slow = False

        async def patient() -> Message:
            nonlocal complete, slow
            if complete:
                return await receive()
            try:
                async with asyncio.timeout(self._ceilings.body_seconds):
                    message = await receive()
            except TimeoutError:
                slow = True
                return {"type": "http.disconnect"}
            complete = not message.get("more_body", False)
            return message

        limit = asyncio.timeout(None)
        token = request_id.set(name)
        try:
            if len(self._limits) >= self._ceilings.requests and scope["path"] not in _ALWAYS:
                await refusal(_busy())(scope, receive, watched)
                return
            async with limit:
                self._limits.add(limit)
                await self._app({**scope, "headers": headers}, patient, watched)
        except ClientDisconnect:
            if not slow:
                raise
        except TimeoutError:
            if not limit.expired():
                raise
            if begun:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await refusal(_closing())(scope, receive, watched)
        finally:
            self._limits.discard(limit)
            request_id.reset(token)
        if slow and not begun:
            await Response(status_code=408, headers={"Connection": "close"})(scope, receive, send)

    def end(self) -> None:
        """End the requests under way."""
        for limit in self._limits:
            if limit.when() is None:
                limit.reschedule(0)


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
