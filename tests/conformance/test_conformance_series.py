"""Candles over more than one page, from real paginations; and when the last bar is forming."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import calls
import expected
import invariants
import listings
import playback
import pytest
from recorded import Case, Recordings


class Pages:
    """A series of bars of one exchange, recorded as pages that continue each other."""

    def __init__(self, first: Case, recordings: Recordings) -> None:
        self.exchange = first.exchange
        self.pair, self.timeframe, since, limit = first.input[:4]
        self.markets = listings.markets(recordings, first)
        of = first.description.removeprefix("page 1 ")
        cases = [
            one
            for one in recordings.cases
            if one.exchange == first.exchange and one.description.endswith(of)
        ]
        # Rows that two pages share come but once.
        rows = {row[0]: row for case in cases for row in case.body}
        self.pages = [case.body for case in cases]
        self.rows = [rows[time] for time in sorted(rows)]
        self.bars = [
            row for case in cases for row in asyncio.run(playback.oracle(case, self.markets)).parsed
        ]
        self.counts = expected.counts(self.exchange, self.rows)
        # What the parameters are called is what those were that had the call's values.
        asked = calls.recorded_query(first)
        self.since = next(name for name, text in asked.items() if text == str(since))
        self.limit = next(name for name, text in asked.items() if text == str(limit))

    def sent(self, count: int | None = None) -> list[tuple[Any, ...]]:
        """Return the newest bars as `_rows` gives them."""
        return [
            (row[0], *(expected.digits(number) for number in row[1:6]), self.counts.get(row[0]))
            for row in (self.bars if count is None else self.bars[-count:])
        ]

    def holes(self) -> Iterator[tuple[int, int, int]]:
        """Yield where bars are missing, and how many."""
        grid = expected.openings([self.bars[0][0]], self.timeframe, *self.range)
        step = grid[1] - grid[0]
        for (before, *_), (after, *_) in pairwise(self.bars):
            if after - before > step:
                yield before + step, after, (after - before) // step - 1

    @property
    def range(self) -> tuple[int, int]:
        step = min(later[0] - earlier[0] for earlier, later in pairwise(self.bars))
        return self.bars[0][0], self.bars[-1][0] + step


@pytest.fixture
def pages(first_page: Case, recordings: Recordings) -> Pages:
    return Pages(first_page, recordings)


def _ask(
    asked: Any,
    exchange: str,
    pair: str,
    markets: Any,
    home: Any,
    monkeypatch: Any,
    **arguments: Any,
) -> Any:
    async def candles() -> Any:
        async with playback.client(
            home, exchange, asked, markets, monkeypatch=monkeypatch
        ) as client:
            return await client.candles(pair, **arguments)

    return asyncio.run(candles())


def _rows(bars: Any) -> list[tuple[Any, ...]]:
    return [
        (row[0], *(expected.digits(number) for number in row[1:6]), row[6])
        for row in bars.to_dict()["candles"]
    ]


@pytest.mark.parametrize("repeated", [1, 7])
def test_pages_are_one_series(repeated: int, pages: Pages, tmp_path: Any, monkeypatch: Any) -> None:
    # A page is asked for from the last bar of the one before on.
    bodies = [pages.pages[0]]
    for before, page in pairwise(pages.pages):
        bodies.append(before[len(before) - repeated :] + page)
    asked = playback.Playback(*bodies, further=[])
    start, end = pages.range
    about = (pages.exchange, pages.pair, pages.markets, tmp_path, monkeypatch)
    bars = _ask(asked, *about, timeframe=pages.timeframe, start=start, end=end)
    invariants.check(bars)
    assert _rows(bars) == pages.sent()
    queries = [parse_qs(urlsplit(url).query) for url in asked.urls]
    # The recording has no newest page: that is asked for as well, without a start.
    asked_from = [int(query[pages.since][0]) for query in queries if pages.since in query]
    assert len(queries) - len(asked_from) <= 1
    assert asked_from[: len(bodies)] == [start, *(page[-1][0] for page in pages.pages[:-1])]
    assert len(set(asked.paths)) == 1
    assert [(hole.start, hole.end, hole.bars, hole.cause) for hole in bars.missing] == [
        (expected.moment(opens), expected.moment(ends), count, "outage")
        for opens, ends, count in pages.holes()
    ]


@pytest.mark.parametrize("more", [0, 1, 200, None], ids=["full", "one more", "more", "all"])
def test_newest_bars_of_pages(
    more: int | None, pages: Pages, tmp_path: Any, monkeypatch: Any
) -> None:
    page = len(pages.pages[0])
    limit = len(pages.rows) if more is None else page + more

    def rows(url: str) -> list[Any]:
        asked = {
            name: int(text[0])
            for name, text in parse_qs(urlsplit(url).query).items()
            if text[0].isdecimal()
        }
        inside = [row for row in pages.rows if row[0] >= asked.get(pages.since, 0)]
        wanted = asked[pages.limit]
        return inside[:wanted] if pages.since in asked else inside[-wanted:]

    asked = playback.Playback(answer=rows, date=format_datetime(datetime.now(UTC), usegmt=True))
    about = (pages.exchange, pages.pair, pages.markets, tmp_path, monkeypatch)
    bars = _ask(asked, *about, timeframe=pages.timeframe, limit=limit)
    invariants.check(bars)
    assert _rows(bars) == pages.sent(limit)
    # Another pair tells why candles are missing. Behind the first page so many are requested that
    # the first of all is among them: the pair's own, daily and monthly candles show no earlier one.
    # The recording's clock is not ours, so two more find out whether there are later candles.
    looked = 3 + (3 if limit > page else 0)
    assert len(asked.urls) == -(-limit // page) + looked


@pytest.mark.parametrize("left", [None, 1, 0], ids=["just opened", "a second left", "over"])
def test_last_bar_forms_until_the_exchanges_clock_has_reached_its_end(
    left: int | None,
    bars_case: Case,
    recordings: Recordings,
    tmp_path: Any,
    monkeypatch: Any,
) -> None:
    case = bars_case
    pair, timeframe = case.input[:2]
    markets = listings.markets(recordings, case)
    try:
        times = [row[0] for row in asyncio.run(playback.oracle(case, markets)).parsed]
    except Exception as error:
        if case.of is not None:
            raise
        pytest.skip(f"ccxt itself ends with {type(error).__name__}")
    if not times:
        pytest.skip("ccxt itself finds no bar of the time that it asks for")
    opens, ends = expected.openings(times, timeframe, times[-1], times[-1] + 32 * 86_400_000)[:2]
    now = datetime.fromtimestamp(opens / 1000 if left is None else ends / 1000 - left, UTC)
    asked = playback.Playback(*case.bodies, date=format_datetime(now, usegmt=True))
    about = (case.exchange, pair, markets, tmp_path, monkeypatch)
    bars = _ask(asked, *about, timeframe=timeframe, limit=len(times))
    invariants.check(bars)
    assert bars.forming is (left != 0)
    assert bars.timestamp == now
    assert [bar.forming for bar in bars] == [False] * (len(times) - 1) + [bars.forming]
    assert bars.missing == ()
