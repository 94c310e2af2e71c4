"""Invalid bars are requested twice, never stored, and do not affect the others."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.feather
import pyarrow.parquet
import pytest
from library.gateway import Gateway

import marketdata as md

from .conftest import Before, Connect, Play
from .tapes import at, holes, minutes, ms, opened, rows, tables

LENGTH = 3200
KLINES = "*/klines"
Change = Callable[[list[Any]], None]


def put(position: int, value: str) -> Change:
    """Change one field of a bar: 1 to 4 are open, high, low and close, 5 the volume."""

    def change(bar: list[Any]) -> None:
        bar[position] = value

    return change


def add_a_second(bar: list[Any]) -> None:
    bar[0] += 1000


UNSOUND: dict[str, Change] = {
    "high below the open": put(2, "1"),
    "low above the close": put(3, "5000"),
    "open above the high": put(1, "5000"),
    "open below the low": put(1, "1"),
    "close above the high": put(4, "5000"),
    "close below the low": put(4, "1"),
    "a price of zero": put(3, "0"),
    "a negative price": put(3, "-1"),
    "a price that is not a number": put(4, "NaN"),
    "an open that is not a number": put(1, "NaN"),
    "an infinite price": put(2, "Infinity"),
    "a negative volume": put(5, "-1"),
    "an infinite volume": put(5, "Infinity"),
}


class Spoiler:
    """Changes one bar in the answers that hold it: ``times`` times, or always (None)."""

    def __init__(self, minute: int, change: Change, times: int | None = None) -> None:
        self._time, self._change, self.left = ms(minute), change, times

    def __call__(self, sent: list[Any]) -> None:
        for bar in sent:
            if bar[0] == self._time and self.left != 0:
                self._change(bar)
                if self.left is not None:
                    self.left -= 1
                return


def candles(client: md.Client, **more: Any) -> md.Candles:
    return client.candles("BTC/USDT", "1m", start=at(0), end=at(LENGTH), **more)


@pytest.fixture
def gateway(play: Play, before: Before) -> Gateway:
    return before(play("binance", LENGTH + 100))


def asked(gateway: Gateway) -> int:
    found = sum("klines" in request for request in gateway.requests)
    gateway.requests.clear()
    return found


@pytest.mark.parametrize("what", UNSOUND)
def test_a_temporarily_invalid_bar_is_requested_again(
    gateway: Gateway, connect: Connect, isolated: Path, what: str
) -> None:
    gateway.edit(KLINES, Spoiler(1500, UNSOUND[what], times=1))
    found = candles(connect(gateway))

    assert rows(found) == minutes(0, LENGTH)
    assert found.missing == ()
    assert asked(gateway) == 4 + 1
    [table] = tables(isolated)
    assert opened(table) == list(range(LENGTH))


@pytest.mark.parametrize("what", UNSOUND)
def test_permanently_invalid_bars_are_not_stored_but_all_others_are(
    gateway: Gateway, connect: Connect, isolated: Path, what: str
) -> None:
    wrong = 1500
    spoiler = Spoiler(wrong, UNSOUND[what])
    gateway.edit(KLINES, spoiler)
    client = connect(gateway)
    found = candles(client)

    assert rows(found) == [row for row in minutes(0, LENGTH) if row[0] != ms(wrong)]
    assert holes(found.missing) == [(wrong, wrong + 1, "not_fetched")]
    [table] = tables(isolated)
    assert opened(table) == [one for one in range(LENGTH) if one != wrong]
    assert client.history.verify() == []

    asked(gateway)
    assert holes(candles(client).missing) == [(wrong, wrong + 1, "not_fetched")]
    assert 1 <= asked(gateway) <= 2  # the one bar is asked for twice
    spoiler.left = 0
    assert rows(candles(client)) == minutes(0, LENGTH)
    assert asked(gateway) == 1
    assert opened(table) == list(range(LENGTH))
    candles(client)
    assert asked(gateway) == 0


@pytest.mark.parametrize("wrong", [0, 999, 1000, 1998, LENGTH - 1])
def test_an_invalid_bar_at_the_edge_of_a_page_or_range(
    gateway: Gateway, connect: Connect, isolated: Path, wrong: int
) -> None:
    spoiler = Spoiler(wrong, put(3, "0"))
    gateway.edit(KLINES, spoiler)
    client = connect(gateway)

    assert holes(candles(client).missing) == [(wrong, wrong + 1, "not_fetched")]
    [table] = tables(isolated)
    assert opened(table) == [one for one in range(LENGTH) if one != wrong]
    spoiler.left = 0
    assert rows(candles(client)) == minutes(0, LENGTH)
    assert opened(table) == list(range(LENGTH))


def test_an_invalid_page_is_not_fetched_and_the_others_are(
    gateway: Gateway, connect: Connect
) -> None:
    zero = put(3, "0")

    def spoil(sent: list[Any]) -> None:
        for bar in sent:
            if ms(1000) <= bar[0] < ms(2000):
                zero(bar)

    gateway.edit(KLINES, spoil)
    found = candles(connect(gateway))

    assert holes(found.missing) == [(1000, 2000, "not_fetched")]
    assert rows(found) == minutes(0, LENGTH, (1000, 2000))


def test_an_unusable_page_is_not_fetched_and_the_others_are(
    gateway: Gateway, connect: Connect
) -> None:
    def spoil(sent: list[Any]) -> Any:
        return {"neither": "candles"} if sent and sent[0][0] == ms(1998) else None

    gateway.edit(KLINES, spoil)
    client = connect(gateway)
    found = candles(client)

    # The page behind it begins with the last candle of its time.
    assert holes(found.missing) == [(1999, 2997, "not_fetched")]
    assert rows(found) == minutes(0, LENGTH, (1999, 2997))
    gateway.edit(KLINES, lambda sent: None)
    assert candles(client).missing == ()


def test_a_candle_off_the_calendar_is_kept_once_and_marked(
    gateway: Gateway, connect: Connect, isolated: Path
) -> None:
    gateway.edit(KLINES, Spoiler(1500, add_a_second))
    client = connect(gateway)
    for more in ({}, {}, {"store": False}):
        found = candles(client, **more)
        times = [time - ms(0) for time in found.columns.time]
        assert times == [60_000 * one + 1_000 * (one == 1500) for one in range(LENGTH)]
        assert found.missing == ()
        [flag] = found.quality or ()
        assert (flag.open_time, flag.quality) == (at(1500) + timedelta(seconds=1), "off_calendar")
        assert found[1500].quality == "off_calendar"
        assert found[1499].quality is None
        frame = found.to_pandas()
        assert list(frame["quality"].dropna()) == ["off_calendar"]
    assert client.history.verify() == []


def test_unusual_candles_are_marked_in_every_frame_and_file(
    gateway: Gateway, connect: Connect, isolated: Path, tmp_path: Path
) -> None:
    gateway.edit(KLINES, Spoiler(1500, add_a_second))
    client = connect(gateway)
    assert candles(client).to_arrow().column_names[-1] == "quality"

    def revise(sent: list[Any]) -> list[Any]:
        Spoiler(1500, add_a_second)(sent)
        for bar in sent:
            bar[5] = "9.5" if bar[0] == ms(1600) else bar[5]
        return [bar for bar in sent if bar[0] != ms(1700)]

    gateway.edit(KLINES, revise)
    candles(client, refresh=True)
    found = candles(client, fill="previous")
    odd = {ms(1500) + 1000: "off_calendar", ms(1600): "revised"}

    def marks(times: list[int], quality: list[str | None]) -> dict[int, str]:
        return {time: mark for time, mark in zip(times, quality, strict=True) if mark}

    times = found.columns.time.tolist()
    expected = odd | {ms(1700): "filled"}
    pandas = found.to_pandas()["quality"]
    assert marks(times, [None if pd.isna(one) else one for one in pandas]) == expected
    assert marks(times, found.to_polars()["quality"].to_list()) == expected
    assert marks(times, found.to_arrow()["quality"].to_pylist()) == expected
    assert {index: bar.quality for index, bar in enumerate(found) if bar.quality} == {
        1500: "off_calendar",
        1600: "revised",
        1700: "filled",
    }
    lines = list(csv.DictReader(found.to_csv().splitlines()))
    assert marks(times, [line["quality"] or None for line in lines]) == expected

    stored = candles(client)
    for name in ("all.csv", "all.parquet", "all.feather"):
        client.history.export(tmp_path / name, "BTC/USDT", "1m")
    assert (tmp_path / "all.csv").read_text() == stored.to_csv()
    for table in (
        pyarrow.parquet.read_table(tmp_path / "all.parquet"),
        pyarrow.feather.read_table(tmp_path / "all.feather"),
    ):
        assert table.equals(stored.to_arrow().combine_chunks())
        assert marks(stored.columns.time.tolist(), table["quality"].to_pylist()) == odd
    client.history.export(tmp_path / "few.csv", "BTC/USDT", "1m", end=at(1500))
    assert "quality" not in (tmp_path / "few.csv").read_text()


def test_unsorted_bars_are_sorted(gateway: Gateway, connect: Connect, isolated: Path) -> None:
    def shuffle(sent: list[Any]) -> None:
        sent.sort(key=lambda bar: bar[0] * 7919 % 1009)

    gateway.edit(KLINES, shuffle)
    assert rows(candles(connect(gateway))) == minutes(0, LENGTH)
    [table] = tables(isolated)
    assert opened(table) == list(range(LENGTH))


def test_repeated_bars_are_one_bar(gateway: Gateway, connect: Connect, isolated: Path) -> None:
    gateway.edit(KLINES, lambda sent: [bar for bar in sent for _ in range(2)])
    found = candles(connect(gateway))

    assert rows(found) == minutes(0, LENGTH)
    assert found.missing == ()
    [table] = tables(isolated)
    assert opened(table) == list(range(LENGTH))


def double(minute: int, times: int | None) -> Callable[[list[Any]], Any]:
    """Send another version of a bar after it."""
    left = times

    def change(sent: list[Any]) -> Any:
        nonlocal left
        found = [bar for bar in sent if bar[0] == ms(minute)]
        if not found or left == 0:
            return None
        left = None if left is None else left - 1
        index = sent.index(found[0])
        return [*sent[: index + 1], [*found[0][:5], "77", *found[0][6:]], *sent[index + 1 :]]

    return change


@pytest.mark.parametrize("minute", [700, 999, 1500])
def test_two_versions_of_a_bar_are_a_gap_until_the_exchange_sends_one(
    gateway: Gateway, connect: Connect, minute: int
) -> None:
    gateway.edit(KLINES, double(minute, None))
    client = connect(gateway)
    assert holes(candles(client).missing) == [(minute, minute + 1, "not_fetched")]
    gateway.edit(KLINES, double(minute, 1))
    assert rows(candles(client)) == minutes(0, LENGTH)


# ---------------------------------------------------------------------------- seams


def last_of_its_page(minute: int, change: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    """Change a bar at the end of a page, but not at the start of one."""

    def edit(sent: list[Any]) -> Any:
        if len(sent) > 2 and sent[-1][0] == ms(minute):
            return change(sent)
        return None

    return edit


def with_another_close(sent: list[Any]) -> None:
    sent[-1][4] = sent[-1][2]


def without_it(sent: list[Any]) -> Any:
    return sent[:-1]


def test_temporarily_contradicting_pages_are_requested_again(
    gateway: Gateway, connect: Connect, isolated: Path
) -> None:
    left = [1]

    def change(sent: list[Any]) -> None:
        if left[0]:
            left[0] -= 1
            with_another_close(sent)

    gateway.edit(KLINES, last_of_its_page(999, change))
    found = candles(connect(gateway))

    assert rows(found) == minutes(0, LENGTH)
    assert found.missing == ()
    assert asked(gateway) == 4 + 2
    [table] = tables(isolated)
    assert opened(table) == list(range(LENGTH))


@pytest.mark.parametrize("seam", [999, 1998])
def test_a_bar_that_pages_contradict_is_not_stored(
    gateway: Gateway, connect: Connect, isolated: Path, seam: int
) -> None:
    gateway.edit(KLINES, last_of_its_page(seam, with_another_close))
    client = connect(gateway)
    found = candles(client)

    assert holes(found.missing) == [(seam, seam + 1, "not_fetched")]
    assert rows(found) == minutes(0, LENGTH, (seam, seam + 1))
    [table] = tables(isolated)
    assert opened(table) == [one for one in range(LENGTH) if one != seam]
    # Asked for by itself it is no longer the last one of a page.
    assert rows(candles(client)) == minutes(0, LENGTH)


@pytest.mark.parametrize("seam", [999, 1998])
def test_a_bar_only_in_the_later_page_removes_no_other(
    gateway: Gateway, connect: Connect, seam: int
) -> None:
    def change(sent: list[Any]) -> Any:
        """Never send the bar but as the first one of a page of many."""
        return [bar for bar in sent if bar[0] != ms(seam) or (bar is sent[0] and len(sent) > 900)]

    gateway.edit(KLINES, change)
    client = connect(gateway)
    found = candles(client)

    assert holes(found.missing) == [(seam, seam + 1, "not_fetched")]
    assert rows(found) == minutes(0, LENGTH, (seam, seam + 1))
    gateway.edit(KLINES, lambda sent: None)
    assert rows(candles(client)) == minutes(0, LENGTH)


# ---------------------------------------------------------------------------- what is stored


def test_a_revised_last_bar_replaces_the_stored_one(
    gateway: Gateway, connect: Connect, isolated: Path
) -> None:
    client = connect(gateway)
    gateway.edit(KLINES, Spoiler(499, put(5, "9.75")))
    found = client.candles("BTC/USDT", "1m", start=at(0), end=at(500))
    assert rows(found)[-1][5] == 9.75

    gateway.edit(KLINES, lambda sent: None)
    assert rows(candles(client)) == minutes(0, LENGTH)
    [table] = tables(isolated)
    assert opened(table) == list(range(LENGTH))
    asked(gateway)
    assert rows(candles(client)) == minutes(0, LENGTH)
    assert asked(gateway) == 0


def test_a_revision_is_kept_if_later_pages_fail(gateway: Gateway, connect: Connect) -> None:
    client = connect(gateway)
    gateway.edit(KLINES, Spoiler(499, put(5, "9.75")))
    client.candles("BTC/USDT", "1m", start=at(0), end=at(500))

    def fail_later(answer: Any) -> Any:
        if answer.json and answer.json[0][0] > ms(600):
            answer.status, answer.body = 503, b"{}"
        return answer

    gateway.change(KLINES, fail_later)
    with pytest.raises(md.ExchangeUnavailableError):
        candles(client)
    gateway.requests.clear()
    found = client.candles("BTC/USDT", "1m", start=at(0), end=at(500))
    assert asked(gateway) == 0
    assert rows(found) == minutes(0, 500)


def test_an_impossible_revision_is_not_used(gateway: Gateway, connect: Connect) -> None:
    client = connect(gateway)
    client.candles("BTC/USDT", "1m", start=at(0), end=at(500))
    gateway.edit(KLINES, Spoiler(499, put(3, "0")))
    assert rows(candles(client)) == minutes(0, LENGTH)
