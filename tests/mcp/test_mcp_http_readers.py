"""Clients that read nothing, leave connections open, or are many do not affect the others."""

import contextlib
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from mcp_doors import Silent, finish
from mcp_live import until
from mcp_loopback import (
    BARS,
    PARSERS,
    TICKER,
    VERSIONS,
    answer,
    ask,
    connected,
    exchange,
    get,
    loopback,
)

from marketdata.sim import SimulatedExchange

GOOD = ask("tools/call", **TICKER)

# ---------------------------------------------------------------------------- readers


def test_a_client_that_does_not_read_is_cut_off_and_delays_nobody(
    home: Path, simulator: SimulatedExchange
) -> None:
    async def work() -> None:
        async with loopback(home, simulator.endpoints, small=True, stall_seconds=2) as server:
            async with connected(server.port, small=True) as slow:
                slow.writer.transport.pause_reading()
                slow.writer.write(ask("tools/call", **BARS) * 20)
                await until(lambda: server.under_way == 1)
                looks = 0
                while server.under_way and looks < 5:  # a busy machine takes its time for each
                    assert await server.is_well()
                    looks += 1
                assert looks
                await until(lambda: server.under_way == 0)
                slow.writer.transport.resume_reading()
                assert not await slow.is_closed()
            await until(lambda: not server.connections)

    finish(work())


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("is_last", [True, False])
def test_unread_responses_do_not_keep_a_connection_open(
    home: Path, simulator: SimulatedExchange, parser: str, is_last: bool
) -> None:
    """A response smaller than the send buffer, on a connection that ends."""

    async def work() -> None:
        ceilings = {"stall_seconds": 0.3, "idle_seconds": 1}
        async with (
            loopback(home, simulator.endpoints, parser=parser, small=True, **ceilings) as server,
            connected(server.port, small=True) as slow,
        ):
            slow.writer.transport.pause_reading()
            request = ask("tools/call", **BARS)
            if is_last:
                request = request.replace(b"Host:", b"Connection: close\r\nHost:")
            slow.writer.write(request)
            await until(lambda: server.connections)
            await until(lambda: not server.connections)

    finish(work())


# ---------------------------------------------------------------------------- connections


@pytest.mark.parametrize("parser", PARSERS)
def test_an_idle_connection_is_closed(
    home: Path, simulator: SimulatedExchange, parser: str
) -> None:
    async def work() -> None:
        async with (
            loopback(home, simulator.endpoints, parser=parser, idle_seconds=1) as server,
            connected(server.port) as peer,
        ):
            for _ in range(3):
                assert (await peer.asks(GOOD)).status == 200
            assert await peer.is_closed()

    finish(work())


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("version", VERSIONS)
def test_pipelined_requests_are_answered_in_order(
    home: Path, simulator: SimulatedExchange, parser: str, version: str
) -> None:
    async def work() -> None:
        async with (
            loopback(home, simulator.endpoints, parser=parser) as server,
            connected(server.port) as peer,
        ):
            for number in range(1, 21):
                peer.writer.write(ask("tools/call", version, number, **TICKER))
            for number in range(1, 21):
                assert (await answer(peer.reader)).message["id"] == number

    finish(work())


def test_thousands_of_pipelined_requests_are_too_many(
    home: Path, simulator: SimulatedExchange
) -> None:
    async def work() -> None:
        async with loopback(home, simulator.endpoints) as server, connected(server.port) as peer:
            peer.writer.write(get("/healthz") * 3_000)
            said = b""
            with contextlib.suppress(ConnectionError):
                said = await peer.reader.read()
            assert said.count(b"HTTP/1.1 200") < 3_000
            assert await server.is_well()

    finish(work())


@pytest.mark.parametrize("parser", PARSERS)
def test_http_1_0(home: Path, simulator: SimulatedExchange, parser: str) -> None:
    async def work() -> None:
        async with loopback(home, simulator.endpoints, parser=parser) as server:
            for request in (get("/healthz"), GOOD):
                async with connected(server.port) as peer:
                    asked = await peer.asks(request.replace(b"HTTP/1.1", b"HTTP/1.0"))
                    assert asked.status == 200
                    assert asked.headers["connection"] == "close"
                    assert await peer.is_closed()

    finish(work())


def test_connections_above_the_limit(home: Path, simulator: SimulatedExchange) -> None:
    async def work() -> None:
        async with loopback(home, simulator.endpoints, connections=6) as server:
            async with AsyncExitStack() as stack:
                for _ in range(3):
                    peer = await stack.enter_async_context(connected(server.port))
                    assert (await peer.asks(get("/healthz"))).status == 200
                async with connected(server.port) as one_more:
                    assert await one_more.is_closed()
                assert (await peer.asks(GOOD)).status == 200
            await until(lambda: not server.connections)
            assert await server.is_well()

    finish(work())


def test_requests_above_the_limit(home: Path) -> None:
    async def work() -> None:
        silent = Silent()
        async with (
            silent.listening() as told,
            loopback(home, json.loads(told), requests=6) as server,
            AsyncExitStack() as stack,
        ):
            waiting = [await stack.enter_async_context(connected(server.port)) for _ in range(3)]
            for peer in waiting:
                peer.writer.write(GOOD)
            await until(lambda: server.under_way == 3)
            refused = await exchange(server.port, GOOD)
            assert refused.status == 503
            assert refused.headers["retry-after"] == "1"
            said = refused.message["error"]["data"]
            assert (said["code"], said["retryable"]) == ("RATE_LIMIT_EXCEEDED", True)
            assert (await exchange(server.port, get("/healthz"))).status == 200
            assert (await exchange(server.port, get("/readyz"))).status == 200
            waiting[0].writer.transport.abort()
            await until(lambda: server.under_way == 2)
            assert (await exchange(server.port, ask("tools/list"))).status == 200

    finish(work())
