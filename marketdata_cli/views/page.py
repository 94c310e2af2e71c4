"""What a terminal shows: an answer drawn on the width and the colours that the terminal has."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from marketdata_cli.views import book, candlesticks, lists, markets, panels, recordings, stored
from marketdata_cli.views.layout import WARNING, Line, Screen, clipped

if TYPE_CHECKING:
    from marketdata.operations import Operation

ONE: dict[str, Callable[[Any, Screen], list[Line]]] = {
    "Ticker": panels.ticker,
    "Quote": panels.quote,
    "AveragePrice": panels.average,
    "Status": panels.status,
    "Fees": panels.fees,
    "OrderBook": book.ladder,
    "Candles": candlesticks.candles,
    "Comparison": markets.comparison,
    "ConsolidatedOrderBook": markets.consolidated,
    "ExecutionCost": markets.execution,
    "Recorded": recordings.recorded,
}

MANY: dict[str, Callable[[Any, Screen], list[Line]]] = {
    "Exchange": lists.exchanges,
    "Pair": lists.pairs,
    "Ticker": lists.tickers,
    "Quote": lists.quotes,
    "Trade": lists.trades,
    "Series": stored.series,
    "Downloaded": stored.downloaded,
    "Plan": stored.plans,
    "Damage": stored.damage,
}


class Canvas:
    """The terminal that standard output is, or is not: its size, and what its lines are in it."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stdout, highlight=False)

    @property
    def is_live(self) -> bool:
        """Whether it is a terminal on which a picture can be drawn again and again."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def screen(self, now: datetime | None = None) -> Screen:
        """Measure it; its size may have changed since."""
        console = self._console
        return Screen(
            width=max(console.width, 40),
            height=console.height,
            colour=console.color_system is not None and not console.no_color,
            now=now or datetime.now(UTC),
        )

    def text(self, lines: list[Line], screen: Screen) -> str:
        """Write lines with the codes of their styles, no line longer than it is wide."""
        with self._console.capture() as captured:
            self._console.print(Segments(_segments(lines, screen)), end="", crop=False)
        return captured.get()


def page(operation: Operation, answer: Any, now: datetime | None = None) -> str:
    """Draw the answer of an operation for the terminal that standard output is, or is not."""
    canvas = Canvas()
    screen = canvas.screen(now)
    draw = (MANY if operation.many else ONE)[operation.record]
    lines = draw(answer, screen)
    for error in getattr(answer, "errors", ()):
        lines.append([(f"{error.pair}  {error.code}  {error.message}", WARNING)])
    return canvas.text(lines, screen)


def _segments(lines: list[Line], screen: Screen) -> list[Segment]:
    segments: list[Segment] = []
    for full in lines:
        line = clipped(full, screen.width)
        while line and line[-1][0].isspace():
            line = line[:-1]
        if line:
            *spans, (text, style) = line
            if not screen.colour or " on " not in style:
                text = text.rstrip()
            segments.extend(Segment(part, Style.parse(name)) for part, name in spans)
            segments.append(Segment(text, Style.parse(style)))
        segments.append(Segment.line())
    return segments
