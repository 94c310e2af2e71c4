"""Clients that send too much or too slowly do not affect the others."""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from mcp_doors import COMMAND, finish, running, serving
from mcp_live import until
from mcp_loopback import (
    PARSERS,
    TICKER,
    VERSIONS,
    Peer,
    answer,
    ask,
    connected,
    get,
    loopback,
    message,
    post,
)
from waiting import taking_at_most

from marketdata.sim import SimulatedExchange

GOOD = ask("tools/call", **TICKER)
BIG = 10_000_000

BROKEN_OFF = [
    GOOD[:-1],
    post(message("tools/list"), Content_Length="9000"),
    post(b"400\r\n{}", Content_Length=None, Transfer_Encoding="chunked"),
    post(b"2\r\n{}\r\n", Content_Length=None, Transfer_Encoding="chunked"),
]


# ---------------------------------------------------------------------------- bodies


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("is_declared", [True, False])
def test_a_body_of_ten_megabytes_is_refused_and_the_connection_stays_open(
    home: Path, simulator: SimulatedExchange, parser: str, version: str, is_declared: bool
) -> None:
    async def work() -> None:
        async with (
            loopback(home, simulator.endpoints, parser=parser) as server,
            connected(server.port) as peer,
        ):
            body = b'"' + b"x" * (BIG - 2) + b'"'
            if is_declared:
                request = post(body, version=version)
            else:
                chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
                request = post(
                    chunked, version=version, Content_Length=None, Transfer_Encoding="chunked"
                )
            for _ in range(2):
                with taking_at_most(5):
                    assert (await peer.asks(request)).status == 413
                assert (await peer.asks(GOOD)).status == 200

    finish(work())


def test_fifty_such_bodies_at_once_cost_no_memory(home: Path) -> None:
    async def send(port: int, request: bytes) -> int:
        async with connected(port) as peer:
            await peer.sends(request)
            return (await answer(peer.reader)).status

    async def work() -> None:
        async with serving(home) as (url, process):
            port = urlsplit(url).port
            assert port
            memory = psutil.Process(process.pid).memory_info
            chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (BIG, b"x" * BIG)
            request = post(chunked, Content_Length=None, Transfer_Encoding="chunked")
            assert await send(port, request) == 413
            before = memory().rss
            assert set(await asyncio.gather(*[send(port, request) for _ in range(50)])) == {413}
            assert memory().rss - before < 100_000_000

    finish(work())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("request_", BROKEN_OFF)
def test_a_stalled_body_times_out(
    home: Path, simulator: SimulatedExchange, version: str, request_: bytes
) -> None:
    request_ = request_.replace(VERSIONS[0].encode(), version.encode())

    async def work() -> None:
        async with (
            loopback(home, simulator.endpoints, body_seconds=0.1) as server,
            connected(server.port) as peer,
        ):
            assert (await peer.asks(request_)).status == 408
            assert await peer.is_closed()
            assert await server.is_well()

    finish(work())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_slow_body_times_out(home: Path, simulator: SimulatedExchange, version: str) -> None:
    async def trickle(peer: Peer) -> None:
        for byte in ask("tools/call", version, **TICKER).partition(b"\r\n\r\n")[2]:
            peer.writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    async def work() -> None:
        async with (
            loopback(home, simulator.endpoints, body_seconds=0.2) as server,
            connected(server.port) as peer,
        ):
            request = ask("tools/call", version, **TICKER)
            peer.writer.write(request.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            sending = asyncio.create_task(trickle(peer))
            assert (await answer(peer.reader)).status == 408
            sending.cancel()

    finish(work())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_disconnects_within_its_body_is_forgotten(
    home: Path, simulator: SimulatedExchange, version: str
) -> None:
    async def work() -> None:
        async with loopback(home, simulator.endpoints) as server:
            async with connected(server.port) as peer:
                peer.writer.write(ask("tools/call", version, **TICKER)[:-9])
                await until(lambda: server.under_way == 1)
            await until(lambda: server.under_way == 0)
            await until(lambda: not server.connections)

    finish(work())


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "told",
    [
        {"Content_Length": "20"},
        {"Content_Length": "-5"},
        {"Content_Length": "0x10"},
        {"Content_Length": "9" * 30},
        {"Content_Length": "5\r\nContent-Length: 7"},
        {"Transfer_Encoding": "chunked"},
        {"Transfer_Encoding": "gzip, chunked", "Content_Length": None},
    ],
)
def test_a_body_with_a_wrong_content_length(
    home: Path, simulator: SimulatedExchange, parser: str, told: dict[str, str]
) -> None:
    async def work() -> None:
        ceilings = {"body_seconds": 0.1, "idle_seconds": 1}
        async with loopback(home, simulator.endpoints, parser=parser, **ceilings) as server:
            async with connected(server.port) as peer:
                peer.writer.write(post(message("tools/list"), **told))
                said = await peer.reader.read()
            # The part of it that was told may be answered; what is behind that is no request.
            statuses = [int(one) for one in re.findall(rb"HTTP/1.1 (\d+)", said)]
            assert statuses
            assert set(statuses) <= {400, 408, 413, 501}
            assert await server.is_well()

    finish(work())


