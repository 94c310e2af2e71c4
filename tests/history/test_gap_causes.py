"""The cause of missing bars is determined once, stored with them, and returned."""

from __future__ import annotations

from pathlib import Path

import pytest
from library.gateway import Gateway

import marketdata as md

from .conftest import Before, Connect, Play
from .tapes import at, holes, live, minutes, ms, opened, pages, rows, tables

DAY = 1440
OLD = 3 * DAY
"""Where the clock stands for ranges of which nothing can come late."""

EXCHANGES = ["binance", "coinbaseexchange"]
"""One that has bars for quiet times, and one that has none."""


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_no_bars_of_any_pair_mean_an_outage(
    play: Play, connect: Connect, isolated: Path, exchange: str
) -> None:
    both, one = (100, 130), (200, 210)
    sim = play(exchange, 400, both, one, now=OLD, others={"ETH/USDT": [both]})
    client = connect(sim, exchange)
    candles = client.candles("BTC/USDT", "1m", start=at(0), end=at(400))

    assert rows(candles) == minutes(0, 400, both, one)
    assert holes(candles.missing) == [(*both, "outage"), (*one, "no_trades")]
    # The same for other programs: rows without prices that say why.
    [table] = tables(isolated)
    empty = [row for row in live(table).to_pylist() if row["cause"] is not None]
    assert [(row["time"], row["until"], row["cause"], row["close"]) for row in empty] == [
        (at(100), at(130), "outage", None),
        (at(200), at(210), "no_trades", None),
    ]
    sim.forget()
    again = client.candles("BTC/USDT", "1m", start=at(0), end=at(400))
    assert (again.missing, pages(sim)) == (candles.missing, 0)


@pytest.mark.parametrize(
    ("exchange", "cause"), [("binance", "outage"), ("coinbaseexchange", "no_trades")]
)
def test_the_only_pair_of_an_exchange_has_no_trades_or_an_outage(
    play: Play, connect: Connect, exchange: str, cause: str
) -> None:
    sim = play(exchange, 400, (100, 130), now=OLD)
    candles = connect(sim, exchange).candles("BTC/USDT", "1m", start=at(0), end=at(400))

    assert holes(candles.missing) == [(100, 130, cause)]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_gaps_before_the_first_bar_are_not_served(
    play: Play, connect: Connect, isolated: Path, exchange: str
) -> None:
    sim = play(exchange, 400, (0, 50), (70, 80), now=OLD, others={"ETH/USDT": []})
    client = connect(sim, exchange)
    candles = client.candles("BTC/USDT", "1m", start=at(10), end=at(400))

    assert holes(candles.missing) == [(10, 50, "not_served"), (70, 80, "no_trades")]
    assert rows(candles) == minutes(50, 400, (70, 80))
    sim.forget()
    client.candles("BTC/USDT", "1m", start=at(10), end=at(60))
    assert pages(sim) == 0


def test_a_gap_at_the_start_of_a_range_is_not_the_listing(play: Play, connect: Connect) -> None:
    sim = play("binance", 3 * DAY, (DAY, DAY + 30), now=4 * DAY, others={"ETH/USDT": []})
    candles = connect(sim).candles("BTC/USDT", "1m", start=at(DAY + 5), end=at(DAY + 100))

    assert holes(candles.missing) == [(DAY + 5, DAY + 30, "no_trades")]


def test_ranges_before_krakens_window_are_not_served_and_requested_once(
    play: Play, connect: Connect
) -> None:
    sim = play("kraken", 1500, (1400, 1410), now=1500, others={"BTC/USD": []})
    client = connect(sim, "kraken")
    candles = client.candles("BTC/USDT", "1m", start=at(600), end=at(1490))

    first = 1500 - 720 - 10
    assert holes(candles.missing) == [(600, first, "not_served"), (1400, 1410, "no_trades")]
    assert rows(candles) == minutes(first, 1490, (1400, 1410))
    sim.forget()
    again = client.candles("BTC/USDT", "1m", start=at(600), end=at(1490))
    assert (again.missing, pages(sim)) == (candles.missing, 0)


