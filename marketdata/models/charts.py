"""Records as interactive charts; the chart page reads their JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from marketdata._charts.making import chart
from marketdata.errors import InvalidParameterError
from marketdata.models.plots import gathered, title

if TYPE_CHECKING:
    from marketdata._charts.chart import Chart
    from marketdata.models import Candles, OrderBook
    from marketdata.models.aggregates import Comparison, ConsolidatedOrderBook

__all__ = ["content", "of_candles", "of_record"]

_MOST = 20_000
"""Candles that a page draws one by one: more make it slow, and no screen has room for them."""


def of_candles(candles: Candles[Any], others: tuple[Candles[Any], ...]) -> Chart:
    """Draw candles with volume; with others, closing prices as lines that begin at 100."""
    if any(one.timeframe != candles.timeframe for one in others):
        lengths = sorted({candles.timeframe, *(one.timeframe for one in others)})
        raise InvalidParameterError(
            f"A chart of several pairs needs one timeframe; these have {', '.join(lengths)}. "
            "resample() brings candles to a longer one."
        )
    shown = [content(one) for one in (candles, *others)]
    return chart(f"[{','.join(shown)}]", " and ".join(map(title, (candles, *others))))


def content(candles: Candles[Any]) -> str:
    """Return the JSON that a page draws candles from."""
    each = -(-len(candles) // _MOST)
    if each <= 1:
        return candles.to_json()
    columns = gathered(candles.columns.as_floats(), each)
    text = candles.model_copy(update={"columns": columns}).to_json()
    note = f"{len(candles):,} candles: each one drawn is {each} of them."
    return f'{{"note":{json.dumps(note)},{text[1:]}'


def of_record(
    record: OrderBook[Any] | ConsolidatedOrderBook[Any] | Comparison[Any], what: str
) -> Chart:
    """Draw a book or a comparison."""
    simulated = " (simulated)" if record.simulated else ""
    return chart(record.to_json(), f"{record.pair} {what}{simulated}")