# ---------------------------------------------------------------------------- headers


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("begun", [b"POST", b"GET / HTTP/1.1\r\nHost: 127.0"])
def test_an_incomplete_header_times_out(
    home: Path, simulator: SimulatedExchange, parser: str, begun: bytes
) -> None:
    async def work() -> None:
        async with loopback(home, simulator.endpoints, parser=parser, header_seconds=0.1) as server:
            for first in (b"", get("/healthz")):
                async with connected(server.port) as peer:
                    if first:
                        assert (await peer.asks(first)).status == 200
                    peer.writer.write(begun)
                    assert await peer.is_closed()
            async with connected(server.port) as peer:
                assert await peer.is_closed()
            assert await server.is_well()

    finish(work())


@pytest.mark.parametrize("parser", PARSERS)
def test_a_header_sent_byte_by_byte_times_out(
    home: Path, simulator: SimulatedExchange, parser: str
) -> None:
    async def trickle(peer: Peer) -> None:
        for byte in GOOD:
            peer.writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    async def work() -> None:
        async with (
            loopback(home, simulator.endpoints, parser=parser, header_seconds=0.2) as server,
            connected(server.port) as peer,
        ):
            sending = asyncio.create_task(trickle(peer))
            assert await peer.is_closed()
            sending.cancel()

    finish(work())


@pytest.mark.parametrize("is_busy", [False, True])
def test_an_endless_header_is_cut_off(
    home: Path, simulator: SimulatedExchange, is_busy: bool
) -> None:
    async def work() -> None:
        async with (
            loopback(home, simulator.endpoints) as server,
            connected(server.port) as peer,
        ):
            if is_busy:
                wanted = {"resourcesListChanged": True}
                peer.writer.write(ask("subscriptions/listen", notifications=wanted))
                await peer.reader.readuntil(b"acknowledged")
            header = b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 50_000_000
            with pytest.raises(ConnectionError):
                await peer.sends(header)
            await until(lambda: server.under_way == 0)

    finish(work())


def test_a_header_with_too_many_fields_is_refused(home: Path, simulator: SimulatedExchange) -> None:
    async def work() -> None:
        async with loopback(home, simulator.endpoints) as server:
            for fields, status in ((150, 200), (10_000, 400)):
                async with connected(server.port) as peer:
                    head = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    peer.writer.write(head + b"X: y\r\n" * fields + b"\r\n")
                    assert (await answer(peer.reader)).status == status

    finish(work())


def test_the_connection_limit_is_below_the_file_limit(home: Path) -> None:
    """One address has half of them, so that others still find some."""
    command = [*_FEW_FILES, str(COMMAND), "--http", "127.0.0.1:0", "--sim"]

    async def work() -> None:
        with running(command, home) as process:
            assert process.stderr
            line = await asyncio.to_thread(process.stderr.readline)
            port = int(line.decode().rpartition("/mcp")[0].rpartition(":")[2])
            async with AsyncExitStack() as stack:
                for _ in range(150):
                    await stack.enter_async_context(connected(port))
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, local_addr=("127.0.0.2", 0)
                )
                writer.write(get("/healthz"))
                assert (await answer(reader)).status == 200
                writer.close()

    finish(work())


_FEW_FILES = ("sh", "-c", 'ulimit -n 140 && exec "$0" "$@"')
