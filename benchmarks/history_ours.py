"""The year as this library reads and adds to it: ``python -m benchmarks.history_ours <what>``.

Only what the library offers to everybody is used; MARKETDATA_HOME holds the year already.
"""

import json
import sys
import time

import marketdata as md
from benchmarks.history_peers import timed
from benchmarks.year import DAY, END, MINUTE, ONE_DAY, START

PAIR = "BTC/USDT"
SMALL = 60
"""Bars of a small range."""
ADDED = 21
"""Bars that are added for a median."""
PACE = 0.03
"""Seconds between two additions: the exchange allows no more than 45 requests a second, and what
it makes one wait is not a cost of the store."""


def reads() -> dict[str, float]:
    """Read the whole year and one day of it, warm."""
    return {
        "polars": timed(lambda: _candles(START, END).to_polars()),
        "pandas": timed(lambda: _candles(START, END).to_pandas()),
        "day": timed(lambda: _candles(ONE_DAY, ONE_DAY + DAY).to_polars()),
    }


def additions(first: int, count: int) -> list[float]:
    """Add bar after bar behind the year, from a given one on; each in ms of CPU time.

    Asks for the bars of an hour, of which the last is new. A first question, which is answered
    without the store, loads what a process needs to ask at all.
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
    """Store small ranges of other pairs, so that there are so many series."""
    others = [one.pair for one in md.pairs(exchange="binance") if one.pair != PAIR][: count - 1]
    for pair in others:
        _candles(START, START + SMALL * MINUTE, pair)
    return 1 + len(others)


def small(turn: int) -> dict[str, float]:
    """Do what should not depend on how many other series there are; medians."""
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
