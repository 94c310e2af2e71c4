"""The page of an order book: a ladder of asks above bids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING

from marketdata.models._display.elements import Ladder, Page, Rung
from marketdata.models._display.numbers import OfPair, amount_places, fixed, price_places
from marketdata.models._display.origin import freshness, heading

if TYPE_CHECKING:
    from marketdata.models import Level, OrderBook


@dataclass(frozen=True)
class Sides:
    """The data of a ladder: both sides, best price first, and the numbers shown between them."""

    of: Sequence[OfPair]
    """The order books that the levels come from."""
    pair: str
    bids: Sequence[Level]
    asks: Sequence[Level]
    spread: float | None
    mid: float | None
    imbalance: float | None = None
    quoted_by: tuple[Sequence[str], Sequence[str]] = ((), ())
    """The exchanges that quote the bids and the asks, in a consolidated book."""


def orderbook(record: OrderBook, now: datetime, most: int | None = None) -> Page:
    """Show an order book: asks with the highest price first, the spread, then bids.

    The total of a level is the sum of the sizes from the best price to it. The bars show totals.
    At most ``most`` levels are shown for each side.
    """
    sequence = "" if record.sequence is None else f"sequence {record.sequence}"
    longest = max(len(record.asks), len(record.bids))
    shown = "" if most is None or longest <= most else f", best {most} of {longest}"
    sides = Sides(
        [record],
        record.pair,
        record.bids[:most],
        record.asks[:most],
        record.spread,
        record.mid,
        record.imbalance(),
    )
    return [
        heading(record.pair, record.exchange, record.simulated, f"order book{shown}"),
        ladder(sides),
        freshness([record], now, sequence),
    ]


def ladder(sides: Sides) -> Ladder:
    """Make a ladder in which each column has one number of decimal places."""
    base, _, quote = sides.pair.partition("/")
    levels = [*sides.asks, *sides.bids]
    tick = price_places(sides.of, [price for price, _ in levels])
    step = amount_places(sides.of, [size for _, size in levels])
    totals = [list(accumulate(size for _, size in side)) for side in (sides.asks, sides.bids)]
    deepest = max((total for side in totals for total in side), default=1.0) or 1.0

    def rungs(side: Sequence[Level], sums: Sequence[float], whose: Sequence[str]) -> list[Rung]:
        names = whose or [""] * len(side)
        return [
            Rung(fixed(price, tick), fixed(size, step), fixed(total, step), total / deepest, name)
            for (price, size), total, name in zip(side, sums, names, strict=True)
        ]

    return Ladder(
        titles=(f"price {quote}", f"size {base}", f"total {base}"),
        asks=rungs(sides.asks, totals[0], sides.quoted_by[1])[::-1],
        middle=_middle(sides, tick),
        bids=rungs(sides.bids, totals[1], sides.quoted_by[0]),
    )


def _middle(sides: Sides, tick: int) -> str:
    if sides.spread is None or sides.mid is None or sides.mid <= 0:
        side = "asks" if not sides.asks else "bids"
        return f"no {side}" if sides.asks or sides.bids else "empty"
    share = f"{sides.spread / sides.mid:.4%}"
    text = f"spread {fixed(sides.spread, tick)} ({share})  mid {fixed(sides.mid, tick + 1)}"
    if sides.imbalance is not None:
        # Adding zero turns -0.0 into 0.0.
        text += f"  imbalance {round(float(sides.imbalance), 2) + 0.0:+.2f}"
    return text
