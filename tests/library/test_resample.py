"""Longer candles made of shorter ones, and which can be made of which."""

from __future__ import annotations

import asyncio
import csv
import gzip
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata._candles.assembly import Clock
from marketdata._candles.calendar import (
    Calendar,
    can_make,
    expected,
    known,
    learned,
    nominal_length,
    source_for,
    sources,
)
from marketdata._candles.resampling import resample
from marketdata._candles.series import ElsewhereError, Known, ResampledSeries
from marketdata._candles.spans import Gap, Span
from marketdata.models import Columns

from .markets import ms

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOON = ms("2024-05-01T12:00")
WORST_FIRST = ["not_fetched", "not_served", None, "no_trades", "outage"]
NOT_FETCHED: frozenset[Any] = frozenset({"not_fetched"})
UNKNOWN: frozenset[Any] = frozenset({"not_fetched", "not_served"})
"""Where candles from before the oldest that are served were traded, too."""

Row = tuple[Any, ...]


def at(*minutes: int, volume: float | None = 1.0, trades: int | None = 2) -> list[Row]:
    """Candles that open so many minutes after noon, each at a price of its own."""
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


# ------------------------------------------------------------------------- which of which


@pytest.mark.parametrize(
    ("finer", "coarser"),
    [
        ("1s", "1m"),
        ("1m", "7m"),
        ("1m", "45m"),
        ("15m", "45m"),
        ("1m", "1m"),
        ("7m", "7m"),
        ("60m", "1h"),
        ("1h", "24h"),
        ("1h", "36h"),
        ("6h", "36h"),
        ("24h", "1d"),
        ("12h", "3d"),
        ("1d", "10d"),
        ("2d", "4d"),
        ("8h", "1w"),
        ("1w", "1w"),
        ("1d", "2w"),
        ("1w", "2w"),
        ("45m", "1M"),
        ("1d", "3M"),
        ("1M", "3M"),
        ("4h", "1y"),
        ("1M", "1y"),
        ("3M", "1y"),
        ("1y", "10y"),
    ],
)
def test_candles_of_which_longer_ones_can_be_made(finer: str, coarser: str) -> None:
    assert can_make(expected(finer), expected(coarser))


@pytest.mark.parametrize(
    ("finer", "coarser"),
    [
        ("1h", "1m"),
        ("7m", "1d"),
        ("2m", "45m"),
        ("36h", "1d"),
        ("36h", "1M"),
        ("5h", "1d"),
        ("45m", "1h"),
        ("7m", "1M"),
        # Days are counted from a Thursday, weeks from a Monday.
        ("7d", "1w"),
        ("2d", "1w"),
        ("2w", "1w"),
        ("1w", "1M"),
        ("2d", "1M"),
        ("3M", "1M"),
        ("5M", "1y"),
        # Ten years are the longest.
        ("1y", "11y"),
    ],
)
def test_candles_of_which_longer_ones_cannot_be_made(finer: str, coarser: str) -> None:
    assert not can_make(expected(finer), expected(coarser))


@pytest.mark.parametrize(
    ("wanted", "offered", "source"),
    [
        ("45m", ["1m", "5m", "15m", "30m", "1h"], "15m"),
        ("7m", ["1m", "5m"], "1m"),
        ("36h", ["1h", "6h", "1d"], "6h"),
        ("1y", ["1m", "1d", "1w", "1M"], "1M"),
        ("2w", ["4h", "1w", "3d"], "1w"),
        ("2d", ["4h", "1d", "2d"], "1d"),
        ("7m", ["2m", "5m"], None),
        ("30s", ["1m", "1h"], None),
        # Names that some exchanges have.
        ("1h", ["15", "30", "1Y", "10m", "", "0m"], "10m"),
        ("1h", [], None),
    ],
)
def test_the_longest_that_will_do_is_chosen(
    wanted: str, offered: list[str], source: str | None
) -> None:
    assert source_for(wanted, offered) == source


