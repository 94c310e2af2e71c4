"""Candles to resample, and the expected results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inside.candles import Gap, expected

from marketdata._candles.resampling import resample
from marketdata.models import Columns

from .markets import ms

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOON = ms("2024-05-01T12:00")
WORST_FIRST = ["not_fetched", "not_served", None, "no_trades", "outage"]
NOT_FETCHED: frozenset[Any] = frozenset({"not_fetched"})
UNKNOWN: frozenset[Any] = frozenset({"not_fetched", "not_served"})
"""A pair with trades before its oldest candles."""

Row = tuple[Any, ...]


def at(*minutes: int, volume: float | None = 1.0, trades: int | None = 2) -> list[Row]:
    """Candles that open at minutes after noon, each with a different price."""
    return [
        (NOON + one * MINUTE, 10.0 + one, 10.5 + one, 9.0 + one, 10.25 + one, volume, trades)
        for one in minutes
    ]


def made(
    rows: Sequence[Row],
    to: str,
    *gaps: Gap,
    start: int,
    until: int,
    unknown: frozenset[Any] = NOT_FETCHED,
) -> tuple[list[Row], list[Gap]]:
    columns, missing = resample(
        Columns.from_rows(rows), expected(to), gaps, start=start, until=until, unknown=unknown
    )
    return columns.rows(), missing


def places(gap: Gap, timeframe: str) -> int:
    return expected(timeframe).count(gap.start, gap.end)
