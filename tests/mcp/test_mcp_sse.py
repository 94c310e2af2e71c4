"""The older HTTP+SSE transport: sessions with notifications that leave nothing behind."""

import asyncio
import contextlib
import json
import resource
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psutil
import pytest
from mcp import Client, MCPDeprecationWarning
from mcp.client.sse import sse_client
from mcp.client.subscriptions import ResourceUpdated
from mcp_admin import command
from mcp_doors import ERAS, content, failure, finish, serving
from mcp_live import BTC, frozen, read, start, subscriptions, until
from mcp_loopback import (
    BARS,
    HELLO,
    Answer,
    Loopback,
    Peer,
    connected,
    exchange,
    get,
    loopback,
    message,
    post,
)
from mcp_types import ResourceUpdatedNotification

from marketdata.sim import SimulatedExchange
from marketdata_mcp.live.watches import Limits

URI = f"{BTC}/ticker"
TIDYING = Counter(["Watches._tidy"])


class Session:
    """A session, as a client holds it that writes HTTP by hand."""

    def __init__(self, port: int, events: Peer, path: str) -> None:
        self.path = path
        self.events = events
        self._port = port

    async def sends(self, body: bytes, path: str | None = None) -> Answer:
        """Send a message to it."""
        return await exchange(self._port, post(body, path or self.path))

    async def next(self) -> dict[str, Any]:
        """Wait for the next message from the server."""
        async with asyncio.timeout(20):
            while not (line := await self.events.reader.readline()).startswith(b"data: {"):
                assert line, "the stream has ended"
        decoded: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
        return decoded


@asynccontextmanager
async def _session(port: int, *, small: bool = False) -> AsyncIterator[Session]:
    async with connected(port, small=small) as peer:
        peer.writer.write(get("/sse"))
        await peer.reader.readuntil(b"data: ")
        session = Session(port, peer, (await peer.reader.readline()).decode().strip())
        assert (await session.sends(message("initialize", **HELLO))).status == 202
        assert "result" in await session.next()
        hello = message("notifications/initialized", number=None)
        assert (await session.sends(hello)).status == 202
        yield session


@asynccontextmanager
async def _following(
    home: Path, sim: SimulatedExchange, **options: Any
) -> AsyncIterator[tuple[Loopback, Callable[[], Awaitable[None]]]]:
    """Serve a simulated exchange; yield a function that advances it until everything is freed."""

    async def freed() -> None:
        await until(lambda: not server.connections)
        await until(lambda: not subscriptions(sim))
        await until(lambda: _tasks() <= tasks)

    async with loopback(home, sim.endpoints, **options) as server:
        assert await server.is_well()
        async with _session(server.port):
            pass
        await until(lambda: not server.connections)
        tasks = _tasks()
        yield server, freed
        await freed()


def _tasks() -> Counter[str]:
    """Return the running tasks, except the one that waits for unread watches."""
    named = (task.get_coro() for task in asyncio.all_tasks())
    return Counter(str(getattr(one, "__qualname__", one)) for one in named) - TIDYING


async def _heard(sim: SimulatedExchange, session: Session) -> dict[str, Any]:
    """Advance the time until a session gets a message."""
    coming = asyncio.create_task(session.next())
    while not coming.done():
        await sim.advance(0.5)
        await asyncio.sleep(0.01)
    return await coming


UPDATED = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": URI}}


# ---------------------------------------------------------------------- the SDK's client


@pytest.mark.parametrize("era", ERAS)
def test_the_sdks_client_lists_calls_and_watches(home: Path, era: str) -> None:
    async def work() -> None:
        async with frozen() as sim, _following(home, sim) as (server, freed):
            url = f"http://127.0.0.1:{server.port}/sse"
            async with Client(sse_client(url), mode=era) as client:
                assert len((await client.list_tools()).tools) == 19
                asked = {"pair": "ETH/USDT", "exchange": "binance"}
                assert content(await client.call_tool("get_quote", asked))["pair"] == "ETH/USDT"
                assert failure(await client.call_tool("get_quote", {}))["code"] == (
                    "MISSING_PARAMETER"
                )
                watch = await start(client, sim, kind="ticker", pair="BTC/USDT")
                assert (await read(client, watch))["subjects"][0]["ticker"]["last"] > 0
                content(await client.call_tool("watch_stop", {"watch": watch["watch"]}))
            await freed()

    finish(work())


def test_listeners_are_notified(home: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, _following(home, sim) as (server, freed):
            url = f"http://127.0.0.1:{server.port}/sse"
            async with (
                Client(sse_client(url)) as client,
                client.listen(resource_subscriptions=[URI]) as listening,
            ):
                coming = asyncio.ensure_future(anext(listening))
                while not coming.done():
                    await sim.advance(0.5)
                    await asyncio.sleep(0.01)
                assert await coming == ResourceUpdated(URI)
            await freed()

    finish(work())


def test_subscribers_are_notified_until_they_unsubscribe(home: Path) -> None:
    async def work() -> None:
        told: list[str] = []

        async def note(one: Any) -> None:
            if isinstance(one, ResourceUpdatedNotification):
                told.append(one.params.uri)

        async with frozen() as sim, _following(home, sim) as (server, _):
            door = sse_client(f"http://127.0.0.1:{server.port}/sse")
            async with Client(door, mode="legacy", message_handler=note) as client:
                with pytest.warns(MCPDeprecationWarning):
                    await client.subscribe_resource(URI)
                while not told:
                    await sim.advance(0.5)
                    await asyncio.sleep(0.01)
                assert set(told) == {URI}
                with pytest.warns(MCPDeprecationWarning):
                    await client.unsubscribe_resource(URI)
                await until(lambda: not subscriptions(sim))

    finish(work())


@pytest.mark.parametrize("era", ERAS)
def test_it_requires_the_same_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, era: str
) -> None:
    monkeypatch.setenv("MARKETDATA_HOME", str(tmp_path))
    assert command("access", "account", "add", "acme")[0] == 0
    key = command("access", "key", "add", "acme")[1].strip()

    async def work() -> None:
        arguments = ("--http", "127.0.0.1:0", "--sim", "--sse", "--access")
        async with serving(tmp_path, *arguments) as (url, _):
            port = urlsplit(url).port or 0
            for path in ("/sse", "/messages/?session_id=" + 32 * "0"):
                for asked in (get(path), post(message("tools/list"), path)):
                    assert (await exchange(port, asked)).status in (401, 405)
            headers = {"Authorization": f"Bearer {key}"}
            door = sse_client(url.replace("/mcp", "/sse"), headers=headers)
            async with Client(door, mode=era) as client:
                assert content(await client.call_tool("get_usage", {}))["tier"] == "pioneer"

    finish(work())


