"""The arguments of the operations: each described, bounded and parsed here, once.

They are annotated types. A signature says ``depth: Depth``; the library checks the bounds
(`checked`), the shell makes its help from them and the MCP server its schemas.

Nothing here imports pydantic before a call is checked, so that ``marketdata --help`` stays fast:
bounds are ``annotated_types`` (which pydantic reads) and descriptions are `Described`, which
hands itself to pydantic when asked.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import PurePath
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Literal, ParamSpec, TypeAlias, TypeVar, cast

from annotated_types import Ge, Gt, Le, MinLen

from marketdata._arguments.bounds import bounded, check_size
from marketdata._arguments.coins import code_of, divided
from marketdata._arguments.lengths import (
    TIMEFRAME,
    is_timeframe,
    nearest,
    timeframe,
    window,
    window_length,
)
from marketdata._arguments.names import likely, meant, renamed, unknown
from marketdata._arguments.pairs import (
    MAX_WATCHED,
    Written,
    one_or_several,
    pair,
    readings,
    written,
)
from marketdata._arguments.saying import Read, refused, was
from marketdata._arguments.texts import (
    fraction,
    is_left_out,
    listed,
    number,
    single,
    truth,
    whole,
)
from marketdata._arguments.times import (
    Milliseconds,
    instant,
    range_end,
    range_start,
    said_back,
)
from marketdata._arguments.words import choice, several_choices
from marketdata.errors import (
    InvalidParameterError,
    InvalidRequestError,
    MarketDataError,
    MissingParameterError,
)
from marketdata.exchange_names import WELL_KNOWN, exchange_id

if TYPE_CHECKING:
    from pydantic import (
        BaseModel,
        GetCoreSchemaHandler,
        GetJsonSchemaHandler,
        ValidationError,
        ValidationInfo,
    )
    from pydantic.fields import FieldInfo

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
    "bounded",
    "check_names",
    "check_size",
    "checked",
    "code_of",
    "divided",
    "finite",
    "instant",
    "is_timeframe",
    "likely",
    "listed",
    "locate",
    "nearest",
    "one_exchange",
    "one_of",
    "one_or_several",
    "pair",
    "parse_arguments",
    "part",
    "readings",
    "renamed",
    "said_back",
    "second_names",
    "ticker_field",
    "timeframe",
    "whole",
    "window",
    "window_length",
    "with_named_exchange",
    "written",
]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

MAX_DEPTH = 5_000
MAX_TRADES = 1_000

# ---------------------------------------------------------------------------- parsing


def one_exchange(text: str) -> str:
    """Bring the name of one exchange to ccxt's id; raises where a text names several."""
    names = re.split(r"\s*(?:[,;|]|\band\b)\s*", text.strip())
    if len(names) > 1 and all(names) and len(text) < 200:
        several = [exchange_id(one) for one in names]
        raise refused("exchange takes one exchange: make one call for each", text, *several)
    return exchange_id(text)


def each_exchange(text: str) -> str:
    """Bring an element of a list of exchanges to ccxt's id; raises where it names several."""
    names = [exchange_id(one) for one in re.split(r"[\s/]+", text.strip()[:200])]
    if len(names) > 1 and all(one in WELL_KNOWN for one in names):
        raise refused("exchanges is a list", text, ",".join(names))
    return exchange_id(text)


def one_of(**given: T) -> T | None:
    """Give the one of two arguments that is given; they are the same by two names."""
    (first, one), (second, other) = given.items()
    if one is not None and other is not None:
        raise _both(first, second)
    return other if one is None else one


def _both(first: str, second: str) -> InvalidParameterError:
    return InvalidParameterError(
        f"'{first}' and '{second}' are the same argument: give one of them.",
        details={"parameter": second},
    )


def _ascii(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)


def part(text: str) -> str:
    """Check the name of a currency, or a part of a pair's name to search for."""
    cleaned = text.strip()
    if not 1 <= len(cleaned) <= 40 or not cleaned.isprintable():
        raise InvalidParameterError(f"A name has 1 to 40 characters; {was(text)}.")
    return cleaned


