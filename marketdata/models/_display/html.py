"""Pages as HTML for notebooks: Jupyter, VS Code, marimo.

The colours are the notebook's own if it names them. Otherwise they follow its light or dark theme,
or the browser's setting. The colours of text and background are never set, so the notebook's apply.
"""

from __future__ import annotations

import math
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from marketdata.models._display.elements import (
    DOWN,
    FAINT,
    LABEL,
    SIMULATED,
    UP,
    WARNING,
    Card,
    Chart,
    Facts,
    Ladder,
    Meter,
    Table,
    Track,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketdata.models._display.elements import Element, Entry, Line, Page, Rung
    from marketdata.models.columns import Columns

_CLASSES = {
    FAINT: "f",
    "bold": "b",
    UP: "u",
    DOWN: "d",
    LABEL: "l",
    WARNING: "w",
    SIMULATED: "s",
}

_STYLE = f"<style>{files(__package__).joinpath('style.css').read_text('utf-8')}</style>"


def html(page: Page) -> str:
    """Draw a page."""
    return f'{_STYLE}<div class="mdata">{"".join(map(_element, page))}</div>'


def _element(element: Element) -> str:
    match element:
        case Table():
            return _table(element)
        case Ladder():
            return _ladder(element)
        case Facts():
            return _facts(element)
        case Track():
            return _track(element)
        case Card():
            return _card(element)
        case Meter():
            return _meter(element)
        case Chart():
            return _sparkline(element.record.columns.as_floats())
    return _line(element)


def _line(line: Line, name: str = "line") -> str:
    return f'<div class="{name}">{_spans(line)}</div>' if line else ""


def _spans(line: Line) -> str:
    return "".join(_span(text, style) for text, style in line)


def _span(text: str, style: str) -> str:
    names = " ".join(_CLASSES[part] for part in style.split())
    if style == SIMULATED:
        text = text.strip()
    return f'<span class="{names}">{escape(text)}</span>' if names else escape(text)


def _card(card: Card) -> str:
    first, body = "", list(card.body)
    # The first line of a card is its main value, such as the price.
    if body and isinstance(body[0], list):
        first = _line(body[0], "line price")
        del body[0]
    top = f"<div>{_spans(card.title)}</div><div>{_spans(card.corner)}</div>"
    rest = "".join(_element(one) for one in body)
    return f'<div class="card"><div class="top">{top}</div>{first}{rest}</div>'


def _facts(facts: Facts) -> str:
    left, right = facts.known
    columns = "".join(f"<div>{''.join(map(_fact, side))}</div>" for side in (left, right) if side)
    return f'<div class="facts">{columns}</div>'


def _fact(entry: Entry) -> str:
    label, value, style = entry
    return f'<div class="fact">{_span(label, LABEL)}<span>{_span(value, style)}</span></div>'


def _track(track: Track) -> str:
    at = f"{track.share:.1%}"
    rail = f'<div class="rail"><i style="width:{at}"></i><b style="left:{at}"></b></div>'
    return f'<div class="track">{_span(track.low, FAINT)}{rail}{_span(track.high, FAINT)}</div>'


def _meter(meter: Meter) -> str:
    bar = f'<progress max="1" value="{meter.share:.3f}"></progress>'
    return f'<div class="line">{escape(meter.what)}  {bar}  {escape(meter.said)}</div>'


def _table(table: Table) -> str:
    shown = table.shown
    if not shown:
        return ""
    head = "".join(_cell(one.title, "", one.right, "th") for one in shown)
    earlier = f'<tr><td class="t f" colspan="{len(shown)}">{escape(table.remark)}</td></tr>'
    rows = "".join(
        "<tr>"
        + "".join(_cell(one.cells[row], one.style(row), one.right) for one in shown)
        + "</tr>"
        for row in range(len(shown[0].cells))
    )
    return (
        f"<table><thead><tr>{head}</tr></thead>"
        f"<tbody>{earlier if table.remark else ''}{rows}</tbody></table>"
    )


def _cell(text: str, style: str, right: bool, tag: str = "td") -> str:
    names = [_CLASSES[part] for part in style.split()] + ([] if right else ["t"])
    marked = f' class="{" ".join(names)}"' if names else ""
    return f"<{tag}{marked}>{escape(text)}</{tag}>"


def _ladder(ladder: Ladder) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in ladder.titles)
    quoted = '<th class="t"></th>' if ladder.is_quoted else ""
    width = len(ladder.titles) + 1 + ladder.is_quoted
    middle = f'<tr class="mid"><td colspan="{width}">{escape(ladder.middle)}</td></tr>'
    asks, bids = (
        "".join(_rung(rung, name, ladder.is_quoted) for rung in side)
        for side, name in ((ladder.asks, "d"), (ladder.bids, "u"))
    )
    return (
        f"<table><thead><tr>{titles}<th></th>{quoted}</tr></thead>"
        f"<tbody>{asks}{middle}{bids}</tbody></table>"
    )


def _rung(rung: Rung, name: str, is_quoted: bool) -> str:
    whose = f'<td class="t l">{escape(rung.whose)}</td>' if is_quoted else ""
    bar = f'<i style="width:{rung.share:.1%}"></i>'
    return (
        f'<tr><td class="{name}">{escape(rung.price)}</td><td>{escape(rung.size)}</td>'
        f'<td class="f">{escape(rung.total)}</td><td class="depth {name}">{bar}</td>{whose}</tr>'
    )


def _sparkline(columns: Columns, width: int = 520, height: int = 60) -> str:
    low, high = min(columns.low), max(columns.high)
    scale = (high - low) or 1.0
    closes: Sequence[float] = columns.close[:: math.ceil(len(columns) / width)]
    points = " ".join(
        f"{index * width / max(1, len(closes) - 1):.1f},"
        f"{height - (close - low) / scale * height:.1f}"
        for index, close in enumerate(closes)
    )
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="closing prices">'
        f'<polyline points="{points}" fill="none" stroke="currentColor"/></svg>'
    )
