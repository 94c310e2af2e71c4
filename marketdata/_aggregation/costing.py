"""The cost of an order filled at once from several order books.

A taker pays price x (1 + fee) for a unit, or gets price x (1 - fee). Levels are taken in the order
of these net prices. This is the fractional knapsack problem, for which that order is optimal
(Dantzig, Discrete-Variable Extremum Problems, 1957): no other split, and no single exchange, fills
the same amount for less, fees included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from marketdata._aggregation.asking import Ask
from marketdata._aggregation.consolidating import Books, books
from marketdata.models.aggregates import BookSource, ExecutionCost, ExecutionSplit
from marketdata.models.decimals import EXACT, as_given, basis_points, exact, quotient

if TYPE_CHECKING:
    from marketdata.models import Side

_ZERO = Decimal(0)
_HALF = Decimal("0.5")


@dataclass(frozen=True)
class Order:
    """The order: an amount in base currency, or one in quote currency."""

    side: Side
    amount: float | None = None
    quote_amount: float | None = None
    """Including fees: the total to pay, or to receive after fees."""


@dataclass
class _Part:
    """The part of the order that one order book fills."""

    source: BookSource
    amount: Decimal = _ZERO
    cost: Decimal = _ZERO
    worst: float = 0.0

    def take(self, price: float, amount: Decimal) -> None:
        if amount <= 0:
            return
        self.amount += amount
        self.cost += amount * exact(price)
        self.worst = price

    @property
    def fees(self) -> Decimal | None:
        return None if self.source.fee is None else self.cost * exact(self.source.fee)


@dataclass(order=True)
class _Unit:
    """A level, sortable in the order of filling."""

    rank: Decimal
    place: int
    price: float = field(compare=False)
    size: Decimal = field(compare=False)
    net: Decimal = field(compare=False)
    """The amount in quote currency that a unit takes."""


async def execution_cost(
    ask: Ask,
    pair: str,
    order: Order,
    exchanges: Sequence[str],
    depth: int,
    quotes: Sequence[str] | None,
) -> ExecutionCost:
    """Request all order books and fill an order; see `AsyncClient.execution_cost`."""
    found = await books(ask, pair, exchanges, depth, quotes)
    return execution(found, order, datetime.now(UTC))


def execution(found: Books, order: Order, now: datetime) -> ExecutionCost:
    """Fill an order from order books received until a time."""
    with localcontext(EXACT):
        return _execution(found, order, now)


def _execution(found: Books, order: Order, now: datetime) -> ExecutionCost:
    parts = [_Part(source) for source in found.sources]
    left = exact(order.amount if order.amount is not None else order.quote_amount or 0.0)
    for unit in _units(found, order.side):
        if left <= 0:
            break
        taken = unit.size
        if order.amount is not None:
            taken = min(taken, left)
            left -= taken
        elif taken * unit.net <= left:
            left -= taken * unit.net
        else:
            taken, left = quotient(left, unit.net), _ZERO
        parts[unit.place].take(unit.price, taken)
    return _told(found, order, [part for part in parts if part.amount], left, now)


def _units(found: Books, side: Side) -> Iterator[_Unit]:
    """Return the levels for an order's side, cheapest after fees first.

    An unknown fee counts as zero here; the total is then unknown, too.
    """
    sign = 1 if side == "buy" else -1
    units = []
    for place, (source, book) in enumerate(zip(found.sources, found.books, strict=True)):
        if book is None:
            continue
        paid = _ZERO if source.fee is None else exact(source.fee)
        for price, size in book.asks if side == "buy" else book.bids:
            units.append(
                _Unit(
                    sign * exact(price) * (1 + sign * paid),
                    place,
                    price,
                    exact(size),
                    exact(price) * (1 + sign * paid),
                )
            )
    return iter(sorted(units))


def _told(
    found: Books, order: Order, parts: Sequence[_Part], left: Decimal, now: datetime
) -> ExecutionCost:
    buying = order.side == "buy"
    form = _form(found)
    amount = sum((part.amount for part in parts), _ZERO)
    cost = sum((part.cost for part in parts), _ZERO)
    known = [part.fees for part in parts if part.fees is not None]
    fees = sum(known, _ZERO) if len(known) == len(parts) else None
    average = quotient(cost, amount) if amount else None
    bids = [exact(book.bids[0][0]) for _, book in found.there if book.bids]
    asks = [exact(book.asks[0][0]) for _, book in found.there if book.asks]
    mid = (max(bids) + min(asks)) * _HALF if bids and asks else None
    slippage = None
    if average is not None and mid is not None:
        slippage = basis_points(average - mid if buying else mid - average, mid, form)
    total = None if fees is None else cost + fees if buying else cost - fees
    unknown = dict.fromkeys(part.source.exchange for part in parts if part.source.fee is None)
    worst = [part.worst for part in parts]
    return ExecutionCost(
        pair=found.pair,
        side=order.side,
        timestamp=found.timestamp or now,
        received_at=now,
        simulated=True if any(book.simulated for _, book in found.there) else None,
        amount=as_given(amount, form),
        cost=as_given(cost, form),
        average_price=_told_as(form, average),
        worst_price=(max if buying else min)(worst, default=None),
        mid=_told_as(form, mid),
        slippage_bps=slippage,
        fees=_told_as(form, fees),
        total=_told_as(form, total),
        unfilled=None if order.amount is None else as_given(left, form),
        unfilled_quote=None if order.amount is not None else as_given(left, form),
        without_fees=tuple(unknown) or None,
        splits=tuple(_split(part) for part in parts),
        sources=found.sources,
    )


def _split(part: _Part) -> ExecutionSplit:
    return ExecutionSplit(
        exchange=part.source.exchange,
        pair=part.source.pair,
        amount=as_given(part.amount, part.worst),
        cost=as_given(part.cost, part.worst),
        average_price=as_given(quotient(part.cost, part.amount), part.worst),
        worst_price=part.worst,
        fee=part.source.fee,
        fees=_told_as(part.worst, part.fees),
    )


def _form(found: Books) -> float:
    """Return a price of the order books, whose type is that of all numbers."""
    levels = (level for _, book in found.there for level in (*book.bids[:1], *book.asks[:1]))
    return next(levels, (0.0, 0.0))[0]


def _told_as(form: float, value: Decimal | None) -> float | None:
    return None if value is None else as_given(value, form)
