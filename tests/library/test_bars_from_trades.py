"""Candles built from trades equal the exchange's own, and no trade is missing."""

from __future__ import annotations

import asyncio
import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from inside.candles import expected, intervals
from inside.exchanges import Quirk, connector_class, open_venue

import marketdata as md
from marketdata._candles.from_trades import TradesSeries
from marketdata.models import Columns
from marketdata.settings import Settings
from marketdata.sim import SimulatedExchange

from .built import bars, bars_of
from .gateway import Gateway
from .markets import DIALECTS, GRIDS, NOW, market, ms, number, record, when

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOON = ms("2024-05-01T12:00")
TAPE = "timestamp_ms,id,type,side,price,amount,cost"

Row = tuple[Any, ...]
Tick = tuple[int, float, float]


# ------------------------------------------------------------------------- of plain numbers


def test_a_bar_is_its_first_highest_lowest_and_last_trade() -> None:
    ticks = [
        (NOON, 10.0, 1.0),
        (NOON + 1, 12.0, 0.5),
        (NOON + 1, 9.0, 0.25),
        (NOON + MINUTE - 1, 11.0, 2.0),
        (NOON + MINUTE, 8.0, 1.0),
        (NOON + 5 * MINUTE + 59_999, 7.0, 3.0),
    ]
    assert bars_of(ticks, "1m").rows() == [
        (NOON, 10.0, 12.0, 9.0, 11.0, 3.75, 4),
        (NOON + MINUTE, 8.0, 8.0, 8.0, 8.0, 1.0, 1),
        (NOON + 5 * MINUTE, 7.0, 7.0, 7.0, 7.0, 3.0, 1),
    ]
    assert bars_of(ticks, "1M").rows() == [(ms("2024-05-01"), 10.0, 12.0, 7.0, 7.0, 7.75, 6)]


def test_no_trades_make_no_bars() -> None:
    assert bars_of([], "1m") == Columns.from_rows([])


def test_the_volume_is_rounded_once() -> None:
    ticks = [(NOON + index, 1.0, 0.1) for index in range(10)]
    [bar] = bars_of(ticks, "1m", 3).rows()
    assert bar[5] == 1.0

    big = [(NOON, 1.0, 1e16), *[(NOON + 1, 1.0, 1.0)] * 10]
    assert bars_of(big, "1m", 3).rows()[0][5] == 1e16 + 10


def test_the_size_of_the_batches_does_not_matter() -> None:
    ticks = [(NOON + 7_000 * index, 100.0 + index % 13, 0.1 * index) for index in range(100)]
    whole = bars_of(ticks, "1m")
    for chunk in (1, 2, 7, 99, 100):
        assert bars_of(iter(ticks), "1m", chunk) == whole


@pytest.mark.parametrize("chunk", [1, 100])
def test_unsorted_trades_are_refused(chunk: int) -> None:
    with pytest.raises(ValueError, match="order of time"):
        bars_of([(NOON, 1.0, 1.0), (NOON - 1, 1.0, 1.0)], "1m", chunk)


@pytest.mark.parametrize("values", [(float("nan"), 1.0), (1.0, float("nan")), (1.0, float("inf"))])
def test_invalid_numbers_are_refused(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="without a price or an amount"):
        bars_of([(NOON, 1.0, 1.0), (NOON, *values)], "1m")


@st.composite
def tapes(draw: st.DrawFn) -> list[Tick]:
    time = ms("2024-02-29T23:00")
    waits = st.sampled_from([0, 0, 1, 700, 30_000, 59_999, 60_000, 400_000, 5 * HOUR])
    amounts = st.integers(1, 10**9).map(lambda lots: lots / 10**8)
    ticks = []
    for wait in draw(st.lists(waits, max_size=60)):
        time += wait
        ticks.append((time, float(draw(st.integers(1, 99))), draw(amounts)))
    return ticks


