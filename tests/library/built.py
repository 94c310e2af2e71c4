"""Candles built of trades in memory."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from marketdata._candles.calendar import expected
from marketdata._candles.from_trades import Bars, Tick, tick
from marketdata.models import Columns, Trade


def bars_of(ticks: Iterable[Tick], timeframe: str, chunk: int = 10_000) -> Columns:
    """Build candles of so many trades at a time, which come in order of time."""
    made, left = Bars(expected(timeframe)), iter(ticks)
    while part := list(islice(left, chunk)):
        made.add(part)
    return made.columns()


def bars(trades: Iterable[Trade], timeframe: str) -> Columns:
    return bars_of(map(tick, trades), timeframe)
