"""The newest bars, the open bar, and the supported timeframes."""

from datetime import timedelta
from itertools import pairwise

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .gateway import Gateway
from .markets import COUNTS_TRADES, DIALECTS, NOW, PAGES, bars, ms, newest, record, when


@pytest.mark.parametrize("exchange", DIALECTS)
def test_the_newest_bars_equal_the_exchanges(client: md.Client, exchange: str) -> None:
    candles = client.candles("btc-usdt", "1m", limit=7, exchange=exchange)

    assert candles.columns.rows() == newest(exchange, "BTC/USDT", "1m", 7)
    assert (candles.exchange, candles.pair, candles.timeframe) == (exchange, "BTC/USDT", "1m")
    assert candles.source == "candles"
    assert candles.missing == ()


def test_a_hundred_hourly_bars_are_the_default(client: md.Client) -> None:
    candles = client.candles("BTC/USDT")

    assert candles.timeframe == "1h"
    assert candles.columns.rows() == newest("binance", "BTC/USDT", "1h", 100)


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("more", [0, 1])
def test_a_limit_of_a_page_and_one_more(
    client: md.Client, sim: SimulatedExchange, exchange: str, more: int
) -> None:
    page = PAGES[exchange]
    candles = client.candles("BTC/USDT", "1h", limit=page + more, exchange=exchange)

    truth = newest(exchange, "BTC/USDT", "1h", page + more)
    if exchange == "kraken" and more:
        # Kraken has no more than its last 720 bars; the one before them is named.
        [hole] = candles.missing
        assert (hole.start, hole.end, hole.bars) == (when(truth[0][0]), when(truth[1][0]), 1)
        truth = truth[1:]
    else:
        assert candles.missing == ()
    assert candles.columns.rows() == truth


@pytest.mark.parametrize("exchange", ["kraken", "coinbaseexchange"])
def test_minutes_without_trades_do_not_reduce_the_number_of_bars(
    client: md.Client, exchange: str
) -> None:
    # One minute in six has a trade, and these exchanges leave the others out.
    candles = client.candles("LTC/BTC", "1m", limit=100, exchange=exchange)

    assert candles.columns.rows() == newest(exchange, "LTC/BTC", "1m", 100)
    times = list(candles.columns.time)
    skipped = (times[-1] - times[0]) // 60_000 + 1 - len(times)
    assert skipped > 100
    assert sum(hole.bars for hole in candles.missing) == skipped


def test_minutes_without_trades_have_volume_zero_if_the_exchange_sends_them(
    client: md.Client,
) -> None:
    candles = client.candles("LTC/BTC", "1m", limit=60)

    assert [bar.volume for bar in candles].count(0.0) > 30
    assert {bar.trades for bar in candles if bar.volume == 0.0} == {0}
    assert candles.missing == ()


@pytest.mark.parametrize("exchange", DIALECTS)
def test_trades_are_counted_if_the_exchange_counts_them(client: md.Client, exchange: str) -> None:
    candles = client.candles("BTC/USDT", "1h", limit=3, exchange=exchange)
    counts = [bar.trades for bar in candles]

    if exchange in COUNTS_TRADES:
        assert all(isinstance(count, int) and count > 0 for count in counts)
    else:
        assert counts == [None] * 3
    assert [row[6] for row in candles.to_dict()["candles"]] == counts


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize(
    ("now", "forming", "opened"),
    [
        (NOW.replace(hour=12, minute=59, second=59), True, 12),
        (NOW.replace(hour=13, minute=0, second=0), True, 13),
        (NOW.replace(hour=13, minute=0, second=1), True, 13),
    ],
    ids=["last second", "boundary", "first second"],
)
def test_the_exchanges_clock_decides_which_bar_is_open(
    sim: SimulatedExchange,
    connect: Factory,
    exchange: str,
    now: object,
    forming: bool,
    opened: int,
) -> None:
    sim.clock.move(now)  # type: ignore[arg-type]
    candles = connect(sim).candles("BTC/USDT", "1h", limit=3, exchange=exchange)

    # At the very boundary there may be no trade yet, and then there is no new bar.
    if candles[-1].open_time.hour == opened:
        assert candles.forming is forming
    else:
        assert candles[-1].open_time.hour == opened - 1
        assert candles.forming is False
    assert [bar.forming for bar in candles] == [False, False, candles.forming]


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize(("seconds", "forming"), [(-1, True), (0, False)])
def test_a_bar_is_closed_when_the_exchanges_clock_reaches_its_end(
    sim: SimulatedExchange, connect: Factory, exchange: str, seconds: int, forming: bool
) -> None:
    end = NOW.replace(minute=0, second=0)
    sim.clock.move(end + timedelta(seconds=seconds))
    candles = connect(sim).candles("BTC/USDT", "1h", end=end, limit=2, exchange=exchange)

    assert candles[-1].open_time == end - timedelta(hours=1)
    assert candles.forming is forming


