"""Connections that do not get on: uvicorn waits for them as long as they stay open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marketdata_mcp.service.bounds import Ceilings

__all__ = ["protocol"]

_MAX_HEADER = 64 * 1024
_MAX_UNREAD = 32 * 1024 * 1024
"""Bytes of a refused body that are taken and thrown away: whoever is sending reads its answer
only then, and would lose it if the connection were closed before."""
_MAX_PIPELINED = 100
"""Requests that a client may send before it has the answer to the first."""
_LAST_SECONDS = 2.5
"""Seconds that a client has for its answers when the server stops: a little longer than requests
have, and less than uvicorn waits before it complains."""


def protocol(ceilings: Ceilings) -> type[asyncio.Protocol]:
    """Give uvicorn's protocol for HTTP/1.1, which closes connections that do not get on.

    Those that take too long to send a header, or send one without end, and those that do not read
    what they are sent.
    """
    # The one that is chosen there too: httptools where that is installed, h11 otherwise.
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class Hurried(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        """One connection."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._heading: asyncio.TimerHandle | None = None
            self._stalling: asyncio.TimerHandle | None = None
            self._leaving: asyncio.TimerHandle | None = None
            self._in_header = False
            self._idle_bytes = 0

        @property
        def _is_busy(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def connection_made(self, transport: Any) -> None:
            """Give the client its time for the first header, if there is room for it."""
            super().connection_made(transport)
            if len(self.connections) > ceilings.connections:
                transport.abort()
            else:
                self._await_header()

        def data_received(self, data: bytes) -> None:
            """Look how far the header has come that this is a part of."""
            super().data_received(data)
            if self.transport.is_closing():
                self._leave()
            elif self._in_header or not self._is_busy:
                self._idle_bytes += len(data)
                if self._idle_bytes > (_MAX_HEADER if self._in_header else _MAX_UNREAD):
                    self._leave()
                elif self._heading is None and not self._is_busy:
                    self._await_header()
            else:
                self._cancel()
                if len(getattr(self, "pipeline", ())) > _MAX_PIPELINED:
                    self._leave()

        # Of httptools, which takes headers of any length. h11 has a bound of its own.

        def on_message_begin(self) -> None:
            """Count the bytes of a header."""
            super().on_message_begin()
            self._in_header = True
            self._idle_bytes = 0

        def on_headers_complete(self) -> None:
            """Note that it has ended."""
            self._in_header = False
            super().on_headers_complete()

        def on_response_complete(self) -> None:
            """Begin anew with the next header; uvicorn has its own clock for idle connections."""
            self._cancel()
            super().on_response_complete()
            if self.transport.is_closing():
                self._leave()

        def timeout_keep_alive_handler(self) -> None:
            """Close a connection on which nothing more is asked."""
            self._leave()

        def pause_writing(self) -> None:
            """Give the client its time to read on."""
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
            for timer in (self._stalling, self._leaving):
                if timer is not None:
                    timer.cancel()
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

    return Hurried
