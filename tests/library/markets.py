"""The markets of the simulated exchanges, read from the simulator itself for comparison."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from marketdata.sim.markets.bars import DAY, HOUR, MINUTE, MONDAY, SECOND, Bar, Grid, Trade, months
from marketdata.sim.markets.listings import listings
from marketdata.sim.markets.seeded import SeededMarket

SEED = 7
NOW = datetime(2024, 5, 1, 12, 0, 30, tzinfo=UTC)
DIALECTS = ("binance", "kraken", "coinbaseexchange", "okx")
PAGES = {"binance": 1000, "kraken": 720, "coinbaseexchange": 300, "okx": 300}
"""Candles in one request."""
COUNTS_TRADES = ("binance", "kraken")
FILLS = ("binance", "okx")
"""The exchanges that send bars for times without trades."""

GRIDS = {
    "1s": Grid(SECOND),
    "1m": Grid(MINUTE),
    "5m": Grid(5 * MINUTE),
    "1h": Grid(HOUR),
    "4h": Grid(4 * HOUR),
    "6h": Grid(6 * HOUR),
    "1d": Grid(DAY),
    "1w": Grid(7 * DAY, MONDAY),
    "1M": months(1),
}

Row = tuple[Any, ...]


def ms(moment: datetime | str) -> int:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def when(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


@lru_cache
def market(exchange: str, pair: str = "BTC/USDT") -> SeededMarket:
    listing = next(one for one in listings(exchange) if one.pair == pair)
    return SeededMarket(SEED, exchange, listing)


def number(units: int, *scales: int) -> float:
    """Return a number of units as a decimal number."""
    return float(Decimal(units).scaleb(-sum(scales)))


def row(exchange: str, of: SeededMarket, bar: Bar) -> Row:
    prices = [number(price, of.price_scale) for price in bar[1:5]]
    count = bar.trades if exchange in COUNTS_TRADES else None
    return (bar.start, *prices, number(bar.volume, of.amount_scale), count)


def bars(
    exchange: str,
    pair: str,
    timeframe: str,
    start: datetime | str | int,
    end: datetime | str | int | None = None,
    now: datetime = NOW,
) -> list[Row]:
    """Return the bars of an exchange in a range, as rows of candles."""
    of, grid = market(exchange, pair), GRIDS[timeframe]
    stop = ms(now) + 1 if end is None else end if isinstance(end, int) else ms(end)
    begin = start if isinstance(start, int) else ms(start)
    find = of.grid_bars if exchange in FILLS else of.bars
    return [
        row(exchange, of, bar)
        for bar in find(grid, begin, min(stop, ms(now) + 1), ms(now))
        if bar.start >= begin
    ]


def newest(exchange: str, pair: str, timeframe: str, count: int, now: datetime = NOW) -> list[Row]:
    of, filled = market(exchange, pair), exchange in FILLS
    found = of.newest(GRIDS[timeframe], count, 0, ms(now) + 1, ms(now), filled=filled)
    return [row(exchange, of, bar) for bar in found]


def trades(
    exchange: str, pair: str, *, start: int | None = None, count: int = 100, now: datetime = NOW
) -> list[Trade]:
    """Return the first trades from a time on, or the newest, oldest first."""
    of = market(exchange, pair)
    if start is None:
        found = of.backwards(ms(now))
        return [next(found) for _ in range(count)][::-1]
    later = of.forwards(ms(now), ms=start)
    return [trade for trade, _ in zip(later, range(count), strict=False)]


def record(
    folder: Path,
    rows: Iterable[Sequence[Any]],
    name: str = "binance_BTC_USDT-1m.csv",
    header: str = "timestamp_ms,open,high,low,close,volume",
) -> Path:
    """Write a tape."""
    path = folder / name
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return path


def minutes(
    start: datetime | str, end: datetime | str, *gaps: tuple[datetime | str, datetime | str]
) -> list[tuple[Any, ...]]:
    """Return rows of a tape: one bar per minute from start to end, except gaps."""
    left_out = [(ms(first), ms(last)) for first, last in gaps]
    return [
        (time, price, price + 2, price - 1, price + 1, "1.5")
        for time in range(ms(start), ms(end), MINUTE)
        if not any(first <= time < last for first, last in left_out)
        for price in [100 + time // MINUTE % 50]
    ]
