"""The records that operations return: frozen, typed, camelCase in JSON.

A value that the exchange did not give is None here and absent in JSON. Times are aware UTC
datetimes here and ISO-8601 with ``Z`` in JSON. Prices and sizes are floats that round-trip up to
15 significant digits; from a client made with ``numbers="decimal"`` they are Decimals, and text in
JSON. ``timestamp`` is the exchange's time, or ours where it sent none;
``received_at`` is ours, when the answer was read. ``simulated`` is True on everything that came
from the simulated exchange and None otherwise.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from marketdata import _above
from marketdata.errors import InvalidParameterError
from marketdata.models import frames
from marketdata.models.columns import Columns
from marketdata.models.decimals import (
    EXACT,
    LevelsOfEitherForm,
    Number,
    as_given,
    decimal_or_nan,
    difference,
    exact,
    mean,
    plain_json,
    quotient,
    total,
)
from marketdata.models.shown import Shown
from marketdata.number_form import Numbers

if TYPE_CHECKING:
    from array import array

    import pandas
    import polars
    import pyarrow
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from marketdata._charts.chart import Chart

__all__ = [
    "AveragePrice",
    "Candle",
    "Candles",
    "Columns",
    "Exchange",
    "FeeTier",
    "Fees",
    "Fill",
    "Interval",
    "Level",
    "Number",
    "OrderBook",
    "Pair",
    "Quote",
    "Record",
    "Recorded",
    "Side",
    "Status",
    "Stream",
    "StreamKind",
    "Ticker",
    "Trade",
    "Upstream",
]

Side: TypeAlias = Literal["buy", "sell"]
StreamKind: TypeAlias = Literal["ticker", "quote", "orderbook", "trades", "candles"]
Level: TypeAlias = tuple[Number, Number]
"""Price and size."""
Backend: TypeAlias = Literal["matplotlib", "plotly"]
Means: TypeAlias = "int | Sequence[int]"
"""Numbers of candles that moving averages are taken over."""
Cause: TypeAlias = Literal["no_trades", "outage", "not_served", "not_fetched"]
"""Why candles are missing: nobody traded this pair; nothing traded anywhere on the exchange; the
exchange does not serve candles of that time; they could not be requested or failed the checks."""


class Record(Shown, BaseModel):
    """Base of all records."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        defer_build=True,
    )

    if not TYPE_CHECKING:

        def __class_getitem__(cls, _form):
            return cls

    @classmethod
    def trusted(cls, fields: dict[str, Any]) -> Self:
        """Make a record of fields that are right already, all of them; nothing is checked.

        Checking a book of a thousand levels takes longer than applying fifty changes to it, and
        checking a ticker a fifth of the time of the call.
        """
        made = cls.__new__(cls)
        _set(made, "__dict__", fields)
        _set_field_names(made, _field_names(cls))
        _set_extra(made, None)
        _set_private(made, None)
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values: camelCase keys, nothing null, times as text."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_json(self) -> str:
        """Return the record as one line of JSON, numbers without exponents; see `to_dict`."""
        return plain_json(self.model_dump_json(by_alias=True, exclude_none=True))

    def __repr__(self) -> str:
        return _above.briefly().one(self)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema that `to_dict` satisfies."""
        schema: dict[str, Any] = absent_not_null(cls.model_json_schema(mode="serialization"))
        return schema


_set = object.__setattr__
# Half the time of setting these by their names.
_set_field_names, _set_extra, _set_private = (
    vars(BaseModel)[name].__set__
    for name in ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


@functools.cache
def _field_names(record: type[Record]) -> set[str]:
    return set(record.model_fields)


def absent_not_null(schema: Any) -> Any:
    """Bring a schema of pydantic's to what is really sent: absent keys, no nulls, no titles."""
    match schema:
        case {"anyOf": [*choices], **rest} if {"type": "null"} in choices:
            kept = [choice for choice in choices if choice != {"type": "null"}]
            inner = kept[0] if len(kept) == 1 else {"anyOf": kept}
            return absent_not_null({**rest, **inner})
        case {"properties": dict(properties), **rest}:
            return {
                **absent_not_null(rest),
                "properties": {name: absent_not_null(one) for name, one in properties.items()},
            }
        case dict():
            return {
                key: absent_not_null(value)
                for key, value in schema.items()
                if not (key == "title" or (key == "default" and value is None))
            }
        case list():
            return [absent_not_null(one) for one in schema]
    return schema


