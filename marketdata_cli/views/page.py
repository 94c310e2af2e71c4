"""What a terminal shows: an answer drawn on the width and the colours that the terminal has."""

from __future__ import annotations

import functools
import io
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from marketdata.models._display import candles, pages
from marketdata.models._display.elements import SIMULATED
from marketdata_cli.views import drawing
from marketdata_cli.views.layout import Screen, clipped

if TYPE_CHECKING:
    from marketdata.models._display.elements import Line
    from marketdata.operations import Operation

_PAPER = 60
"""Lines that there are where output is no terminal."""
_TALL = 34
"""Lines of a screen that has room for all of the newest candles below a chart."""
_FEW = 5
"""Candles that are listed on a lower one."""


_PLAIN_SIGNS = {
    "-": "─━–—▬",
    "|": "│╷╵",
    "O": "║",
    "+": "╭╮╰╯",
    "*": "●",
    "^": "▲",
    "v": "▼",
    "<": "◂",
    "~": "…",
    "x": "×",
    ".": "·▁▂",
    "=": "▍▌▋▊▃▄▅",
    "#": "▉█▆▇┃╽╿╻╹",
    " ": "▏▎",
}
"""Signs, each as wide as the others, for terminals that have only those of ASCII."""


def _has(encoding: str | None, sign: str) -> bool:
    try:
        sign.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


class Canvas:
    """The terminal that standard output is, or is not: its size, and what its lines are in it."""

    def __init__(self) -> None:
        # Not over standard output itself: the console writes to it even what it only captures.
        self._console = Console(
            file=io.StringIO(), force_terminal=sys.stdout.isatty() or None, highlight=False
        )

    @property
    def is_live(self) -> bool:
        """Whether it is a terminal on which a picture can be drawn again and again."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def screen(self, now: datetime | None = None) -> Screen:
        """Measure it; its size may have changed since."""
        console = self._console
        return Screen(
            width=max(console.width, 40),
            height=console.height if console.is_terminal else _PAPER,
            colour=console.color_system is not None and not console.no_color,
            now=now or datetime.now(UTC),
        )

    def text(self, lines: list[Line], screen: Screen) -> str:
        """Write lines with the codes of their styles, no line longer than it is wide."""
        with self._console.capture() as captured:
            self._console.print(Segments(_segments(lines, screen)), end="", crop=False)
        return captured.get().translate(self._without_signs)

    @functools.cached_property
    def _without_signs(self) -> dict[int, str]:
        """The signs that the output has no code for, and what stands in their place."""
        return {
            ord(sign): plain
            for plain, signs in _PLAIN_SIGNS.items()
            for sign in signs
            if not _has(sys.stdout.encoding, sign)
        }


def page(
    operation: Operation,
    answer: Any,
    now: datetime | None = None,
    columns: Sequence[str] | None = None,
) -> str:
    """Draw the answer of an operation for the terminal that standard output is, or is not.

    ``columns`` are the fields of a list to show in place of what is shown of it usually.
    """
    canvas = Canvas()
    screen = canvas.screen(now)
    if operation.record == "Candles":
        rows = candles.ROWS if screen.height >= _TALL else _FEW
        shown = candles.candles(answer, screen.now, rows)
    else:
        shown = pages.page(answer, screen.now, columns)
    return canvas.text(drawing.lines(shown, screen), screen)


def _segments(lines: list[Line], screen: Screen) -> list[Segment]:
    segments: list[Segment] = []
    for full in lines:
        line = clipped(full, screen.width)
        while line and line[-1][0].isspace():
            line = line[:-1]
        if line:
            *spans, (text, style) = line
            if not screen.colour or style != SIMULATED:
                text = text.rstrip()
            segments.extend(Segment(part, Style.parse(name)) for part, name in spans)
            segments.append(Segment(text, Style.parse(style)))
        segments.append(Segment.line())
    return segments
