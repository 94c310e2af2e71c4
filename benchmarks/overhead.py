"""The cost of a call beyond ccxt's own call, with the response in memory."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.async_support

import marketdata
from marketdata._exchanges.bodies import FlatRows

ROUNDS = 15


def main() -> int:
    asyncio.run(_main())
    return 0


async def _main() -> None:
    print(f"\nOne call, answer at hand, medians of {ROUNDS}, microseconds\n")
    print(f"{'':32}{'ccxt':>8}{'ours':>8}{'added':>8}{'at most':>9}")
    async with marketdata.AsyncClient("binance", sim=True) as client:
        answers = await _answers(client)
        theirs = ccxt.async_support.binance({"enableRateLimit": False})
        theirs.set_markets(_markets(client))
        theirs.fetch = _canned({path: _as_sent(answer) for path, answer in answers.items()})
        _venue(client)._api.fetch = _canned(answers)
        for name, bound, count, ours, plain in (
            (
                "ticker",
                50,
                1000,
                lambda: client.ticker("BTC/USDT"),
                lambda: theirs.fetch_ticker("BTC/USDT"),
            ),
            (
                "book, 1,000 levels a side",
                300,
                50,
                lambda: client.orderbook("BTC/USDT", 1000),
                lambda: theirs.fetch_order_book("BTC/USDT", 1000),
            ),
            (
                "1,000 candles",
                300,
                50,
                lambda: client.candles("BTC/USDT", "1m", limit=1000),
                lambda: theirs.fetch_ohlcv("BTC/USDT", "1m", None, 1000),
            ),
        ):
            pairs = [(await _timed(plain, count), await _timed(ours, count)) for _ in range(ROUNDS)]
            plain_us = statistics.median(one for one, _ in pairs)
            ours_us = statistics.median(one for _, one in pairs)
            added = statistics.median(b - a for a, b in pairs)
            print(f"{name:32}{plain_us:8.0f}{ours_us:8.0f}{added:8.0f}{bound:9d}")
        await theirs.close()


async def _timed(call: Callable[[], Awaitable[Any]], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        await call()
    return (time.perf_counter() - started) / count * 1e6


async def _answers(client: marketdata.AsyncClient) -> dict[str, Any]:
    """Make each request once and keep the responses by path."""
    await client.ticker("BTC/USDT")
    api = _venue(client)._api
    real, answers = api.fetch, {}

    async def keep(url: str, *more: Any) -> Any:
        answers[_path(url)] = await real(url, *more)
        return answers[_path(url)]

    api.fetch = keep
    await client.ticker("BTC/USDT")
    await client.orderbook("BTC/USDT", 1000)
    await client.candles("BTC/USDT", "1m", limit=1000)
    return answers


def _canned(answers: dict[str, Any]) -> Callable[..., Awaitable[Any]]:
    async def fetch(url: str, *more: Any) -> Any:
        return answers[_path(url)]

    return fetch


def _as_sent(answer: Any) -> Any:
    """Return a response as ccxt would parse it."""
    if not isinstance(answer, FlatRows):
        return answer
    starts = range(0, len(answer), answer.width)
    return [answer[start : start + answer.width] for start in starts]


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3].partition("?")[0]


def _venue(client: marketdata.AsyncClient) -> Any:
    (connections,) = client._session._connections.values()
    return connections._venues["binance"].result()


def _markets(client: marketdata.AsyncClient) -> list[Any]:
    return list(_venue(client).listed.loaded)