@pytest.mark.parametrize(
    ("exchange", "wanted", "source"),
    [
        ("htx", "2d", "4h"),
        ("htx", "3M", "4h"),
        ("htx", "36h", "4h"),
        ("htx", "8h", "4h"),
        ("binance", "2d", "1d"),
        ("binance", "2w", "1w"),
        ("binance", "1y", "1M"),
        # Weeks from Thursday make no weeks from Monday.
        ("kraken", "2w", "1d"),
        ("kucoin", "2w", "1d"),
        # Days at midnight where it is summer and winter are no days of UTC.
        ("chicago", "2d", "4h"),
    ],
)
def test_a_source_opens_where_the_longer_candles_do(
    exchange: str, wanted: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from marketdata._exchanges.openings import OPENINGS, Opening

    monkeypatch.setitem(OPENINGS, "chicago", Opening(zone="America/Chicago"))
    offered = ["1m", "1h", "4h", "1d", "1w", "1M"]
    fitting = sources(wanted, offered, lambda name: known(exchange, name))

    assert fitting[0] == source
    assert fitting == sorted(fitting, key=nominal_length, reverse=True)


LENGTHS = st.builds("{}{}".format, st.integers(1, 200), st.sampled_from("smhdwMy"))


@given(LENGTHS, LENGTHS)
def test_longer_candles_are_made_of_those_that_open_with_each_of_them(
    finer: str, coarser: str
) -> None:
    short, long = expected(finer), expected(coarser)
    opened = [long.ceil(0)]
    while len(opened) < 40:
        opened.append(long.next(opened[-1]))
    open_together = all(map(short.is_expected, opened))
    assert can_make(short, long) == (open_together and nominal_length(coarser) <= 10 * 366 * DAY)


# ------------------------------------------------------------------------- single bars


def test_a_candle_opens_with_the_first_and_closes_with_the_last() -> None:
    rows, missing = made(at(0, 1, 2, 3, 4), "5m", start=NOON, until=NOON + 5 * MINUTE)

    assert rows == [(NOON, 10.0, 14.5, 9.0, 14.25, 5.0, 10)]
    assert missing == []


def test_a_sum_of_volumes_is_rounded_once() -> None:
    volumes = [0.1] * 10
    rows = [at(minute, volume=volume)[0] for minute, volume in enumerate(volumes)]
    [bar], _ = made(rows, "10m", start=NOON, until=NOON + 10 * MINUTE)

    assert bar[5] == 1.0 != sum(volumes)


def test_a_sum_of_volumes_has_the_digits_of_a_decimal() -> None:
    volumes = [0.1, 0.2, 30.67512206]
    rows = [at(minute, volume=volume)[0] for minute, volume in enumerate(volumes)]
    [bar], _ = made(rows, "3m", start=NOON, until=NOON + 3 * MINUTE)
    assert bar[5] == 30.97512206

    [large], _ = made(
        at(0, volume=1e16) + at(1, volume=10.0), "2m", start=NOON, until=NOON + 2 * MINUTE
    )
    assert large[5] == 1e16 + 10


def test_an_unknown_part_makes_the_sum_unknown() -> None:
    rows = [*at(0, 1), *at(2, volume=None), *at(3, 4, 5), *at(6, trades=None), *at(7, 8)]
    bars, _ = made(rows, "3m", start=NOON, until=NOON + 9 * MINUTE)

    assert [bar[5:] for bar in bars] == [(None, 6), (3.0, 6), (3.0, None)]


def test_no_candles_make_no_candles() -> None:
    assert made([], "1h", start=NOON, until=NOON) == ([], [])
    assert made(at(0), "1h", start=NOON + 1, until=NOON + HOUR) == ([], [])


def test_candles_stay_as_they_are_where_both_lengths_are_one() -> None:
    rows = at(0, 1, 3)
    gap = Gap(NOON + 2 * MINUTE, NOON + 3 * MINUTE, "no_trades")

    assert made(rows, "1m", gap, start=NOON, until=NOON + 4 * MINUTE) == (rows, [gap])


@pytest.mark.parametrize(
    ("timeframe", "opened"),
    [
        ("2d", "2024-05-01"),
        ("3d", "2024-04-29"),
        ("1w", "2024-04-29"),
        ("2w", "2024-04-29"),
        ("3w", "2024-04-15"),
        ("1M", "2024-05-01"),
        ("3M", "2024-04-01"),
        ("4M", "2024-05-01"),
        ("5M", "2024-03-01"),
        ("1y", "2024-01-01"),
        ("3y", "2024-01-01"),
        ("10y", "2020-01-01"),
    ],
)
def test_where_long_candles_open(timeframe: str, opened: str) -> None:
    day = ms("2024-05-01")
    begin = ms("2019-06-01")
    days = [(time, 1.0, 1.0, 1.0, 1.0, 1.0, 1) for time in range(begin, day + DAY, DAY)]
    bars, _ = made(days, timeframe, start=begin, until=day + DAY)

    assert bars[-1][0] == ms(opened)
    assert bars[-1][6] == (day - ms(opened)) // DAY + 1
    assert ms(opened) == expected(timeframe).floor(NOON)
    assert sum(bar[6] for bar in bars) == (day + DAY - bars[0][0]) // DAY


# ------------------------------------------------------------------------- what is missing


def test_a_candle_needs_one_part_only_where_nothing_else_was_traded() -> None:
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
def test_a_candle_is_missing_for_an_unknown_part(
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
def test_the_worst_cause_is_that_of_the_candle(first: Any, second: Any) -> None:
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


def test_gaps_that_touch_are_one_for_each_cause() -> None:
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


def places(gap: Gap, timeframe: str) -> int:
    return expected(timeframe).count(gap.start, gap.end)


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


def test_a_candle_that_opens_before_the_end_is_whole() -> None:
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


# ------------------------------------------------------------------------- a series


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


def test_what_is_not_over_is_given_and_not_missing() -> None:
    known = series("5m", at(0, 6), now=NOON + 7 * MINUTE)
    assert found_in(known, "5m") == ([0, 5], True, [])

    known = series("5m", at(0), now=NOON + 7 * MINUTE)
    assert found_in(known, "5m") == ([0], False, [])

    known = series("5m", at(0), now=NOON + 4 * MINUTE)
    assert found_in(known, "5m") == ([0], True, [])

    known = series("5m", at(0), now=NOON + 10 * MINUTE)
    assert found_in(known, "5m") == ([0], False, [Gap(NOON + 5 * MINUTE, NOON + 10 * MINUTE, None)])


def test_a_candle_that_is_not_over_is_missing_where_a_part_was_not_fetched() -> None:
    gap = Gap(NOON + 5 * MINUTE, NOON + 6 * MINUTE, "not_fetched")
    known = series("5m", at(0, 6), gap, now=NOON + 7 * MINUTE)
    assert found_in(known, "5m") == ([0], False, [])

    known = series("5m", at(0, 6, 11), gap, now=NOON + 12 * MINUTE)
    left = Gap(NOON + 5 * MINUTE, NOON + 10 * MINUTE, "not_fetched")
    assert found_in(known, "5m") == ([0, 10], True, [left])


def test_candles_that_open_elsewhere_send_to_the_next_source() -> None:
    korean = [(NOON + 3 * HOUR + day * DAY, 1.0, 1.0, 1.0, 1.0, 1.0, 1) for day in range(14)]
    with pytest.raises(ElsewhereError):
        series("1w", korean, now=NOON + 20 * DAY, of="1d", strict=True)
    days = learned("1d", [row[0] for row in korean], expected("1d"))
    assert not can_make(days, expected("1w"))


# ------------------------------------------------------------------------- any candles


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Row], list[Gap], int, int]:
    """Minutes around midnight, each with a candle or a cause, in runs of any length."""
    begin = ms("2024-02-29T22:00")
    kinds = st.tuples(st.integers(1, 40), st.sampled_from(["candle", "candle", *WORST_FIRST]))
    volumes = st.none() | st.integers(0, 999).map(lambda lots: lots / 1024)
    prices = st.tuples(*[st.integers(1, 50)] * 4).map(sorted)
    shapes = st.lists(st.tuples(prices, volumes, st.none() | st.integers(0, 9)), min_size=1)
    repeated = cycle(draw(shapes))
    rows: list[Row] = []
    gaps: list[Gap] = []
    time = begin
    for length, kind in draw(st.lists(kinds, max_size=12)):
        end = time + length * MINUTE
        if kind == "candle":
            for opened in range(time, end, MINUTE):
                (low, opening, close, high), volume, count = next(repeated)
                rows.append((opened, opening, high, low, close, volume, count))
        else:
            gaps.append(Gap(time, end, kind))
        time = end
    start = begin + draw(st.integers(-90, 90)) * MINUTE
    return rows, gaps, start, time