def finite(value: float) -> float:
    """Check that a number is not infinite."""
    if math.isinf(value):
        raise InvalidParameterError(f"A finite number is wanted; {was(value)}.")
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
    """Give the field of a ticker that tickers can be sorted by: ``quoteVolume``, ``quote_volume``.

    Case does not matter. Raises `InvalidParameterError` for any other.
    """
    return _RANKED_BY[choice(text, tuple(_RANKED_BY), "sort")]


# ---------------------------------------------------------------------------- annotations


@dataclass(frozen=True)
class Described:
    """What one argument means, for help pages and schemas; `parse` brings it to its one form."""

    text: str
    examples: tuple[str, ...] = ()
    parse: Callable[[Any], Any] | None = None
    json_types: tuple[str, ...] = ()
    """JSON types instead of those that the annotation would give; `parse` then takes it all."""
    numbers_too: bool = False
    """Whether `parse` also takes numbers where the annotation is a text."""
    empty_is_wrong: bool = False
    """Whether what is empty is refused: elsewhere it is as if it were left out."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema

        if self.json_types:
            return core_schema.with_info_plain_validator_function(self._parse)
        if source is int and self.parse is None:
            return handler(source)  # narrower bounds go around it: `check_names` reads it
        read = _reader(source)
        return core_schema.with_info_wrap_validator_function(
            functools.partial(self._take, read), handler(source)
        )

    def _take(
        self,
        read: Callable[[Any, str], Any] | None,
        value: Any,
        check: Callable[[Any], Any],
        info: ValidationInfo,
    ) -> Any:
        with _of_argument(info.field_name):
            # A check would make an ordinary text of one that has been read.
            is_number = self.numbers_too and isinstance(value, int | float | timedelta)
            if not is_number and not isinstance(value, Read):
                value = check(value if read is None else read(value, info.field_name or ""))
            return value if self.parse is None else self.parse(value)

    def _parse(self, value: Any, info: ValidationInfo) -> Any:
        if not (isinstance(value, str | int | float | date) or hasattr(value, "dtype")):
            from pydantic_core import PydanticCustomError

            raise PydanticCustomError("time_type", "Input should be a time")
        with _of_argument(info.field_name):
            return value if self.parse is None else self.parse(value)

    def __get_pydantic_json_schema__(
        self, core: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema: dict[str, Any]
        if self.json_types:
            schema = {"type": list(self.json_types)}
        else:
            schema = handler.resolve_ref_schema(handler(core))
        schema["description"] = self.text
        if self.examples:
            schema["examples"] = list(self.examples)
        return schema


@contextlib.contextmanager
def _of_argument(name: str | None) -> Iterator[None]:
    """Have what is raised say which argument it is about."""
    try:
        yield
    except InvalidRequestError as error:
        error.details.setdefault("parameter", name)
        raise


def _reader(source: Any) -> Callable[[Any, str], Any] | None:
    """Give what brings a value to the type of an annotation; None where that is no plain one.

    It is called with the value and the name of the argument.
    """
    if source is float:
        return fraction
    if source in _READERS:
        read = _READERS[source]
        return lambda value, _: read(value)
    if typing.get_origin(source) is Literal:
        choices = typing.get_args(source)
        return lambda value, name: choice(value, choices, name)
    kinds = _kinds(source)
    if (several := next((one for one in kinds if _is_sequence(one)), None)) is not None:
        [element] = typing.get_args(several)
        if typing.get_origin(element) is Literal:
            return functools.partial(_each_choice, typing.get_args(element))
        return lambda value, _: listed(value)
    return (lambda value, _: single(value)) if str in kinds and PurePath not in kinds else None


def _each_choice(choices: Sequence[str], value: Any, name: str) -> Any:
    found = listed(value)
    return several_choices(found, choices, name) if isinstance(found, list) else found


_READERS: Mapping[Any, Callable[[Any], Any]] = {
    bool: truth,
    str: single,
}


def _kinds(annotation: Any) -> tuple[Any, ...]:
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def _kinds_of(annotated: Any) -> tuple[Any, ...]:
    return _kinds(
        typing.get_args(annotated)[0] if hasattr(annotated, "__metadata__") else annotated
    )


def _is_sequence(kind: Any) -> bool:
    return typing.get_origin(kind) is Sequence


@dataclass(frozen=True)
class EveryDigit:
    """Keeps a number as it was given, by a Decimal or as text, where the argument is a float."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema

        return core_schema.with_info_wrap_validator_function(self._keep, handler(source))

    @staticmethod
    def _keep(value: Any, check: Callable[[Any], float], info: ValidationInfo) -> Any:
        from decimal import Decimal

        checked = check(value)
        if isinstance(value, str):
            return Decimal(number(value, info.field_name or ""))
        return Decimal(value) if isinstance(value, Decimal) else checked


