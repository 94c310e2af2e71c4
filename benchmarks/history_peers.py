"""The year with other libraries: ``python -m benchmarks.history_peers <way> <address>``."""

import asyncio
import json
import statistics
import sys
import time
from array import array
from collections.abc import Callable
from typing import Any

from benchmarks.year import END, MINUTE, ONE_DAY, START

PAGE = 1000
AT_ONCE = 16


def ccxt_loop(base: str) -> None:
    import ccxt

    exchange = ccxt.binance()
    exchange.urls["api"] = _redirected(exchange.urls["api"], base)
    rows: list[list[float]] = []
    since = START
    while since < END:
        page = exchange.fetch_ohlcv("BTC/USDT", "1m", since, min(PAGE, (END - since) // MINUTE))
        rows += page
        since = page[-1][0] + MINUTE
    print(len(rows))


def ccxt_async(base: str) -> None:
    import ccxt.async_support as ccxt

    async def part(exchange: Any, since: int, end: int) -> list[list[float]]:
        rows: list[list[float]] = []
        while since < end:
            limit = min(PAGE, (end - since) // MINUTE)
            page = await exchange.fetch_ohlcv("BTC/USDT", "1m", since, limit)
            rows += page
            since = page[-1][0] + MINUTE
        return rows

    async def main() -> None:
        exchange = ccxt.binance()
        exchange.urls["api"] = _redirected(exchange.urls["api"], base)
        await exchange.load_markets()
        quarter = (END - START) // 4
        starts = range(START, END, quarter)
        parts = await asyncio.gather(*[part(exchange, one, one + quarter) for one in starts])
        await exchange.close()
        print(sum(map(len, parts)))

    asyncio.run(main())


def _redirected(urls: dict[str, Any], base: str) -> dict[str, Any]:
    return {
        kind: _redirected(url, base) if isinstance(url, dict) else f"{base}/{url.split('/', 3)[3]}"
        for kind, url in urls.items()
    }


def bare(base: str) -> None:
    print(len(asyncio.run(_columns(base))[0]))


async def _columns(base: str) -> list[array]:
    import aiohttp
    import orjson

    starts = range(START, END, PAGE * MINUTE)
    pages: list[list[array]] = [[]] * len(starts)
    left = iter(enumerate(starts))
    url = f"{base}/api/v3/klines?symbol=BTCUSDT&interval=1m"

    async def work(session: aiohttp.ClientSession) -> None:
        for number, start in left:
            limit = min(PAGE, (END - start) // MINUTE)
            async with session.get(f"{url}&startTime={start}&limit={limit}") as response:
                fields = list(zip(*orjson.loads(await response.read()), strict=True))
            pages[number] = [
                array("q", fields[0]),
                *(array("d", map(float, fields[position])) for position in range(1, 6)),
                array("q", fields[8]),
            ]

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*[work(session) for _ in range(AT_ONCE)])
    whole = pages[0]
    for page in pages[1:]:
        for column, more in zip(whole, page, strict=True):
            column.extend(more)
    return whole


def parquet(base: str, path: str) -> None:
    """Write the year with polars, then read it repeatedly."""
    from datetime import UTC, datetime, timedelta

    import polars as pl

    names = ("time", "open", "high", "low", "close", "volume", "trades")
    frame = pl.DataFrame(dict(zip(names, asyncio.run(_columns(base)), strict=True))).with_columns(
        pl.col("time").cast(pl.Datetime("ms", "UTC"))
    )
    day = datetime.fromtimestamp(ONE_DAY / 1000, UTC)
    within = (pl.col("time") >= day) & (pl.col("time") < day + timedelta(days=1))
    milliseconds = {
        "write": timed(lambda: frame.write_parquet(path), 3),
        "year": timed(lambda: pl.read_parquet(path)),
        "pandas": timed(lambda: pl.read_parquet(path).to_pandas()),
        "day": timed(lambda: pl.scan_parquet(path).filter(within).collect()),
    }
    print(json.dumps(milliseconds))


def timed(call: Callable[[], Any], rounds: int = 15) -> float:
    """Return the median duration of a warm call, in milliseconds of CPU time.

    It counts all threads on one core, so it is the time on an otherwise idle core.
    """
    call()
    samples = []
    for _ in range(rounds):
        started = time.process_time()
        call()
        samples.append((time.process_time() - started) * 1000)
    return statistics.median(samples)


WAYS = {one.__name__: one for one in (ccxt_loop, ccxt_async, bare, parquet)}

if __name__ == "__main__":
    WAYS[sys.argv[1]](*sys.argv[2:])
