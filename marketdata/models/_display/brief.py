"""A record, or a list of records, in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from marketdata.models._display.cards import average_price, ticker_places
from marketdata.models._display.numbers import (
    OfPair,
    amount_places,
    counted,
    digits,
    duration,
    fixed,
    fraction,
    moments,
    percent,
    places,
    price_places,
    rounded,
    size,
    span,
)
from marketdata.models._display.several import cost_places
from marketdata.models.decimals import as_number

if TYPE_CHECKING:
    from marketdata.models import (
        AveragePrice,
        Candle,
        Candles,
        Exchange,
        Fees,
        Interval,
        OrderBook,
        Pair,
        Quote,
        Record,
        Recorded,
        Status,
        Stream,
        Ticker,
        Trade,
        Upstream,
    )
    from marketdata.models.aggregates import (
        BookSource,
        Comparison,
        ComparisonRow,
        ConsolidatedOrderBook,
        ExecutionCost,
    )
    from marketdata.models.lists import Records
    from marketdata.models.stored import Downloaded, Plan, Series

_LONGEST = 120


def one(record: Record) -> str:
    """Write a record in one line: ``Ticker(BTC/USDT binance 61,561.92 +0.27% 0.8 s ago)``."""
    kind = type(record).__name__
    parts = _WORDS[kind](record) if kind in _WORDS else _fields(record)
    if getattr(record, "simulated", None):
        parts = [*parts, "simulated"]
    return f"{kind}({_fitted(parts, _LONGEST - len(kind) - 2)})"


def several(records: Records[Any], kind: str) -> str:
    """Write a list of records in one line: the number, the type, and the first records."""
    said = f"{kind}({_count(records)}"
    for index, record in enumerate(records):
        more = f"{': ' if not index else ', '}{record!r}"
        if len(said) + len(more) > _LONGEST - len(", …)"):
            return f"{said}, …)" if index else f"{said})"
        said += more
    return f"{said})"


def _count(records: Records[Any]) -> str:
    kinds: set[type[Any] | None] = {type(record) for record in records} or {records.of}
    missing = len(records.errors)
    name = getattr(kinds.pop(), "__name__", "") if len(kinds) == 1 else ""
    count = f"{len(records):,} {name}".strip()
    return f"{count}, {missing:,} missing" if missing else count


def _fitted(parts: Sequence[str], room: int) -> str:
    """Join the parts and shorten them: names from exchanges can be long or have line breaks."""
    text = " ".join(" ".join(part.split()) for part in parts if part)
    text = "".join(sign if sign.isprintable() else "�" for sign in text)
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _ago(record: Any) -> str:
    seconds = max(float(record.age), 0.0)
    mark = "stale, " if record.is_stale else ""
    return f"{mark}{_time(seconds)} ago"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def _since(moment: datetime) -> str:
    return f"{_time(max((datetime.now(UTC) - moment).total_seconds(), 0.0))} ago"


def _both(of: Sequence[OfPair], bid: float | None, ask: float | None) -> str:
    step = price_places(of, [bid, ask])
    return f"{fixed(bid, step)} / {fixed(ask, step)}"


def _failed(code: str | None) -> list[str]:
    return [code] if code else []


def _ticker(record: Ticker) -> list[str]:
    change = "" if record.percentage is None else percent(record.percentage)
    last = fixed(record.last, ticker_places(record))
    return [record.pair, record.exchange, last, change, _ago(record)]


def _average(record: AveragePrice) -> list[str]:
    return [record.pair, record.exchange, average_price(record), f"over {record.window}"]


def _quote(record: Quote) -> list[str]:
    return [record.pair, record.exchange, _both([record], record.bid, record.ask), _ago(record)]


def _orderbook(record: OrderBook) -> list[str]:
    best = [level[0] if level else None for level in (record.best_bid, record.best_ask)]
    depth = f"{len(record.bids)} bids, {len(record.asks)} asks"
    return [record.pair, record.exchange, f"{_both([record], *best)},", f"{depth},", _ago(record)]


def _trade(record: Trade) -> list[str]:
    amount = fixed(record.amount, amount_places([record], [record.amount]))
    price = fixed(record.price, price_places([record], [record.price]))
    what = f"{record.side or 'traded'} {amount} at {price}"
    return [record.pair, record.exchange, what, f"{moments([record.timestamp])[0]} UTC"]


def _candles(record: Candles) -> list[str]:
    named = [record.pair, record.exchange, record.timeframe, counted(len(record), "candle")]
    if len(record):
        named.append(span(record[0].open_time, record[-1].open_time))
    missing = sum(gap.bars for gap in record.missing)
    return [*named, *([f"{missing:,} missing"] if missing else []), _ago(record)]


def _candle(record: Candle) -> list[str]:
    values = (record.open, record.high, record.low, record.close)
    step = places(values)
    prices = [f"{name} {fixed(value, step)}" for name, value in zip("OHLC", values, strict=True)]
    marks = ["open"] if record.forming else ["filled"] if record.filled else []
    return [f"{moments([record.open_time])[0]} UTC", *prices, f"V {digits(record.volume)}", *marks]


def _comparison(record: Comparison) -> list[str]:
    answered = sum(row.code is None for row in record.rows)
    said = [record.pair, f"{answered} of {counted(len(record.rows), 'exchange')}"]
    if record.best_bid is not None and record.best_ask is not None:
        best = _both(record.rows, record.best_bid.price, record.best_ask.price)
        said.append(f"{best} on {record.best_bid.exchange} / {record.best_ask.exchange}")
    return [*said, *(["crossed"] if record.crossed else []), _since(record.received_at)]


def _row(record: ComparisonRow) -> list[str]:
    said = [] if record.code else [_both([record], record.bid, record.ask)]
    return [record.pair, record.exchange, *said, *_failed(record.code)]


def _consolidated(record: ConsolidatedOrderBook) -> list[str]:
    best = [level[0] if level else None for level in (record.best_bid, record.best_ask)]
    there = sum(not one.is_missing for one in record.sources)
    books = f"{there} of {counted(len(record.sources), 'order book')}"
    crossed = ["crossed"] if record.crossed else []
    return [
        record.pair,
        books,
        _both(record.sources, *best),
        *crossed,
        _since(record.received_at),
    ]


def _source(record: BookSource) -> list[str]:
    age = [] if record.age is None else [f"{_time(record.age)} old"]
    return [record.pair, record.exchange, *age, *_failed(record.code)]


def _execution(record: ExecutionCost) -> list[str]:
    base, _, quote = record.pair.partition("/")
    step = cost_places(record)
    what = f"{record.side} {digits(record.amount)} {base} at {rounded(record.average_price, step)}"
    cost = f"for {rounded(record.cost, 2)} {quote}"
    return [record.pair, what, cost, f"on {counted(len(record.splits), 'exchange')}"]


def _status(record: Status) -> list[str]:
    state = "reachable" if record.reachable else "not reachable"
    latency = [] if record.latency_ms is None else [f"{record.latency_ms:,.0f} ms"]
    return [record.exchange, state, *_failed(record.code), *latency]


def _fees(record: Fees) -> list[str]:
    both = [f"maker {fraction(record.maker)}", f"taker {fraction(record.taker)}"]
    return [record.pair, record.exchange, *both, f"({record.source})"]


def _exchange(record: Exchange) -> list[str]:
    return [record.id, counted(len(record.operations), "operation")]


def _pair(record: Pair) -> list[str]:
    tick = [] if record.price_tick is None else [f"tick {digits(record.price_tick)}"]
    return [record.pair, record.exchange, *tick, *(["halted"] if record.halted else [])]


def _stream(record: Stream) -> list[str]:
    what = f"{record.timeframe or ''} {record.kind}".strip()
    gaps = [counted(record.gaps, "gap")] if record.gaps else []
    messages = counted(record.messages, "message")
    return [record.pair, record.exchange, what, record.state, messages, *gaps, record.error or ""]


def _upstream(record: Upstream) -> list[str]:
    asked = f"{counted(record.requests, 'request')}, {counted(record.failures, 'failure')}"
    return [record.exchange, f"breaker {record.breaker},", asked]


def _recorded(record: Recorded) -> list[str]:
    held = f"{counted(record.frames, 'frame')}, {size(record.size)}"
    simulated = ["simulated"] if any(one.simulated for one in record.streams) else []
    return [held, f"in {duration(record.seconds)},", record.path, *simulated]


def _interval(record: Interval) -> list[str]:
    cause = (record.cause or "").replace("_", " ")
    return [span(record.start, record.end), counted(record.bars, "candle"), cause]


def _series(record: Series) -> list[str]:
    named = [record.pair, record.exchange, record.timeframe, counted(record.bars, "candle")]
    missing = [f"{record.missing:,} missing"] if record.missing else []
    return [*named, *missing, span(record.start, record.end), size(record.size)]


def _downloaded(record: Downloaded) -> list[str]:
    named = [record.pair, record.exchange, record.timeframe, counted(record.bars, "candle")]
    holes = sum(gap.bars for gap in record.holes)
    missing = [f"{holes:,} missing"] if holes else []
    failed = _failed(str(record.error["code"])) if record.error else []
    return [*named, f"({record.fetched:,} new)", *missing, *failed, f"in {_time(record.seconds)}"]


def _plan(record: Plan) -> list[str]:
    wanted = f"{counted(record.wanted, 'candle')} in {counted(record.requests, 'request')}"
    named = [record.pair, record.exchange, record.timeframe]
    return [*named, wanted, f"at least {duration(record.seconds)}"]


def _fields(record: Record) -> list[str]:
    """Write the fields of a record type that has no function of its own here."""
    return [", ".join(_known(record))]


def _known(record: Record) -> Iterator[str]:
    for name in type(record).model_fields:
        value = getattr(record, name)
        if value is not None and name != "simulated":
            yield f"{name}={_value(value)}"


def _value(value: Any) -> str:
    match value:
        case bool():
            return str(value)
        case int() | float():
            return digits(value)
        case Decimal():
            return digits(as_number(value))
        case datetime():
            return f"{moments([value])[0]} UTC"
        case date():
            return f"{value:%Y-%m-%d}"
        case tuple() | list() | dict():
            return f"({len(value)})"
    return str(value)


_WORDS: dict[str, Callable[[Any], list[str]]] = {
    "AveragePrice": _average,
    "BookSource": _source,
    "Candle": _candle,
    "Candles": _candles,
    "Comparison": _comparison,
    "ComparisonRow": _row,
    "ConsolidatedOrderBook": _consolidated,
    "Downloaded": _downloaded,
    "Exchange": _exchange,
    "ExecutionCost": _execution,
    "Fees": _fees,
    "Interval": _interval,
    "OrderBook": _orderbook,
    "Pair": _pair,
    "Plan": _plan,
    "Quote": _quote,
    "Recorded": _recorded,
    "Series": _series,
    "Status": _status,
    "Stream": _stream,
    "Ticker": _ticker,
    "Trade": _trade,
    "Upstream": _upstream,
}
