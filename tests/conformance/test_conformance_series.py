"""Candles over more than one page, from a real pagination with a real outage in it."""

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import expected
import invariants
import playback
import pytest
from recorded import Recordings

HOUR = 3_600_000


@pytest.fixture
def pages(recordings: Recordings) -> list[list[Any]]:
    """Two pages of binance's hourly bars, which continue each other."""
    return [
        case.body
        for case in recordings.cases
        if (case.exchange, case.source) == ("binance", "rest")
        and case.description.startswith("page ")
    ]


def _ask(recordings: Recordings, asked: Any, home: Any, monkeypatch: Any, **arguments: Any) -> Any:
    async def candles() -> Any:
        async with playback.client(
            home, "binance", asked, recordings.markets("binance"), monkeypatch=monkeypatch
        ) as client:
            return await client.candles("BTC/USDT", **arguments)

    return asyncio.run(candles())


def _rows(bars: Any) -> list[tuple[Any, ...]]:
    return [
        (row[0], *(expected.digits(number) for number in row[1:6]), row[6])
        for row in bars.to_dict()["candles"]
    ]


def _sent(rows: list[Any]) -> list[tuple[Any, ...]]:
    return [(row[0], *(expected.digits(text) for text in row[1:6]), row[8]) for row in rows]


@pytest.mark.parametrize("repeated", [1, 7])
def test_two_pages_are_one_series(
    repeated: int,
    pages: list[list[Any]],
    recordings: Recordings,
    tmp_path: Any,
    monkeypatch: Any,
) -> None:
    first, second = pages
    # The second page is asked for from the last bar of the first on.
    asked = playback.Playback(first, first[len(first) - repeated :] + second, further=[])
    start, end = first[0][0], second[-1][0] + HOUR
    bars = _ask(recordings, asked, tmp_path, monkeypatch, timeframe="1h", start=start, end=end)
    invariants.check(bars)
    assert _rows(bars) == _sent(first + second)
    asked_from = [int(parse_qs(urlsplit(url).query)["startTime"][0]) for url in asked.urls]
    assert asked_from[:2] == [start, first[-1][0]]
    assert not asked.strays
    [outage] = bars.missing
    assert outage.bars == 3
    assert outage.cause == "outage"
    assert outage.start == datetime(2020, 6, 28, 2, tzinfo=UTC)
    assert outage.end == datetime(2020, 6, 28, 5, tzinfo=UTC)


@pytest.mark.parametrize(("limit", "requests"), [(1000, 1), (1001, 2), (1200, 2), (1468, 2)])
def test_newest_bars_of_two_pages(
    limit: int,
    requests: int,
    pages: list[list[Any]],
    recordings: Recordings,
    tmp_path: Any,
    monkeypatch: Any,
) -> None:
    every = pages[0] + pages[1]

    def klines(url: str) -> list[Any]:
        asked = {
            name: int(text[0])
            for name, text in parse_qs(urlsplit(url).query).items()
            if text[0].isdecimal()
        }
        inside = [row for row in every if row[0] >= asked.get("startTime", 0)]
        return inside[: asked["limit"]] if "startTime" in asked else inside[-asked["limit"] :]

    asked = playback.Playback(answer=klines)
    bars = _ask(recordings, asked, tmp_path, monkeypatch, timeframe="1h", limit=limit)
    invariants.check(bars)
    assert _rows(bars) == _sent(every[-limit:])
    assert len(asked.urls) == requests


@pytest.mark.parametrize(("seconds", "forming"), [(0, True), (299, True), (300, False)])
def test_last_bar_forms_until_the_exchanges_clock_has_reached_its_end(
    seconds: int, forming: bool, recordings: Recordings, tmp_path: Any, monkeypatch: Any
) -> None:
    rows = next(case.body for case in recordings.cases if case.input[1:2] == ["5m"])
    now = datetime.fromtimestamp(rows[-1][0] / 1000 + seconds, UTC)
    asked = playback.Playback(rows, date=format_datetime(now, usegmt=True))
    bars = _ask(recordings, asked, tmp_path, monkeypatch, timeframe="5m", limit=len(rows))
    invariants.check(bars)
    assert bars.forming is forming
    assert bars.timestamp == now
    assert [bar.forming for bar in bars] == [False] * (len(rows) - 1) + [forming]
    assert bars.missing == ()