class _Sourced(Record):
    """Where and when an answer comes from."""

    exchange: str
    timestamp: datetime
    received_at: datetime
    simulated: Literal[True] | None = None


R = TypeVar("R", bound=Record)

_RECEIVED = "_received"
"""Beside a record's fields: when a stream received it, by the monotonic clock."""


class _Streamed(_Sourced):
    """An answer that may also come from a stream."""

    fresh_for: float | None = None
    """Seconds after `received_at` within which the stream should send the next update; None if it
    is not from a stream, or if updates come only when something changes."""
    stale: Literal[True] | None = None
    """True if the stream was interrupted when this was returned; it reconnects meanwhile."""

    @property
    def age(self) -> float:
        """Seconds since it was received.

        Records from a stream of this process use the monotonic clock, others the time of day.
        """
        held = self.__dict__.get(_RECEIVED)
        if held is not None:
            return time.monotonic() - float(held)
        return (datetime.now(UTC) - self.received_at).total_seconds()

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        # Another process has another monotonic clock.
        state["__dict__"] = {k: v for k, v in state["__dict__"].items() if k != _RECEIVED}
        return state

    @property
    def is_stale(self) -> bool:
        """Whether its stream was interrupted, or has been silent for too long."""
        return self.stale is True or (self.fresh_for is not None and self.age > self.fresh_for)


def stamped(record: R, at: float) -> R:
    """Note when a stream of this process received a record, by the monotonic clock."""
    record.__dict__[_RECEIVED] = at
    return record


class _Derivable(Record):
    """A record that may be computed in part, or as a whole, from other calls."""

    derived: Literal[True] | None = None
    """True if any of it was."""
    derived_fields: tuple[str, ...] | None = None
    """Which fields, by their JSON names; None unless ``derived``."""

    def as_derived(self, names: Iterable[str] | None = None) -> Self:
        """Return a copy that says of fields that they are derived; of all that are there, for None.

        ``names`` are those in Python.
        """
        if names is None:
            names = [
                name
                for name in type(self).model_fields
                if name not in _ORIGIN and getattr(self, name) is not None
            ]
        fields = dict.fromkeys([*(self.derived_fields or ()), *map(to_camel, names)])
        return self.model_copy(update={"derived": True, "derived_fields": tuple(fields)})


_ORIGIN = {
    *("exchange", "pair", "window", "source", "timestamp", "received_at", "simulated"),
    *("open_time", "fresh_for", "stale", "derived", "derived_fields"),
}
"""Fields that say what an answer is about and where it is from."""


class Exchange(Record):
    """A spot exchange and what it supports."""

    id: str
    name: str
    operations: tuple[str, ...]
    """Operations that it supports."""
    derived: tuple[str, ...] = ()
    """Those that are computed from other calls, because the exchange has no call for them."""
    needs_key: tuple[str, ...] = ()
    """Those that need the API key of an account."""
    unavailable: dict[str, str] | None = None
    """Why the other operations are not available."""
    timeframes: tuple[str, ...]
    """Its own timeframes; none if ``derived`` has candles."""
    derived_timeframes: tuple[str, ...] = ()
    """Other common timeframes, resampled from shorter candles or from trades."""
    depths: tuple[int, ...] | None = None
    """The only depths that its order-book call takes; None for any. `orderbook` takes any depth."""
    max_depth: int | None = None
    """Maximum number of levels a side; None if unknown, or if ``depths`` lists them."""
    candles_per_request: int | None = None
    """Maximum number of candles in one response; None if unknown, or if it has no candles."""
    history: bool
    """Whether candles can be requested from a start time on."""
    history_bars: int | None = None
    """It serves only this many of the newest candles; None: all that it keeps."""
    trades_from: tuple[Literal["time", "id"], ...] = ()
    """How older trades can be requested; empty if it serves only the newest."""
    streams: tuple[str, ...]
    """Kinds of live data that ccxt supports and that need no key."""
    stream_timeframes: tuple[str, ...] = ()
    """Timeframes of the candles that it streams."""
    rate_limit: float | None = None
    """Milliseconds between two requests of weight 1 that the rate limiter keeps."""
    countries: tuple[str, ...] = ()
    """Where it is based, as ISO 3166 codes. It may refuse users from other places."""


