"""The shutdown of the server with clients in every possible state."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from mcp_doors import PATIENCE, Silent, finish, serving
from mcp_live import until
from mcp_loopback import (
    BARS,
    HANDSHAKE,
    HELLO,
    PARSERS,
    TICKER,
    VERSIONS,
    Peer,
    answer,
    ask,
    connected,
    exchange,
    get,
    loopback,
    message,
    post,
)
from waiting import taking_at_most

from marketdata.sim import SimulatedExchange
from marketdata_mcp.service import http

CALL = ask("tools/call", **TICKER)
OLDER_CALL = ask("tools/call", HANDSHAKE, **TICKER)
LISTEN = ask("subscriptions/listen", notifications={"resourcesListChanged": True})
TOOLS = ask("tools/list")

BEGUN = {
    "nothing": b"",
    "a header": CALL[:40],
    "a body": CALL[:-9],
    "a body of the handshake": OLDER_CALL[:-9],
    "a body refused": post(b"x", Content_Length="10000000"),
    "a call": CALL,
    "a call of the handshake": OLDER_CALL,
    "pipelined calls": CALL * 3,
    "pipelined calls of the handshake": OLDER_CALL * 3,
    "http 1.0": OLDER_CALL.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a stream": LISTEN,
    "a call behind a stream": LISTEN + CALL,
    "idle": get("/healthz"),
    "events": get("/sse"),
}


@asynccontextmanager
async def _session(port: int) -> AsyncIterator[tuple[Peer, str]]:
    """Open a session of the HTTP+SSE transport; give its stream and its path for messages."""
    async with connected(port) as peer:
        peer.writer.write(get("/sse"))
        await peer.reader.readuntil(b"data: ")
        path = (await peer.reader.readline()).decode().strip()
        for sent in (
            message("initialize", **HELLO),
            message("notifications/initialized", number=None),
        ):
            assert (await exchange(port, post(sent, path))).status == 202
        yield peer, path


@asynccontextmanager
async def _in_the_midst(port: int) -> AsyncIterator[dict[str, Peer]]:
    """Have clients do all that they can be interrupted in."""
    async with AsyncExitStack() as stack:
        peers = {}
        for name, data in BEGUN.items():
            peers[name] = await stack.enter_async_context(connected(port))
            peers[name].writer.write(data)
        peers["session"], path = await stack.enter_async_context(_session(port))
        assert (await exchange(port, post(message("tools/call", **TICKER), path))).status == 202
        # Those before it have been read by now.
        assert (await exchange(port, TOOLS)).status == 200
        yield peers


@pytest.mark.parametrize("signals", [1, 2])
def test_it_ends_cleanly_with_any_requests_in_flight(tmp_path: Path, signals: int) -> None:
    async def work() -> None:
        silent = Silent()
        arguments = ("--http", "127.0.0.1:0", "--sse", "-e", "binance")
        async with (
            silent.listening() as endpoints,
            serving(tmp_path, *arguments, MARKETDATA_ENDPOINTS=endpoints) as (url, process),
            _in_the_midst(urlsplit(url).port or 0) as peers,
        ):
            await silent.asked.wait()
            with taking_at_most(4):
                for _ in range(signals):
                    process.send_signal(signal.SIGTERM)
                    await asyncio.sleep(0.05)
                _, err = await process.communicate()
            assert process.returncode == 0
            assert b"Traceback" not in err
            assert b"ERROR" not in err
            for name in ("a call", "a body"):
                told = await answer(peers[name].reader)
                assert told.status == 503
                assert told.headers["retry-after"] == "1"
                assert told.message["error"]["data"]["retryable"] is True
            for number in range(3):
                assert (await answer(peers["pipelined calls"].reader)).status == 503, number
            # What had begun ends as it should.
            assert (await answer(peers["a call of the handshake"].reader)).status == 200
            ended = await answer(peers["a stream"].reader)
            assert ended.message["result"]["resultType"] == "complete"
            assert (await answer(peers["events"].reader)).status == 200
            for name in ("nothing", "a header"):
                assert await peers[name].is_closed()

    finish(work())


@pytest.mark.parametrize("parser", PARSERS)
def test_it_does_not_wait_for_clients_that_do_not_read(
    home: Path, simulator: SimulatedExchange, parser: str
) -> None:
    async def work() -> None:
        async with (
            AsyncExitStack() as stack,
            loopback(home, simulator.endpoints, parser=parser, small=True) as server,
        ):
            for version in VERSIONS:
                for count in (1, 9):
                    slow = await stack.enter_async_context(connected(server.port, small=True))
                    slow.writer.transport.pause_reading()
                    slow.writer.write(ask("tools/call", version, **BARS) * count)
            made = {"tool": "get_candles", "code": "OK"}
            await until(lambda: server.metric("calls_total", **made) >= 4)
            # Left first of what the stack holds: as soon as the server has ended.
            stack.enter_context(taking_at_most(4))

    finish(work())


def test_requests_before_the_end_are_answered(home: Path) -> None:
    async def work() -> None:
        async with serving(home) as (url, process):
            port = urlsplit(url).port or 0
            async with AsyncExitStack() as stack:
                peers = [await stack.enter_async_context(connected(port)) for _ in range(20)]
                for peer in peers:
                    assert (await peer.asks(get("/healthz"))).status == 200
                for peer in peers:
                    peer.writer.write(CALL)
                # Written, so that the server gets it before it notices the signal.
                process.send_signal(signal.SIGTERM)
                for peer in peers:
                    assert "structuredContent" in (await answer(peer.reader)).message["result"]
            _, err = await process.communicate()
            assert (process.returncode, err) == (0, b"")

    finish(work())


def test_a_connection_accepted_during_the_shutdown_is_closed(
    home: Path, simulator: SimulatedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutdown = http._Server.shutdown
    late: list[socket.socket] = []

    async def work() -> None:
        async with loopback(home, simulator.endpoints) as server:

            async def with_a_late_client(self: Any, sockets: list[socket.socket]) -> None:
                late.append(socket.create_connection(("127.0.0.1", server.port), PATIENCE))
                for _ in range(2):  # asyncio has accepted it then, but made no connection of it
                    await asyncio.sleep(0)
                await shutdown(self, sockets)

            monkeypatch.setattr(http._Server, "shutdown", with_a_late_client)

    finish(work())
    with late[0] as client:
        assert client.recv(1) == b""
