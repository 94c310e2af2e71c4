"""Recorded minutes for exchanges, and their content of a store for every program to see."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pyarrow.compute as pc

import marketdata as md
from marketdata.sim import SimulatedExchange

START = datetime(2024, 3, 1, tzinfo=UTC)
MINUTE = 60_000
PATHS = {
    "binance": "*/klines",
    "kraken": "*/OHLC",
    "coinbaseexchange": "*/candles",
    "okx": "*candles",
}
"""Where exchanges serve candles."""

Gap = tuple[int, int]


def at(minute: int) -> datetime:
    """The time a number of minutes after the start of the tapes."""
    return START + timedelta(minutes=minute)


def ms(minute: int) -> int:
    """The same in Unix milliseconds."""
    return round(at(minute).timestamp() * 1000)


def minutes(first: int, last: int, *gaps: Gap) -> list[tuple[Any, ...]]:
    """Rows of a tape: a bar a minute from one minute after START to another, but for the gaps."""
    begin = ms(0)
    return [
        (begin + one * MINUTE, price, price + 2, price - 1, price + 1, 1.5)
        for one in range(first, last)
        if not any(low <= one < high for low, high in gaps)
        for price in [100.0 + one % 997]
    ]


def rows(candles: md.Candles) -> list[tuple[Any, ...]]:
    """The bars without the number of their trades, which tapes do not have."""
    return [row[:6] for row in candles.columns.rows()]


def holes(missing: Iterable[md.Interval]) -> list[tuple[int, int, str | None]]:
    """Holes in minutes after START, and their causes."""
    return [
        (
            (one.start - START) // timedelta(minutes=1),
            (one.end - START) // timedelta(minutes=1),
            one.cause,
        )
        for one in missing
    ]


def pages(sim: SimulatedExchange, pair: str | None = None) -> int:
    """The number of requested pages of candles."""
    last_parts = {path.rpartition("/")[2].lstrip("*") for path in PATHS.values()}
    return sum(
        request.path.endswith(tuple(last_parts))
        and (pair is None or pair.replace("/", "") in "".join(request.query.values()))
        for request in sim.requests
    )


def tables(store: Path) -> list[Path]:
    """The tables of a store in a folder."""
    return sorted(log.parent for log in store.rglob("_delta_log"))


def live(table: str | Path) -> pa.Table:
    """All rows that a table has, as every other program reads them: its live files, in order."""
    found = deltalake.DeltaTable(str(table)).to_pyarrow_table()
    return found.sort_by("time")


def opened(table: str | Path) -> list[int]:
    """The open times of stored bars in minutes after START, with repeats."""
    found = live(table)
    times = found["time"].filter(pc.is_null(found["cause"])).cast(pa.timestamp("ms", "UTC"))
    begin = ms(0)
    return [(one - begin) // MINUTE for one in times.cast(pa.int64()).to_pylist()]
