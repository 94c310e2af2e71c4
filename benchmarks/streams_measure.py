"""The measurements of a client that watches order books, the same for each client.

It needs only the standard library, because the interpreters of other libraries run it as well.
"""

import asyncio
import gc
import json
import os
import resource
import statistics
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PAIRS = (
    *("BTC/USDT", "ETH/USDT", "SOL/USDT", "BTC/USDC", "ETH/BTC"),
    *("BTC/EUR", "DOGE/USDT", "XRP/USDT", "PEPE/USDT", "ADA/USDT"),
)
"""The pairs of the feed."""
PATIENCE = 60.0
"""Maximum seconds until the first books, and from the last message to the last book."""
ENOUGH = 20
"""Levels per side that every client watches."""
TOO_LATE = 3.0
"""Seconds after the last message in which a client can recover from losses."""

Levels = list[tuple[float, float]]


class Caller:
    """The states of a book that one reader sees."""

    def __init__(self) -> None:
        self.numbers = array("q")
        """The number of each state."""
        self.times = array("d")
        """The time of each state in Unix seconds."""
        self.errors = 0

    def see(self, number: int) -> None:
        """See a state."""
        self.numbers.append(number)
        self.times.append(time.time())


class Peer(ABC):
    """A measured client."""

    watchers = 1
    """The number of readers of each book."""

    @abstractmethod
    async def open(self, base: str) -> None:
        """Connect to the feed without subscribing."""

    @abstractmethod
    async def watch(self, callers: Mapping[str, Caller]) -> None:
        """Watch the books of pairs until cancelled."""

    @abstractmethod
    def book(self) -> tuple[Levels, Levels]:
        """Return the last seen bids and asks of the only pair."""

    def told(self) -> dict[str, Any]:
        """Return the client's own counters."""
        return {}

    @abstractmethod
    async def close(self) -> None:
        """Disconnect."""


async def flat(peer: Peer, base: str) -> dict[str, Any]:
    """Measure the tape at the maximum rate."""
    caller, watching = await _begin_to_watch(peer, base)
    seen, spent = len(caller.numbers), time.process_time()
    last = (await ask(f"{base}/_begin"))[_symbol(PAIRS[0])]
    await _until(lambda: _is_done(peer, caller, last), watching)
    spent = time.process_time() - spent
    seconds = caller.times[-1] - (await ask(f"{base}/_log"))["began"]
    result = {
        "seconds": seconds,
        "cpu": spent / seconds,
        "seen": len(caller.numbers) - seen,
        "right": await _is_right(peer, base),
        **peer.told(),
    }
    await _end(peer, watching)
    return result


async def steady(peer: Peer, base: str, rate: str, seconds: str) -> dict[str, Any]:
    """Measure a steady rate."""
    caller, watching = await _begin_to_watch(peer, base)
    count = int(float(rate) * float(seconds))
    spent, started = time.process_time(), time.perf_counter()
    last = (await ask(f"{base}/_begin?rate={rate}&count={count}"))[_symbol(PAIRS[0])]
    await _until(lambda: _is_done(peer, caller, last), watching)
    spent, took = time.process_time() - spent, time.perf_counter() - started
    sent = {number: at for _, number, at in (await ask(f"{base}/_log"))["sent"]}
    seen = dict(zip(reversed(caller.numbers), reversed(caller.times), strict=True))
    lags = sorted(1000 * (at - sent[number]) for number, at in seen.items() if number in sent)
    result = {
        "cpu": spent / took,
        "lag": statistics.median(lags),
        "worst": lags[int(0.99 * len(lags))],
        "seen": len(lags),
        "sent": len(sent),
        "right": await _is_right(peer, base),
        **peer.told(),
    }
    await _end(peer, watching)
    return result