@dataclass(frozen=True)
class AnyText:
    """Takes any text where the annotation lists some, for editors to offer."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(str)


@dataclass(frozen=True)
class OneOrSeveral:
    """Takes one where a sequence is wanted."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(next(one for one in _kinds(source) if _is_sequence(one)))


@dataclass(frozen=True)
class SameAs:
    """Marks a parameter that is another one by a second name; only one of them may be given."""

    name: str


Moment: TypeAlias = datetime | date | str | int
"""A point in time as a caller may write it; `instant` reads it."""

_MOMENT = ("string", "integer")

PairName = Annotated[
    str,
    Described("Spot pair as BASE/QUOTE.", examples=("BTC/USDT",), parse=pair),
]
PairNames = Annotated[
    Sequence[PairName],
    MinLen(1),
    Described("Spot pairs as BASE/QUOTE."),
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
OrderSide = Annotated[Literal["buy", "sell"], Described("Whether to buy or to sell.")]
Amount = Annotated[
    float,
    Gt(0),
    Described("Amount in base currency.", examples=("5",), parse=finite),
    EveryDigit(),
]
QuoteAmount = Annotated[
    float,
    Gt(0),
    Described(
        "Amount in quote currency instead, fees included.", examples=("10000",), parse=finite
    ),
    EveryDigit(),
]
EachExchange = Annotated[
    str | Sequence[Annotated[str, Described("Exchange id.", parse=each_exchange)]],
    OneOrSeveral(),
    MinLen(1),
    Described("Exchange ids; by default all default exchanges."),
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
    ),
]
Depth = Annotated[int, Ge(1), Le(MAX_DEPTH), Described("Maximum number of price levels a side.")]
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
    ),
]
BarLimit = Annotated[
    int,
    Ge(1),
    Described("Maximum number of candles: the newest, or with `start` the first from there on."),
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
Active = Annotated[bool, Described("True for pairs that trade, False for halted ones.")]
Refresh = Annotated[bool, Described("Request stored candles again and replace them.")]
RefreshLists = Annotated[
    bool,
    Described(
        "Request the list of pairs first; with `search` but no exchange, the lists of all spot "
        "exchanges, which is slow."
    ),
]
UseStore = Annotated[bool, Described("Read closed candles from the store, and add new ones to it.")]
TradeLimit = Annotated[int, Ge(1), Le(MAX_TRADES), Described("Maximum number of trades.")]
Start = Annotated[
    Moment,
    Described(
        "Start of the range, inclusive: ISO-8601, Unix ms, or an age such as -7d.",
        examples=("2024-01-01", "-7d"),
        parse=range_start,
        json_types=_MOMENT,
    ),
]
End = Annotated[
    Moment,
    Described("End of the range, exclusive; same forms.", parse=range_end, json_types=_MOMENT),
]
TradeId = Annotated[int, Ge(0), Described("First trade id, inclusive.")]
Aggregate = Annotated[
    bool,
    Described("Merge the fills of one order at the same price into one trade."),
]
BaseCode = Annotated[str, Described("Base currency.", examples=("BTC",), parse=part)]
QuoteCode = Annotated[str, Described("Quote currency.", examples=("USDT",), parse=part)]
QuoteCodes = Annotated[
    Sequence[Annotated[str, Described("Quote currency.", parse=lambda text: part(text).upper())]],
    MinLen(1),
    Described(
        "Other quote currencies to include, at par with the pair's own.",
        examples=("USD", "USDC"),
    ),
]
TickerField = Annotated[
    str,
    Described(
        "Sort by this field, highest first: quoteVolume, baseVolume, percentage (the change), "
        "last or trades.",
        examples=("quoteVolume", "percentage"),
        parse=ticker_field,
    ),
]
Ascending = Annotated[bool, Described("With `sort`: lowest first.")]
OnlyQuote = Annotated[
    str, Described("Only pairs with this quote currency.", examples=("USDT",), parse=part)
]
MinQuoteVolume = Annotated[
    float,
    Ge(0),
    Described(
        "Only pairs with at least this 24-hour volume, in quote currency.",
        examples=("1000000",),
        parse=finite,
    ),
]
TickerLimit = Annotated[int, Ge(1), Described("Maximum number of tickers.")]
AverageWindow = Annotated[
    str,
    Described(
        "Length of the window: 1m to 59m, or 1h to 24h.",
        examples=("5m", "1h"),
        parse=average_window,
        numbers_too=True,
    ),
]
Search = Annotated[
    str,
    Described(
        "Part of the pair's name. Without an exchange, searches all lists of pairs on disk.",
        parse=part,
    ),
]

# ---------------------------------------------------------------------------- checking


@functools.cache
def arguments_of(method: Callable[..., Any]) -> type[BaseModel]:
    """Give the model of a method's arguments (without ``self``), made from its signature."""
    from pydantic import ConfigDict, create_model

    # Without the answer's annotation: records are not imported to check a call.
    annotated = SimpleNamespace(
        __annotations__={k: v for k, v in method.__annotations__.items() if k != "return"}
    )
    hints = typing.get_type_hints(annotated, globalns=method.__globals__, include_extras=True)
    fields: dict[str, Any] = {
        parameter.name: (
            hints[parameter.name],
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for parameter in list(inspect.signature(method).parameters.values())[1:]
        if parameter.name not in second_names(method)
    }
    return create_model(method.__name__, __config__=ConfigDict(extra="forbid"), **fields)


@functools.cache
def second_names(method: Callable[..., Any]) -> dict[str, str]:
    """Give the parameters of a method that are others by a second name, with those others."""
    return {
        name: note.name
        for name, annotation in method.__annotations__.items()
        for note in _notes(method, annotation)
        if isinstance(note, SameAs)
    }


def _notes(method: Callable[..., Any], annotation: str) -> tuple[Any, ...]:
    """Give what an annotated type of this module, or one and None, says of a parameter.

    The annotation is not evaluated: that would take longer than importing all of this.
    """
    annotated = method.__globals__.get(str(annotation).removesuffix(" | None"))
    return getattr(annotated, "__metadata__", ())


def parse_arguments(method: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Check arguments given by name and bring them to the form that the method works with.

    Raises `MissingParameterError` or `InvalidParameterError`, naming the argument that is wrong;
    a missing one is named before a wrong one.
    """
    from pydantic import ValidationError

    model = arguments_of(method)
    for second, first in second_names(method).items():
        if second in given:
            given = dict(given)
            value = given.pop(second)
            if value is not None and given.get(first) is not None:
                raise _both(first, second)
            if value is not None:
                given[first] = value
    try:
        given = check_names(model, given, method.__name__)
        for name, value in given.items():
            # pydantic takes True for 1.
            if isinstance(value, bool) and model.model_fields[name].annotation is not bool:
                raise InvalidParameterError(
                    f"{name} is neither true nor false; {was(value)}.",
                    details={"parameter": name},
                )
        return with_named_exchange(model, vars(model.model_validate(given)))
    except ValidationError as error:
        raise _translate(error, method.__name__) from None
    except InvalidRequestError as error:
        error.details.setdefault("operation", method.__name__)
        raise


def check_names(
    model: type[BaseModel], given: Mapping[str, Any], what: str, hidden: Collection[str] = ()
) -> dict[str, Any]:
    """Check the names of arguments, and leave out those whose values say nothing.

    Raises `InvalidParameterError` for a name that is none, with those that it may stand for,
    unless it is ``hidden``; `MissingParameterError` where one is missing that no wrong name stands
    for.
    """
    fields = model.model_fields
    given = {name: _alone(model, name, one) for name, one in given.items()}
    said = {name: one for name, one in given.items() if not _says_nothing(model, name, one)}
    said.update({name: whole(said[name]) for name in said.keys() & _whole_numbers(model)})
    missing = [name for name, one in fields.items() if one.is_required() and name not in said]
    wrong = [name for name in said if name not in fields]
    near = {name: [] if name in hidden else likely(name, fields) for name in wrong}
    # Those that explain why one is missing first.
    wrong.sort(key=lambda name: not set(near[name]) & set(missing))
    if missing and not (wrong and set(near[wrong[0]]) & set(missing)):
        raise MissingParameterError(
            f"{what} needs '{missing[0]}'.", details={"parameter": missing[0]}
        )
    if wrong:
        first = sorted(near[wrong[0]], key=lambda name: name not in missing)
        raise unknown(what, wrong[0], fields, first)
    return said


def _alone(model: type[BaseModel], name: str, value: Any) -> Any:
    """Give the one text of a list where an argument takes no list; else the value."""
    is_list = isinstance(value, list | tuple) and name not in _lists(model)
    return single(value) if is_list else value


@functools.cache
def _lists(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(
        name
        for name, one in model.model_fields.items()
        if any(_is_sequence(kind) for each in _kinds(one.annotation) for kind in _kinds_of(each))
    )


@functools.cache
def _whole_numbers(model: type[BaseModel]) -> frozenset[str]:
    fields = model.model_fields.items()
    return frozenset(
        name
        for name, one in fields
        if not _description(one).json_types
        and any(int in _kinds_of(kind) for kind in _kinds(one.annotation))
    )


def _says_nothing(model: type[BaseModel], name: str, value: Any) -> bool:
    field = model.model_fields.get(name)
    if field is None or field.is_required():
        return False  # a name that is none is to be told of, whatever its value
    described = _descriptions(model)[name]
    if described.parse is part:
        return value is None or value in _NO_TEXT
    return not described.empty_is_wrong and (value is None or is_left_out(value))


_NO_TEXT: tuple[Any, ...] = ("", "null", [])
"""What counts as left out where any other text may be the name of a currency."""


@functools.cache
def _descriptions(model: type[BaseModel]) -> dict[str, Described]:
    return {name: _description(field) for name, field in model.model_fields.items()}


def _description(field: FieldInfo) -> Described:
    """Give what describes an argument; without a word where nothing does."""
    kinds = [
        field.metadata,
        *(getattr(one, "__metadata__", ()) for one in _kinds(field.annotation)),
    ]
    return next((one for notes in kinds for one in notes if isinstance(one, Described)), _NO_WORD)


_NO_WORD = Described("")


def with_named_exchange(model: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Take the exchange that stands before a pair, as in BINANCE:BTCUSDT, for the one to ask.

    Raises `InvalidParameterError` where several are named, or another one is given.
    """
    given = [arguments.get(name) for name in ("pair", "pairs")]
    pairs = [one for each in given if each for one in ([each] if isinstance(each, str) else each)]
    named = list(dict.fromkeys(x for x in (getattr(one, "exchange", None) for one in pairs) if x))
    name = next((one for one in ("exchange", "exchanges") if one in arguments), None)
    if not named or name is None:
        return dict(arguments)
    asked = arguments[name]
    several = [asked] if isinstance(asked, str) else list(asked or named)
    if len(named) > 1 or named[0] not in several:
        both = list(dict.fromkeys([*named, *several]))
        raise InvalidParameterError(
            f"{name} and the pair name different exchanges: use {' or '.join(both)}, not both.",
            details={"parameter": name, "closest": both},
        )
    kinds = (kind for one in _kinds(model.model_fields[name].annotation) for kind in _kinds_of(one))
    return {**arguments, name: asked or (named if any(map(_is_sequence, kinds)) else named[0])}


def checked(method: Callable[P, R]) -> Callable[P, R]:
    """Make a method parse its arguments by their annotations before it runs; see above."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    positional = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    awaits = inspect.iscoroutinefunction(method)

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        # Told apart by hand: inspect's bind takes longer than all the rest of a call.
        caller, *values = args
        given = dict(zip(positional, values, strict=False))
        twice = given.keys() & kwargs.keys()
        if twice or len(values) > len(positional):
            raise InvalidParameterError(
                f"{method.__name__} was given '{min(twice)}' twice."
                if twice
                else f"{method.__name__} takes {len(positional)} arguments by position.",
                details={"operation": method.__name__},
            )
        given.update(kwargs)
        parsed = parse_arguments(method, given)

        def call() -> R:
            return method(caller, **parsed)  # type: ignore[arg-type]

        return cast("R", _located(method, call)) if awaits else call()

    wrapper.__doc__ = _documented(method, parameters)
    return wrapper


async def _located(method: Callable[..., Any], call: Callable[[], Any]) -> Any:
    # Called here: a coroutine that is never awaited would say so where a program ends.
    try:
        return await call()
    except InvalidRequestError as error:
        locate(error, arguments_of(method).model_fields)
        raise


_ABOUT = {
    "PAIR_NOT_SUPPORTED": ("pair", "pairs"),
    "EXCHANGE_NOT_SUPPORTED": ("exchange", "exchanges"),
    "TIMEFRAME_NOT_SUPPORTED": ("timeframe",),
}


_MOST_NAMES = 100


def locate(
    error: MarketDataError, known: Collection[str], given: Collection[str] = (), **door: str
) -> None:
    """Have the error of a wrong call say which argument it is about, and at which ``door``.

    By the name under which it was ``given``, where that is another than ours.
    """
    name = next((one for one in _ABOUT.get(error.code, ()) if one in known), None)
    if name is not None:
        error.details.setdefault("parameter", name)
    name = error.details.get("parameter")
    # More names than this are refused for their number, and looked into by nobody.
    others = [one for one in given if one not in known] if len(given) <= _MOST_NAMES else []
    said = [one for one in others if meant(one, known) == name]
    if name in known and name not in given and len(said) == 1:
        error.details["parameter"] = said[0][:60]
    if door and (error.details.pop("operation", None) or "parameter" in error.details):
        error.details = {**door, **error.details}


def _documented(method: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> str:
    """Give a method's docstring with sections of its parameters, its result and its errors."""
    lines = [inspect.getdoc(method) or ""]
    for place, one in enumerate(parameters):
        if place == 0:
            lines += ["", "Parameters:"]
        notes = _notes(method, one.annotation)
        text = next((note.text for note in notes if isinstance(note, Described)), "")
        lines += [f"    {one.name}: {text}".rstrip()]
        if one.default not in (one.empty, None):
            lines[-1] += f" Default: {one.default!r}."
    lines += ["", "Returns:", *_returned(str(method.__annotations__["return"]))]
    return "\n".join([*lines, "", "Raises:", f"    MarketDataError: {_RAISES}"])


_RAISES = "`code` says what went wrong, `retryable` whether the same call may succeed later."
_UNITS = "Prices are in quote currency, amounts in base currency."
_FIELDS = "Times are UTC datetimes; a field is None if its value is unknown or does not apply."


def _returned(annotation: str) -> list[str]:
    """Say what a method returns, from its annotation."""
    kind, _, of = annotation.replace("[Number]", "").removesuffix("]").partition("[")
    match kind:
        case "Records":
            said = f"`Records`: a list of `{of}`. Its `errors` lists requested pairs without data."
        case "AsyncWatch":
            said = (
                f"`AsyncWatch`, or `Watch` in blocking code: an iterator over `{of}`. Close it, or "
                "use it as a context manager."
            )
        case "AsyncClient":
            said = "`AsyncClient`, or `Client` in blocking code."
        case "Path":
            said = "The path of the file written."
        case _:
            said = f"`{kind}`."
    told = [said]
    if kind not in ("AsyncClient", "Path", "LiveChart"):
        told += [_UNITS] * ("[Number]" in annotation) + [_FIELDS]
    return [f"    {line}" for line in told]


def _translate(error: ValidationError, operation: str) -> MarketDataError:
    problems = error.errors(include_url=False, include_context=False)
    problem = next((one for one in problems if one["type"] == "missing"), problems[0])
    where = _ascii(str(problem["loc"][0]))[:60]
    details = {"operation": operation, "parameter": where}
    match problem["type"]:
        case "missing":
            return MissingParameterError(f"{operation} needs '{where}'.", details=details)
        case "too_short" if not problem["input"]:
            return InvalidParameterError(f"{where} names none.", details=details)
    said = problem["msg"].removeprefix("Input ")
    return InvalidParameterError(f"{where} {said}; {was(problem['input'])}.", details=details)
