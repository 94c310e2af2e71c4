"""Limits that uvicorn lacks: slow connections end, and each address has its share.

uvicorn's protocols are not a public interface. `tests/mcp/test_mcp_guard.py` reads the source of
the version that is installed, and the package has an upper bound on it.
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
"""Fields of a header: browsers and proxies send some dozens. Ten thousand short ones fit into a
header, and take 5 ms."""
_MAX_UNREAD = 32 * 1024 * 1024
"""Bytes of a refused body that are taken and thrown away: whoever is sending reads its answer
only then, and would lose it if the connection were closed before."""
_MAX_PIPELINED = 100
"""Requests that a client may send before it has the answer to the first."""
_PIECE = 16 * 1024
"""Bytes that are parsed at a time; the shortest requests in them are several hundred."""
_STILL_HERE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""An interim answer, which every client of HTTP/1.1 has to take at any time."""
_LOOK_SECONDS = 0.1
_LAST_SECONDS = 2.5
"""Seconds that a client has for its answers when the server stops: a little longer than requests
have, and less than uvicorn waits before it complains."""


def protocol(ceilings: Ceilings) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol for HTTP/1.1 with bounds.

    It closes connections that take too long to send a header, or send one without end, and those
    that do not read what they are sent. No address can have all connections.
    """
    shares = Shares(ceilings.connections)

    # The one that is chosen there too: httptools where that is installed, h11 otherwise.
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class SlowClientGuard(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        """One connection."""

        # Apart from those of uvicorn, which are as many as objects of a class can share a layout
        # for: with some more each connection would take a kilobyte more.
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
            if parser is not None:  # httptools; h11 does not end a message at an upgrade
                self.parser = _WithoutUpgrades(self, parser)

        @property
        def _is_busy(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def connection_made(self, transport: Any) -> None:
            """Return the client its time for the first header, if there is room for it."""
            super().connection_made(transport)
            address = address_of(self.client)
            if shares.take(address):
                self._address = address
                self._await_header()
            else:
                transport.abort()

        def data_received(self, data: bytes) -> None:
            """Take data in pieces, so that what is too much is seen before all of it is parsed."""
            for at in range(0, len(data), _PIECE):
                self._take(data[at : at + _PIECE])
                if self.transport.is_closing():
                    return

        def _take(self, data: bytes) -> None:
            """Look how far the header has come that this is a part of."""
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

        # Of httptools, which takes headers of any length. h11 has a bound of its own.

        def on_message_begin(self) -> None:
            """Count the bytes of a header."""
            super().on_message_begin()
            self._in_header = True
            self._idle_bytes = 0

        def on_header(self, name: bytes, value: bytes) -> None:
            """Take a field of the header; those behind a body (trailers) say nothing to us."""
            if self._in_header:
                if len(self.headers) >= _MAX_FIELDS:
                    raise ValueError("more fields than a header has")  # answered with 400
                super().on_header(name, value)

        def on_headers_complete(self) -> None:
            """Note that it has ended."""
            self._in_header = False
            if not self.parser.is_ending:
                self._take_host_of_url()
                super().on_headers_complete()

        def _take_host_of_url(self) -> None:
            """Take the host of a whole URL in the place of the field (RFC 9112, 3.2.2)."""
            _, is_whole, rest = self.url.partition(b"://")
            if is_whole and not self.url.startswith(b"/"):
                # In place: the scope has the same list.
                self.headers[:] = [pair for pair in self.headers if pair[0] != b"host"]
                self.headers.append((b"host", re.split(rb"[/?#]", rest)[0]))

        def on_message_complete(self) -> None:
            """Note that the body has ended, unless the parser only thinks so."""
            if not self.parser.is_ending:
                super().on_message_complete()

        # Of both again.

        def on_response_complete(self) -> None:
            """Begin anew with the next header; uvicorn has its own clock for idle connections."""
            self._cancel()
            super().on_response_complete()
            if self.transport.is_closing():
                self._leave()

        def timeout_keep_alive_handler(self) -> None:
            """Close a connection on which nothing more is asked."""
            self._leave()

        def eof_received(self) -> bool:
            """Answer a client that will send no more and may still read; True keeps it open.

            One that has closed both halves looks the same, until something is sent to it.
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
            """End the request of a client that has refused what was sent to it."""
            self._looking = None
            if not self._is_busy or self.transport.is_closing():
                return
            sock = self.transport.get_extra_info("socket")
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.transport.abort()
            else:
                self._looking = self.loop.call_later(_LOOK_SECONDS, self._look_whether_gone)

        def pause_writing(self) -> None:
            """Return the client its time to read on."""
            super().pause_writing()
            if self._stalling is None:
                later = self.loop.call_later
                self._stalling = later(ceilings.stall_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            """Note that it has."""
            super().resume_writing()
            if self._stalling is not None:
                self._stalling.cancel()
                self._stalling = None

        def shutdown(self) -> None:
            """Close when the requests under way are answered, and the client has read that."""
            super().shutdown()
            self._abort_in(_LAST_SECONDS)

        def connection_lost(self, exc: Exception | None) -> None:
            """Wait for nothing any more."""
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
            """Close, and do not wait for ever until the client has read what was sent."""
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

    The parser takes a request with ``Upgrade: h2c`` for over at the end of its header, and its body
    for the other protocol. RFC 9110, 7.8: a server may ignore the field, and then answers the
    request as if it were not there. So it is parsed once more, without the field.
    """

    def __init__(self, protocol: Any, parser: Any) -> None:
        self._protocol = protocol
        self._parser = parser
        self.get_http_version = parser.get_http_version
        self.get_method = parser.get_method
        self.should_keep_alive = parser.should_keep_alive

    @property
    def is_ending(self) -> bool:
        """Whether the parser ends at this request."""
        return bool(self._parser.should_upgrade())

    def should_upgrade(self) -> bool:
        """Tell uvicorn that there is no upgrade."""
        return False

    def feed_data(self, data: bytes) -> None:
        """Parse; raises what httptools raises where that is no HTTP."""
        import httptools

        while True:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self.get_method() == b"CONNECT":
                    # It upgrades without the field, and so would for ever.
                    raise httptools.HttpParserError("no tunnels here") from None
                data = self._head() + data[upgrade.args[0] :]
                fresh = httptools.HttpRequestParser(self._protocol)
                fresh.set_dangerous_leniencies(lenient_data_after_close=True)
                _WithoutUpgrades.__init__(self, self._protocol, fresh)

    def _head(self) -> bytes:
        """Write the header again, without what would upgrade."""
        url, headers = self._protocol.url, self._protocol.headers
        lines = [b"%b %b HTTP/%b" % (self.get_method(), url, self.get_http_version().encode())]
        lines += [b"%b: %b" % pair for pair in headers if pair[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])
