"""The page of an order book: a ladder of asks above bids."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from marketdata_cli.layout import DOWN, FAINT, PLAIN, UP, Line, Screen, bar, padded
from marketdata_cli.numbers import ABSENT, fixed, places
from marketdata_cli.origin import freshness, heading

if TYPE_CHECKING:
    from marketdata.models import OrderBook

WIDEST = 100


def ladder(record: OrderBook, screen: Screen, most: int | None = None) -> list[Line]:
    """Draw an order book: asks from the dearest down, the spread, bids from the best down.

    The total of a level counts the sizes from the best price to it; the bars show totals.
    ``most`` is how many levels a side are drawn at most.
    """
    base, _, quote = record.pair.partition("/")
    levels = [*reversed(record.asks[:most]), *record.bids[:most]]
    asks = len(record.asks[:most])
    step = places([size for _, size in levels])
    totals = [*reversed(_totals(record.asks[:most])), *_totals(record.bids[:most])]
    tick = places([price for price, _ in levels])
    prices = [fixed(price, tick) for price, _ in levels]
    sizes = [fixed(size, step) for _, size in levels]
    sums = [fixed(total, step) for total in totals]
    titles = (f"price {quote}", f"size {base}", f"total {base}")
    widths = [
        max(map(len, (title, *cells)), default=0)
        for title, cells in zip(titles, (prices, sizes, sums), strict=True)
    ]
    used = sum(widths) + 6
    room = min(screen.width, WIDEST) - used
    deepest = max(totals, default=1.0)

    def row(index: int) -> Line:
        style = DOWN if index < asks else UP
        line: Line = [
            (padded(prices[index], widths[0], right=True) + "  ", style),
            (padded(sizes[index], widths[1], right=True) + "  ", PLAIN),
            (padded(sums[index], widths[2], right=True) + "  ", FAINT),
        ]
        if room >= 6:
            line.append((bar(totals[index] / deepest, room), style))
        return line

    head = "  ".join(
        padded(title, size, right=True) for title, size in zip(titles, widths, strict=True)
    )
    sequence = "" if record.sequence is None else f"sequence {record.sequence}"
    longest = max(len(record.asks), len(record.bids))
    shown = "" if most is None or longest <= most else f", best {most} of {longest}"
    return [
        heading(record.pair, record.exchange, record.simulated, f"order book{shown}"),
        [(head, FAINT)],
        *map(row, range(asks)),
        _middle(record, tick, used + max(room, 0)),
        *map(row, range(asks, len(levels))),
        freshness([record], screen.now, sequence),
    ]


def _totals(levels: tuple[tuple[float, float], ...]) -> list[float]:
    return list(accumulate(size for _, size in levels))


def _middle(record: OrderBook, tick: int, width: int) -> Line:
    if record.spread is None or record.mid is None or record.mid <= 0:
        side = "asks" if not record.asks else "bids"
        text = f" no {side} " if record.asks or record.bids else " empty "
    else:
        share = f"{record.spread / record.mid:.4%}"
        text = f" spread {fixed(record.spread, tick)} ({share})  mid {fixed(record.mid, tick + 1)} "
    imbalance = record.imbalance()
    if imbalance is not None and text.startswith(" spread"):
        # Adding zero makes -0.0 a plain one.
        text += f" imbalance {round(imbalance, 2) + 0.0:+.2f} "
    return [("──", FAINT), (text or ABSENT, PLAIN), ("─" * max(width - 2 - len(text), 2), FAINT)]
