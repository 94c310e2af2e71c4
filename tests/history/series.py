"""Series made by hand, for tests of processes and disks."""

from __future__ import annotations

from pathlib import Path

from inside.candles import Gap, Stretch
from inside.store import SeriesName, SeriesTable, Store

from marketdata.models.columns import Columns

from .tapes import ms

NAME = SeriesName("binance", "BTC/USDT", "1m")


def bars(first: int, last: int, *gaps: tuple[int, int], volume: float = 1.5) -> Stretch:
    """A bar a minute from one minute after START to another, but for gaps without trades."""
    rows = [
        (ms(one), price, price + 2, price - 1, price + 1, volume, one % 50)
        for one in range(first, last)
        if not any(low <= one < high for low, high in gaps)
        for price in [100.0 + one % 997]
    ]
    holes = [Gap(ms(low), ms(high), "no_trades") for low, high in gaps]
    return Stretch(ms(first), ms(last), Columns.from_rows(rows), holes)


def table_in(folder: Path | str) -> SeriesTable:
    return Store(str(folder)).table(NAME)


def read(table: SeriesTable, first: int, last: int) -> list[Stretch]:
    table.refresh()
    return table.read(ms(first), ms(last))
