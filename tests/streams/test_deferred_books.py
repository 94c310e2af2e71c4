"""An unread book keeps changes; a reader gets the exchange's book."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from .live import PAIR, crossed, newest, run, stream, until
from .stubs import stub

LEVELS = 200


class Exchange:
    """Binance's book channel, and what the book is: two plain dicts of texts."""

    def __init__(self) -> None:
        self.rng = random.Random(7)
        self.number = 1_000
        self.bids = {self._price(100 - n / 100): "1.00000000" for n in range(1, LEVELS)}
        self.asks = {self._price(100 + n / 100): "1.00000000" for n in range(1, LEVELS)}
        self.socket: web.WebSocketResponse | None = None

    async def talk(self, socket: web.WebSocketResponse, message: Any) -> None:
        self.socket = socket
        await socket.send_json({"result": None, "id": message["id"]})

    def answer(self, request: web.Request) -> Any:
        sides = {
            name: list(side.items()) for name, side in (("bids", self.bids), ("asks", self.asks))
        }
        return {"lastUpdateId": self.number, **sides}

    async def change(self, *bids: tuple[str, str]) -> None:
        """Send one frame: ten changes a side, or these bids, which the book does not have."""
        assert self.socket is not None
        self.number += 1
        rows = list(bids) or [self._changed(self.bids, -1) for _ in range(10)]
        asks = [] if bids else [self._changed(self.asks, 1) for _ in range(10)]
        body = {"e": "depthUpdate", "E": 1_750_000_000_000, "s": "btcusdt", "b": rows, "a": asks}
        await self.socket.send_json({**body, "U": self.number, "u": self.number})

    def _changed(self, side: dict[str, str], sign: int) -> tuple[str, str]:
        price = self._price(100 + sign * self.rng.randint(1, LEVELS) / 100)
        size = f"{self.rng.choice((0, 0, 1, 2, 3)):.8f}"
        if float(size):
            side[price] = size
        else:
            side.pop(price, None)
        return price, size

    @staticmethod
    def _price(price: float) -> str:
        return f"{price:.8f}"

    def best(self, depth: int) -> tuple[Any, Any]:
        """Return the book as a record has it."""
        sides = []
        for side, sign in ((self.bids, -1), (self.asks, 1)):
            rows = [(float(price), float(size)) for price, size in side.items()]
            sides.append(tuple(sorted(rows, key=lambda row: sign * row[0])[:depth]))
        return sides[0], sides[1]


def test_who_looks_now_and_then_sees_the_book(isolated: Path) -> None:
    async def work() -> None:
        exchange = Exchange()
        async with (
            stub("binance", isolated, exchange.talk, exchange.answer) as client,
            client.watch_orderbook(PAIR, 50) as watch,
        ):
            await until(lambda: exchange.socket)
            await exchange.change()
            for frames in (1, 7, 300, 2):
                await newest(watch, lambda book: book.sequence == exchange.number)
                for _ in range(frames):
                    await exchange.change()
                await until(lambda: stream(client).messages == exchange.number - 1_000)
                book = await anext(watch)
                if book.sequence != exchange.number:
                    book = await anext(watch)
                assert (book.bids, book.asks) == exchange.best(50)
                await exchange.change()
            assert (stream(client).gaps, stream(client).unreadable) == (0, 0)

    run(work())


@pytest.mark.parametrize("bid", [("not a number", "1.0"), ("101.5", "1.0")])
def test_a_wrong_change_is_found_though_nobody_looks(isolated: Path, bid: tuple[str, str]) -> None:
    async def work() -> None:
        exchange = Exchange()
        async with (
            stub("binance", isolated, exchange.talk, exchange.answer) as client,
            client.watch_orderbook(PAIR, 50) as watch,
        ):
            await until(lambda: exchange.socket)
            await exchange.change()
            await newest(watch, lambda book: book.sequence == exchange.number)
            for _ in range(3):
                await exchange.change()
            await exchange.change(bid)
            await until(lambda: stream(client).gaps + stream(client).unreadable)
            await exchange.change()
            book = await newest(watch, lambda book: book.sequence == exchange.number)
            assert not crossed(book)
            assert (book.bids, book.asks) == exchange.best(50)
            assert stream(client).gaps == 1

    run(work())
