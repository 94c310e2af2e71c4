"""The page of candles: a chart, the newest rows, and the gaps."""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from typing import TYPE_CHECKING

from marketdata.models._display.cards import direction
from marketdata.models._display.elements import FAINT, WARNING, Chart, Column, Page, Table
from marketdata.models._display.gaps import named
from marketdata.models._display.numbers import (
    amount_places,
    clock,
    counted,
    digits,
    fixed,
    moments,
    price_places,
    span,
)
from marketdata.models._display.origin import freshness, heading

if TYPE_CHECKING:
    from marketdata.models import Candles

ROWS = 10
RANGES = 5


def candles(record: Candles, now: datetime, rows: int = ROWS) -> Page:
    """Show candles: a chart of all of them, the newest as rows, and the gaps with their causes."""
    title = heading(record.pair, record.exchange, record.simulated, f"{record.timeframe} candles")
    end = [
        *named("Missing", record.missing, RANGES),
        *named("Filled", record.filled or (), RANGES),
        *_other_names(record),
        freshness([record], now, _source(record)),
    ]
    if not len(record):
        return [title, [("No candles.", FAINT)], *end]
    drawn = _without_filled(record)
    covered = f"{counted(len(record), 'candle')}, {span(record[0].open_time, record[-1].open_time)}"
    return [
        title,
        [(covered, FAINT)],
        *([Chart(drawn)] if len(drawn) else []),
        newest(record, rows),
        *end,
    ]


def _other_names(record: Candles) -> Page:
    """Say that a pair is no longer listed, or that it was renamed."""
    lines: Page = []
    if record.delisted:
        text = f"{record.exchange} no longer lists the pair: these are its stored candles."
        lines.append([(text, WARNING)])
    if record.renamed_from is not None:
        until = f" before {clock(record.renamed_at)}" if record.renamed_at else ""
        lines.append([(f"The pair was {record.renamed_from}{until}.", FAINT)])
    return lines


def _source(record: Candles) -> str:
    if record.resampled_from is not None:
        return f"resampled from {record.resampled_from} candles"
    return "made from trades" if record.source == "trades" else ""


def _without_filled(record: Candles) -> Candles:
    """Leave out filled bars: a chart with them would hide that the exchange has no such bars."""
    if not record.filled:
        return record
    columns = record.columns
    own, at = columns[:0], 0
    for gap in record.filled:
        first = bisect_left(columns.time, gap.start.timestamp() * 1000, at)
        own.extend(columns[at:first])
        at = bisect_left(columns.time, gap.end.timestamp() * 1000, first)
    own.extend(columns[at:])
    return record.model_copy(update={"columns": own})


def newest(record: Candles, count: int) -> Table:
    """List the newest ``count`` bars."""
    part = record[-count:]
    bars = list(part)
    moves = [bar.close - bar.open for bar in bars]
    marks = ["open" if bar.forming else "filled" if bar.filled else "" for bar in bars]
    columns = part.columns
    values = [*columns.open, *columns.high, *columns.low, *columns.close]
    step = price_places([record], values)
    prices = [fixed(value, step) for value in values]
    lots = amount_places([record], columns.volume)
    opens, highs, lows, closes = (
        prices[index * len(bars) : (index + 1) * len(bars)] for index in range(4)
    )
    shown = [
        Column("time (UTC)", moments([bar.open_time for bar in bars]), 9, right=False),
        Column("open", opens, 7),
        Column("high", highs, 8),
        Column("low", lows, 8),
        Column("close", closes, 9, styles=[direction(move) for move in moves]),
        Column("volume", [fixed(bar.volume, lots) for bar in bars], 6),
        Column("trades", [digits(bar.trades) for bar in bars], 2),
        Column("", marks, 10, right=False, styles=WARNING),
    ]
    return Table(shown, earlier=len(record) - len(bars))
