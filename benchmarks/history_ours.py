"""This library's reads and additions of the year: ``python -m benchmarks.history_ours <what>``.

It uses only the public API. MARKETDATA_HOME already has the year.
"""

import json
import sys
import time

import marketdata as md
from benchmarks.history_peers import timed
from benchmarks.year import DAY, END, MINUTE, ONE_DAY, START

PAIR = "BTC/USDT"
SMALL = 60
"""Candles of a small range."""
ADDED = 21
"""Candles that are added for one median."""
PACE = 0.03
"""Seconds between two additions. The exchange allows 45 requests a second, and waiting for it is
not a cost of the store."""


def reads() -> dict[str, float]:
    """Read the whole year and one day of it, warm."""
    return {
        "polars": timed(lambda: _candles(START, END).to_polars()),
        "pandas": timed(lambda: _candles(START, END).to_pandas()),
        "day": timed(lambda: _candles(ONE_DAY, ONE_DAY + DAY).to_polars()),
    }


def additions(first: int, count: int) -> list[float]:
    """Add single candles after the year, starting with a given one; return CPU ms for each.

    Requests the candles of an hour, of which the last one is new. A first call without the store
    loads the modules that every call needs.
    """
    md.candles(PAIR, "1m", limit=1, store=False, exchange="binance")
    took = []
    for number in range(first + 1, first + 1 + count):
        end = END + number * MINUTE
        started, computed = time.perf_counter(), time.process_time()
        _candles(end - SMALL * MINUTE, end)
        took.append((time.process_time() - computed) * 1000)
        seconds = time.perf_counter() - started
        time.sleep(max(0.0, PACE - seconds))
    return took


def fill(count: int) -> int:
    """Store small ranges of other pairs until there are ``count`` series."""
    others = [one.pair for one in md.pairs(exchange="binance") if one.pair != PAIR][: count - 1]
    for pair in others:
        _candles(START, START + SMALL * MINUTE, pair)
    return 1 + len(others)


def small(turn: int) -> dict[str, float]:
    """Return medians of operations that should not depend on the number of other series."""
    return {
        "Reading a day": timed(lambda: _candles(ONE_DAY, ONE_DAY + DAY).to_polars()),
        "Adding a bar": sorted(additions(turn * ADDED, ADDED))[ADDED // 2],
        "Listing a pair's series": timed(lambda: md.history.list([PAIR])),
    }


def _candles(start: int, end: int, pair: str = PAIR) -> md.Candles:
    return md.candles(pair, "1m", start=start, end=end, exchange="binance")


WHAT = {one.__name__: one for one in (reads, additions, fill, small)}

if __name__ == "__main__":
    print(json.dumps(WHAT[sys.argv[1]](*map(int, sys.argv[2:]))))