# ---------------------------------------------------------------------------- late bars


@pytest.mark.parametrize("length", [1995, 1999, 2001, 2003, 3300])
def test_missing_newest_bars_are_not_stored_as_gaps(
    play: Play, connect: Connect, before: Before, isolated: Path, length: int
) -> None:
    # Wherever the last page begins: in the midst of what is late, or far into it.
    sim = play("binance", length)
    gateway = before(sim)
    there = 1990
    gateway.edit("*/klines", lambda sent: [bar for bar in sent if bar[0] < ms(there)])
    client = connect(gateway)
    candles = client.candles("BTC/USDT", "1m", start=at(0), end=at(length))
    assert rows(candles) == minutes(0, there)
    # No other pair can tell of an outage that goes on, as of any other gap.
    assert holes(candles.missing) == [(there, length, "outage")]
    [table] = tables(isolated)
    assert live(table)["cause"].null_count == there

    gateway.edit("*/klines", lambda sent: None)
    candles = client.candles("BTC/USDT", "1m", start=at(0), end=at(length))
    assert rows(candles) == minutes(0, length)
    assert candles.missing == ()
    assert opened(table) == list(range(length))


def test_missing_newest_bars_become_gaps_after_a_later_one(
    play: Play, connect: Connect, isolated: Path
) -> None:
    gap = (980, 1100)
    sim = play("binance", 1500, gap, now=1060, others={"ETH/USDT": []})
    client = connect(sim)
    candles = client.candles("BTC/USDT", "1m", start=at(0), end=at(1060))
    assert holes(candles.missing) == [(980, 1060, "no_trades")]
    [table] = tables(isolated)
    assert live(table)["cause"].null_count == 980

    sim.clock.move(at(1500))
    candles = client.candles("BTC/USDT", "1m", start=at(0), end=at(1500))
    assert holes(candles.missing) == [(*gap, "no_trades")]
    assert live(table)["cause"].to_pylist().count("no_trades") == 1
    sim.forget()
    client.candles("BTC/USDT", "1m", start=at(0), end=at(1500))
    assert pages(sim) == 0


def test_a_gap_across_two_recent_pages_is_one_gap(
    play: Play, connect: Connect, isolated: Path
) -> None:
    gap = (990, 1010)
    sim = play("binance", 1300, gap, now=1300, others={"ETH/USDT": []})
    candles = connect(sim).candles("BTC/USDT", "1m", start=at(0), end=at(1300))

    assert holes(candles.missing) == [(*gap, "no_trades")]
    [table] = tables(isolated)
    assert opened(table) == [one for one in range(1300) if not 990 <= one < 1010]
    sim.forget()
    assert connect(sim).candles("BTC/USDT", "1m", start=at(0), end=at(1300)).missing
    assert pages(sim) == 0


def test_a_recent_gap_before_stored_bars_is_stored(play: Play, connect: Connect) -> None:
    sim = play("binance", 500, (90, 100), now=500, others={"ETH/USDT": []})
    client = connect(sim)
    client.candles("BTC/USDT", "1m", start=at(100), end=at(200))
    client.candles("BTC/USDT", "1m", start=at(300), end=at(400))
    candles = client.candles("BTC/USDT", "1m", start=at(0), end=at(400))

    assert holes(candles.missing) == [(90, 100, "no_trades")]
    sim.forget()
    assert client.candles("BTC/USDT", "1m", start=at(0), end=at(400)).missing == candles.missing
    assert pages(sim) == 0


# ---------------------------------------------------------------------------- fill and strict


