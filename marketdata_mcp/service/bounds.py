"""Limits of one server: concurrent requests, slow senders and readers, and its shutdown."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict, deque
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_network

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketdata.errors import InternalError, RateLimitExceededError
from marketdata_mcp.service.memory import Bodies
from marketdata_mcp.service.refusals import refusal
from marketdata_mcp.service.shares import Shares

__all__ = ["Bounded", "Ceilings", "address", "address_of", "request_id"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the current request in logs: its ``X-Request-Id``, or a generated one."""

_ALWAYS = ("/healthz", "/readyz")
"""Paths that are answered under any load."""
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Ceilings:
    """The limits of a server; docs/limits.md explains them."""

    body: int = 256 * 1024
    """Maximum bytes of a request. Arguments need only dozens; a request is parsed repeatedly."""
    requests: int = 2048
    """Requests in flight, including streams. No address and no account can have all of them."""
    sessions: int = 2000
    """Sessions of the HTTP+SSE transport, shared in the same way."""
    streams: int = 1000
    """Streams of events (``subscriptions/listen``), shared in the same way."""
    streams_a_caller: int = 100
    connections: int = 4096
    """Connections, shared among addresses in the same way."""
    keyless_body: int = 8 * 1024
    """Maximum bytes of a request without a key that is parsed for its error."""
    keyless_seconds: float = 2.0
    """Maximum seconds until they are received."""
    keyless: int = 64
    """Maximum concurrent requests without a key whose bodies are read."""
    keyless_a_minute: int = 600
    """Maximum requests a minute without a key and from one address whose bodies are parsed."""
    header_seconds: float = 15.0
    """Maximum seconds until a connection has sent the header of a request."""
    body_seconds: float = 30.0
    """Maximum seconds until the rest of a request is received."""
    stall_seconds: float = 60.0
    """Maximum seconds in which a client reads nothing of a response."""
    idle_seconds: int = 75
    """Maximum seconds of an idle connection between requests."""


class _Starts:
    """Starts requests a few in each turn of the event loop, one of each sender after the other.

    If a thousand started in one turn, each later turn would take a thousand times as long, and
    everything else that needs the loop would wait for seconds.

    Addresses take turns, and within an address, which may be a proxy's, its credentials do: a
    thousand requests of one sender delay no other.
    """

    _AT_ONCE = 4

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, OrderedDict[bytes, deque[asyncio.Future[None]]]]
        self._waiting = OrderedDict()
        self._left = self._AT_ONCE
        self._is_due = False

    async def turn(self, owner: str, credential: bytes) -> None:
        """Wait until it is this request's turn."""
        loop = asyncio.get_running_loop()
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._next)
        if self._left and not self._waiting:
            self._left -= 1
            return
        mine = loop.create_future()
        of_owner = self._waiting.setdefault(owner, OrderedDict())
        of_owner.setdefault(credential, deque()).append(mine)
        await mine

    def _next(self) -> None:
        self._left = self._AT_ONCE
        while self._waiting and self._left:
            one = self._take()
            if not one.done():
                one.set_result(None)
                self._left -= 1
        self._is_due = self._left < self._AT_ONCE
        if self._is_due:
            asyncio.get_running_loop().call_soon(self._next)

    def _take(self) -> asyncio.Future[None]:
        """Take the first request of whose turn it is, who then waits behind all others."""
        owner, of_owner = self._waiting.popitem(last=False)
        credential, mine = of_owner.popitem(last=False)
        one = mine.popleft()
        if mine:
            of_owner[credential] = mine
        if of_owner:
            self._waiting[owner] = of_owner
        return one


