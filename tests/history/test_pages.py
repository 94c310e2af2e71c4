"""Ranges of about a page are complete, without repeats, in as few requests as possible."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Connect, Play
from .tapes import PATHS, at, holes, minutes, opened, pages, rows, tables

PAGES = {"binance": 1000, "coinbaseexchange": 300, "okx": 300}


def expected_pages(bars: int, page: int) -> int:
    """From the second one on a page begins with the last bar of the one before."""
    return 1 if bars <= page else 1 + -(-(bars - page) // (page - 1))


@pytest.mark.parametrize("exchange", PAGES)
def test_ranges_around_page_edges_are_complete_and_need_no_extra_pages(
    play: Play, connect: Connect, exchange: str
) -> None:
    page = PAGES[exchange]
    sim = play(exchange, 3 * page)
    for length in (1, page - 1, page, page + 1, *range(2 * page - 2, 2 * page + 2)):
        sim.forget()
        candles = connect(sim, exchange).candles(
            "BTC/USDT", "1m", start=at(5), end=at(5 + length), store=False
        )
        assert (length, rows(candles), candles.missing) == (length, minutes(5, 5 + length), ())
        assert (length, pages(sim)) == (length, expected_pages(length, page))


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_krakens_window_is_one_page_and_earlier_bars_are_not_served(
    play: Play, connect: Connect, over: int
) -> None:
    sim = play("kraken", 1000, now=1000)
    # The newest of the 720 bars is the one that is just beginning, which nobody has traded in.
    candles = connect(sim, "kraken").candles("BTC/USDT", "1m", start=at(280 - over), end=at(1000))

    first = max(280, 280 - over)
    assert rows(candles) == minutes(first, 1000)
    assert holes(candles.missing) == ([(279, 280, "not_served")] if over == 1 else [])
    assert pages(sim) == 1


@pytest.mark.parametrize("exchange", PAGES)
@pytest.mark.parametrize("short", [1, 7])
def test_short_pages_are_followed_up_and_stored_completely(
    play: Play, connect: Connect, isolated: Path, exchange: str, short: int
) -> None:
    page = PAGES[exchange]
    length = 4 * page
    sim = play(exchange, length + 10)
    sim.faults.add(exchange=exchange, path=PATHS[exchange], short=short, every=3, times=5)
    candles = connect(sim, exchange).candles("BTC/USDT", "1m", start=at(0), end=at(length))

    assert rows(candles) == minutes(0, length)
    assert candles.missing == ()
    [table] = tables(isolated)
    assert opened(table) == list(range(length))
    # Each short answer costs a request for the rest of its page, and one more where that was
    # shortened, too.
    assert pages(sim) <= expected_pages(length, page) + 5


def test_an_exchange_with_only_short_pages_returns_everything(play: Play, connect: Connect) -> None:
    sim = play("binance", 3000)
    sim.faults.add(path=PATHS["binance"], short=400)
    candles = connect(sim).candles("BTC/USDT", "1m", start=at(0), end=at(2600))

    assert rows(candles) == minutes(0, 2600)
    assert candles.missing == ()
    # Two pages of 1,000 bars come as 400, 400 and 200, the last one, of 602, as 400 and 202.
    assert pages(sim) == 3 + 3 + 2


@pytest.mark.parametrize("exchange", PAGES)
def test_stored_bars_are_not_requested_again(play: Play, connect: Connect, exchange: str) -> None:
    page = PAGES[exchange]
    sim = play(exchange, 4 * page)
    client = connect(sim, exchange)
    client.candles("BTC/USDT", "1m", start=at(page), end=at(2 * page))
    sim.forget()

    # The same, and parts of it: nothing to ask for.
    for start, end in [(page, 2 * page), (page + 3, page + 4), (2 * page - 1, 2 * page)]:
        candles = client.candles("BTC/USDT", "1m", start=at(start), end=at(end))
        assert rows(candles) == minutes(start, end)
    assert pages(sim) == 0

    # What is before it, and what is behind it, a page each.
    candles = client.candles("BTC/USDT", "1m", start=at(page - 10), end=at(2 * page + 10))
    assert rows(candles) == minutes(page - 10, 2 * page + 10)
    assert pages(sim) == 2
    sim.forget()

    # What is in the middle of two stored ranges.
    client.candles("BTC/USDT", "1m", start=at(3 * page), end=at(3 * page + 10))
    sim.forget()
    candles = client.candles("BTC/USDT", "1m", start=at(page - 10), end=at(3 * page + 10))
    assert rows(candles) == minutes(page - 10, 3 * page + 10)
    assert pages(sim) == 1
