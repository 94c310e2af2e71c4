"""The arguments of the operations: each described, bounded and parsed here, once.

They are annotated types. A signature says ``depth: Depth``; the library checks the bounds
(`checked`), the shell makes its help from them and the MCP server its schemas.

Nothing here imports pydantic before a call is checked, so that ``marketdata --help`` stays fast:
bounds are ``annotated_types`` (which pydantic reads) and descriptions are `Described`, which
hands itself to pydantic when asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeAlias

from annotated_types import Ge, Gt, Le, MinLen

from marketdata._arguments.calls import Reader
from marketdata._arguments.checking import (
    arguments_of,
    checked,
    one_of,
    parse_arguments,
    second_names,
)
from marketdata._arguments.coins import code_of, divided, part
from marketdata._arguments.described import AnyText, Described, EveryDigit, OneOrSeveral, SameAs
from marketdata._arguments.lengths import (
    TIMEFRAME,
    is_timeframe,
    nearest,
    timeframe,
    window,
    window_length,
)
from marketdata._arguments.names import likely, meant
from marketdata._arguments.pairs import (
    MAX_WATCHED,
    Written,
    one_or_several,
    pair,
    readings,
    written,
)
from marketdata._arguments.saying import refused, was
from marketdata._arguments.texts import listed, whole
from marketdata._arguments.times import (
    Milliseconds,
    instant,
    range_end,
    range_start,
)
from marketdata._arguments.words import choice
from marketdata.errors import InvalidParameterError
from marketdata.exchange_names import WELL_KNOWN, exchange_id

__all__ = [
    "MAX_DEPTH",
    "MAX_TRADES",
    "MAX_WATCHED",
    "TIMEFRAME",
    "Active",
    "Aggregate",
    "Amount",
    "AnyText",
    "BarLimit",
    "BaseCode",
    "Buffer",
    "Delivery",
    "Depth",
    "Described",
    "Destination",
    "DryRun",
    "EachExchange",
    "End",
    "EveryDigit",
    "ExchangeId",
    "ExchangeIds",
    "ExportFormat",
    "Fill",
    "ListDetail",
    "Milliseconds",
    "Moment",
    "OneOrSeveral",
    "OnlyExchanges",
    "OnlyPairs",
    "OnlyTimeframe",
    "OrderSide",
    "PairName",
    "PairNames",
    "PlayedPath",
    "ProgressCallback",
    "QuoteAmount",
    "QuoteCode",
    "QuoteCodes",
    "Reader",
    "RecordingPath",
    "RecordingProgress",
    "Refresh",
    "RefreshLists",
    "SameAs",
    "SameAsExchange",
    "SameAsExchanges",
    "Scheduler",
    "Search",
    "Seconds",
    "Speed",
    "Start",
    "StreamKinds",
    "Strict",
    "Timeframe",
    "TimeframeName",
    "TradeId",
    "TradeLimit",
    "UseStore",
    "WaitFor",
    "WatchedExchanges",
    "WatchedPairs",
    "Window",
    "Written",
    "arguments_of",
    "average_window",
    "checked",
    "code_of",
    "divided",
    "finite",
    "instant",
    "is_timeframe",
    "likely",
    "listed",
    "meant",
    "nearest",
    "one_exchange",
    "one_of",
    "one_or_several",
    "pair",
    "parse_arguments",
    "part",
    "readings",
    "second_names",
    "ticker_field",
    "timeframe",
    "whole",
    "window",
    "window_length",
    "written",
]

MAX_DEPTH = 5_000
MAX_TRADES = 1_000


def one_exchange(text: str) -> str:
    """Convert the name of one exchange to ccxt's id; raises if a text names several."""
    names = re.split(r"\s*(?:[,;|]|\band\b)\s*", text.strip())
    if len(names) > 1 and all(names) and len(text) < 200:
        several = [exchange_id(one) for one in names]
        raise refused("exchange takes one exchange: make one call for each", text, *several)
    return exchange_id(text)


