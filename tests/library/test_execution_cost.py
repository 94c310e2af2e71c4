"""The cost of an order over several exchanges, compared with every split."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import marketdata as md
from marketdata._aggregation.consolidating import Books
from marketdata._aggregation.costing import Order, execution
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .markets import DIALECTS

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
Levels = list[tuple[float, float]]
Market = list[tuple[Levels, Levels, float | None]]
"""Bids, asks and fee of each exchange."""


def books(market: Market) -> Books:
    made = tuple(
        md.OrderBook(
            exchange=str(number),
            pair="BTC/USDT",
            timestamp=NOON,
            received_at=NOON,
            bids=tuple(bids),
            asks=tuple(asks),
        )
        for number, (bids, asks, _) in enumerate(market)
    )
    sources = tuple(
        md.BookSource(
            name=one.exchange, exchange=one.exchange, pair=one.pair, timestamp=NOON, fee=fee
        )
        for one, (_, _, fee) in zip(made, market, strict=True)
    )
    return Books("BTC/USDT", sources, made)


def cost(
    market: Market,
    side: Literal["buy", "sell"],
    amount: float | None = None,
    quote_amount: float | None = None,
) -> md.ExecutionCost:
    return execution(books(market), Order(side, amount, quote_amount), NOON)


A: tuple[Levels, Levels] = [(99.0, 1.0), (98.0, 5.0)], [(100.0, 1.0), (102.0, 5.0)]
B: tuple[Levels, Levels] = [(98.5, 2.0)], [(100.5, 2.0)]


# ---------------------------------------------------------------------------- from exchanges


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_it_costs_no_more_than_any_single_exchange(
    sim: SimulatedExchange, connect: Factory, side: Any
) -> None:
    client = connect(sim, DIALECTS)
    found = client.execution_cost("BTC/USDT", side=side, amount=0.2)
    sign = 1 if side == "buy" else -1

    assert (found.amount, found.unfilled, found.simulated) == (0.2, 0.0, True)
    assert [source.name for source in found.sources] == list(DIALECTS)
    assert found.total is not None
    assert found.fees is not None
    assert found.total == pytest.approx(found.cost + sign * found.fees)
    assert sum(one.amount for one in found.splits) == pytest.approx(0.2)
    for exchange in DIALECTS:
        alone = client.execution_cost("BTC/USDT", side=side, amount=0.2, exchanges=[exchange])
        fill = client.orderbook("BTC/USDT", 100, exchange=exchange).fill(side, 0.2)
        [pair] = client.pairs(exchange=exchange, base="BTC", quote="USDT")
        assert alone.cost == pytest.approx(fill.cost)
        assert alone.worst_price == fill.worst_price
        assert alone.fees == pytest.approx(fill.cost * (pair.taker or 0))
        assert alone.total is not None
        assert sign * found.total <= sign * alone.total + 1e-6


def test_a_failing_exchange_is_listed_and_the_others_fill(
    sim: SimulatedExchange, connect: Factory
) -> None:
    sim.faults.add(exchange="binance", path="*/depth", status=500)
    found = connect(sim, DIALECTS).execution_cost("BTC/USDT", side="buy", quote_amount=1000)

    assert [one.name for one in found.sources if one.code] == ["binance"]
    assert found.total == pytest.approx(1000)
    assert (found.unfilled, found.unfilled_quote) == (None, 0.0)
    assert "binance" not in {one.exchange for one in found.splits}


@pytest.mark.parametrize(
    ("given_", "error"),
    [
        ({"side": "buy"}, md.MissingParameterError),
        ({"amount": 1}, md.MissingParameterError),
        ({"side": "buy", "amount": 1, "quote_amount": 1}, md.InvalidParameterError),
        ({"side": "hold", "amount": 1}, md.InvalidParameterError),
        ({"side": "buy", "amount": 0}, md.InvalidParameterError),
        ({"side": "buy", "amount": float("inf")}, md.InvalidParameterError),
        ({"side": "buy", "quote_amount": float("nan")}, md.InvalidParameterError),
    ],
)
def test_wrong_arguments(client: md.Client, given_: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        client.execution_cost("BTC/USDT", **given_)


# ---------------------------------------------------------------------------- from books


@pytest.mark.parametrize("kind", [Decimal, str])
def test_no_digit_of_the_amount_is_lost(
    sim: SimulatedExchange, connect: Factory, kind: Any
) -> None:
    client, wanted = connect(sim, numbers="decimal"), "0.100000000000000000001"
    found = client.execution_cost("BTC/USDT", side="buy", amount=kind(wanted))
    assert found.amount + (found.unfilled or 0) == Decimal(wanted)
    paid = client.execution_cost("BTC/USDT", side="sell", quote_amount=kind("1e9"))
    assert paid.total is not None
    assert paid.total + (paid.unfilled_quote or 0) == Decimal("1e9")


def test_the_cheapest_levels_are_used_first() -> None:
    found = cost([(*A, 0.0), (*B, 0.0)], "buy", 4.0)

    assert [(one.exchange, one.amount, one.worst_price) for one in found.splits] == [
        ("0", 2.0, 102.0),
        ("1", 2.0, 100.5),
    ]
    assert (found.cost, found.average_price, found.worst_price) == (403.0, 100.75, 102.0)
    assert (found.mid, found.slippage_bps) == (99.5, 125.628141)
    assert (found.fees, found.total, found.unfilled) == (0.0, 403.0, 0.0)


def test_a_fee_can_make_the_better_price_more_expensive() -> None:
    found = cost([(*A, 0.01), (*B, 0.001)], "buy", 1.0)
    assert [(one.exchange, one.average_price) for one in found.splits] == [("1", 100.5)]
    assert (found.cost, found.fees, found.total) == (100.5, 0.1005, 100.6005)
    sold = cost([(*A, 0.01), (*B, 0.001)], "sell", 1.0)
    assert [one.exchange for one in sold.splits] == ["1"]
    assert (sold.total, sold.slippage_bps) == (98.4015, 100.502513)


def test_an_amount_in_quote_currency_includes_the_fees() -> None:
    found = cost([(*B, 0.01)], "buy", quote_amount=101.505)
    assert (found.amount, found.cost, found.total) == (1.0, 100.5, 101.505)
    assert (found.unfilled, found.unfilled_quote) == (None, 0.0)
    thin = cost([(*B, 0.0)], "sell", quote_amount=200.0)
    assert (thin.amount, thin.total, thin.unfilled_quote) == (2.0, 197.0, 3.0)


def test_an_unknown_fee_gives_no_total_and_no_advantage() -> None:
    found = cost([(*A, None), (*B, 0.01)], "buy", 2.5)
    assert (found.fees, found.total, found.without_fees) == (None, None, ("0",))
    assert [(one.exchange, one.fee, one.fees) for one in found.splits] == [
        ("0", None, None),
        ("1", 0.01, 1.5075),
    ]
    same = [[(99.0, 1.0)], [(100.0, 1.0)]]
    other = cost([(same[0], same[1], None), ([(99.0, 1.0)], [(100.0, 1.0)], 0.01)], "buy", 1.0)
    assert [one.exchange for one in other.splits] == ["0"], "as dear as the dearest known"


def test_nothing_to_fill_from() -> None:
    found = cost([([(99.0, 1.0)], [], 0.0)], "buy", 1.0)
    assert (found.amount, found.unfilled, found.splits) == (0.0, 1.0, ())
    assert (found.average_price, found.worst_price, found.mid) == (None, None, None)
    assert (found.fees, found.total) == (0.0, 0.0)


# Few lots, so that every split can be tried.
@st.composite
def markets(draw: st.DrawFn) -> Market:
    made: Market = []
    for _ in range(draw(st.integers(1, 3))):
        sides = []
        for sign in (-1, 1):
            prices = draw(st.lists(st.integers(1, 30), unique=True, max_size=4))
            sides.append(
                [(100 + sign * one / 4, draw(st.integers(1, 3))) for one in sorted(prices)]
            )
        fee = draw(st.integers(0, 60)) / 10_000
        made.append((sides[0], sides[1], fee))
    return made


def alone(levels: Levels, fee: float, lots: int, sign: int) -> Fraction | None:
    """The cost of filling lots on one exchange with fees; None if it has too few."""
    spent = Fraction(0)
    for price, size in levels:
        taken = min(lots, int(size))
        spent += taken * Fraction(price) * (1 + sign * Fraction(str(fee)))
        lots -= taken
    return spent if lots == 0 else None


def cheapest(market: Market, side: str, lots: int) -> Fraction:
    """The best of all splits of a number of lots."""
    sign, place = (1, 1) if side == "buy" else (-1, 0)
    tried = []
    for split in itertools.product(range(lots + 1), repeat=len(market)):
        if sum(split) != lots:
            continue
        parts = [
            alone(one[place], one[2] or 0.0, count, sign)
            for one, count in zip(market, split, strict=True)
        ]
        if None not in parts:
            tried.append(sum((part for part in parts if part is not None), Fraction(0)))
    return min(tried) if side == "buy" else max(tried)


def close(value: float | None, to: Fraction) -> bool:
    return value is not None and abs(Fraction(value) - to) <= abs(to) * Fraction(1, 10**12)


sides = st.sampled_from(["buy", "sell"])


@given(markets(), sides, st.integers(1, 12))
def test_no_other_split_is_cheaper(market: Market, side: Any, lots: int) -> None:
    found = cost(market, side, float(lots))
    place, sign = (1, 1) if side == "buy" else (0, -1)
    there = sum(int(size) for one in market for _, size in one[place])

    assert found.amount == min(lots, there)
    assert found.unfilled == max(0, lots - there)
    assert close(found.total, cheapest(market, side, min(lots, there)))
    for one in market:
        single = alone(one[place], one[2] or 0.0, lots, sign)
        if single is not None and found.total is not None:
            assert sign * Fraction(found.total) <= sign * single + Fraction(1, 10**9)


@given(markets(), sides, st.integers(1, 12))
def test_never_better_than_the_best_level(market: Market, side: Any, lots: int) -> None:
    found = cost(market, side, float(lots))
    if found.average_price is None or found.worst_price is None:
        assert not found.splits
        return
    prices = [price for one in market for price, _ in one[1 if side == "buy" else 0]]
    best = min(prices) if side == "buy" else max(prices)
    between = sorted([best, found.worst_price])
    assert between[0] - 1e-9 <= found.average_price <= between[1] + 1e-9
    assert found.worst_price in prices


@given(markets(), sides, st.integers(1, 11))
def test_larger_amounts_are_not_cheaper_per_unit(market: Market, side: Any, lots: int) -> None:
    less, more = cost(market, side, float(lots)), cost(market, side, float(lots + 1))
    if not less.amount:
        return
    sign = 1 if side == "buy" else -1
    assert more.amount >= less.amount
    assert more.total is not None
    assert less.total is not None
    assert more.total >= less.total - 1e-9
    assert sign * more.total / more.amount >= sign * less.total / less.amount - 1e-9


@given(markets(), sides, st.integers(1, 12))
def test_amount_and_quote_amount_are_equivalent(market: Market, side: Any, lots: int) -> None:
    by_amount = cost(market, side, float(lots))
    if not by_amount.amount:
        return
    by_quote = cost(market, side, quote_amount=by_amount.total)
    assert by_quote.amount == pytest.approx(by_amount.amount)
    assert by_quote.total == pytest.approx(by_amount.total)
    assert by_quote.unfilled_quote == pytest.approx(0.0, abs=1e-9)
    split = {one.exchange: one.amount for one in by_amount.splits}
    assert {one.exchange: one.amount for one in by_quote.splits} == pytest.approx(split)


@given(markets(), sides, st.integers(1, 12))
def test_parts_add_up(market: Market, side: Any, lots: int) -> None:
    found = cost(market, side, float(lots))
    assert found.cost == pytest.approx(sum(one.cost for one in found.splits))
    assert found.amount == pytest.approx(sum(one.amount for one in found.splits))
    assert found.fees == pytest.approx(sum(one.fees or 0.0 for one in found.splits))
    assert all(one.amount > 0 for one in found.splits)
