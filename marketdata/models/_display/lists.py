"""Pages that list many records, one in each row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from marketdata.models._display.cards import direction
from marketdata.models._display.elements import (
    ABSENT,
    DOWN,
    FAINT,
    FIRST,
    LABEL,
    PLAIN,
    STRONG,
    UP,
    Column,
    Page,
    Table,
)
from marketdata.models._display.numbers import (
    OfPair,
    amount_places,
    clock,
    counted,
    digits,
    evened,
    fixed,
    fraction,
    moments,
    of_tick,
    percent,
    price_places,
    rounded,
)
from marketdata.models._display.origin import freshness, heading

if TYPE_CHECKING:
    from marketdata.models import Exchange, Pair, Quote, Ticker, Trade


Count = Callable[[Iterable[OfPair], Sequence[float]], int]


def exchanges(records: Sequence[Exchange], _now: datetime) -> Page:
    """List exchanges with the operations that they support."""
    columns = [
        Column("exchange", [one.id for one in records], FIRST, right=False, styles=STRONG),
        Column("name", [one.name for one in records], 7, right=False),
        Column("timeframes", [_ends(one.timeframes) for one in records], 6, right=False),
        Column("candles a request", [digits(one.candles_per_request) for one in records], 5),
        Column("history", [_history(one) for one in records], 6, right=False),
        Column("derived", [" ".join(one.derived) or ABSENT for one in records], 4, right=False),
        Column("lacks", [" ".join(one.unavailable or ()) or ABSENT for one in records], 4, False),
        Column("with a key", [_keyed(one) for one in records], 2, right=False),
        Column("depths", [_depths(one) for one in records], 3, right=False),
        Column("streams", [" ".join(one.streams) or ABSENT for one in records], 4, right=False),
        Column("ms a request", [digits(one.rate_limit) for one in records], 2),
        Column("countries", [" ".join(one.countries) or ABSENT for one in records], 1, right=False),
    ]
    return [Table(columns), [(counted(len(records), "exchange"), FAINT)]]


def _keyed(record: Exchange) -> str:
    free = [name for name in record.operations if name not in record.needs_key]
    if len(free) < len(record.needs_key):
        return f"all but {' '.join(free)}" if free else "all"
    return " ".join(record.needs_key) or ABSENT


def _history(record: Exchange) -> str:
    if record.history_bars is not None:
        return f"newest {record.history_bars:,}"
    return "yes" if record.history else ABSENT


def pairs(records: Sequence[Pair], _now: datetime) -> Page:
    """List pairs with their trading rules."""
    if not records:
        return [[("No spot pair fits.", FAINT)]]
    exchanges = [one.exchange for one in records]
    several = len(set(exchanges)) > 1
    columns = [
        Column("pair", [one.pair for one in records], FIRST, right=False, styles=STRONG),
        *([Column("exchange", exchanges, FIRST, right=False)] if several else []),
        Column("price tick", [digits(one.price_tick) for one in records], 8),
        Column("amount step", [digits(one.amount_step) for one in records], 7),
        Column("min amount", [digits(one.min_amount) for one in records], 4),
        Column("max amount", [digits(one.max_amount) for one in records], 1),
        Column("min cost", [digits(one.min_cost) for one in records], 5),
        Column("maker", [fraction(one.maker) for one in records], 6),
        Column("taker", [fraction(one.taker) for one in records], 6),
    ]
    oldest = min(one.received_at for one in records)
    fetched = f"{'oldest ' * several}list fetched {clock(oldest)}"
    names = f"{len(set(exchanges))} exchanges" if several else exchanges[0]
    kind = "halted pair" if all(one.halted for one in records) else "pair"
    return [
        heading("Pairs", names, any(one.simulated for one in records)),
        Table(columns),
        [(f"{counted(len(records), kind)}, {fetched}", FAINT)],
    ]


def tickers(records: Sequence[Ticker], now: datetime) -> Page:
    """List tickers."""
    if not records:
        return [[("No tickers.", FAINT)]]
    moves = [direction(one.percentage) for one in records]
    prices = [of_tick(one, [one.last, one.bid, one.ask, one.high, one.low]) for one in records]
    columns = [
        Column("pair", [one.pair for one in records], FIRST, right=False, styles=STRONG),
        Column("last", [row[0] for row in prices], FIRST),
        Column("change", [percent(one.percentage) for one in records], 8, styles=moves),
        Column("bid", [row[1] for row in prices], 7, styles=UP),
        Column("ask", [row[2] for row in prices], 7, styles=DOWN),
        Column("high", [row[3] for row in prices], 5),
        Column("low", [row[4] for row in prices], 5),
        Column("base volume", evened([one.base_volume for one in records]), 3),
        Column("quote volume", evened([one.quote_volume for one in records]), 6),
        Column("trades", [digits(one.trades) for one in records], 1),
    ]
    windows = ", ".join(sorted({one.window for one in records}))
    return [
        heading("Tickers", records[0].exchange, records[0].simulated, windows),
        Table(columns),
        [(f"{counted(len(records), 'ticker')}, ", FAINT), *freshness(records, now)],
    ]


def quotes(records: Sequence[Quote], now: datetime) -> Page:
    """List the best bids and asks."""
    if not records:
        return [[("No quotes.", FAINT)]]
    prices = [of_tick(one, [one.bid, one.ask]) for one in records]
    spreads = [fixed(one.spread, price_places([one], [one.bid, one.ask])) for one in records]
    columns = [
        Column("pair", [one.pair for one in records], FIRST, right=False, styles=STRONG),
        Column("bid size", evened([one.bid_volume for one in records]), 5),
        Column("bid", [row[0] for row in prices], FIRST, styles=UP),
        Column("ask", [row[1] for row in prices], FIRST, styles=DOWN),
        Column("ask size", evened([one.ask_volume for one in records]), 5),
        Column("spread", spreads, 4),
    ]
    return [
        heading("Quotes", records[0].exchange, records[0].simulated),
        Table(columns),
        [(f"{counted(len(records), 'quote')}, ", FAINT), *freshness(records, now)],
    ]


def trades(records: Sequence[Trade], now: datetime) -> Page:
    """List the trades of one pair."""
    if not records:
        return [[("No trades.", FAINT)]]
    first = records[0]
    return [
        heading(first.pair, first.exchange, first.simulated, "trades, oldest first"),
        Table(trade_columns(records)),
        [
            (f"{counted(len(records), 'trade')}, newest ", FAINT),
            *freshness(records[-1:], now),
        ],
    ]


def trade_columns(records: Sequence[Trade]) -> list[Column]:
    """Make the columns of trades; exchange and pair are columns only if they differ."""
    sides = [{"buy": UP, "sell": DOWN}.get(one.side or "", PLAIN) for one in records]
    exchanges = [one.exchange for one in records]
    pairs = [one.pair for one in records]
    return [
        Column("time (UTC)", moments([one.timestamp for one in records]), 8, right=False),
        *([Column("exchange", exchanges, 8, right=False)] if len(set(exchanges)) > 1 else []),
        *([Column("pair", pairs, FIRST, False, STRONG)] if len(set(pairs)) > 1 else []),
        Column("side", [one.side or ABSENT for one in records], 7, right=False, styles=sides),
        Column(
            "price",
            _by_pair(records, [one.price for one in records], price_places),
            FIRST,
            styles=sides,
        ),
        Column("amount", _by_pair(records, [one.amount for one in records], amount_places), FIRST),
        Column("cost", _costs(records), 3),
        Column("id", [one.id or ABSENT for one in records], 6, styles=LABEL),
        Column("first id", [one.first_id or ABSENT for one in records], 2),
        Column("last id", [one.last_id or ABSENT for one in records], 2),
    ]


def _costs(records: Sequence[Trade]) -> list[str]:
    """Write costs with the decimal places of the pair's prices."""
    counts = _places_by_pair(records, [one.price for one in records], price_places)
    return [rounded(one.cost, counts[one.pair]) for one in records]


def _by_pair(records: Sequence[Trade], values: Sequence[float], count: Count) -> list[str]:
    """Write numbers with the same number of decimal places for each pair."""
    counts = _places_by_pair(records, values, count)
    return [fixed(value, counts[one.pair]) for one, value in zip(records, values, strict=True)]


def _places_by_pair(
    records: Sequence[Trade], values: Sequence[float], count: Count
) -> dict[str, int]:
    of_pair: dict[str, list[float]] = defaultdict(list)
    whose: dict[str, dict[str, Trade]] = defaultdict(dict)
    for one, value in zip(records, values, strict=True):
        of_pair[one.pair].append(value)
        whose[one.pair][one.exchange] = one
    return {pair: count(whose[pair].values(), those) for pair, those in of_pair.items()}


def _ends(names: Sequence[str]) -> str:
    if not names:
        return ABSENT
    return " ".join(names) if len(names) < 3 else f"{names[0]} … {names[-1]} ({len(names)})"


def _depths(record: Exchange) -> str:
    if record.depths is not None:
        return " ".join(map(str, record.depths))
    return "any" if record.max_depth is None else f"to {record.max_depth:,}"
