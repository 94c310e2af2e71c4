"""Ranges of candles for agents: from the store if possible, and limited in size."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp import Client
from mcp_doors import ask, content, failure, finish, over_stdio
from waiting import taking_at_most

from marketdata import AsyncClient, Candles
from marketdata.settings import Settings
from marketdata.sim import SimulatedExchange
from marketdata_mcp import app

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PAGES = ("klines", "OHLC", "candles", "history-candles")
BTC = {"pair": "BTC/USDT", "exchange": "binance"}

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def settings(simulator: SimulatedExchange, home: Path, tmp_path: Path) -> Settings:
    """A separate store for the test; the descriptions of exchanges are shared."""
    store = str(tmp_path / "candles")
    return Settings(endpoints=simulator.endpoints, home=home, store=store, retries=0)


@pytest.fixture
def call(simulator: SimulatedExchange, settings: Settings) -> Call:
    """Calls get_candles on a new server; afterwards the log holds the requests of that call."""

    def one(**arguments: Any) -> dict[str, Any]:
        (answer,) = _walk(settings, arguments, simulator, pages=1)
        return answer

    return one


def _rows(candles: Candles) -> list[list[Any]]:
    """Return the rows that a call gets which names no columns: all but the number of trades."""
    return [row[:6] for row in candles.to_dict()["candles"]]


def _walk(
    settings: Settings,
    arguments: dict[str, Any],
    simulator: SimulatedExchange,
    pages: int | None = None,
) -> list[dict[str, Any]]:
    """Call get_candles as often as `next` says, each answer checked as the SDK's client does."""

    async def work() -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        client = AsyncClient(settings=settings)
        async with Client(app.Service(client).server()) as connected:
            tools = {tool.name: tool for tool in (await connected.list_tools()).tools}
            schema = tools["get_candles"].output_schema
            await client.pairs(exchange=arguments["exchange"])
            simulator.forget()
            following: dict[str, Any] | None = {}
            while following is not None and len(answers) != pages:
                result = await connected.call_tool("get_candles", {**arguments, **following})
                answers.append(content(result))
                jsonschema.validate(answers[-1], {**(schema or {}), "additionalProperties": False})
                following = answers[-1].get("next")
        return answers

    return finish(work())


def _whole(settings: Settings, tmp_path: Path, **arguments: Any) -> Candles:
    """The library's own answer, stored elsewhere."""

    async def work() -> Candles:
        apart = settings.model_copy(update={"store": str(tmp_path / "apart")})
        async with AsyncClient(settings=apart) as client:
            return await client.candles(**arguments)

    return finish(work())


def _pages(simulator: SimulatedExchange) -> int:
    assert all(one.path.endswith(PAGES) for one in simulator.requests)
    return len(simulator.requests)


def _ago(step: int, count: int) -> int:
    """The open time of a bar, a number of bars before now."""
    now = time.time_ns() // 1_000_000
    return now - now % step - count * step


# ------------------------------------------------------------------------------- stored


def test_a_range_is_requested_once(
    call: Call, simulator: SimulatedExchange, settings: Settings, tmp_path: Path
) -> None:
    start = _ago(HOUR, 300)
    asked = {"start": start, "end": start + 200 * HOUR}
    first = call(**BTC, **asked)
    assert _pages(simulator) == 1
    assert first["timeframe"] == "1h"
    assert first["missing"] == []
    assert not {"next", "note", "filled", "resampledFrom"} & set(first)
    rows = _rows(_whole(settings, tmp_path, **BTC, **asked))
    assert first["candles"] == rows
    assert len(rows) == 200

    assert call(**BTC, **asked)["candles"] == rows
    part = call(**BTC, start=start + 50 * HOUR, end=start + 60 * HOUR)
    assert part["candles"] == rows[50:60]
    assert _pages(simulator) == 0


