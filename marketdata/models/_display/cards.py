"""Pages about one thing: a ticker, a quote, the status of an exchange, its fees."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from marketdata.models import ticks
from marketdata.models._display.elements import (
    ABSENT,
    DOWN,
    FAINT,
    PLAIN,
    STRONG,
    UP,
    WARNING,
    Card,
    Column,
    Entry,
    Facts,
    Line,
    Page,
    Table,
    Track,
)
from marketdata.models._display.numbers import (
    OfPair,
    amount_places,
    clock,
    digits,
    fixed,
    fraction,
    percent,
    price_places,
    rounded,
    signed,
    worked_out,
)
from marketdata.models._display.origin import freshness, heading

if TYPE_CHECKING:
    from marketdata.models import AveragePrice, Fees, Quote, Status, Ticker

_QUOTED = {
    "quote": "the exchange's quote",
    "ticker": "read from its ticker",
    "orderbook": "read from its order book",
}


def direction(change: float | None) -> str:
    """Return the style of a price change: up, down or neither."""
    return PLAIN if not change else UP if change > 0 else DOWN


def arrow(change: float | None) -> str:
    """Return the arrow of a price change: up, down or neither."""
    return " " if not change else "▲" if change > 0 else "▼"


def ticker(record: Ticker, now: datetime) -> Page:
    """Show a ticker as a card."""
    base, _, quote = record.pair.partition("/")
    change = record.percentage if record.percentage is not None else record.change
    step = ticker_places(record)
    price: Line = [(fixed(record.last, step), STRONG), (f" {quote}", FAINT)]
    if record.percentage is not None:
        said = f"   {arrow(change)} {percent(record.percentage)}"
        price.append((said, direction(change)))
    if record.change is not None:
        price.append((f"  {signed(record.change, step)}", direction(change)))
    left = [
        ("bid", _level(record.bid, step, _size(record, record.bid_volume)), UP),
        ("ask", _level(record.ask, step, _size(record, record.ask_volume)), DOWN),
        ("spread", _spread(record.bid, record.ask, step), PLAIN),
        ("average", rounded(record.average, step), PLAIN),
        ("vwap", rounded(record.vwap, step), PLAIN),
    ]
    right = [
        ("open", fixed(record.open, step), PLAIN),
        ("high", fixed(record.high, step), PLAIN),
        ("low", fixed(record.low, step), PLAIN),
        ("previous close", fixed(record.previous_close, step), PLAIN),
        ("trades", digits(record.trades), PLAIN),
    ]
    base_volume: list[Entry] = [(f"{base} volume", _size(record, record.base_volume), PLAIN)]
    quote_volume: list[Entry] = [(f"{quote} volume", rounded(record.quote_volume, step), PLAIN)]
    window = "trading day" if record.window == "day" else record.window
    source = "worked out from candles" if record.source == "candles" else "the exchange's ticker"
    if "bid" in (record.derived_fields or ()) and record.last is not None:
        source += ", bid and ask from its book"
    body: list[Line | Track | Facts] = [
        price,
        *_range(record, step),
        [],
        Facts(left, right),
        [],
        Facts(base_volume, quote_volume),
    ]
    return [
        Card(heading(record.pair, record.exchange, record.simulated), [(window, PLAIN)], body),
        freshness([record], now, source),
    ]


def ticker_places(record: Ticker) -> int:
    """Count the decimal places of a ticker's prices, leaving out averages."""
    prices = (record.last, record.bid, record.ask, record.open, record.high, record.low)
    return price_places([record], prices)


def quote(record: Quote, now: datetime) -> Page:
    """Show the best bid and ask as a card."""
    base, _, counter = record.pair.partition("/")
    step = price_places([record], [record.bid, record.ask])
    left = [
        ("bid", fixed(record.bid, step), UP),
        ("size", f"{_size(record, record.bid_volume)} {base}", PLAIN),
        ("spread", _spread(record.bid, record.ask, step), PLAIN),
    ]
    right = [
        ("ask", fixed(record.ask, step), DOWN),
        ("size", f"{_size(record, record.ask_volume)} {base}", PLAIN),
        ("mid", fixed(record.mid, step + 1), PLAIN),
    ]
    title = heading(record.pair, record.exchange, record.simulated)
    return [
        Card(title, [(f"prices in {counter}", FAINT)], [Facts(left, right)]),
        freshness([record], now, _QUOTED[record.source]),
    ]