@pytest.mark.parametrize("year", [2019, 2037])
def test_a_clock_far_from_ours_changes_nothing(
    sim: SimulatedExchange, connect: Factory, year: int
) -> None:
    now = NOW.replace(year=year)
    sim.clock.move(now)
    client = connect(sim)

    newest_two = client.candles("BTC/USDT", "1h", limit=2)
    assert newest_two.columns.rows() == newest("binance", "BTC/USDT", "1h", 2, now=now)
    assert newest_two.forming
    start = now.replace(hour=9, minute=0)
    day = client.candles("BTC/USDT", "1h", start=start)
    assert day.columns.rows() == bars("binance", "BTC/USDT", "1h", start, now=now)
    assert day.forming
    assert day.missing == ()
    before = client.candles("BTC/USDT", "1h", limit=2, end=start)
    assert before.columns.rows() == bars(
        "binance", "BTC/USDT", "1h", start - timedelta(hours=2), start, now=now
    )
    assert not before.forming


def test_an_older_page_received_later_does_not_close_the_last_bar(
    gateway: Gateway, connect: Factory
) -> None:
    def tick(answer):
        # The hour ends between the first answer and the second.
        if len([one for one in gateway.requests if "klines" in one]) > 1:
            answer.headers["Date"] = "Wed, 01 May 2024 13:00:01 GMT"
        return answer

    gateway.change("*/klines", tick)
    candles = connect(gateway).candles("BTC/USDT", "1h", limit=1001)

    assert len(candles) == 1001
    assert candles.forming


def test_the_response_time_is_the_exchanges(client: md.Client) -> None:
    candles = client.candles("BTC/USDT", limit=1)

    assert candles.timestamp == NOW
    assert candles.received_at > NOW
    assert candles.simulated is True


@pytest.mark.parametrize(
    ("exchange", "timeframe"),
    [
        ("binance", "1w"),
        ("binance", "1M"),
        ("binance", "3d"),
        ("kraken", "1w"),
        ("coinbaseexchange", "6h"),
        ("okx", "1w"),
        ("okx", "1M"),
        ("okx", "3M"),
    ],
)
def test_bars_of_every_timeframe_are_consecutive(
    client: md.Client, exchange: str, timeframe: str
) -> None:
    candles = client.candles("BTC/USDT", timeframe, limit=9, exchange=exchange)

    assert len(candles) == 9
    assert candles.missing == ()
    assert candles.forming
    days = [bar.open_time for bar in candles]
    if timeframe == "1w":
        assert {day.isoweekday() for day in days} == {4 if exchange == "kraken" else 1}
    if timeframe.endswith("M"):
        assert {(day.day, day.hour) for day in days} == {(1, 0)}
        months = [day.year * 12 + day.month for day in days]
        step = int(timeframe[0])
        assert months == list(range(months[0], months[0] + 9 * step, step))


@pytest.mark.parametrize(("timeframe", "bars_missing"), [("1w", 5), ("1M", 4)])
def test_weeks_and_months_before_the_listing_are_counted(
    client: md.Client, timeframe: str, bars_missing: int
) -> None:
    # PEPE/USDT was listed on 2023-05-05, a Friday.
    start = "2023-03-27" if timeframe == "1w" else "2023-01-01"
    candles = client.candles("PEPE/USDT", timeframe, start=start, end="2023-09-01")

    [hole] = candles.missing
    assert (ms(hole.start), hole.bars) == (ms(start), bars_missing)
    assert hole.end == candles[0].open_time


@pytest.mark.parametrize("timeframe", ["30s", "90s", "1s"])
def test_an_unsupported_timeframe_lists_the_supported_ones(
    client: md.Client, sim: SimulatedExchange, timeframe: str
) -> None:
    with pytest.raises(md.TimeframeNotSupportedError) as caught:
        client.candles("BTC/USDT", timeframe, exchange="coinbaseexchange")

    offered = ["1m", "5m", "15m", "1h", "6h", "1d"]
    assert caught.value.code == "TIMEFRAME_NOT_SUPPORTED"
    assert caught.value.details == {
        "exchange": "coinbaseexchange",
        "timeframes": offered,
        "closest": ["1m", "5m", "15m"],
        "parameter": "timeframe",
    }
    assert ", ".join(offered) in str(caught.value)
    assert not any("candles" in request.path for request in sim.requests)


