"""Thousands of updates of several books: all counted, all correct, and no memory kept."""

from __future__ import annotations

import gc
import sys

from marketdata.sim import SimulatedExchange

from .live import (
    EXCHANGES,
    PAIR,
    as_rest,
    client_of,
    crossed,
    flowing,
    run,
    until,
)

PAIRS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def test_thousands_of_updates(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim, list(EXCHANGES)) as client:
            watch = client.watch_orderbook(PAIRS, 10, exchange="binance")
            every = client.watch_orderbook(PAIR, 1, exchange=list(EXCHANGES), delivery="every")
            trades = client.watch_trades(PAIRS, exchange="binance", buffer=500)
            async with watch, every, trades:
                await until(
                    lambda: (
                        sum(
                            one.state == "live"
                            for one in client.streams()
                            if one.kind == "orderbook"
                        )
                        == 6
                    )
                )

                async def hear(seconds: int) -> int:
                    count = 0
                    for _ in range(seconds):
                        await sim.advance(1)
                        while every.waiting:
                            assert not crossed(await anext(every))
                            count += 1
                        while watch.waiting:
                            assert not crossed(await anext(watch))
                    return count

                await hear(15)
                gc.collect()
                before = sys.getallocatedblocks()
                heard = await hear(30)
                gc.collect()
                assert heard > 800
                assert sys.getallocatedblocks() - before < 20_000
                books = [one for one in client.streams() if one.kind == "orderbook"]
                on_binance = [one for one in books if one.exchange == "binance"]
                await until(
                    lambda: (
                        [
                            one.messages
                            for one in client.streams()
                            if (one.exchange, one.kind) == ("binance", "orderbook")
                        ]
                        == [450] * len(PAIRS)
                    )
                )
                assert len(on_binance) == len(PAIRS)
                told = client.streams()
                assert [one for one in told if one.gaps or one.reconnects or one.resyncs] == []
                assert [one for one in told if one.unreadable or one.error] == []
                async with client.watch_orderbook(PAIR, 10, exchange="binance") as late:
                    await flowing(sim, lambda: late.waiting, step=0.1)
                    await as_rest(client, late, depth=10, exchange="binance")

    run(work())
