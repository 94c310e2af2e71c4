"""Starts before the listing, limits across halts, ends inside resampled candles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from .setting import HALTED, MINUTES, MORNING, Set, Told, candle, ms, opens, text
from .world import DAY, HOUR, MINUTE, PAIR, World, length

LISTED = World(ms("2017-08-17"), 6 * HOUR, 2_000, ms("2018-12-01T12:00"), form="binance", flat=True)


@pytest.mark.parametrize(
    ("timeframe", "first_place", "first", "second"),
    [
        ("1d", "2015-01-01", "2017-08-17", "2017-08-18"),
        ("1w", "2015-01-05", "2017-08-14", "2017-08-21"),
        ("1M", "2015-01-01", "2017-08-01", "2017-09-01"),
        ("2d", "2015-01-01", "2017-08-16", "2017-08-18"),
        ("2w", "2015-01-05", "2017-08-14", "2017-08-28"),
        ("3M", "2015-01-01", "2017-07-01", "2017-10-01"),
    ],
)
def test_a_start_before_the_listing_gives_one_gap_and_then_the_first_candles(
    set_up: Set, timeframe: str, first_place: str, first: str, second: str
) -> None:
    setting = set_up(LISTED)

    answer = setting.each(timeframe, start="2015-01-01", limit=2)

    assert opens(answer) == [first, second]
    [gap] = answer.missing
    assert (text(round(gap.start.timestamp() * 1000)), gap.cause) == (first_place, "not_served")
    assert text(round(gap.end.timestamp() * 1000)) == first
    filled = setting.ask(timeframe, start="2015-01-01", limit=2, fill="zero")
    assert (opens(filled), filled.filled) == ([first, second], ())
    range_ = setting.each(timeframe, start="2015-01-01", end="2018-01-01")
    assert opens(range_)[:2] == [first, second]
    assert range_.missing == answer.missing


@pytest.mark.parametrize("timeframe", ["30m", "45m", "4h", "3h", "1d", "2d"])
def test_limit_counts_candles_of_a_pair_halted_30_days_ago(set_up: Set, timeframe: str) -> None:
    setting = set_up(HALTED)

    newest = setting.ask(timeframe, limit=10)
    before = setting.ask(timeframe, end="2024-03-27", limit=10)

    assert len(newest) == len(before) == 10
    assert opens(newest) == opens(before)
    assert newest.columns.time[-1] < ms("2024-03-01") <= newest.columns.time[-1] + 2 * DAY
    assert not newest.forming
    assert newest.missing == () or timeframe in ("30m", "45m")
    assert [one.cause for one in before.missing][-1:] == ["no_trades"]
    assert before.missing[-1].end.timestamp() * 1000 <= ms("2024-03-27") + length(timeframe)


@pytest.mark.parametrize("timeframe", ["30m", "45m", "4h", "3h", "1d", "2d"])
def test_limit_counts_candles_of_a_pair_that_was_not_listed_yet(
    set_up: Set, timeframe: str
) -> None:
    setting = set_up(HALTED)

    answer = setting.each(timeframe, start="2023-06-01", limit=10)

    assert len(answer) == 10
    assert answer.missing[0].cause == "not_served"
    assert answer.missing[0].end.timestamp() * 1000 == answer.columns.time[0]
    [traded, *_] = setting.exchange.trading(PAIR)
    assert 0 <= traded.time - answer.columns.time[0] < length(timeframe)


@pytest.mark.parametrize(
    ("timeframe", "question", "opened"),
    [
        ("45m", {"end": "2025-06-15T12:20", "limit": 3}, "2025-06-15T12:00"),
        ("45m", {"start": "2025-06-15T12:00", "end": "2025-06-15T12:20"}, "2025-06-15T12:00"),
        ("3h", {"end": "2025-06-15T13:00", "limit": 2}, "2025-06-15T12:00"),
        ("3h", {"start": "2025-06-15T12:00", "end": "2025-06-15T13:00"}, "2025-06-15T12:00"),
    ],
)
def test_a_candle_that_contains_the_end_is_complete(
    set_up: Set, timeframe: str, question: dict[str, Any], opened: str
) -> None:
    setting = set_up(replace(MINUTES, now=MORNING + 1_000 * MINUTE))
    span = range(ms(opened), ms(opened) + length(timeframe), MINUTE)
    parts = [one for one in setting.exchange.candles(PAIR, "1m") if one.time in span]

    last = setting.each(timeframe, **question)[-1]

    assert text(round(last.open_time.timestamp() * 1000)) == opened
    assert (last.open, last.close) == (parts[0].open, parts[-1].close)
    assert last.volume == sum(one.volume for one in parts)
    assert not last.forming


@pytest.mark.parametrize("after", [0, 999, 1_000])
def test_a_just_opened_resampled_candle_is_returned(set_up: Set, after: int) -> None:
    setting = set_up(replace(MINUTES, now=ms("2025-06-15T12:00") + after, seed=3))
    newest = setting.exchange.candles(PAIR, "15m")[-1]
    assert text(newest.time) == "2025-06-15T12:00"

    for answer in (setting.ask("45m", limit=1), setting.ask("45m", start="2025-06-15T12:00")):
        [one] = answer
        assert (text(answer.columns.time[0]), one.forming) == ("2025-06-15T12:00", True)
        assert one.volume == newest.volume


def test_the_oldest_of_the_newest_hundred_has_all_its_parts(set_up: Set) -> None:
    setting = set_up(replace(MINUTES, units=6_000, now=MORNING + 5_555 * MINUTE))

    answer = setting.ask("45m")

    first = answer.columns.time[0]
    minutes = setting.exchange.candles(PAIR, "1m")
    parts = [one for one in minutes if 0 <= one.time - first < 45 * MINUTE]
    assert len(answer) == 100
    assert answer.columns.volume[0] == sum(one.volume for one in parts)


@pytest.mark.parametrize("question", [{}, {"end": MINUTES.now - 7 * MINUTE}])
@pytest.mark.parametrize("how", ["zero", "previous"])
def test_the_default_is_a_hundred_candles_also_with_fill(
    set_up: Set, how: Any, question: dict[str, Any]
) -> None:
    setting = set_up(replace(MINUTES, quiet=0.5))

    answer = setting.each("1m", fill=how, **question)

    times = list(answer.columns.time)
    assert times == list(range(times[0], times[0] + 100 * MINUTE, MINUTE))
    assert answer.missing == ()
    assert all(one.start.timestamp() * 1000 >= times[0] for one in answer.filled or ())


@pytest.mark.parametrize(("timeframe", "limit"), [("1w", 2_600), ("2M", 400), ("1y", 60)])
def test_a_limit_that_reaches_before_1970_is_one_gap_up_to_the_listing(
    set_up: Set, timeframe: str, limit: int
) -> None:
    answer = set_up(LISTED).each(timeframe, limit=limit)

    [gap] = answer.missing
    assert (gap.bars, gap.cause) == (limit - len(answer), "not_served")
    assert gap.start.year < 1970
    assert gap.end.timestamp() * 1000 == answer.columns.time[0]


@pytest.mark.parametrize("question", [{"limit": 3}, {"start": MORNING}])
def test_a_place_whose_candle_opens_after_the_end_is_no_gap(
    set_up: Set, question: dict[str, Any]
) -> None:
    """The second candle opens one second before the end of its place, after the requested end."""
    times = [MORNING, *(MORNING + at * 4 * HOUR for at in range(2, 9))]
    odd = MORNING + 8 * HOUR - 1_000
    candles = [candle(at) for at in sorted([*times, odd])]
    setting = set_up(Told("4h", candles, MORNING + 33 * HOUR))

    answer = setting.each("4h", end=MORNING + 5 * HOUR, fill="zero", **question)

    assert (opens(answer), answer.filled) == ([text(MORNING)], ())
    assert [one.cause for one in answer.missing] in ([], ["not_served"])
