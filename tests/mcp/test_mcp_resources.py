"""Current states as resources: templates, lists and reads."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp_doors import (
    ERAS,
    FedClient,
    content,
    finish,
)
from mcp_live import (
    BTC,
    KINDS,
    WAYS,
    frozen,
    near,
    read_resource,
    start,
    through,
)
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from marketdata.sim import SimulatedExchange
from marketdata_mcp import app, resources
from marketdata_mcp.charts import views

PATHS = ("ticker", "quote", "orderbook", "trades", "candles/1m")


# ------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("era", ERAS)
def test_the_templates_list_the_readable_resources(era: str) -> None:
    async def work() -> None:
        async with Client(app.Service(FedClient()).server(), mode=era) as client:
            found = (await client.list_resource_templates()).resource_templates
            assert {one.uri_template for one in found} == {
                "market://{exchange}/{base}-{quote}/ticker",
                "market://{exchange}/{base}-{quote}/quote",
                "market://{exchange}/{base}-{quote}/orderbook",
                "market://{exchange}/{base}-{quote}/trades",
                "market://{exchange}/{base}-{quote}/candles/{timeframe}",
            }
            assert all(one.description and one.mime_type == "application/json" for one in found)
            assert (await client.list_resources()).resources == views.listed()
            said = client.server_capabilities.resources
            assert said is not None
            assert said.subscribe is True

    finish(work())


@pytest.mark.parametrize(("door", "era"), WAYS)
def test_each_is_read_without_a_stream(home: Path, door: str, era: str) -> None:
    async def work() -> None:
        async with frozen() as sim, through(door, sim, home, era) as client:
            for path in PATHS:
                read = await read_resource(client, f"{BTC}/{path}")
                assert (read["exchange"], read["pair"]) == ("binance", "BTC/USDT")
                assert read["simulated"] is True
                match path:
                    case "ticker":
                        assert read["low"] <= read["last"] <= read["high"]
                    case "quote":
                        assert read["bid"] < read["ask"]
                    case "orderbook":
                        assert len(read["bids"]) == len(read["asks"]) == 20
                    case "trades":
                        assert len(read["trades"]) == 50
                        assert len(read["trades"][0]) == 5
                    case _:
                        assert len(read["candles"]) == 100
                        assert read["timeframe"] == "1m"
            assert not sim.sockets

    finish(work())


@pytest.mark.parametrize(
    "uri", ["market://binance/btc-usdt/ticker", "market://BINANCE/%42TC-usd%54/ticker"]
)
def test_names_can_have_other_forms(simulator: SimulatedExchange, home: Path, uri: str) -> None:
    async def work() -> dict[str, Any]:
        async with near(simulator, home) as client:
            return await read_resource(client, uri)

    assert finish(work())["pair"] == "BTC/USDT"


def test_watched_resources_are_listed_and_read_from_their_stream(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path) as client:
            watches = {}
            for kind, asked in KINDS.items():
                deep = {"depth": 50} if kind == "orderbook" else {}
                watches[kind] = await start(client, sim, kind=kind, **{**asked, **deep})
            await sim.advance(20)
            listed = (await client.list_resources()).resources
            uris = [one.uri for one in listed if one.uri != views.URI]
            assert uris == [
                f"{BTC}/ticker",
                f"{BTC}/quote",
                f"{BTC}/orderbook",
                "market://binance/ETH-USDT/orderbook",
                f"{BTC}/trades",
                f"{BTC}/candles/1m",
            ]
            assert all(one.mime_type == "application/json" for one in listed[: len(uris)])
            # What was before the streams began is asked for once.
            once = {uri: await read_resource(client, uri) for uri in uris}
            sim.forget()
            for uri in uris:
                again = await read_resource(client, uri)
                assert set(once[uri]) == set(again)
            assert not [one for one in sim.requests if one.status != 101]
            assert len(again["candles"]) == 100
            assert len((await read_resource(client, f"{BTC}/orderbook"))["bids"]) == 20
            await _same_as_asked(client, sim)
            stopped = {"watch": watches["ticker"]["watch"]}
            await client.call_tool("watch_stop", stopped)
            assert (await client.list_resources()).resources[0].uri == f"{BTC}/quote"

    finish(work())


async def _same_as_asked(client: Client, sim: SimulatedExchange) -> None:
    """Hold rows that a stream has prolonged against those of a call."""
    asked = {"pair": "BTC/USDT", "exchange": "binance"}
    trades = content(await client.call_tool("get_trades", asked))["trades"]
    async with asyncio.timeout(20):
        while (rows := (await read_resource(client, f"{BTC}/trades"))["trades"])[-1][4] != trades[
            -1
        ]["id"]:
            await asyncio.sleep(0.01)
    assert [row[4] for row in rows] == [one["id"] for one in trades]
    bars = {**asked, "timeframe": "1m"}
    candles = content(await client.call_tool("get_candles", bars))["candles"]
    read = (await read_resource(client, f"{BTC}/candles/1m"))["candles"]
    assert [row[0] for row in read] == [row[0] for row in candles]


def test_an_interrupted_stream_is_not_read(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path) as client:
            await start(client, sim, kind="quote", pair="BTC/USDT")
            assert "freshFor" in await read_resource(client, f"{BTC}/quote")
            sim.faults.add("binance:/ws/*:status=503")
            sim.hang_up()
            async with asyncio.timeout(20):
                while "freshFor" in (read := await read_resource(client, f"{BTC}/quote")):
                    await asyncio.sleep(0.01)
            assert "stale" not in read

    finish(work())


def test_a_long_list_comes_in_pages(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen(pairs=60) as sim, near(sim, tmp_path, first=0) as client:
            pairs = content(await client.call_tool("list_pairs", {"limit": 50}))["pairs"]
            names = [one["pair"] for one in pairs]
            for asked in (
                {"kind": "ticker"},
                {"kind": "quote"},
                {"kind": "trades"},
                {"kind": "candles"},
                {"kind": "candles", "timeframe": "5m"},
            ):
                content(await client.call_tool("watch_start", {**asked, "pairs": names}))
            first = await client.list_resources()
            assert len(first.resources) == 200
            assert first.next_cursor is not None
            rest = await client.list_resources(cursor=first.next_cursor)
            assert rest.next_cursor is None
            uris = {one.uri for one in first.resources + rest.resources}
            assert len(uris - {views.URI}) == 250
            with pytest.raises(MCPError):
                await client.list_resources(cursor="x")

    finish(work())


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("market://binance/BTC-USTD/ticker", "PAIR_NOT_SUPPORTED"),
        ("market://krakn/BTC-USDT/ticker", "EXCHANGE_NOT_SUPPORTED"),
        ("market://kraken/BTC-USDT/candles/30s", "TIMEFRAME_NOT_SUPPORTED"),
        ("market://binance/BTC-USDT/candles", "INVALID_PARAMETER"),
        ("market://binance/BTC-USDT/candles/fortnightly", "INVALID_PARAMETER"),
        ("market://binance/BTC-USDT/depth", "INVALID_PARAMETER"),
        ("market://binance/BTC/USDT/ticker", "INVALID_PARAMETER"),
        ("market://binance/BTC-USDT/ticker?x=1", "INVALID_PARAMETER"),
        ("market://binance/%2F-%0A/ticker", "INVALID_PARAMETER"),
        ("file:///etc/passwd", "INVALID_PARAMETER"),
        ("x" * 90_000, "INVALID_PARAMETER"),
    ],
)
def test_unknown_resources_are_errors(
    simulator: SimulatedExchange, home: Path, era: str, uri: str, code: str
) -> None:
    async def work() -> MCPError:
        async with near(simulator, home, era) as client:
            with pytest.raises(MCPError) as caught:
                await client.read_resource(uri)
            return caught.value

    error = finish(work())
    assert error.code == INVALID_PARAMS
    assert error.data["code"] == code
    assert error.data["retryable"] is False
    assert error.data["uri"] == uri[:200]
    assert len(error.message) < 400


@pytest.mark.parametrize("code", ["FTX Users' Debt", "A-B", "$NAP", "DAO.Casino", "币安人生"])
def test_every_currency_has_a_uri(code: str) -> None:
    address = resources.Address("trades", "kucoin", f"{code.upper()}/USDT")
    assert resources.Address.parse(address.uri) == address
    assert address.uri.isascii()
    assert " " not in address.uri


def test_an_unreachable_exchange_is_retryable(tmp_path: Path) -> None:
    async def work() -> MCPError:
        async with frozen(faults=["binance:*:status=503"]) as sim, near(sim, tmp_path) as client:
            with pytest.raises(MCPError) as caught:
                await client.read_resource(f"{BTC}/ticker")
            return caught.value

    error = finish(work())
    assert error.code == INTERNAL_ERROR
    assert error.data["code"] == "EXCHANGE_UNAVAILABLE"
    assert error.data["retryable"] is True