# ---------------------------------------------------------------------- updates


def test_closing_one_of_two_sessions_keeps_the_other(home: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, _following(home, sim) as (server, _):
            async with _session(server.port) as stays:
                async with _session(server.port) as leaves:
                    for session in (stays, leaves):
                        assert (
                            await session.sends(message("resources/subscribe", uri=URI))
                        ).status == 202
                        assert (await session.next())["result"] == {}
                    assert await _heard(sim, stays) == await _heard(sim, leaves) == UPDATED
                    assert len(subscriptions(sim)) == 1
                await until(lambda: server.under_way == 1)
                for _ in range(2):
                    assert await _heard(sim, stays) == UPDATED
                assert len(subscriptions(sim)) == 1
            await until(lambda: not subscriptions(sim))

    finish(work())


@pytest.mark.parametrize("spelled", [str.upper, lambda name: str(UUID(name))])
def test_a_session_with_another_name_leaves_nothing_behind(
    home: Path, spelled: Callable[[str], str]
) -> None:
    async def work() -> None:
        async with frozen() as sim, _following(home, sim) as (server, freed):
            async with _session(server.port) as session:
                path, _, name = session.path.rpartition("=")
                asked = message("resources/subscribe", uri=URI)
                assert (await session.sends(asked, f"{path}={spelled(name)}")).status == 202
                assert (await session.next())["result"] == {}
                assert await _heard(sim, session) == UPDATED
            await freed()

    finish(work())


def test_repeated_subscriptions_count_once(home: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, _following(home, sim) as (server, freed):
            async with _session(server.port) as session:
                asked = [message("resources/subscribe", number, uri=URI) for number in range(9)]
                await asyncio.gather(*map(session.sends, asked))
                for _ in asked:
                    assert (await session.next())["result"] == {}
                assert await _heard(sim, session) == UPDATED
                assert len(subscriptions(sim)) == 1
                await session.sends(message("resources/unsubscribe", uri=URI))
                await until(lambda: not subscriptions(sim))
            await freed()

    finish(work())


def test_a_session_that_reads_nothing_delays_no_other(home: Path) -> None:
    async def work() -> None:
        limits = Limits(pause=0.01)
        async with (
            frozen() as sim,
            _following(home, sim, small=True, limits=limits) as (server, _),
            _session(server.port) as reads,
            _session(server.port, small=True) as slow,
        ):
            for session in (slow, reads):
                await session.sends(message("resources/subscribe", uri=URI))
                assert (await session.next())["result"] == {}
            slow.events.writer.transport.pause_reading()
            for number in range(9):
                assert (await slow.sends(message("tools/call", number, **BARS))).status == 202
            made = {"tool": "get_candles", "code": "OK"}
            await until(lambda: server.metric("calls_total", **made) == 9)
            for _ in range(9):
                assert await _heard(sim, reads) == UPDATED

    finish(work())


# ---------------------------------------------------------------------- many


@contextlib.contextmanager
def _many_files(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count:
        pytest.skip(f"needs {count} open files, and {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_number_of_sessions_is_limited(home: Path) -> None:
    async def opened(port: int, stack: AsyncExitStack) -> None:
        peer = await stack.enter_async_context(connected(port))
        peer.writer.write(get("/sse"))
        await peer.reader.readuntil(b"session_id=")

    async def work() -> None:
        arguments = ("--http", "127.0.0.1:0", "--sim", "--sse")
        async with serving(home, *arguments) as (url, process):
            port = urlsplit(url).port or 0
            server = psutil.Process(process.pid)
            assert (await exchange(port, get("/metrics"))).status == 200
            before = server.num_fds()
            async with AsyncExitStack() as stack:
                for _ in range(20):
                    await asyncio.gather(*[opened(port, stack) for _ in range(50)])
                assert await _under_way(port) == 1_001
                for _ in range(2):
                    refused = await exchange(port, get("/sse"))
                    assert refused.status == 503
                    assert refused.headers["retry-after"] == "10"
                    assert refused.message["error"]["data"]["code"] == "RATE_LIMIT_EXCEEDED"
            async with asyncio.timeout(20):
                while await _under_way(port) > 1 or server.num_fds() > before + 1:
                    await asyncio.sleep(0.05)
            async with _session(port):
                pass

    with _many_files(2_500):
        finish(work())


async def _under_way(port: int) -> int:
    text = (await exchange(port, get("/metrics"))).body.decode()
    [line] = [one for one in text.splitlines() if one.startswith("marketdata_mcp_requests_under")]
    return int(float(line.split()[1]))