def naive(ticks: Sequence[Tick], timeframe: str) -> list[Row]:
    """Every trade put by itself into the bar that it is in."""
    bars: dict[int, list[Any]] = {}
    for time, price, amount in ticks:
        bar = bars.setdefault(
            expected(timeframe).floor(time), [price, price, price, price, Fraction(0), 0]
        )
        bar[1], bar[2], bar[3] = max(bar[1], price), min(bar[2], price), price
        bar[4], bar[5] = bar[4] + Fraction(str(amount)), bar[5] + 1
    return [(opened, *bar[:4], float(bar[4]), bar[5]) for opened, bar in sorted(bars.items())]


@given(tapes(), st.sampled_from(["1s", "1m", "7m", "1h", "1d", "1w", "1M", "1y"]))
def test_any_trades_are_in_the_bars_of_their_time(ticks: list[Tick], timeframe: str) -> None:
    assert bars_of(ticks, timeframe).rows() == naive(ticks, timeframe)


# ------------------------------------------------------------------------- of records


def trade(time: Any, price: float, amount: float, number: int | None = None) -> md.Trade:
    return md.Trade(
        exchange="kraken",
        pair="BTC/USDT",
        timestamp=time,
        received_at=time,
        id=None if number is None else str(number),
        price=price,
        amount=amount,
    )


def test_records_make_the_same_bars() -> None:
    ticks = [(NOON + 10_000 * index, 50.0 - index, 0.3 * index) for index in range(30)]
    records = [trade(when(time), price, amount) for time, price, amount in ticks]

    assert bars(records, "1m") == bars_of(ticks, "1m")


def test_a_trade_a_microsecond_before_the_minute_is_in_the_earlier_bar() -> None:
    moment = when(NOON) - timedelta(microseconds=1)
    assert bars([trade(moment, 1.0, 1.0)], "1m").time[0] == NOON - MINUTE


# ------------------------------------------------------------------------- of an exchange


def asked(
    to: SimulatedExchange | Gateway,
    exchange: str,
    start: Any,
    end: Any,
    timeframe: str = "1m",
    pair: str = "BTC/USDT",
    change: Callable[[Quirk], Quirk] | None = None,
):
    """Bars of an exchange's trades, and the holes among them."""

    async def main():
        settings = Settings.from_environment(retries=0)
        venue = open_venue(exchange, to.url, settings=settings)
        if change is not None:
            venue._quirk = change(venue.quirk)
        try:
            await venue.listed.symbol(pair)
            series = TradesSeries(venue, pair, timeframe)
            return series.calendar, await series.between(ms(start), ms(end))
        finally:
            await venue.close()

    calendar, found = asyncio.run(main())
    assert found.simulated
    gaps = found.gaps(calendar, calendar.ceil(ms(start)), ms(end))
    return found.columns.rows(), intervals(gaps, calendar)


def truth(
    exchange: str, start: Any, end: Any, timeframe: str = "1m", pair: str = "BTC/USDT"
) -> list[Row]:
    """The bars with trades that the simulated exchange itself has."""
    of, grid = market(exchange, pair), GRIDS[timeframe]
    return [
        (
            bar.start,
            *[number(price, of.price_scale) for price in bar[1:5]],
            number(bar.volume, of.amount_scale),
            bar.trades,
        )
        for bar in of.bars(grid, ms(start), ms(end), ms(NOW))
    ]


def same(rows: Sequence[Row], as_these: Sequence[Row]) -> None:
    assert [row[:5] + row[6:] for row in rows] == [row[:5] + row[6:] for row in as_these]
    # A sum of decimal fractions as doubles is not always the double of their sum.
    volumes = [row[5] for row in rows]
    assert volumes == pytest.approx([row[5] for row in as_these], rel=1e-13)


def quiet(rows: Sequence[Row], start: Any, end: Any, step: int = MINUTE) -> list[int]:
    return sorted(set(range(ms(start), ms(end), step)) - {row[0] for row in rows})


def lacked(holes: Sequence[md.Interval], step: int = MINUTE) -> list[int]:
    assert {hole.cause for hole in holes} <= {"no_trades"}
    return [time for hole in holes for time in range(ms(hole.start), ms(hole.end), step)]


