"""Streamed values equal the exchanges' REST responses at the same moment."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import (
    EXCHANGES,
    NAMES,
    NOW,
    PAIR,
    all_live,
    as_rest,
    client_of,
    held,
    newest,
    refused,
    run,
    subscribed,
    until,
)

_NOW = ("last", "close", "bid", "ask", "bid_volume", "ask_volume")
_DAY = ("high", "low", "base_volume", "vwap")
TICKER = {
    "binance": (*_NOW, *_DAY, "open", "quote_volume", "change", "percentage"),
    # Over REST its open is that of the calendar day.
    "kraken": (*_NOW, *_DAY),
    # It tells of a ticker when somebody trades, and by REST what is there now.
    "coinbaseexchange": ("last", "close"),
    "okx": (*_NOW, "high", "low", "open", "base_volume", "quote_volume"),
}
"""What both ways say of a ticker."""


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("depth", [1, 400])
def test_a_book_is_what_rest_says(sim: SimulatedExchange, exchange: str, depth: int) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_orderbook(PAIR, depth) as watch:
            await all_live(client)
            for seconds in (1, 4.2, 20):
                await sim.advance(seconds)
                found = await as_rest(client, watch, depth=depth)
                assert (found.exchange, found.pair, found.simulated) == (exchange, PAIR, True)
                assert len(found.bids) == len(found.asks) == depth
                assert not found.is_stale

    run(work())


async def seconds_until_told(sim: SimulatedExchange, client: md.AsyncClient) -> float:
    """Find a moment about half a minute from now at which the exchange sends its ticker.

    Between two of its frames the day that it covers goes on. Some send it once a second, some in
    the tenth of a second after a trade, some with the trade.
    """
    sim.clock.move(NOW + 60_000)
    trades = await client.trades(PAIR, limit=200)
    sim.clock.move(NOW)
    after = [one.timestamp.timestamp() * 1000 - NOW for one in trades]
    milliseconds = min(one for one in after if one > 30_000)
    step = {"binance": 1_000, "okx": 100}.get(trades[0].exchange, 1)
    return math.ceil(milliseconds / step) * step / 1000


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_ticker_is_what_rest_says(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_ticker(PAIR) as watch:
            await until(lambda: held(sim))
            await sim.advance(await seconds_until_told(sim, client))
            rest = await client.ticker(PAIR)
            found = await newest(watch, lambda one: not differences(one, rest, TICKER[exchange]))
            assert (found.exchange, found.pair, found.window) == (exchange, PAIR, "24h")
            assert (found.derived, found.derived_fields) == (None, None)
            assert (found.simulated, found.is_stale) == (True, False)
            needed = ("last", "bid", "ask", "bid_volume", "high", "low", "base_volume")
            assert [name for name in needed if getattr(found, name) is None] == []

    run(work())


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_quote_is_what_rest_says(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_quote(PAIR) as watch:
            await subscribed(sim, NAMES[exchange].quote)
            await sim.advance(30)
            rest = await client.quote(PAIR)
            # Coinbase tells of quotes when somebody trades; sizes change meanwhile.
            sizes = () if exchange == "coinbaseexchange" else ("bid_volume", "ask_volume")
            fields = ("bid", "ask", *sizes)
            found = await newest(watch, lambda one: not differences(one, rest, fields))
            assert (found.exchange, found.pair, found.simulated) == (exchange, PAIR, True)
            assert found.bid_volume
            assert found.ask_volume

    run(work())


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_trades_are_what_rest_says(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_trades(PAIR) as watch:
            await subscribed(sim, NAMES[exchange].trades)
            before = (await client.trades(PAIR, limit=1))[-1]
            await sim.advance(40)
            # OKX sends the fills of one order at one price as one trade.
            merged = exchange == "okx"
            rest = await client.trades(PAIR, limit=200, aggregate=merged)
            rest = [one for one in rest if after(one, before)]
            assert len(rest) > 10
            found: list[md.Trade] = []
            async with asyncio.timeout(10):
                while len(found) < len(rest):
                    found += [one for one in await watch.batch() if after(one, before)]
            fields = ("timestamp", "side", "price", "amount", *(() if merged else ("id",)))
            for one, same in zip(found, rest, strict=True):
                assert differences(one, same, fields) == {}
                assert (one.exchange, one.pair, one.simulated) == (exchange, PAIR, True)
                assert one.fresh_for is None

    run(work())


@pytest.mark.parametrize("exchange", [name for name in EXCHANGES if NAMES[name].candles])
def test_candles_are_what_rest_says(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_candles(PAIR, "1m") as watch:
            await subscribed(sim, str(NAMES[exchange].candles))
            await sim.advance(30)
            first = await anext(watch)
            await sim.advance(190)
            rest = await client.candles(PAIR, "1m", limit=10, store=False)
            now = rest.columns.time[-1]
            seen = {one.open_time: one for one in first}
            last = first
            while last.columns.time[-1] != now or last[-1].close != rest[-1].close:
                last = await anext(watch)
                assert (last.exchange, last.pair, last.timeframe) == (exchange, PAIR, "1m")
                assert (last.simulated, last.forming, last.missing) == (True, True, ())
                seen |= {one.open_time: one for one in last}
            known = [one for one in rest if one.open_time >= first[0].open_time]
            assert len(known) > 2
            assert [bar(one) for one in seen.values()] == [bar(one) for one in known]
            assert [one.forming for one in last][-1:] == [True]

    run(work())


def test_coinbase_has_no_candles_to_watch(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim, "coinbaseexchange") as client:
            watch = client.watch_candles(PAIR, "1m")
            error = await refused(anext(watch))
            assert (error.code, error.retryable) == ("DATA_UNAVAILABLE", False)
            assert (await refused(anext(watch))).code == "DATA_UNAVAILABLE"
            assert sim.sockets == []
            assert sim.requests == []

    run(work())


def differences(
    one: md.Record, other: md.Record, fields: tuple[str, ...]
) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two records are not alike."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in fields}
    return {name: values for name, values in pairs.items() if values[0] != values[1]}


def after(one: md.Trade, before: md.Trade) -> bool:
    """Return whether a trade is a later one; where two share a time, ids decide."""
    return (one.timestamp, one.id) > (before.timestamp, before.id)


def bar(one: md.Candle) -> tuple[Any, ...]:
    """Return what a bar says."""
    return one.open_time, one.open, one.high, one.low, one.close, one.volume


def test_all_kinds_of_all_exchanges_as_time_goes_by() -> None:
    async def work() -> None:
        async with SimulatedExchange(seed=7) as sim, client_of(sim) as client:
            with_candles = [name for name in EXCHANGES if NAMES[name].candles]
            watches: list[md.AsyncWatch[Any]] = [
                client.watch_ticker(PAIR, exchange=EXCHANGES),
                client.watch_quote(PAIR, exchange=EXCHANGES),
                client.watch_orderbook(PAIR, exchange=EXCHANGES),
                client.watch_candles(PAIR, exchange=with_candles),
            ]

            async def hear(watch: md.AsyncWatch[Any]) -> None:
                seen: dict[str, int] = {}
                await watch.open()
                count = len(watch.streams)
                while len(seen) < count or min(seen.values()) < 2:
                    one = await anext(watch)
                    assert (one.pair, one.simulated, one.is_stale) == (PAIR, True, False)
                    seen[one.exchange] = seen.get(one.exchange, 0) + 1

            async with asyncio.timeout(20):
                await asyncio.gather(*map(hear, watches))
            assert [one for one in client.streams() if one.gaps or one.reconnects] == []
            await asyncio.gather(*[watch.close() for watch in watches])

    run(work())
