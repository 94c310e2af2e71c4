"""The size of answers is limited, and the rest can be requested."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mcp import Client
from mcp_doors import FedClient, ask, content, failure, finish

from marketdata import AsyncClient, Candles, Exchange, Interval, OrderBook, Pair, Ticker, Trade
from marketdata.models import Columns
from marketdata.sim import SimulatedExchange
from marketdata_mcp import app

NOW = datetime(2025, 6, 1, tzinfo=UTC)
LONG = "x" * 3_000
SOURCED: dict[str, Any] = {"exchange": "binance", "timestamp": NOW, "received_at": NOW}

Connect = Callable[[SimulatedExchange], AsyncClient]


def _walk(client: AsyncClient, tool: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Call a tool, and again as each answer's `next` says, until there is none."""

    async def work() -> list[dict[str, Any]]:
        pages: list[dict[str, Any]] = []
        async with Client(app.Service(client).server()) as connected:
            following: dict[str, Any] | None = {}
            while following is not None:
                asked = {**arguments, **following}
                pages.append(content(await connected.call_tool(tool, asked)))
                following = pages[-1].get("next")
        return pages

    return finish(work())


def _rows(pages: list[dict[str, Any]], name: str) -> list[Any]:
    return [row for page in pages for row in page[name]]


# ------------------------------------------------------------------------------- pairs


def test_two_thousand_pairs_come_in_pages(crowd: SimulatedExchange, connect: Connect) -> None:
    pages = _walk(connect(crowd), "list_pairs", {"exchange": "binance"})
    rows = _rows(pages, "pairs")
    assert len(pages) == math.ceil(pages[0]["total"] / 200) == 10
    assert all(page["returned"] == len(page["pairs"]) <= 200 for page in pages)
    assert len({row["pair"] for row in rows}) == len(rows) == pages[0]["total"]
    whole = finish(_closing(connect(crowd), "pairs", exchange="binance"))
    assert [row["pair"] for row in rows] == [pair.pair for pair in whole]


async def _closing(client: AsyncClient, operation: str, **arguments: Any) -> Any:
    async with client:
        return await getattr(client, operation)(**arguments)


def test_a_page_of_pairs(crowd: SimulatedExchange, connect: Connect) -> None:
    answer = content(
        ask(connect(crowd), "list_pairs", {"exchange": "okx", "limit": 3, "offset": 5})
    )
    assert answer["returned"] == len(answer["pairs"]) == 3
    assert answer["next"] == {"offset": 8}


def test_a_page_after_the_end_is_empty(simulator: SimulatedExchange, connect: Connect) -> None:
    answer = content(ask(connect(simulator), "list_pairs", {"exchange": "okx", "offset": 9_999}))
    assert answer["pairs"] == []
    assert answer["returned"] == 0
    assert "next" not in answer


def test_fifty_tickers_of_two_thousand(crowd: SimulatedExchange, connect: Connect) -> None:
    pairs = finish(_closing(connect(crowd), "pairs", exchange="binance"))
    wanted = [pair.pair for pair in pairs[:50]]
    asked = {"exchange": "binance", "pairs": wanted}
    answer = content(ask(connect(crowd), "get_tickers", asked))
    assert [row["pair"] for row in answer["tickers"]] == wanted


# ------------------------------------------------------------------------------- candles


def test_a_hundred_candles_are_the_default(simulator: SimulatedExchange, connect: Connect) -> None:
    asked = {"pair": "BTC/USDT", "exchange": "binance"}
    answer = content(ask(connect(simulator), "get_candles", asked))
    assert len(answer["candles"]) == 100
    assert "next" not in answer
    answer = content(ask(connect(simulator), "get_candles", {**asked, "limit": 500}))
    assert len(answer["candles"]) == 500


