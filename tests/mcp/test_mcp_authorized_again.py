"""Streams end with their key, account or token, with an error code that gives the reason."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp_doors import finish
from mcp_guarded import Guarded, guarded
from mcp_live import BTC, frozen, until
from mcp_loopback import (
    HELLO,
    MODERN,
    Peer,
    ask,
    connected,
    exchange,
    get,
    message,
    post,
)

from marketdata.sim import SimulatedExchange
from marketdata_mcp.live.watches import Limits
from marketdata_mcp.service import admission, event_session
from marketdata_mcp.service.access.accounts import AwayError, Key

URI = f"{BTC}/ticker"
SOON = 0.05


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at keys much more often than once a minute."""
    assert max(admission._AGAIN_SECONDS, event_session._AGAIN_SECONDS) < 60
    monkeypatch.setattr(admission, "_AGAIN_SECONDS", SOON)
    monkeypatch.setattr(event_session, "_AGAIN_SECONDS", SOON)


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch, often: None) -> None:
    """Look at keys at notifications only."""
    monkeypatch.setattr(admission, "_AGAIN_SECONDS", 3600.0)
    monkeypatch.setattr(event_session, "_AGAIN_SECONDS", 3600.0)


async def _revoked(server: Guarded) -> None:
    await server.registry.revoke(server.keys["alice"])


async def _suspended(server: Guarded) -> None:
    await server.registry.suspend("alice")


async def _expired(server: Guarded) -> None:
    [(key, _)] = await server.registry.keys("alice")
    await server.store.end_key(key.id, 1.0, expires=True)


ENDS: dict[str, tuple[Callable[[Guarded], Awaitable[Any]], str]] = {
    "revoked": (_revoked, "UNAUTHORIZED"),
    "suspended": (_suspended, "FORBIDDEN"),
    "expired": (_expired, "UNAUTHORIZED"),
}


async def _listen(server: Guarded, stack: AsyncExitStack) -> Peer:
    """Open a stream of events of 2026-07-28."""
    peer = await stack.enter_async_context(connected(server.port))
    wanted = {"resourceSubscriptions": [URI]}
    request = ask("subscriptions/listen", MODERN, notifications=wanted)
    peer.writer.write(server.signed(request))
    await peer.reader.readuntil(b"acknowledged")
    return peer


async def _session(server: Guarded, stack: AsyncExitStack) -> Peer:
    """Open a session of the older transport that is subscribed to a resource."""
    peer = await stack.enter_async_context(connected(server.port))
    peer.writer.write(server.signed(get("/sse")))
    await peer.reader.readuntil(b"data: ")
    path = (await peer.reader.readline()).decode().strip()
    for number, (method, params) in enumerate(
        [("initialize", HELLO), ("resources/subscribe", {"uri": URI})]
    ):
        sent = server.signed(post(message(method, number, **params), path))
        assert (await exchange(server.port, sent)).status == 202
        await peer.reader.readuntil(b"data: {")
        await peer.reader.readline()
    return peer


STREAMS = {"subscriptions/listen": _listen, "HTTP+SSE": _session}


async def _last(peer: Peer) -> dict[str, Any]:
    """Read a stream to its end, and give its last message."""
    async with asyncio.timeout(20):
        text = b""
        while b"0\r\n\r\n" not in text[-5:]:
            part = await peer.reader.read(1 << 16)
            assert part
            text += part
    events = [line for line in text.split(b"\r\n") if line.startswith(b"data: {")]
    found: dict[str, Any] = json.loads(events[-1].removeprefix(b"data: "))
    return found


@asynccontextmanager
async def _serving(home: Path, sim: SimulatedExchange) -> Any:
    async with guarded(home, sim, limits=Limits(pause=0.01)) as server:
        await server.newcomer()
        yield server


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("how", ENDS)
def test_a_stream_ends_soon_after_its_key(home: Path, stream: str, how: str) -> None:
    async def work() -> None:
        async with (
            frozen() as sim,
            _serving(home, sim) as server,
            AsyncExitStack() as stack,
        ):
            peer = await STREAMS[stream](server, stack)
            end, code = ENDS[how]
            await end(server)
            said = await _last(peer)
            assert said["error"]["data"]["code"] == code
            await until(lambda: not sim.sockets or all(one.closed for one in sim.sockets))

    finish(work())


@pytest.mark.parametrize("stream", STREAMS)
def test_an_expired_key_gets_no_notification(home: Path, stream: str, seldom: None) -> None:
    async def work() -> None:
        async with (
            frozen() as sim,
            _serving(home, sim) as server,
            AsyncExitStack() as stack,
        ):
            peer = await STREAMS[stream](server, stack)
            await sim.advance(1)
            await peer.reader.readuntil(b"resources/updated")
            await _revoked(server)
            reading = asyncio.create_task(_last(peer))
            while not reading.done():
                await sim.advance(0.5)
                await asyncio.sleep(0.01)
            assert (await reading)["error"]["data"]["code"] == "UNAUTHORIZED"

    finish(work())


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_continues_while_keys_cannot_be_checked(
    home: Path, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with (
            frozen() as sim,
            _serving(home, sim) as server,
            AsyncExitStack() as stack,
        ):
            peer = await STREAMS[stream](server, stack)
            asked = 0

            async def away(key_id: str) -> tuple[Key, Any] | None:
                nonlocal asked
                asked += 1
                raise AwayError

            monkeypatch.setattr(server.store, "find", away)
            await until(lambda: asked > 3)
            monkeypatch.undo()
            telling = asyncio.create_task(peer.reader.readuntil(b"resources/updated"))
            while not telling.done():
                await sim.advance(0.5)
                await asyncio.sleep(0.01)
            await telling

    finish(work())
