"""Describes stored candles, and finds and removes damage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from marketdata._candles.calendar import Calendar, expected, known, learned
from marketdata._candles.paging import our_now
from marketdata._candles.spans import (
    FOREVER,
    Gap,
    Span,
    Stretch,
    in_order,
    intervals,
    merged,
    moment,
    with_unknown,
    without,
)
from marketdata._candles.store import SeriesName, Store
from marketdata._candles.table import SeriesTable
from marketdata._candles.verify import findings
from marketdata.errors import DataUnavailableError
from marketdata.models import Interval
from marketdata.models.stored import Damage, Day, DayState, Series


@dataclass(frozen=True)
class Stored:
    """The stored part of a range."""

    candles: int = 0
    places: int = 0
    """The number of places of which it is known whether they have a candle."""
    gaps: tuple[Interval, ...] = ()


def stored_of(
    tables: Sequence[SeriesTable], calendar: Calendar, start: int, end: int | None
) -> Stored:
    """Return the stored part of a range (Unix ms).

    ``tables`` are those of a pair and of its former name before a token was renamed. The former one
    counts before the pair's own first candle.
    """
    parts = [_stored_in(tables[0], calendar, start, end)]
    upto = FOREVER if end is None else end
    for table in tables[1:]:
        for span in _before_the_first(tables[0]):
            first, last = max(span.start, start), min(span.end, upto)
            if first < last:
                own, later = parts[-1], _stored_in(table, calendar, first, last)
                gaps = tuple(gap for gap in own.gaps if gap.cause != "not_served")
                places = own.places - calendar.count(first, last)
                parts[-1:] = [later, replace(own, places=places, gaps=gaps)]
    return Stored(
        sum(one.candles for one in parts),
        sum(one.places for one in parts),
        tuple(gap for one in parts for gap in one.gaps),
    )


def covered_of(tables: Sequence[SeriesTable]) -> list[Span]:
    """List the stored ranges, with the meaning of `stored_of`."""
    covered = [table.covered() if table.refresh() else [] for table in tables]
    known = covered[0]
    for spans in covered[1:]:
        early = _before_the_first(tables[0])
        left = [part for span in early for part in without(span, spans)]
        known = [part for span in known for part in without(span, left)]
    return known


def _before_the_first(table: SeriesTable) -> list[Span]:
    """List the stored ranges before the first candle of a pair."""
    found = list[Span]()
    for file in table.files() if table.refresh() else ():
        gaps = [gap for part in table.read(file.start, file.end) for gap in part.gaps]
        found += [gap.span for gap in gaps if gap.cause == "not_served"]
        if file.rows > file.gaps:
            break
    return found


def _stored_in(table: SeriesTable, calendar: Calendar, start: int, end: int | None) -> Stored:
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
    return Stored(candles, places, intervals(merged(gaps), calendar))


def describe(store: Store, name: SeriesName) -> Series | None:
    """Describe a series from its transaction log alone; None if it is empty.

    Also None if the log cannot be read, which `damage` reports.
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


def days(store: Store, name: SeriesName) -> tuple[Day, ...]:
    """Describe each day from the first to the last; reads all candles."""
    table = store.table(name)
    files = table.files() if table.refresh() else []
    if not files:
        return ()
    whole = with_unknown(table.read(files[0].start, files[-1].end))
    calendar = learned(name.timeframe, whole.columns.time, known(name.exchange, name.timeframe))
    now, days_of = our_now(), expected("1d")
    over = calendar.floor(now)
    found = []
    for start in days_of.openings(days_of.floor(whole.start), whole.end):
        end = days_of.next(start)
        asked = Stretch(start, end, whole.columns[:0])
        if start < whole.end and end > whole.start:
            asked = whole.cut(start, end)
        outside = without(Span(start, min(end, over)), [whole.span])
        gaps = [*asked.gaps, *(Gap(*span, "not_fetched") for span in outside)]
        gaps = [gap for gap in in_order(gaps) if calendar.count(*gap[:2])]
        state: DayState = "gaps" if gaps else "complete"
        if end > now:
            state = "not_over"
        elif any(gap.cause == "not_fetched" for gap in gaps):
            state = "not_fetched"
        found.append(
            Day(
                day=moment(start).date(),
                state=state,
                bars=len(asked.columns),
                missing=intervals(gaps, calendar),
            )
        )
    return tuple(found)


def damage(store: Store, name: SeriesName) -> list[Damage]:
    """Read all of a series and report its damage."""
    return [
        Damage(
            **_named(name),
            problem=one.problem,
            path=one.path,
            start=None if one.span is None else moment(one.span.start),
            end=None if one.span is None else moment(one.span.end),
        )
        for one in findings(store.table(name), known(name.exchange, name.timeframe))
    ]


def repair(store: Store, name: SeriesName) -> list[Damage]:
    """Remove damaged parts of a series, and report them."""
    found = damage(store, name)
    table = store.table(name)
    if any(one.problem == "log_unreadable" for one in found):
        store.rebuild(name)
        found += damage(store, name)
        table = store.table(name)
    bad = {one.path for one in found}
    table.refresh()
    table.drop([file for file in table.files() if file.path in bad])
    table.sweep()
    return [one.model_copy(update={"repaired": True}) for one in found]


def _named(name: SeriesName) -> dict[str, Any]:
    return {
        "exchange": name.exchange,
        "pair": name.pair,
        "timeframe": name.timeframe,
        "simulated": True if name.simulated is not None else None,
    }