class Pair(Record, Numbers[Number]):
    """A spot pair and its trading rules; sizes are in base, costs in quote currency."""

    exchange: str
    pair: str
    base: str
    quote: str
    price_tick: Number | None = None
    amount_step: Number | None = None
    min_amount: Number | None = None
    max_amount: Number | None = None
    min_cost: Number | None = None
    maker: Number | None = None
    """Public maker fee as a fraction: 0.001 is 0.1%."""
    taker: Number | None = None
    received_at: datetime
    """When the exchange's list was received; lists on disk are used for a day."""
    simulated: Literal[True] | None = None
    halted: Literal[True] | None = None
    """True if the exchange lists the pair but has halted trading."""


class FeeTier(Record, Numbers[Number]):
    """The fees from a traded volume on."""

    volume: Number
    """Traded before, over the time and in the currency that the exchange counts, mostly 30 days
    in USD."""
    maker: Number | None = None
    taker: Number | None = None


class Fees(_Sourced, Numbers[Number]):
    """Trading fees of a pair, as fractions: 0.001 is 0.1%."""

    pair: str
    source: Literal["public", "account"]
    """``public``: the schedule for everybody; ``account``: what applies to the account whose keys
    are configured, from a signed request."""
    maker: Number | None = None
    """None if not published, as for ``taker``."""
    taker: Number | None = None
    tiers: tuple[FeeTier[Number], ...] | None = None
    """The public schedule by volume, lowest first; None if ccxt does not know it, or if its
    schedule does not start with these fees."""


class Ticker(_Derivable, _Streamed, Numbers[Number]):
    """Price and volume over a window: by default the last 24 hours."""

    pair: str
    window: str
    """``24h``, another rolling length, or ``day`` for the trading day from 00:00 UTC."""
    source: Literal["ticker", "candles"]
    """``ticker``: sent by the exchange; ``candles``: computed from its candles."""
    open_time: datetime | None = None
    """When the window starts."""
    last: Number | None = None
    bid: Number | None = None
    ask: Number | None = None
    bid_volume: Number | None = None
    ask_volume: Number | None = None
    open: Number | None = None
    high: Number | None = None
    low: Number | None = None
    close: Number | None = None
    previous_close: Number | None = None
    average: Number | None = None
    """Mean of open and close, or what the exchange itself calls its average."""
    vwap: Number | None = None
    """Volume-weighted average price."""
    base_volume: Number | None = None
    quote_volume: Number | None = None
    change: Number | None = None
    """Close minus open."""
    percentage: Number | None = None
    """Change in percent of open: 0.9 means 0.9%."""
    trades: int | None = None
    """Number of trades in the window."""


class AveragePrice(_Sourced, Numbers[Number]):
    """The average price of a pair over a recent window, weighted by volume."""

    pair: str
    window: str
    """Length of the window: ``5m``, ``1h``."""
    price: Number
    source: Literal["exchange", "trades", "candles"]
    """``exchange``: its own average; ``trades``: of all trades in the window; ``candles``: of the
    typical prices (mean of high, low and close) of candles, weighted by volume."""
    volume: Number | None = None
    """Volume in the window, in base currency; None if the exchange does not report it."""
    trades: int | None = None
    """Number of trades in the window; None if unknown."""


class Quote(_Derivable, _Streamed, Numbers[Number]):
    """Best bid and ask; sizes in base currency."""

    pair: str
    source: Literal["quote", "ticker", "orderbook"]
    """The call of the exchange that it comes from."""
    bid: Number | None = None
    bid_volume: Number | None = None
    ask: Number | None = None
    ask_volume: Number | None = None

    @property
    def spread(self) -> Number | None:
        """Ask minus bid; None if a side is missing."""
        return None if self.bid is None or self.ask is None else difference(self.ask, self.bid)

    @property
    def mid(self) -> Number | None:
        """Mean of bid and ask; None if a side is missing."""
        return None if self.bid is None or self.ask is None else mean(self.ask, self.bid)


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


class Trade(_Streamed, Numbers[Number]):
    """One trade, or with ``aggregate`` the fills of one order at one price."""

    pair: str
    id: str | None = None
    """The exchange's id; of an aggregated trade, the aggregate's."""
    price: Number
    amount: Number
    """In base currency."""
    cost: Number | None = None
    """In quote currency."""
    side: Side | None = None
    """Whether the taker bought or sold."""
    first_id: str | None = None
    """Of an aggregated trade, the first and last trade in it."""
    last_id: str | None = None


