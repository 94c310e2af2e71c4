"""Calendars and local time: shifted days, daylight saving time, weeks, months, learning."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata._candles.calendar import Calendar, expected, known, learned, sources
from marketdata._exchanges.openings import OPENINGS, Opening

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

HTX = Opening(hours=16)
CHICAGO = Opening(zone="America/Chicago")
BERLIN = Opening(zone="Europe/Berlin")
LONDON = Opening(zone="Europe/London")
SYDNEY = Opening(zone="Australia/Sydney")
NEW_YORK = Opening(hours=17, zone="America/New_York")
THURSDAY = Opening(weekday=3)
SUNDAY = Opening(weekday=6)
UTC_DAYS = Opening()


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def texts(times: object) -> list[str]:
    assert isinstance(times, list | range)
    return [f"{datetime.fromtimestamp(time / 1000, UTC):%Y-%m-%dT%H:%M}" for time in times]


def shown(timeframe: str, opening: Opening, start: str, end: str) -> list[str]:
    return texts(expected(timeframe, opening).openings(ms(start), ms(end)))


# ------------------------------------------------------------------------- known exchanges


def test_htx_opens_its_days_at_midnight_in_hong_kong() -> None:
    days = known("htx", "1d")

    assert texts(days.openings(ms("2024-02-28"), ms("2024-03-02"))) == [
        "2024-02-28T16:00",
        "2024-02-29T16:00",
        "2024-03-01T16:00",
    ]
    assert texts([days.floor(ms("2024-05-01T15:59")), days.floor(ms("2024-05-01T16:00"))]) == [
        "2024-04-30T16:00",
        "2024-05-01T16:00",
    ]
    assert shown("1w", HTX, "2024-04-22", "2024-05-06") == ["2024-04-28T16:00", "2024-05-05T16:00"]
    assert shown("1M", HTX, "2024-01-02", "2024-05-01") == [
        "2024-01-31T16:00",
        "2024-02-29T16:00",
        "2024-03-31T16:00",
        "2024-04-30T16:00",
    ]
    assert shown("1y", HTX, "2022-01-01", "2024-01-01") == ["2022-12-31T16:00", "2023-12-31T16:00"]
    assert shown("4h", HTX, "2024-05-01", "2024-05-01T09:00") == [
        "2024-05-01T00:00",
        "2024-05-01T04:00",
        "2024-05-01T08:00",
    ]


def test_days_of_htx_are_not_a_source_of_utc_days() -> None:
    offered = ["1m", "1h", "4h", "1d", "1w", "1M"]
    assert sources("2d", offered, lambda name: known("htx", name)) == ["4h", "1h", "1m"]


@pytest.mark.parametrize(
    ("change", "before", "after", "hours"),
    [
        ("2024-03-10", "2024-03-10T06:00", "2024-03-11T05:00", 23),
        ("2024-11-03", "2024-11-03T05:00", "2024-11-04T06:00", 25),
    ],
)
def test_days_in_chicago_across_a_clock_change(
    change: str, before: str, after: str, hours: int
) -> None:
    days = expected("1d", CHICAGO)
    last, first = ms(before), ms(after)

    assert days.floor(ms(f"{change}T12:00")) == days.floor(first - 1) == last
    assert days.next(last) == days.end(last) == days.ceil(last + 1) == first
    assert days.previous(first) == last
    assert first - last == hours * HOUR
    assert days.count(last, first) == 1
    assert days.shift(last, 1) == first
    assert days.shift(first, -1) == last
    assert days.shift(days.shift(last, -400), 400) == last
    assert days.gaps([last - DAY, first + DAY], last - DAY, first + DAY + 1) == [
        (last, first + DAY)
    ]


@pytest.mark.parametrize(("opening", "weekday"), [(THURSDAY, 3), (SUNDAY, 6), (UTC_DAYS, 0)])
def test_weeks_open_on_their_weekday(opening: Opening, weekday: int) -> None:
    weeks = expected("1w", opening).openings(ms("2023-12-20"), ms("2024-03-10"))

    assert {datetime.fromtimestamp(time / 1000, UTC).weekday() for time in weeks} == {weekday}
    assert {following - this for this, following in pairwise(weeks)} == {7 * DAY}
    assert {time % DAY for time in weeks} == {0}


@pytest.mark.parametrize("hours", [0, 6, 7, 11, 12, 13, 17])
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Pacific/Auckland"])
def test_weeks_and_months_keep_their_day_across_daylight_saving_time(hours: int, zone: str) -> None:
    opening = Opening(hours=hours, zone=zone)
    weeks = expected("1w", opening).openings(ms("2023-01-01"), ms("2024-12-01"))
    local = {datetime.fromtimestamp(time / 1000, ZoneInfo(zone)).weekday() for time in weeks}
    assert local == {6 if hours >= 12 else 0}
    assert {following - this for this, following in pairwise(weeks)} <= {
        7 * DAY + moved for moved in (-HOUR, 0, HOUR)
    }
    months = expected("1M", opening).openings(ms("2023-01-10"), ms("2024-11-20"))
    assert len(months) == 22


@pytest.mark.parametrize("exchange", ["kraken", "kucoin", "hyperliquid"])
def test_exchanges_that_count_weeks_from_1970_open_them_on_thursday(exchange: str) -> None:
    weeks = known(exchange, "1w")
    assert weeks.is_expected(0)
    assert weeks.floor(ms("2024-05-01T12:00")) == ms("2024-04-25")


def test_the_default_calendar_is_utc() -> None:
    assert "nowhere" not in OPENINGS
    for timeframe in ("1m", "4h", "1d", "3d", "1w", "1M", "1y"):
        assert known("nowhere", timeframe) == expected(timeframe)


def test_several_weeks_count_from_1970() -> None:
    assert shown("2w", UTC_DAYS, "1970-01-01", "1970-02-03") == [
        "1970-01-05T00:00",
        "1970-01-19T00:00",
        "1970-02-02T00:00",
    ]


def test_candles_off_the_calendar_end_one_timeframe_later() -> None:
    hours, months = expected("1h"), expected("1M")
    odd = ms("2018-02-09T09:28:14") + 789
    assert hours.end(odd) == odd + HOUR
    assert months.end(ms("2024-02-03")) == ms("2024-03-03")


# ------------------------------------------------------------------------- against the wall


def wall(timeframe: str, opening: Opening, first: date, last: date) -> Iterator[int]:
    """Look at one day after the other, and give those on which a candle opens."""
    count, unit = int(timeframe[:-1]), timeframe[-1]
    zone = ZoneInfo(opening.zone or "UTC")
    day = first
    while day < last:
        since = (day - date(1970, 1, 1)).days
        week = (day - date(1970, 1, 5 + opening.weekday)).days
        month = (day.year - 1970) * 12 + day.month - 1
        opens = {
            "d": since % count == 0,
            "w": week % (7 * count) == 0,
            "M": day.day == 1 and month % count == 0,
            "y": day.day == 1 and month % (12 * count) == 0,
        }
        if opens[unit]:
            # Days that open in the afternoon or the evening are those of the date that follows.
            begun = day - timedelta(days=1 if opening.hours >= 12 else 0)
            local = datetime(begun.year, begun.month, begun.day, opening.hours, tzinfo=zone)
            yield round(local.timestamp() * 1000)
        day += timedelta(days=1)


def minutes_of(timeframe: str) -> Iterator[int]:
    """Look at one minute after the other of three days."""
    count = int(timeframe[:-1]) * {"m": 1, "h": 60}[timeframe[-1]]
    moment, epoch = datetime(2024, 2, 28, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)
    while moment < datetime(2024, 3, 2, tzinfo=UTC):
        if (moment - epoch) // timedelta(minutes=1) % count == 0:
            yield round(moment.timestamp() * 1000)
        moment += timedelta(minutes=1)


@cache
def truth(timeframe: str, opening: Opening) -> list[int]:
    if timeframe[-1] in "mh":
        return list(minutes_of(timeframe))
    years = 40 if timeframe[-1] == "y" else 4
    return list(wall(timeframe, opening, date(2021, 1, 1), date(2021 + years, 1, 1)))


SHORT = ["1m", "7m", "45m", "1h", "4h", "11h"]
LONG = ["1d", "2d", "3d", "10d", "1w", "2w", "3w", "1M", "3M", "5M", "1y", "3y"]
ZONED = ["1d", "2d", "3d", "1w", "1M", "3M"]
SERIES = [
    *((name, UTC_DAYS) for name in SHORT),
    *((name, opening) for name in LONG for opening in (UTC_DAYS, HTX, THURSDAY, SUNDAY)),
    *((name, opening) for name in ZONED for opening in (CHICAGO, BERLIN, SYDNEY, NEW_YORK)),
]


@settings(deadline=None)
@given(st.sampled_from(SERIES), st.data())
def test_calendars_follow_the_local_clock(series: tuple[str, Opening], data: st.DataObject) -> None:
    timeframe, opening = series
    opened = truth(timeframe, opening)
    calendar = expected(timeframe, opening)
    moments = st.integers(opened[1], opened[-2]) | st.sampled_from(opened[1:-1])
    nearby = st.sampled_from([-1, 0, 0, 1])
    moment, other = (data.draw(moments) + data.draw(nearby) for _ in range(2))
    start, end = min(moment, other), max(moment, other)
    at, behind = bisect_right(opened, moment), bisect_left(opened, moment)

    assert calendar.floor(moment) == opened[at - 1]
    assert calendar.next(moment) == opened[at]
    assert calendar.ceil(moment) == opened[behind]
    assert calendar.previous(moment) == opened[behind - 1]
    assert calendar.is_expected(moment) == (moment in opened)
    assert calendar.end(opened[at - 1]) == opened[at]
    inside = opened[bisect_left(opened, start) : bisect_left(opened, end)]
    assert list(calendar.openings(start, end)) == inside
    assert calendar.count(start, end) == len(inside)
    assert calendar.count(end, start) == 0
    steps = data.draw(st.integers(1 - at, len(opened) - at))
    assert calendar.shift(moment, steps) == opened[at - 1 + steps]


@settings(deadline=None)
@given(st.sampled_from(SERIES), st.data())
def test_each_place_has_a_candle_or_is_in_one_gap(
    series: tuple[str, Opening], data: st.DataObject
) -> None:
    timeframe, opening = series
    opened = truth(timeframe, opening)
    first = data.draw(st.integers(0, len(opened) - 2))
    near = opened[first : first + 30]
    places = st.sampled_from(near)
    off = st.integers(near[0], near[-1])
    times = sorted(data.draw(st.sets(places | off, max_size=25)))
    start, end = sorted([data.draw(off), data.draw(off)])
    calendar = expected(timeframe, opening)

    # Every place is looked at by itself.
    occupied = {opened[bisect_right(opened, time) - 1] for time in times}
    lacking = [place for place in near if start <= place < end and place not in occupied]
    gaps = calendar.gaps(times, start, end)
    assert [place for gap in gaps for place in near if gap[0] <= place < gap[1]] == lacking
    assert all(gap[0] < gap[1] for gap in gaps)
    assert all(this[1] < following[0] for this, following in pairwise(gaps))
    assert all(edge in opened for gap in gaps for edge in gap)
    assert calendar.unexpected(times) == [time for time in times if time not in opened]


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 9_000), st.data())
def test_candles_at_irregular_distances_are_found_anywhere(count: int, data: st.DataObject) -> None:
    first = ms("2024-01-01")
    times = list(range(first, first + count * 60_000, 60_000))
    calendar, end = expected("1m"), first + count * 60_000
    assert calendar.unexpected(times) == []
    assert calendar.gaps(times, first, end) == []

    # Also such that first, last and number are what they were, at the edges of parts, too.
    edges = st.sampled_from([at for at in (4_095, 4_096, 8_192) if at < count - 1] or [0])
    moved = sorted(data.draw(st.sets(st.integers(0, count - 1) | edges, min_size=1, max_size=4)))
    for place in moved:
        times[place] += 30_000
    assert calendar.unexpected(times) == [times[place] for place in moved]
    assert calendar.gaps(times, first, end) == []
    lacking = data.draw(st.integers(0, count - 1))
    del times[lacking]
    gap = (first + lacking * 60_000, first + (lacking + 1) * 60_000)
    assert calendar.gaps(times, first, end) == [gap]


# ------------------------------------------------------------------------- learning


def every(step: int, start: str, end: str) -> list[int]:
    return list(range(ms(start), ms(end), step))


def accounts_for(calendar: Calendar, times: list[int]) -> bool:
    """Return whether the candles stand on a calendar, one in each place."""
    return (
        not calendar.unexpected(times)
        and not calendar.gaps(times, times[0], calendar.next(times[-1]))
        and calendar.count(times[0], calendar.next(times[-1])) == len(times)
    )


def test_candles_on_the_known_calendar_do_not_change_it() -> None:
    days = known("nowhere", "1d")
    times = every(DAY, "2024-01-01", "2024-02-01")
    assert learned("1d", times, days) is days
    assert learned("1d", times[3:9] + times[20:], days) is days
    assert learned("1d", [], days) is days


@pytest.mark.parametrize(
    ("timeframe", "step", "start"),
    [
        ("1d", DAY, "2024-01-01T16:00"),
        ("1d", DAY, "2024-01-01T05:30"),
        ("1w", 7 * DAY, "2024-01-04T00:00"),
        ("1w", 7 * DAY, "2024-01-07T16:00"),
        ("3d", 3 * DAY, "2024-01-02T00:00"),
        ("12h", 12 * HOUR, "2024-01-01T04:00"),
        ("4h", 4 * HOUR, "2024-01-01T01:00"),
        ("1h", HOUR, "2024-01-01T00:30"),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_a_shift_of_all_candles_shifts_the_calendar(
    timeframe: str, step: int, start: str, count: int
) -> None:
    times = [ms(start) + number * step for number in range(count)]
    calendar = learned(timeframe, times, known("nowhere", timeframe))

    assert accounts_for(calendar, times)
    assert calendar.next(times[-1]) == times[-1] + step
    assert calendar.previous(times[0]) == times[0] - step
    if count == 40:
        # What is missing of a shifted series is missing.
        part = [time for number, time in enumerate(times) if number not in (10, 11, 12, 20)]
        calendar = learned(timeframe, part, known("nowhere", timeframe))
        assert calendar.unexpected(part) == []
        assert calendar.gaps(part, part[0], part[-1]) == [
            (times[10], times[13]),
            (times[20], times[21]),
        ]


def test_months_are_shifted_like_their_candles() -> None:
    months = [ms(f"2023-{month:02}-{last}T16:00") for month, last in ((1, 31), (2, 28), (3, 31))]
    calendar = learned("1M", months, known("nowhere", "1M"))

    assert accounts_for(calendar, months)
    assert texts(calendar.openings(ms("2023-12-01"), ms("2024-04-01"))) == [
        "2023-12-31T16:00",
        "2024-01-31T16:00",
        "2024-02-29T16:00",
        "2024-03-31T16:00",
    ]


def test_quarters_can_begin_in_any_month() -> None:
    february = [ms("2023-02-01"), ms("2023-05-01"), ms("2023-08-01")]
    calendar = learned("3M", february, known("nowhere", "3M"))

    assert accounts_for(calendar, february)
    assert calendar.next(ms("2024-01-15")) == ms("2024-02-01")
    assert calendar.previous(ms("2023-02-01")) == ms("2022-11-01")


def test_candles_that_agree_overrule_a_known_calendar() -> None:
    times = every(DAY, "2024-01-01", "2024-02-01")
    calendar = learned("1d", times, known("htx", "1d"))
    assert accounts_for(calendar, times)
    assert calendar.is_expected(ms("2025-01-01"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2024-01-01T00:00", "2024-01-31T16:00"),
        ("2024-01-01T16:00", "2024-02-01T00:00"),
        ("2024-01-01T00:00", "2024-02-01T05:00"),
        ("2024-01-01T08:00", "2024-02-01T07:00"),
    ],
)
def test_the_calendar_can_change_over_time(before: str, after: str) -> None:
    times = every(DAY, before, after) + every(DAY, after, "2024-03-01")
    calendar = learned("1d", times, known("nowhere", "1d"))

    assert accounts_for(calendar, times)
    assert calendar.next(times[-1]) == times[-1] + DAY
    assert calendar.previous(times[0]) == times[0] - DAY


def test_a_missing_day_at_a_change_of_the_calendar_is_a_gap() -> None:
    times = every(DAY, "2024-01-01", "2024-01-31") + every(DAY, "2024-02-01T04:00", "2024-03-01")
    calendar = learned("1d", times, known("nowhere", "1d"))

    assert calendar.unexpected(times) == []
    assert calendar.gaps(times, times[0], times[-1]) == [(ms("2024-01-31"), ms("2024-02-01T04:00"))]


@pytest.mark.parametrize("opening", [CHICAGO, BERLIN, SYDNEY, NEW_YORK, LONDON])
def test_days_can_reveal_daylight_saving_time(opening: Opening) -> None:
    times = truth("1d", opening)
    assert accounts_for(learned("1d", times, known("nowhere", "1d")), times)
    calendar = expected("1d", opening)
    assert learned("1d", times, calendar) is calendar
    # One day behind the change is enough, or before it.
    changes = [at for at in range(1, len(times)) if times[at] - times[at - 1] != DAY]
    for at in changes:
        for part in (times[at - 20 : at + 1], times[at - 1 : at + 20]):
            assert accounts_for(learned("1d", part, known("nowhere", "1d")), part)


@pytest.mark.parametrize(("timeframe", "step"), [("1d", DAY), ("1w", 7 * DAY), ("1h", HOUR)])
@pytest.mark.parametrize("exchange", ["binance", "nowhere"])
@pytest.mark.parametrize("late", [1, 7 * MINUTE + 789, 30 * MINUTE])
def test_a_single_odd_candle_is_off_the_calendar(
    timeframe: str, step: int, exchange: str, late: int
) -> None:
    start = ms("2024-01-01")
    times = [start + number * step for number in range(60)]
    usual = known(exchange, timeframe)
    for odd in (0, 20, 59):
        moved = [time + late * (number == odd) for number, time in enumerate(times)]
        calendar = learned(timeframe, moved, usual)
        assert calendar.unexpected(moved) == [times[odd] + late]
        # It occupies the place in which it opens.
        assert calendar.gaps(moved, times[0], times[-1] + step) == []
    added = sorted([*times, times[30] + late])
    assert learned(timeframe, added, usual).unexpected(added) == [times[30] + late]


def test_the_hours_of_binance_in_february_2018() -> None:
    # github.com/binance/binance-public-data, issue 77.
    halted, resumed, regular = 1_518_048_000_000, 1_518_168_494_789, 1_518_321_600_000
    odd = list(range(resumed, regular, HOUR))
    times = [
        *every(HOUR, "2018-02-01", "2018-02-08T00:00"),
        halted,
        *odd,
        *every(HOUR, "2018-02-11T04:00", "2018-02-15"),
    ]
    assert len(odd) == 43
    assert odd[-1] == 1_518_319_694_789

    for exchange in ("binance", "nowhere"):
        usual = known(exchange, "1h")
        calendar = learned("1h", times, usual)
        assert calendar is usual
        assert calendar.unexpected(times) == odd
        gap = (ms("2018-02-08T01:00"), ms("2018-02-09T09:00"))
        assert calendar.gaps(times, times[0], times[-1] + HOUR) == [gap]
        assert calendar.count(*gap) == 32
    # Where the calendar of an exchange is known, also hours that are all odd are off it.
    usual = known("binance", "1h")
    assert learned("1h", odd, usual) is usual


@settings(deadline=None)
@given(st.sampled_from(SERIES), st.data())
def test_the_learned_calendar_covers_every_candle_once(
    series: tuple[str, Opening], data: st.DataObject
) -> None:
    timeframe, opening = series
    opened = truth(timeframe, opening)
    first = data.draw(st.integers(0, len(opened) - 2))
    near = opened[first : first + 40]
    odd = st.integers(near[0], near[-1])
    times = sorted(data.draw(st.sets(st.sampled_from(near) | odd, min_size=1, max_size=40)))
    calendar = learned(timeframe, times, known("nowhere", timeframe))
    end = calendar.next(times[-1])

    places = calendar.openings(calendar.floor(times[0]), end)
    assert list(places) == sorted(set(places))
    assert all(calendar.is_expected(place) for place in places)
    assert all(calendar.next(this) == following for this, following in pairwise(places))
    assert calendar.count(places[0], end) == len(places)
    occupied = {calendar.floor(time) for time in times}
    assert occupied <= set(places)
    gaps = calendar.gaps(times, places[0], end)
    assert [place for gap in gaps for place in places if gap[0] <= place < gap[1]] == [
        place for place in places if place not in occupied
    ]
    assert calendar.unexpected(times) == [time for time in times if time not in set(places)]
