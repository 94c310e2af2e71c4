"""Clocks that differ, and time that passes while candles are requested."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from .session import damage
from .setting import MINUTES, MORNING, Set, ms, opens
from .world import DAY, HOUR, MINUTE, PAIR, SECOND, Candle, Exchange


def test_a_date_behind_the_newest_candle_repeats_nothing(set_up: Set, tmp_path: Path) -> None:
    setting = set_up(replace(MINUTES, date=-SECOND))
    start = setting.exchange.now - 4 * MINUTE

    first = setting.ask("1m", start=start)
    setting.advance(130 * SECOND)
    later = setting.ask("1m", start=start)

    assert opens(first) == ["2025-06-15T14:56", "2025-06-15T14:57"] + [
        f"2025-06-15T{at}" for at in ("14:58", "14:59", "15:00")
    ]
    assert opens(later) == setting.there("1m", start)
    assert (later.missing, later.to_pandas().index.is_unique) == ((), True)
    # Whether 15:02 has been traded in yet, the world says.
    two = {at[:-2] + f"{int(at[-2:]) // 2 * 2:02}" for at in setting.there("1m", start)}
    assert opens(setting.each("2m", start=start)) == sorted(two)
    setting.client.history.export(tmp_path / "all.csv", PAIR, "1m")
    with (tmp_path / "all.csv").open() as lines:
        times = [row[0] for row in csv.reader(lines)][1:]
    assert times == sorted(set(times))
    assert damage(setting.client.history.verify()) == []
    assert setting.client.history.list()[0].missing == 0


class Disputing(Exchange):
    """An exchange whose first and last candle of each answer have another volume each time."""

    def page(self, pair: str, timeframe: str, start: int | None, limit: int) -> list[Candle]:
        found, chance = super().page(pair, timeframe, start, limit), Random()
        for at in (0, -1) if found and pair == PAIR else ():
            found[at] = found[at]._replace(volume=1 + chance.randrange(80) / 8)
        return found


def test_contradicting_pages_give_a_candle_or_an_explained_gap(set_up: Set) -> None:
    setting = set_up(Disputing(replace(MINUTES, units=9_500, now=MORNING + 9_000 * MINUTE)))

    for store in (False, True, True):
        answer = setting.ask("1m", start=MORNING, end=setting.exchange.now, store=store)

        told: dict[int, set[float]] = {}
        for sent in setting.wire.sent:
            for one in sent.candles if sent.pair == PAIR else ():
                told.setdefault(one.time, set()).add(one.volume)
        for time, volume in zip(answer.columns.time, answer.columns.volume, strict=True):
            assert volume in told[time]
        assert {one.cause for one in answer.missing} <= {"not_fetched"}
        missing = [
            time
            for one in answer.missing
            for time in range(ms(one.start.isoformat()[:19]), ms(one.end.isoformat()[:19]), MINUTE)
        ]
        expected = range(MORNING, setting.exchange.now, MINUTE)
        assert sorted([*answer.columns.time, *missing]) == list(expected)
    assert damage(setting.client.history.verify()) == []


@pytest.mark.parametrize("left", [1, 2_500, 7_500])
def test_a_minute_that_ends_during_the_requests(set_up: Set, left: int) -> None:
    """``left`` is the rest of the minute; a second passes with each request."""
    now = MORNING + 19_000 * MINUTE - left
    setting = set_up(replace(MINUTES, units=19_100, now=now, tick=SECOND))

    answer = setting.ask("1m", start=MORNING)

    there = setting.there("1m", MORNING)
    assert opens(answer) in (there, there[:-1])
    assert answer.missing == ()
    # It may be the answer of any moment of the call, also of the last, when nothing was traded yet
    # in the new minute.
    assert answer.forming or answer.columns.time[-1] + MINUTE <= setting.exchange.now


def test_an_end_in_the_future_makes_no_gap(set_up: Set) -> None:
    setting = set_up(replace(MINUTES, now=MINUTES.now + 20 * SECOND))

    answer = setting.each("1m", start=MINUTES.now - HOUR, end=MINUTES.now + HOUR)

    assert opens(answer) == setting.there("1m", MINUTES.now - HOUR)
    assert (len(answer), answer.missing, answer.forming) == (61, (), True)


@pytest.mark.parametrize("years", [10, -10])
def test_our_clock_is_years_wrong(set_up: Set, years: int) -> None:
    world = replace(MINUTES, now=MINUTES.now + 20 * SECOND, quiet=0.5, ours=years * 365 * DAY)
    setting, start = set_up(world), MINUTES.now - 12 * MINUTE
    before, there = setting.there("1m", 0, start), setting.there("1m", start)

    assert opens(setting.each("1m", start=start)) == there
    assert opens(setting.each("1m", start=start, limit=5)) == there[:5]
    assert opens(setting.each("1m", end=start, limit=5)) == before[-5:]
    assert setting.client.history.list()[0].end.timestamp() * 1000 <= MINUTES.now


@pytest.mark.parametrize("form", ["binance", "htx"])
@pytest.mark.parametrize("wrong", ["ours", "date"])
@pytest.mark.parametrize("timeframe", ["5m", "10m"])
def test_years_that_only_one_clock_has_reached_take_few_requests(
    set_up: Set, form: str, wrong: str, timeframe: str
) -> None:
    ours, date = (10 * 365 * DAY if wrong == one else 0 for one in ("ours", "date"))
    setting = set_up(replace(MINUTES, form=form, quiet=0.9, ours=ours, date=date))
    later = MINUTES.now + 9 * 365 * DAY
    start = MINUTES.now - HOUR
    questions: list[dict[str, Any]] = [
        {"start": start},
        {"start": start, "limit": 100},
        {"end": later, "limit": 3},
        {"start": start, "end": later},
        {"start": start, "end": later, "limit": 100},
    ]

    for question in questions:
        setting.wire.sent.clear()
        answer = setting.ask(timeframe, store=False, **question)

        assert len(setting.wire.sent) <= 40, question
        assert len(answer) > 0
        assert all(gap.end.timestamp() * 1000 <= MINUTES.now for gap in answer.missing)


@pytest.mark.parametrize("left", [1, 30 * SECOND])
def test_the_stored_range_ends_before_an_open_candle(set_up: Set, left: int) -> None:
    setting = set_up(replace(MINUTES, now=MINUTES.now - left))
    opened = MINUTES.now - MINUTE

    first = setting.ask("1m", start=opened - 5 * MINUTE)
    [series] = setting.client.history.list()
    setting.advance(2 * MINUTE)
    later = setting.ask("1m", start=opened - 5 * MINUTE)

    assert (first.forming, first.columns.time[-1]) == (True, opened)
    assert series.end.timestamp() * 1000 == opened
    there = [one for one in setting.exchange.candles(PAIR, "1m") if one.time >= opened - 5 * MINUTE]
    assert list(later.columns.volume) == [one.volume for one in there]


def test_stored_candles_do_not_hide_later_ones_than_our_clock(set_up: Set) -> None:
    world = replace(MINUTES, listed=800, ours=-DAY)
    setting = set_up(world)
    start, listed = MINUTES.now - DAY, setting.there("1m", 0)
    setting.ask("1m", start=start, end=start + HOUR)

    answer = setting.each("1m", start=start, limit=5)

    assert opens(answer) == listed[:5]
    assert [one.cause for one in answer.missing] == ["not_served"]
    end = MORNING + 790 * MINUTE
    [gap] = setting.each("1m", start=start, end=end, limit=5).missing
    assert (gap.cause, gap.end.timestamp() * 1000) == ("not_served", end)


@pytest.mark.parametrize("ours", [-2 * DAY, 2 * DAY])
@pytest.mark.parametrize("timeframe", ["1m", "2m"])
def test_a_stored_candle_is_closed_whatever_the_clocks_say(
    set_up: Set, ours: int, timeframe: str
) -> None:
    setting = set_up(replace(MINUTES, ours=ours))
    end = MINUTES.now - 10 * MINUTE
    setting.ask(timeframe, start=end - 4 * MINUTE, end=end)

    # The candles before those are requested now, and no newer one.
    answer = setting.ask(timeframe, start=end - 8 * MINUTE, end=end)

    assert len(answer) == 8 // int(timeframe[0])
    assert (answer.forming, answer.clock_offset_ms) == (False, None)