class Status(_Derivable, _Sourced):
    """Whether an exchange responds, how fast, and how far its clock differs from ours."""

    reachable: bool
    maintenance: bool | None = None
    """None if the exchange does not say."""
    latency_ms: float | None = None
    """Time until the response, in milliseconds; None without a response."""
    server_time: datetime | None = None
    clock_offset_ms: float | None = None
    """The exchange's clock minus ours, assuming equal times both ways; see ``clock_error_ms``."""
    clock_error_ms: float | None = None
    """Maximum error of ``clock_offset_ms``: half of the latency, plus a second if the exchange
    sends whole seconds; None without an offset."""
    code: str | None = None
    """The error code of a call, if it is not reachable."""
    reason: str | None = None
    """Why it is not reachable: ``details["reason"]`` of that error."""


class Stream(Record):
    """The state of one live subscription."""

    exchange: str
    kind: StreamKind
    pair: str
    timeframe: str | None = None
    state: Literal["connecting", "live", "stale", "resyncing", "reconnecting", "ended", "failed"]
    """``stale``: silent for too long; ``resyncing``: an order book waits for a new snapshot."""
    watchers: int
    messages: int
    """Frames received for this subscription."""
    updates: int
    """Updates in those frames: states of a book or price, trades, candles."""
    dropped: int
    """Updates dropped because watchers read too slowly."""
    gaps: int
    """Detected losses: a missing sequence number, a wrong checksum, a crossed book."""
    unfilled: int = 0
    """Gaps that could not be filled: trades or candles of that time may be missing. Trades without
    sequence numbers have one after each interruption."""
    resyncs: int
    """Snapshots requested to repair gaps."""
    reconnects: int
    unreadable: int
    """Frames on its socket that could not be parsed."""
    last_message: datetime | None = None
    lag_ms: float | None = None
    """Delay of the newest frame, exchange to here; None if it has no time."""
    memory: int
    """Approximate bytes of its state and of updates that watchers have not read yet."""
    error: str | None = None
    """Code of the error that ended it, or of the last one it recovered from."""
    simulated: Literal[True] | None = None


class Upstream(Record):
    """The state of a client's calls to one exchange."""

    exchange: str
    breaker: Literal["closed", "open", "half-open"]
    """``open``: it kept failing and gets no requests; ``half-open``: the next call decides."""
    retry_after: float | None = None
    """Seconds until the next request is allowed; None unless ``open``."""
    under_way: int
    """Calls in flight; calls that share a request count once, as in ``waiting``."""
    waiting: int
    """Calls that wait for the limit of concurrent requests."""
    requests: int
    """Requests sent, retries included."""
    shared: int
    """Calls that shared the response to another call's request."""
    failures: int
    """Requests that failed: no response in time, an unusable one, or HTTP 5xx, 418 or 429."""
    unreadable: int = 0
    """Unusable rows that were dropped from responses, such as trades without a price."""
    budget_used: float | None = None
    """Used share of the exchange's rate limit, over all that share it, from 0 to 1; None if the
    limit has no time window, or for the simulator."""


class Recorded(Record):
    """What a recording holds so far, or at its end."""

    path: str
    frames: int
    """Frames and responses recorded in this run."""
    size: int
    """Bytes of the file, compressed."""
    seconds: float
    streams: tuple[Stream, ...]
    """The state of each subscription."""


class Interval(Record):
    """A time range, start inclusive and end exclusive, and the candles that belong in it."""

    start: datetime
    end: datetime
    bars: int
    cause: Cause | None = None
    """Why candles are missing; None if not determined, as among the newest candles."""


Quality: TypeAlias = Literal["off_calendar", "revised"]
"""``off_calendar``: it opens at an unexpected time; ``revised``: the exchange has changed it since
it was stored."""


class Flag(Record):
    """An unusual candle, and how it is unusual."""

    open_time: datetime
    quality: Quality


class Candle(Record, Numbers[Number]):
    """One candle of `Candles`."""

    open_time: datetime
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number | None = None
    """In base currency."""
    trades: int | None = None
    """Number of trades; None if the exchange does not report it."""
    forming: bool = False
    """Whether the candle is still open by the exchange's clock."""
    filled: bool = False
    """Whether ``fill`` made it: the exchange has no such candle."""
    quality: Literal["off_calendar", "revised", "filled"] | None = None
    """How it is unusual; None for nearly all."""


