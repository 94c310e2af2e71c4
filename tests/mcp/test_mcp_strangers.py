"""Clients without a key cannot affect others."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from mcp_doors import finish, serving
from mcp_guarded import error, guarded, stalls
from mcp_live import until
from mcp_loopback import (
    HANDSHAKE,
    HELLO,
    MODERN,
    PARSERS,
    TICKER,
    VERSIONS,
    answer,
    ask,
    connected,
    exchange,
    get,
    loopback,
    message,
    post,
    with_headers,
)

from marketdata.sim import SimulatedExchange

LONG = "x" * 250_000

WORST: dict[str, dict[str, Any]] = {
    "a list": {"name": "get_tickers", "arguments": {"pairs": ["BTC/USDT"] * 18_000}},
    "long texts": {"name": "get_tickers", "arguments": {"pairs": [LONG]}},
    "a text": {"name": "get_ticker", "arguments": {"pair": LONG}},
    "a time": {"name": "get_trades", "arguments": {"pair": "BTC/USDT", "start": LONG}},
    "an argument's name": {"name": "get_ticker", "arguments": {"pair": "BTC/USDT", LONG: 1}},
    "many arguments": {"name": "get_ticker", "arguments": {f"a{n}": n for n in range(14_000)}},
    "an object": {"name": "get_ticker", "arguments": {"pair": {f"a{n}": n for n in range(14_000)}}},
    "lists in lists": {"name": "get_tickers", "arguments": {"pairs": [[["x"] * 50_000]]}},
    "a tool's name": {"name": LONG, "arguments": {}},
}


@pytest.mark.parametrize("what", WORST)
def test_too_large_messages_are_refused_before_parsing(
    home: Path, simulator: SimulatedExchange, what: str
) -> None:
    async def work() -> None:
        async with guarded(home, simulator) as server:
            await server.newcomer()
            body = json.dumps(
                {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": WORST[what]}
            ).encode()
            # Without a key it is not even read.
            refused = await exchange(server.port, post(body))
            assert (refused.status, error(refused)["code"]) == (401, "UNAUTHORIZED")
            longest = []
            for _ in range(3):
                async with stalls() as taken:
                    said = await exchange(server.port, server.signed(post(body)))
                longest.append(max(taken))
            assert min(longest) < 0.1
            if what == "a tool's name":
                assert said.message["error"]["message"].startswith("Unknown tool: xxx")
            else:
                assert error(said)["code"] == "INVALID_PARAMETER"
            assert len(said.body) < 2_000

    finish(work())


@pytest.mark.parametrize("what", WORST)
def test_without_a_key_the_loop_never_stalls(
    home: Path, simulator: SimulatedExchange, what: str
) -> None:
    async def work() -> None:
        async with guarded(home, simulator) as server:
            arguments = json.dumps(WORST[what])
            small = json.dumps({**WORST[what], "arguments": {"pairs": ["x"] * 1_500}})
            for params in (arguments, small):
                request = post(
                    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%b}' % params.encode()
                )
                longest = []
                for _ in range(3):
                    async with stalls() as taken:
                        await exchange(server.port, request)
                    longest.append(max(taken))
                assert min(longest) < 0.02

    finish(work())


def test_no_message_of_a_session_stalls_the_loop(home: Path, simulator: SimulatedExchange) -> None:
    """The slowest messages by size; the SDK parses a session's messages several times."""

    async def work() -> None:
        async with guarded(home, simulator) as server, connected(server.port) as peer:
            await server.newcomer()
            peer.writer.write(server.signed(get("/sse")))
            await peer.reader.readuntil(b"data: ")
            path = (await peer.reader.readline()).strip()

            def posted(body: bytes) -> bytes:
                return server.signed(post(body)).replace(b"/mcp", path, 1)

            for begin in (
                message("initialize", **HELLO),
                message("notifications/initialized", number=None),
            ):
                assert (await exchange(server.port, posted(begin))).status == 202
            for count, status in ((30_000, 202), (40_000, 413)):
                pairs = b",".join([b'{"a":1}'] * count)
                params = b'{"name":"get_tickers","arguments":{"pairs":[%b]}}' % pairs
                body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%b}' % params
                longest = []
                for _ in range(3):
                    async with stalls() as taken:
                        assert (await exchange(server.port, posted(body))).status == status
                        if status == 202:
                            await peer.reader.readuntil(b"INVALID_PARAMETER")
                    longest.append(max(taken))
                assert min(longest) < 0.1

    finish(work())