def test_paging_through_a_long_range_repeats_and_loses_nothing(
    simulator: SimulatedExchange, connect: Connect
) -> None:
    asked = {
        "pair": "BTC/USDT",
        "exchange": "kraken",
        "timeframe": "1h",
        "start": "-20d",
        "end": "-15d",
    }
    pages = _walk(connect(simulator), "get_candles", {**asked, "limit": 50})
    assert [len(page["candles"]) for page in pages] == [50, 50, 20]
    times = [row[0] for row in _rows(pages, "candles")]
    assert times == list(range(times[0], times[0] + 120 * 3_600_000, 3_600_000))
    assert [page.get("next") for page in pages] == [
        {"start": times[50]},
        {"start": times[100]},
        None,
    ]


def _candles(count: int, holes: int = 0) -> Candles:
    start = round(NOW.timestamp() * 1000)
    times = [start + 2 * 3_600_000 * index for index in range(count)]
    price = 0.00000012345678901
    hour = timedelta(hours=1)
    return Candles(
        **SOURCED,
        pair="BTC/USDT",
        timeframe="1h",
        source="candles",
        forming=True,
        missing=tuple(
            Interval(start=NOW + (2 * one + 1) * hour, end=NOW + (2 * one + 2) * hour, bars=1)
            for one in range(holes)
        ),
        columns=Columns.from_rows([(time, *[price] * 4, 12.5, 3) for time in times]),
    )


def test_bars_above_the_limit_and_their_gaps_are_left_out() -> None:
    client = FedClient(candles=_candles(6, holes=6))
    asked = {"pair": "BTC/USDT", "start": "2025-05-31", "end": "2025-06-02", "limit": 5}
    answer = content(ask(client, "get_candles", asked))
    assert client.asked[0]["limit"] == 6  # one more tells where the next page begins
    assert len(answer["candles"]) == len(answer["missing"]) == 5
    assert answer["forming"] is False
    assert answer["next"] == {"start": answer["candles"][4][0] + 2 * 3_600_000}
    assert "note" not in answer


def test_without_a_start_only_the_shown_bars_are_requested() -> None:
    client = FedClient(candles=_candles(5))
    answer = content(ask(client, "get_candles", {"pair": "BTC/USDT", "limit": 5}))
    assert client.asked[0]["limit"] == 5
    assert len(answer["candles"]) == 5
    assert answer["forming"] is True
    assert "next" not in answer


@pytest.mark.parametrize("asked", [{"limit": 500}, {"start": "2025-05-30", "timeframe": "1h"}])
def test_a_hundred_gaps_are_listed_and_the_others_counted(asked: dict[str, Any]) -> None:
    client = FedClient(candles=_candles(300, holes=240))
    answer = content(ask(client, "get_candles", {"pair": "BTC/USDT", **asked}))
    assert len(answer["candles"]) == 300
    assert len(answer["missing"]) == 100
    assert answer["note"].endswith("missing: first 100 of 240.")


def test_long_candles_are_cut_and_can_be_continued() -> None:
    answered = _candles(500).model_copy(update={"pair": 15 * LONG})
    client = FedClient(candles=answered)
    asked = {"pair": "BTC/USDT", "timeframe": "1h", "limit": 500}
    answer = content(ask(client, "get_candles", asked))
    count = len(answer["candles"])
    assert 200 < count < 500
    assert answer["forming"] is False
    assert answer["next"] == {"start": answered.columns.time[count]}


# ------------------------------------------------------------------------------- trades


def test_trades_continue_from_an_id(simulator: SimulatedExchange, connect: Connect) -> None:
    asked = {"pair": "BTC/USDT", "exchange": "binance", "from_id": 0, "limit": 200}
    client = connect(simulator)
    first = content(ask(client, "get_trades", asked))
    assert first["returned"] == 200
    assert first["next"] == {"from_id": 200}
    second = content(ask(client, "get_trades", {**asked, **first["next"]}))
    assert [row["id"] for row in second["trades"]] == [str(one) for one in range(200, 400)]


def test_the_newest_trades_need_no_continuation(
    simulator: SimulatedExchange, connect: Connect
) -> None:
    answer = content(ask(connect(simulator), "get_trades", {"pair": "BTC/USDT"}))
    assert answer["returned"] == 50
    assert "next" not in answer


