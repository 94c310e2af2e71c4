"""Numbers of an order book: spread, mid, depth, imbalance, and fills."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import marketdata as md

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def book(bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> md.OrderBook:
    return md.OrderBook(
        exchange="binance",
        pair="BTC/USDT",
        timestamp=NOON,
        received_at=NOON,
        bids=tuple(bids),
        asks=tuple(asks),
    )


def exact(value: float) -> Fraction:
    """The decimal number that a float stands for."""
    return Fraction(Decimal(repr(value)))


def close(value: float, to: Fraction) -> bool:
    return abs(Fraction(value) - to) <= abs(to) * Fraction(1, 10**12) + Fraction(1, 10**18)


# Prices in cents and sizes in lots, as exchanges have them.
@st.composite
def books(draw: st.DrawFn) -> md.OrderBook:
    middle = draw(st.integers(10_000, 10_000_000))
    sizes = st.integers(1, 10**9).map(lambda lots: lots / 10**5)
    sides = []
    for sign in (-1, 1):
        steps = draw(st.lists(st.integers(1, 500), max_size=8))
        prices, price = [], middle
        for step in steps:
            price += sign * step
            prices.append(price / 100)
        sides.append([(price, draw(sizes)) for price in prices])
    return book(*sides)


BOOK = book([(100.1, 0.1), (100.0, 0.2), (99.5, 3.0)], [(100.4, 0.3), (100.5, 0.1), (101.0, 2.0)])


def test_spread_and_mid_are_decimal_numbers() -> None:
    assert BOOK.spread == 0.3
    assert BOOK.mid == 100.25
    assert book([(55784.55, 1.0)], [(55784.62, 1.0)]).spread == 0.07


def test_an_empty_side_has_no_best_and_no_spread() -> None:
    half = book([(1.0, 1.0)], [])

    assert (half.best_bid, half.best_ask) == ((1.0, 1.0), None)
    assert (half.spread, half.mid) == (None, None)
    assert half.imbalance() == 1.0
    assert book([], []).imbalance() is None


def test_depth_counts_up_to_a_price_inclusive() -> None:
    assert BOOK.depth(100.0) == 0.3
    assert BOOK.depth(100.1) == 0.1
    assert BOOK.depth(0.0) == 3.3
    assert BOOK.depth(100.4) == 0.3
    assert BOOK.depth(1e9) == 2.4
    assert BOOK.depth(100.2) == 0.0


def test_imbalance_of_some_or_all_levels() -> None:
    assert BOOK.imbalance(1) == pytest.approx(-0.5)
    assert BOOK.imbalance() == pytest.approx((3.3 - 2.4) / 5.7)
    assert BOOK.imbalance(levels=0) is None


def test_filling_exactly_one_level_does_not_use_the_next() -> None:
    fill = BOOK.fill("sell", 0.3)

    assert (fill.amount, fill.unfilled, fill.worst_price) == (0.3, 0.0, 100.0)
    assert fill.cost == 30.01
    assert fill.average_price == pytest.approx(30.01 / 0.3)


def test_filling_more_than_there_is_returns_the_rest() -> None:
    fill = BOOK.fill("buy", 5.0)

    assert (fill.amount, fill.unfilled, fill.worst_price) == (2.4, 2.6, 101.0)


def test_filling_from_an_empty_side_gives_nothing() -> None:
    fill = book([], []).fill("buy", 1.0)

    assert (fill.amount, fill.cost, fill.unfilled) == (0.0, 0.0, 1.0)
    assert (fill.average_price, fill.worst_price) == (None, None)
    assert "averagePrice" not in fill.to_dict()


@pytest.mark.parametrize(
    ("side", "amount"),
    [
        ("hold", 1.0),
        ("BUY", 1.0),
        (None, 1.0),
        ("buy", 0.0),
        ("buy", -1.0),
        ("buy", float("nan")),
        ("buy", float("inf")),
    ],
)
def test_an_impossible_fill_is_an_invalid_parameter(side: Any, amount: float) -> None:
    with pytest.raises(md.InvalidParameterError):
        BOOK.fill(side, amount)


@given(books(), st.sampled_from(["buy", "sell"]), st.integers(1, 10**10))
def test_a_fill_equals_walking_the_levels(made: md.OrderBook, side: Any, lots: int) -> None:
    amount = lots / 10**5
    fill = made.fill(side, amount)

    left, cost, worst = exact(amount), Fraction(0), None
    for price, size in made.asks if side == "buy" else made.bids:
        if left == 0:
            break
        taken = min(left, exact(size))
        left, cost, worst = left - taken, cost + taken * exact(price), price
    filled = exact(amount) - left
    assert close(fill.amount, filled)
    assert close(fill.cost, cost)
    assert close(fill.unfilled, left)
    assert fill.worst_price == worst
    assert (fill.average_price is None) == (filled == 0)
    if fill.average_price is not None:
        assert close(fill.average_price, cost / filled)
        levels = [price for price, _ in (made.asks if side == "buy" else made.bids)]
        assert min(levels) * 0.999999 <= fill.average_price <= max(levels) * 1.000001


@given(books(), st.integers(1, 10_000_500))
def test_depth_is_the_sum_of_the_sizes_up_to_the_price(made: md.OrderBook, cents: int) -> None:
    price = cents / 100
    truth = sum(
        (
            exact(size)
            for level, size in (*made.bids, *made.asks)
            if ((level, size) in made.bids and level >= price)
            or ((level, size) in made.asks and level <= price)
        ),
        Fraction(0),
    )
    assert close(made.depth(price), truth)


@given(books(), st.none() | st.integers(1, 10))
def test_imbalance_is_between_minus_one_and_one(made: md.OrderBook, levels: int | None) -> None:
    bids = sum((exact(size) for _, size in made.bids[:levels]), Fraction(0))
    asks = sum((exact(size) for _, size in made.asks[:levels]), Fraction(0))
    imbalance = made.imbalance(levels)

    if bids + asks == 0:
        assert imbalance is None
    else:
        assert imbalance is not None
        assert -1 <= imbalance <= 1
        assert abs(Fraction(imbalance) - (bids - asks) / (bids + asks)) < Fraction(1, 10**9)


@given(books())
def test_spread_and_mid_have_no_binary_noise(made: md.OrderBook) -> None:
    if made.spread is None or made.mid is None:
        assert not made.bids or not made.asks
        return
    assert exact(made.spread) == exact(made.asks[0][0]) - exact(made.bids[0][0])
    assert exact(made.mid) == (exact(made.asks[0][0]) + exact(made.bids[0][0])) / 2


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_a_quote_has_spread_and_mid_too(bid: int, more: int) -> None:
    quote = md.Quote(
        exchange="okx",
        pair="BTC/USDT",
        timestamp=NOON,
        received_at=NOON,
        source="quote",
        bid=bid / 100,
        ask=(bid + more) / 100,
    )
    assert quote.spread == more / 100
    assert quote.mid == (2 * bid + more) / 200
    assert quote.model_copy(update={"bid": None}).spread is None
    assert quote.model_copy(update={"ask": None}).mid is None
