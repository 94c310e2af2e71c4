"""Whole programs that end without leftovers and without warnings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from library.programs import said

from marketdata.sim import SimulatedExchange

from .live import NOW


@pytest.fixture
def program(tmp_path: Path) -> object:
    """Runs a program beside an exchange whose clock runs; fails when it says anything on stderr."""
    with SimulatedExchange(seed=7) as sim:

        def run(text: str) -> str:
            file = tmp_path / "program.py"
            file.write_text(textwrap.dedent(text))
            done = subprocess.run(
                [sys.executable, "-X", "dev", "-W", "error", file],
                env={
                    **os.environ,
                    "MARKETDATA_ENDPOINTS": json.dumps(sim.endpoints),
                    "MARKETDATA_HOME": str(tmp_path / "home"),
                },
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (done.returncode, said(done.stderr)) == (0, "")
            assert [socket for socket in sim.sockets if not socket.closed] == []
            assert sim.sockets
            return done.stdout

        yield run


LEAVING = """
    import asyncio, gc, marketdata

    async def left(client):
        async with asyncio.timeout(5):
            while len(asyncio.all_tasks()) > 1 or client.streams():
                gc.collect()
                await asyncio.sleep(0.01)

    async def read(watch):
        async for _ in watch:
            pass

    async def main():
        client = marketdata.AsyncClient("binance")
        async for book in client.watch_orderbook("BTC/USDT"):
            break
        async with client.watch_trades(["BTC/USDT", "ETH/USDT"]), client.watch_quote("BTC/USDT"):
            await asyncio.sleep(0.1)
        watch = client.watch_ticker("BTC/USDT")
        await anext(watch)
        del watch, book
        await left(client)

        for turns in range(12):
            watch = client.watch_orderbook("BTC/USDT")
            opening = asyncio.create_task(watch.open())
            for _ in range(3 * turns):
                await asyncio.sleep(0)
            await watch.close()
            await opening
        await left(client)

        tasks = [
            asyncio.create_task(read(client.watch_orderbook("BTC/USDT", depth)))
            for depth in range(1, 20)
        ]
        while [one.state for one in client.streams()] != ["live"]:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        del tasks, task
        await left(client)
        print("nothing is left")

    asyncio.run(main())
"""
DROPPED_AT_THE_END = """
    import asyncio, importlib.util, marketdata

    async def main(turns):
        client = marketdata.AsyncClient("binance")
        async for book in client.watch_orderbook("BTC/USDT"):
            break
        del client, book
        for _ in range(turns):
            await asyncio.sleep(0)

    runs = [asyncio.run]
    if importlib.util.find_spec("uvloop"):
        import uvloop

        runs.append(uvloop.run)
    for run in runs:
        for turns in range(8):
            run(main(turns))
    print("nothing is left")
"""
NOT_CLOSING = """
    import asyncio, marketdata

    async def main():
        client = marketdata.AsyncClient("binance")
        watches = [client.watch_orderbook("BTC/USDT"), client.watch_trades("ETH/USDT")]
        for watch in watches:
            await watch.open()
        async for book in watches[0]:
            print("nothing is left")
            return

    asyncio.run(main())
"""
BLOCKING = """
    import marketdata

    for book in marketdata.watch_orderbook("BTC/USDT"):
        break
    watch = marketdata.watch_trades("BTC/USDT")
    watch.open()
    print("nothing is left")
"""
AFTER_A_FORK = """
    import os, warnings, marketdata

    client = marketdata.Client("binance")
    watch = client.watch_orderbook("BTC/USDT")
    next(watch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads in a program that forks
        child = os.fork()
    if child == 0:
        for book in client.watch_orderbook("BTC/USDT", 3):
            assert len(book.bids) == 3
            break
        assert client.streams() == [] or client.streams()[0].watchers == 1
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    for number, book in zip(range(5), watch):
        assert not book.is_stale
    assert [one.reconnects for one in client.streams()] == [0]
    watch.close()
    client.close()
    print("nothing is left")
"""


@pytest.mark.parametrize(
    "text",
    [LEAVING, DROPPED_AT_THE_END, NOT_CLOSING, BLOCKING, AFTER_A_FORK],
    ids=["leaving", "dropped at the end", "not closing", "blocking", "after a fork"],
)
def test_a_program_ends_quietly(program, text: str) -> None:
    assert program(text) == "nothing is left\n"


@pytest.mark.cold
def test_ctrl_c_ends_a_blocking_loop(tmp_path: Path) -> None:
    text = """
        import marketdata
        try:
            for trade in marketdata.watch_orderbook("BTC/USDT"):
                print("reading", flush=True)
        except KeyboardInterrupt:
            print("stopped")
    """
    with SimulatedExchange(now=NOW, frozen=True) as sim:
        file = tmp_path / "program.py"
        file.write_text(textwrap.dedent(text))
        with subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", file],
            env={**os.environ, "MARKETDATA_ENDPOINTS": json.dumps(sim.endpoints)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "reading\n"
            time.sleep(0.2)  # until it waits for the next, which will not come
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        assert (process.returncode, said(err)) == (0, "")
        assert out.endswith("stopped\n")
        assert all(socket.closed for socket in sim.sockets)