class Candles(_Derivable, _Streamed, Numbers[Number]):
    """Candles of one pair and timeframe, oldest first, stored as columns.

    Indexing, iterating and ``len`` work on candles; slicing gives `Candles`. ``time``, ``open``,
    ``high``, ``low``, ``close``, ``volume`` and ``trades`` are the arrays of ``columns``. JSON rows
    are ``[openTimeMs, open, high, low, close, volume, trades]``.
    """

    pair: str
    timeframe: str
    source: Literal["candles", "trades"]
    """What the candles were computed from."""
    forming: bool
    """Whether the last candle is still open, by the exchange's clock when it responded."""
    missing: tuple[Interval, ...]
    """Gaps: ranges without candles in the requested range, or between these candles."""
    filled: tuple[Interval, ...] | None = None
    """Gaps that were filled; None without ``fill``."""
    quality: tuple[Flag, ...] | None = None
    """Unusual candles: off the calendar of the series, or revised; None if there are none."""
    clock_offset_ms: int | None = None
    """The exchange's time minus ours, if the two clocks disagree on whether the last candle is
    over; it then counts as open. None otherwise."""
    delisted: Literal[True] | None = None
    """True if the exchange no longer lists the pair: these candles are from the store."""
    renamed_from: str | None = None
    """The pair's former name, if a token was renamed and these include older candles."""
    renamed_at: datetime | None = None
    """When the first candle under the present name opens; None if all are older."""
    start: datetime | None = None
    """Start of the requested range, as it was understood; None if none was requested."""
    end: datetime | None = None
    """End of the requested range, exclusive; None if none was requested."""
    resampled_from: str | None = None
    """Timeframe of the shorter candles that these are resampled from; None for the exchange's own
    candles, or if ``source`` is ``trades``."""
    columns: Columns[Number] = Field(alias="candles")

    @property
    def time(self) -> array[int]:
        """When each candle opens, in Unix milliseconds."""
        return self.columns.time

    @property
    def open(self) -> Sequence[Number]:
        """The first price of each candle."""
        return self.columns.open

    @property
    def high(self) -> Sequence[Number]:
        """The highest price of each candle."""
        return self.columns.high

    @property
    def low(self) -> Sequence[Number]:
        """The lowest price of each candle."""
        return self.columns.low

    @property
    def close(self) -> Sequence[Number]:
        """The last price of each candle."""
        return self.columns.close

    @property
    def volume(self) -> Sequence[Number]:
        """Volume of each candle in base currency; NaN if unknown."""
        return self.columns.volume

    @property
    def trades(self) -> array[int]:
        """Number of trades of each candle; -1 if unknown."""
        return self.columns.trades

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Candle[Number]]:  # type: ignore[override]
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Candle[Number]: ...
    @overload
    def __getitem__(self, index: slice) -> Candles[Number]: ...
    def __getitem__(self, index: int | slice) -> Candle[Number] | Candles[Number]:
        """Return one candle, or the candles of a slice.

        The ends of a slice are positions, or times in any form that `marketdata.candles` takes:
        start inclusive, end exclusive. ``missing`` of a slice has only gaps between its candles.
        """
        if isinstance(index, slice):
            return self._part(index)
        position = range(len(self))[index]
        time, opened, high, low, close, volume, trades = self.columns.row(position)
        opened_at = datetime.fromtimestamp(time / 1000, UTC)
        is_filled = any(gap.start <= opened_at < gap.end for gap in self.filled or ())
        flags = {flag.open_time: flag.quality for flag in self.quality or ()}
        return Candle(
            open_time=opened_at,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=volume,
            trades=trades,
            forming=self.forming and position == len(self) - 1,
            filled=is_filled,
            quality="filled" if is_filled else flags.get(opened_at),
        )

    def _part(self, index: slice) -> Candles[Number]:
        if any(not isinstance(end, int | None) for end in (index.start, index.stop)):
            index = _above.parts().between(self, index.start, index.stop)
        part = self.columns[index]
        if not len(part):
            nothing = {"forming": False, "missing": (), "filled": self.filled and ()}
            return self.model_copy(update={"columns": part, **nothing})
        first, last = (datetime.fromtimestamp(part.time[end] / 1000, UTC) for end in (0, -1))
        filled = self.filled and tuple(
            gap for gap in self.filled if gap.end > first and gap.start <= last
        )
        return self.model_copy(
            update={
                "columns": part,
                "forming": self.forming and part.time[-1] == self.columns.time[-1],
                "missing": tuple(gap for gap in self.missing if first < gap.start < last),
                "filled": filled,
            }
        )

    def head(self, count: int = 5) -> Candles[Number]:
        """Return the first candles; a negative count leaves out that many of the last."""
        return self[:count]

    def tail(self, count: int = 5) -> Candles[Number]:
        """Return the last candles; a negative count leaves out that many of the first."""
        return self[max(len(self) - count, 0) :] if count >= 0 else self[-count:]

    def resample(self, timeframe: str) -> Candles[Number]:
        """Resample to longer candles, as the library does if an exchange lacks a timeframe.

        ``timeframe`` is a multiple of the timeframe of these candles. The first and the last new
        candle are left out unless these candles cover them; the last one is kept, and open, if the
        last of these is open. A gap has the worst cause of its parts. Raises
        `TimeframeNotSupportedError` if it is not a multiple.
        """
        longer: Candles[Number] = _above.parts().resampled(self, timeframe)
        return longer

    def to_pandas(self) -> pandas.DataFrame:
        """Return a DataFrame indexed by open time in UTC; needs the extra 'frames'."""
        return frames.to_pandas(self.columns, self.filled, self.quality)

    def to_polars(self) -> polars.DataFrame:
        """Return a polars DataFrame with a UTC ``time`` column; needs the extra 'frames'."""
        return frames.to_polars(self.columns, self.filled, self.quality)

    def to_arrow(self) -> pyarrow.Table:
        """Return an Arrow table with a UTC ``time`` column; needs the extra 'frames'."""
        return frames.to_arrow(self.columns, self.filled, self.quality)

    @overload
    def plot(
        self,
        *,
        ax: Axes | None = None,
        figsize: tuple[float, float] = (10, 5),
        style: str | Sequence[str] | None = None,
        mav: Means | None = None,
        volume: bool = True,
        log: bool = False,
        backend: Literal["matplotlib"] = "matplotlib",
    ) -> Figure: ...
    @overload
    def plot(
        self,
        *,
        style: str | None = None,
        mav: Means | None = None,
        volume: bool = True,
        log: bool = False,
        backend: Literal["plotly"],
    ) -> Any: ...
    def plot(
        self,
        *,
        ax: Axes | None = None,
        figsize: tuple[float, float] = (10, 5),
        style: str | Sequence[str] | None = None,
        mav: Means | None = None,
        volume: bool = True,
        log: bool = False,
        backend: Backend = "matplotlib",
    ) -> Any:
        """Draw candlesticks and volume as a picture; gaps are grey, the open candle is hollow.

        If there are more candles than fit the picture, several are drawn as one.

        Parameters:
            ax: Axes to draw the prices in, without volume; None makes a figure.
            figsize: Width and height of the figure in inches.
            style: A style of matplotlib, such as ``dark_background``; None takes the current
                one. Of plotly, a template, such as ``plotly_dark``.
            mav: Numbers of candles, to draw the mean of so many closing prices.
            volume: Whether to draw volume below the prices.
            log: Whether prices have a logarithmic scale.
            backend: ``matplotlib``, of the extra 'frames', or ``plotly``, of 'notebook'.

        Returns a `Figure` of matplotlib, or of plotly. Raises `MissingExtraError` where the
        library is not installed, `InvalidParameterError` for a style that it does not have.
        """
        return _above.plot(
            self,
            ax=ax,
            figsize=figsize,
            style=style,
            mav=mav,
            volume=volume,
            log=log,
            backend=backend,
        )

    def chart(self, *others: Candles) -> Chart:
        """Draw an interactive chart for a notebook, a file or a browser.

        It shows candles with volume, gaps in grey with their cause, and the open candle hollow.
        With `others` of the same timeframe, it shows closing prices as lines, rebased to 100 at the
        first time that all share. Above 20,000 candles, several are drawn as one.

        Raises `InvalidParameterError` for different timeframes, and `DataUnavailableError` if the
        package was installed without the chart page.
        """
        return _above.charts().of_candles(self, others)