def naive(
    rows: list[Row],
    gaps: list[Gap],
    start: int,
    until: int,
    step: int,
    unknown: frozenset[Any],
) -> tuple[list[Row], list[tuple[int, Any]]]:
    """Look at every place by itself: the candles, and each missing one with its cause."""
    bars: list[Row] = []
    missing: list[tuple[int, Any]] = []
    told = {time for one in gaps for time in range(one.start, one.end, MINUTE)}
    for opened in range(start + -start % step, until, step):
        inside = [row for row in rows if opened <= row[0] < opened + step]
        causes = [one.cause for one in gaps if one.start < opened + step and one.end > opened]
        if not told.issuperset(range(opened, opened + step, MINUTE)):
            causes.append(None)
        worst = min(causes, key=WORST_FIRST.index)
        if worst in unknown or not inside:
            missing.append((opened, worst))
            continue
        volumes = [row[5] for row in inside]
        counts = [row[6] for row in inside]
        bars.append(
            (
                opened,
                inside[0][1],
                max(row[2] for row in inside),
                min(row[3] for row in inside),
                inside[-1][4],
                None if None in volumes else float(sum(map(Fraction, volumes))),
                None if None in counts else sum(counts),
            )
        )
    return bars, missing


def each(missing: Sequence[Gap], step: int) -> list[tuple[int, Any]]:
    return [(opened, one.cause) for one in missing for opened in range(one.start, one.end, step)]


