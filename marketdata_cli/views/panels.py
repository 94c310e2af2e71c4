"""Pages about one thing: a ticker, a quote, the status of an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketdata_cli.views.layout import (
    DOWN,
    FAINT,
    LABEL,
    PLAIN,
    STRONG,
    UP,
    WARNING,
    Column,
    Line,
    Screen,
    box,
    length,
    padded,
    table,
)
from marketdata_cli.views.numbers import (
    ABSENT,
    clock,
    digits,
    fixed,
    fraction,
    percent,
    places,
    signed,
)
from marketdata_cli.views.origin import freshness, heading

if TYPE_CHECKING:
    from marketdata.models import AveragePrice, Fees, Quote, Status, Ticker

WIDEST = 84

Entry = tuple[str, str, str]
"""Label, value, style."""


_QUOTED = {
    "quote": "the exchange's quote",
    "ticker": "read from its ticker",
    "orderbook": "read from its order book",
}


def direction(change: float | None) -> str:
    """Give the style of a change."""
    return PLAIN if not change else UP if change > 0 else DOWN


def arrow(change: float | None) -> str:
    """Give the sign of a change."""
    return " " if not change else "▲" if change > 0 else "▼"


def ticker(record: Ticker, screen: Screen) -> list[Line]:
    """Draw a ticker as a panel."""
    width = min(screen.width, WIDEST)
    base, _, quote = record.pair.partition("/")
    change = record.percentage if record.percentage is not None else record.change
    prices = (record.last, record.bid, record.ask, record.open, record.high, record.low)
    step = places(prices)
    price: Line = [(fixed(record.last, step), STRONG), (f" {quote}", FAINT)]
    if record.percentage is not None:
        said = f"   {arrow(change)} {percent(record.percentage)}"
        price.append((said, direction(change)))
    if record.change is not None:
        price.append((f"  {signed(record.change)}", direction(change)))
    left = [
        ("bid", _level(record.bid, record.bid_volume, step), UP),
        ("ask", _level(record.ask, record.ask_volume, step), DOWN),
        ("spread", _spread(record.bid, record.ask, step), PLAIN),
        ("average", digits(record.average), PLAIN),
        ("vwap", digits(record.vwap), PLAIN),
    ]
    right = [
        ("open", fixed(record.open, step), PLAIN),
        ("high", fixed(record.high, step), PLAIN),
        ("low", fixed(record.low, step), PLAIN),
        ("previous close", fixed(record.previous_close, step), PLAIN),
        ("trades", digits(record.trades), PLAIN),
    ]
    volume = [
        (f"{base} volume", digits(record.base_volume), PLAIN),
        (f"{quote} volume", digits(record.quote_volume), PLAIN),
    ]
    body = [price, *_range(record, step, width - 4), [], *in_columns(left, right, width - 4)]
    body += [[], *in_columns(volume[:1], volume[1:], width - 4)]
    window = "trading day" if record.window == "day" else record.window
    source = "worked out from candles" if record.source == "candles" else "the exchange's ticker"
    if "bid" in (record.derived_fields or ()) and record.last is not None:
        source += ", bid and ask from its book"
    return [
        *box(
            heading(record.pair, record.exchange, record.simulated), [(window, PLAIN)], body, width
        ),
        [(" ", PLAIN), *freshness([record], screen.now, source)],
    ]


def quote(record: Quote, screen: Screen) -> list[Line]:
    """Draw the best bid and ask as a panel."""
    width = min(screen.width, WIDEST)
    base, _, counter = record.pair.partition("/")
    step = places([record.bid, record.ask])
    left = [
        ("bid", fixed(record.bid, step), UP),
        ("size", f"{digits(record.bid_volume)} {base}", PLAIN),
        ("spread", _spread(record.bid, record.ask, step), PLAIN),
    ]
    right = [
        ("ask", fixed(record.ask, step), DOWN),
        ("size", f"{digits(record.ask_volume)} {base}", PLAIN),
        ("mid", fixed(record.mid, step + 1), PLAIN),
    ]
    title = heading(record.pair, record.exchange, record.simulated)
    return [
        *box(title, [(f"prices in {counter}", FAINT)], in_columns(left, right, width - 4), width),
        [(" ", PLAIN), *freshness([record], screen.now, _QUOTED[record.source])],
    ]


def status(record: Status, screen: Screen) -> list[Line]:
    """Draw whether an exchange can be reached as a panel."""
    width = min(screen.width, WIDEST)
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
    title = heading("", record.exchange, record.simulated)
    body = [state, [], *in_columns(left, right, width - 4)]
    source = "told by another call's answer" if record.derived else ""
    return [*box(title, [], body, width), [(" ", PLAIN), *freshness([record], screen.now, source)]]


def average(record: AveragePrice, screen: Screen) -> list[Line]:
    """Draw an average price as a panel."""
    width = min(screen.width, WIDEST)
    left = [("average", digits(record.price), STRONG)]
    right = [("volume", digits(record.volume), PLAIN), ("trades", digits(record.trades), PLAIN)]
    title = heading(record.pair, record.exchange, record.simulated)
    body = in_columns(left, right, width - 4)
    source = {"exchange": "its own", "trades": "of trades", "candles": "of candles"}[record.source]
    return [
        *box(title, [(record.window, PLAIN)], body, width),
        [(" ", PLAIN), *freshness([record], screen.now, source)],
    ]


def fees(record: Fees, screen: Screen) -> list[Line]:
    """Draw the fees of a pair as a panel, and the tiers below."""
    width = min(screen.width, WIDEST)
    whose = "of the account" if record.source == "account" else "public schedule"
    left = [("maker", fraction(record.maker), PLAIN)]
    right = [("taker", fraction(record.taker), PLAIN)]
    tiers = record.tiers or ()
    columns = [
        Column("from volume", [digits(tier.volume) for tier in tiers]),
        Column("maker", [fraction(tier.maker) for tier in tiers]),
        Column("taker", [fraction(tier.taker) for tier in tiers]),
    ]
    title = heading(record.pair, record.exchange, record.simulated)
    return [
        *box(title, [(whose, PLAIN)], in_columns(left, right, width - 4), width),
        *(table(columns, screen.width) if tiers else []),
        [(" ", PLAIN), *freshness([record], screen.now)],
    ]


def _level(price: float | None, size: float | None, step: int) -> str:
    text = fixed(price, step)
    return text if price is None or size is None else f"{text} × {digits(size)}"


def _spread(bid: float | None, ask: float | None, step: int) -> str:
    if bid is None or ask is None:
        return ABSENT
    share = f" ({(ask - bid) / ask:.4%})" if ask > 0 else ""
    return fixed(ask - bid, step) + share


def _range(record: Ticker, step: int, width: int) -> list[Line]:
    """Draw where the last price stands between low and high."""
    if record.low is None or record.high is None or record.last is None:
        return []
    low, high = fixed(record.low, step), fixed(record.high, step)
    track = width - len(low) - len(high) - 2
    if track < 8 or record.high <= record.low:
        return []
    share = (record.last - record.low) / (record.high - record.low)
    position = round(max(0.0, min(share, 1.0)) * (track - 1))
    return [
        [
            (f"{low} ", FAINT),
            ("━" * position, LABEL),
            ("●", STRONG),
            ("━" * (track - 1 - position), FAINT),
            (f" {high}", FAINT),
        ]
    ]


def in_columns(left: list[Entry], right: list[Entry], width: int) -> list[Line]:
    """Set labelled values in two columns, or in one where the terminal is narrow."""
    left = [entry for entry in left if entry[1] != ABSENT]
    right = [entry for entry in right if entry[1] != ABSENT]
    half = (width - 3) // 2
    if any(len(label) + len(value) + 2 > half for label, value, _ in left + right):
        return [_entry(entry, width) for entry in left + right]
    lines = []
    for row in range(max(len(left), len(right))):
        line = _entry(left[row], half) if row < len(left) else [(" " * half, PLAIN)]
        if row < len(right):
            line += [("   ", PLAIN), *_entry(right[row], width - half - 3)]
        lines.append(line)
    return lines


def _entry(entry: Entry, width: int) -> Line:
    label, value, style = entry
    line: Line = [(label, LABEL)]
    line.append((padded(value, width - length(line), right=True), style))
    return line
