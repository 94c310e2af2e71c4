"""Start, stop, and cleanup."""

import asyncio
import contextlib
import gc
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest

from marketdata.sim import MARKETS, Clock, SimulatedExchange


def test_endpoints_are_what_the_setting_takes(sim) -> None:
    assert sim.endpoints == dict.fromkeys(MARKETS, sim.url)
    assert sim.url.startswith("http://127.0.0.1:")


def test_every_answer_says_that_it_is_simulated(sim, fetch) -> None:
    for path in ("/api/v3/ping", "/0/public/Nothing", "/nowhere", "/_sim/info", "/fapi/v1/time"):
        assert fetch(sim, path).headers["X-Marketdata-Simulated"] == "1"
    assert fetch(sim, "/api/v3/ping", method="POST").headers["X-Marketdata-Simulated"] == "1"


def test_the_date_is_the_exchanges_own(sim, fetch, now) -> None:
    date = parsedate_to_datetime(fetch(sim, "/api/v3/ping").headers["Date"])
    assert date.timestamp() == now // 1000


def test_requests_are_written_down(fetch) -> None:
    with SimulatedExchange() as sim:
        fetch(sim, "/api/v3/depth", symbol="BTCUSDT", limit=5)
        fetch(sim, "/products/NONE")
        fetch(sim, "/elsewhere")
        first, second, third = sim.requests
        assert (first.exchange, first.method, first.path) == ("binance", "GET", "/api/v3/depth")
        assert (first.query, first.status) == ({"symbol": "BTCUSDT", "limit": "5"}, 200)
        assert first.ms is not None
        assert first.ms > 0
        assert (second.exchange, second.status) == ("coinbaseexchange", 404)
        assert (third.exchange, third.status) == ("", 404)
        sim.forget()
        assert sim.requests == []


def test_no_thread_and_no_port_is_left() -> None:
    before = threading.active_count()
    with SimulatedExchange() as sim:
        port = int(sim.url.rpartition(":")[2])
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert (sim.url, sim.endpoints) == ("", {})
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_it_starts_again_after_it_stopped(fetch) -> None:
    sim = SimulatedExchange()
    for _ in range(2):
        with sim:
            assert fetch(sim, "/api/v3/ping").status == 200


def test_it_is_not_started_twice() -> None:
    async def run() -> None:
        async with SimulatedExchange() as sim:
            with pytest.raises(RuntimeError, match="already started"):
                await sim.start()

    asyncio.run(run())
    with SimulatedExchange() as sim, pytest.raises(RuntimeError, match="already started"):
        sim.__enter__()


def test_a_taken_port_is_an_os_error() -> None:
    async def run() -> None:
        async with SimulatedExchange() as first:
            second = SimulatedExchange()
            with pytest.raises(OSError, match="address"):
                await second.start(port=int(first.url.rpartition(":")[2]))
            await second.stop()
            async with second:
                assert second.url

    asyncio.run(run())


def test_serve_forever_ends_when_cancelled() -> None:
    async def run() -> None:
        sim = SimulatedExchange()
        serving = asyncio.create_task(sim.serve_forever())
        while not sim.url:
            await asyncio.sleep(0)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert sim.url == ""

    asyncio.run(run())


def test_the_package_is_imported_without_aiohttp() -> None:
    code = "import sys, marketdata.sim; assert not {'aiohttp', 'ccxt'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


CLEAN = """
import asyncio, aiohttp
from marketdata.sim import SimulatedExchange

async def main():
    faults = ["*:*time*:hang", "kraken:*:drop", "okx:*:drop=body"]
    async with SimulatedExchange(faults=faults) as sim:
        async with aiohttp.ClientSession() as session:
            async def get(path):
                async with session.get(sim.url + path) as answer:
                    return await answer.read()
            hanging = [asyncio.create_task(get(path)) for path in ("/time", "/api/v3/time")]
            gone = asyncio.create_task(get("/time"))
            while len(sim.requests) < 3:
                await asyncio.sleep(0)
            gone.cancel()
            for path in ("/0/public/Assets", "/api/v5/public/instruments?instType=SPOT"):
                try:
                    await get(path)
                except aiohttp.ClientError as error:
                    print(type(error).__name__)
            await get("/api/v3/ping")
            await sim.stop()
            for error in await asyncio.gather(*hanging, return_exceptions=True):
                print(isinstance(error, aiohttp.ClientError))

asyncio.run(main())
with SimulatedExchange() as sim:
    print("threaded")
"""


def test_stopping_leaves_no_warning_even_with_hung_connections() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", CLEAN],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [
        "ServerDisconnectedError",
        "ClientPayloadError",
        "True",
        "True",
        "threaded",
    ]
    # The debug mode of asyncio tells of steps that a busy machine makes slow.
    left = [line for line in done.stderr.splitlines() if not line.startswith("Executing ")]
    assert (done.returncode, left) == (0, [])


@pytest.mark.parametrize("turns", range(6))
def test_stopping_closes_what_was_accepted_last(turns: int) -> None:
    async def main() -> list[socket.socket]:
        sim = SimulatedExchange()
        await sim.start()
        address = urlsplit(sim.url)
        callers = [socket.create_connection((address.hostname, address.port)) for _ in range(9)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await sim.stop()
        return callers

    callers = asyncio.run(main())
    gc.collect()  # Warnings of unclosed sockets are errors here.
    for caller in callers:
        with caller, contextlib.suppress(ConnectionResetError):
            caller.settimeout(10)
            assert caller.recv(1) == b""


def test_the_clock() -> None:
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    ms = int(noon.timestamp() * 1000)
    assert Clock(noon, frozen=True).now() == ms
    assert Clock(noon.replace(tzinfo=None), frozen=True).now() == ms
    there = noon.astimezone(timezone(timedelta(hours=9)))
    assert Clock(there, frozen=True).now() == ms
    running = Clock(ms)
    assert running.now() >= ms
    running.move(ms + 1_000_000)
    assert running.now() >= ms + 1_000_000
    still = Clock(frozen=True)
    assert still.now() == still.now()
    still.move(ms)
    assert still.now() == ms
