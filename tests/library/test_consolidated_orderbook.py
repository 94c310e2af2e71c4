"""One order book of several exchanges: levels, who quotes them, sources, failures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import marketdata as md
from marketdata._aggregation.consolidating import Books, consolidated, merged
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .markets import DIALECTS

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def book(exchange: str, bids: Any, asks: Any, age: float = 0.0) -> md.OrderBook:
    return md.OrderBook(
        exchange=exchange,
        pair="BTC/USDT",
        timestamp=NOON - timedelta(seconds=age),
        received_at=NOON,
        bids=tuple(bids),
        asks=tuple(asks),
    )


def together(*books: md.OrderBook, depth: int = 20) -> md.ConsolidatedOrderBook:
    sources = tuple(
        md.BookSource(name=one.exchange, exchange=one.exchange, pair=one.pair) for one in books
    )
    return consolidated(Books("BTC/USDT", sources, books), depth, NOON)


# ---------------------------------------------------------------------------- from exchanges


def test_it_equals_the_merged_books(sim: SimulatedExchange, connect: Factory) -> None:
    client = connect(sim, DIALECTS)
    found = client.consolidated_orderbook("btc/usdt", 5)
    books = {one: client.orderbook("BTC/USDT", 5, exchange=one) for one in DIALECTS}

    assert [source.name for source in found.sources] == list(DIALECTS)
    for side in ("bids", "asks"):
        quoted = [
            (price, size, name) for name, one in books.items() for price, size in getattr(one, side)
        ]
        quoted.sort(key=lambda row: row[0], reverse=side == "bids")
        levels = getattr(found, side)
        assert [level[0] for level in levels] == list(dict.fromkeys(r[0] for r in quoted))[:5]
        for price, size, by in levels:
            assert dict(by) == {name: one for level, one, name in quoted if level == price}
            assert size == float(sum(Decimal(repr(one)) for _, one in by))
    for source in found.sources:
        one = books[source.exchange]
        [pair] = client.pairs(exchange=source.exchange, base="BTC", quote="USDT")
        assert (source.pair, source.sequence, source.fee) == ("BTC/USDT", one.sequence, pair.taker)
        assert source.latency_ms is not None
        assert source.age is not None
        assert not source.is_missing
    assert found.simulated is True
    assert found.crossed is (found.bids[0][0] > found.asks[0][0])


def test_an_exchange_without_a_book_is_a_source_with_a_code(
    sim: SimulatedExchange, connect: Factory
) -> None:
    sim.faults.add(exchange="kraken", path="*/Depth", status=500)
    client = connect(sim, DIALECTS, timeout=1.5)
    client.compare("BTC/USDT")
    sim.faults.add(exchange="okx", path="*/books", hang=True)
    names = ["okx", "binance", "kraken", "nosuch"]
    found = client.consolidated_orderbook("BTC/USDT", exchanges=names)

    assert [(source.name, source.code) for source in found.sources] == [
        ("okx", "EXCHANGE_UNAVAILABLE"),
        ("binance", None),
        ("kraken", "EXCHANGE_UNAVAILABLE"),
        ("nosuch", "EXCHANGE_NOT_SUPPORTED"),
    ]
    assert "within 1.5 s" in str(found.sources[0].message)
    assert all(source.is_missing is (source.code is not None) for source in found.sources)
    assert {name for _, _, by in found.bids for name, _ in by} == {"binance"}


def test_mixed_pairs_are_named_and_only_mixed_on_request(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim, ["kraken"])
    alone = client.consolidated_orderbook("BTC/USDT", 3)
    assert {name for _, _, by in alone.asks for name, _ in by} == {"kraken"}
    found = client.consolidated_orderbook("BTC/USDT", 3, quotes=["USD", "USDT"])
    assert [(one.name, one.pair) for one in found.sources] == [
        ("kraken BTC/USDT", "BTC/USDT"),
        ("kraken BTC/USD", "BTC/USD"),
    ]
    names = {name for levels in (found.bids, found.asks) for _, _, by in levels for name, _ in by}
    assert names <= {one.name for one in found.sources}


def test_it_fails_if_no_exchange_has_a_book(sim: SimulatedExchange, connect: Factory) -> None:
    client = connect(sim, DIALECTS)
    with pytest.raises(md.PairNotSupportedError) as caught:
        client.consolidated_orderbook("NO/SUCH")
    assert set(caught.value.details["exchanges"]) == set(DIALECTS)
    with pytest.raises(md.PairNotSupportedError, match="kraken"):
        client.consolidated_orderbook("NO/SUCH", exchanges=["kraken"])
    sim.faults.add(path="*", status=500)
    with pytest.raises(md.ExchangeUnavailableError) as away:
        client.consolidated_orderbook("BTC/USDT", exchanges=["kraken", "nosuch"])
    assert away.value.retryable
    codes = {name: one["code"] for name, one in away.value.details["exchanges"].items()}
    assert codes == {"kraken": "EXCHANGE_UNAVAILABLE", "nosuch": "EXCHANGE_NOT_SUPPORTED"}


# ---------------------------------------------------------------------------- from books


def test_levels_at_one_price_are_one_level() -> None:
    found = together(
        book("a", [(100.0, 0.1), (99.0, 1.0)], [(101.0, 2.0)], age=3),
        book("b", [(100.0, 0.2)], [(100.5, 1.0), (101.0, 0.5)]),
    )
    assert found.bids == ((100.0, 0.3, (("a", 0.1), ("b", 0.2))), (99.0, 1.0, (("a", 1.0),)))
    assert found.asks == (
        (100.5, 1.0, (("b", 1.0),)),
        (101.0, 2.5, (("a", 2.0), ("b", 0.5))),
    )
    assert (found.best_bid, found.best_ask) == (found.bids[0], found.asks[0])
    assert (found.spread, found.mid, found.crossed) == (0.5, 100.25, False)
    assert (found.timestamp, found.received_at) == (NOON - timedelta(seconds=3), NOON)


def test_it_can_be_crossed() -> None:
    found = together(book("a", [(102.0, 1.0)], [(103.0, 1.0)]), book("b", [], [(101.0, 1.0)]))
    assert (found.crossed, found.spread, found.mid) == (True, -1.0, 101.5)
    half = together(book("b", [], [(101.0, 1.0)]))
    assert (half.crossed, half.spread, half.best_bid) == (False, None, None)


@st.composite
def sides(draw: st.DrawFn) -> list[tuple[str, list[tuple[float, float]]]]:
    made = []
    for name in draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=5)):
        prices = draw(st.lists(st.integers(1, 40), unique=True, max_size=15))
        size = st.integers(1, 10**6).map(lambda lots: lots / 10**4)
        made.append((name, [(price / 4, draw(size)) for price in sorted(prices)]))
    return made


@given(sides(), st.integers(1, 25), st.booleans())
def test_merging_equals_a_brute_force_merge(
    made: list[tuple[str, list[tuple[float, float]]]], depth: int, descending: bool
) -> None:
    if descending:
        made = [(name, levels[::-1]) for name, levels in made]
    found = merged(made, depth, descending=descending)

    prices = {price for _, levels in made for price, _ in levels}
    assert [level[0] for level in found] == sorted(prices, reverse=descending)[:depth]
    for price, size, by in found:
        truth = [(name, one) for name, levels in made for level, one in levels if level == price]
        assert list(by) == truth
        assert size == float(sum(Decimal(repr(one)) for _, one in truth))
