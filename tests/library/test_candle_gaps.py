"""Missing bars are listed, each run once, anywhere in the range."""

from datetime import UTC, datetime, timedelta

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .markets import DIALECTS, PAGES, minutes, ms, record, when

START = datetime(2024, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def taped(tmp_path, connect: Factory):
    """A client of an exchange whose tape has a bar a minute from START on, but for gaps."""
    started: list[SimulatedExchange] = []

    def play(exchange: str, length: int, *gaps: tuple[int, int]) -> md.Client:
        rows = minutes(
            START,
            START + length * MINUTE,
            *[(START + first * MINUTE, START + last * MINUTE) for first, last in gaps],
        )
        path = record(tmp_path, rows, f"{exchange}_BTC_USDT-1m.csv")
        sim = SimulatedExchange(tape=path, now=START + length * MINUTE, frozen=True)
        started.append(sim.__enter__())
        return connect(sim, exchange)

    yield play
    for sim in started:
        sim.__exit__(None, None, None)


def holes(candles: md.Candles) -> list[tuple[int, int, int]]:
    """Holes in minutes since START, and how many bars they say they are."""
    return [
        ((hole.start - START) // MINUTE, (hole.end - START) // MINUTE, hole.bars)
        for hole in candles.missing
    ]


def opened(candles: md.Candles) -> list[int]:
    return [(time - ms(START)) // 60_000 for time in candles.columns.time]


def there(first: int, last: int, *gaps: tuple[int, int]) -> list[int]:
    return [at for at in range(first, last) if not any(low <= at < high for low, high in gaps)]


@pytest.mark.parametrize("exchange", DIALECTS)
def test_gaps_at_the_start_in_the_middle_and_at_the_end(taped, exchange: str) -> None:
    gaps = [(100, 110), (130, 131), (190, 200)]
    client = taped(exchange, 300, *gaps)
    candles = client.candles("BTC/USDT", "1m", start=START + 105 * MINUTE, end=START + 195 * MINUTE)

    assert opened(candles) == there(105, 195, *gaps)
    assert holes(candles) == [(105, 110, 5), (130, 131, 1), (190, 195, 5)]


@pytest.mark.parametrize("exchange", ["binance", "coinbaseexchange", "okx"])
def test_a_gap_across_the_edge_of_a_page(taped, exchange: str) -> None:
    page = PAGES[exchange]
    gaps = [(page - 3, page + 4), (2 * page, 2 * page + 1), (3 * page - 1, 3 * page)]
    client = taped(exchange, 3 * page + 20, *gaps)
    candles = client.candles("BTC/USDT", "1m", start=START)

    assert opened(candles) == there(0, 3 * page + 20, *gaps)
    assert holes(candles) == [(low, high, high - low) for low, high in gaps]


@pytest.mark.parametrize("exchange", ["binance", "coinbaseexchange", "okx"])
def test_a_gap_of_several_pages(taped, exchange: str) -> None:
    page = PAGES[exchange]
    gap = (page // 2, page // 2 + 3 * page)
    client = taped(exchange, 5 * page, gap)
    candles = client.candles("BTC/USDT", "1m", start=START)

    assert opened(candles) == there(0, 5 * page, gap)
    assert holes(candles) == [(*gap, 3 * page)]


@pytest.mark.parametrize("exchange", ["binance", "coinbaseexchange", "okx"])
def test_a_gap_of_several_days_at_the_start_of_the_range(taped, exchange: str) -> None:
    gap = (10, 3 * 1440 + 100)
    client = taped(exchange, 3 * 1440 + 150, gap)
    candles = client.candles("BTC/USDT", "1m", start=START + 20 * MINUTE)

    assert opened(candles) == there(20, 3 * 1440 + 150, gap)
    assert holes(candles) == [(20, gap[1], gap[1] - 20)]


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_range_inside_a_gap(taped, exchange: str) -> None:
    client = taped(exchange, 300, (100, 250))
    candles = client.candles("BTC/USDT", "1m", start=START + 120 * MINUTE, end=START + 240 * MINUTE)

    assert len(candles) == 0
    assert holes(candles) == [(120, 240, 120)]
    assert candles.forming is False


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_gap_that_reaches_to_now(taped, exchange: str) -> None:
    # Nothing was traded in the last ten minutes, of which the tenth is still going on.
    client = taped(exchange, 300, (290, 300))
    candles = client.candles("BTC/USDT", "1m", start=START + 280 * MINUTE)

    assert opened(candles) == list(range(280, 290))
    assert holes(candles) == [(290, 300, 10)]
    assert candles.forming is False


@pytest.mark.parametrize("exchange", DIALECTS)
def test_the_newest_bars_reach_back_across_a_gap(taped, exchange: str) -> None:
    client = taped(exchange, 300, (200, 260))
    candles = client.candles("BTC/USDT", "1m", limit=60)

    assert opened(candles) == [*range(180, 200), *range(260, 300)]
    assert holes(candles) == [(200, 260, 60)]


@pytest.mark.parametrize("exchange", ["binance", "coinbaseexchange", "okx"])
def test_the_newest_bars_reach_back_across_a_gap_of_days(taped, exchange: str) -> None:
    last = 3 * 1440
    client = taped(exchange, last + 5, (50, last))
    candles = client.candles("BTC/USDT", "1m", limit=20)

    assert opened(candles) == [*range(35, 50), *range(last, last + 5)]
    assert holes(candles) == [(50, last, last - 50)]


@pytest.mark.parametrize("exchange", ["binance", "coinbaseexchange", "okx"])
def test_the_last_bars_before_an_end_inside_a_gap(taped, exchange: str) -> None:
    client = taped(exchange, 3 * 1440, (100, 2 * 1440))
    candles = client.candles("BTC/USDT", "1m", limit=10, end=START + 1440 * MINUTE)

    assert opened(candles) == list(range(90, 100))
    assert holes(candles) == [(100, 1440, 1340)]


def test_the_first_bars_from_a_start_inside_a_gap(taped) -> None:
    client = taped("binance", 300, (100, 150))
    candles = client.candles("BTC/USDT", "1m", limit=5, start=START + 120 * MINUTE)

    assert opened(candles) == [150, 151, 152, 153, 154]
    assert holes(candles) == [(120, 150, 30)]


@pytest.mark.parametrize("exchange", DIALECTS)
def test_longer_bars_exist_if_one_of_their_minutes_does(taped, exchange: str) -> None:
    client = taped(exchange, 20 * 60, (61, 290))
    candles = client.candles("BTC/USDT", "1h", start=START)

    # Of 04:00 only the last ten minutes were traded, of 01:00 only the first.
    assert opened(candles) == [60 * hour for hour in [0, 1, *range(4, 20)]]
    assert holes(candles) == [(120, 240, 2)]


def test_a_gap_is_a_range_of_times(taped) -> None:
    client = taped("kraken", 30, (10, 12))
    candles = client.candles("BTC/USDT", "1m", start=START)

    [hole] = candles.missing
    assert hole == md.Interval(
        start=START + 10 * MINUTE, end=START + 12 * MINUTE, bars=2, cause="no_trades"
    )
    assert candles.to_dict()["missing"] == [
        {
            "start": "2024-03-01T00:10:00Z",
            "end": "2024-03-01T00:12:00Z",
            "bars": 2,
            "cause": "no_trades",
        }
    ]
    assert when(ms(hole.start)) == hole.start


def test_slices_and_joins_keep_gaps(taped) -> None:
    client = taped("kraken", 30, (10, 12))
    candles = client.candles("BTC/USDT", "1m", start=START)

    assert candles[:5].missing == ()
    assert candles[8:12].missing == candles.missing
    assert opened(candles[8:12]) == [8, 9, 12, 13]