LONGER = [("5m", 5), ("7m", 7), ("15m", 15), ("45m", 45), ("1h", 60)]


@given(histories(), st.sampled_from(LONGER), st.sampled_from([NOT_FETCHED, UNKNOWN]))
def test_any_candles_are_those_made_one_by_one(
    history: Any, to: tuple[str, int], unknown: frozenset[Any]
) -> None:
    rows, gaps, start, until = history
    timeframe, minutes = to
    bars, missing = made(rows, timeframe, *gaps, start=start, until=until, unknown=unknown)
    expected_bars, gone = naive(rows, gaps, start, until, minutes * MINUTE, unknown)

    assert bars == expected_bars
    assert each(missing, minutes * MINUTE) == gone
    assert all(places(one, timeframe) * minutes * MINUTE == one.end - one.start for one in missing)
    assert not any(
        first.end == second.start and first.cause == second.cause
        for first, second in pairwise(missing)
    )


@given(histories(), st.sampled_from([NOT_FETCHED, UNKNOWN]))
def test_two_steps_give_what_one_does(history: Any, unknown: frozenset[Any]) -> None:
    rows, gaps, start, until = history
    fine = Columns.from_rows(rows)
    for middle, to in (("5m", "1h"), ("15m", "45m"), ("7m", "14m"), ("1h", "1d"), ("45m", "1M")):
        wanted = expected(to)
        begin, end = wanted.ceil(start), wanted.ceil(until)
        bounds: Any = {"start": begin, "until": end, "unknown": unknown}
        once = resample(fine, wanted, gaps, **bounds)
        columns, missing = resample(fine, expected(middle), gaps, **bounds)
        assert resample(columns, wanted, missing, **bounds) == once


@given(histories(), st.sampled_from([NOT_FETCHED, UNKNOWN]))
def test_nothing_is_won_or_lost(history: Any, unknown: frozenset[Any]) -> None:
    rows, gaps, start, until = history
    bars, missing = made(rows, "15m", *gaps, start=start, until=until, unknown=unknown)
    first = expected("15m").ceil(start)
    used = [
        row
        for row in rows
        if row[0] >= first and not any(one.start <= row[0] < one.end for one in missing)
    ]
    if all(row[5] is not None for row in used):
        assert sum(Fraction(bar[5]) for bar in bars) == sum(Fraction(row[5]) for row in used)
    if all(row[6] is not None for row in used):
        assert sum(bar[6] for bar in bars) == sum(row[6] for row in used)
    for opened, _, high, low, _, _, _ in bars:
        inside = [row for row in used if opened <= row[0] < opened + 15 * MINUTE]
        assert all(low <= row[3] <= row[2] <= high for row in inside)
        assert {high, low} <= {row[2] for row in inside} | {row[3] for row in inside}


