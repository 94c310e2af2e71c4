"""What is stored: described, looked through for damage, and mended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marketdata._candles.calendar import Calendar, known
from marketdata._candles.records import Damage, Series
from marketdata._candles.spans import Gap, intervals, merged, moment
from marketdata._candles.store import SeriesName, Store
from marketdata._candles.table import SeriesTable
from marketdata._candles.verify import findings
from marketdata.errors import DataUnavailableError
from marketdata.models import Interval


@dataclass(frozen=True)
class Stored:
    """What is stored of a range."""

    candles: int = 0
    places: int = 0
    """Places of which it is known whether they have a candle."""
    gaps: tuple[Interval, ...] = ()


def stored_of(table: SeriesTable, calendar: Calendar, start: int, end: int | None) -> Stored:
    """Tell what is stored of a range (Unix ms)."""
    if not table.refresh():
        return Stored()
    candles, places, gaps = 0, 0, list[Gap]()
    for file in table.files():
        upto = min(file.end, file.end if end is None else end)
        if file.start >= upto or file.end <= start:
            continue
        first = max(start, file.start)
        places += calendar.count(first, upto)
        if (first, upto) == (file.start, file.end) and not file.gaps:
            candles += file.rows
            continue
        for part in table.read(first, upto):
            candles += len(part.columns)
            gaps += part.gaps
    return Stored(
        candles, places, intervals(merged(sorted(gaps, key=lambda gap: gap.start)), calendar)
    )


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
    calendar = known(name.exchange, name.timeframe)
    start, end = files[0].start, max(file.end for file in files)
    candles = sum(file.rows - file.gaps for file in files)
    covered = sum(calendar.count(*span) for span in table.covered())
    return Series(
        **_named(name),
        start=moment(start),
        end=moment(end),
        bars=candles,
        missing=max(0, covered - candles),
        not_fetched=calendar.count(start, end) - covered,
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
        for one in findings(store.table(name), known(name.exchange, name.timeframe))
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


def _named(name: SeriesName) -> dict[str, Any]:
    return {
        "exchange": name.exchange,
        "pair": name.pair,
        "timeframe": name.timeframe,
        "simulated": True if name.simulated is not None else None,
    }
