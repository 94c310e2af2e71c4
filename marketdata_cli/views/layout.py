"""Lines of styled text for a terminal: tables that fit its width, boxes, bars.

A line is a list of spans, and a span is a text with the name of a style. rich converts them to the
codes of the terminal. The layout of columns is done here, because rich takes most of a second for
the 2,000 rows of a large exchange.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from marketdata.models._display.elements import FAINT, PLAIN, Column, Line, Table


@dataclass(frozen=True)
class Screen:
    """The size and colours of the terminal, and the time."""

    width: int
    height: int
    colour: bool
    now: datetime


def breadth(text: str) -> int:
    """Return the width of a text in columns of the terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )


def length(line: Line) -> int:
    """Return the width of a line in columns of the terminal."""
    return sum(breadth(text) for text, _ in line)


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Pad a text with blanks, or cut it with an ellipsis."""
    while breadth(text) > width:
        text = text[: -2 if text.endswith("…") else -1] + "…" if width > 1 else ""
        if not text:
            break
    blanks = " " * (width - breadth(text))
    return blanks + text if right else text + blanks


def table(content: Table, width: int, gap: int = 2) -> list[Line]:
    """Lay out columns under their titles.

    If they do not fit, the least important columns are dropped, and the last line names them.
    """
    shown = content.shown
    sizes = {id(column): _breadth_of(column) for column in shown}
    dropped: list[Column] = []

    def needed() -> int:
        return sum(sizes[id(column)] for column in shown) + gap * (len(shown) - 1)

    while len(shown) > 1 and needed() > width:
        least = min(reversed(shown), key=lambda column: column.keep)
        shown.remove(least)
        dropped.append(least)
    if not shown:
        return []
    widths = [min(sizes[id(column)], width) for column in shown]
    blanks = [" " * gap] * (len(shown) - 1) + [""]

    def line(cells: Iterable[str], styles: Iterable[str]) -> Line:
        parts = zip(shown, cells, widths, blanks, styles, strict=True)
        return [
            (padded(cell, size, right=column.right) + blank, style)
            for column, cell, size, blank, style in parts
        ]

    lines = [line((column.title for column in shown), [FAINT] * len(shown))]
    if content.remark:
        lines.append([(f"{content.remark}; --format csv has all", FAINT)])
    lines.extend(
        line((column.cells[row] for column in shown), (column.style(row) for column in shown))
        for row in range(len(shown[0].cells))
    )
    names = ", ".join(column.title for column in reversed(dropped) if column.title)
    if names:
        lines.append([(f"Hidden columns: {names}.", FAINT)])
    return lines


def _breadth_of(column: Column) -> int:
    return max(map(breadth, (column.title, *column.cells)))


def clipped(line: Line, width: int) -> Line:
    """Cut a line to a width."""
    kept: Line = []
    for text, style in line:
        room = width - length(kept)
        if breadth(text) > room:
            return [*kept, (padded(text, room), style)]
        kept.append((text, style))
    return kept


def beside(blocks: Sequence[Sequence[Line]], width: int, gap: int = 2) -> list[Line]:
    """Put blocks of lines next to each other, each with the same width."""
    lines = []
    for row in range(max(map(len, blocks), default=0)):
        line: Line = []
        for index, block in enumerate(blocks):
            line.append((" " * (index * (width + gap) - length(line)), PLAIN))
            line += clipped(block[row], width) if row < len(block) else []
        lines.append(line)
    return lines


def box(title: Line, corner: Line, body: Iterable[Line], width: int) -> list[Line]:
    """Draw a frame around lines, with texts at the left and right of its top."""
    inner = width - 4
    head = [("╭─ ", FAINT), *title, (" ", PLAIN)]
    tail: Line = [(" ", PLAIN), *corner, (" ─╮", FAINT)] if corner else [("─╮", FAINT)]
    if length(head) + length(tail) > width:
        tail = [("─╮", FAINT)]
    rule = "─" * (width - length(head) - length(tail))
    lines = [[*head, (rule, FAINT), *tail]]
    for line in body:
        fitted = clipped(line, inner)
        blanks = " " * (inner - length(fitted))
        lines.append([("│ ", FAINT), *fitted, (blanks, PLAIN), (" │", FAINT)])
    lines.append([("╰" + "─" * (width - 2) + "╯", FAINT)])
    return lines


_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(share: float, width: int) -> str:
    """Draw a horizontal bar that fills a share of the width, precise to an eighth of a column."""
    eighths = round(max(0.0, min(share, 1.0)) * width * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
