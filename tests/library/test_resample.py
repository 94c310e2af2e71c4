"""Resampled candles: their sources and their values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside.candles import (
    OPENINGS,
    Gap,
    Opening,
    can_make,
    expected,
    known,
    nominal_length,
    source_for,
    sources,
)

from .markets import ms
from .resampled import DAY, HOUR, MINUTE, NOON, at, made


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
def test_timeframes_that_can_be_resampled(finer: str, coarser: str) -> None:
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
def test_timeframes_that_cannot_be_resampled(finer: str, coarser: str) -> None:
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
def test_the_longest_possible_source_is_chosen(
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
def test_a_source_must_open_with_the_longer_candles(
    exchange: str, wanted: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPENINGS, "chicago", Opening(zone="America/Chicago"))
    offered = ["1m", "1h", "4h", "1d", "1w", "1M"]
    fitting = sources(wanted, offered, lambda name: known(exchange, name))

    assert fitting[0] == source
    assert fitting == sorted(fitting, key=nominal_length, reverse=True)


LENGTHS = st.builds("{}{}".format, st.integers(1, 200), st.sampled_from("smhdwMy"))


@given(LENGTHS, LENGTHS)
def test_resampled_candles_are_made_of_sources_that_open_with_each_of_them(
    finer: str, coarser: str
) -> None:
    short, long = expected(finer), expected(coarser)
    opened = [long.ceil(0)]
    while len(opened) < 40:
        opened.append(long.next(opened[-1]))
    open_together = all(map(short.is_expected, opened))
    assert can_make(short, long) == (open_together and nominal_length(coarser) <= 10 * 366 * DAY)


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


def test_the_same_timeframe_changes_nothing() -> None:
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
def test_opening_times_of_long_candles(timeframe: str, opened: str) -> None:
    day = ms("2024-05-01")
    begin = ms("2019-06-01")
    days = [(time, 1.0, 1.0, 1.0, 1.0, 1.0, 1) for time in range(begin, day + DAY, DAY)]
    bars, _ = made(days, timeframe, start=begin, until=day + DAY)

    assert bars[-1][0] == ms(opened)
    assert bars[-1][6] == (day - ms(opened)) // DAY + 1
    assert ms(opened) == expected(timeframe).floor(NOON)
    assert sum(bar[6] for bar in bars) == (day + DAY - bars[0][0]) // DAY
