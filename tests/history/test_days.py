"""The report of each day of a stored series, compared with a look at each of its places."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inside.candles import Gap, Stretch
from inside.store import SeriesName, Store

from marketdata._candles import inventory
from marketdata.models.columns import Columns
from marketdata.models.stored import Day

HOUR, DAYS = timedelta(hours=1), 4
START = datetime(2024, 3, 1, tzinfo=UTC)
HOURS = SeriesName("binance", "BTC/USDT", "1h")

Place: TypeAlias = "str | None"
"""``candle``, the cause of a gap, or None for a place that was never requested."""


def at(hour: int) -> int:
    return round((START + timedelta(hours=hour)).timestamp() * 1000)


def stretches(places: list[Place]) -> list[Stretch]:
    """Make the stored stretches of places, one for each run of requested ones."""
    found = []
    for asked, run in groupby(enumerate(places), key=lambda one: one[1] is not None):
        if not asked:
            continue
        hours = list(run)
        rows = [
            (at(hour), 1.0, 2.0, 0.5, 1.5, 3.0, 4) for hour, place in hours if place == "candle"
        ]
        gaps = [
            Gap(at(hour), at(hour + 1), place)
            for hour, place in hours
            if place in ("no_trades", "outage")
        ]
        found.append(Stretch(at(hours[0][0]), at(hours[-1][0] + 1), Columns.from_rows(rows), gaps))
    return found


def expected(places: list[Place], now: int) -> list[tuple[object, ...]]:
    """Describe each day from its places: its state, its candles, and its gaps."""
    asked = [hour for hour, place in enumerate(places) if place is not None]
    told = []
    for day in range(asked[0] // 24, asked[-1] // 24 + 1):
        # Of a place that is not over yet nobody expects anything, unless something is stored.
        hours = [
            hour
            for hour in range(24 * day, 24 * day + 24)
            if at(hour + 1) <= now or asked[0] <= hour <= asked[-1]
        ]
        missing = {
            hour: places[hour] or "not_fetched" for hour in hours if places[hour] != "candle"
        }
        state = "gaps" if missing else "complete"
        if at(24 * day + 24) > now:
            state = "not_over"
        elif "not_fetched" in missing.values():
            state = "not_fetched"
        bars = sum(places[hour] == "candle" for hour in hours)
        told.append((START.date() + timedelta(days=day), state, bars, missing))
    return told


def said(day: Day) -> tuple[object, ...]:
    missing = {
        hour: gap.cause
        for gap in day.missing
        for hour in range((gap.start - START) // HOUR, (gap.end - START) // HOUR)
    }
    assert sum(gap.bars for gap in day.missing) == len(missing)
    return day.day, day.state, day.bars, missing


runs = st.tuples(
    st.sampled_from(["candle", "candle", "no_trades", "outage", None]), st.integers(1, 30)
)


@settings(max_examples=40, deadline=None)
@given(st.lists(runs, min_size=1, max_size=10), st.integers(0, 24 * DAYS * 60))
def test_the_state_of_a_day_follows_from_its_places(
    runs: list[tuple[Place, int]], minute: int
) -> None:
    places = [place for place, count in runs for _ in range(count)]
    places = (places + [None] * 24 * DAYS)[: 24 * DAYS]
    if not any(places):
        places[0] = "candle"
    last = max(hour for hour, place in enumerate(places) if place is not None)
    # What is stored is over.
    now = max(at(0) + minute * 60_000, at(last + 1))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(inventory, "our_now", lambda: now)
        store = Store(folder)
        store.table(HOURS).add(stretches(places))
        found = inventory.days(store, HOURS)

    assert [said(one) for one in found] == expected(places, now)
