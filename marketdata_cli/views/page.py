"""Draws an answer with the width and the colours of the terminal."""

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
"""Lines of the page if the output is not a terminal."""
_TALL = 34
"""Lines of a screen on which all of the newest candles fit below a chart."""
_FEW = 5
"""Candles that are listed on a smaller screen."""


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
"""Replacements of the same width for terminals with only ASCII."""


def _has(encoding: str | None, sign: str) -> bool:
    try:
        sign.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


class Canvas:
    """Standard output, which may be a terminal: its size, and the codes of its styles."""

    def __init__(self) -> None:
        # Not over standard output itself: the console writes to it even what it only captures.
        self._console = Console(
            file=io.StringIO(), force_terminal=sys.stdout.isatty() or None, highlight=False
        )

    @property
    def is_live(self) -> bool:
        """Whether it is a terminal on which a picture can be redrawn."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def screen(self, now: datetime | None = None) -> Screen:
        """Return the current size and colours."""
        console = self._console
        return Screen(
            width=max(console.width, 40),
            height=console.height if console.is_terminal else _PAPER,
            colour=console.color_system is not None and not console.no_color,
            now=now or datetime.now(UTC),
        )

    def text(self, lines: list[Line], screen: Screen) -> str:
        """Return lines as text with the codes of their styles, cut to the width."""
        with self._console.capture() as captured:
            self._console.print(Segments(_segments(lines, screen)), end="", crop=False)
        return captured.get().translate(self._without_signs)

    @functools.cached_property
    def _without_signs(self) -> dict[int, str]:
        """The characters that the output cannot encode, with their replacements."""
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
    """Draw the answer of an operation for standard output, which may be a terminal.

    ``columns`` are the fields to show of a list, in place of its usual columns.
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
