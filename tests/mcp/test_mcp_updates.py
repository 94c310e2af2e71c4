"""Notifications of updated resources, in each protocol revision."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from built import is_built
from mcp import Client, MCPDeprecationWarning, MCPError
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated, Subscription
from mcp_doors import COMMAND, environment, finish, request, serving
from mcp_live import (
    BTC,
    DOORS,
    endpoints,
    frozen,
    near,
    nothing_left,
    read_resource,
    start,
    subscriptions,
    through,
    until,
)
from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND, ResourceUpdatedNotification

from marketdata import AsyncClient
from marketdata.sim import SimulatedExchange
from marketdata_mcp import app

# ------------------------------------------------------------------------------- listening

PAGES = {"ui://marketdata/chart.html"} if is_built() else set()
"""The page that shows candles and books in hosts with MCP Apps: always listed."""


async def _event(sim: SimulatedExchange, listening: Subscription) -> Any:
    """Let time pass until there is an event."""
    coming = asyncio.ensure_future(anext(listening))
    while not coming.done():
        await sim.advance(0.5)
        await asyncio.sleep(0.01)
    return await coming


@pytest.mark.parametrize("door", DOORS)
def test_listeners_are_notified_until_they_leave(home: Path, door: str) -> None:
    async def work() -> None:
        async with frozen() as sim, through(door, sim, home) as client:
            uris = [f"{BTC}/ticker", "market://binance/eth-usdt/orderbook"]
            async with client.listen(resource_subscriptions=uris) as listening:
                heard = set()
                while len(heard) < 2:
                    heard.add(await _event(sim, listening))
                assert heard == {ResourceUpdated(uri) for uri in uris}
                assert (await read_resource(client, uris[0]))["last"] > 0
                sim.forget()
                assert len((await read_resource(client, uris[1]))["bids"]) == 20
                assert not sim.requests
                listed = {one.uri for one in (await client.list_resources()).resources}
                assert listed == {*PAGES, uris[0], "market://binance/ETH-USDT/orderbook"}
            await until(lambda: not subscriptions(sim))
            assert {one.uri for one in (await client.list_resources()).resources} == PAGES

    finish(work())


def test_several_share_a_stream_and_the_last_ends_it(home: Path) -> None:
    async def work() -> None:
        async with (
            frozen() as sim,
            serving(home, "--http", "127.0.0.1:0", **endpoints(sim)) as (url, _),
            Client(url) as one,
            Client(url) as two,
        ):
            async with one.listen(resource_subscriptions=[f"{BTC}/ticker"]) as hers:
                async with two.listen(resource_subscriptions=[f"{BTC}/ticker"]) as his:
                    for listening in (hers, his):
                        assert await _event(sim, listening) == ResourceUpdated(f"{BTC}/ticker")
                    assert len(subscriptions(sim)) == 1
                await _event(sim, hers)
                await _event(sim, hers)
                assert len(subscriptions(sim)) == 1
            await nothing_left(sim)

    finish(work())


def test_many_updates_are_one_notification(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            frozen() as sim,
            near(sim, tmp_path, pause=60) as client,
            client.listen(resource_subscriptions=[f"{BTC}/orderbook"]) as listening,
        ):
            await _event(sim, listening)
            before = (await read_resource(client, f"{BTC}/orderbook"))["sequence"]
            coming = asyncio.ensure_future(anext(listening))
            async with asyncio.timeout(20):
                while (await read_resource(client, f"{BTC}/orderbook"))["sequence"] < before + 100:
                    await sim.advance(1)
                    await asyncio.sleep(0.01)
            assert not coming.done()
            coming.cancel()

    finish(work())


def test_listeners_are_notified_of_new_watches(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            frozen() as sim,
            near(sim, tmp_path, first=0) as client,
            client.listen(resources_list_changed=True) as listening,
        ):
            watch = await start(client, sim, kind="ticker", pair="BTC/USDT")
            assert await anext(listening) == ResourcesListChanged()
            await client.call_tool("watch_stop", {"watch": watch["watch"]})
            assert await anext(listening) == ResourcesListChanged()

    finish(work())


@pytest.mark.parametrize("door", ["memory", "http"])
def test_unknown_resources_cannot_be_listened_to(home: Path, door: str) -> None:
    async def work() -> None:
        async with frozen() as sim, through(door, sim, home) as client:
            for uri, code in (
                ("market://binance/BTC-USTD/ticker", "PAIR_NOT_SUPPORTED"),
                ("file:///etc/passwd", "INVALID_PARAMETER"),
            ):
                uris = [f"{BTC}/ticker", uri]
                with pytest.raises(MCPError) as caught:
                    async with client.listen(resource_subscriptions=uris):
                        pass
                assert caught.value.code == INVALID_PARAMS
                assert caught.value.data["code"] == code
            await until(lambda: not subscriptions(sim))

    finish(work())


def test_the_resources_of_a_caller_are_limited(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path, subscriptions=2) as client:
            uris = [f"{BTC}/{path}" for path in ("ticker", "quote", "trades")]
            async with client.listen(resource_subscriptions=uris[:2]):
                with pytest.raises(MCPError) as caught:
                    async with client.listen(resource_subscriptions=uris[2:]):
                        pass
                assert caught.value.data["code"] == "QUOTA_EXCEEDED"
                async with client.listen(resource_subscriptions=uris[:2]):
                    pass

    finish(work())


def test_a_failed_stream_starts_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen() as sim:
            client = AsyncClient("binance", endpoints=sim.endpoints, home=tmp_path)
            limits = app.Limits(again=0.01, pause=0.01)
            async with (
                Client(app.Service(client, limits=limits).server()) as connected,
                connected.listen(resource_subscriptions=[f"{BTC}/ticker"]) as listening,
            ):
                await _event(sim, listening)
                await client.close()
                await until(lambda: len(sim.sockets) == 2 and subscriptions(sim))
                async with asyncio.timeout(20):
                    while "freshFor" not in await read_resource(connected, f"{BTC}/ticker"):
                        await _event(sim, listening)
            await nothing_left(sim)

    finish(work())


# ------------------------------------------------------------------------------- the handshake


@asynccontextmanager
async def _hearing(client: Client, uri: str) -> AsyncIterator[None]:
    with pytest.warns(MCPDeprecationWarning):
        await client.subscribe_resource(uri)
    yield
    with pytest.warns(MCPDeprecationWarning):
        await client.unsubscribe_resource(uri)


@pytest.mark.parametrize("door", ["memory", "stdio"])
def test_a_client_of_an_earlier_revision_subscribes(home: Path, door: str) -> None:
    heard: list[str] = []

    async def note(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.append(message.params.uri)

    async def work() -> None:
        async with (
            frozen() as sim,
            through(door, sim, home, "legacy", message_handler=note) as client,
        ):
            uri = "market://binance/btc-usdt/ticker"
            async with _hearing(client, uri), _hearing(client, f"{BTC}/trades"):
                # Twice is as once.
                with pytest.warns(MCPDeprecationWarning):
                    await client.subscribe_resource(uri)
                while len(set(heard)) < 2 or heard.count(uri) < 3:
                    await sim.advance(1)
                    await asyncio.sleep(0.01)
                assert set(heard) == {uri, f"{BTC}/trades"}
            await until(lambda: not subscriptions(sim))
            with pytest.warns(MCPDeprecationWarning), pytest.raises(MCPError) as caught:
                await client.subscribe_resource("market://binance/BTC-USTD/ticker")
            assert caught.value.code == INVALID_PARAMS
            assert caught.value.data["code"] == "PAIR_NOT_SUPPORTED"

    finish(work())


def test_a_closed_process_ends_its_subscriptions(home: Path) -> None:
    async def work() -> None:
        async with frozen() as sim:
            async with through("stdio", sim, home, "legacy") as client:
                with pytest.warns(MCPDeprecationWarning):
                    await client.subscribe_resource(f"{BTC}/ticker")
                await until(lambda: subscriptions(sim))
            await nothing_left(sim)

    finish(work())


def test_without_a_session_subscribing_is_refused(home: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, through("http", sim, home, "legacy") as client:
            said = client.server_capabilities.resources
            assert said is not None
            assert not said.subscribe
            with pytest.warns(MCPDeprecationWarning), pytest.raises(MCPError) as caught:
                await client.subscribe_resource(f"{BTC}/ticker")
            assert caught.value.code == METHOD_NOT_FOUND

    finish(work())


# ------------------------------------------------------------------------------- the end


def test_the_end_of_the_input_ends_a_server_with_listeners(home: Path) -> None:
    async def work() -> None:
        async with frozen() as sim:
            process = await asyncio.create_subprocess_exec(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(home, **endpoints(sim)),
            )
            assert process.stdin
            notifications = {"resourceSubscriptions": [f"{BTC}/ticker"]}
            process.stdin.write(request(1, "subscriptions/listen", notifications=notifications))
            await until(lambda: subscriptions(sim))
            process.stdin.close()
            _, err = await process.communicate()
            assert (process.returncode, err) == (0, b"")
            await nothing_left(sim)

    finish(work())


def test_a_signal_ends_listeners_cleanly(home: Path) -> None:
    async def work() -> None:
        async with frozen() as sim:
            arguments = ("--http", "127.0.0.1:0")
            async with (
                serving(home, *arguments, **endpoints(sim)) as (url, process),
                Client(url) as client,
                client.listen(resource_subscriptions=[f"{BTC}/ticker"]) as listening,
            ):
                await until(lambda: subscriptions(sim))
                process.send_signal(signal.SIGTERM)
                async for _ in listening:  # ends; where the line was cut it would raise
                    pass
                assert await process.wait() == 0
            await nothing_left(sim)

    finish(work())