class Bounded:
    """Runs an application within limits, and ends its requests with a response at shutdown."""

    def __init__(self, app: ASGIApp, ceilings: Ceilings) -> None:
        self._app = app
        self._ceilings = ceilings
        self._exchanges: set[_Exchange] = set()
        self._shares = Shares(ceilings.requests)
        self._starts = _Starts()
        self._bodies = Bodies()
        self._is_ending = False

    @property
    def under_way(self) -> int:
        """The number of requests in flight."""
        return len(self._exchanges)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if any(value != value.strip() for _, value in headers):
            # httptools, if it is installed, keeps blanks around values, which then do not match.
            headers = [(name, value.strip()) for name, value in headers]
            scope = {**scope, "headers": headers}
        name = _named(headers)
        exchange = _Exchange(receive, send, name, self._ceilings.body_seconds, self._bodies)
        token = request_id.set(name)
        try:
            if scope["path"] in _ALWAYS:
                await self._run(scope, exchange)
            elif self._is_ending:
                await refusal(_closing())(scope, receive, exchange.send)
            else:
                owner = address(scope)
                with self._shares.one(owner) as has_place:
                    if has_place:
                        await self._run(scope, exchange, owner)
                    else:
                        await refusal(_busy())(scope, receive, exchange.send)
        except TimeoutError:
            if not exchange.limit.expired():
                raise
            await exchange.finish(scope)
        finally:
            request_id.reset(token)

    async def _run(self, scope: Scope, exchange: _Exchange, owner: str | None = None) -> None:
        async with exchange.limit:
            self._exchanges.add(exchange)
            try:
                if owner is not None:
                    await self._starts.turn(owner, _credential(scope["headers"]))
                await self._app(scope, exchange.receive, exchange.send)
            finally:
                self._exchanges.discard(exchange)

    def end(self) -> None:
        """End the requests in flight, and accept no more."""
        self._is_ending = True
        for exchange in self._exchanges:
            exchange.end()


class _Exchange:
    """A request and its response, between the application and the connection."""

    # There can be thousands at a time.
    __slots__ = (
        "_bodies",
        "_body_seconds",
        "_is_answered",
        "_is_begun",
        "_is_ending",
        "_is_gone",
        "_is_read",
        "_is_sending",
        "_is_slow",
        "_name",
        "_read_by",
        "_receive",
        "_send",
        "limit",
    )

    def __init__(
        self, receive: Receive, send: Send, name: str, body_seconds: float, bodies: Bodies
    ) -> None:
        self.limit = asyncio.timeout(None)
        """The timeout in which the application runs, so that it can be ended."""
        self._receive = receive
        self._send = send
        self._name = name
        self._body_seconds = body_seconds
        self._bodies = bodies
        self._read_by: float | None = None
        self._is_read = self._is_slow = self._is_gone = False
        self._is_begun = self._is_answered = False
        self._is_sending = self._is_ending = False

    async def receive(self) -> Message:
        """Return the next message; an incomplete body is not passed to the application.

        The SDK's applications treat one as a bug, with a traceback in the log and a 500.
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
                self._bodies.took(len(message.get("body", b"")))
                return message
            self._is_gone = True
        self._stop()
        return await asyncio.Future()

    async def send(self, message: Message) -> None:
        """Send a part of the response, with the id of the request."""
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
        """End the application, but not within a part of its response, which must be complete."""
        self._is_ending = True
        if not self._is_sending:
            self._stop()

    def _stop(self) -> None:
        if self.limit.when() is None:
            self.limit.reschedule(0)

    async def finish(self, scope: Scope) -> None:
        """Complete the response of an ended application."""
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


def address(scope: Scope) -> str:
    """Return the address of a request's sender; for IPv6 the 64-bit network of a customer."""
    return address_of(scope["client"])


def address_of(client: tuple[str, int] | None) -> str:
    """Return the address of a connection's client, like `address`."""
    host = client[0] if client else ""
    if ":" not in host:
        return host
    return str(ip_network((host.partition("%")[0], 64), strict=False))


def _credential(headers: list[tuple[bytes, bytes]]) -> bytes:
    return next((value for name, value in headers if name == b"authorization"), b"")


def _named(headers: list[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"x-request-id" and _ID.fullmatch(value):
            return value.decode()
    return secrets.token_hex(8)


def _busy() -> RateLimitExceededError:
    return RateLimitExceededError(
        "You have reached the limit of concurrent requests. Send this again.",
        retry_after=1.0,
    )


def _closing() -> InternalError:
    return InternalError(
        "The server is stopping; send this again.", retryable=True, retry_after=1.0
    )