def test_a_malformed_call_without_a_key_gets_its_error(
    home: Path, simulator: SimulatedExchange
) -> None:
    async def work() -> None:
        async with guarded(home, simulator) as server:
            for version in VERSIONS:
                wrong = {"name": "get_ticker", "arguments": {}}
                said = await exchange(server.port, ask("tools/call", version, **wrong))
                assert (said.status, error(said)["code"]) == (200, "MISSING_PARAMETER")

    finish(work())


def test_missing_bodies_of_strangers_block_nobody(home: Path, simulator: SimulatedExchange) -> None:
    async def work() -> None:
        async with (
            guarded(home, simulator, requests=40, keyless=8, keyless_seconds=0.2) as server,
            AsyncExitStack() as stack,
        ):
            await server.newcomer()
            slow = [await stack.enter_async_context(connected(server.port)) for _ in range(60)]
            for peer in slow:
                peer.writer.write(post(b"{", Content_Length="1000"))
            assert (await server.call("get_ticker", **TICKER["arguments"])).status == 200
            # Each is told so soon, and none is waited for longer than that.
            for peer in slow:
                assert (await answer(peer.reader)).status in (401, 503)

    finish(work())


def test_one_address_has_at_most_half_of_the_connections(
    home: Path, simulator: SimulatedExchange
) -> None:
    async def work() -> None:
        async with (
            loopback(home, simulator.endpoints, connections=20) as server,
            AsyncExitStack() as stack,
        ):
            for _ in range(30):
                await stack.enter_async_context(connected(server.port))
            await until(lambda: server.connections == 10)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, local_addr=("127.0.0.2", 0)
            )
            writer.write(get("/healthz"))
            assert (await answer(reader)).status == 200
            writer.close()

    finish(work())


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_an_upgrade_to_another_protocol_is_ignored(
    home: Path, simulator: SimulatedExchange, parser: str, version: str, pieces: int
) -> None:
    async def work() -> None:
        async with (
            loopback(home, simulator.endpoints, parser=parser) as server,
            connected(server.port) as peer,
        ):
            request = with_headers(
                ask("tools/call", version, **TICKER),
                Connection="Upgrade, HTTP2-Settings",
                Upgrade="h2c",
                HTTP2_Settings="AAMAAABkAAQCAAAAAAIAAAAA",
            )
            # With the next request behind it, all in one or in pieces.
            both = request + ask("tools/call", version, **TICKER)
            step = len(both) // pieces + 1
            for at in range(0, len(both), step):
                peer.writer.write(both[at : at + step])
                await peer.writer.drain()
                await asyncio.sleep(0)
            for _ in range(2):
                said = await answer(peer.reader)
                assert said.status == 200
                assert "structuredContent" in said.message["result"]
            chunked = with_headers(
                post(b"2\r\n{}\r\n0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked"),
                Connection="Upgrade",
                Upgrade="h2c",
            )
            assert (await peer.asks(chunked)).status == 400  # {} is no message, and was read

    finish(work())


def test_endless_requests_are_cut_off_before_all_are_parsed(
    home: Path, simulator: SimulatedExchange
) -> None:
    async def work() -> None:
        async with guarded(home, simulator) as server:
            longest = []
            for _ in range(4):
                async with connected(server.port) as peer, stalls() as taken:
                    peer.writer.write(b"GET /x HTTP/1.1\r\n\r\n" * 50_000)
                    assert await peer.is_closed()
                longest.append(max(taken))
            assert min(longest) < 0.02

    finish(work())


def test_connect_is_refused_and_delays_nobody(home: Path) -> None:
    """A server in a separate process, which is killed if it no longer answers."""

    async def work() -> None:
        async with serving(home) as (url, process):
            port = urlsplit(url).port or 0
            try:
                for method in (b"CONNECT", b"TRACE", b"PRI"):
                    for more in (b"", b"Upgrade: h2c\r\n", b"Content-Length: 3\r\n"):
                        async with asyncio.timeout(5), connected(port) as peer:
                            head = b"%b localhost:80 HTTP/1.1\r\nHost: localhost\r\n%b\r\n123"
                            peer.writer.write(head % (method, more))
                            assert (await answer(peer.reader)).status == 400
                async with asyncio.timeout(5), connected(port) as peer:
                    assert (await peer.asks(get("/healthz"))).status == 200
            except BaseException:
                process.kill()
                raise

    finish(work())


