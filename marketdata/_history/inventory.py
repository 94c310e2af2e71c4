"""What is stored: described, looked through for damage, and mended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from marketdata._history import timeframes
from marketdata._history.records import Damage, Series
from marketdata._history.store import SeriesName, Store
from marketdata._history.stretch import intervals, merged
from marketdata._history.table import SeriesTable
from marketdata._history.verify import findings
from marketdata.errors import DataUnavailableError
from marketdata.models import Interval


@dataclass(frozen=True)
class Known:
    """What is stored of a range."""

    bars: int = 0
    rows: int = 0
    """Bars, and bars that are known to be missing."""
    holes: tuple[Interval, ...] = ()


def known_of(table: SeriesTable, start: int, end: int | None) -> Known:
    """Tell what is stored of a range (Unix ms)."""
    if not table.refresh():
        return Known()
    bars, rows, holes = 0, 0, []
    step = timeframes.length(table.timeframe)
    for file in table.files():
        upto = min(file.end, file.end if end is None else end)
        if file.start >= upto or file.end <= start:
            continue
        first = max(start, file.start)
        rows += -(-(upto - first) // step)
        if (first, upto) == (file.start, file.end) and not file.holes:
            bars += file.rows
            continue
        for part in table.read(first, upto):
            bars += len(part.columns)
            holes += part.holes
    return Known(bars, rows, intervals(merged(sorted(holes)), table.timeframe))


def describe(store: Store, name: SeriesName) -> Series | None:
    """Say what a series holds, from its transaction log alone; None where that holds nothing.

    Also None where the log cannot be read, which `damage` reports.
    """
    table = store.table(name)
    try:
        files = table.files() if table.refresh() else []
    except DataUnavailableError:
        return None
    if not files:
        return None
    step = timeframes.length(name.timeframe)
    start, end = files[0].start, max(file.end for file in files)
    bars = sum(file.rows - file.holes for file in files)
    covered = sum(span.end - span.start for span in table.covered())
    return Series(
        **_named(name),
        start=moment(start),
        end=moment(end),
        bars=bars,
        missing=covered // step - bars,
        not_fetched=(end - start - covered) // step,
        size=sum(file.size for file in files),
        files=len(files),
        location=table.url,
    )


def damage(store: Store, name: SeriesName) -> list[Damage]:
    """Read all of a series and report what is wrong with it."""
    return [
        Damage(
            **_named(name),
            problem=one.problem,
            path=None if one.file is None else one.file.path,
            start=None if one.file is None else moment(one.file.start),
            end=None if one.file is None else moment(one.file.end),
        )
        for one in findings(store.table(name))
    ]


def repair(store: Store, name: SeriesName) -> list[Damage]:
    """Take what is damaged out of a series, and report it."""
    found = damage(store, name)
    table = store.table(name)
    if any(one.problem == "log_unreadable" for one in found):
        store.rebuild(name)
        found += damage(store, name)
        table = store.table(name)
    bad = {one.path for one in found}
    table.refresh()
    table.drop([file for file in table.files() if file.path in bad])
    return [one.model_copy(update={"repaired": True}) for one in found]


def moment(milliseconds: int) -> datetime:
    """Give Unix milliseconds as a datetime."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _named(name: SeriesName) -> dict[str, Any]:
    return {
        "exchange": name.exchange,
        "pair": name.pair,
        "timeframe": name.timeframe,
        "simulated": True if name.simulated is not None else None,
    }
