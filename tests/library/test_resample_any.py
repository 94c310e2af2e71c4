"""Resampling of generated and of real candles, compared with a brute-force model."""

from __future__ import annotations

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
from inside.candles import Gap, expected

from marketdata.models import Columns

from .markets import ms
from .resampled import HOUR, MINUTE, NOT_FETCHED, UNKNOWN, WORST_FIRST, Row, made, places, resample


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
def test_any_candles_equal_a_brute_force_model(
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
def test_two_steps_equal_one(history: Any, unknown: frozenset[Any]) -> None:
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
def test_volume_and_extremes_are_preserved(history: Any, unknown: frozenset[Any]) -> None:
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


def test_the_candle_in_which_the_outage_began_has_the_trades_before_it(recorded: Path) -> None:
    minutes = read(recorded / "binance_BTC_USDT-1m.csv.gz")
    begin = ms("2023-03-24T12:00")
    inside = [row for row in minutes if begin <= row[0] < begin + HOUR]
    bars, missing = made(inside, "1h", OUTAGE, start=begin, until=begin + 2 * HOUR)

    assert len(inside) == 40
    assert bars[0][4] == inside[-1][4]
    assert datetime.fromtimestamp(inside[-1][0] / 1000, UTC).minute == 39
    assert missing == [Gap(begin + HOUR, begin + 2 * HOUR, "outage")]


def day_of(moment: datetime, timeframe: str) -> datetime:
    """Return when the days or weeks open that a moment is in, by the calendar on the wall."""
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