def test_a_range_up_to_now_requests_only_the_newest_again(
    call: Call, simulator: SimulatedExchange
) -> None:
    asked = {"start": _ago(HOUR, 300)}
    first = call(**BTC, **asked)
    second = call(**BTC, **asked)
    assert second["forming"] is True
    assert second["candles"][:299] == first["candles"][:299]
    assert _pages(simulator) == 1
    assert int(simulator.requests[0].query["limit"]) < 10


def test_two_servers_share_the_store(
    simulator: SimulatedExchange, home: Path, tmp_path: Path
) -> None:
    start = _ago(5 * MINUTE, 600)
    asked = {**BTC, "timeframe": "5m", "start": start, "end": start + 400 * 5 * MINUTE}

    async def one() -> dict[str, Any]:
        endpoints, store = json.dumps(simulator.endpoints), str(tmp_path)
        async with over_stdio(
            home, MARKETDATA_ENDPOINTS=endpoints, MARKETDATA_STORE=store
        ) as client:
            await client.list_tools()
            return content(await client.call_tool("get_candles", asked))

    simulator.forget()
    first = finish(one())
    assert simulator.requests
    simulator.forget()
    second = finish(one())
    assert simulator.requests == []
    assert second["candles"] == first["candles"]
    assert len(second["candles"]) == 400


# ------------------------------------------------------------------------------- too long


@pytest.mark.parametrize("over", [0, 1])
def test_five_hundred_bars_are_complete(
    call: Call, simulator: SimulatedExchange, over: int
) -> None:
    start = _ago(MINUTE, 2_000)
    end = start + (500 + over) * MINUTE
    answer = call(**BTC, timeframe="1m", start=start, end=end)
    assert [row[0] for row in answer["candles"]] == list(range(start, start + 500 * MINUTE, MINUTE))
    assert _pages(simulator) == 1
    note = "501 candles of 1m; first 500 given. timeframe=3m fits all in 500."
    assert answer.get("note") == (note if over else None)
    assert answer.get("next") == ({"start": end - MINUTE} if over else None)


@pytest.mark.parametrize(
    ("exchange", "pages"), [("binance", 1), ("okx", 3), ("coinbaseexchange", 3)]
)
def test_a_year_of_minutes_costs_only_its_first_rows(
    call: Call, simulator: SimulatedExchange, exchange: str, pages: int
) -> None:
    start = _ago(MINUTE, 525_700)
    year = {"start": start, "end": start + 525_600 * MINUTE}
    answer = call(pair="BTC/USDT", exchange=exchange, timeframe="1m", **year)
    assert [row[0] for row in answer["candles"]] == list(range(start, start + 500 * MINUTE, MINUTE))
    assert answer["note"] == "525600 candles of 1m; first 500 given. timeframe=1d fits all in 500."
    assert answer["next"] == {"start": start + 500 * MINUTE}
    assert _pages(simulator) <= pages


@pytest.mark.parametrize(
    ("exchange", "days", "timeframe", "made_of", "pages"),
    [
        ("binance", 39, "2h", None, 1),
        ("binance", 365, "1d", None, 1),
        ("binance", 1_200, "3d", None, 1),
        ("kraken", 39, "4h", None, 1),
        ("coinbaseexchange", 60, "6h", None, 1),
        ("coinbaseexchange", 1_200, "3d", "1d", 5),
    ],
)
def test_a_long_range_gets_a_timeframe_that_fits(
    call: Call,
    simulator: SimulatedExchange,
    exchange: str,
    days: int,
    timeframe: str,
    made_of: str | None,
    pages: int,
) -> None:
    end = _ago(DAY, 30)
    asked = {"pair": "BTC/USDT", "exchange": exchange, "start": end - days * DAY, "end": end}
    answer = call(**asked)
    assert answer["timeframe"] == timeframe
    assert answer.get("resampledFrom") == made_of
    assert answer["note"] == f"{days * 24} candles of 1h are too many; these are of {timeframe}."
    assert "next" not in answer
    assert 150 < len(answer["candles"]) <= 500
    assert answer["candles"][0][0] - asked["start"] < 7 * DAY
    assert answer["missing"] == []
    assert _pages(simulator) <= pages
    assert call(**asked, timeframe=timeframe)["candles"] == answer["candles"]
    assert _pages(simulator) == 0


