"""Order books with this library: ``python -m benchmarks.streams_ours <how> <what> ...``.

It uses only the public API.
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import marketdata as md
from benchmarks.streams_measure import PAIRS, Caller, Levels, Peer, measure

PAUSE = 0.01
"""Seconds between two reads of the newest state."""


class Ours(Peer):
    """A client of this library with its readers."""

    def __init__(self, depth: int, *, every: bool, watchers: int = 1, pause: float = 0.0) -> None:
        self.watchers = watchers
        self._depth, self._pause = depth, pause
        self._delivery = "every" if every else "latest"
        self._last: md.OrderBook | None = None

    async def open(self, base: str) -> None:
        self._client = md.AsyncClient("binance", endpoints={"binance": base})
        await self._client.orderbook(PAIRS[0], 20)

    async def watch(self, callers: Mapping[str, Caller]) -> None:
        await asyncio.gather(*[self._watch(callers) for _ in range(self.watchers)])

    async def _watch(self, callers: Mapping[str, Caller]) -> None:
        books = self._client.watch_orderbook(
            list(callers), self._depth, exchange="binance", delivery=self._delivery
        )
        see = {pair: caller.see for pair, caller in callers.items()}
        async for book in books:
            see[book.pair](book.sequence)
            self._last = book
            if self._pause:
                await asyncio.sleep(self._pause)

    def book(self) -> tuple[Levels, Levels]:
        return list(self._last.bids), list(self._last.asks)

    def told(self) -> dict[str, Any]:
        [stream] = self._client.streams()
        names = ("messages", "updates", "dropped", "gaps", "resyncs", "reconnects")
        return {"own": {name: getattr(stream, name) for name in names}}

    async def close(self) -> None:
        await self._client.close()


HOW = {
    "every20": lambda: Ours(20, every=True),
    "every1000": lambda: Ours(1_000, every=True),
    "latest20": lambda: Ours(20, every=False),
    "latest1000": lambda: Ours(1_000, every=False),
    "hundred": lambda: Ours(20, every=False, watchers=100, pause=PAUSE),
}

if __name__ == "__main__":
    measure(HOW[sys.argv[1]](), *sys.argv[2:])