@pytest.mark.parametrize("parser", PARSERS)
def test_the_host_of_an_absolute_url_is_checked(
    home: Path, simulator: SimulatedExchange, parser: str
) -> None:
    async def work() -> None:
        async with loopback(home, simulator.endpoints, parser=parser) as server:
            for host, statuses in (("evil.example", (404, 421)), ("localhost:1", (404, 200))):
                request = ask("tools/call", **TICKER)
                whole = request.replace(b" /mcp ", b" http://%b/mcp " % host.encode(), 1)
                assert (await exchange(server.port, whole)).status in statuses

    finish(work())


@pytest.mark.parametrize("parser", PARSERS)
def test_a_trailer_is_not_a_header(home: Path, simulator: SimulatedExchange, parser: str) -> None:
    async def work() -> None:
        async with guarded(home, simulator, parser=parser) as server:
            key = await server.newcomer()
            body = message("tools/call", **TICKER)
            chunked = b"%x\r\n%b\r\n0\r\nAuthorization: Bearer %b\r\n\r\n"
            request = post(
                chunked % (len(body), body, key.encode()),
                Content_Length=None,
                Transfer_Encoding="chunked",
                Trailer="Authorization",
            )
            assert (await exchange(server.port, request)).status == 401

    finish(work())


@pytest.mark.parametrize("parser", PARSERS)
def test_a_half_closed_client_is_answered(
    home: Path, simulator: SimulatedExchange, parser: str
) -> None:
    async def work() -> None:
        async with guarded(home, simulator, parser=parser) as server:
            await server.newcomer()
            for version in (MODERN, HANDSHAKE):
                async with connected(server.port) as peer:
                    peer.writer.write(server.signed(ask("tools/call", version, **TICKER)))
                    peer.writer.write_eof()
                    said = await answer(peer.reader)
                    assert said.status == 200
                    assert "structuredContent" in said.message["result"]
                    assert await peer.is_closed()
            # One that has gone altogether is not waited for: its call is cancelled.
            cancelled = {"tool": "get_orderbook", "code": "CANCELLED"}
            simulator.faults.add("binance:*/depth:hang=true")
            try:
                async with connected(server.port) as peer:
                    call = {"name": "get_orderbook", "arguments": {"pair": "BTC/USDT"}}
                    peer.writer.write(server.signed(ask("tools/call", MODERN, **call)))
                    await until(lambda: server.served.under_way)
                    peer.writer.close()
                    await until(lambda: server.served.metric("calls_total", **cancelled) == 1)
            finally:
                simulator.faults.clear()

    finish(work())


GOOD_HOSTS = ("127.0.0.1", "127.0.0.1:80", "LOCALHOST", "LocalHost:8080", "[::1]", "[0:0::1]:5")
BAD_HOSTS = (
    "127.0.0.1:1.evil.example",
    "localhost:80@evil.example",
    "user@localhost",
    "localhost.evil.example",
    "[::1].evil.example",
    "localhost:99999",
    "localhost/..",
    "",
)


def test_a_host_is_a_name_and_a_port(home: Path, simulator: SimulatedExchange) -> None:
    async def work() -> None:
        async with loopback(home, simulator.endpoints) as server:
            request = ask("tools/call", **TICKER)
            for host in GOOD_HOSTS:
                said = await exchange(server.port, request.replace(b"127.0.0.1", host.encode(), 1))
                assert said.status == 200, host
                said = await exchange(server.port, with_headers(request, Origin=f"http://{host}"))
                assert said.status == 200, host
            for host in BAD_HOSTS:
                said = await exchange(server.port, request.replace(b"127.0.0.1", host.encode(), 1))
                assert said.status in (400, 421), host
                said = await exchange(server.port, with_headers(request, Origin=f"http://{host}"))
                assert said.status == 403, host
            assert (await exchange(server.port, with_headers(request, Origin="null"))).status == 403
            twice = with_headers(request, Host="evil.example")
            assert (await exchange(server.port, twice)).status == 400

    finish(work())
