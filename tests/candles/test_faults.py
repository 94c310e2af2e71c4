"""Conditions of public bug reports, one test each, on an exchange of the model's own."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
import time_machine

import marketdata as md

from .session import damage
from .wire import Wire
from .world import DAY, HOUR, MINUTE, OTHERS, PAIR, SECOND, Candle, Days, Exchange, World, length


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def text(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).isoformat()[:16].removesuffix("T00:00")


def opens(candles: md.Candles) -> list[str]:
    return [text(time) for time in candles.columns.time]


def gaps(candles: md.Candles) -> list[tuple[str, str, int, str | None]]:
    return [
        (one.start.isoformat()[:16], one.end.isoformat()[:16], one.bars, one.cause)
        for one in candles.missing
    ]


class Setting:
    """A client of an exchange, at its time."""

    def __init__(self, stack: ExitStack, wire: Wire, home: Path, exchange: Exchange) -> None:
        self.exchange, self.wire = exchange, wire
        wire.exchange = exchange
        self._clock = stack.enter_context(time_machine.travel(self._ours / 1000, tick=False))
        self._stack, self._home = stack, home
        self.client = self.connect()

    @property
    def _ours(self) -> int:
        return self.exchange.now + self.exchange.world.ours

    def connect(self, **settings: Any) -> md.Client:
        """Make another client with the same store."""
        form, home = self.exchange.world.form, self._home / "home"
        return self._stack.enter_context(
            md.Client(form, endpoints={form: self.wire.url}, home=home, retries=0, **settings)
        )

    def ask(self, timeframe: str, **question: Any) -> md.Candles:
        return self.client.candles(PAIR, timeframe, **question)

    def each(self, timeframe: str, **question: Any) -> md.Candles:
        """Ask without the store, then twice with it, and hold the answers to be the same."""
        answers = [self.ask(timeframe, store=store, **question) for store in (False, True, True)]
        rows = [list(one.columns.rows()) for one in answers]
        assert rows[0] == rows[1] == rows[2]
        assert answers[0].missing == answers[1].missing == answers[2].missing
        assert answers[0].forming == answers[1].forming == answers[2].forming
        return answers[0]

    def advance(self, by: int) -> None:
        self.exchange.now += by
        self._clock.move_to(self._ours / 1000)

    def there(self, timeframe: str, start: str | int, end: str | int | None = None) -> list[str]:
        """Give when the candles open that the exchange has in a range."""
        low, high = (ms(at) if isinstance(at, str) else at for at in (start, end or 1 << 50))
        found = self.exchange.candles(PAIR, timeframe)
        return [text(one.time) for one in found if low <= one.time < high]


Set = Callable[[Exchange | World], Setting]


@pytest.fixture
def set_up(wire: Wire, tmp_path: Path) -> Iterator[Set]:
    with ExitStack() as stack:

        def set_up(of: Exchange | World) -> Setting:
            exchange = Exchange(of) if isinstance(of, World) else of
            return Setting(stack, wire, tmp_path, exchange)

        yield set_up


class Told(Exchange):
    """An exchange that has the candles of one timeframe that a test lists, of all pairs."""

    def __init__(self, timeframe: str, candles: list[Candle], now: int) -> None:
        super().__init__(World(begin=now, unit=HOUR, units=1, now=now))
        self._told = {timeframe: candles}

    def candles(self, pair: str, timeframe: str) -> list[Candle]:
        return [one for one in self._told.get(timeframe, []) if one.time <= self.now]


def candle(time: int, volume: float = 10.0) -> Candle:
    return Candle(time, 100.0, 101.0, 99.0, 100.5, volume, 5)


MORNING = ms("2025-06-15")
MINUTES = World(MORNING, MINUTE, 3_000, MORNING + 900 * MINUTE)


# ---------------------------------------------------------------- the exchange's clock


def test_a_date_behind_the_newest_candle_doubles_nothing(set_up: Set, tmp_path: Path) -> None:
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


def test_pages_that_disagree_give_a_candle_or_a_gap_that_says_so(set_up: Set) -> None:
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
def test_a_minute_that_ends_while_pages_are_fetched(set_up: Set, left: int) -> None:
    """``left`` is what is left of the minute, of which a second passes with each request."""
    now = MORNING + 19_000 * MINUTE - left
    setting = set_up(replace(MINUTES, units=19_100, now=now, tick=SECOND))

    answer = setting.ask("1m", start=MORNING)

    there = setting.there("1m", MORNING)
    assert opens(answer) in (there, there[:-1])
    assert answer.missing == ()
    # It may be the answer of any moment of the call, also of the last, when nothing was traded yet
    # in the new minute.
    assert answer.forming or answer.columns.time[-1] + MINUTE <= setting.exchange.now


def test_an_end_that_is_still_to_come_makes_no_gap(set_up: Set) -> None:
    setting = set_up(replace(MINUTES, now=MINUTES.now + 20 * SECOND))

    answer = setting.each("1m", start=MINUTES.now - HOUR, end=MINUTES.now + HOUR)

    assert opens(answer) == setting.there("1m", MINUTES.now - HOUR)
    assert (len(answer), answer.missing, answer.forming) == (61, (), True)


# ---------------------------------------------------------------- days that open elsewhere

SHANGHAI = Days("Etc/GMT-8")
NEW_YEAR = World(ms("2023-12-01"), HOUR, 2_000, ms("2024-01-10T12:00"), form="htx", days=SHANGHAI)


@pytest.mark.parametrize(
    "question",
    [
        {"start": "2024-01-01T16:00", "end": "2024-01-03T16:00"},
        {"start": "2024-01-01", "end": "2024-01-03"},
        {"start": "2024-01-01T16:00", "limit": 2},
        {"end": "2024-01-03T16:00", "limit": 2},
    ],
)
def test_days_that_open_at_16_utc_are_asked_for_by_that(
    set_up: Set, question: dict[str, Any]
) -> None:
    answer = set_up(NEW_YEAR).each("1d", **question)

    assert opens(answer) == ["2024-01-01T16:00", "2024-01-02T16:00"]
    assert (answer.missing, answer.forming) == ((), False)


def test_days_that_open_at_16_utc_answer_the_same_each_time(set_up: Set) -> None:
    setting = set_up(NEW_YEAR)

    answer = setting.each("1d", start="2018-01-01")

    assert opens(answer) == setting.there("1d", "2018-01-01")
    [gap] = gaps(answer)
    assert gap == ("2018-01-01T16:00", "2023-11-30T16:00", 2_159, "not_served")
    assert answer.forming


def test_two_days_are_resampled_from_the_hours_that_fit(set_up: Set) -> None:
    answer = set_up(NEW_YEAR).each("2d", start="2024-01-01", end="2024-01-06")

    assert opens(answer) == ["2024-01-02", "2024-01-04"]
    assert answer.resampled_from == "4h"
    assert answer.missing == ()


@pytest.mark.parametrize("hour", [17, 23, 24, 31, 39])
def test_the_day_under_way_since_16_utc_is_open(set_up: Set, hour: int) -> None:
    """On either side of midnight."""
    setting = set_up(replace(NEW_YEAR, now=ms("2024-01-05") + hour * HOUR))

    for _ in range(2):
        answer = setting.ask("1d", start="2024-01-04T16:00")
        assert opens(answer) == ["2024-01-04T16:00", "2024-01-05T16:00"]
        assert answer.forming
    assert damage(setting.client.history.verify()) == []
    setting.advance(2 * DAY)
    later = setting.ask("1d", start="2024-01-01T16:00")
    assert opens(later) == setting.there("1d", "2024-01-01T16:00")
    assert later.missing == ()


def test_hours_off_the_calendar_after_an_outage_are_kept(set_up: Set) -> None:
    """Binance in February 2018: 43 candles that open 28 minutes and some after the hour."""
    resumed, regular = ms("2018-02-09T09:28:14") + 789, ms("2018-02-11T04:00")
    listed = [
        *(candle(time) for time in range(ms("2018-01-01"), ms("2018-02-08T01:00"), HOUR)),
        *(candle(resumed + count * HOUR) for count in range(43)),
        *(candle(time) for time in range(regular, ms("2018-04-02"), HOUR)),
    ]
    setting = set_up(Told("1h", listed, ms("2018-04-01T12:00")))
    quarter = {"start": "2018-01-01", "end": "2018-04-01"}

    for store in (True, True, True, False):
        answer = setting.ask("1h", store=store, **quarter)
        assert len(answer) == 2_128
        assert sum(time % HOUR > 0 for time in answer.columns.time) == 43
        assert gaps(answer) == [("2018-02-08T01:00", "2018-02-09T09:00", 32, "outage")]
    for start, end in (("2018-02-05", "2018-02-20"), ("2018-02-09", "2018-02-11")):
        part = setting.each("1h", start=start, end=end)
        assert opens(part) == setting.there("1h", start, end)
    assert len(setting.ask("1h", end="2018-02-13", limit=100)) == 100
    whole = setting.ask("1h", fill="previous", **quarter)
    assert (len(whole), whole.missing) == (2_160, ())
    three = setting.each("3h", **quarter)
    assert gaps(three) == [("2018-02-08T03:00", "2018-02-09T09:00", 10, "outage")]
    assert sum(three.columns.volume) == 2_128 * 10.0
    assert damage(setting.client.history.verify()) == []
    assert setting.client.history.repair() == []
    assert len(setting.ask("1h", **quarter)) == 2_128


CHICAGO = World(
    ms("2024-01-01"), 6 * HOUR, 2_300, ms("2025-06-01"), form="alpaca", days=Days("America/Chicago")
)


def _alpaca(wire: Wire) -> None:
    """Have the server answer in Alpaca's form, too."""

    def assets(_: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        return 200, [
            {
                "class": "crypto",
                "exchange": "CRYPTO",
                "symbol": pair,
                "status": "active",
                "tradable": True,
                "min_order_size": "0.001",
                "min_trade_increment": "0.001",
                "price_increment": "0.001",
            }
            for pair in (PAIR, *OTHERS)
        ]

    def bars(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        names = {"1D": "1d", "1W": "1w", "1H": "1h", "12H": "12h", "6H": "6h"}
        start = ms(asked["start"].removesuffix("Z")) if "start" in asked else None
        timeframe = names.get(asked["timeframe"], asked["timeframe"])
        pair, limit = asked["symbols"], int(asked.get("limit", 1_000))
        found = wire.page(exchange, pair, timeframe, start, limit)
        rows = [
            {
                "t": datetime.fromtimestamp(one.time / 1000, UTC).isoformat()[:19] + "Z",
                "o": one.open,
                "h": one.high,
                "l": one.low,
                "c": one.close,
                "v": one.volume,
                "n": one.trades,
                "vw": one.close,
            }
            for one in found
        ]
        return 200, {"bars": {pair: rows} if rows else {}, "next_page_token": None}

    wire.answers |= {"/v2/assets": assets, "/v1beta3/crypto/us/bars": bars}


@pytest.mark.parametrize(("timeframe", "count"), [("1d", 121), ("1w", 18), ("1M", 4)])
def test_days_at_midnight_in_chicago_over_the_end_of_summer_time(
    set_up: Set, wire: Wire, monkeypatch: pytest.MonkeyPatch, timeframe: str, count: int
) -> None:
    monkeypatch.setenv("MARKETDATA_ALPACA_API_KEY", "key")
    monkeypatch.setenv("MARKETDATA_ALPACA_SECRET", "secret")
    _alpaca(wire)
    setting = set_up(CHICAGO)
    autumn = {"start": "2024-09-01T05:00", "end": "2024-12-31T00:00"}

    answer = setting.each(timeframe, **autumn)

    assert opens(answer) == setting.there(timeframe, autumn["start"], autumn["end"])
    assert (len(answer), answer.missing) == (count, ())
    assert len(setting.ask(timeframe, strict=True, **autumn)) == len(answer)
    filled = setting.ask(timeframe, fill="previous", **autumn)
    assert (opens(filled), filled.filled) == (opens(answer), ())
    newest = setting.ask(timeframe, limit=12)
    assert (opens(newest), newest.missing) == (setting.there(timeframe, 0)[-12:], ())
    assert damage(setting.client.history.verify()) == []


# ---------------------------------------------------------------- before the listing

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


HALTED = World(
    ms("2024-01-01"), HOUR, 2_200, ms("2024-03-30T12:00"), listed=4, ended=60 * 24, flat=True
)


@pytest.mark.parametrize("timeframe", ["30m", "45m", "4h", "3h", "1d", "2d"])
def test_limit_counts_candles_of_a_pair_that_was_halted_30_days_ago(
    set_up: Set, timeframe: str
) -> None:
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


# ---------------------------------------------------------------- resampled to an end


@pytest.mark.parametrize(
    ("timeframe", "question", "opened"),
    [
        ("45m", {"end": "2025-06-15T12:20", "limit": 3}, "2025-06-15T12:00"),
        ("45m", {"start": "2025-06-15T12:00", "end": "2025-06-15T12:20"}, "2025-06-15T12:00"),
        ("3h", {"end": "2025-06-15T13:00", "limit": 2}, "2025-06-15T12:00"),
        ("3h", {"start": "2025-06-15T12:00", "end": "2025-06-15T13:00"}, "2025-06-15T12:00"),
    ],
)
def test_a_candle_in_which_the_end_lies_is_whole(
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
def test_a_resampled_candle_that_has_just_opened_is_there(set_up: Set, after: int) -> None:
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


# ---------------------------------------------------------------- halts and outages

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
def test_a_halt_of_months_has_its_cause_in_long_candles(
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


def test_a_gap_has_the_same_cause_whatever_the_question(set_up: Set) -> None:
    """One gap that is more than a page long, and an outage that goes on."""
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


def test_an_end_inside_the_last_week_names_that_week(set_up: Set) -> None:
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


# ---------------------------------------------------------------- other


def test_what_is_stored_of_a_pair_that_has_left_the_list_is_answered(set_up: Set) -> None:
    setting = set_up(HALTED)
    week = {"start": "2024-02-01", "end": "2024-02-08"}
    before = setting.ask("1h", **week)
    info = setting.wire.answers["/api/v3/exchangeInfo"]

    def without(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        status, body = info(wire, exchange, asked)
        kept = [one for one in body["symbols"] if one["baseAsset"] != "SOL"]
        return status, body | {"symbols": kept}

    setting.wire.answers["/api/v3/exchangeInfo"] = without
    try:
        setting.client.pairs(refresh=True)
        later = setting.connect()
        assert PAIR not in [one.pair for one in later.pairs()]
        after = later.candles(PAIR, "1h", **week)
    finally:
        setting.wire.answers["/api/v3/exchangeInfo"] = info
    assert list(after.columns.rows()) == list(before.columns.rows())
    assert len(after) == 168
    assert [one.pair for one in later.history.list()] == [PAIR]


def test_months_of_an_exchange_that_has_28_days_are_resampled(set_up: Set) -> None:
    world = World(ms("2024-01-01"), 6 * HOUR, 1_500, ms("2024-10-01"), form="ndax", flat=True)
    setting = set_up(world)
    names = {"60": "1m", "3600": "1h", "86400": "1d", "604800": "1w"}
    ids = dict(enumerate((PAIR, *OTHERS), start=1))

    def instruments(_: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        return 200, [
            {
                "InstrumentId": at,
                "Symbol": pair.replace("/", ""),
                "Product1": 10 + at,
                "Product1Symbol": pair.split("/")[0],
                "Product2": 5,
                "Product2Symbol": "USDT",
                "InstrumentType": "Standard",
                "SessionStatus": "Running",
                "IsDisable": False,
                "QuantityIncrement": 0.001,
                "PriceIncrement": 0.001,
                "MinimumQuantity": 0.001,
            }
            for at, pair in ids.items()
        ]

    def history(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        timeframe = names.get(asked["Interval"])
        if timeframe is None:
            return 200, []
        start, end = (ms(asked[name].replace(" ", "T")) for name in ("FromDate", "ToDate"))
        pair = ids[int(asked["InstrumentId"])]
        found = wire.page(exchange, pair, timeframe, start, 100_000)
        return 200, [
            [one.time, one.high, one.low, one.open, one.close, one.volume, 0, 0, 1, one.time]
            for one in found
            if one.time < end
        ]

    setting.wire.answers |= {"/AP/GetInstruments": instruments, "/AP/GetTickerHistory": history}

    answer = setting.each("1M", start="2024-01-01", end="2024-09-01")

    assert opens(answer) == [f"2024-{month:02}-01" for month in range(1, 9)]
    assert (answer.resampled_from, answer.missing) == ("1d", ())
    [done] = setting.client.history.download([PAIR], timeframe="4M", start="2024-01-01")
    assert done.error is not None
    assert done.error["code"] == "TIMEFRAME_NOT_SUPPORTED"


def _kraken(wire: Wire) -> None:
    """Have the server answer in Kraken's form, too: whatever is requested, of the newest 720."""

    def pairs(_: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        named = {pair.replace("/", ""): pair for pair in (PAIR, *OTHERS)}
        return 200, {
            "error": [],
            "result": {
                name: {
                    "altname": name,
                    "wsname": pair,
                    "base": pair.split("/")[0],
                    "quote": "USDT",
                    "pair_decimals": 3,
                    "lot_decimals": 8,
                    "cost_decimals": 5,
                    "ordermin": "0.02",
                    "costmin": "0.5",
                    "tick_size": "0.001",
                    "status": "online",
                    "leverage_buy": [],
                    "leverage_sell": [],
                    "fees": [[0, 0.4]],
                    "fees_maker": [[0, 0.25]],
                }
                for name, pair in named.items()
            },
        }

    def ohlc(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        name, since = asked["pair"], 1000 * int(asked.get("since", 0))
        timeframe = {"1": "1m", "15": "15m", "60": "1h", "240": "4h"}[asked["interval"]]
        pair = next(one for one in (PAIR, *OTHERS) if one.replace("/", "") == name)
        rows = [
            [one.time // 1000, *map(str, one[1:5]), str(one.close), str(one.volume), one.trades]
            for one in wire.page(exchange, pair, timeframe, None, 720)
            if one.time > since
        ]
        return 200, {"error": [], "result": {name: rows, "last": 0}}

    wire.answers |= {"/0/public/AssetPairs": pairs, "/0/public/OHLC": ohlc}


@pytest.mark.parametrize("timeframe", ["1h", "2h"])
def test_a_halt_is_no_listing_where_only_the_newest_candles_are_served(
    set_up: Set, wire: Wire, timeframe: str
) -> None:
    _kraken(wire)
    world = World(MORNING, HOUR, 700, MORNING + 600 * HOUR, form="kraken", ended=400, flat=True)
    setting = set_up(world)
    halted = MORNING + 400 * HOUR

    behind = setting.each(timeframe, start=halted + 20 * HOUR, end=halted + 30 * HOUR)
    last = setting.each(timeframe, end=halted + 30 * HOUR, limit=2)

    assert (len(behind), [one.cause for one in behind.missing]) == (0, ["no_trades"])
    assert opens(last) == [text(halted - back * length(timeframe)) for back in (2, 1)]
    assert [one.cause for one in last.missing] == ["no_trades"]


# ---------------------------------------------------------------- told by the model


class Changing(Exchange):
    """An exchange on which one candle can be changed."""

    added = 0.0

    def page(self, pair: str, timeframe: str, start: int | None, limit: int) -> list[Candle]:
        found = super().page(pair, timeframe, start, limit)
        return [
            one._replace(volume=one.volume + self.added) if one.time == MORNING + HOUR else one
            for one in found
        ]


def test_decimals_revise_what_is_stored(set_up: Set) -> None:
    exchange = Changing(MINUTES)
    setting = set_up(exchange)
    hour = {"start": MORNING + HOUR, "end": MORNING + 2 * HOUR}
    before = setting.ask("1m", **hour)
    exchange.added = 3.0

    exact = setting.connect(numbers="decimal").candles(PAIR, "1m", **hour)
    after = setting.ask("1m", **hour)

    assert [float(volume) for volume in exact.columns.volume] == list(after.columns.volume)
    assert after.columns.volume[0] == before.columns.volume[0] + 3.0
    assert list(after.columns.volume)[1:] == list(before.columns.volume)[1:]
    assert after.quality is not None


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


@pytest.mark.parametrize("question", [{}, {"end": MINUTES.now - 7 * MINUTE}])
@pytest.mark.parametrize("how", ["zero", "previous"])
def test_a_hundred_candles_are_meant_by_default_also_filled(
    set_up: Set, how: Any, question: dict[str, Any]
) -> None:
    setting = set_up(replace(MINUTES, quiet=0.5))

    answer = setting.each("1m", fill=how, **question)

    times = list(answer.columns.time)
    assert times == list(range(times[0], times[0] + 100 * MINUTE, MINUTE))
    assert answer.missing == ()
    assert all(one.start.timestamp() * 1000 >= times[0] for one in answer.filled or ())


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


@pytest.mark.parametrize(("timeframe", "limit"), [("1w", 2_600), ("2M", 400), ("1y", 60)])
def test_a_limit_that_reaches_back_before_1970_is_one_gap_up_to_the_listing(
    set_up: Set, timeframe: str, limit: int
) -> None:
    answer = set_up(LISTED).each(timeframe, limit=limit)

    [gap] = answer.missing
    assert (gap.bars, gap.cause) == (limit - len(answer), "not_served")
    assert gap.start.year < 1970
    assert gap.end.timestamp() * 1000 == answer.columns.time[0]


@pytest.mark.parametrize("years", [10, -10])
def test_our_clock_is_years_wrong(set_up: Set, years: int) -> None:
    world = replace(MINUTES, now=MINUTES.now + 20 * SECOND, quiet=0.5, ours=years * 365 * DAY)
    setting, start = set_up(world), MINUTES.now - 12 * MINUTE
    before, there = setting.there("1m", 0, start), setting.there("1m", start)

    assert opens(setting.each("1m", start=start)) == there
    assert opens(setting.each("1m", start=start, limit=5)) == there[:5]
    assert opens(setting.each("1m", end=start, limit=5)) == before[-5:]
    assert setting.client.history.list()[0].end.timestamp() * 1000 <= MINUTES.now
