"""The page of an order book: a ladder of asks above bids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from marketdata_cli.views.layout import DOWN, FAINT, LABEL, PLAIN, UP, Line, Screen, bar, padded
from marketdata_cli.views.numbers import ABSENT, fixed, places
from marketdata_cli.views.origin import freshness, heading

if TYPE_CHECKING:
    from marketdata.models import Level, OrderBook

WIDEST = 100


@dataclass(frozen=True)
class Sides:
    """What a ladder is drawn of: both sides, best first, and what is said between them."""

    pair: str
    bids: Sequence[Level]
    asks: Sequence[Level]
    spread: float | None
    mid: float | None
    imbalance: float | None = None
    quoted_by: tuple[Sequence[str], Sequence[str]] = ((), ())
    """Who quotes the bids, and who the asks, where there are several."""


def ladder(record: OrderBook, screen: Screen, most: int | None = None) -> list[Line]:
    """Draw an order book: asks from the dearest down, the spread, bids from the best down.

    The total of a level counts the sizes from the best price to it; the bars show totals.
    ``most`` is how many levels a side are drawn at most.
    """
    sequence = "" if record.sequence is None else f"sequence {record.sequence}"
    longest = max(len(record.asks), len(record.bids))
    shown = "" if most is None or longest <= most else f", best {most} of {longest}"
    sides = Sides(
        record.pair,
        record.bids[:most],
        record.asks[:most],
        record.spread,
        record.mid,
        record.imbalance(),
    )
    return [
        heading(record.pair, record.exchange, record.simulated, f"order book{shown}"),
        *rungs(sides, screen),
        freshness([record], screen.now, sequence),
    ]


def rungs(sides: Sides, screen: Screen) -> list[Line]:
    """Draw the levels of a ladder, and what lies between its sides."""
    base, _, quote = sides.pair.partition("/")
    levels = [*reversed(sides.asks), *sides.bids]
    asks = len(sides.asks)
    step = places([size for _, size in levels])
    totals = [*reversed(_totals(sides.asks)), *_totals(sides.bids)]
    tick = places([price for price, _ in levels])
    prices = [fixed(price, tick) for price, _ in levels]
    sizes = [fixed(size, step) for _, size in levels]
    sums = [fixed(total, step) for total in totals]
    whose = [*reversed(sides.quoted_by[1]), *sides.quoted_by[0]]
    titles = (f"price {quote}", f"size {base}", f"total {base}")
    widths = [
        max(map(len, (title, *cells)), default=0)
        for title, cells in zip(titles, (prices, sizes, sums), strict=True)
    ]
    used = sum(widths) + 6
    names = max(map(len, whose), default=0)
    room = min(screen.width, WIDEST) - used
    if names:
        room = max(min(room - names - 2, room // 2), 0)
    deepest = max(totals, default=1.0)

    def row(index: int) -> Line:
        style = DOWN if index < asks else UP
        line: Line = [
            (padded(prices[index], widths[0], right=True) + "  ", style),
            (padded(sizes[index], widths[1], right=True) + "  ", PLAIN),
            (padded(sums[index], widths[2], right=True) + "  ", FAINT),
        ]
        if room >= 6:
            drawn = bar(totals[index] / deepest, room)
            line.append((padded(drawn, room + 2) if whose else drawn, style))
        if whose:
            line.append((whose[index], LABEL))
        return line

    head = "  ".join(
        padded(title, size, right=True) for title, size in zip(titles, widths, strict=True)
    )
    return [
        [(head, FAINT)],
        *map(row, range(asks)),
        _middle(sides, tick, used + max(room, 0)),
        *map(row, range(asks, len(levels))),
    ]


def _totals(levels: Sequence[Level]) -> list[float]:
    return list(accumulate(size for _, size in levels))


def _middle(sides: Sides, tick: int, width: int) -> Line:
    if sides.spread is None or sides.mid is None or sides.mid <= 0:
        side = "asks" if not sides.asks else "bids"
        text = f" no {side} " if sides.asks or sides.bids else " empty "
    else:
        share = f"{sides.spread / sides.mid:.4%}"
        text = f" spread {fixed(sides.spread, tick)} ({share})  mid {fixed(sides.mid, tick + 1)} "
    if sides.imbalance is not None and text.startswith(" spread"):
        # Adding zero makes -0.0 a plain one.
        text += f" imbalance {round(float(sides.imbalance), 2) + 0.0:+.2f} "
    return [("──", FAINT), (text or ABSENT, PLAIN), ("─" * max(width - 2 - len(text), 2), FAINT)]
