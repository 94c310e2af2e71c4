"""Slices of candles by position and by time, and longer candles of them."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import marketdata as md
from marketdata.models import Columns
from marketdata.sim import SimulatedExchange

from .conftest import NOW, Factory

START = datetime(2024, 3, 1, 22, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def opened(index: int) -> int:
    return round((START + index * MINUTE).timestamp() * 1000)


def candles(count: int, without: tuple[int, int] = (0, 0), **more: object) -> md.Candles:
    rows = [
        (
            round((START + index * MINUTE).timestamp() * 1000),
            5.0 + index,
            9.0 + index,
            1.0,
            6.0,
            0.1,
            2,
        )
        for index in range(count)
        if not without[0] <= index < without[1]
    ]
    first, end = without
    gap = md.Interval(
        start=START + first * MINUTE, end=START + end * MINUTE, bars=end - first, cause="no_trades"
    )
    told = {"forming": False, "missing": (gap,) if end else (), "source": "candles", **more}
    return md.Candles(
        exchange="binance",
        pair="BTC/USDT",
        timeframe="1m",
        timestamp=START,
        received_at=START,
        candles=Columns.from_rows(rows),
        **told,
    )


def test_a_slice_by_time_has_the_bars_that_open_in_it() -> None:
    bars = candles(60)
    part = bars["2024-03-01T22:40" : START + 20 * MINUTE]
    assert [bar.open_time.minute for bar in part] == list(range(40, 50))
    assert len(bars[: datetime(2024, 3, 1, 22, 31)]) == 1
    assert len(bars["2024-03-02":]) == 0
    assert bars[pd.Timestamp(START) :].columns == bars.columns
    with pytest.raises(md.InvalidParameterError):
        bars["no time":]


def test_head_and_tail() -> None:
    bars = candles(60, forming=True)
    assert [bar.open_time.minute for bar in bars.head(2)] == [30, 31]
    assert [bar.open_time.minute for bar in bars.tail(2)] == [28, 29]
    assert (len(bars.head()), len(bars.tail()), len(bars.tail(0)), len(bars.tail(99))) == (
        5,
        5,
        0,
        60,
    )
    assert (bars.head(2).forming, bars.tail(2).forming) == (False, True)


def test_a_slice_has_only_the_gaps_inside_it() -> None:
    bars = candles(60, without=(10, 20))
    assert bars.head(5).missing == bars.tail(5).missing == ()
    assert bars.tail(45).missing == bars.missing
    assert candles(0)[0:1].missing == ()


def test_longer_bars_equal_those_of_pandas() -> None:
    bars = candles(180, without=(40, 50))
    made = bars.resample("5m")
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    expected = bars.to_pandas().resample("5min").agg(how).dropna()
    frame = made.to_pandas()
    assert list(frame.index) == list(expected.index)
    for name in how:
        assert frame[name].to_numpy() == pytest.approx(expected[name].to_numpy())
    assert (frame["trades"] == 10).all()
    assert [(gap.bars, gap.cause) for gap in made.missing] == [(2, "no_trades")]
    assert (made.timeframe, made.resampled_from, made.derived) == ("5m", "1m", True)


def test_longer_bars_at_the_ends_must_be_complete() -> None:
    bars = candles(100)  # 22:30 to 00:10
    made = bars.resample("1h")
    assert [bar.open_time.hour for bar in made] == [23]
    live = candles(100, forming=True).resample("1h")
    assert [(bar.open_time.hour, bar.forming) for bar in live] == [(23, False), (0, True)]
    assert bars.resample("1d").columns == Columns.from_rows([])
    assert candles(0).resample("1h").columns == Columns.from_rows([])


def test_filled_bars_are_not_part_of_longer_bars() -> None:
    bars = candles(60)
    gap = md.Interval(start=START, end=START + 30 * MINUTE, bars=30, cause="no_trades")
    made = bars.model_copy(update={"filled": (gap,)}).resample("10m")
    assert [bar.open_time.minute for bar in made] == [0, 10, 20]
    assert [one.bars for one in made.missing] == [3]


@pytest.mark.parametrize("timeframe", ["1m2", "", "30s", "7x"])
def test_timeframes_that_are_no_multiple_are_refused(timeframe: str) -> None:
    with pytest.raises(md.TimeframeNotSupportedError):
        candles(3).resample(timeframe)


def test_they_equal_the_librarys_resampled_bars(connect: Factory, sim: SimulatedExchange) -> None:
    client = connect(sim, "binance")
    end = NOW.replace(minute=0, second=0, microsecond=0)
    asked = {"start": end - timedelta(hours=30), "end": end, "store": False}
    ours = client.candles("LTC/BTC", "1m", **asked).resample("10m")
    assert ours.columns == client.candles("LTC/BTC", "10m", **asked).columns