@pytest.mark.parametrize(("timeframe", "source"), [("7m", "1m"), ("36h", "6h"), ("8h", "1h")])
def test_any_multiple_of_a_supported_timeframe_is_resampled(
    client: md.Client, timeframe: str, source: str
) -> None:
    candles = client.candles("BTC/USDT", timeframe, limit=5, exchange="coinbaseexchange")
    step = {"7m": 7, "36h": 36 * 60, "8h": 480}[timeframe] * 60_000

    assert candles.resampled_from == source
    # They are counted from 1970 on.
    assert {time % step for time in candles.columns.time} == {0}
    assert {later - earlier for earlier, later in pairwise(candles.columns.time)} == {step}
    for candle, end in zip(candles, [*candles.columns.time[1:], None], strict=True):
        more = {} if end is None else {"end": end}
        parts = client.candles(
            "BTC/USDT", source, start=candle.open_time, exchange="coinbaseexchange", **more
        )
        assert candle.open == parts[0].open
        assert candle.close == parts[-1].close
        assert candle.high == max(part.high for part in parts)


def test_krakens_two_weeks_are_resampled_because_its_own_have_15_days(
    client: md.Client,
) -> None:
    candles = client.candles("BTC/USDT", "2w", exchange="kraken", limit=5)

    assert candles.resampled_from == "1d"
    times = list(candles.columns.time)
    assert {later - earlier for earlier, later in pairwise(times)} == {14 * 86_400_000}


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("timeframe", ["45m", "2h", "4h", "3d"])
def test_an_unsupported_timeframe_is_resampled_from_a_shorter_one(
    client: md.Client, exchange: str, timeframe: str
) -> None:
    longer = client.candles("BTC/USDT", timeframe, limit=8, exchange=exchange)
    step = 60_000 * {"45m": 45, "2h": 120, "4h": 240, "3d": 4320}[timeframe]

    if longer.resampled_from is not None:
        shorter = client.candles(
            "BTC/USDT", longer.resampled_from, start=longer[0].open_time, exchange=exchange
        )
        whole = [bar for bar in shorter if bar.open_time < longer[1].open_time]
        assert longer[0].open == whole[0].open
        assert longer[0].close == whole[-1].close
        assert longer[0].high == max(bar.high for bar in whole)
        assert longer[0].low == min(bar.low for bar in whole)
        assert longer[0].volume == pytest.approx(sum(bar.volume or 0 for bar in whole), rel=1e-12)
    assert len(longer) == 8
    assert longer.forming
    assert {b - a for a, b in pairwise(longer.columns.time)} == {step}


@pytest.mark.parametrize("timeframe", ["M", "m", "0m", "1x", "15M", "-1h", "1.5h", "M1", "60"])
def test_an_invalid_timeframe_is_an_invalid_parameter(
    client: md.Client, sim: SimulatedExchange, timeframe: str
) -> None:
    with pytest.raises(md.InvalidParameterError) as caught:
        client.candles("BTC/USDT", timeframe)

    assert caught.value.details["parameter"] == "timeframe"
    assert not any("klines" in request.path for request in sim.requests)


def test_a_tape_is_returned_value_for_value(tmp_path, connect: Factory) -> None:
    rows = [
        (ms(NOW) - ms(NOW) % 60_000 + index * 60_000, *prices)
        for index, prices in enumerate(
            [
                ("0.00001234", "0.00001240", "0.00001230", "0.00001239", "123456789.5"),
                ("0.00001239", "0.00001239", "0.00001239", "0.00001239", "0.1"),
                ("0.00001239", "0.00009999", "0.00000001", "0.00001", "7"),
            ]
        )
    ]
    path = record(tmp_path, rows, "kraken_PEPE_USDT-1m.csv")
    with SimulatedExchange(tape=path) as sim:
        candles = connect(sim).candles("PEPE/USDT", "1m", limit=3, exchange="kraken")

    given = [tuple(map(float, row[1:])) for row in rows]
    assert [row[1:6] for row in candles.columns] == given
    assert list(candles.columns.time) == [row[0] for row in rows]