@pytest.mark.parametrize("exchange", DIALECTS)
def test_they_equal_the_exchanges_own_bars(sim: SimulatedExchange, exchange: str) -> None:
    start, end = "2024-03-05T23:41", "2024-03-06T00:22"
    rows, holes = asked(sim, exchange, start, end)

    same(rows, truth(exchange, start, end))
    assert lacked(holes) == quiet(rows, start, end)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_an_exchange_without_candles_returns_the_same(
    sim: SimulatedExchange, client: md.Client, exchange: str
) -> None:
    start, end = NOW - timedelta(minutes=40), NOW - timedelta(minutes=10)
    rows, _ = asked(sim, exchange, start, end)
    own = client.candles("BTC/USDT", "1m", start=start, end=end, exchange=exchange)

    traded = [row for row in own.columns.rows() if row[5]]
    assert [row[:5] for row in rows] == [row[:5] for row in traded]
    assert [row[5] for row in rows] == pytest.approx([row[5] for row in traded], rel=1e-13)


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("timeframe", ["1s", "5m", "1h"])
def test_shorter_and_longer_bars(sim: SimulatedExchange, exchange: str, timeframe: str) -> None:
    start, end = "2024-04-30T09:00", "2024-04-30T09:02" if timeframe == "1s" else "2024-04-30T11:00"
    rows, _ = asked(sim, exchange, start, end, timeframe, "LTC/BTC")

    same(rows, truth(exchange, start, end, timeframe, "LTC/BTC"))


@pytest.mark.parametrize("exchange", DIALECTS)
def test_minutes_without_a_trade_are_gaps(sim: SimulatedExchange, exchange: str) -> None:
    start, end = "2024-04-20T01:00", "2024-04-20T06:00"
    rows, holes = asked(sim, exchange, start, end, pair="LTC/BTC")

    same(rows, truth(exchange, start, end, pair="LTC/BTC"))
    assert lacked(holes) == quiet(rows, start, end) != []
    assert all(hole.bars == (hole.end - hole.start) / timedelta(minutes=1) for hole in holes)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_only_bars_that_open_in_the_range_are_returned(
    sim: SimulatedExchange, exchange: str
) -> None:
    start, end = "2024-03-06T00:00:01", "2024-03-06T00:05:01"
    rows, _ = asked(sim, exchange, start, end)

    same(rows, truth(exchange, "2024-03-06T00:01", "2024-03-06T00:06"))


@pytest.mark.parametrize("exchange", DIALECTS)
def test_ranges_up_to_now_and_beyond(sim: SimulatedExchange, exchange: str) -> None:
    start, end = NOW - timedelta(minutes=5, seconds=30), NOW + timedelta(hours=2)
    rows, holes = asked(sim, exchange, start, end, pair="LTC/BTC")

    same(rows, truth(exchange, start, end, pair="LTC/BTC"))
    # What is still to come is not missing, nor is the minute that is not over.
    assert lacked(holes) == quiet(rows, start, NOW - timedelta(seconds=30))


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("behind", [timedelta(minutes=3), timedelta(hours=1)])
def test_up_to_now_follows_the_exchanges_clock_if_ours_is_behind(
    sim: SimulatedExchange, exchange: str, behind: timedelta
) -> None:
    start, end = NOW - timedelta(minutes=5, seconds=30), NOW + timedelta(hours=2)
    with time_machine.travel(NOW - behind, tick=False):
        rows, _ = asked(sim, exchange, start, end)

    same(rows, truth(exchange, start, end))


@pytest.mark.parametrize("exchange", DIALECTS)
def test_nothing_was_traded_before_the_listing(sim: SimulatedExchange, exchange: str) -> None:
    first = next(market(exchange, "PEPE/USDT").forwards(ms(NOW), ms=0)).ms
    opened = first - first % MINUTE
    start, end = opened - 30 * MINUTE, opened + 4 * MINUTE
    rows, holes = asked(sim, exchange, when(start), when(end), pair="PEPE/USDT")

    same(rows, truth(exchange, when(start), when(end), pair="PEPE/USDT"))
    assert lacked(holes)[:30] == list(range(start, opened, MINUTE))