# ------------------------------------------------------------------------- real candles


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest) -> Path:
    folder = request.config.getoption("--recorded")
    if not folder:
        pytest.skip("needs the folder of recorded data: --recorded DIR or MARKETDATA_RECORDED")
    return Path(folder) / "candles"


def read(path: Path) -> list[Row]:
    with gzip.open(path, "rt") as file:
        return [(int(row[0]), *map(float, row[1:]), None) for row in list(csv.reader(file))[1:]]


OUTAGE = Gap(ms("2023-03-24T12:40"), ms("2023-03-24T14:00"), "outage")


@pytest.mark.parametrize(
    ("timeframe", "step", "down"),
    [("5m", 5 * MINUTE, ("2023-03-24T12:40", 16)), ("1h", HOUR, ("2023-03-24T13:00", 1))],
)
def test_real_minutes_make_the_exchanges_own_candles(
    recorded: Path, timeframe: str, step: int, down: tuple[str, int]
) -> None:
    minutes = read(recorded / "binance_BTC_USDT-1m.csv.gz")
    own = read(recorded / f"binance_BTC_USDT-{timeframe}.csv.gz")
    until = minutes[-1][0] + MINUTE
    bars, missing = made(minutes, timeframe, OUTAGE, start=minutes[0][0], until=until)

    assert missing == [Gap(ms(down[0]), ms("2023-03-24T14:00"), "outage")]
    assert places(missing[0], timeframe) == down[1]
    # The recordings begin and end at different times; the last candle of the minutes is not whole.
    first, last = own[0][0], min(own[-1][0], bars[-2][0])
    assert bars[-1][0] + step > until
    compared = [bar for bar in bars if first <= bar[0] <= last]
    assert [bar[:5] for bar in compared] == [row[:5] for row in own]
    assert all(
        math.isclose(bar[5], row[5], rel_tol=1e-9) for bar, row in zip(compared, own, strict=True)
    )


def test_the_candle_in_which_the_outage_began_is_what_had_been_traded(recorded: Path) -> None:
    minutes = read(recorded / "binance_BTC_USDT-1m.csv.gz")
    begin = ms("2023-03-24T12:00")
    inside = [row for row in minutes if begin <= row[0] < begin + HOUR]
    bars, missing = made(inside, "1h", OUTAGE, start=begin, until=begin + 2 * HOUR)

    assert len(inside) == 40
    assert bars[0][4] == inside[-1][4]
    assert datetime.fromtimestamp(inside[-1][0] / 1000, UTC).minute == 39
    assert missing == [Gap(begin + HOUR, begin + 2 * HOUR, "outage")]


def day_of(moment: datetime, timeframe: str) -> datetime:
    """Tell when the days or weeks open that a moment is in, by the calendar on the wall."""
    day = moment.replace(hour=0, minute=0)
    back = {"1d": 0, "2d": day.toordinal() % 2 != EPOCH.toordinal() % 2, "1w": day.weekday()}
    return day - timedelta(days=int(back[timeframe]))


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("timeframe", ["1d", "2d", "1w"])
def test_real_hours_make_days_and_weeks(recorded: Path, timeframe: str) -> None:
    hours = read(recorded / "binance_BTC_USDT-1h.csv.gz")
    start, until = hours[0][0], hours[-1][0] + HOUR
    bars, missing = made(hours, timeframe, start=start, until=until)

    inside: dict[datetime, list[Row]] = {}
    for row in hours:
        opened = day_of(datetime.fromtimestamp(row[0] / 1000, UTC), timeframe)
        inside.setdefault(opened, []).append(row)
    inside = {opened: rows for opened, rows in inside.items() if ms(opened) >= start}
    assert len(inside) > 1
    assert [bar[:5] for bar in bars] == [
        (
            ms(opened),
            rows[0][1],
            max(row[2] for row in rows),
            min(row[3] for row in rows),
            rows[-1][4],
        )
        for opened, rows in inside.items()
    ]
    for bar, rows in zip(bars, inside.values(), strict=True):
        assert math.isclose(bar[5], sum(row[5] for row in rows), rel_tol=1e-12)
    assert missing == []
