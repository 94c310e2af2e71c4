"""An order book, and the fill of an order in it."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Annotated, Any

from marketdata import _above
from marketdata.errors import InvalidParameterError
from marketdata.models.base import Record, Side, _Streamed
from marketdata.models.decimals import (
    EXACT,
    LevelsOfEitherForm,
    Number,
    as_given,
    decimal_or_nan,
    difference,
    exact,
    mean,
    quotient,
    total,
)
from marketdata.number_form import Numbers

if TYPE_CHECKING:
    from marketdata._charts.chart import Chart

__all__ = [
    "Fill",
    "OrderBook",
]


class Fill(Record, Numbers[Number]):
    """The result of taking an amount from an order book."""

    side: Side
    amount: Number
    """Filled amount in base currency; less than requested if the book is too thin."""
    cost: Number
    """In quote currency, without fees."""
    average_price: Number | None = None
    """None if nothing could be filled."""
    worst_price: Number | None = None
    unfilled: Number
    """In base currency."""


class OrderBook(_Streamed, Numbers[Number]):
    """A snapshot of an order book: levels are (price, size in base currency), best first."""

    pair: str
    sequence: int | None = None
    """The exchange's sequence number of this state, to match it with its stream of changes."""
    bids: Annotated[tuple[tuple[Number, Number], ...], LevelsOfEitherForm()]
    """Price descending."""
    asks: Annotated[tuple[tuple[Number, Number], ...], LevelsOfEitherForm()]
    """Price ascending."""
    max_depth: int | None = None
    """Maximum number of levels a side that the exchange streams; None if the requested depth is
    available, if unknown, or if not from a stream."""

    @property
    def best_bid(self) -> tuple[Number, Number] | None:
        """Highest bid; None on an empty side."""
        return self.bids[0] if self.bids else None

    @property
    def best_ask(self) -> tuple[Number, Number] | None:
        """Lowest ask; None on an empty side."""
        return self.asks[0] if self.asks else None

    @property
    def spread(self) -> Number | None:
        """Best ask minus best bid; None if a side is empty."""
        both = self.bids and self.asks
        return difference(self.asks[0][0], self.bids[0][0]) if both else None

    @property
    def mid(self) -> Number | None:
        """Mean of best bid and best ask; None if a side is empty."""
        return mean(self.asks[0][0], self.bids[0][0]) if self.bids and self.asks else None

    def depth(self, price: float | Decimal) -> Number:
        """Return the total size in base currency from the best level to a price, inclusive.

        A price at or below the best bid sums bids, one at or above the best ask sums asks. A price
        in between gives 0.0.
        """
        limit: Any = price
        if any(isinstance(number, Decimal) for number in self._form):
            limit = exact(price)  # the decimal number that a float was written as
        if math.isnan(limit):  # which Decimals cannot be compared with
            return self._as_given(Decimal(0))
        found = [size for level, size in self.bids if level >= limit]
        found += [size for level, size in self.asks if level <= limit]
        return self._as_given(total(found))

    def imbalance(self, levels: int | None = None) -> Number | None:
        """Return (bids - asks) / (bids + asks) of the sizes in the best levels, from -1 to 1.

        ``levels=None`` takes all. Returns None if both sides are empty.
        """
        bids = total(size for _, size in self.bids[:levels])
        asks = total(size for _, size in self.asks[:levels])
        both = EXACT.add(bids, asks)
        if not both:
            return None
        return self._as_given(quotient(EXACT.subtract(bids, asks), both))

    def fill(self, side: Side, amount: float | Decimal) -> Fill[Number]:
        """Compute the result of buying from the asks, or selling to the bids.

        ``amount`` is in base currency; fees are not counted. Raises `InvalidParameterError` for
        an amount that is not positive or a side other than ``buy`` and ``sell``.
        """
        wanted = left = decimal_or_nan(str(amount))
        # A Decimal that is not a number cannot be compared.
        if side not in ("buy", "sell") or wanted.is_nan() or wanted <= 0:
            raise InvalidParameterError(
                f"fill takes 'buy' or 'sell' and a positive amount; was {side!r}, {amount!r}."
            )
        cost, worst = Decimal(0), None
        with localcontext(EXACT):
            for price, size in self.asks if side == "buy" else self.bids:
                if not left:
                    break
                taken = min(exact(size), left)
                if taken <= 0:
                    continue
                left -= taken
                cost += taken * exact(price)
                worst = price
            filled = wanted - left
        given = self._form or (amount,)
        return Fill(
            side=side,
            amount=as_given(filled, *given),
            cost=as_given(cost, *given),
            average_price=as_given(quotient(cost, filled), *given) if filled else None,
            worst_price=worst,
            unfilled=as_given(left, *given),
        )

    def chart(self) -> Chart:
        """Draw an interactive depth chart: the total size up to each price, on both sides.

        Raises `DataUnavailableError` if the package was installed without the chart page.
        """
        return _above.charts().of_record(self, f"order book on {self.exchange}")

    def _as_given(self, value: Decimal) -> Number:
        made: Number = as_given(value, *self._form)
        return made

    @property
    def _form(self) -> tuple[Number, Number] | tuple[()]:
        """A level, whose numbers tell in which form all of them are."""
        return self.best_bid or self.best_ask or ()