@pytest.mark.parametrize("exchange", ["binance", "kraken", "coinbaseexchange"])
def test_a_range_before_the_listing(sim: SimulatedExchange, exchange: str) -> None:
    start, end = "2020-01-01T00:00", "2020-01-01T00:05"
    rows, holes = asked(sim, exchange, start, end, pair="PEPE/USDT")

    assert rows == []
    assert lacked(holes) == quiet([], start, end)


def test_an_old_range_needs_few_more_requests(sim: SimulatedExchange) -> None:
    start, end = "2018-01-01T00:00", "2018-01-01T00:10"
    rows, _ = asked(sim, "coinbaseexchange", start, end)

    same(rows, truth("coinbaseexchange", start, end))
    assert len(sim.requests) < 40


def test_no_page_is_requested_twice(sim: SimulatedExchange) -> None:
    for exchange in DIALECTS:
        sim.forget()
        asked(sim, exchange, "2024-03-06T00:00", "2024-03-06T00:30")
        made = [(one.path, *sorted(one.query.items())) for one in sim.requests]
        assert len(set(made)) == len(made)


# ------------------------------------------------------------------------- recordings of our own


@contextmanager
def played(
    folder: Path, exchange: str, moments: Sequence[int], now: int | None = None
) -> Iterator[SimulatedExchange]:
    """An exchange with a trade at each moment, at rising prices."""
    lines = [
        (moment, 7_000 + index, "", "buy", 100 + index, "0.5", "1")
        for index, moment in enumerate(moments)
    ]
    path = record(folder, lines, f"{exchange}_BTC_USDT-trades.csv", TAPE)
    with SimulatedExchange(tape=path, now=now) as sim:
        yield sim


def of_moments(moments: Sequence[int]) -> list[Row]:
    return naive([(time, 100.0 + index, 0.5) for index, time in enumerate(moments)], "1m")


FROM_TIME = ["binance", "kraken"]


