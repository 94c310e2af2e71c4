"""The page of candles: a chart, the newest rows, what is missing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from marketdata_cli.chart import chart
from marketdata_cli.layout import FAINT, PLAIN, WARNING, Column, Line, Screen, clipped, table
from marketdata_cli.numbers import aligned, digits, duration, moments
from marketdata_cli.origin import freshness, heading
from marketdata_cli.panels import direction

if TYPE_CHECKING:
    from marketdata.models import Candles, Interval

ROWS = 10
GAPS = 5


def candles(record: Candles, screen: Screen) -> list[Line]:
    """Draw bars: a chart of all, the newest as rows, the ranges without bars."""
    count = len(record)
    title = heading(record.pair, record.exchange, record.simulated, _extent(record))
    title = clipped(title, screen.width)
    if not count:
        return [
            title,
            [("No bars.", FAINT)],
            *_missing(record.missing, screen.width),
            freshness([record], screen.now, _source(record)),
        ]
    return [
        title,
        [],
        *chart(record, screen, rows=max(8, min(16, screen.height - ROWS - 12))),
        [],
        *_newest(record, screen.width),
        *_missing(record.missing, screen.width),
        freshness([record], screen.now, _source(record)),
    ]


def _extent(record: Candles) -> str:
    bars = f"{record.timeframe}, {len(record):,} bar{'' if len(record) == 1 else 's'}"
    if not len(record):
        return bars
    first, last = record.columns.time[0], record.columns.time[-1]
    start, end = moments([datetime.fromtimestamp(time / 1000, UTC) for time in (first, last)])
    return f"{bars}, {start} to {end} UTC" if first != last else f"{bars}, {start} UTC"


def _source(record: Candles) -> str:
    return "made from trades" if record.source == "trades" else ""


def _newest(record: Candles, width: int) -> list[Line]:
    part = record[-ROWS:]
    bars = list(part)
    moves = [bar.close - bar.open for bar in bars]
    marks = ["forming" if bar.forming else "" for bar in bars]
    columns = part.columns
    prices = aligned([*columns.open, *columns.high, *columns.low, *columns.close])
    opens, highs, lows, closes = (
        prices[index * len(bars) : (index + 1) * len(bars)] for index in range(4)
    )
    table_columns = [
        Column("open time (UTC)", moments([bar.open_time for bar in bars]), 9, right=False),
        Column("open", opens, 7),
        Column("high", highs, 8),
        Column("low", lows, 8),
        Column("close", closes, 9, styles=[direction(move) for move in moves]),
        Column("volume", [digits(bar.volume) for bar in bars], 6),
        Column("trades", [digits(bar.trades) for bar in bars], 2),
        Column("", marks, 10, right=False, styles=WARNING),
    ]
    lines = table(table_columns, width)
    hidden = len(record) - len(bars)
    if hidden:
        lines.insert(1, [(f"… {hidden:,} earlier; --format csv has all", FAINT)])
    return lines


def _missing(missing: tuple[Interval, ...], width: int) -> list[Line]:
    """Name the ranges without bars, the longest first where there are many."""
    if not missing:
        return []
    total = sum(gap.bars for gap in missing)
    lines: list[Line] = [[(f"Missing {total:,} bar{'' if total == 1 else 's'}:", WARNING)]]
    shown = sorted(sorted(missing, key=lambda gap: -gap.bars)[:GAPS], key=lambda gap: gap.start)
    for gap in shown:
        start, end = moments([gap.start, gap.end])
        length = duration((gap.end - gap.start).total_seconds())
        text = f"  {start} to {end} UTC, {gap.bars:,} bar{'' if gap.bars == 1 else 's'} ({length})"
        lines.append(clipped([(text, PLAIN)], width))
    if len(missing) > GAPS:
        lines.append([(f"  and {len(missing) - GAPS:,} shorter; --format json has all", FAINT)])
    return lines
