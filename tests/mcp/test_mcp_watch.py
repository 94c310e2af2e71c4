"""Live data with tools: watches that are started, read repeatedly, and stopped."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp import Client
from mcp_doors import ERAS, FedClient, content, failure, finish
from mcp_live import (
    DOORS,
    KINDS,
    NOW,
    WAYS,
    frozen,
    near,
    nothing_left,
    read,
    start,
    subscriptions,
    through,
    until,
)

from marketdata import OrderBook
from marketdata.models import Stream
from marketdata_mcp import app

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def _closed(schema: Any) -> Any:
    """Forbid unknown fields, which the listed schema allows for later versions."""
    match schema:
        case {"properties": properties, **rest}:
            inner = {name: _closed(one) for name, one in properties.items()}
            return {**_closed(rest), "properties": inner, "additionalProperties": False}
        case dict():
            return {key: _closed(one) for key, one in schema.items()}
    return schema


async def _call(client: Client, tool: str, **asked: Any) -> dict[str, Any]:
    """Call a tool, and hold the answer against its schema."""
    answer = content(await client.call_tool(tool, asked))
    [listed] = [one for one in (await client.list_tools()).tools if one.name == tool]
    jsonschema.Draft202012Validator.check_schema(listed.output_schema)
    checker = jsonschema.FormatChecker()
    jsonschema.validate(answer, _closed(listed.output_schema), format_checker=checker)
    return answer


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("era", ERAS)
def test_every_kind_is_watched_read_listed_and_stopped(home: Path, door: str, era: str) -> None:
    async def work() -> None:
        async with frozen() as sim:
            async with through(door, sim, home, era) as client:
                for kind, asked in KINDS.items():
                    started = await start(client, sim, kind=kind, **asked)
                    await _watched(client, kind, started)
                assert content(await client.call_tool("watch_list", {})) == {"watches": []}
                await until(lambda: not subscriptions(sim))
            await nothing_left(sim)

    finish(work())


async def _watched(client: Client, kind: str, started: dict[str, Any]) -> None:
    assert (started["kind"], started["exchange"]) == (kind, "binance")
    assert started["simulated"] is True
    assert {one["state"] for one in started["subjects"]} == {"live"}
    answer = await _call(client, "watch_read", watch=started["watch"])
    for subject in answer["subjects"]:
        assert (subject["state"], subject["stale"]) == ("live", False)
        assert subject["updates"] > 0
        assert (subject["unread"], subject["dropped"], subject["gaps"]) == (0, 0, 0)
        assert 0 <= subject["ageMs"] < 60_000
        data = subject[kind]
        match kind:
            case "ticker":
                assert data["low"] <= data["last"] <= data["high"]
            case "quote":
                assert data["bid"] < data["ask"]
            case "orderbook":
                assert len(data["bids"]) == len(data["asks"]) == 7
                assert data["bids"][0][0] < data["asks"][0][0]
            case "trades":
                assert all(row[3] in ("buy", "sell") for row in data)
                assert data[0][0] >= NOW
            case "candles":
                assert data[-1][0] % 60_000 == 0
                assert data[-1][3] <= data[-1][4] <= data[-1][2]
    [summed_up] = (await _call(client, "watch_list"))["watches"]
    assert summed_up["watch"] == started["watch"]
    assert summed_up["pairs"] == [one["pair"] for one in started["subjects"]]
    assert (summed_up["state"], summed_up["dropped"]) == ("live", 0)
    assert await _call(client, "watch_stop", watch=started["watch"]) == {
        "watch": started["watch"],
        "stopped": True,
    }
    gone = failure(await client.call_tool("watch_read", {"watch": started["watch"]}))
    assert gone["code"] == "INVALID_PARAMETER"
    assert gone["details"] == {"tool": "watch_read", "parameter": "watch"}


# ------------------------------------------------------------------------------- trades


def _ids(answer: dict[str, Any], at: int = 0) -> list[int]:
    return [int(row[4]) for row in answer["subjects"][at]["trades"]]


async def _all_there(client: Client, watch: dict[str, Any]) -> None:
    """Wait until the exchange's messages can be read."""
    newest = content(await client.call_tool("get_trades", {"pair": "BTC/USDT", "limit": 1}))
    async with asyncio.timeout(20):
        while _ids(await read(client, watch, cursor="0", limit=200))[-1:] != [
            int(newest["trades"][0]["id"])
        ]:
            await asyncio.sleep(0.01)


