"""The page of candles: a chart, the newest rows, what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketdata_cli.chart import chart
from marketdata_cli.layout import FAINT, PLAIN, WARNING, Column, Line, Screen, table
from marketdata_cli.numbers import aligned, digits, duration, moments, span
from marketdata_cli.origin import freshness, heading
from marketdata_cli.panels import direction

if TYPE_CHECKING:
    from marketdata.models import Candles, Interval

ROWS = 10
GAPS = 5


def candles(record: Candles, screen: Screen) -> list[Line]:
    """Draw bars: a chart of all, the newest as rows, the ranges without bars."""
    title = heading(record.pair, record.exchange, record.simulated, f"{record.timeframe} candles")
    bars = f"{len(record):,} bar{'' if len(record) == 1 else 's'}"
    end = [
        *_missing(record.missing),
        freshness([record], screen.now, _source(record)),
    ]
    if not len(record):
        return [title, [("No bars.", FAINT)], *end]
    return [
        title,
        [(f"{bars}, {span(record[0].open_time, record[-1].open_time)}", FAINT)],
        *chart(record, screen, rows=max(8, min(16, screen.height - ROWS - 12))),
        [],
        *_newest(record, screen.width),
        *end,
    ]


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
        Column("time (UTC)", moments([bar.open_time for bar in bars]), 9, right=False),
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


def _missing(missing: tuple[Interval, ...]) -> list[Line]:
    """Name the ranges without bars, the longest first where there are many."""
    if not missing:
        return []
    total = sum(gap.bars for gap in missing)
    lines: list[Line] = [[(f"Missing {total:,} bar{'' if total == 1 else 's'}:", WARNING)]]
    shown = sorted(sorted(missing, key=lambda gap: -gap.bars)[:GAPS], key=lambda gap: gap.start)
    for gap in shown:
        length = duration((gap.end - gap.start).total_seconds())
        bars = f"{gap.bars:,} bar{'' if gap.bars == 1 else 's'}"
        text = f"  {span(gap.start, gap.end)}, {bars} ({length})"
        lines.append([(text, PLAIN)])
    if len(missing) > GAPS:
        lines.append([(f"  and {len(missing) - GAPS:,} shorter; --format json has all", FAINT)])
    return lines
