"""Limits that uvicorn lacks: slow connections end, and each address has its share.

uvicorn's protocol classes are not a public API. `tests/mcp/test_mcp_guard.py` checks the source of
the installed version, and the package has an upper bound on it.
"""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any

from marketdata_mcp.service.bounds import Ceilings, address_of
from marketdata_mcp.service.shares import Shares

__all__ = ["protocol"]

_MAX_HEADER = 64 * 1024
_MAX_FIELDS = 200
"""Maximum fields of a header. Browsers and proxies send dozens. Ten thousand short ones fit into a
header, and take 5 ms."""
_MAX_UNREAD = 32 * 1024 * 1024
"""Bytes of a refused body that are read and discarded: the client reads the response only after it
has sent them, and would lose it if the connection was closed before."""
_MAX_PIPELINED = 100
"""Maximum requests that a client may send before it gets the first response."""
_PIECE = 16 * 1024
"""Bytes that are parsed at a time; they can contain several hundred short requests."""
_STILL_HERE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""An interim response, which every HTTP/1.1 client must accept at any time."""
_LOOK_SECONDS = 0.1
_LAST_SECONDS = 2.5
"""Seconds that a client has to read responses when the server stops: a little longer than requests
have, and less than uvicorn waits before it logs an error."""


def protocol(ceilings: Ceilings) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol class for HTTP/1.1 with limits.

    It closes connections with a slow or endless header, and those that do not read responses. No
    address can have all connections.
    """
    shares = Shares(ceilings.connections)

    # uvicorn chooses in the same way: httptools if it is installed, h11 otherwise.
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class SlowClientGuard(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        """One connection."""

        # uvicorn's class has as many attributes as Python can store compactly. Without slots, each
        # connection would take another kilobyte.
        __slots__ = (
            "_address",
            "_heading",
            "_idle_bytes",
            "_in_header",
            "_leaving",
            "_looking",
            "_stalling",
        )

        parser: Any

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._heading: asyncio.TimerHandle | None = None
            self._stalling: asyncio.TimerHandle | None = None
            self._leaving: asyncio.TimerHandle | None = None
            self._looking: asyncio.TimerHandle | None = None
            self._in_header = False
            self._idle_bytes = 0
            self._address: str | None = None
            parser = getattr(self, "parser", None)
            if parser is not None:  # only httptools ends a message at an upgrade
                self.parser = _WithoutUpgrades(self, parser)

        @property
        def _is_busy(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def connection_made(self, transport: Any) -> None:
            """Start the time limit of the first header, if the connection limit allows it."""
            super().connection_made(transport)
            address = address_of(self.client)
            if shares.take(address):
                self._address = address
                self._await_header()
            else:
                transport.abort()

        def data_received(self, data: bytes) -> None:
            """Parse data in pieces, so that limits apply before everything is parsed."""
            for at in range(0, len(data), _PIECE):
                self._take(data[at : at + _PIECE])
                if self.transport.is_closing():
                    return

        def _take(self, data: bytes) -> None:
            """Count a part of the header."""
            super().data_received(data)
            if self.transport.is_closing() or len(getattr(self, "pipeline", ())) > _MAX_PIPELINED:
                self._leave()
            elif self._in_header or not self._is_busy:
                self._idle_bytes += len(data)
                if self._idle_bytes > (_MAX_HEADER if self._in_header else _MAX_UNREAD):
                    self._leave()
                elif self._heading is None and not self._is_busy:
                    self._await_header()
            else:
                self._cancel()

        # For httptools, which accepts headers of any length. h11 has its own limit.

        def on_message_begin(self) -> None:
            """Count the bytes of a header."""
            super().on_message_begin()
            self._in_header = True
            self._idle_bytes = 0

        def on_header(self, name: bytes, value: bytes) -> None:
            """Handle a header field; fields after a body (trailers) are ignored."""
            if self._in_header:
                if len(self.headers) >= _MAX_FIELDS:
                    raise ValueError("too many header fields")  # answered with 400
                super().on_header(name, value)

        def on_headers_complete(self) -> None:
            """Note the end of the header."""
            self._in_header = False
            if not self.parser.is_ending:
                self._take_host_of_url()
                super().on_headers_complete()

        def _take_host_of_url(self) -> None:
            """Use the host of an absolute URL instead of the field (RFC 9112, 3.2.2)."""
            _, is_whole, rest = self.url.partition(b"://")
            if is_whole and not self.url.startswith(b"/"):
                # Changed in place, because the scope has the same list.
                self.headers[:] = [pair for pair in self.headers if pair[0] != b"host"]
                self.headers.append((b"host", re.split(rb"[/?#]", rest)[0]))

        def on_message_complete(self) -> None:
            """Note the end of the body, unless only the parser stops here."""
            if not self.parser.is_ending:
                super().on_message_complete()

        # For both parsers again.

        def on_response_complete(self) -> None:
            """Prepare for the next header; uvicorn itself times idle connections."""
            self._cancel()
            super().on_response_complete()
            if self.transport.is_closing():
                self._leave()

        def timeout_keep_alive_handler(self) -> None:
            """Close an idle connection."""
            self._leave()

        def eof_received(self) -> bool:
            """Keep a half-closed connection open to answer its client; True keeps it open.

            A client that has closed both directions looks the same until something is sent.
            """
            super().eof_received()
            cycle = self.cycle
            is_waiting = self._is_busy and not cycle.response_started and not cycle.more_body
            if not is_waiting or self.scheme == "https" or self.scope["http_version"] != "1.1":
                return False
            cycle.keep_alive = False
            self.transport.write(_STILL_HERE)
            self._look_whether_gone()
            return True

        def _look_whether_gone(self) -> None:
            """End the request of a client that has closed the connection."""
            self._looking = None
            if not self._is_busy or self.transport.is_closing():
                return
            sock = self.transport.get_extra_info("socket")
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.transport.abort()
            else:
                self._looking = self.loop.call_later(_LOOK_SECONDS, self._look_whether_gone)

        def pause_writing(self) -> None:
            """Start the time limit for reading."""
            super().pause_writing()
            if self._stalling is None:
                later = self.loop.call_later
                self._stalling = later(ceilings.stall_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            """Note that the client reads again."""
            super().resume_writing()
            if self._stalling is not None:
                self._stalling.cancel()
                self._stalling = None

        def shutdown(self) -> None:
            """Close when requests in flight are answered and the client has read the responses."""
            super().shutdown()
            self._abort_in(_LAST_SECONDS)

        def connection_lost(self, exc: Exception | None) -> None:
            """Cancel all timers."""
            self._cancel()
            for timer in (self._stalling, self._leaving, self._looking):
                if timer is not None:
                    timer.cancel()
            if self._address is not None:
                shares.give_back(self._address)
                self._address = None
            super().connection_lost(exc)

        def _await_header(self) -> None:
            self._heading = self.loop.call_later(ceilings.header_seconds, self._give_up)

        def _give_up(self) -> None:
            self._heading = None
            if not self._is_busy:
                self._leave()

        def _leave(self) -> None:
            """Close, with a limit on the time that the client has to read."""
            self._cancel()
            self.transport.close()
            if self._leaving is None:
                self._abort_in(ceilings.stall_seconds)

        def _abort_in(self, seconds: float) -> None:
            if self._leaving is not None:
                self._leaving.cancel()
            self._leaving = self.loop.call_later(seconds, self.transport.abort)

        def _cancel(self) -> None:
            self._idle_bytes = 0
            if self._heading is not None:
                self._heading.cancel()
                self._heading = None

    return SlowClientGuard


class _WithoutUpgrades:
    """httptools' parser, for a server that upgrades to nothing.

    For a request with ``Upgrade: h2c``, the parser stops after the header and treats the body as
    the other protocol. RFC 9110, 7.8, allows a server to ignore the field and to answer the request
    without it. So the request is parsed again without the field.
    """

    def __init__(self, protocol: Any, parser: Any) -> None:
        self._protocol = protocol
        self._parser = parser
        self.get_http_version = parser.get_http_version
        self.get_method = parser.get_method
        self.should_keep_alive = parser.should_keep_alive

    @property
    def is_ending(self) -> bool:
        """Whether the parser stops at this request."""
        return bool(self._parser.should_upgrade())

    def should_upgrade(self) -> bool:
        """Tell uvicorn that there is no upgrade."""
        return False

    def feed_data(self, data: bytes) -> None:
        """Parse; raises httptools' errors for invalid HTTP."""
        import httptools

        while True:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self.get_method() == b"CONNECT":
                    # It upgrades even without the field, so this would loop forever.
                    raise httptools.HttpParserError("no tunnels here") from None
                data = self._head() + data[upgrade.args[0] :]
                fresh = httptools.HttpRequestParser(self._protocol)
                fresh.set_dangerous_leniencies(lenient_data_after_close=True)
                _WithoutUpgrades.__init__(self, self._protocol, fresh)

    def _head(self) -> bytes:
        """Return the header without the fields for the upgrade."""
        url, headers = self._protocol.url, self._protocol.headers
        lines = [b"%b %b HTTP/%b" % (self.get_method(), url, self.get_http_version().encode())]
        lines += [b"%b: %b" % pair for pair in headers if pair[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])