def test_each_reader_gets_each_trade_once_from_its_own_cursor(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path) as client:
            watch = await start(client, sim, kind="trades", pair="BTC/USDT")
            await sim.advance(60)
            await _all_there(client, watch)
            found: dict[int, list[int]] = {}
            for limit in (3, 200):
                cursor, found[limit] = watch["next"]["cursor"], []
                unread = 1
                while unread:
                    answer = await read(client, watch, cursor=cursor, limit=limit)
                    again = await read(client, watch, cursor=cursor, limit=limit)
                    assert _ids(again) == _ids(answer)
                    assert again["next"] == answer["next"]
                    found[limit] += _ids(answer)
                    unread = answer["subjects"][0]["unread"]
                    cursor = answer["next"]["cursor"]
            assert found[3] == found[200]
            assert found[3] == list(range(found[3][0], found[3][-1] + 1))

    finish(work())


def test_without_a_cursor_a_read_continues_after_the_last(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path) as client:
            watch = await start(client, sim, kind="trades", pairs=["BTC/USDT", "ETH/USDT"])
            await sim.advance(60)
            first = await read(client, watch, limit=5)
            second = await read(client, watch, limit=200)
            await sim.advance(60)
            third = await read(client, watch, limit=200, wait=True)
            for at in (0, 1):
                ids = [one for answer in (first, second, third) for one in _ids(answer, at)]
                assert ids == list(range(ids[0], ids[0] + len(ids)))
            # The oldest five of both, and not five of each.
            assert sum(len(one["trades"]) for one in first["subjects"]) == 5

    finish(work())


def test_dropped_records_of_a_slow_reader_are_counted(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path, trades=20) as client:
            watch = await start(client, sim, kind="trades", pair="BTC/USDT")
            first = await read(client, watch, cursor="0", limit=1)
            await sim.advance(120)
            await _all_there(client, watch)
            answer = await read(client, watch, cursor="0", limit=200)
            [subject] = answer["subjects"]
            assert subject["dropped"] > 20
            assert len(subject["trades"]) == subject["updates"] == 20
            assert subject["unread"] == 0
            assert _ids(answer)[0] - _ids(first)[0] == subject["dropped"]
            # What is lost is told to everyone who has not had it, and to nobody else.
            [after] = (await read(client, watch, cursor=answer["next"]["cursor"]))["subjects"]
            assert (after["dropped"], after["trades"]) == (0, [])

    finish(work())


# ------------------------------------------------------------------------------- states


def test_only_changed_bars_are_returned(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path) as client:
            watch = await start(client, sim, kind="candles", pair="BTC/USDT")
            early = await read(client, watch)
            await sim.advance(150)
            asked = {"pair": "BTC/USDT", "timeframe": "1m", "limit": 1}
            [told] = content(await client.call_tool("get_candles", asked))["candles"]
            late = await read(client, watch)
            while late["subjects"][0]["candles"][-1][:6] != told[:6]:
                late = await read(client, watch, cursor=early["next"]["cursor"], wait=True)
            times = [row[0] for row in late["subjects"][0]["candles"]]
            assert times[0] == early["subjects"][0]["candles"][-1][0]
            assert times == list(range(times[0], times[-1] + 1, 60_000))
            # In parts, as the limit says; what is not read yet comes next.
            part = await read(client, watch, cursor=early["next"]["cursor"], limit=2)
            assert [row[0] for row in part["subjects"][0]["candles"]] == times[:2]
            assert part["subjects"][0]["unread"] == len(times) - 2
            rest = await read(client, watch, cursor=part["next"]["cursor"])
            assert [row[0] for row in rest["subjects"][0]["candles"]] == times[2:]
            # Where nothing is new there is still the newest.
            same = await read(client, watch, cursor=rest["next"]["cursor"])
            assert same["subjects"][0]["updates"] == 0
            assert [row[0] for row in same["subjects"][0]["candles"]] == times[-1:]

    finish(work())


