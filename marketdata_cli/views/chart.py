"""Candlesticks drawn with box characters, two price steps for each row of the terminal."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from marketdata.arguments import window_length
from marketdata.models._display.elements import (
    DOWN,
    FAINT,
    LABEL,
    PLAIN,
    STRONG,
    UP,
    WARNING,
    Line,
)
from marketdata.models._display.numbers import fixed, places

if TYPE_CHECKING:
    from marketdata.models import Candles, Columns
    from marketdata_cli.views.layout import Screen

# The upper and lower half of a row: nothing, wick or body.
_GLYPHS = {
    ("", ""): " ",
    ("", "wick"): "╷",
    ("wick", ""): "╵",
    ("wick", "wick"): "│",
    ("", "body"): "╻",
    ("body", ""): "╹",
    ("body", "body"): "┃",
    ("wick", "body"): "╽",
    ("body", "wick"): "╿",
}
_RISING_BODY = "║"
"""For a terminal without colours: a rising bar is hollow, as in print."""

_VOLUMES = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Stick:
    """One column of the chart: one bar, or several neighbours merged."""

    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def rising(self) -> bool:
        """Whether the close is at or above the open."""
        return self.close >= self.open


@dataclass(frozen=True)
class Sticks:
    """Bars placed on the columns of a chart by time; None for a column without a bar."""

    places: list[Stick | None]
    stride: int
    """Columns of the terminal from one stick to the next."""
    bars: int
    """The number of bars in one stick."""
    first: int
    step: float
    """Milliseconds from one stick to the next."""


def place(columns: Columns, width: int, step: float | None) -> Sticks:
    """Place bars on columns; bars share a column if there are more than fit.

    ``step`` is the timeframe in milliseconds if all bars are equally long. A missing bar then
    leaves its column empty.
    """
    times = columns.time
    count = len(times)
    slots = count if step is None else round((times[-1] - times[0]) / step) + 1
    together = math.ceil(slots / width)
    groups = math.ceil(slots / together)
    if step is None:
        step = (times[-1] - times[0]) / max(count - 1, 1)
        edges = [min(count, group * together) for group in range(groups + 1)]
    else:
        edges = [
            bisect_left(times, times[0] + (group * together - 0.5) * step)
            for group in range(groups + 1)
        ]
    return Sticks(
        places=[
            _join(columns, first, end) if first < end else None for first, end in pairwise(edges)
        ],
        stride=max(1, min(3, width // groups)),
        bars=together,
        first=times[0],
        step=step * together,
    )


def _join(columns: Columns, first: int, end: int) -> Stick:
    return Stick(
        open=columns.open[first],
        high=max(columns.high[first:end]),
        low=min(columns.low[first:end]),
        close=columns.close[end - 1],
        volume=_total(columns.volume[first:end]),
    )


def _total(volumes: Sequence[float]) -> float:
    total = sum(volumes)
    return sum(one for one in volumes if not math.isnan(one)) if math.isnan(total) else total


def chart(record: Candles, screen: Screen, room: int, least: int, most: int) -> list[Line]:
    """Draw candlesticks over a row of volumes, with prices at the right and times below.

    ``room`` is the maximum number of lines of the chart. ``least`` and ``most`` bound the lines of
    the candlesticks.
    """
    columns = record.columns.as_floats()  # a chart shows few digits
    last = columns.close[-1]
    low, high = min(columns.low), max(columns.high)
    flat = not high > low
    if flat:
        low, high = low - 1, high + 1
    count = places([last]) if flat else _label_places(low, high, places(columns.close[-100:]))
    margin = max(len(fixed(price, count)) for price in (low, high, last)) + 2
    sticks = place(columns, max(screen.width - margin, 10), _length(record.timeframe))
    below = [*_volumes(sticks, record.forming), _axis(sticks)]
    if sticks.bars > 1:
        below.append([(f"Each candlestick is {sticks.bars:,} candles.", FAINT)])
    if None in sticks.places:
        below.append([("· marks gaps.", FAINT)])
    rows = max(least, min(room - len(below), most))
    scale = (rows * 2 - 1) / (high - low)
    level = round((last - low) * scale) // 2
    labels = {row: low + (high - low) * (row + 0.5) / rows for row in range(0, rows, 3)}
    lines = []
    for row in reversed(range(rows)):
        line = [_cell(stick, row, low, scale, sticks.stride, screen) for stick in sticks.places]
        if row == level:
            line.append((f"◂{fixed(last, count)}", STRONG))
        elif row in labels and not flat:
            line.append((f" {fixed(labels[row], count)}", FAINT))
        lines.append(_merged(line))
    return [*lines, *below]


def _length(timeframe: str) -> float | None:
    """Return the timeframe in milliseconds; None for months and years."""
    even = timeframe[-1] not in "My"
    return window_length(timeframe).total_seconds() * 1000 if even else None


def _label_places(low: float, high: float, most: int) -> int:
    """Choose the decimal places that distinguish neighbouring labels, at most those of prices."""
    return min(max(0, 2 - math.floor(math.log10(high - low))), most)


def _cell(
    stick: Stick | None, row: int, low: float, scale: float, stride: int, screen: Screen
) -> tuple[str, str]:
    if stick is None:
        return " " * stride, PLAIN
    top = round((max(stick.open, stick.close) - low) * scale)
    bottom = round((min(stick.open, stick.close) - low) * scale)
    highest, lowest = round((stick.high - low) * scale), round((stick.low - low) * scale)

    def half(height: int) -> str:
        if bottom <= height <= top:
            return "body"
        return "wick" if lowest <= height <= highest else ""

    glyph = _GLYPHS[half(row * 2 + 1), half(row * 2)]
    if not screen.colour and stick.rising and glyph in "╻╹┃╽╿":
        glyph = _RISING_BODY
    return glyph + " " * (stride - 1), UP if stick.rising else DOWN


def _merged(line: Line) -> Line:
    """Join neighbouring spans of one style, which is much faster for the terminal."""
    merged: Line = []
    for text, style in line:
        if merged and (style == merged[-1][1] or text.isspace()):
            merged[-1] = (merged[-1][0] + text, merged[-1][1])
        else:
            merged.append((text, style))
    return merged


def _volumes(sticks: Sticks, forming: bool) -> list[Line]:
    most = max((stick.volume for stick in sticks.places if stick), default=0.0)
    if most <= 0:
        return []
    line: Line = []
    for stick in sticks.places:
        gap = " " * (sticks.stride - 1)
        if stick is None:
            line.append((f"·{gap}", WARNING))
        else:
            height = math.ceil(stick.volume / most * (len(_VOLUMES) - 1))
            line.append((_VOLUMES[height] + gap, LABEL))
    if forming:
        line[-1] = (line[-1][0], WARNING)
    return [[*_merged(line), (" volume", FAINT)]]


def _axis(sticks: Sticks) -> Line:
    """Write times under their columns, as short as possible without ambiguity."""
    width = len(sticks.places) * sticks.stride
    start = datetime.fromtimestamp(sticks.first / 1000, UTC)
    end = datetime.fromtimestamp((sticks.first + sticks.step * len(sticks.places)) / 1000, UTC)
    if sticks.step >= 86_400_000 or end - start > timedelta(days=90):
        pattern = "%Y-%m-%d"
    elif start.date() != end.date():
        pattern = "%m-%d %H:%M"
    else:
        pattern = "%H:%M" if sticks.step >= 60_000 or not start.second else "%H:%M:%S"
    text = ""
    for position in range(0, len(sticks.places), math.ceil(18 / sticks.stride)):
        time = datetime.fromtimestamp((sticks.first + sticks.step * position) / 1000, UTC)
        label = time.strftime(pattern)
        column = position * sticks.stride
        if not position or column + len(label) <= width:
            text = text.ljust(column) + label
    return [(text, FAINT)]
