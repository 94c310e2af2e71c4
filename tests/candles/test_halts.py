"""Halts and outages, and the causes of gaps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from .setting import MORNING, Set, gaps, ms, opens
from .world import DAY, HOUR, World, length

RESUMED = World(
    ms("2024-01-01"),
    HOUR,
    2_900,
    ms("2024-04-20T12:00"),
    halts=((200, 2_000),),
)
"""Halted for 2,000 hours, until 2024-04-01T16:00."""


@pytest.mark.parametrize("timeframe", ["1h", "3h"])
def test_the_day_on_which_trading_resumed_after_a_halt_longer_than_a_page(
    set_up: Set, timeframe: str
) -> None:
    setting = set_up(RESUMED)
    step = length(timeframe)

    answer = setting.each(timeframe, end="2024-04-01T18:00", limit=5)

    resumed = ["2024-04-01T15:00"] if step > HOUR else ["2024-04-01T16:00", "2024-04-01T17:00"]
    behind = [ms(opened) for opened in resumed]
    last = ms("2024-01-09T07:00") // step * step
    before = [last - back * step for back in range(4 - len(behind), -1, -1)]
    assert list(answer.columns.time) == [*before, *behind]
    [gap] = answer.missing
    assert gap.cause == "no_trades"
    assert gap.start.timestamp() * 1000 == last + step
    assert gap.end.timestamp() * 1000 == behind[0]


@pytest.mark.parametrize("timeframe", ["3d", "1w"])
@pytest.mark.parametrize(("kind", "cause"), [("halts", "no_trades"), ("outages", "outage")])
def test_a_halt_of_months_has_a_cause_in_long_candles(
    set_up: Set, timeframe: str, kind: str, cause: str
) -> None:
    world = World(ms("2024-01-01"), 6 * HOUR, 1_500, ms("2024-12-01"), **{kind: ((200, 500),)})
    setting = set_up(world)
    start, end = ms("2024-02-20"), ms("2024-06-24")

    answer = setting.each(timeframe, start="2024-01-01", end="2024-11-01")

    [gap] = answer.missing
    assert gap.cause == cause
    assert start - length(timeframe) <= gap.start.timestamp() * 1000 <= start + length(timeframe)
    assert end - length(timeframe) <= gap.end.timestamp() * 1000 <= end + length(timeframe)
    filled = setting.ask(timeframe, start="2024-01-01", end="2024-11-01", fill="previous")
    assert filled.missing == ()
    assert len(filled) == len(answer) + gap.bars


def test_the_cause_of_a_gap_does_not_depend_on_the_arguments(set_up: Set) -> None:
    """A gap longer than a page, and an outage that has not ended."""
    world = replace(RESUMED, outages=((2_600, 1_000),), now=ms("2024-01-01") + 2_650 * HOUR)
    setting = set_up(world)

    questions: list[dict[str, Any]] = [
        {"start": "2024-01-01"},
        {"start": "2024-01-01", "end": world.now},
        {"start": "2024-02-01"},
        {"start": "2024-04-15", "end": world.now},
        {"end": world.now, "limit": 10},
        {"end": world.now, "limit": 500},
    ]
    for question in questions:
        answer = setting.each("1h", **question)
        ends = {one.end.isoformat()[:16]: one.cause for one in answer.missing}
        assert ends.pop("2024-04-20T10:00") == "outage"
        assert ends in ({}, {"2024-04-01T16:00": "no_trades"})
    assert gaps(setting.ask("1h", limit=10)) == []


def test_an_end_inside_the_last_week_includes_that_week(set_up: Set) -> None:
    """The pair was halted before the week in which the end lies."""
    world = World(ms("2024-01-01"), 6 * HOUR, 1_500, ms("2024-06-01"), halts=((300, 400),))
    setting = set_up(world)

    for question in ({"start": "2024-01-01"}, {"limit": 5}, {}):
        answer = setting.each("1w", end="2024-03-28", **question)
        last = answer.missing[-1]
        assert (last.start.isoformat()[:10], last.cause) == ("2024-03-18", "no_trades")
        assert last.end.isoformat()[:10] == "2024-04-01"


def test_filled_candles_count_for_the_limit(set_up: Set) -> None:
    setting = set_up(replace(RESUMED, quiet=0.5, halts=(), units=500, now=ms("2024-01-15")))
    end = ms("2024-01-12T10:30")

    answer = setting.ask("1h", end=end, limit=10, fill="previous")

    assert list(answer.columns.time) == [ms("2024-01-12T01:00") + at * HOUR for at in range(10)]
    assert answer.missing == ()
    first = setting.ask("1h", start="2024-01-03", limit=10, fill="zero")
    assert list(first.columns.time) == [ms("2024-01-03") + at * HOUR for at in range(10)]


@pytest.mark.parametrize(
    ("hours", "named"),
    [
        (4, [("14:00", "00:00", 2, "no_trades")]),
        (5, [("14:00", "19:00", 1, "outage"), ("19:00", "00:00", 1, "no_trades")]),
    ],
)
def test_a_resampled_place_is_an_outage_only_if_all_of_it_is(
    set_up: Set, hours: int, named: list[tuple[str, str, int, str]]
) -> None:
    """The pair is halted from 12:00 to 24:00, and for some hours of it nothing is traded."""
    outage, halt = (14, hours), (12, 12)
    world = World(MORNING, HOUR, 100, MORNING + 72 * HOUR, halts=(halt,), outages=(outage,))

    answer = set_up(world).each("5h", start=MORNING, end=MORNING + 48 * HOUR)

    assert [(start[-5:], end[-5:], *rest) for start, end, *rest in gaps(answer)] == named


@pytest.mark.parametrize("timeframe", ["1d", "2d"])
def test_a_pair_halted_years_ago_has_its_last_candles(set_up: Set, timeframe: str) -> None:
    begin, now = ms("2017-08-17"), ms("2025-01-01")
    setting = set_up(World(begin, DAY, 2_800, now, form="binance", ended=300))

    answer = setting.ask(timeframe, end=now, limit=3)

    assert len(answer) == 3
    assert opens(answer) == opens(setting.ask(timeframe, start=begin))[-3:]
    assert [gap.cause for gap in answer.missing] == ["no_trades"]