class _FedWatch:
    """A watch of books that are there already."""

    def __init__(self, pairs: list[str], depth: int) -> None:
        sourced = {"exchange": "kraken", "timestamp": NOON, "received_at": NOON}
        levels = tuple((41_000.01 + 0.01 * at, 0.12345678) for at in range(depth))
        self._books = [OrderBook(**sourced, pair=one, bids=levels, asks=levels) for one in pairs]
        counts = dict.fromkeys(
            ("watchers", "messages", "updates", "dropped", "gaps", "resyncs", "reconnects"), 1
        )
        named = {"exchange": "kraken", "kind": "orderbook", "state": "live"}
        self.streams = [
            Stream(**named, pair=one, **counts, unreadable=0, memory=0) for one in pairs
        ]

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def batch(self) -> list[OrderBook]:
        books, self._books = self._books, []
        if not books:
            await asyncio.Event().wait()
        return books


def test_deep_books_of_many_pairs_are_cut_to_the_limit() -> None:
    async def work() -> None:
        fed = FedClient()
        fed.watch_orderbook = lambda pairs, *, exchange, depth: _FedWatch(pairs, depth)
        async with Client(app.Service(fed).server()) as client:
            pairs = [f"COIN{at}/USDT" for at in range(50)]
            asked = {"kind": "orderbook", "pairs": pairs, "depth": 100}
            started = content(await client.call_tool("watch_start", asked))
            answer = await read(client, started)
            assert [one["pair"] for one in answer["subjects"]] == pairs
            [count] = {
                len(one["orderbook"][side])
                for one in answer["subjects"]
                for side in ("bids", "asks")
            }
            assert 20 < count < 100
            assert answer["note"] == f"First {count} of 100 levels a side."

    finish(work())


# ------------------------------------------------------------------------------- waiting


@pytest.mark.parametrize(("door", "era"), WAYS)
def test_a_waiting_read_ends_with_news_or_at_its_time_limit(
    home: Path, door: str, era: str
) -> None:
    async def work() -> None:
        async with frozen() as sim, through(door, sim, home, era) as client:
            watch = await start(client, sim, kind="quote", pair="BTC/USDT")
            answer = await read(client, watch)
            while not (over := await read(client, watch, wait=True, timeout=1)).get("timedOut"):
                answer = over
            assert over["next"] == answer["next"]
            [subject] = over["subjects"]
            assert subject["updates"] == 0
            assert subject["quote"] == answer["subjects"][0]["quote"]
            waiting = [
                asyncio.create_task(read(client, watch, wait=True, timeout=55)) for _ in range(2)
            ]
            while not all(one.done() for one in waiting):
                await sim.advance(0.1)
                await asyncio.sleep(0.01)
            for one in waiting:
                news = await one
                assert "timedOut" not in news
                assert news["subjects"][0]["updates"] > 0

    finish(work())


def test_a_cancelled_read_loses_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path) as client:
            watch = await start(client, sim, kind="trades", pair="BTC/USDT")
            await _all_there(client, watch)
            first = await read(client, watch, cursor="0", limit=200)
            waiting = asyncio.create_task(read(client, watch, wait=True))
            await asyncio.sleep(0.05)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()
            await sim.advance(60)
            news = await read(client, watch, wait=True)
            assert _ids(news)[0] == _ids(first)[-1] + 1

    finish(work())


def test_a_cancelled_start_leaves_no_watch(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path, first=60) as client:
            asked = {"kind": "ticker", "pair": "BTC/USDT"}
            starting = asyncio.create_task(client.call_tool("watch_start", asked))
            await until(lambda: subscriptions(sim))
            starting.cancel()
            await asyncio.wait([starting])
            await nothing_left(sim)
            assert content(await client.call_tool("watch_list", {})) == {"watches": []}

    finish(work())