def test_fill_and_strict_use_the_stored_causes(play: Play, connect: Connect) -> None:
    sim = play("binance", 200, (0, 20), (50, 60), now=OLD, others={"ETH/USDT": []})
    client = connect(sim)

    def ask(**more: object) -> md.Candles:
        return client.candles("BTC/USDT", "1m", start=at(10), end=at(200), **more)

    for _ in range(2):
        filled = ask(fill="previous")
        assert holes(filled.filled or ()) == [(50, 60, "no_trades")]
        assert holes(filled.missing) == [(10, 20, "not_served")]
        assert [row[0] for row in rows(filled)] == [ms(one) for one in range(20, 200)]
        close = minutes(49, 50)[0][4]
        assert rows(filled)[30:40] == [(ms(one), *[close] * 4, 0.0) for one in range(50, 60)]
        with pytest.raises(md.DataUnavailableError) as caught:
            ask(fill="previous", strict=True)
        assert [hole["cause"] for hole in caught.value.details["missing"]] == ["not_served"]
        with pytest.raises(md.DataUnavailableError):
            ask(strict=True)
    whole = client.candles("BTC/USDT", "1m", start=at(20), end=at(200), fill="zero", strict=True)
    assert len(whole) == 180
    # Nothing that was made up is stored.
    assert rows(ask()) == minutes(20, 200, (50, 60))


# ---------------------------------------------------------------------------- fetched anew


def changed(gateway: Gateway, volume: str) -> None:
    """Give each bar another volume."""

    def edit(sent: list[list[object]]) -> None:
        for bar in sent:
            bar[5] = volume

    gateway.edit("*/klines", edit)


def revised_after_download(
    play: Play, connect: Connect, before: Before
) -> tuple[Gateway, md.Client]:
    """Return an exchange that revised its candles after a client has stored them."""
    gateway = before(play("binance", 3000, now=OLD + 3000))
    client = connect(gateway)
    client.candles("BTC/USDT", "1m", start=at(0), end=at(3000))
    changed(gateway, "7")
    return gateway, client


def test_refresh_replaces_stored_bars(
    play: Play, connect: Connect, before: Before, isolated: Path
) -> None:
    _, client = revised_after_download(play, connect, before)

    def volumes(**more: object) -> list[float]:
        found = client.candles("BTC/USDT", "1m", start=at(0), end=at(3000), **more)
        assert [row[:5] for row in rows(found)] == [row[:5] for row in minutes(0, 3000)]
        return list(found.columns.volume)

    assert set(volumes()) == {1.5}
    part = client.candles("BTC/USDT", "1m", start=at(500), end=at(2500), refresh=True)
    assert set(part.columns.volume) == {7.0}
    assert volumes() == [1.5] * 500 + [7.0] * 2000 + [1.5] * 500
    [table] = tables(isolated)
    assert opened(table) == list(range(3000))
    assert client.history.verify() == []


def test_a_failed_refresh_keeps_stored_bars(
    play: Play, connect: Connect, before: Before, isolated: Path
) -> None:
    gateway, client = revised_after_download(play, connect, before)

    def fail_later(answer: object) -> object:
        if answer.json[0][0] >= ms(1900):
            answer.status, answer.body = 503, b"{}"
        return answer

    gateway.change("*/klines", fail_later)
    with pytest.raises(md.ExchangeUnavailableError):
        client.candles("BTC/USDT", "1m", start=at(0), end=at(3000), refresh=True)
    gateway.requests.clear()
    stored = client.candles("BTC/USDT", "1m", start=at(0), end=at(3000))
    assert rows(stored) == minutes(0, 3000)
    assert not any("klines" in request for request in gateway.requests)


def test_a_refresh_keeps_stored_bars_if_the_new_ones_are_invalid(
    play: Play, connect: Connect, before: Before
) -> None:
    gateway = before(play("binance", 300, now=OLD))
    client = connect(gateway)
    client.candles("BTC/USDT", "1m", start=at(0), end=at(300))

    def spoil(sent: list[list[object]]) -> None:
        for bar in sent:
            bar[5] = "7" if bar[0] != ms(150) else "-1"

    gateway.edit("*/klines", spoil)
    found = client.candles("BTC/USDT", "1m", start=at(0), end=at(300), refresh=True)
    assert list(found.columns.volume) == [7.0] * 150 + [1.5] + [7.0] * 149
    assert found.missing == ()