async def losing(peer: Peer, base: str, rate: str, seconds: str, lose: str) -> dict[str, Any]:
    """Measure a steady rate with each n-th message lost."""
    caller, watching = await _begin_to_watch(peer, base)
    count = int(float(rate) * float(seconds))
    last = (await ask(f"{base}/_begin?rate={rate}&count={count}&lose={lose}"))[_symbol(PAIRS[0])]
    await asyncio.sleep(float(seconds))
    await _until(lambda: _is_done(peer, caller, last), watching, TOO_LATE)
    log = await ask(f"{base}/_log")
    seen = list(zip(caller.numbers, caller.times, strict=True))
    waits = [
        min((t - at for n, t in seen if n >= lost and t > at), default=PATIENCE)
        for _, lost, at in log["lost"]
    ]
    result = {
        "sent": len(log["sent"]),
        "lost": len(log["lost"]),
        "books": log["books"],
        "wait": statistics.median(waits),
        "longest": max(waits),
        "unseen": len({number for _, number, _ in log["sent"]} - set(caller.numbers)),
        "errors": caller.errors,
        "right": await _is_right(peer, base),
        **peer.told(),
    }
    await _end(peer, watching)
    return result


async def memory(peer: Peer, base: str, rate: str, seconds: str) -> dict[str, Any]:
    """Measure the memory with all books at a steady rate."""
    await peer.open(base)
    gc.collect()
    idle = resident()
    callers = {pair: Caller() for pair in PAIRS}
    watching = asyncio.create_task(peer.watch(callers))
    await _until(lambda: all(one.numbers for one in callers.values()), watching)
    await ask(f"{base}/_begin?rate={rate}&count={int(float(rate) * float(seconds))}")
    await asyncio.sleep(float(seconds))
    held = resident()
    logs = sum(len(one.numbers) for one in callers.values()) * 16 / 2**20
    await _end(peer, watching)
    return {"idle": idle, "mebibytes": held - idle - logs}


def resident() -> float:
    """Return the MiB of the process, or its maximum if the system has no current value."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (2**20 if sys.platform == "darwin" else 1024)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def _begin_to_watch(peer: Peer, base: str) -> tuple[Caller, asyncio.Task[None]]:
    await peer.open(base)
    caller = Caller()
    watching = asyncio.create_task(peer.watch({PAIRS[0]: caller}))
    await _until(lambda: len(caller.numbers) >= peer.watchers, watching)
    await asyncio.sleep(0.2)  # the first message after a subscription may be in flight
    return caller, watching


async def _end(peer: Peer, watching: asyncio.Task[None]) -> None:
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await peer.close()


def _is_done(peer: Peer, caller: Caller, last: int) -> bool:
    return min(caller.numbers[-peer.watchers :]) >= last


async def _is_right(peer: Peer, base: str) -> bool:
    """Return whether the last seen book equals the feed's, to the requested depth."""
    theirs = await ask(f"{base}/_book?symbol={_symbol(PAIRS[0])}")
    for seen, side in zip(peer.book(), ("bids", "asks"), strict=True):
        levels = [(float(price), float(size)) for price, size in theirs[side]]
        if len(seen) < ENOUGH or list(seen) != levels[: len(seen)]:
            return False
    return True


async def _until(
    is_true: Callable[[], bool], watching: asyncio.Task[None], patience: float = PATIENCE
) -> None:
    """Wait for a condition, or until the time limit."""
    end = time.monotonic() + patience
    while not is_true():
        if watching.done():
            watching.result()
        if time.monotonic() > end:
            if patience < PATIENCE:
                return
            raise TimeoutError
        await asyncio.sleep(0.01)


async def ask(url: str) -> Any:
    """Send the feed a request that is not measured."""

    def answer() -> Any:
        with urllib.request.urlopen(url) as response:
            return json.load(response)

    return await asyncio.to_thread(answer)


def _symbol(pair: str) -> str:
    return pair.replace("/", "")


def measure(peer: Peer, what: str, *arguments: str) -> None:
    """Run a measurement and print it; its first argument is the address of the feed."""
    scenarios = {one.__name__: one for one in (flat, steady, losing, memory)}
    print(json.dumps(asyncio.run(scenarios[what](peer, *arguments))))
