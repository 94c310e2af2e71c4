"""Live data drawn on a terminal, or written once at the end elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.control import Control
from rich.segment import ControlType

from marketdata.errors import MarketDataError
from marketdata.machine import on_signal
from marketdata.models._display.elements import FAINT, WARNING, Line
from marketdata.models._display.numbers import counted
from marketdata_cli import process
from marketdata_cli.live.views import VIEWS, Charts
from marketdata_cli.live.watching import Sink
from marketdata_cli.views.page import Canvas

if TYPE_CHECKING:
    from marketdata import AsyncWatch
    from marketdata.clients import AsyncClient
    from marketdata.models import Record, Stream
    from marketdata.operations import Operation

_FRAME = 0.1
"""Minimum seconds between two pictures."""
_TICK = 0.25
"""Seconds after which a picture is drawn again without new data: ages and the size can change."""
_BARS = 200
"""Past bars at the start of a chart."""
_MOST_CHARTS = 12
"""Maximum number of streams whose past bars are requested."""
_ENDLESS = 1_000
"""Maximum lines of a picture if the output has no height."""
_NAMED = 3
"""Maximum number of failing streams that are named."""

# Terminals that support these codes show the text between them at once; others ignore them.
_TOGETHER, _DONE = "\x1b[?2026h", "\x1b[?2026l"


def picture(operation: Operation, client: AsyncClient, watch: AsyncWatch[Any]) -> Sink:
    """Make the sink that draws the records of a watch, live if the output is a terminal."""
    canvas = Canvas()
    return (Live if canvas.is_live else Last)(operation, client, watch, canvas)


class Last(Sink):
    """The picture at the end of the watch."""

    def __init__(
        self, operation: Operation, client: AsyncClient, watch: AsyncWatch[Any], canvas: Canvas
    ) -> None:
        super().__init__()
        self._client = client
        self._watch = watch
        self._canvas = canvas
        self._view = VIEWS[operation.record]()
        self._records = 0
        self._past: list[asyncio.Task[None]] = []

    async def begin(self) -> int:
        """Request the past bars of charts."""
        streams = self._look()
        if isinstance(self._view, Charts) and len(streams) <= _MOST_CHARTS:
            tasks = (self._fetch_past(self._view, one) for one in streams)
            self._past = [asyncio.create_task(task) for task in tasks]
        return 0

    async def _fetch_past(self, view: Charts, stream: Stream) -> None:
        with suppress(MarketDataError):  # the stream reports the same error
            view.past(
                await self._client.candles(
                    stream.pair,
                    str(stream.timeframe),
                    limit=_BARS,
                    exchange=stream.exchange,
                    store=False,
                )
            )

    def _look(self) -> Sequence[Stream]:
        """Return the state of the streams, in the requested order."""
        return self._view.newest.look(self._watch.streams)

    async def take(self, records: Sequence[Record]) -> int:
        """Note new records."""
        self._records += len(records)
        self._view.take(records)
        return 0

    async def finish(self, *, interrupted: bool) -> int:
        """Write the picture."""
        if self._past and not interrupted:
            await asyncio.wait(self._past)
        return await self._write(_ENDLESS)

    async def _write(self, height: int) -> int:
        screen = self._canvas.screen()
        lines = self._view.lines(self._look(), replace(screen, height=height))
        return await self.output.write(self._canvas.text(lines, screen))

    async def restore(self) -> None:
        """Cancel requests in flight."""
        for task in self._past:
            task.cancel()


class Live(Last):
    """The picture on the alternate screen, which restores the old content at the end."""

    patience: float | None = _TICK

    def __init__(
        self, operation: Operation, client: AsyncClient, watch: AsyncWatch[Any], canvas: Canvas
    ) -> None:
        super().__init__(operation, client, watch, canvas)
        self._began = time.monotonic()
        self._is_up = False
        self._drawn: list[str] = []
        self._size = (0, 0)

    async def begin(self) -> int:
        """Take the screen."""
        await super().begin()
        # Windows does not have this signal.
        if sys.platform != "win32" and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            on_signal(signal.SIGTSTP, self._stop)
        self._is_up = True
        return await self.output.write(_UP) or await self._draw()

    def _stop(self) -> None:
        """Restore the screen for the shell while this process is stopped (Ctrl-Z)."""
        process.write(_DOWN)
        if sys.platform != "win32":
            os.kill(os.getpid(), signal.SIGSTOP)
        process.write(_UP)
        self._size = (0, 0)

    async def take(self, records: Sequence[Record]) -> int:
        """Draw new records, and pause."""
        began = time.monotonic()
        await super().take(records)
        code = await self._draw()
        # Drawing uses at most half of the time, however much there is to draw.
        took = time.monotonic() - began
        await asyncio.sleep(max(_FRAME - took, took))
        return code

    async def rest(self) -> int:
        """Draw again with the new ages."""
        return await self._draw()

    async def finish(self, *, interrupted: bool) -> int:
        """Leave the last picture on the terminal, unless Ctrl-C ended the watch."""
        if interrupted:
            return 0
        await self.restore()
        return await self._write(self._size[1] - 2)

    async def restore(self) -> None:
        """Restore the screen."""
        await super().restore()
        if self._is_up:
            self._is_up = False
            await self.output.write(_DOWN)

    async def _draw(self) -> int:
        """Draw the lines that have changed."""
        screen = self._canvas.screen()
        streams = self._look()
        room = max(1, screen.height - 2)
        lines = self._view.lines(streams, replace(screen, height=room))
        hidden = len(lines) - room
        lines = [*lines[:room], [], self._foot(streams, hidden)][: screen.height]
        drawn = self._canvas.text(lines, screen).removesuffix("\n").split("\n")
        parts = [_TOGETHER]
        if self._size != (screen.width, screen.height):
            self._size, self._drawn = (screen.width, screen.height), []
            parts.append(_codes(Control(ControlType.CLEAR)))
        for row in range(max(len(drawn), len(self._drawn))):
            text = drawn[row] if row < len(drawn) else ""
            if row >= len(self._drawn) or self._drawn[row] != text:
                parts.append(_codes(Control.move_to(0, row)) + text)
                parts.append(_codes(Control((ControlType.ERASE_IN_LINE, 0))))
        self._drawn = drawn
        return await self.output.write("".join([*parts, _DONE])) if len(parts) > 1 else 0

    def _foot(self, streams: Sequence[Stream], hidden: int) -> Line:
        seconds = int(time.monotonic() - self._began)
        clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        facts = [clock, counted(self._records, "record")]
        if hidden > 0:
            facts.append(f"{counted(hidden, 'line')} more than fit")
        foot: Line = [(f"{', '.join(facts)}. Ctrl-C ends.", FAINT)]
        trouble = [*_counts(streams), *_not_live(streams)]
        return [*foot, (f"  {', '.join(trouble)}", WARNING)] if trouble else foot


def _counts(streams: Sequence[Stream]) -> list[str]:
    counts = {
        "gap": sum(one.gaps for one in streams),
        "reconnect": sum(one.reconnects for one in streams),
    }
    dropped = sum(one.dropped for one in streams)
    told = [counted(count, noun) for noun, count in counts.items() if count]
    return [*told, *([f"{dropped:,} dropped"] if dropped else [])]


def _not_live(streams: Sequence[Stream]) -> list[str]:
    troubled = [one for one in streams if one.state not in ("live", "connecting")]
    told = [f"{one.exchange} {one.pair} {one.state}" for one in troubled[:_NAMED]]
    left = len(troubled) - _NAMED
    return [*told, f"{left} more"] if left > 0 else told


def _codes(*controls: Control) -> str:
    return "".join(control.segment.text for control in controls)


_UP = _codes(Control.alt_screen(True), Control.show_cursor(False))
# The watch can end in the middle of a picture, with a colour set.
_DOWN = f"{_DONE}\x1b[0m" + _codes(Control.show_cursor(True), Control.alt_screen(False))
