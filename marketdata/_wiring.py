"""Where the modules are that records reach by `_above`; each is imported when it is needed."""

from __future__ import annotations

from typing import Any

from marketdata import _above


def _tables() -> _above.Tables:
    from marketdata.models import tables

    return tables


def _briefly() -> _above.Briefly:
    from marketdata.models._display import brief

    return brief


def _charts() -> _above.Charts:
    from marketdata.models import charts

    return charts


def _parts() -> _above.Parts:
    from marketdata._candles import parts

    return parts


def _page(answer: Any) -> str:
    from marketdata.models._display.html import html
    from marketdata.models._display.pages import page

    return html(page(answer))


def _plot(*args: Any, **named: Any) -> Any:
    from marketdata.models.plots import plot

    return plot(*args, **named)


_above.tables = _tables
_above.briefly = _briefly
_above.charts = _charts
_above.parts = _parts
_above.page = _page
_above.plot = _plot
