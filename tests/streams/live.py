"""Waits for events of live streams, and compares them with the exchange."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

from waiting import soon as until

import marketdata as md
from marketdata.sim import SimulatedExchange
from marketdata.sim.log import Socket

T = TypeVar("T")

NOW = 1_750_000_000_000
"""A whole second, when the book's frames are due."""
PAIR = "BTC/USDT"
OTHER = "ETH/USDT"
PATIENCE = 20.0
"""Seconds after which what a test waits for will not come any more."""


class Names(NamedTuple):
    """What an exchange calls the channels and the two pairs."""

    pair: str
    other: str
    book: str
    trades: str
    quote: str
    candles: str | None


NAMES = {
    "binance": Names(
        "BTCUSDT",
        "ETHUSDT",
        "depth/BTCUSDT",
        "trade/BTCUSDT",
        "bookTicker/BTCUSDT",
        "kline_1m/BTCUSDT",
    ),
    "kraken": Names(
        "BTC/USDT",
        "ETH/USDT",
        "book/BTC/USDT",
        "trade/BTC/USDT",
        "ticker/BTC/USDT",
        "ohlc/BTC/USDT",
    ),
    "coinbaseexchange": Names(
        "BTC-USDT",
        "ETH-USDT",
        "level2_batch/BTC-USDT",
        "matches/BTC-USDT",
        "ticker/BTC-USDT",
        None,
    ),
    "okx": Names(
        "BTC-USDT",
        "ETH-USDT",
        "books/BTC-USDT",
        "trades/BTC-USDT",
        "bbo-tbt/BTC-USDT",
        "candle1m/BTC-USDT",
    ),
}
EXCHANGES = tuple(NAMES)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a test's work on a loop, on which it leaves nothing behind."""

    async def whole() -> T:
        async with asyncio.timeout(2 * PATIENCE):
            result = await work
        await until(lambda: len(asyncio.all_tasks()) == 1, what=lambda: asyncio.all_tasks())
        return result

    return asyncio.run(whole())


@contextlib.asynccontextmanager
async def client_of(
    sim: SimulatedExchange, exchange: Any = "binance", **more: Any
) -> AsyncIterator[md.AsyncClient]:
    """Yield a client of simulated exchanges, none of whose streams outlive it."""
    more.setdefault("retries", 0)
    async with md.AsyncClient(exchange, endpoints=sim.endpoints, **more) as client:
        yield client
    assert client.streams() == []
    await until(lambda: not open_sockets(sim), what=lambda: open_sockets(sim))


def open_sockets(sim: SimulatedExchange) -> list[Socket]:
    """Return the sockets that are open."""
    return [socket for socket in sim.sockets if not socket.closed]


def held(sim: SimulatedExchange) -> list[str]:
    """Return what is subscribed to on all open sockets."""
    return [name for socket in open_sockets(sim) for name in socket.subscriptions]


def said(sim: SimulatedExchange, text: str) -> list[str]:
    """Return the messages of clients that contain a text, on all sockets so far."""
    return [one for socket in sim.sockets for one in socket.received if text in one]


async def subscribed(sim: SimulatedExchange, *names: str) -> None:
    """Wait until all of these are subscribed to."""
    await until(lambda: set(names) <= set(held(sim)), what=lambda: held(sim))


def stream(client: md.AsyncClient, kind: str = "orderbook", pair: str = PAIR) -> md.Stream:
    """Return what is told of one stream."""
    [found] = [one for one in client.streams() if (one.kind, one.pair) == (kind, pair)]
    return found


async def all_live(client: md.AsyncClient, count: int = 1) -> None:
    """Wait until so many streams are live, and no other is there."""
    await until(
        lambda: [one.state for one in client.streams()] == ["live"] * count,
        what=lambda: client.streams(),
    )


async def flowing(
    sim: SimulatedExchange,
    condition: Callable[[], T],
    *,
    step: float = 1.0,
    what: Callable[[], Any] | None = None,
) -> T:
    """Let the exchanges' time go by until something holds."""
    ends = time.monotonic() + PATIENCE
    while True:
        if found := condition():
            return found
        if time.monotonic() > ends:
            raise TimeoutError(f"never came true; {what() if what else 'nothing more is known'}")
        await sim.advance(step)
        await asyncio.sleep(0.005)


async def newest(watch: md.AsyncWatch[T], holds: Callable[[T], bool]) -> T:
    """Read until a record is as it should be."""
    last: Any = None
    try:
        async with asyncio.timeout(PATIENCE):
            async for last in watch:
                if holds(last):
                    return last
    except TimeoutError:
        raise TimeoutError(f"never came; the last was {str(last)[:2000]}") from None
    raise AssertionError(f"ended before; the last was {str(last)[:2000]}")


def levels(book: md.OrderBook) -> tuple[Any, Any]:
    """Return both sides of a book."""
    return book.bids, book.asks


def crossed(book: md.OrderBook) -> bool:
    """Return whether somebody bids what somebody asks."""
    return bool(book.bids and book.asks) and book.bids[0][0] >= book.asks[0][0]


async def as_rest(
    client: md.AsyncClient,
    watch: md.AsyncWatch[md.OrderBook],
    *,
    pair: str = PAIR,
    depth: int = 20,
    exchange: str | None = None,
) -> md.OrderBook:
    """Read a book until it is what the exchange answers now, which it has to become by itself.

    A stream that says nothing more is begun anew sooner or later, and right by that.
    """
    reconnects = [one.reconnects for one in client.streams()]
    rest = await client.orderbook(pair, depth, exchange=exchange)

    def same(book: md.OrderBook) -> bool:
        assert not crossed(book)
        numbered = rest.sequence is not None and book.sequence is not None
        as_new = not numbered or book.sequence == rest.sequence
        return as_new and levels(book) == levels(rest)

    found = await newest(watch, same)
    assert [one.reconnects for one in client.streams()] == reconnects
    return found


async def refused(work: Any) -> md.MarketDataError:
    """Await what has to raise an error of ours, and give it."""
    try:
        async with asyncio.timeout(PATIENCE):
            found = await work
    except md.MarketDataError as error:
        return error
    raise AssertionError(f"was to be refused; gave {found}")
