"""Candles from a start to an end: complete, sorted, without repeats, in few pages."""

from datetime import UTC, date, datetime, timedelta

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .markets import DIALECTS, NOW, PAGES, bars, minutes, ms, record, when

HOUR = 3_600_000
CANDLE_PATHS = ("klines", "OHLC", "candles")


def pages(sim: SimulatedExchange) -> int:
    return sum(request.path.endswith(CANDLE_PATHS) for request in sim.requests)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_the_start_is_inclusive_and_the_end_exclusive(client: md.Client, exchange: str) -> None:
    start, end = NOW.replace(hour=3, minute=0, second=0), NOW.replace(hour=9, minute=0, second=0)
    candles = client.candles("BTC/USDT", "1h", start=start, end=end, exchange=exchange)

    assert [bar.open_time.hour for bar in candles] == [3, 4, 5, 6, 7, 8]
    assert candles.columns.rows() == bars(exchange, "BTC/USDT", "1h", start, end)
    assert (candles.missing, candles.forming) == ((), False)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_bars_open_between_a_start_and_an_end_off_the_grid(
    client: md.Client, exchange: str
) -> None:
    start = NOW.replace(hour=3, minute=0, second=0, microsecond=1_000)
    end = NOW.replace(hour=9, minute=0, second=0, microsecond=1_000)
    candles = client.candles("BTC/USDT", "1h", start=start, end=end, exchange=exchange)

    assert [bar.open_time.hour for bar in candles] == [4, 5, 6, 7, 8, 9]
    assert candles.missing == ()


@pytest.mark.parametrize("exchange", DIALECTS)
def test_exactly_one_bar(client: md.Client, exchange: str) -> None:
    start = NOW.replace(hour=3, minute=0, second=0)
    one = client.candles(
        "BTC/USDT", "1h", start=start, end=start + timedelta(milliseconds=1), exchange=exchange
    )

    assert [bar.open_time for bar in one] == [start]


@pytest.mark.parametrize("exchange", ["binance", "coinbaseexchange", "okx"])
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_ranges_of_about_a_page_are_complete(
    client: md.Client, sim: SimulatedExchange, exchange: str, over: int
) -> None:
    page = PAGES[exchange]
    wanted = 2 * page + over
    start = ms(NOW) - ms(NOW) % HOUR - 3 * page * HOUR
    candles = client.candles(
        "BTC/USDT", "1h", start=start, end=start + wanted * HOUR, exchange=exchange
    )

    assert len(candles) == wanted
    assert candles.columns.rows() == bars(exchange, "BTC/USDT", "1h", start, start + wanted * HOUR)
    assert candles.missing == ()
    # The second page begins with the last bar of the first, so that their seam is seen twice.
    assert pages(sim) == (2 if over < 0 else 3)


@pytest.mark.parametrize("over", [-1, 0])
def test_kraken_gives_its_whole_window_in_one_page(
    client: md.Client, sim: SimulatedExchange, over: int
) -> None:
    start = ms(NOW) - ms(NOW) % HOUR - (719 + over) * HOUR
    candles = client.candles("BTC/USDT", "1h", start=start, exchange="kraken")

    assert candles.columns.rows() == bars("kraken", "BTC/USDT", "1h", start)
    assert len(candles) == 720 + over
    assert candles.missing == ()
    assert candles.forming
    assert pages(sim) == 1


def test_bars_before_krakens_window_are_missing(client: md.Client, sim: SimulatedExchange) -> None:
    first = ms(NOW) - ms(NOW) % HOUR - 719 * HOUR
    start = first - 1000 * HOUR
    candles = client.candles("BTC/USDT", "1h", start=start, exchange="kraken")

    assert candles.columns.rows() == bars("kraken", "BTC/USDT", "1h", first)
    [hole] = candles.missing
    assert (hole.start, hole.end, hole.bars) == (when(start), when(first), 1000)
    assert pages(sim) == 1


def test_a_range_before_krakens_window_is_missing(
    client: md.Client, sim: SimulatedExchange
) -> None:
    candles = client.candles(
        "BTC/USDT", "1h", start="2023-01-01", end="2023-01-02", exchange="kraken"
    )

    assert len(candles) == 0
    [hole] = candles.missing
    assert (hole.start, hole.bars) == (datetime(2023, 1, 1, tzinfo=UTC), 24)
    assert pages(sim) == 1
    assert candles.forming is False
    assert candles.to_dict()["candles"] == []


