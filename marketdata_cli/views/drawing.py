"""Draws pages for a terminal: each element becomes lines that fit the width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketdata.models._display.elements import (
    DOWN,
    FAINT,
    LABEL,
    PLAIN,
    STRONG,
    UP,
    Card,
    Chart,
    Facts,
    Ladder,
    Meter,
    Table,
    Track,
)
from marketdata_cli.views.chart import chart
from marketdata_cli.views.layout import bar, box, breadth, length, padded, table

if TYPE_CHECKING:
    from marketdata.models._display.elements import Element, Entry, Line, Page, Rung
    from marketdata_cli.views.layout import Screen

_WIDEST_CARD = 84
_WIDEST_LADDER = 100
_LEAST_CHART = 4
_MOST_CHART = 16


def lines(page: Page, screen: Screen) -> list[Line]:
    """Draw a page; a chart gets the height that the other elements leave."""
    drawn = {id(one): _element(one, screen) for one in page if not isinstance(one, Chart)}
    # The shell's prompt needs a line below the page.
    room = screen.height - 1 - sum(map(len, drawn.values()))
    whole: list[Line] = []
    for one in page:
        if isinstance(one, Chart):
            whole += chart(one.record, screen, room, _LEAST_CHART, _MOST_CHART)
        else:
            whole += drawn[id(one)]
    return whole


def _element(element: Element, screen: Screen) -> list[Line]:
    match element:
        case Table():
            return table(element, screen.width)
        case Ladder():
            return ladder(element, screen)
        case Facts():
            return _facts(element, min(screen.width, _WIDEST_CARD))
        case Track():
            return _track(element, min(screen.width, _WIDEST_CARD))
        case Card():
            return _card(element, min(screen.width, _WIDEST_CARD))
        case Meter():
            return [[(f"{element.what}  {bar(element.share, 16)}  {element.said}", PLAIN)]]
        case Chart():
            return []
    return [element]


def ladder(content: Ladder, screen: Screen) -> list[Line]:
    """Draw the levels of a ladder, and the line between its sides."""
    rungs = [*content.asks, *content.bids]
    widths = [
        max(map(len, (title, *cells)), default=0)
        for title, cells in zip(
            content.titles,
            ([one.price for one in rungs], [one.size for one in rungs], [o.total for o in rungs]),
            strict=True,
        )
    ]
    used = sum(widths) + 6
    room = min(screen.width, _WIDEST_LADDER) - used
    if content.is_quoted:
        names = max(breadth(one.whose) for one in rungs)
        room = max(min(room - names - 2, room // 2), 0)

    def row(rung: Rung, style: str) -> Line:
        line: Line = [
            (padded(rung.price, widths[0], right=True) + "  ", style),
            (padded(rung.size, widths[1], right=True) + "  ", PLAIN),
            (padded(rung.total, widths[2], right=True) + "  ", FAINT),
        ]
        if room >= 6:
            drawn = bar(rung.share, room)
            line.append((padded(drawn, room + 2) if content.is_quoted else drawn, style))
        if content.is_quoted:
            line.append((rung.whose, LABEL))
        return line

    head = "  ".join(
        padded(title, size, right=True) for title, size in zip(content.titles, widths, strict=True)
    )
    middle = f" {content.middle} "
    rule = "─" * max(used + max(room, 0) - 2 - len(middle), 2)
    return [
        [(head, FAINT)],
        *(row(rung, DOWN) for rung in content.asks),
        [("──", FAINT), (middle, PLAIN), (rule, FAINT)],
        *(row(rung, UP) for rung in content.bids),
    ]


def _card(content: Card, width: int) -> list[Line]:
    body: list[Line] = []
    for one in content.body:
        match one:
            case Track():
                body += _track(one, width - 4)
            case Facts():
                body += _facts(one, width - 4)
            case _:
                body.append(one)
    return box(content.title, content.corner, body, width)


def _track(content: Track, width: int) -> list[Line]:
    room = width - len(content.low) - len(content.high) - 2
    if room < 8:
        return []
    position = round(content.share * (room - 1))
    return [
        [
            (f"{content.low} ", FAINT),
            ("━" * position, LABEL),
            ("●", STRONG),
            ("━" * (room - 1 - position), FAINT),
            (f" {content.high}", FAINT),
        ]
    ]


def _facts(content: Facts, width: int) -> list[Line]:
    """Draw labelled values in two columns, or in one on a narrow terminal."""
    left, right = content.known
    half = (width - 3) // 2
    if any(breadth(label) + breadth(value) + 2 > half for label, value, _ in left + right):
        return [_entry(entry, width) for entry in left + right]
    return [
        _side_by_side(left, right, row, half, width) for row in range(max(len(left), len(right)))
    ]


def _side_by_side(
    left: Sequence[Entry], right: Sequence[Entry], row: int, half: int, width: int
) -> Line:
    line = _entry(left[row], half) if row < len(left) else [(" " * half, PLAIN)]
    if row < len(right):
        line += [("   ", PLAIN), *_entry(right[row], width - half - 3)]
    return line


def _entry(entry: Entry, width: int) -> Line:
    label, value, style = entry
    line: Line = [(label, LABEL)]
    line.append((padded(value, width - length(line), right=True), style))
    return line
