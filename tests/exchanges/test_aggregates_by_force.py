"""Several exchanges at once, against sums in exact fractions over random venues.

Venues have levels of nothing, prices twice, books that two pairs share, unknown fees, and failures.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from inside.exchanges import parsing

import marketdata as md
from marketdata._aggregation.comparing import compare
from marketdata._aggregation.consolidating import consolidate
from marketdata._aggregation.costing import Order, execution_cost
from marketdata._exchanges import tickers

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAIRS = ("BTC/USD", "BTC/USDC")
SEEDS = range(300)


@dataclass
class Venue:
    """An exchange that answers from what it was made with."""

    id: str
    rows: dict[str, tuple[list[list[float]], list[list[float]]]]
    """Bids and asks on the wire, by pair."""
    fee: float | None
    shares: bool
    """Whether both pairs have one book."""
    fails: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)

    @property
    def listed(self) -> Venue:
        return self

    async def symbol(self, pair: str) -> str:
        return pair

    def check(self, _operation: str) -> None:
        pass

    def has(self, _method: str) -> bool:
        return False

    def has_window(self, _window: str) -> bool:
        return True

    def taker(self, _pair: str) -> float | None:
        return self.fee

    def book_of(self, pair: str) -> str:
        return "one" if self.shares else pair

    async def orderbook(self, pair: str, depth: int) -> md.OrderBook:
        if pair in self.fails:
            raise md.ExchangeUnavailableError(f"{self.id} fails.")
        bids, asks = self.rows[pair]
        book = parsing.orderbook(
            {"bids": bids, "asks": asks, "timestamp": None},
            exchange=self.id,
            pair=pair,
            depth=depth,
            received_at=NOW,
            simulated=False,
        )
        if not book.bids and not book.asks:
            raise tickers.untraded(self.id, pair)
        return book

    async def ticker(self, pair: str, window: str) -> md.Ticker:
        book = await self.orderbook(pair, 1)
        bid, ask = book.best_bid or (None, None), book.best_ask or (None, None)
        raw = {"bid": bid[0], "bidVolume": bid[1], "ask": ask[0], "askVolume": ask[1]}
        return parsing.ticker(
            {**raw, "timestamp": None, "info": {}},
            exchange=self.id,
            pair=pair,
            window=window,
            received_at=NOW,
            simulated=False,
        )


def side(rng: random.Random, around: float, sign: int) -> list[list[float]]:
    rows = []
    for _ in range(rng.randrange(7)):
        price = round(around + sign * rng.randrange(1, 9) * 0.5 + rng.choice([0, 0, 3]), 1)
        size = rng.choice([0.0, -1.0, 0.1, 0.25, 0.3, 1.0, 2.5])
        rows.append([rng.choice([price, price, price, -price]), size])
    return rows


def world(seed: int) -> list[Venue]:
    rng = random.Random(seed)
    venues = []
    for number in range(rng.randrange(1, 5)):
        shares = rng.random() < 0.4
        one = side(rng, 100, -1), side(rng, 100, 1)
        other = one if shares else (side(rng, 100, -1), side(rng, 100, 1))
        venues.append(
            Venue(
                f"venue{number}",
                dict(zip(PAIRS, (one, other), strict=True)),
                rng.choice([None, 0.0, 0.001, 0.0026, -0.0002]),
                shares,
                frozenset(pair for pair in PAIRS if rng.random() < 0.15),
            )
        )
    return venues


def asking(venues: list[Venue]) -> Callable[[str, Callable[[Any], Awaitable[Any]]], Any]:
    by_name = {one.id: one for one in venues}

    async def ask(exchange: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return await work(by_name[exchange])

    return ask


def clean(rows: list[list[float]]) -> dict[Fraction, Fraction]:
    found: dict[Fraction, Fraction] = {}
    for price, size in rows:
        if price > 0 and size > 0:
            found[_(price)] = found.get(_(price), Fraction(0)) + _(size)
    return found


def _(value: float) -> Fraction:
    """The fraction that a number was written as."""
    return Fraction(str(value))


Source = tuple[str, float | None, dict[Fraction, Fraction], dict[Fraction, Fraction]]


def sources(venues: list[Venue]) -> list[Source]:
    """Each book once: name, fee, bids, asks."""
    found: list[Source] = []
    for venue in venues:
        for pair in PAIRS:
            bids, asks = map(clean, venue.rows[pair])
            if pair in venue.fails or not (bids or asks):
                continue
            found.append((f"{venue.id} {pair}", venue.fee, bids, asks))
            if venue.shares:
                break
    return found


def run(work: Awaitable[Any]) -> Any:
    async def running() -> Any:
        return await work

    return asyncio.run(running())


@pytest.mark.parametrize("seeds", [SEEDS[at : at + 50] for at in SEEDS[::50]], ids=str)
def test_a_consolidated_book_is_the_sum_of_the_books(seeds: range) -> None:
    for seed in seeds:
        venues, truth = world(seed), sources(world(seed))
        names = [one.id for one in venues]
        asked = consolidate(asking(venues), PAIRS[0], names, 6, ["USDC"])
        if not truth:
            with pytest.raises(md.UpstreamError):
                run(asked)
            continue
        book = run(asked)
        for at, levels, best_first in ((2, book.bids, True), (3, book.asks, False)):
            wanted: dict[Fraction, dict[str, Fraction]] = {}
            for source in truth:
                for price, size in source[at].items():
                    wanted.setdefault(price, {})[source[0]] = size
            prices = sorted(wanted, reverse=best_first)[:6]
            assert [_(level[0]) for level in levels] == prices, seed
            for price, size, by in levels:
                assert {name: _(one) for name, one in by} == wanted[_(price)], seed
                assert _(size) == sum(wanted[_(price)].values()), seed
        there = [one for one in book.sources if one.code is None]
        assert [one.name for one in there] == [one[0] for one in truth], seed


@pytest.mark.parametrize("seeds", [SEEDS[at : at + 50] for at in SEEDS[::50]], ids=str)
def test_the_cost_of_an_order_is_the_least_there_is(seeds: range) -> None:
    for seed in seeds:
        venues, truth = world(seed), sources(world(seed))
        if not truth:
            continue
        rng = random.Random(seed)
        buying, amount = rng.random() < 0.5, rng.choice([0.05, 0.3, 1.7, 40.0])
        names = [one.id for one in venues]
        order = Order("buy" if buying else "sell", amount)
        cost = run(execution_cost(asking(venues), PAIRS[0], order, names, 10, ["USDC"]))

        sign = 1 if buying else -1
        units = sorted(
            (sign * price * (1 + sign * _(fee or 0)), place, sign * price, size)
            for place, (_name, fee, bids, asks) in enumerate(truth)
            for price, size in (asks if buying else bids).items()
        )
        left, paid, prices, fees = _(amount), Fraction(0), [], Fraction(0)
        unknown = False
        for _net, place, signed, size in units:
            if left <= 0:
                break
            taken, price, fee = min(size, left), sign * signed, truth[place][1]
            left -= taken
            paid += taken * price
            prices.append(price)
            unknown |= fee is None
            fees += taken * price * _(fee or 0)
        assert _(cost.amount) == _(amount) - left, seed
        assert _(cost.unfilled or 0) == left, seed
        assert float(cost.cost) == pytest.approx(float(paid), rel=1e-12), seed
        worst = None if not prices else (max if buying else min)(prices)
        assert (None if cost.worst_price is None else _(cost.worst_price)) == worst, seed
        if unknown:
            assert (cost.fees, cost.total) == (None, None), seed
        else:
            assert float(cost.fees or 0) == pytest.approx(float(fees), abs=1e-12), seed
        assert (cost.without_fees is not None) == unknown, seed
        assert all(split.amount > 0 for split in cost.splits), seed


@pytest.mark.parametrize("seeds", [SEEDS[at : at + 50] for at in SEEDS[::50]], ids=str)
def test_a_comparison_has_the_best_of_those_that_answer(seeds: range) -> None:
    for seed in seeds:
        venues, truth = world(seed), sources(world(seed))
        names = [one.id for one in venues]
        found = run(compare(asking(venues), PAIRS[0], names, ["USDC"]))
        bids = [max(one[2]) for one in truth if one[2]]
        asks = [min(one[3]) for one in truth if one[3]]
        assert (None if found.best_bid is None else _(found.best_bid.price)) == (
            max(bids, default=None)
        ), seed
        assert (None if found.best_ask is None else _(found.best_ask.price)) == (
            min(asks, default=None)
        ), seed
        crossed = max(bids) > min(asks) if bids and asks else None
        assert found.crossed == crossed, seed
        net_bids = [max(b) * (1 - _(fee)) for _n, fee, b, _a in truth if b and fee is not None]
        net_asks = [min(a) * (1 + _(fee)) for _n, fee, _b, a in truth if a and fee is not None]
        both = net_bids and net_asks
        assert found.crossed_after_fees == (max(net_bids) > min(net_asks) if both else None), seed
        assert [one.exchange + " " + one.pair for one in found.rows if one.code is None] == [
            one[0] for one in truth
        ], seed


def test_an_unknown_fee_does_not_depend_on_the_others() -> None:
    rows: Any = dict.fromkeys(PAIRS, ([], [[100.0, 1.0]]))
    dearer: Any = dict.fromkeys(PAIRS, ([], [[100.05, 1.0]]))
    for highest in (0.0, 0.009):
        venues = [Venue("known", dearer, highest, True), Venue("unknown", rows, None, True)]
        order = Order("buy", 1.0)
        cost = run(execution_cost(asking(venues), "BTC/USD", order, ["known", "unknown"], 5, None))
        assert [one.exchange for one in cost.splits] == ["unknown"]
        assert (cost.without_fees, cost.total) == (("unknown",), None)


@pytest.mark.parametrize("quotes", [["EUR"], ["USDC", "BTC"], ["USDT", "TRY"]])
def test_currencies_that_are_not_near_par_are_refused(quotes: list[str]) -> None:
    with pytest.raises(md.InvalidParameterError, match="at par") as caught:
        run(consolidate(asking([]), "BTC/USD", [], 5, quotes))
    assert "USDC" in caught.value.details["closest"]
    with pytest.raises(md.InvalidParameterError, match="EUR is not worth"):
        run(consolidate(asking([]), "BTC/EUR", [], 5, ["USD"]))
