"""How much one server takes on: requests at a time, slow senders and readers, its end."""

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
"""What the running request is called in logs: its ``X-Request-Id``, or one of our own."""

_ALWAYS = ("/healthz", "/readyz")
"""What is answered however much there is to do."""
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Ceilings:
    """What a server takes on at most; docs/limits.md says what each protects."""

    body: int = 256 * 1024
    """Bytes of a request, whose arguments have some dozens each; it is read several times over."""
    requests: int = 2048
    """Requests under way, streams included. No address and no account can have all of them."""
    sessions: int = 2000
    """Sessions of the HTTP+SSE transport, divided likewise."""
    streams: int = 1000
    """Streams of events (``subscriptions/listen``), divided likewise."""
    streams_a_caller: int = 100
    connections: int = 4096
    """Connections, divided among addresses likewise."""
    keyless_body: int = 8 * 1024
    """Bytes of a request without a key that are looked at, to tell what is wrong with it."""
    keyless_seconds: float = 2.0
    """Seconds until they have come."""
    keyless: int = 64
    """Requests without a key whose bodies are waited for at a time."""
    keyless_a_minute: int = 600
    """Requests of one address without a key whose bodies are looked at."""
    header_seconds: float = 15.0
    """Seconds until a connection has sent a request's header."""
    body_seconds: float = 30.0
    """Seconds until the rest of a request has come."""
    stall_seconds: float = 60.0
    """Seconds for which a client may read nothing of what it is sent."""
    idle_seconds: int = 75
    """Seconds for which a connection may lie idle between requests."""


class _Starts:
    """Begins requests a few in each turn of the event loop, of each sender one after the other's.

    A thousand that begin in one turn go on side by side from step to step, so that each turn takes
    a thousand times as long as one needs. Whatever else waits for the loop then waits for seconds.

    Addresses take turns, and within an address, which may be a proxy's, its credentials do: who
    sends a thousand requests waits for them, and nobody else does.
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
    """Runs an application within bounds, and so that its requests can be ended with an answer."""

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
        """How many requests are under way."""
        return len(self._exchanges)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if any(value != value.strip() for _, value in headers):
            # httptools, where installed, leaves blanks around values, which then fail to match.
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
        """End the requests under way, and take no more."""
        self._is_ending = True
        for exchange in self._exchanges:
            exchange.end()


class _Exchange:
    """A request and its answer, between the application and the connection."""

    # There may be thousands at a time.
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
        """What the application runs in, so that it can be ended."""
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
        """Return what comes; of a body that breaks off the application does not hear.

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
                self._bodies.took(len(message.get("body", b"")))
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


def address(scope: Scope) -> str:
    """Name the address that a request comes from; of IPv6 the network that one customer has."""
    return address_of(scope["client"])


def address_of(client: tuple[str, int] | None) -> str:
    """Name the address of a connection's other end, as `address` does."""
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