def test_later_pages_keep_the_chosen_timeframe(
    simulator: SimulatedExchange, settings: Settings
) -> None:
    end = _ago(DAY, 1)
    asked = {**BTC, "start": end - 365 * DAY, "end": end, "limit": 200}
    first, second = _walk(settings, asked, simulator)
    assert first["next"] == {"start": asked["start"] + 200 * DAY, "timeframe": "1d"}
    times = [row[0] for page in (first, second) for row in page["candles"]]
    assert times == list(range(asked["start"], end, DAY))


@pytest.mark.parametrize(
    ("exchange", "timeframe", "step", "most"),
    [
        ("binance", "1m", MINUTE, 4),
        ("coinbaseexchange", "4h", 4 * HOUR, 30),
    ],
)
def test_pages_equal_the_range_of_the_library(
    simulator: SimulatedExchange,
    settings: Settings,
    tmp_path: Path,
    exchange: str,
    timeframe: str,
    step: int,
    most: int,
) -> None:
    end = _ago(step, 10)
    asked = {
        "pair": "BTC/USDT",
        "exchange": exchange,
        "timeframe": timeframe,
        "start": end - 1_700 * step + 1_234,
        "end": end,
    }
    pages = _walk(settings, asked, simulator)
    assert [len(page["candles"]) for page in pages] == [500, 500, 500, 199]
    assert _pages(simulator) <= most
    whole = _whole(settings, tmp_path, **asked)
    assert [row for page in pages for row in page["candles"]] == _rows(whole)
    assert _walk(settings, asked, simulator)[-1]["candles"] == pages[-1]["candles"]
    assert _pages(simulator) == 0


def test_a_limit_is_the_rows_of_a_page(call: Call, simulator: SimulatedExchange) -> None:
    start = _ago(HOUR, 60)
    answer = call(**BTC, start=start, limit=20)
    assert len(answer["candles"]) == 20
    assert answer["next"] == {"start": start + 20 * HOUR}
    assert "note" not in answer
    # One more than is given tells where the next page starts, another that this one is closed.
    assert int(simulator.requests[0].query["limit"]) == 22


# ------------------------------------------------------------------------------- nothing there


@pytest.mark.parametrize(
    ("exchange", "timeframe", "step"),
    [
        ("binance", "1m", MINUTE),
        ("coinbaseexchange", "1m", MINUTE),
        ("coinbaseexchange", "4h", 4 * HOUR),
    ],
)
def test_a_range_from_before_the_listing_begins_with_a_gap(
    call: Call, simulator: SimulatedExchange, exchange: str, timeframe: str, step: int
) -> None:
    asked = {"pair": "BTC/USDT", "exchange": exchange, "timeframe": timeframe, "end": "2020-01-01"}
    answer = call(**asked, start="2012-01-01")
    assert len(simulator.requests) < 25
    listed = 1_483_228_800_000
    assert [row[0] for row in answer["candles"]] == list(range(listed, listed + 500 * step, step))
    assert answer["next"] == {"start": listed + 500 * step}
    assert answer["missing"] == [
        {
            "start": "2012-01-01T00:00:00Z",
            "end": "2017-01-01T00:00:00Z",
            "bars": 1_827 * DAY // step,
            "cause": "not_served",
        }
    ]


def test_a_long_range_without_bars_ends(call: Call, simulator: SimulatedExchange) -> None:
    asked = {"timeframe": "1m", "start": "1970-01-01", "end": "2015-01-01"}
    answer = call(**BTC, **asked)
    assert answer["candles"] == []
    assert not {"next", "note"} & set(answer)
    assert [(one["start"], one["end"], one["cause"]) for one in answer["missing"]] == [
        ("1970-01-01T00:00:00Z", "2015-01-01T00:00:00Z", "not_served")
    ]
    assert len(simulator.requests) < 10


