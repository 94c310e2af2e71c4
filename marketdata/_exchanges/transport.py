"""The only access to the network: ccxt sends requests and opens sockets through it."""

from __future__ import annotations

import functools
import os
import socket
import sys
import time
import weakref
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from logging import DEBUG
from ssl import SSLContext
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import certifi
from yarl import URL

from marketdata._exchanges.bodies import bounded_response
from marketdata._exchanges.origins import same_origin
from marketdata._exchanges.recording import Event
from marketdata._requests.log import logger
from marketdata._requests.network import trusting
from marketdata._requests.reply import Reply
from marketdata._requests.request import current

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiohttp import ClientResponse, ClientSession
    from pydantic import SecretStr

    from marketdata._requests.rate_limit import Budget

_LONGEST_CONNECT = 3.0
"""Maximum seconds of a TCP connection, without TLS and the response. After a network failure,
earlier attempts do not delay new ones."""


class Transport:
    """The ``session`` that ccxt uses; it belongs to one event loop.

    ``exchange`` is its name in logs and recordings; ``used_weight`` the response header with the
    used part of its rate limit, and the whole of that limit.

    ``base_url`` replaces the exchange's hosts and keeps the path; ``login`` is its user and
    password, as in a URL. ``trust_env`` uses proxies; ``cafile`` has the trusted authorities
    instead of the usual ones.
    """

    def __init__(
        self,
        exchange: str,
        base_url: str | None = None,
        login: SecretStr | None = None,
        *,
        trust_env: bool = False,
        cafile: str | None = None,
        used_weight: tuple[str, float] | None = None,
    ) -> None:
        self.ended = False
        """Whether it is closed for new requests."""
        self.in_flight = 0
        """Requests in flight."""
        self.recorder: Callable[[Event], None] | None = None
        """Gets everything sent and received."""
        self.budget: Budget | None = None
        """The rate limit, instead of ccxt's own limiter."""
        self._exchange = exchange
        self._used_weight = used_weight
        self._base = None if base_url is None else URL(base_url)
        self._login = login
        self._trusts_env = trust_env
        self._cafile = cafile
        self._session: ClientSession | None = None
        _transports.add(self)

    def get(self, url: URL, **options: Any) -> AbstractAsyncContextManager[ClientResponse]:
        """Send a GET request, as aiohttp does."""
        return self._sent("GET", url, **options)

    def post(self, url: URL, **options: Any) -> AbstractAsyncContextManager[ClientResponse]:
        """Send a POST request, as aiohttp does."""
        return self._sent("POST", url, **options)

    @asynccontextmanager
    async def _sent(
        self, method: str, url: URL, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> AsyncIterator[ClientResponse]:
        self.in_flight += 1
        self.asks()
        try:
            async with self._opened.request(
                method, self.address(url), headers=self._with_login(headers), **options
            ) as response:
                await response.read()
                text = "" if self.recorder is None else await response.text(errors="replace")
                self.answered(method, url, response.status, response.headers, text)
                yield response
        finally:
            self.in_flight -= 1

    def asks(self) -> None:
        """Note a request for the running call."""
        reply = current().reply
        if reply is not None:
            reply.ask()

    def answered(
        self, method: str, url: URL, status: int, headers: Mapping[str, str], text: str
    ) -> None:
        """Note a response: for the running call, the budget, the log and the recorder."""
        reply = current().reply or Reply()
        reply.note(status, headers)
        if logger.isEnabledFor(DEBUG):
            took = reply.seconds
            logger.debug("%s %s %s: %s in %.3f s", self._exchange, method, url.path, status, took)
        if self.budget is not None:
            if status in (418, 429) and reply.retry_after is not None:
                self.budget.block(reply.retry_after)
            if self._used_weight is not None:
                header, limit = self._used_weight
                used = reply.headers.get(header, "")
                if used.isdecimal():
                    self.budget.correct(float(used) / limit)
        if self.recorder is not None:
            at = time.time_ns()
            self.recorder(Event(at, 0, "rest", text, self._exchange, str(url), status))

    def ws_connect(
        self, url: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> _Opening:
        """Open a WebSocket, as aiohttp does."""

        def begin() -> Awaitable[Any]:
            there = self.address(URL(url))
            return self._opened.ws_connect(there, headers=self._with_login(headers), **options)

        return _Opening(begin)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every request, as in aiohttp."""
        return self._opened.headers

    @property
    def cookie_jar(self) -> Any:
        """The cookies, as in aiohttp."""
        return self._opened.cookie_jar

    def address(self, url: URL) -> URL:
        """Return the address to use instead of one of the exchange's own."""
        base = self._base
        if base is None:
            return url
        is_socket = url.scheme in ("ws", "wss")
        return URL.build(
            scheme=base.scheme.replace("http", "ws") if is_socket else base.scheme,
            authority=base.raw_authority,
            path=base.raw_path.rstrip("/") + url.raw_path,
            query_string=url.raw_query_string,
            encoded=True,
        )

    def _with_login(self, headers: Mapping[str, str] | None) -> Mapping[str, str] | None:
        if self._login is None or self._base is None:
            return headers
        known = unquote(self._login.get_secret_value()).encode()
        return {"Authorization": f"Basic {b64encode(known).decode()}", **(headers or {})}

    @property
    def trusted(self) -> SSLContext | None:
        """The TLS context, one for all exchanges; None without TLS."""
        if self._base is not None and self._base.scheme == "http":
            return None
        return _trusted(self._cafile or certifi.where())

    @property
    def _opened(self) -> ClientSession:
        if self._session is None:
            import aiohttp  # a process that answers from the disk does not need it

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self.trusted or False,
                    family=socket.AF_UNSPEC,
                    happy_eyeballs_delay=0,
                    # Older versions of Python leave TLS connections open if the other end is
                    # silent.
                    enable_cleanup_closed=sys.version_info < (3, 12, 7),
                ),
                trust_env=self._trusts_env,
                response_class=bounded_response(),
                middlewares=(same_origin,),
                timeout=aiohttp.ClientTimeout(total=300, sock_connect=_LONGEST_CONNECT),
            )
        return self._session

    def leave(self) -> None:
        """Keep the connections open although this process forgets them."""
        if self._session is not None and self._session.connector is not None:
            self._session.connector._closed = True

    async def close(self) -> None:
        """Close all connections; nothing more is sent."""
        self.ended = True
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Opening:
    """A socket that opens when it is awaited, because its task may be cancelled before."""

    def __init__(self, begin: Callable[[], Awaitable[Any]]) -> None:
        self._begin = begin

    async def __aenter__(self) -> Any:
        return await self._begin()


@functools.cache
def _trusted(cafile: str) -> SSLContext:
    """Return a TLS context for a file of authorities; takes 10 ms and 1 MiB."""
    return trusting(cafile)


_transports: weakref.WeakSet[Transport] = weakref.WeakSet()


def _leave_to_parent() -> None:
    # A forked child shares its parent's sockets and the selector that watches them. Taking the
    # connections down at its end would stop the parent from hearing its answers.
    for transport in _transports:
        transport.leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
