"""Plants faults in the engine one by one, and counts after how many sequences each is found.

``python -m candles.planted 300 1`` in ``tests``: at most so many sequences, from a base seed. The
engine on the disk stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from inside import unpaced
from inside.candles import DAY, FOREVER, Calendar, Gap

from marketdata._candles import assembly, download, paging, questions, series
from marketdata.models.columns import Columns

from . import session
from .rules import RuleError
from .strategies import sequences
from .test_model import explore
from .wire import Wire

Patch = pytest.MonkeyPatch


def doubled_where_date_is_behind(patch: Patch) -> None:
    """The newest candle, which opens after the exchange's ``Date``, comes twice."""
    together = series.NativeSeries._together

    async def doubled(self: Any, span: Any, tail: Any) -> Any:
        found = await together(self, span, tail)
        told = self.pages._told
        if told is not None and len(found.columns) and found.columns.time[-1] > told.exchange:
            found.columns.extend(found.columns[-1:])
        return found

    patch.setattr(series.NativeSeries, "_together", doubled)


def days_by_utc(patch: Patch) -> None:
    """Days open at midnight UTC, whatever the exchange and its candles say."""
    requested = paging.Pages._request

    async def rounded(self: Any, since: int | None, count: int) -> Columns:
        found = await requested(self, since, count)
        if self.timeframe != "1d":
            return found
        return Columns.from_rows([(row[0] - row[0] % DAY, *row[1:]) for row in found.rows()])

    patch.setattr(paging.Pages, "_request", rounded)


def odd_ones_dropped(patch: Patch) -> None:
    """Candles off the calendar are left out."""
    made = assembly.assemble

    def dropping(pages: Any, span: Any, calendar: Calendar, clock: Any) -> Any:
        found = made(pages, span, calendar, clock)
        odd = set(calendar.unexpected(found.columns.time))
        rows = [row for row in found.columns.rows() if row[0] not in odd]
        return replace(found, columns=Columns.from_rows(rows)) if odd else found

    for module in (series, download):
        patch.setattr(module, "assemble", dropping)


def cut_at_end(patch: Patch) -> None:
    """A resampled candle lacks the parts that open at ``end`` or later."""

    async def between(self: Any, start: int, end: int | None) -> Any:
        first = self.calendar.ceil(start)
        upto = None if end is None else self.calendar.ceil(end)
        if upto is not None and first >= upto:
            return await whole(self, start, end)
        return replace(self._made(await self.finer.between(first, end), first, upto), start=start)

    whole = series.ResampledSeries.between
    patch.setattr(series.ResampledSeries, "between", between)


def limit_counts_places(patch: Patch) -> None:
    """``limit`` counts places, with or without candles."""

    async def last(source: Any, limit: int, end: int | None) -> Any:
        found = await asked(source, limit, end)
        if not len(found.columns):
            return found
        start = source.calendar.shift(found.columns.time[-1], 1 - limit)
        return found.cut(max(start, found.start), FOREVER)

    asked = questions._last
    patch.setattr(questions, "_last", last)


def gap_named_twice(patch: Patch) -> None:
    """The first place of the last gap is named once more."""

    def twice(gaps: list[Gap], calendar: Calendar) -> Any:
        again = [Gap(one.start, calendar.next(one.start), one.cause) for one in gaps[-1:]]
        return intervals([*gaps, *again], calendar)

    intervals = questions.intervals
    patch.setattr(questions, "intervals", twice)


def answer_by_the_store(patch: Patch) -> None:
    """The last stored candle is missing."""
    covered = series.NativeSeries._covered

    async def remembering(self: Any) -> Any:
        self.was_stored = await covered(self)
        return self.was_stored

    async def shorter(self: Any, span: Any, tail: Any) -> Any:
        found = await together(self, span, tail)
        if self.was_stored and len(found.columns) > 1:
            rows = found.columns.rows()
            last = self.was_stored[-1].end
            stored = [row[0] for row in rows if row[0] < last]
            gone = stored[-1:] if tail is not None else []
            kept = [row for row in rows if row[0] not in gone]
            return replace(found, columns=Columns.from_rows(kept))
        return found

    together = series.NativeSeries._together
    patch.setattr(series.NativeSeries, "_covered", remembering)
    patch.setattr(series.NativeSeries, "_together", shorter)


FAULTS: tuple[Callable[[Patch], None], ...] = (
    doubled_where_date_is_behind,
    days_by_utc,
    odd_ones_dropped,
    cut_at_end,
    limit_counts_places,
    gap_named_twice,
    answer_by_the_store,
)


def found_after(plant: Callable[[Patch], None], count: int, base: int, wire: Wire) -> str:
    """Say after how many sequences a fault breaks a rule, and which."""
    done = 0

    def body(sequence: Any) -> None:
        nonlocal done, broken
        if broken:
            return
        done += 1
        try:
            session.run(sequence, wire)
        except RuleError as error:
            broken = error.rule

    broken = ""
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        explore(body, sequences(), count, base)
    return f"{done:5}  {broken}" if broken else f"not in {done}"


def main(count: int, base: int) -> None:
    wire = Wire()
    with pytest.MonkeyPatch.context() as patch:
        unpaced.requests(patch)
        for plant in FAULTS:
            print(f"{plant.__name__:30} {found_after(plant, count, base, wire)}", flush=True)
    wire.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