# ------------------------------------------------------------------------------- missing, filled

BEGIN = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture
def played(tmp_path: Path) -> Iterator[SimulatedExchange]:
    """An exchange without bars for quiet minutes: BTC rests for 5 of 700, all for 3 more."""
    first = round(BEGIN.timestamp() * 1000)
    tapes = []
    for pair, resting in {"BTC_USDT": (600, 605), "ETH_USDT": (0, 0)}.items():
        tapes.append(tmp_path / f"coinbaseexchange_{pair}-1m.csv")
        rows = [
            f"{first + minute * MINUTE},10,12,9,11,1.5"
            for minute in range(700)
            if not (resting[0] <= minute < resting[1] or 650 <= minute < 653)
        ]
        header = "timestamp_ms,open,high,low,close,volume"
        tapes[-1].write_text("\n".join([header, *rows, ""]))
    now = BEGIN + timedelta(minutes=700)
    with SimulatedExchange(tape=tapes, now=now) as started:
        yield started


@pytest.mark.parametrize("fill", [None, "previous", "zero"])
def test_gaps_and_filled_bars_are_listed(
    played: SimulatedExchange, settings: Settings, fill: str | None
) -> None:
    settings = settings.model_copy(update={"endpoints": played.endpoints})
    begin = round(BEGIN.timestamp() * 1000)
    asked = {
        "pair": "BTC/USDT",
        "exchange": "coinbaseexchange",
        "timeframe": "1m",
        "start": begin,
        "end": begin + 690 * MINUTE,
        "fill": fill,
    }
    pages = _walk(settings, asked, played)
    rows = [row for page in pages for row in page["candles"]]
    stretches = [
        {
            "start": "2024-03-01T10:00:00Z",
            "end": "2024-03-01T10:05:00Z",
            "bars": 5,
            "cause": "no_trades",
        },
        {
            "start": "2024-03-01T10:50:00Z",
            "end": "2024-03-01T10:53:00Z",
            "bars": 3,
            "cause": "outage",
        },
    ]
    assert len(pages) == 2
    assert pages[0]["missing"] == []
    assert pages[1]["missing"] == ([] if fill else stretches)
    assert pages[1].get("filled") == (stretches if fill else None)
    assert len(rows) == (690 if fill else 682)
    if fill:
        price = 11.0 if fill == "previous" else 0.0
        assert rows[602] == [begin + 602 * MINUTE, price, price, price, price, 0.0]


# ------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "arguments",
    [
        {"start": "2025-01-02", "end": "2025-01-01"},
        {"start": "2100-01-01", "timeframe": "1m"},
    ],
)
def test_an_empty_range_is_an_error(settings: Settings, arguments: dict[str, Any]) -> None:
    error = failure(ask(AsyncClient(settings=settings), "get_candles", {**BTC, **arguments}))
    assert error["code"] == "INVALID_PARAMETER"
    assert error["details"]["parameter"] == "start"


def test_an_unknown_exchange(settings: Settings) -> None:
    asked = {"pair": "BTC/USDT", "exchange": "krakn", "start": "-365d"}
    error = failure(ask(AsyncClient(settings=settings), "get_candles", asked))
    assert error["code"] == "EXCHANGE_NOT_SUPPORTED"


def test_an_agent_does_not_wait_as_long_as_a_download(home: Path, tmp_path: Path) -> None:
    faults = ["binance:*/klines:status=429,retry_after=3600"]
    with SimulatedExchange(faults=faults) as busy:
        client = AsyncClient(
            settings=Settings(endpoints=busy.endpoints, home=home, store=str(tmp_path), timeout=0.5)
        )
        with taking_at_most(10):
            error = failure(ask(client, "get_candles", {**BTC, "start": "-7d"}))
    assert error["code"] == "EXCHANGE_UNAVAILABLE"
    assert error["retryable"] is True
