"""Longer bars made of shorter ones, and which bars can be made of which."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marketdata._history.resample import divides, resample, source_for

import marketdata as md
from marketdata._history import timeframes
from marketdata.models import Columns

from .markets import ms, when

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOON = ms("2024-05-01T12:00")
WORST_FIRST = ["not_fetched", "not_served", None, "outage", "no_trades"]

Row = tuple[Any, ...]


def hole(start: int, end: int, cause: Any, step: int = MINUTE) -> md.Interval:
    return md.Interval(start=when(start), end=when(end), bars=(end - start) // step, cause=cause)


def listed(holes: Sequence[md.Interval]) -> list[tuple[int, int, int, Any]]:
    return [(ms(one.start), ms(one.end), one.bars, one.cause) for one in holes]


def at(*minutes: int, volume: float | None = 1.0, trades: int | None = 2) -> list[Row]:
    """Bars that open so many minutes behind noon, each at a price of its own."""
    return [
        (NOON + one * MINUTE, 10.0 + one, 10.5 + one, 9.0 + one, 10.25 + one, volume, trades)
        for one in minutes
    ]


def made(rows: Sequence[Row], to: str, *holes: md.Interval, start: int, until: int, of: str = "1m"):
    columns, missing = resample(Columns.from_rows(rows), of, to, holes, start=start, until=until)
    return columns.rows(), listed(missing)


# ------------------------------------------------------------------------- which of which


@pytest.mark.parametrize(
    ("finer", "coarser"),
    [
        ("1s", "1m"),
        ("1m", "45m"),
        ("15m", "45m"),
        ("1m", "1m"),
        ("60m", "1h"),
        ("1h", "24h"),
        ("24h", "1d"),
        ("12h", "3d"),
        ("1d", "10d"),
        ("8h", "1w"),
        ("1d", "2w"),
        ("45m", "1M"),
        ("1d", "3M"),
        ("4h", "1y"),
    ],
)
def test_bars_that_divide_others(finer: str, coarser: str) -> None:
    assert divides(finer, coarser)


@pytest.mark.parametrize(
    ("finer", "coarser"),
    [
        ("1h", "1m"),
        ("1m", "7m"),
        ("7m", "7m"),
        ("7m", "1d"),
        ("2m", "45m"),
        ("1h", "36h"),
        ("5h", "1d"),
        ("45m", "1h"),
        ("7m", "1M"),
        # Exchanges open bars of several days where they like.
        ("2d", "4d"),
        ("7d", "1w"),
        ("1w", "2w"),
        ("1w", "1w"),
        ("1M", "1y"),
        # Names that some exchanges have.
        ("15", "30m"),
        ("1m", "1Y"),
        ("", "1d"),
        ("0m", "1d"),
    ],
)
def test_bars_that_do_not_divide_others(finer: str, coarser: str) -> None:
    assert not divides(finer, coarser)


@pytest.mark.parametrize(
    ("wanted", "offered", "source"),
    [
        ("45m", ["1m", "5m", "15m", "30m", "1h"], "15m"),
        ("1y", ["1m", "1d", "1w", "1M"], "1d"),
        ("2w", ["4h", "1w", "3d"], "4h"),
        ("7m", ["1m"], None),
        ("30s", ["1m", "1h"], None),
        ("1h", ["15", "30", "1Y", "10m"], "10m"),
        ("1h", [], None),
    ],
)
def test_the_longest_that_will_do_is_chosen(
    wanted: str, offered: list[str], source: str | None
) -> None:
    assert source_for(wanted, offered) == source


LENGTHS = st.builds("{}{}".format, st.integers(1, 200), st.sampled_from("smhdwMy"))


@given(LENGTHS, LENGTHS)
def test_every_bar_that_divides_another_opens_and_ends_with_it(finer: str, coarser: str) -> None:
    if not divides(finer, coarser):
        return
    step = timeframes.length(finer)
    for start in (NOON, ms("2023-02-27T03:00:01"), ms("2020-12-31T23:59:59.999")):
        opened = timeframes.first_open(start, coarser, None)
        assert opened >= start
        assert opened % step == timeframes.following(opened, coarser) % step == 0


# ------------------------------------------------------------------------- single bars


def test_a_bar_opens_with_the_first_and_closes_with_the_last() -> None:
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


def test_no_bars_make_no_bars() -> None:
    assert made([], "1h", start=NOON, until=NOON) == ([], [])
    assert made(at(0), "1h", start=NOON + 1, until=NOON + HOUR) == ([], [])


def test_bars_stay_as_they_are_where_both_lengths_are_one() -> None:
    rows = at(0, 1, 3)
    gap = hole(NOON + 2 * MINUTE, NOON + 3 * MINUTE, "no_trades")

    assert made(rows, "1m", gap, start=NOON, until=NOON + 4 * MINUTE) == (rows, listed([gap]))


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
def test_where_long_bars_open(timeframe: str, opened: str) -> None:
    day = ms("2024-05-01")
    begin = ms("2019-06-01")
    days = [(time, 1.0, 1.0, 1.0, 1.0, 1.0, 1) for time in range(begin, day + DAY, DAY)]
    bars, _ = made(days, timeframe, start=begin, until=day + DAY, of="1d")

    assert bars[-1][0] == ms(opened)
    assert bars[-1][6] == (day - ms(opened)) // DAY + 1
    assert ms(opened) == timeframes.opening(NOON, timeframe)
    assert sum(bar[6] for bar in bars) == (day + DAY - bars[0][0]) // DAY


@given(LENGTHS, st.integers(0, ms("2100-01-01")))
def test_a_grid_is_the_same_from_wherever_it_is_looked_at(timeframe: str, moment: int) -> None:
    opened = timeframes.opening(moment, timeframe)
    end = timeframes.following(opened, timeframe)

    assert opened <= moment < end
    assert timeframes.first_open(moment, timeframe, None) == (opened if opened == moment else end)
    assert timeframes.first_open(moment, timeframe, opened) in (opened, end)
    assert timeframes.first_open(opened, timeframe, timeframes.following(end, timeframe)) == opened
    assert list(timeframes.openings(opened, end + 1, timeframe)) == [opened, end]


def test_months_stand_on_the_grid_of_a_known_one() -> None:
    quarters = ms("2023-04-01")
    assert timeframes.first_open(ms("2023-02-15"), "3M", quarters) == quarters
    assert timeframes.first_open(ms("2022-12-31"), "3M", quarters) == ms("2023-01-01")
    assert timeframes.first_open(ms("2000-01-15"), "1M", quarters) == ms("2000-02-01")
    # Months that begin at midnight in Hong Kong.
    known = ms("2023-03-31T16:00")
    assert timeframes.first_open(ms("2023-02-15"), "1M", known) == ms("2023-02-28T16:00")
    assert timeframes.first_open(ms("2024-02-15"), "1M", known) == ms("2024-02-29T16:00")


# ------------------------------------------------------------------------- what is missing


def test_a_bar_needs_one_part_only_where_nothing_else_was_traded() -> None:
    gaps = [
        hole(NOON, NOON + 4 * MINUTE, "no_trades"),
        hole(NOON + 5 * MINUTE, NOON + 9 * MINUTE, "outage"),
    ]
    bars, missing = made(at(4, 9), "5m", *gaps, start=NOON, until=NOON + 10 * MINUTE)

    assert [bar[0] for bar in bars] == [NOON, NOON + 5 * MINUTE]
    assert bars[0] == (NOON, *at(4)[0][1:])
    assert missing == []


@pytest.mark.parametrize("cause", ["not_served", "not_fetched"])
@pytest.mark.parametrize("minute", [0, 2, 4])
def test_a_bar_of_which_a_part_is_unknown_is_missing(cause: str, minute: int) -> None:
    gap = hole(NOON + minute * MINUTE, NOON + (minute + 1) * MINUTE, cause)
    there = [one for one in range(10) if one != minute]
    bars, missing = made(at(*there), "5m", gap, start=NOON, until=NOON + 10 * MINUTE)

    assert [bar[0] for bar in bars] == [NOON + 5 * MINUTE]
    assert missing == [(NOON, NOON + 5 * MINUTE, 1, cause)]


@pytest.mark.parametrize("first", WORST_FIRST)
@pytest.mark.parametrize("second", WORST_FIRST)
def test_the_worst_cause_is_that_of_the_bar(first: Any, second: Any) -> None:
    gaps = [
        hole(NOON, NOON + 2 * MINUTE, first),
        hole(NOON + 2 * MINUTE, NOON + 5 * MINUTE, second),
    ]
    worst = min(first, second, key=WORST_FIRST.index)
    _, missing = made([], "5m", *gaps, start=NOON, until=NOON + 5 * MINUTE)

    assert missing == [(NOON, NOON + 5 * MINUTE, 1, worst)]


def test_holes_that_touch_are_one_for_each_cause() -> None:
    gaps = [
        hole(NOON, NOON + 20 * MINUTE, "not_served"),
        hole(NOON + 20 * MINUTE, NOON + 35 * MINUTE, "no_trades"),
        hole(NOON + 36 * MINUTE, NOON + 47 * MINUTE, "no_trades"),
    ]
    rows = at(35, 47, 48, 49)
    bars, missing = made(rows, "5m", *gaps, start=NOON, until=NOON + 50 * MINUTE)

    assert [(bar[0] - NOON) // MINUTE for bar in bars] == [35, 45]
    assert [((one[0] - NOON) // MINUTE, *one[2:]) for one in missing] == [
        (0, 4, "not_served"),
        (20, 3, "no_trades"),
        (40, 1, "no_trades"),
    ]


def test_a_hole_that_nobody_told_of_is_a_hole() -> None:
    _, missing = made(at(0), "5m", start=NOON, until=NOON + 12 * MINUTE)
    assert missing == [(NOON + 5 * MINUTE, NOON + 10 * MINUTE, 1, None)]

    part = hole(NOON + 5 * MINUTE, NOON + 9 * MINUTE, "no_trades")
    _, missing = made(at(0), "5m", part, start=NOON, until=NOON + 12 * MINUTE)
    assert missing == [(NOON + 5 * MINUTE, NOON + 10 * MINUTE, 1, None)]


def test_months_without_a_day_are_counted() -> None:
    begin, end = ms("2024-01-01"), ms("2024-04-01")
    _, missing = made(
        [], "1M", hole(begin, end, "not_served", DAY), start=begin - 1, until=end, of="1d"
    )
    assert missing == [(begin, end, 3, "not_served")]


def test_what_is_not_over_is_given_and_not_missing() -> None:
    bars, missing = made(at(0, 6), "5m", start=NOON, until=NOON + 7 * MINUTE)
    assert [bar[0] for bar in bars] == [NOON, NOON + 5 * MINUTE]
    assert missing == []

    bars, missing = made(at(0), "5m", start=NOON, until=NOON + 7 * MINUTE)
    assert [bar[0] for bar in bars] == [NOON]
    assert missing == []


def test_a_bar_that_is_not_over_is_missing_where_a_part_was_not_fetched() -> None:
    gap = hole(NOON + 5 * MINUTE, NOON + 6 * MINUTE, "not_fetched")
    bars, missing = made(at(0, 6), "5m", gap, start=NOON, until=NOON + 7 * MINUTE)

    assert [bar[0] for bar in bars] == [NOON]
    assert missing == [(NOON + 5 * MINUTE, NOON + 10 * MINUTE, 1, "not_fetched")]


def test_bars_that_open_before_the_start_are_left_out() -> None:
    rows = at(*range(3, 15))
    bars, missing = made(rows, "5m", start=NOON + 3 * MINUTE, until=NOON + 15 * MINUTE)
    assert [bar[0] for bar in bars] == [NOON + 5 * MINUTE, NOON + 10 * MINUTE]
    assert missing == []


def test_bars_and_holes_behind_the_end_are_left_out() -> None:
    gap = hole(NOON + 5 * MINUTE, NOON + 50 * MINUTE, "not_fetched")
    bars, missing = made(at(0, 50), "5m", gap, start=NOON, until=NOON + 10 * MINUTE)

    assert [bar[0] for bar in bars] == [NOON]
    assert missing == [(NOON + 5 * MINUTE, NOON + 10 * MINUTE, 1, "not_fetched")]


def test_bars_on_another_grid_cannot_be_used() -> None:
    korean = [(NOON + 3 * HOUR, 1.0, 1.0, 1.0, 1.0, 1.0, 1)]
    with pytest.raises(md.DataUnavailableError, match="midnight UTC"):
        made(korean, "1w", start=NOON, until=NOON + DAY, of="1d")


def test_bars_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="7m bars cannot be made of 1m bars"):
        made(at(0), "7m", start=NOON, until=NOON + HOUR)


# ------------------------------------------------------------------------- any bars


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Row], list[md.Interval], int, int]:
    """Minutes around midnight, each with a bar or a cause, in runs of any length."""
    begin = ms("2024-02-29T22:00")
    kinds = st.tuples(st.integers(1, 40), st.sampled_from(["bar", "bar", *WORST_FIRST]))
    volumes = st.none() | st.integers(0, 999).map(lambda lots: lots / 1024)
    prices = st.tuples(*[st.integers(1, 50)] * 4).map(sorted)
    shapes = st.lists(st.tuples(prices, volumes, st.none() | st.integers(0, 9)), min_size=1)
    repeated = cycle(draw(shapes))
    rows: list[Row] = []
    holes: list[md.Interval] = []
    time = begin
    for length, kind in draw(st.lists(kinds, max_size=12)):
        end = time + length * MINUTE
        if kind == "bar":
            for opened in range(time, end, MINUTE):
                (low, opening, close, high), volume, count = next(repeated)
                rows.append((opened, opening, high, low, close, volume, count))
        else:
            holes.append(hole(time, end, kind))
        time = end
    start = begin + draw(st.integers(-90, 90)) * MINUTE
    return rows, holes, start, time


def naive(
    rows: list[Row], holes: list[md.Interval], start: int, until: int, step: int
) -> tuple[list[Row], list[tuple[int, Any]]]:
    """Every bar of the grid looked at by itself: the bars, and each missing one with its cause."""
    bars: list[Row] = []
    missing: list[tuple[int, Any]] = []
    told = {time for one in holes for time in range(ms(one.start), ms(one.end), MINUTE)}
    for opened in range(start + -start % step, until, step):
        inside = [row for row in rows if opened <= row[0] < opened + step]
        causes = [
            one.cause for one in holes if ms(one.start) < opened + step and ms(one.end) > opened
        ]
        if not told.issuperset(range(opened, opened + step, MINUTE)):
            causes.append(None)
        worst = min(causes, key=WORST_FIRST.index)
        if worst in ("not_fetched", "not_served") or (not inside and opened + step <= until):
            missing.append((opened, worst))
        elif inside:
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


def each(missing: Sequence[tuple[int, int, int, Any]], step: int) -> list[tuple[int, Any]]:
    return [(opened, one[3]) for one in missing for opened in range(one[0], one[1], step)]


@given(histories(), st.sampled_from([("5m", 5), ("15m", 15), ("45m", 45), ("1h", 60)]))
def test_any_bars_are_those_made_one_by_one(history: Any, to: tuple[str, int]) -> None:
    rows, holes, start, until = history
    timeframe, minutes = to
    bars, missing = made(rows, timeframe, *holes, start=start, until=until)
    expected, gone = naive(rows, holes, start, until, minutes * MINUTE)

    assert bars == expected
    assert each(missing, minutes * MINUTE) == gone
    assert all(one[2] * minutes * MINUTE == one[1] - one[0] for one in missing)
    assert not any(
        first[1] == second[0] and first[3] == second[3] for first, second in pairwise(missing)
    )


@given(histories())
def test_two_steps_give_what_one_does(history: Any) -> None:
    rows, holes, start, until = history
    fine = Columns.from_rows(rows)
    for middle, to in (("5m", "1h"), ("15m", "45m"), ("1h", "1d"), ("45m", "1M")):
        begin = timeframes.first_open(start, to, None)
        once = resample(fine, "1m", to, holes, start=begin, until=until)
        columns, missing = resample(fine, "1m", middle, holes, start=begin, until=until)
        twice = resample(columns, middle, to, missing, start=begin, until=until)
        assert twice == once


@given(histories())
def test_nothing_is_won_or_lost(history: Any) -> None:
    rows, holes, start, until = history
    bars, missing = made(rows, "15m", *holes, start=start, until=until)
    first = timeframes.first_open(start, "15m", None)
    used = [
        row
        for row in rows
        if row[0] >= first and not any(one[0] <= row[0] < one[1] for one in missing)
    ]
    if all(row[5] is not None for row in used):
        assert sum(Fraction(bar[5]) for bar in bars) == sum(Fraction(row[5]) for row in used)
    if all(row[6] is not None for row in used):
        assert sum(bar[6] for bar in bars) == sum(row[6] for row in used)
    for opened, _, high, low, _, _, _ in bars:
        inside = [row for row in used if opened <= row[0] < opened + 15 * MINUTE]
        assert all(low <= row[3] <= row[2] <= high for row in inside)
        assert {high, low} <= {row[2] for row in inside} | {row[3] for row in inside}


# ------------------------------------------------------------------------- real bars


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest) -> Path:
    folder = request.config.getoption("--recorded")
    if not folder:
        pytest.skip("needs the folder of recorded data: --recorded DIR or MARKETDATA_RECORDED")
    return Path(folder) / "candles"


def read(path: Path) -> list[Row]:
    with gzip.open(path, "rt") as file:
        return [(int(row[0]), *map(float, row[1:]), None) for row in list(csv.reader(file))[1:]]


OUTAGE = hole(ms("2023-03-24T12:40"), ms("2023-03-24T14:00"), "outage")


@pytest.mark.parametrize(
    ("timeframe", "step", "down"),
    [("5m", 5 * MINUTE, ("2023-03-24T12:40", 16)), ("1h", HOUR, ("2023-03-24T13:00", 1))],
)
def test_real_minutes_make_the_exchanges_own_bars(
    recorded: Path, timeframe: str, step: int, down: tuple[str, int]
) -> None:
    minutes = read(recorded / "binance_BTC_USDT-1m.csv.gz")
    own = read(recorded / f"binance_BTC_USDT-{timeframe}.csv.gz")
    until = minutes[-1][0] + MINUTE
    bars, missing = made(minutes, timeframe, OUTAGE, start=minutes[0][0], until=until)

    assert missing == [(ms(down[0]), ms("2023-03-24T14:00"), down[1], "outage")]
    # The recordings begin and end at different times; the last bar of the minutes is not whole.
    first, last = own[0][0], min(own[-1][0], bars[-2][0])
    assert bars[-1][0] + step > until
    compared = [bar for bar in bars if first <= bar[0] <= last]
    assert [bar[:5] for bar in compared] == [row[:5] for row in own]
    assert all(
        math.isclose(bar[5], row[5], rel_tol=1e-9) for bar, row in zip(compared, own, strict=True)
    )


def test_the_bar_in_which_the_outage_began_is_what_had_been_traded(recorded: Path) -> None:
    minutes = read(recorded / "binance_BTC_USDT-1m.csv.gz")
    begin = ms("2023-03-24T12:00")
    inside = [row for row in minutes if begin <= row[0] < begin + HOUR]
    bars, missing = made(inside, "1h", OUTAGE, start=begin, until=begin + 2 * HOUR)

    assert len(inside) == 40
    assert bars[0][4] == inside[-1][4]
    assert datetime.fromtimestamp(inside[-1][0] / 1000, UTC).minute == 39
    assert missing == [(begin + HOUR, begin + 2 * HOUR, 1, "outage")]