@pytest.mark.parametrize("exchange", FROM_TIME)
def test_many_trades_in_a_millisecond_across_pages(tmp_path: Path, exchange: str) -> None:
    moments = sorted([NOON + 10 * (index // 300) for index in range(4_000)])
    with played(tmp_path, exchange, moments, NOON + HOUR) as sim:
        rows, holes = asked(sim, exchange, when(NOON), when(NOON + 3 * MINUTE))

    assert rows == of_moments(moments)
    assert lacked(holes) == [NOON + MINUTE, NOON + 2 * MINUTE]


def test_more_trades_in_a_millisecond_than_a_page_are_paged_by_id(
    tmp_path: Path,
) -> None:
    moments = [NOON, *[NOON + 5] * 3_500, NOON + MINUTE]
    with played(tmp_path, "binance", moments, NOON + HOUR) as sim:
        rows, _ = asked(sim, "binance", when(NOON), when(NOON + 2 * MINUTE))

    assert rows == of_moments(moments)


def test_without_ids_more_trades_in_a_millisecond_than_a_page_are_an_error(
    tmp_path: Path,
) -> None:
    moments = [NOON, *[NOON + 5] * 3_500, NOON + MINUTE]
    with (
        played(tmp_path, "kraken", moments, NOON + HOUR) as sim,
        pytest.raises(md.DataUnavailableError, match="in a millisecond"),
    ):
        asked(sim, "kraken", when(NOON), when(NOON + 2 * MINUTE))


@pytest.mark.parametrize("exchange", FROM_TIME)
@pytest.mark.parametrize("count", [1, 2, 999, 1000, 1001])
def test_the_last_trade_of_all_ends_the_range(tmp_path: Path, exchange: str, count: int) -> None:
    moments = [NOON + index // 2 for index in range(count)]
    with played(tmp_path, exchange, moments, NOON + HOUR) as sim:
        for start in (NOON, NOON - DAY):
            rows, _ = asked(sim, exchange, when(start), when(NOON + 2 * MINUTE))
            assert rows == of_moments(moments)
        rows, holes = asked(sim, exchange, when(NOON + MINUTE), when(NOON + 3 * MINUTE))
        assert (rows, lacked(holes)) == ([], [NOON + MINUTE, NOON + 2 * MINUTE])


@pytest.mark.parametrize("exchange", FROM_TIME)
def test_days_without_trades_in_between(tmp_path: Path, exchange: str) -> None:
    moments = [NOON - 3 * DAY, NOON - 3 * DAY + 1, NOON - DAY, NOON]
    with played(tmp_path, exchange, moments, NOON + HOUR) as sim:
        rows, holes = asked(sim, exchange, when(NOON - 4 * DAY), when(NOON + MINUTE))

    assert rows == of_moments(moments)
    assert [hole.bars for hole in holes] == [1440, 2879, 1439]


# ------------------------------------------------------------------------- what cannot be proven


def newest_only(quirk: Quirk) -> Quirk:
    """As most exchanges without candles are."""
    return replace(
        quirk,
        trades_from_id=None,
        trades_from_time=False,
        trades_before_time=None,
        old_trades_per_request=None,
    )


@pytest.mark.parametrize("exchange", DIALECTS)
def test_the_newest_page_is_used_if_it_reaches_back_far_enough(
    sim: SimulatedExchange, exchange: str
) -> None:
    start = NOW - timedelta(minutes=3, seconds=30)
    rows, holes = asked(sim, exchange, start, NOW + timedelta(minutes=1), change=newest_only)

    same(rows, truth(exchange, start, NOW + timedelta(minutes=1)))
    assert lacked(holes) == quiet(rows, start, NOW - timedelta(seconds=30))


@pytest.mark.parametrize("exchange", DIALECTS)
def test_the_newest_page_gives_only_its_complete_bars(
    sim: SimulatedExchange, exchange: str
) -> None:
    start, stop = NOW - timedelta(hours=2), NOW + timedelta(minutes=1)
    rows, holes = asked(sim, exchange, start, stop, change=newest_only)

    [gone] = [hole for hole in holes if hole.cause == "not_served"]
    assert gone.start - start < timedelta(minutes=1)
    same(rows, truth(exchange, gone.end, stop))
    assert 0 < len(rows) < 120
    assert len(rows) + sum(hole.bars for hole in holes) in (120, 121)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_the_newest_page_is_not_used_if_it_is_shorter_than_a_bar(
    sim: SimulatedExchange, exchange: str
) -> None:
    with pytest.raises(md.DataUnavailableError, match="only gives its newest trades") as caught:
        asked(sim, exchange, NOW - timedelta(days=40), NOW, "1d", change=newest_only)
    assert caught.value.details["exchange"] == exchange
    assert not caught.value.retryable


def test_an_empty_newest_page_proves_nothing(gateway: Gateway) -> None:
    gateway.answer("*/trades", [])
    with pytest.raises(md.DataUnavailableError, match="no trades from that far back"):
        asked(gateway, "binance", NOW - timedelta(minutes=3), NOW, change=newest_only)


def test_trades_that_the_exchange_keeps_for_a_limited_time(gateway: Gateway) -> None:
    start = NOW - timedelta(minutes=20)
    kept = ms(NOW - timedelta(minutes=10))

    def forget(answer: Any) -> None:
        answer["data"] = [one for one in answer["data"] if int(one["ts"]) >= kept]

    gateway.edit("*/history-trades", forget)
    rows, holes = asked(gateway, "okx", start, NOW)
    [gone] = [hole for hole in holes if hole.cause == "not_served"]
    same(rows, truth("okx", gone.end, NOW))
    assert gone.start <= when(kept) < gone.end
    rows, _ = asked(gateway, "okx", when(kept + MINUTE), NOW)
    same(rows, truth("okx", when(kept + MINUTE), NOW))


@pytest.mark.parametrize(
    ("exchange", "path", "rows_of"),
    [
        ("binance", "*/historicalTrades", lambda answer: answer),
        ("kraken", "*/Trades", lambda answer: answer["result"]["XBTUSDT"]),
        ("coinbaseexchange", "*/trades", lambda answer: answer),
        ("okx", "*/history-trades", lambda answer: answer["data"]),
    ],
)
def test_pages_that_do_not_overlap_are_detected(
    gateway: Gateway, exchange: str, path: str, rows_of: Callable[[Any], list[Any]]
) -> None:
    pages = 0

    def leave_out(answer: Any) -> None:
        # What the second page begins with is not there: nobody knows what else is not.
        nonlocal pages
        rows = rows_of(answer)
        if len(rows) > 3:
            pages += 1
            newest_first = exchange in ("coinbaseexchange", "okx")
            if pages == 2:
                del rows[: 3 if not newest_first else 2]

    gateway.edit(path, leave_out)
    start = NOW - timedelta(hours=1)
    with pytest.raises(md.DataUnavailableError, match="do not join"):
        asked(gateway, exchange, start, start + timedelta(minutes=40))
    assert pages == 2


def test_trades_without_ids_cannot_be_continued(gateway: Gateway) -> None:
    def strip(answer: Any) -> None:
        for row in answer["result"]["XBTUSDT"]:
            del row[6:]

    gateway.edit("*/Trades", strip)
    with pytest.raises(md.DataUnavailableError, match="do not join"):
        asked(gateway, "kraken", NOW - timedelta(hours=1), NOW)


def test_an_exchange_without_trades_is_an_error(sim: SimulatedExchange) -> None:
    async def main() -> None:
        settings = Settings.from_environment()
        kraken = connector_class("kraken")

        class WithoutTrades(kraken):
            def describe(self) -> Any:
                described = super().describe()
                return {**described, "has": {**described["has"], "fetchTrades": False}}

        WithoutTrades.__name__ = "kraken"
        venue = open_venue(WithoutTrades, sim.url, settings=settings)
        try:
            await TradesSeries(venue, "BTC/USDT", "1m").between(NOON, NOON + HOUR)
        finally:
            await venue.close()

    with pytest.raises(md.DataUnavailableError, match="offers no trades"):
        asyncio.run(main())


# ------------------------------------------------------------------------- real trades


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest) -> Path:
    folder = request.config.getoption("--recorded")
    if not folder:
        pytest.skip("needs the folder of recorded data: --recorded DIR or MARKETDATA_RECORDED")
    return Path(folder) / "candles"


def read(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt") as file:
        return list(csv.reader(file))[1:]


def as_recorded(rows: Sequence[Row], recorded: Path) -> None:
    own = read(recorded / "kraken_BTC_USDT-1m.csv.gz")
    assert [row[:5] for row in rows] == [(int(one[0]), *map(float, one[1:5])) for one in own]
    volumes = [float(one[5]) for one in own]
    assert [row[5] for row in rows] == pytest.approx(volumes, rel=1e-9)


def test_real_trades_make_the_recorded_bars(recorded: Path) -> None:
    trades = read(recorded / "kraken_BTC_USDT-trades.csv.gz")
    ticks = ((int(row[0]), float(row[4]), float(row[5])) for row in trades)
    columns = bars_of(ticks, "1m")

    as_recorded(columns.rows(), recorded)
    assert sum(columns.trades) == len(trades)


def test_replayed_real_trades_make_the_recorded_bars(recorded: Path) -> None:
    with SimulatedExchange(tape=recorded / "kraken_BTC_USDT-trades.csv.gz") as sim:
        rows, holes = asked(sim, "kraken", "2023-11-17", "2023-11-22T08:42")

    as_recorded(rows, recorded)
    assert (len(holes), sum(hole.bars for hole in holes)) == (1367, 2334)
    assert {hole.cause for hole in holes} == {"no_trades"}
    first = [(f"{hole.start:%H:%M}", hole.bars) for hole in holes[:3]]
    assert first == [("00:06", 1), ("00:15", 1), ("00:18", 1)]