def each_exchange(text: str) -> str:
    """Bring one name of a list of exchanges to ccxt's id; raises for several in one text."""
    names = [exchange_id(one) for one in re.split(r"[\s/]+", text.strip()[:200])]
    if len(names) > 1 and all(one in WELL_KNOWN for one in names):
        raise refused("exchanges is a list", text, ",".join(names))
    return exchange_id(text)


def finite(value: float) -> float:
    """Check that a number is not infinite."""
    if math.isinf(value):
        raise InvalidParameterError(f"A finite number is expected; {was(value)}.")
    return value


def average_window(text: str) -> str:
    """Check the window of an average price: a rolling one of 24 hours at most."""
    cleaned = window(text)
    if cleaned[-1] not in "mh":
        raise refused("window is 1m to 59m or 1h to 24h", text, "24h")
    return cleaned


_RANKED_BY = {
    "quoteVolume": "quote_volume",
    "baseVolume": "base_volume",
    "percentage": "percentage",
    "last": "last",
    "trades": "trades",
}


def ticker_field(text: str) -> str:
    """Return the ticker field to sort tickers by: ``quoteVolume``, ``quote_volume``.

    Case does not matter. Raises `InvalidParameterError` for any other.
    """
    return _RANKED_BY[choice(text, tuple(_RANKED_BY), "sort")]


Moment: TypeAlias = datetime | date | str | int
"""A point in time as a caller may write it; `instant` reads it."""

_MOMENT = ("string", "integer")

