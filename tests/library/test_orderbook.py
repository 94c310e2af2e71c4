"""Order books of any depth on every exchange."""

from __future__ import annotations

import asyncio

import pytest
from inside.exchanges import open_venue

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .markets import DIALECTS, NOW, market, ms, number

MOST = {"binance": 5000, "kraken": 500, "coinbaseexchange": 1000, "okx": 5000}


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("depth", [1, 7, 20, 100, 401, 5000])
def test_a_book_has_at_most_the_requested_depth(
    client: md.Client, exchange: str, depth: int
) -> None:
    book = client.orderbook("BTC/USDT", depth, exchange=exchange)
    of = market(exchange)
    truth = of.book(ms(NOW), min(depth, MOST[exchange]))
    assert truth is not None

    for side, rows in ((book.bids, truth.bids), (book.asks, truth.asks)):
        assert side == tuple(
            (number(price, of.price_scale), number(size, of.amount_scale)) for price, size in rows
        )
        assert len(side) == min(depth, MOST[exchange])


@pytest.mark.parametrize("exchange", DIALECTS)
def test_best_levels_come_first(client: md.Client, exchange: str) -> None:
    book = client.orderbook("ETH/USDT", 50, exchange=exchange)
    bids, asks = [price for price, _ in book.bids], [price for price, _ in book.asks]

    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert bids[0] < asks[0]
    assert (book.best_bid, book.best_ask) == (book.bids[0], book.asks[0])


def test_twenty_levels_are_the_default(client: md.Client) -> None:
    book = client.orderbook("BTC/USDT")
    assert (len(book.bids), len(book.asks)) == (20, 20)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_book_has_the_exchanges_number_if_it_sends_one(client: md.Client, exchange: str) -> None:
    book = client.orderbook("BTC/USDT", 5, exchange=exchange)
    truth = market(exchange).book(ms(NOW), 1)
    assert truth is not None

    if exchange in ("binance", "coinbaseexchange"):
        assert book.sequence == truth.sequence
    else:
        assert book.sequence is None
        assert "sequence" not in book.to_dict()


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_book_has_the_exchanges_time_or_ours(client: md.Client, exchange: str) -> None:
    book = client.orderbook("BTC/USDT", 5, exchange=exchange)

    if exchange == "okx":
        assert book.timestamp == NOW
    else:
        assert book.timestamp == book.received_at


def test_the_book_changes_with_the_market(sim: SimulatedExchange, connect: Factory) -> None:
    client = connect(sim)
    first = client.orderbook("BTC/USDT", 5)
    sim.clock.move(ms(NOW) + 600_000)
    later = client.orderbook("BTC/USDT", 5)

    assert later.bids != first.bids
    assert first.sequence is not None
    assert later.sequence is not None
    assert later.sequence > first.sequence


def test_unsupported_depths_are_rounded_up(sim: SimulatedExchange) -> None:
    async def asked(name: str, *depths: int) -> list[int]:
        # Only this exchange's own rule is looked at, no simulated one has it.
        venue = open_venue(name, sim.url)
        try:
            return [venue._depth(depth) for depth in depths]
        finally:
            await venue.close()

    assert asyncio.run(asked("kucoin", 1, 7, 20, 21, 100, 5000)) == [20, 20, 20, 100, 100, 100]
    assert asyncio.run(asked("htx", 1, 7, 11, 150, 151)) == [5, 10, 20, 150, 150]
    assert asyncio.run(asked("bitfinex", 1, 7, 25, 26)) == [1, 25, 25, 100]
    assert asyncio.run(asked("cryptocom", 7, 5000)) == [7, 50]
    assert asyncio.run(asked("binance", 7, 5000)) == [7, 5000]