def _trade(number: int, milliseconds: int, name: str | None = None) -> Trade:
    time = NOW + timedelta(milliseconds=milliseconds)
    return Trade(
        **{**SOURCED, "timestamp": time},
        pair="BTC/USDT",
        id=name or str(number),
        price=1.5,
        amount=2.0,
    )


@pytest.mark.parametrize(
    ("milliseconds", "further"),
    [([0, 5, 5], 5), ([7, 7, 7], 8)],
    ids=["more may share the last millisecond", "a full millisecond must not be asked for again"],
)
def test_trades_continue_from_a_time(milliseconds: list[int], further: int) -> None:
    answered = [_trade(number, time) for number, time in enumerate(milliseconds)]
    asked = {"pair": "BTC/USDT", "start": "2025-06-01", "limit": 3}
    answer = content(ask(FedClient(trades=answered), "get_trades", asked))
    assert answer["next"] == {"start": round(NOW.timestamp() * 1000) + further}


def test_empty_trades_have_no_continuation() -> None:
    asked = {"pair": "BTC/USDT", "start": "2025-06-01"}
    answer = content(ask(FedClient(trades=[]), "get_trades", asked))
    assert answer == {"returned": 0, "trades": []}


# ------------------------------------------------------------------------------- characters


def test_long_trades_are_cut_and_can_be_continued() -> None:
    answered = [_trade(number, number, f"{LONG}{number}") for number in range(50)]
    answer = content(ask(FedClient(trades=answered), "get_trades", {"pair": "BTC/USDT"}))
    count = answer["returned"]
    assert 20 < count == len(answer["trades"]) < 50
    assert answer["next"] == {"start": round(NOW.timestamp() * 1000) + count - 1}


def test_long_tickers_are_cut_and_the_rest_is_named() -> None:
    names = [f"A{number}/USDT" for number in range(50)]
    answered = [
        Ticker(**SOURCED, pair=name, window=f"{LONG}{name}", source="ticker") for name in names
    ]
    answer = content(ask(FedClient(tickers=answered), "get_tickers", {"pairs": names}))
    shown = [row["pair"] for row in answer["tickers"]]
    assert answer["returned"] == len(shown) < 50
    assert [*shown, *answer["next"]["pairs"]] == names


@pytest.mark.parametrize(
    ("tool", "name"), [("list_pairs", "pairs"), ("list_exchanges", "exchanges")]
)
def test_long_lists_are_cut_and_can_be_continued(tool: str, name: str) -> None:
    pairs = [
        Pair(exchange="binance", pair=f"{LONG}{one}", base="A", quote="B", received_at=NOW)
        for one in range(90)
    ]
    exchanges = [
        Exchange(id=str(one), name=LONG, operations=(), timeframes=(), history=True, streams=())
        for one in range(90)
    ]
    pages = _walk(FedClient(pairs=pairs, exchanges=exchanges), tool, {})
    key = "pair" if name == "pairs" else "id"
    expected = [getattr(one, key) for one in (pairs if name == "pairs" else exchanges)]
    assert [row[key] for row in _rows(pages, name)] == expected
    assert all(page["total"] == 90 for page in pages)


def test_a_too_long_single_record_is_an_error() -> None:
    level = (1.5, 2.5)
    book = OrderBook(**SOURCED, pair="B" * 90_000, bids=(level,), asks=(level,))
    error = failure(ask(FedClient(orderbook=book), "get_orderbook", {"pair": "BTC/USDT"}))
    assert error["code"] == "DATA_UNAVAILABLE"


def test_order_books_have_at_most_a_hundred_levels_per_side(
    simulator: SimulatedExchange, connect: Connect
) -> None:
    asked = {"pair": "BTC/USDT", "exchange": "kraken"}
    book = content(ask(connect(simulator), "get_orderbook", {**asked, "depth": 100}))
    assert len(book["bids"]) == len(book["asks"]) == 100
    book = content(ask(connect(simulator), "get_orderbook", asked))
    assert len(book["bids"]) == len(book["asks"]) == 20
