"""Real recorded frames, through the sockets of the simulated exchange."""

from __future__ import annotations

import asyncio
import gzip
import json
from math import inf
from pathlib import Path
from typing import Any

import pytest
from sim.captures import binance_recording

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import crossed, run, until

PAIR = "BTC/USDT"


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest) -> Path:
    folder = request.config.getoption("--recorded")
    if not folder:
        pytest.skip("needs the folder of recorded data: --recorded DIR or MARKETDATA_RECORDED")
    return Path(folder)


@pytest.fixture(scope="module")
def binance(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return binance_recording(recorded, tmp_path_factory.mktemp("recordings") / "binance")


@pytest.fixture(scope="module")
def sent(recorded: Path) -> list[dict[str, Any]]:
    """The data of Binance's frames, in order."""
    with gzip.open(recorded / "ws" / "binance-spot-btcusdt-20240808.gz", "rt") as file:
        bodies = [json.loads(line.partition(" ")[2]) for line in file]
    return [body["data"] for body in bodies if "data" in body]


def best_quotes(sent: list[dict[str, Any]]) -> dict[int, tuple[md.models.Level, md.models.Level]]:
    """Best bid and ask by update id, as Binance itself has told them."""
    return {
        one["u"]: ((float(one["b"]), float(one["B"])), (float(one["a"]), float(one["A"])))
        for one in sent
        if "e" not in one
    }


async def all_of(watch: md.AsyncWatch[Any]) -> list[Any]:
    return [record async for record in watch]


def test_the_book_of_six_minutes_is_the_exchanges(binance: Path, sent: list[Any]) -> None:
    async def work() -> None:
        async with md.AsyncClient().replay(binance, inf, wait_for=3) as client:
            books, trades, quotes = await asyncio.gather(
                all_of(client.watch_orderbook(PAIR, 5, delivery="every")),
                all_of(client.watch_trades(PAIR)),
                all_of(client.watch_quote(PAIR, delivery="every")),
            )
        assert [(one.id, one.price, one.amount) for one in trades] == [
            (str(one["t"]), float(one["p"]), float(one["q"]))
            for one in sent
            if one.get("e") == "trade"
        ]
        truth = best_quotes(sent)
        assert [(one.bid, one.ask) for one in quotes] == [
            (bid[0], ask[0]) for bid, ask in truth.values()
        ]
        told = [book for book in books if book.sequence in truth]
        assert len(told) > 400
        assert all((book.best_bid, book.best_ask) == truth[book.sequence] for book in told)
        assert books[-1].sequence == max(one["u"] for one in sent if "U" in one)
        assert not any(map(crossed, books))

    run(work())


@pytest.mark.parametrize(("effect", "gaps"), [("lose", 30), ("twice", 0), ("swap", 30)])
def test_one_in_a_hundred_frames_is_not_as_it_should_be(
    binance: Path, sent: list[Any], effect: str, gaps: int
) -> None:
    async def work() -> None:
        rule = f"binance:stream/depth/BTCUSDT:{effect},after=50,every=100,times=30"
        async with SimulatedExchange(tape=binance, frozen=True, faults=[rule]) as sim:
            client = md.AsyncClient(endpoints=sim.endpoints, exchange="binance")
            books: list[md.OrderBook] = []
            async with client, client.watch_orderbook(PAIR, 5, delivery="every") as watch:
                reading = asyncio.create_task(_read(watch, books))
                await until(lambda: any(one.subscriptions for one in sim.sockets))
                await sim.advance(0.5)
                await until(lambda: client.streams()[0].state == "live")
                while not reading.done() and sim.sockets and not sim.sockets[0].closed:
                    await sim.advance(2)
                    stream = next(iter(client.streams()), None)
                    if stream is None:
                        break
                    told = stream
                    await until(lambda: _is_live(client))
                await reading
            assert told.gaps == gaps
            assert (told.resyncs > 0) == (gaps > 0)
            assert (told.reconnects, told.dropped, told.error) == (0, 0, None)
            truth = best_quotes(sent)
            shared = [book for book in books if book.sequence in truth]
            assert len(shared) > 400
            assert all((book.best_bid, book.best_ask) == truth[book.sequence] for book in shared)
            assert not any(map(crossed, books))

    run(work())


async def _read(watch: md.AsyncWatch[md.OrderBook], into: list[md.OrderBook]) -> None:
    async for book in watch:
        into.append(book)  # noqa: PERF401 - it is looked at before the end


def _is_live(client: md.AsyncClient) -> bool:
    return all(stream.state == "live" for stream in client.streams())