@pytest.mark.parametrize("exchange", DIALECTS)
def test_without_an_end_a_range_ends_with_the_open_bar(client: md.Client, exchange: str) -> None:
    start = NOW - timedelta(hours=5)
    candles = client.candles("BTC/USDT", "15m", start=start, exchange=exchange)

    assert candles[-1].open_time == NOW.replace(minute=0, second=0)
    assert candles.forming
    assert [bar.forming for bar in candles].count(True) == 1
    assert len(candles) == 20


@pytest.mark.parametrize("exchange", DIALECTS)
def test_an_end_in_the_future_is_not_missing(client: md.Client, exchange: str) -> None:
    start = NOW.replace(hour=10, minute=0, second=0)
    candles = client.candles(
        "BTC/USDT", "1h", start=start, end=NOW + timedelta(days=2), exchange=exchange
    )

    assert [bar.open_time.hour for bar in candles] == [10, 11, 12]
    assert candles.missing == ()
    assert candles.forming


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_range_from_before_the_listing_begins_with_a_gap(
    client: md.Client, sim: SimulatedExchange, exchange: str
) -> None:
    # PEPE/USDT was listed on 2023-05-05.
    candles = client.candles(
        "PEPE/USDT", "1d", start="2020-01-01", end="2023-05-20", exchange=exchange
    )

    listed = datetime(2023, 5, 5, tzinfo=UTC)
    assert candles[0].open_time == listed
    assert candles.columns.rows() == bars(exchange, "PEPE/USDT", "1d", listed, "2023-05-20")
    [hole] = candles.missing
    assert (hole.start, hole.end) == (datetime(2020, 1, 1, tzinfo=UTC), listed)
    assert hole.bars == (listed - hole.start).days
    assert pages(sim) <= 7


@pytest.mark.parametrize("exchange", ["binance", "coinbaseexchange", "okx"])
def test_years_before_the_listing_take_few_requests(
    client: md.Client, sim: SimulatedExchange, exchange: str
) -> None:
    candles = client.candles(
        "PEPE/USDT", "1m", start=date(1970, 1, 2), end="2023-05-05T00:10", exchange=exchange
    )

    assert candles.columns.rows() == bars(
        exchange, "PEPE/USDT", "1m", "2023-05-05", "2023-05-05T00:10"
    )
    assert candles.missing[0].start == datetime(1970, 1, 2, tzinfo=UTC)
    assert sum(hole.bars for hole in candles.missing) + len(candles) == (
        (ms("2023-05-05T00:10") - ms("1970-01-02")) // 60_000
    )
    assert pages(sim) <= 22


@pytest.mark.parametrize(
    ("start", "end"),
    [("2024-03-02", "2024-03-01"), ("2024-03-01", "2024-03-01"), ("2024-03-01", "1970-01-02")],
)
def test_a_range_that_ends_before_its_start_is_refused_without_a_request(
    client: md.Client, sim: SimulatedExchange, start: str, end: str
) -> None:
    with pytest.raises(md.InvalidParameterError) as caught:
        client.candles("BTC/USDT", "1h", start=start, end=end)

    assert caught.value.details["parameter"] == "start"
    assert "before end" in str(caught.value)
    assert pages(sim) == 0


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_range_in_the_exchanges_future_is_refused(client: md.Client, exchange: str) -> None:
    # In our past, but the exchange's clock stands at NOW.
    with pytest.raises(md.InvalidParameterError) as caught:
        client.candles("BTC/USDT", "1h", start=NOW + timedelta(hours=2), exchange=exchange)

    assert caught.value.details["parameter"] == "start"


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("limit", [1, 5])
def test_start_and_limit_give_the_first_bars_of_a_range(
    client: md.Client, exchange: str, limit: int
) -> None:
    start = NOW - timedelta(days=2)
    candles = client.candles("BTC/USDT", "1h", start=start, limit=limit, exchange=exchange)

    assert candles.columns.rows() == bars(exchange, "BTC/USDT", "1h", start)[:limit]
    assert (candles.missing, candles.forming) == ((), False)


