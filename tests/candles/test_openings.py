"""Days that do not open at midnight UTC, days that move, candles off the calendar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from .session import damage
from .setting import Set, Told, candle, gaps, ms, opens
from .wire import Wire
from .world import DAY, HOUR, OTHERS, PAIR, Days, Exchange, World

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
def test_days_that_open_at_16_utc_are_requested_by_that_time(
    set_up: Set, question: dict[str, Any]
) -> None:
    answer = set_up(NEW_YEAR).each("1d", **question)

    assert opens(answer) == ["2024-01-01T16:00", "2024-01-02T16:00"]
    assert (answer.missing, answer.forming) == ((), False)


def test_days_that_open_at_16_utc_are_the_same_each_time(set_up: Set) -> None:
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
def test_the_current_day_since_16_utc_is_open(set_up: Set, hour: int) -> None:
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
def test_days_at_midnight_in_chicago_across_the_end_of_daylight_saving_time(
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
