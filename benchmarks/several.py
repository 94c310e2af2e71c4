"""Several exchanges at once: the duration of a comparison, and consolidated order books.

Twenty exchange modules, derived here from ccxt's binance, connect to a stand-in that takes 80 ms
for a response. A comparison should take as long as a single call, since all take the same time.
"""

import asyncio
import importlib
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import marketdata as md
from benchmarks.processes import stand_in
from marketdata._aggregation.consolidating import Books, consolidated
from marketdata._exchanges.loader import prepare_packages

EXCHANGES = 20
LATENCY = 0.08
ROUNDS = 15
BOOKS = 10
LEVELS = 1_000

_MODULE = """
from ccxt.async_support.binance import binance


class {name}(binance):
    def describe(self):
        return self.deep_extend(super().describe(), {{"id": "{name}", "name": "{name}"}})
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        names = [f"standin{number:02}" for number in range(EXCHANGES)]
        for name in names:
            (Path(folder) / f"{name}.py").write_text(_MODULE.format(name=name))
        prepare_packages()
        importlib.import_module("ccxt.async_support").__path__.append(folder)
        with stand_in("benchmarks.stand_in", str(LATENCY), "10") as base:
            asyncio.run(_compare(names, base, folder))
    _consolidate()
    return 0


async def _compare(names: list[str], url: str, home: str) -> None:
    async with md.AsyncClient(names, endpoints=dict.fromkeys(names, url), home=home) as client:
        first = await client.compare("BTC/USDT")
        assert not [row.message for row in first.rows if row.code is not None]
        one = await _timed(lambda: client.ticker("BTC/USDT"))
        every = await _timed(lambda: client.compare("BTC/USDT"))
    print(f"\n{EXCHANGES} exchanges of {1000 * LATENCY:.0f} ms, medians of {ROUNDS}\n")
    print(f"{'one ticker':32}{one:8.1f} ms")
    print(f"{'compare':32}{every:8.1f} ms, {every / one:.2f} times the slowest (at most 1.30)")


async def _timed(call: Callable[[], Awaitable[object]]) -> float:
    spent = []
    for _ in range(ROUNDS):
        # Wait between the calls, so that the rate limit delays none of them.
        await asyncio.sleep(0.2)
        began = time.perf_counter()
        await call()
        spent.append(time.perf_counter() - began)
    return 1000 * statistics.median(spent)


def _consolidate() -> None:
    now = datetime.now(UTC)
    books = tuple(_book(number, now) for number in range(BOOKS))
    sources = tuple(
        md.BookSource(name=one.exchange, exchange=one.exchange, pair=one.pair) for one in books
    )
    found = Books("BTC/USDT", sources, books)
    print(f"\n{BOOKS} books of {LEVELS:,} levels a side as one, CPU, medians of {10 * ROUNDS}\n")
    for depth, most in ((20, 5), (LEVELS, 5)):
        spent = []
        for _ in range(10 * ROUNDS):
            began = time.process_time()
            consolidated(found, depth, now)
            spent.append(time.process_time() - began)
        took = 1000 * statistics.median(spent)
        print(f"{f'{depth:,} levels of it':32}{took:8.2f} ms (at most {most})")


def _book(number: int, now: datetime) -> md.OrderBook:
    chance = random.Random(number)
    sides: list[list[tuple[float, float]]] = []
    for sign in (-1, 1):
        price, side = 6_000_000 + sign * number, []
        for _ in range(LEVELS):
            price += sign * chance.randint(1, 10)
            side.append((price / 100, chance.randint(1, 10**6) / 10**5))
        sides.append(side)
    return md.OrderBook(
        exchange=f"exchange{number}",
        pair="BTC/USDT",
        timestamp=now,
        received_at=now,
        bids=tuple(sides[0]),
        asks=tuple(sides[1]),
    )