@pytest.mark.parametrize("exchange", ["binance", "coinbaseexchange", "okx"])
def test_start_and_a_limit_of_more_than_a_page(client: md.Client, exchange: str) -> None:
    limit = PAGES[exchange] + 5
    start = ms(NOW) - ms(NOW) % HOUR - 3 * limit * HOUR
    candles = client.candles("BTC/USDT", "1h", start=start, limit=limit, exchange=exchange)

    assert candles.columns.rows() == bars(exchange, "BTC/USDT", "1h", start)[:limit]
    assert candles.missing == ()


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("limit", [1, 30])
def test_end_and_limit_give_the_last_bars_before_the_end(
    client: md.Client, exchange: str, limit: int
) -> None:
    end = NOW.replace(hour=6, minute=0, second=0)
    candles = client.candles("BTC/USDT", "1h", end=end, limit=limit, exchange=exchange)

    assert candles.columns.rows() == bars(
        exchange, "BTC/USDT", "1h", end - timedelta(hours=limit), end
    )
    assert (candles.missing, candles.forming) == ((), False)


def test_end_alone_gives_the_last_hundred_bars(client: md.Client) -> None:
    candles = client.candles("BTC/USDT", "1h", end="2024-04-01")

    assert candles[-1].open_time == datetime(2024, 3, 31, 23, tzinfo=UTC)
    assert len(candles) == 100


def test_an_end_before_the_listing_gives_only_a_gap(
    client: md.Client, sim: SimulatedExchange
) -> None:
    candles = client.candles("PEPE/USDT", "1d", end="2022-01-01", limit=10)

    assert len(candles) == 0
    [hole] = candles.missing
    assert (hole.end, hole.bars) == (datetime(2022, 1, 1, tzinfo=UTC), 10)
    assert pages(sim) <= 3


def test_a_limit_above_the_age_of_a_pair_gives_a_gap_before_the_listing(client: md.Client) -> None:
    candles = client.candles("PEPE/USDT", "1M", limit=24)

    assert candles.columns.rows() == bars("binance", "PEPE/USDT", "1M", "2023-05-01")
    [hole] = candles.missing
    assert (hole.bars, hole.end) == (24 - len(candles), datetime(2023, 5, 1, tzinfo=UTC))
    assert hole.start == datetime(2022, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("keep", [1, 7])
def test_short_pages_are_followed_up(
    sim: SimulatedExchange, connect: Factory, exchange: str, keep: int
) -> None:
    path = {"binance": "*/klines", "kraken": "*/OHLC"}.get(exchange, "*candles")
    sim.faults.add(exchange=exchange, path=path, short=keep, times=4)
    start = NOW.replace(hour=0, minute=0, second=0)
    candles = connect(sim).candles("BTC/USDT", "1h", start=start, exchange=exchange)

    assert candles.columns.rows() == bars(exchange, "BTC/USDT", "1h", start)
    assert candles.missing == ()


@pytest.mark.parametrize("exchange", ["binance", "coinbaseexchange", "okx"])
def test_a_rarely_traded_pair_over_several_pages_is_complete(
    client: md.Client, exchange: str
) -> None:
    start = ms(NOW) - ms(NOW) % 60_000 - 700 * 60_000
    candles = client.candles("LTC/BTC", "1m", start=start, exchange=exchange)

    truth = bars(exchange, "LTC/BTC", "1m", start)
    assert candles.columns.rows() == truth
    last_closed = ms(NOW) - ms(NOW) % 60_000
    there = {row[0] for row in truth}
    gaps = {time for time in range(start, last_closed, 60_000) if time not in there}
    named = {
        time for hole in candles.missing for time in range(ms(hole.start), ms(hole.end), 60_000)
    }
    assert named == gaps


def test_a_recorded_tape_of_minutes_is_paged_without_loss(tmp_path, connect: Factory) -> None:
    rows = minutes("2024-01-01", "2024-01-03")
    path = record(tmp_path, rows)
    with SimulatedExchange(tape=path) as sim:
        candles = connect(sim).candles("BTC/USDT", "1m", start="2024-01-01")

    assert [row[:6] for row in candles.columns] == [(*row[:5], float(row[5])) for row in rows]
    assert (len(candles), candles.missing, candles.forming) == (2880, (), False)


def test_the_parsed_range_is_reported(client: md.Client) -> None:
    found = client.candles("BTC/USDT", "1d", start="2024-01-31", end="2 February 2024")
    assert found.start == datetime(2024, 1, 31, tzinfo=UTC)
    assert found.end == datetime(2024, 2, 2, tzinfo=UTC)
    assert found.to_dict()["start"] == "2024-01-31T00:00:00Z"
    assert found[:1].start == found.start
    quarter = client.candles("BTC/USDT", "1d", start="Q1 2024", end="2024-01-03")
    assert quarter.start == datetime(2024, 1, 1, tzinfo=UTC)
    newest = client.candles("BTC/USDT", "1h", limit=2)
    assert (newest.start, newest.end) == (None, None)