PairName = Annotated[
    str,
    Described(
        "Spot pair as BASE/QUOTE.", examples=("BTC/USDT",), parse=pair, short="E.g. BTC/USDT."
    ),
]
PairNames = Annotated[
    Sequence[PairName],
    MinLen(1),
    Described("Spot pairs as BASE/QUOTE.", short="E.g. BTC/USDT, ETH/USDT."),
]
WatchedPairs = Annotated[
    str | Sequence[str],
    Described(
        "Spot pair as BASE/QUOTE, or several.",
        examples=("BTC/USDT",),
        parse=lambda given: one_or_several(given, pair, "pair"),
    ),
]
WatchedExchanges = Annotated[
    str | Sequence[str],
    Described(
        "Exchange id, or several; by default the first default exchange that can be reached.",
        parse=lambda given: one_or_several(given, exchange_id, "exchange"),
    ),
]
Delivery = Annotated[
    Literal["latest", "every"],
    Described(
        "What a slow reader gets: 'latest', the newest state; 'every', each update, up to `buffer`."
    ),
]
Buffer = Annotated[
    int,
    Ge(1),
    Le(1_000_000),
    Described("Records kept for a slow reader. Beyond that the oldest are dropped and counted."),
]
StreamKinds = Annotated[
    Sequence[Literal["ticker", "quote", "orderbook", "trades", "candles"]],
    MinLen(1),
    Described("Kinds of data to record for each pair.", examples=("trades", "orderbook")),
]
RecordingPath = Annotated[
    str | PurePath, Described("File to append the recording to.", parse=PurePath)
]
PlayedPath = Annotated[str | PurePath, Described("The recording to play.", parse=PurePath)]
Seconds = Annotated[
    float, Gt(0), Described("How long to record, in seconds; by default until it is cancelled.")
]
RecordingProgress = Annotated[
    Callable[..., Any],
    Described("Called with a `Recorded` every second, on the client's event loop."),
]
Speed = Annotated[
    float,
    Gt(0),
    Described("Speed: 1 is that of the recording, 2 twice that, infinity as fast as it is read."),
]
WaitFor = Annotated[
    int, Ge(1), Described("Number of subscriptions to wait for before playing starts.")
]
ExchangeId = Annotated[
    str,
    Described(
        "Exchange id; by default the first default exchange that can be reached.",
        parse=one_exchange,
        short="E.g. kraken.",
    ),
]
ExchangeIds = Annotated[
    str | Sequence[Annotated[str, Described("Exchange id.", parse=exchange_id)]],
    OneOrSeveral(),
    MinLen(1),
    Described("Exchange ids; by default the first default exchange."),
]
SameAsExchange = Annotated[
    str | Sequence[str], SameAs("exchange"), Described("The same as `exchange`.")
]
SameAsExchanges = Annotated[
    str | Sequence[str], SameAs("exchanges"), Described("The same as `exchanges`.")
]
OrderSide = Annotated[
    Literal["buy", "sell"],
    Described("Whether to buy or to sell.", short="E.g. buy."),
]
Amount = Annotated[
    float,
    Gt(0),
    Described(
        "Amount in base currency.",
        examples=("5",),
        parse=finite,
        short="In base currency, e.g. 0.5.",
    ),
    EveryDigit(),
]
QuoteAmount = Annotated[
    float,
    Gt(0),
    Described(
        "Amount in quote currency instead, fees included.",
        examples=("10000",),
        parse=finite,
        short="Instead, in quote currency with fees, e.g. 10000.",
    ),
    EveryDigit(),
]
EachExchange = Annotated[
    str | Sequence[Annotated[str, Described("Exchange id.", parse=each_exchange)]],
    OneOrSeveral(),
    MinLen(1),
    Described(
        "Exchange ids; by default all default exchanges.",
        short="E.g. binance, kraken; else the defaults.",
    ),
]
OnlyExchanges = Annotated[
    str | Sequence[Annotated[str, Described("Exchange id.", parse=exchange_id)]],
    OneOrSeveral(),
    MinLen(1),
    Described("Only series of these exchanges.", empty_is_wrong=True),
]
OnlyPairs = Annotated[
    Sequence[PairName],
    MinLen(1),
    Described("Only series of these pairs.", empty_is_wrong=True),
]
Destination = Annotated[
    str | PurePath, Described("File to write: .parquet, .csv or .feather.", parse=PurePath)
]
ExportFormat = Annotated[
    Literal["parquet", "csv", "feather"],
    Described("File format; by default from the ending of the file's name."),
]
DryRun = Annotated[bool, Described("Change nothing; only report what would be done.")]
ProgressCallback = Annotated[
    Callable[..., Any],
    Described("Called with a `Progress` as candles arrive, on the client's event loop."),
]
Scheduler = Annotated[
    Any,
    Described(
        "A `distributed.Client` of Dask whose workers download in parts. All workers need access "
        "to the store."
    ),
]
Window = Annotated[
    str,
    Described(
        "'24h', another rolling length (1m-59m, 1h-24h, 1d-7d), or 'day' for the UTC trading day.",
        examples=("24h", "4h", "day"),
        parse=window,
        numbers_too=True,
        short="E.g. 15m, 4h, 7d, or day: since 00:00 UTC.",
    ),
]
Depth = Annotated[
    int,
    Ge(1),
    Le(MAX_DEPTH),
    Described("Maximum number of price levels a side.", short="Levels a side, e.g. 10."),
]
Timeframe: TypeAlias = Literal[
    "1s",
    "1m",
    "3m",
    "5m",
    "15m",
    "30m",
    "1h",
    "2h",
    "4h",
    "6h",
    "8h",
    "12h",
    "1d",
    "3d",
    "1w",
    "1M",
]
"""The usual lengths of candles, for editors to offer; others are taken as well."""
TimeframeName = Annotated[
    Timeframe | str,
    AnyText(),
    Described(
        "Length of a candle, such as 1m, 5m, 1h, 4h, 1d, 1w.",
        examples=("1m", "1h", "1d"),
        parse=timeframe,
        numbers_too=True,
        short="E.g. 1m, 4h, 1d; 1h otherwise, or what fits a long range.",
    ),
]
BarLimit = Annotated[
    int,
    Ge(1),
    Described(
        "Maximum number of candles: the newest, or with `start` the first from there on.",
        short="E.g. 24; else the newest 100, or 500 of a range.",
    ),
]
ListDetail = Annotated[
    Literal["series", "day"],
    Described("'day' also reports each day: complete, gaps, not_over or not_fetched."),
]
OnlyTimeframe = Annotated[
    Timeframe | str,
    AnyText(),
    Described(
        "Only candles of this length, such as 1m.",
        examples=("1m", "1h", "1d"),
        parse=timeframe,
        numbers_too=True,
        empty_is_wrong=True,
    ),
]
Fill = Annotated[
    Literal["none", "zero", "previous"],
    Described(
        "Fills gaps where nobody traded or the exchange was down: 'previous' repeats the last "
        "close with zero volume, 'zero' sets every field to 0."
    ),
]
Strict = Annotated[bool, Described("Raise an error if a candle is missing and was not filled.")]
Active = Annotated[
    bool,
    Described("True for pairs that trade, False for halted ones.", short="False: halted pairs."),
]
Refresh = Annotated[bool, Described("Request stored candles again and replace them.")]
RefreshLists = Annotated[
    bool,
    Described(
        "Request the list of pairs first; with `search` but no exchange, the lists of all spot "
        "exchanges, which is slow."
    ),
]
UseStore = Annotated[bool, Described("Read closed candles from the store, and add new ones to it.")]
TradeLimit = Annotated[
    int,
    Ge(1),
    Le(MAX_TRADES),
    Described("Maximum number of trades.", short="Rows at most, e.g. 10."),
]
Start = Annotated[
    Moment,
    Described(
        "Start of the range, inclusive: ISO-8601, Unix ms, or an age such as -7d.",
        examples=("2024-01-01", "-7d"),
        parse=range_start,
        json_types=_MOMENT,
        short="From here on: ISO-8601, Unix ms or an age, e.g. 2024-01-31, -7d.",
    ),
]
End = Annotated[
    Moment,
    Described(
        "End of the range, exclusive; same forms.",
        parse=range_end,
        json_types=_MOMENT,
        short="Up to here, exclusive, e.g. 2024-02-29.",
    ),
]
TradeId = Annotated[
    int,
    Ge(0),
    Described("First trade id, inclusive.", short="From this trade id on, e.g. 28457."),
]
Aggregate = Annotated[
    bool,
    Described(
        "Merge the fills of one order at the same price into one trade.",
        short="Merge the fills of one order.",
    ),
]
BaseCode = Annotated[
    str,
    Described("Base currency.", examples=("BTC",), parse=part, short="Base currency, e.g. BTC."),
]
QuoteCode = Annotated[
    str,
    Described(
        "Quote currency.", examples=("USDT",), parse=part, short="Quote currency, e.g. USDT."
    ),
]
QuoteCodes = Annotated[
    Sequence[Annotated[str, Described("Quote currency.", parse=lambda text: part(text).upper())]],
    MinLen(1),
    Described(
        "Other quote currencies to include, at par with the pair's own.",
        examples=("USD", "USDC"),
        short="Quote currencies taken at par with the pair's, e.g. USD, USDC.",
    ),
]
TickerField = Annotated[
    str,
    Described(
        "Sort by this field, highest first: quoteVolume, baseVolume, percentage (the change), "
        "last or trades.",
        examples=("quoteVolume", "percentage"),
        parse=ticker_field,
        short="Highest first, e.g. percentage; or quoteVolume, baseVolume, last, trades.",
    ),
]
Ascending = Annotated[
    bool,
    Described("With `sort`: lowest first.", short="Lowest first, e.g. true for losers."),
]
OnlyQuote = Annotated[
    str,
    Described(
        "Only pairs with this quote currency.",
        examples=("USDT",),
        parse=part,
        short="Quote currency, e.g. USDT.",
    ),
]
MinQuoteVolume = Annotated[
    float,
    Ge(0),
    Described(
        "Only pairs with at least this 24-hour volume, in quote currency.",
        examples=("1000000",),
        parse=finite,
        short="24-hour volume in quote currency at least, e.g. 1000000.",
    ),
]
TickerLimit = Annotated[
    int,
    Ge(1),
    Described("Maximum number of tickers.", short="E.g. 10; else all named pairs, or 20."),
]
AverageWindow = Annotated[
    str,
    Described(
        "Length of the window: 1m to 59m, or 1h to 24h.",
        examples=("5m", "1h"),
        parse=average_window,
        numbers_too=True,
        short="1m to 59m or 1h to 24h, e.g. 1h.",
    ),
]
Search = Annotated[
    str,
    Described(
        "Part of the pair's name. Without an exchange, searches all lists of pairs on disk.",
        parse=part,
        short="Part of a name, e.g. PEPE; without exchange, on all that are known.",
    ),
]
