"""Connections that do not get on: uvicorn waits for them as long as they stay open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marketdata_mcp.bounds import Ceilings

__all__ = ["protocol"]

_MAX_HEADER = 64 * 1024


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
            self._header_bytes = 0

        @property
        def _is_busy(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def connection_made(self, transport: Any) -> None:
            """Give the client its time for the first header."""
            super().connection_made(transport)
            self._await_header()

        def data_received(self, data: bytes) -> None:
            """Look how far the header has come that this is a part of."""
            super().data_received(data)
            if self._is_busy or self.transport.is_closing():
                self._cancel()
                return
            if self._heading is None:
                self._await_header()
            self._header_bytes += len(data)
            if self._header_bytes > _MAX_HEADER:
                self.transport.close()

        def on_response_complete(self) -> None:
            """Begin anew with the next header; uvicorn has its own clock for idle connections."""
            self._cancel()
            super().on_response_complete()

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

        def connection_lost(self, exc: Exception | None) -> None:
            """Wait for nothing any more."""
            self._cancel()
            if self._stalling is not None:
                self._stalling.cancel()
            super().connection_lost(exc)

        def _await_header(self) -> None:
            self._heading = self.loop.call_later(ceilings.header_seconds, self._give_up)

        def _give_up(self) -> None:
            self._heading = None
            if not self._is_busy:
                self.transport.close()

        def _cancel(self) -> None:
            self._header_bytes = 0
            if self._heading is not None:
                self._heading.cancel()
                self._heading = None

    return Hurried