def status(record: Status, now: datetime) -> Page:
    """Show as a card whether an exchange can be reached."""
    state: Line = [("● reachable", UP)] if record.reachable else [("● not reachable", DOWN)]
    if record.code:
        state.append((f"  {record.code}", DOWN))
    if record.maintenance:
        state.append(("  in maintenance", WARNING))
    latency = ABSENT if record.latency_ms is None else f"{record.latency_ms:,.1f} ms"
    offset = ABSENT if record.clock_offset_ms is None else f"{record.clock_offset_ms:+,.1f} ms"
    left = [("latency", latency, PLAIN)]
    right = [("clock offset", offset, PLAIN)]
    if record.server_time is not None:
        left.append(("server time", clock(record.server_time), PLAIN))
    source = "from another call's response" if record.derived else ""
    return [
        Card(heading("", record.exchange, record.simulated), [], [state, [], Facts(left, right)]),
        freshness([record], now, source),
    ]


def average(record: AveragePrice, now: datetime) -> Page:
    """Show an average price as a card."""
    base, _, quote = record.pair.partition("/")
    left = [("average", f"{average_price(record)} {quote}", STRONG)]
    volume = ABSENT if record.volume is None else f"{_size(record, record.volume)} {base}"
    right = [("volume", volume, PLAIN), ("trades", digits(record.trades), PLAIN)]
    title = heading(record.pair, record.exchange, record.simulated)
    source = {"exchange": "its own", "trades": "of trades", "candles": "of candles"}[record.source]
    return [
        Card(title, [(record.window, PLAIN)], [Facts(left, right)]),
        freshness([record], now, source),
    ]


def average_price(record: AveragePrice) -> str:
    """Write an average with the decimal places of the pair's tick, or with six digits."""
    step = ticks.known(record.exchange, record.pair).price
    return worked_out(record.price) if step is None else rounded(record.price, step)


def fees(record: Fees, now: datetime) -> Page:
    """Show the fees of a pair as a card, with the fee tiers below it."""
    whose = "of the account" if record.source == "account" else "public schedule"
    facts = Facts(
        [("maker", fraction(record.maker), PLAIN)], [("taker", fraction(record.taker), PLAIN)]
    )
    tiers = record.tiers or ()
    columns = [
        Column("from volume", [digits(tier.volume) for tier in tiers]),
        Column("maker", [fraction(tier.maker) for tier in tiers]),
        Column("taker", [fraction(tier.taker) for tier in tiers]),
    ]
    title = heading(record.pair, record.exchange, record.simulated)
    return [
        Card(title, [(whose, PLAIN)], [facts]),
        *([Table(columns)] if tiers else []),
        freshness([record], now),
    ]


def _level(price: float | None, step: int, size: str) -> str:
    text = fixed(price, step)
    return text if price is None or size == ABSENT else f"{text} × {size}"


def _size(record: OfPair, amount: float | None) -> str:
    return fixed(amount, amount_places([record], [amount]))


def _spread(bid: float | None, ask: float | None, step: int) -> str:
    if bid is None or ask is None:
        return ABSENT
    share = f" ({(ask - bid) / ask:.4%})" if ask > 0 else ""
    return fixed(ask - bid, step) + share


def _range(record: Ticker, step: int) -> list[Track]:
    """Show the last price on a line from low to high."""
    low, high, last = record.low, record.high, record.last
    if low is None or high is None or last is None or high <= low:
        return []
    share = max(0.0, min(float((last - low) / (high - low)), 1.0))
    return [Track(fixed(low, step), fixed(high, step), share)]
