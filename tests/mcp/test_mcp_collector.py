"""The cost of Python's garbage collector for a server with many open requests."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mcp_doors import running
from mcp_loopback import answer, ask

SERVER = """
import gc, signal, sys

looked = 0

def count(phase, about):
    global looked
    if phase == "start":
        generations = range(about["generation"] + 1)
        looked += sum(len(gc.get_objects(generation=one)) for one in generations)

def tell(*_):
    print("looked", looked, file=sys.stderr, flush=True)

gc.callbacks.append(count)
signal.signal(signal.SIGUSR1, tell)
sys.argv[1:] = ["--http", "127.0.0.1:0", "--sim"]
from marketdata_mcp import main
main()
"""
"""Counts the objects that the collector traverses, and prints the number on a signal."""


def _looked(server: subprocess.Popen[bytes]) -> int:
    assert server.stderr is not None
    server.send_signal(signal.SIGUSR1)
    while not (found := re.match(rb"looked (\d+)", server.stderr.readline())):
        pass
    return int(found[1])


async def _calls(port: int, at_once: int, rounds: int) -> None:
    """Make a number of concurrent calls, several times."""
    sent = ask("tools/call", name="watch_list", arguments={})
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(at_once)]
    for _ in range(rounds):
        for _, writer in opened:
            writer.write(sent)
        for reader, _ in opened:
            assert (await answer(reader)).status == 200
    for _, writer in opened:
        writer.close()
        await writer.wait_closed()


@contextmanager
def _served(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with running([sys.executable, "-c", SERVER], home) as server:
        assert server.stderr is not None
        found = None
        while found is None:
            found = re.search(rb"serving http://127.0.0.1:(\d+)/", server.stderr.readline())
        yield server, int(found[1])


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_open_requests_do_not_make_garbage_collection_slower(home: Path) -> None:
    """It traverses about 60 objects for each of 800 concurrent calls; 230 with its defaults."""
    with _served(home) as (server, port):
        asyncio.run(_calls(port, 8, 2))
        before = _looked(server)
        asyncio.run(_calls(port, 800, 2))
        looked = _looked(server) - before
    assert 0 < looked < 120 * 800 * 2


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told in /proc")
def test_refused_long_lists_leave_no_memory_behind(home: Path) -> None:
    async def most(server: subprocess.Popen[bytes], port: int, pairs: int, times: int) -> int:
        """Send a list repeatedly; return the maximum memory in MiB."""
        found = 0
        named = {"pairs": ["BTC/USDT"] * pairs}
        sent = ask("tools/call", name="get_tickers", arguments=named)
        for _ in range(times):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            assert (await answer(reader)).message["result"]["isError"]
            writer.close()
            found = max(found, _resident(server.pid))
        return found

    with _served(home) as (server, port):
        small = asyncio.run(most(server, port, 1_000, 5))
        # 110 lists are 22 MB of text, and 200 MiB of objects.
        assert asyncio.run(most(server, port, 18_000, 110)) < small + 80


def _resident(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) // 1024
