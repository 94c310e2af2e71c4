"""What a terminal shows: an answer drawn on the width and the colours that the terminal has."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from marketdata_cli import book, candlesticks, lists, panels, stored
from marketdata_cli.layout import Line, Screen, clipped

if TYPE_CHECKING:
    from marketdata.operations import Operation

ONE: dict[str, Callable[[Any, Screen], list[Line]]] = {
    "Ticker": panels.ticker,
    "Quote": panels.quote,
    "Status": panels.status,
    "OrderBook": book.ladder,
    "Candles": candlesticks.candles,
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


def page(operation: Operation, answer: Any, now: datetime | None = None) -> str:
    """Draw the answer of an operation for the terminal that standard output is, or is not."""
    console = Console(file=sys.stdout, highlight=False)
    screen = Screen(
        width=max(console.width, 40),
        height=console.height,
        colour=console.color_system is not None and not console.no_color,
        now=now or datetime.now(UTC),
    )
    draw = (MANY if operation.many else ONE)[operation.record]
    lines = draw(answer, screen)
    with console.capture() as captured:
        console.print(Segments(_segments(lines, screen)), end="", crop=False)
    return captured.get()


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
