"""Pages about several exchanges at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from marketdata.models._display import books
from marketdata.models._display.elements import (
    ABSENT,
    DOWN,
    FAINT,
    FIRST,
    PLAIN,
    STRONG,
    UP,
    WARNING,
    Card,
    Column,
    Facts,
    Line,
    Page,
    Table,
)
from marketdata.models._display.numbers import (
    amount_places,
    counted,
    digits,
    duration,
    evened,
    fixed,
    fraction,
    places,
    price_places,
    rounded,
)
from marketdata.models._display.origin import heading

if TYPE_CHECKING:
    from marketdata.models.aggregates import (
        Best,
        BookSource,
        Comparison,
        ComparisonRow,
        ConsolidatedLevel,
        ConsolidatedOrderBook,
        ExecutionCost,
    )


def comparison(record: Comparison, _now: datetime) -> Page:
    """Show one row for each exchange, the best prices in bold, and the totals below."""
    rows = [row for row in record.rows if row.code is None]
    step = price_places(rows, [price for row in rows for price in (row.last, row.bid, row.ask)])
    spreads = [fixed(row.spread, step) for row in rows]
    pairs = [row.pair for row in rows]
    columns = [
        Column("exchange", [row.exchange for row in rows], FIRST, right=False, styles=STRONG),
        *([Column("pair", pairs, FIRST, right=False)] if len(set(pairs)) > 1 else []),
        Column(
            "bid",
            [fixed(row.bid, step) for row in rows],
            FIRST,
            styles=_marked(rows, record.best_bid, UP),
        ),
        Column(
            "ask",
            [fixed(row.ask, step) for row in rows],
            FIRST,
            styles=_marked(rows, record.best_ask, DOWN),
        ),
        Column("spread", spreads, 4),
        Column("bps", [points(row.spread_bps) for row in rows], 6),
        Column("last", [fixed(row.last, step) for row in rows], 7),
        Column("base volume", evened([row.base_volume for row in rows]), 3),
        Column("taker fee", [fraction(row.fee) for row in rows], 6),
        Column("age", [_seconds(row.age) for row in rows], 2, styles=FAINT),
        Column("latency", [_seconds(_of_ms(row.latency_ms)) for row in rows], 5, styles=FAINT),
    ]
    named = len(dict.fromkeys(row.exchange for row in record.rows))
    return [
        heading(record.pair, counted(named, "exchange"), record.simulated),
        *([Table(columns)] if rows else []),
        *failures(record.rows),
        *_together(record),
    ]


def _marked(rows: Sequence[ComparisonRow], best: Best | None, style: str) -> list[str]:
    """Make the best price of a column bold."""
    found = None if best is None else (best.exchange, best.pair)
    return [f"bold {style}" if (row.exchange, row.pair) == found else style for row in rows]


def consolidated(record: ConsolidatedOrderBook, _now: datetime) -> Page:
    """Show the ladder of several order books; each level names the exchange that quotes it."""
    sides = books.Sides(
        record.sources,
        record.pair,
        [level[:2] for level in record.bids],
        [level[:2] for level in record.asks],
        record.spread,
        record.mid,
        quoted_by=(_names(record.bids), _names(record.asks)),
    )
    there = [one for one in record.sources if one.code is None]
    detail = "consolidated order book, crossed" if record.crossed else "consolidated order book"
    return [
        heading(record.pair, counted(len(there), "order book"), record.simulated, detail),
        books.ladder(sides),
        *[_freshness(one) for one in there],
        *failures(record.sources),
    ]


def _names(levels: Sequence[ConsolidatedLevel]) -> list[str]:
    return [", ".join(name for name, _ in by) for _, _, by in levels]


def _freshness(source: BookSource) -> Line:
    latency = _seconds(_of_ms(source.latency_ms))
    name = source.name if source.pair in source.name else f"{source.name} {source.pair}"
    return [(f"{name}: {_seconds(source.age)} old, latency {latency}", FAINT)]


def execution(record: ExecutionCost, _now: datetime) -> Page:
    """Show as a card what an order would cost, with its split over exchanges below."""
    base, _, quote = record.pair.partition("/")
    step = cost_places(record)
    left = [
        ("average", rounded(record.average_price, step), STRONG),
        ("worst", fixed(record.worst_price, step), PLAIN),
        ("mid", rounded(record.mid, step + 1), PLAIN),
        ("slippage", f"{points(record.slippage_bps)} bps", PLAIN),
    ]
    total = "paid with fees" if record.side == "buy" else "got after fees"
    right = [
        ("filled", f"{digits(record.amount)} {base}", STRONG),
        ("cost", f"{rounded(record.cost, 2)} {quote}", PLAIN),
        ("fees", ABSENT if record.fees is None else f"{rounded(record.fees, 2)} {quote}", PLAIN),
        (total, ABSENT if record.total is None else f"{rounded(record.total, 2)} {quote}", STRONG),
    ]
    sources = counted(len([one for one in record.sources if one.code is None]), "order book")
    style = UP if record.side == "buy" else DOWN
    title = [(f"{record.side} ", style), *heading("", record.pair, record.simulated)]
    page: Page = [Card(title, [(sources, PLAIN)], [Facts(left, right)])]
    if record.unfilled or record.unfilled_quote:
        rest = digits(record.unfilled or record.unfilled_quote)
        of = base if record.unfilled else quote
        page.append([(f"Not filled: {rest} {of}; the levels looked at have no more.", WARNING)])
    if record.without_fees:
        page.append([(f"Taker fees not known: {', '.join(record.without_fees)}.", FAINT)])
    return [*page, *_splits(record), *failures(record.sources)]


def cost_places(record: ExecutionCost) -> int:
    """Count the decimal places of the prices; the mid of two prices can have one more."""
    mid = places([record.mid])
    if mid and fixed(record.mid, mid)[-1] == "5":
        mid -= 1
    prices = [record.worst_price, *(row.worst_price for row in record.splits)]
    return max(mid, price_places(record.splits, prices))


def _splits(record: ExecutionCost) -> list[Table]:
    rows = record.splits
    if not rows:
        return []
    step = cost_places(record)
    lots = amount_places(rows, [row.amount for row in rows])
    pairs = [row.pair for row in rows]
    columns = [
        Column("exchange", [row.exchange for row in rows], FIRST, right=False, styles=STRONG),
        *([Column("pair", pairs, FIRST, right=False)] if len(set(pairs)) > 1 else []),
        Column("amount", [fixed(row.amount, lots) for row in rows], FIRST),
        Column("share", [f"{row.amount / record.amount:.1%}" for row in rows], 5),
        Column("average", [rounded(row.average_price, step) for row in rows], 8),
        Column("worst", [fixed(row.worst_price, step) for row in rows], 6),
        Column("taker fee", [fraction(row.fee) for row in rows], 4),
        Column("fees", [rounded(row.fees, 2) for row in rows], 7),
    ]
    return [Table(columns)]


class Failing(Protocol):
    """A row that can have failed in an answer of several exchanges."""

    @property
    def exchange(self) -> str:
        """The id of the exchange."""
        ...

    @property
    def pair(self) -> str:
        """The pair that was requested."""
        ...

    @property
    def code(self) -> str | None:
        """The error code; None if the row has not failed."""
        ...

    @property
    def message(self) -> str | None:
        """The error message; None if the row has not failed."""
        ...


def failures(rows: Iterable[Failing]) -> list[Line]:
    """Write a line for each failed row, with its error."""
    return [
        [(f"{row.exchange} {row.pair}: {row.code}", WARNING), (f"  {row.message or ''}", FAINT)]
        for row in rows
        if row.code is not None
    ]


def _together(record: Comparison) -> list[Line]:
    if record.best_bid is None or record.best_ask is None:
        return []
    both = [record.best_bid.price, record.best_ask.price]
    step = price_places(record.rows, both)
    bid, ask = (fixed(price, step) for price in both)
    spread = f"spread {fixed(record.spread, step)} ({points(record.spread_bps)} bps)"
    lines: list[Line] = [
        [("best bid ", PLAIN), (bid, UP), (_where(record, record.best_bid), PLAIN)],
        [("best ask ", PLAIN), (ask, DOWN), (_where(record, record.best_ask), PLAIN)],
        [(spread, PLAIN)],
    ]
    if record.crossed:
        after = {True: ", also after taker fees", False: ", not after taker fees", None: ""}
        # This is a line of its own because a narrow screen would cut it to "crossed, no".
        lines.append([(f"crossed{after[record.crossed_after_fees]}", WARNING)])
    if record.without_fees:
        lines.append([(f"Taker fees not known: {', '.join(record.without_fees)}.", FAINT)])
    return lines


def _where(record: Comparison, best: Best) -> str:
    return (
        f" on {best.exchange}" if best.pair == record.pair else f" on {best.exchange} {best.pair}"
    )


def points(value: float | None) -> str:
    """Write basis points."""
    return ABSENT if value is None else f"{value:,.2f}"


def _of_ms(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _seconds(seconds: float | None) -> str:
    return ABSENT if seconds is None else duration(max(seconds, 0.0))
