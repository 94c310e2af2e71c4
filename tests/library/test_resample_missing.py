"""Resampled candles with missing or open parts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from inside.candles import Calendar, Gap, Span, can_make, expected, learned

from marketdata._candles.assembly import Clock
from marketdata._candles.series import ElsewhereError, Known, ResampledSeries
from marketdata.models import Columns

from .markets import ms
from .resampled import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    NOT_FETCHED,
    UNKNOWN,
    WORST_FIRST,
    Row,
    at,
    made,
    places,
)


def test_a_candle_needs_only_one_part_if_the_others_had_no_trades() -> None:
    gaps = [
        Gap(NOON, NOON + 4 * MINUTE, "no_trades"),
        Gap(NOON + 5 * MINUTE, NOON + 9 * MINUTE, "outage"),
    ]
    bars, missing = made(at(4, 9), "5m", *gaps, start=NOON, until=NOON + 10 * MINUTE)

    assert [bar[0] for bar in bars] == [NOON, NOON + 5 * MINUTE]
    assert bars[0] == (NOON, *at(4)[0][1:])
    assert missing == []


@pytest.mark.parametrize("cause", WORST_FIRST)
@pytest.mark.parametrize("unknown", [NOT_FETCHED, UNKNOWN], ids=["", "not-served"])
@pytest.mark.parametrize("minute", [0, 2, 4])
def test_a_candle_is_missing_if_a_part_is_unknown(
    cause: Any, unknown: frozenset[Any], minute: int
) -> None:
    gap = Gap(NOON + minute * MINUTE, NOON + (minute + 1) * MINUTE, cause)
    there = [one for one in range(10) if one != minute]
    bars, missing = made(
        at(*there), "5m", gap, start=NOON, until=NOON + 10 * MINUTE, unknown=unknown
    )

    if cause in unknown:
        assert [bar[0] for bar in bars] == [NOON + 5 * MINUTE]
        assert missing == [Gap(NOON, NOON + 5 * MINUTE, cause)]
    else:
        assert [(bar[0], bar[6]) for bar in bars] == [(NOON, 8), (NOON + 5 * MINUTE, 10)]
        assert missing == []


@pytest.mark.parametrize("first", WORST_FIRST)
@pytest.mark.parametrize("second", WORST_FIRST)
def test_a_candle_gets_the_worst_cause_of_its_parts(first: Any, second: Any) -> None:
    gaps = [
        Gap(NOON, NOON + 2 * MINUTE, first),
        Gap(NOON + 2 * MINUTE, NOON + 5 * MINUTE, second),
    ]
    worst = min(first, second, key=WORST_FIRST.index)
    _, missing = made([], "5m", *gaps, start=NOON, until=NOON + 5 * MINUTE)

    assert missing == [Gap(NOON, NOON + 5 * MINUTE, worst)]


def test_a_longer_place_is_an_outage_only_if_all_of_it_is_one() -> None:
    gaps = [
        Gap(NOON, NOON + 14 * MINUTE, "outage"),
        Gap(NOON + 14 * MINUTE, NOON + 15 * MINUTE, "no_trades"),
    ]
    _, missing = made([], "5m", *gaps, start=NOON, until=NOON + 15 * MINUTE)

    assert missing == [
        Gap(NOON, NOON + 10 * MINUTE, "outage"),
        Gap(NOON + 10 * MINUTE, NOON + 15 * MINUTE, "no_trades"),
    ]


def test_adjacent_gaps_are_merged_by_cause() -> None:
    gaps = [
        Gap(NOON, NOON + 20 * MINUTE, "not_served"),
        Gap(NOON + 20 * MINUTE, NOON + 35 * MINUTE, "no_trades"),
        Gap(NOON + 36 * MINUTE, NOON + 47 * MINUTE, "no_trades"),
    ]
    rows = at(35, 47, 48, 49)
    bars, missing = made(rows, "5m", *gaps, start=NOON, until=NOON + 50 * MINUTE)

    assert [(bar[0] - NOON) // MINUTE for bar in bars] == [35, 45]
    assert [((one.start - NOON) // MINUTE, places(one, "5m"), one.cause) for one in missing] == [
        (0, 4, "not_served"),
        (20, 3, "no_trades"),
        (40, 1, "no_trades"),
    ]


def test_a_gap_without_a_cause_is_a_gap() -> None:
    until = NOON + 10 * MINUTE
    _, missing = made(at(0), "5m", start=NOON, until=until)
    assert missing == [Gap(NOON + 5 * MINUTE, until, None)]

    part = Gap(NOON + 5 * MINUTE, NOON + 9 * MINUTE, "no_trades")
    _, missing = made(at(0), "5m", part, start=NOON, until=until)
    assert missing == [Gap(NOON + 5 * MINUTE, until, None)]


def test_months_without_a_day_are_counted() -> None:
    begin, end = ms("2024-01-01"), ms("2024-04-01")
    _, missing = made([], "1M", Gap(begin, end, "not_served"), start=begin - 1, until=end)
    assert missing == [Gap(begin, end, "not_served")]
    assert places(missing[0], "1M") == 3


def test_candles_that_open_before_the_start_are_left_out() -> None:
    rows = at(*range(3, 15))
    bars, missing = made(rows, "5m", start=NOON + 3 * MINUTE, until=NOON + 15 * MINUTE)
    assert [bar[0] for bar in bars] == [NOON + 5 * MINUTE, NOON + 10 * MINUTE]
    assert missing == []


def test_candles_and_gaps_that_open_at_the_end_or_later_are_left_out() -> None:
    gap = Gap(NOON + 5 * MINUTE, NOON + 50 * MINUTE, "not_fetched")
    bars, missing = made(at(0, 50), "5m", gap, start=NOON, until=NOON + 10 * MINUTE)

    assert [bar[0] for bar in bars] == [NOON]
    assert missing == [Gap(NOON + 5 * MINUTE, NOON + 10 * MINUTE, "not_fetched")]


def test_a_candle_that_opens_before_the_end_is_complete() -> None:
    bars, missing = made(at(0, 6, 9), "5m", start=NOON, until=NOON + 7 * MINUTE)

    assert [bar[0] for bar in bars] == [NOON, NOON + 5 * MINUTE]
    assert bars[1] == (NOON + 5 * MINUTE, 16.0, 19.5, 15.0, 19.25, 2.0, 4)
    assert missing == []


def test_a_candle_off_the_calendar_is_a_part_of_the_place_it_opens_in() -> None:
    rows = [(NOON + 5 * MINUTE - 1, 2.0, 3.0, 1.0, 2.0, 1.0, 1), *at(5)]
    bars, missing = made(rows, "5m", start=NOON, until=NOON + 10 * MINUTE)

    assert [bar[0] for bar in bars] == [NOON, NOON + 5 * MINUTE]
    assert bars[0][1:] == rows[0][1:]
    assert missing == []


class Finer:
    """A series of which all is known up to a time."""

    room = 1_000

    def __init__(self, timeframe: str, rows: Sequence[Row], gaps: Sequence[Gap], now: int) -> None:
        self.calendar: Calendar = expected(timeframe)
        self._rows = [row for row in rows if row[0] <= now]
        self._gaps = list(gaps)
        self._clock = Clock(now, now)

    async def newest(self, count: int) -> Known:
        return await self.between(self._rows[-count:][0][0], None)

    async def between(self, start: int, end: int | None) -> Known:
        upto = self._clock.exchange + 1 if end is None else end
        newest = self._rows[-1][0] if self._rows else 0
        rows = [row for row in self._rows if start <= row[0] < upto]
        is_open = bool(rows) and not self._clock.has_reached(self.calendar.end(newest))
        columns = Columns.from_rows(rows)
        return Known(start, upto, columns, self._gaps, self._clock, newest, is_open=is_open)

    async def before(self, moment: int) -> int | None:
        raise NotImplementedError

    async def after(self, moment: int, end: int) -> int:
        raise NotImplementedError

    async def why(self, gap: Span) -> list[Gap]:
        raise NotImplementedError


def series(
    to: str, rows: Sequence[Row], *gaps: Gap, now: int, of: str = "1m", strict: bool = False
) -> Known:
    """Ask a resampled series for all candles from noon on."""
    longer = ResampledSeries(Finer(of, rows, gaps, now), expected(to), NOT_FETCHED, strict=strict)
    return asyncio.run(longer.between(NOON, None))


def found_in(known: Known, timeframe: str) -> tuple[list[int], bool, list[Gap]]:
    return (
        [(time - NOON) // MINUTE for time in known.columns.time],
        known.is_open,
        known.gaps(expected(timeframe), NOON, known.end),
    )


def test_an_open_candle_is_returned_and_not_missing() -> None:
    known = series("5m", at(0, 6), now=NOON + 7 * MINUTE)
    assert found_in(known, "5m") == ([0, 5], True, [])

    known = series("5m", at(0), now=NOON + 7 * MINUTE)
    assert found_in(known, "5m") == ([0], False, [])

    known = series("5m", at(0), now=NOON + 4 * MINUTE)
    assert found_in(known, "5m") == ([0], True, [])

    known = series("5m", at(0), now=NOON + 10 * MINUTE)
    assert found_in(known, "5m") == ([0], False, [Gap(NOON + 5 * MINUTE, NOON + 10 * MINUTE, None)])


def test_an_open_candle_is_missing_if_a_part_was_not_fetched() -> None:
    gap = Gap(NOON + 5 * MINUTE, NOON + 6 * MINUTE, "not_fetched")
    known = series("5m", at(0, 6), gap, now=NOON + 7 * MINUTE)
    assert found_in(known, "5m") == ([0], False, [])

    known = series("5m", at(0, 6, 11), gap, now=NOON + 12 * MINUTE)
    left = Gap(NOON + 5 * MINUTE, NOON + 10 * MINUTE, "not_fetched")
    assert found_in(known, "5m") == ([0, 10], True, [left])


def test_candles_that_open_off_the_calendar_require_the_next_source() -> None:
    korean = [(NOON + 3 * HOUR + day * DAY, 1.0, 1.0, 1.0, 1.0, 1.0, 1) for day in range(14)]
    with pytest.raises(ElsewhereError):
        series("1w", korean, now=NOON + 20 * DAY, of="1d", strict=True)
    days = learned("1d", [row[0] for row in korean], expected("1d"))
    assert not can_make(days, expected("1w"))
