"""The arguments of the operations: each described, bounded and parsed here, once.

They are annotated types. A signature says ``depth: Depth``; the library checks the bounds
(`checked`), the shell makes its help from them and the MCP server its schemas.

Nothing here imports pydantic before a call is checked, so that ``marketdata --help`` stays fast:
bounds are ``annotated_types`` (which pydantic reads) and descriptions are `Described`, which
hands itself to pydantic when asked.
"""

from __future__ import annotations

import calendar
import functools
import inspect
import math
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePath
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Literal, ParamSpec, TypeAlias, TypeVar, cast

from annotated_types import Ge, Gt, Le, MinLen

from marketdata.errors import (
    InvalidParameterError,
    MarketDataError,
    MissingParameterError,
    PairNotSupportedError,
)
from marketdata.exchange_names import exchange_id

if TYPE_CHECKING:
    from pydantic import (
        BaseModel,
        GetCoreSchemaHandler,
        GetJsonSchemaHandler,
        ValidationError,
        ValidationInfo,
    )

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

MAX_DEPTH = 5_000
MAX_TRADES = 1_000
MAX_WATCHED = 200
"""Pairs that one call can watch."""

# ---------------------------------------------------------------------------- parsing


class Written(str):
    """A pair that `pair` has read, which knows how it was written."""

    text: str


def written(pair: str) -> str:
    """Give a pair as its caller wrote it, in upper case: it may be an exchange's own name."""
    return pair.text if isinstance(pair, Written) else pair.upper()


_IN_A_CODE = r"[^\s\"'\\<>{}/]"
_CODE = re.compile(rf"{_IN_A_CODE}(?:{_IN_A_CODE}| |(?<=\w)'(?=[\w ]))*")
"""A currency: ccxt has long names, too, such as BITCOIN FILE and FTX USERS' DEBT."""


def pair(text: str) -> str:
    """Bring a pair to ``BASE/QUOTE``, or to upper case alone where it has no separator.

    ``btc/usdt``, ``BTC-USDT`` and ``btc_usdt`` give ``BTC/USDT``; with a slash, anything else is
    part of a currency's name. ``BTCUSDT`` stays as it is: only an exchange's list of pairs can tell
    where it divides, as does ``SPOT_BTC_USDT``, which only an exchange can call a pair. Raises
    `PairNotSupportedError` for the name of a swap, future or option, `InvalidParameterError` for
    anything else.
    """
    cleaned = text.strip().upper()
    if ":" in cleaned and cleaned.isprintable():
        spot = cleaned.partition(":")[0]
        raise PairNotSupportedError(
            f"'{cleaned[:60]}' names a derivative; only spot pairs are served. "
            f"Ask for {spot[:60]}.",
            details={"pair": cleaned[:60], "closest": [spot[:60]]},
        )
    parts = [part.strip(" ") for part in cleaned.split("/")]
    if len(parts) == 1:
        parts = re.split(r"[\-_ ]", cleaned)
        if len(parts) > 2 and all(re.fullmatch(r"[^\W_]+", part) for part in cleaned.split("_")):
            parts = [cleaned]
    joined = "/".join(parts)
    possible = 2 <= len(joined) <= 40 and joined.isprintable()
    if len(parts) > 2 or not possible or not all(_CODE.fullmatch(part) for part in parts):
        raise InvalidParameterError(f"pair is BASE/QUOTE, for example BTC/USDT; {_was(text)}.")
    if joined == cleaned:
        return joined
    named = Written(joined)
    named.text = cleaned
    return named


def one_or_several(
    given: str | Sequence[str], parse: Callable[[str], str], name: str
) -> tuple[str, ...]:
    """Parse one text, or each of several, once each; there has to be one, and at most 200."""
    texts = [given] if isinstance(given, str) else list(given)
    if not 1 <= len(texts) <= MAX_WATCHED:
        raise InvalidParameterError(
            f"{name} takes 1 to {MAX_WATCHED} at once; was given {len(texts)}.",
            details={"parameter": name},
        )
    return tuple(dict.fromkeys(parse(text) for text in texts))


_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_AGE = re.compile(r"-(\d{1,6})([smhdwMy])")
_MONTHS = {"M": 1, "y": 12}


class Milliseconds(int):
    """A time that `instant` has read: Unix milliseconds, which it leaves as they are."""


def instant(value: datetime | date | str | float, *, now: datetime | None = None) -> Milliseconds:
    """Give a point in time as Unix milliseconds.

    Takes a datetime (UTC where it has no zone; those of pandas and pendulum are some), a numpy
    time, a date (its first moment in UTC), ISO-8601 text, Unix milliseconds (also as text),
    ``now``, or an age such as ``-90m``, ``-7d``, ``-1M``, ``-1y``. Raises `InvalidParameterError`
    for anything else, also for numbers that look like seconds and for times before 1970 or after
    2999.
    """
    moment: datetime
    match value:
        case Milliseconds():
            return value
        case bool():
            raise _not_a_time(value)
        case int():
            return _milliseconds(value)
        case float() if value.is_integer():
            return _milliseconds(int(value))
        case datetime():
            if value != value:
                raise _not_a_time(value)
            moment = value
        case date():
            moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
        case str() if value.strip().lower() == "now":
            moment = now or datetime.now(UTC)
        case str() if age := _AGE.fullmatch(value.strip()):
            try:
                moment = _before(now or datetime.now(UTC), int(age[1]), age[2])
            except (OverflowError, ValueError):  # before the year 1
                raise _not_a_time(value) from None
        case str() if re.fullmatch(r"\d{9,40}", value.strip()):
            return _milliseconds(int(value))
        case str():
            try:
                moment = datetime.fromisoformat(value.strip())
            except ValueError:
                raise _not_a_time(value) from None
        case _:
            return instant(_of_numpy(value), now=now)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    milliseconds = round(moment.timestamp() * 1000)
    if not 0 <= milliseconds < _YEAR_3000:
        raise InvalidParameterError(f"A time is after 1970 and before 3000; {_was(value)}.")
    return Milliseconds(milliseconds)


def _before(moment: datetime, count: int, unit: str) -> datetime:
    """Go back so many units; months and years go by the calendar, to its last day at most."""
    if unit not in _MONTHS:
        return moment - count * _UNITS[unit]
    number = moment.year * 12 + moment.month - 1 - count * _MONTHS[unit]
    year, month = number // 12, number % 12 + 1
    day = min(moment.day, calendar.monthrange(year, month)[1])
    return moment.replace(year=year, month=month, day=day)


def _of_numpy(value: Any) -> datetime | int:
    """Give a scalar of numpy's, a time or a whole number, as one of Python's."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind not in ("M", "i", "u") or getattr(value, "shape", None) != ():
        raise _not_a_time(value)
    found = value.astype("datetime64[us]").item() if kind == "M" else value.item()
    if found is None:  # not a time
        raise _not_a_time(value)
    return cast("datetime | int", found)


_YEAR_3000 = 32_503_680_000_000


def _milliseconds(number: int) -> Milliseconds:
    # 1e11 ms is March 1973, before any exchange; the same number of seconds is the year 5138.
    if not 100_000_000_000 <= number <= 9_999_999_999_999:
        raise InvalidParameterError(
            f"A number given as a time is Unix milliseconds (13 digits); {_was(number)}."
        )
    return Milliseconds(number)


def _not_a_time(value: object) -> InvalidParameterError:
    return InvalidParameterError(
        "A time is ISO-8601 (2024-01-31T12:00Z), a date, Unix milliseconds or an age (-7d); "
        f"{_was(value)}."
    )


def _was(value: object) -> str:
    try:
        return f"was {repr(value)[:60]}"
    except ValueError:
        return "was a number of thousands of digits"  # Python writes none of more than 4,300


def listed(values: Any) -> Any:
    """Give any iterable of texts as a list; what is none, or one already, as it is.

    Sets have no order of their own, and come in that of the alphabet.
    """
    if isinstance(values, set | frozenset):
        return sorted(values)
    if isinstance(values, str | bytes | Sequence | Mapping) or not isinstance(values, Iterable):
        return values
    return list(values)


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
        raise InvalidParameterError(f"A name has 1 to 40 characters; {_was(text)}.")
    return cleaned


def finite(value: float) -> float:
    """Check that a number is not infinite."""
    if math.isinf(value):
        raise InvalidParameterError(f"A finite number is wanted; {_was(value)}.")
    return value


TIMEFRAME = re.compile(r"[1-9]\d{0,3}[smhdwMy]", re.ASCII)


def is_timeframe(text: str) -> bool:
    """Tell whether a text is the length of a bar as callers write it."""
    return TIMEFRAME.fullmatch(text) is not None


def timeframe(text: str) -> str:
    """Check the length of a bar: a number up to 9999 and a unit."""
    cleaned = text.strip()
    if not is_timeframe(cleaned):
        raise InvalidParameterError(
            f"timeframe is a number and one of s m h d w M y, for example 1h; {_was(text)}."
        )
    return cleaned


_WINDOW = re.compile(r"(\d{1,4})([mhdHD])")  # not M, which is a month elsewhere


def window(text: str) -> str:
    """Check a ticker's window: ``day`` (the trading day) or a rolling one such as ``4h``.

    Minutes from 1 to 59, hours from 1 to 24 and days from 1 to 7 are allowed; ``1d`` is ``24h``.
    """
    cleaned = text.strip()
    if cleaned.lower() == "day":
        return "day"
    if found := _WINDOW.fullmatch(cleaned):
        count, unit = int(found[1]), found[2].lower()
        if 1 <= count <= {"m": 59, "h": 24, "d": 7}[unit]:
            return "24h" if (count, unit) == (1, "d") else f"{count}{unit}"
    raise InvalidParameterError(
        f"window is 'day' or a length: 1m to 59m, 1h to 24h, 1d to 7d; {_was(text)}."
    )


def average_window(text: str) -> str:
    """Check the window of an average price: a rolling one of 24 hours at most."""
    try:
        cleaned = window(text)
    except InvalidParameterError:
        cleaned = "day"
    if cleaned[-1] not in "mh":
        raise InvalidParameterError(f"window is 1m to 59m or 1h to 24h; {_was(text)}.")
    return cleaned


def window_length(text: str) -> timedelta:
    """Give the length of a rolling window that `window` has checked."""
    return int(text[:-1]) * _UNITS[text[-1]]


_RANKED_BY = ("quote_volume", "base_volume", "percentage", "last", "trades")


def ticker_field(text: str) -> str:
    """Give the field of a ticker that tickers can be sorted by: ``quoteVolume``, ``quote_volume``.

    Case does not matter. Raises `InvalidParameterError` for any other.
    """
    wanted = text.strip().replace("_", "").lower()
    found = next((name for name in _RANKED_BY if name.replace("_", "") == wanted), None)
    if found is None:
        raise InvalidParameterError(
            f"sort is one of quoteVolume, baseVolume, percentage, last, trades; {_was(text)}."
        )
    return found


# ---------------------------------------------------------------------------- annotations


@dataclass(frozen=True)
class Described:
    """What one argument means, for help pages and schemas; `parse` brings it to its one form."""

    text: str
    examples: tuple[str, ...] = ()
    parse: Callable[[Any], Any] | None = None
    json_types: tuple[str, ...] = ()
    """JSON types instead of those that the annotation would give; `parse` then takes it all."""
    of_any_iterable: bool = False
    """Whether Python callers may give any iterable where the annotation is a sequence."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema

        if self.json_types:
            return core_schema.with_info_plain_validator_function(self._parse)
        inner = handler(source)
        if self.of_any_iterable:
            inner = core_schema.no_info_before_validator_function(listed, inner)
        if self.parse is None:
            return inner
        return core_schema.with_info_after_validator_function(self._parse, inner)

    def _parse(self, value: Any, info: ValidationInfo) -> Any:
        if self.json_types and not (
            isinstance(value, str | int | float | date) or hasattr(value, "dtype")
        ):
            from pydantic_core import PydanticCustomError

            raise PydanticCustomError("time_type", "Input should be a time")
        try:
            return value if self.parse is None else self.parse(value)
        except InvalidParameterError as error:
            error.details.setdefault("parameter", info.field_name)
            raise

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


@dataclass(frozen=True)
class EveryDigit:
    """Keeps a number as it was given, by a Decimal or as text, where the argument is a float."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_wrap_validator_function(self._keep, handler(source))

    @staticmethod
    def _keep(value: Any, check: Callable[[Any], float]) -> Any:
        from decimal import Decimal

        number = check(value)
        return Decimal(value) if isinstance(value, str | Decimal) else number


@dataclass(frozen=True)
class AnyText:
    """Takes any text where the annotation lists some, for editors to offer."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(str)


@dataclass(frozen=True)
class OneOrSeveral:
    """Takes one where a sequence is wanted."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema

        several = next(one for one in typing.get_args(source) if one is not str)
        return core_schema.no_info_before_validator_function(
            lambda given: [given] if isinstance(given, str) else given,
            handler.generate_schema(several),
        )


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
    Described("Spot pairs as BASE/QUOTE.", of_any_iterable=True),
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
        "Exchange id, or several; the first reachable default otherwise.",
        parse=lambda given: one_or_several(given, exchange_id, "exchange"),
    ),
]
Delivery = Annotated[
    Literal["latest", "every"],
    Described(
        "What a slow reader gets: 'latest' the newest state, 'every' each one, up to `buffer`."
    ),
]
Buffer = Annotated[
    int,
    Ge(1),
    Le(1_000_000),
    Described("Records kept for a slow reader of each; then the oldest are dropped, and counted."),
]
StreamKinds = Annotated[
    Sequence[Literal["ticker", "quote", "orderbook", "trades", "candles"]],
    MinLen(1),
    Described("What to record of each pair.", examples=("trades", "orderbook")),
]
RecordingPath = Annotated[
    str | PurePath, Described("File to append the recording to.", parse=PurePath)
]
PlayedPath = Annotated[str | PurePath, Described("The recording to play.", parse=PurePath)]
Seconds = Annotated[
    float, Gt(0), Described("How long, in seconds; until it is cancelled otherwise.")
]
RecordingProgress = Annotated[
    Callable[..., Any],
    Described("Called with a `Recorded` each second, on the client's loop."),
]
Speed = Annotated[
    float,
    Gt(0),
    Described("How many times as fast as it was recorded; infinity: as fast as it is read."),
]
WaitFor = Annotated[int, Ge(1), Described("Subscriptions with which playing begins.")]
ExchangeId = Annotated[
    str,
    Described("Exchange id; the first reachable default otherwise.", parse=exchange_id),
]
ExchangeIds = Annotated[
    str | Sequence[Annotated[str, Described("Exchange id.", parse=exchange_id)]],
    OneOrSeveral(),
    MinLen(1),
    Described("Exchanges; the first default otherwise."),
]
SameAsExchange = Annotated[
    str | Sequence[str], SameAs("exchange"), Described("The same as `exchange`.")
]
SameAsExchanges = Annotated[
    str | Sequence[str], SameAs("exchanges"), Described("The same as `exchanges`.")
]
OrderSide = Annotated[Literal["buy", "sell"], Described("What to do.")]
Amount = Annotated[
    float,
    Gt(0),
    Described("How much, in base currency.", examples=("5",), parse=finite),
    EveryDigit(),
]
QuoteAmount = Annotated[
    float,
    Gt(0),
    Described(
        "How much in quote currency instead, fees included.", examples=("10000",), parse=finite
    ),
    EveryDigit(),
]
EachExchange = Annotated[
    str | Sequence[Annotated[str, Described("Exchange id.", parse=exchange_id)]],
    OneOrSeveral(),
    MinLen(1),
    Described("Exchanges to ask at once; all defaults otherwise."),
]
OnlyExchanges = Annotated[
    str | Sequence[Annotated[str, Described("Exchange id.", parse=exchange_id)]],
    OneOrSeveral(),
    MinLen(1),
    Described("Only what is stored of these exchanges."),
]
OnlyPairs = Annotated[
    Sequence[PairName],
    MinLen(1),
    Described("Only what is stored of these pairs.", of_any_iterable=True),
]
Destination = Annotated[
    str | PurePath, Described("File to write: .parquet, .csv or .feather.", parse=PurePath)
]
ExportFormat = Annotated[
    Literal["parquet", "csv", "feather"], Described("Format; the file's ending otherwise.")
]
DryRun = Annotated[bool, Described("Change nothing; say what would be done.")]
ProgressCallback = Annotated[
    Callable[..., Any], Described("Called with a `Progress` as bars come, on the client's loop.")
]
Scheduler = Annotated[
    Any,
    Described(
        "Client of Dask's distributed whose workers do it instead, in parts; all have to reach "
        "the store."
    ),
]
Window = Annotated[
    str,
    Described(
        "'24h', another rolling length (1m-59m, 1h-24h, 1d-7d), or 'day' for the UTC trading day.",
        examples=("24h", "4h", "day"),
        parse=window,
    ),
]
Depth = Annotated[int, Ge(1), Le(MAX_DEPTH), Described("Levels a side, at most.")]
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
"""The usual lengths of bars, for editors to offer; others are taken as well."""
TimeframeName = Annotated[
    Timeframe | str,
    AnyText(),
    Described(
        "Length of a bar, such as 1m, 5m, 1h, 4h, 1d, 1w.",
        examples=("1m", "1h", "1d"),
        parse=timeframe,
    ),
]
BarLimit = Annotated[
    int, Ge(1), Described("Bars at most: the newest, or the first from `start` on.")
]
ListDetail = Annotated[
    Literal["series", "day"],
    Described("Whether to tell of each day, too: complete, gaps, not over or not fetched."),
]
OnlyTimeframe = Annotated[
    Timeframe | str,
    AnyText(),
    Described(
        "Only bars of this length, such as 1m.", examples=("1m", "1h", "1d"), parse=timeframe
    ),
]
Fill = Annotated[
    Literal["none", "zero", "previous"],
    Described(
        "Bars to put where nobody traded or the exchange did not work: 'previous' repeats the "
        "last close with no volume, 'zero' has zeros throughout."
    ),
]
Strict = Annotated[bool, Described("Fail where a bar is missing, unless it was filled.")]
Active = Annotated[bool, Described("False: halted pairs.")]
Refresh = Annotated[bool, Described("Fetch again what is stored, and replace it.")]
RefreshLists = Annotated[
    bool,
    Described(
        "Fetch the list first; with `search` alone, those of all spot exchanges, which takes a "
        "while."
    ),
]
UseStore = Annotated[bool, Described("Keep closed bars of a range, and read those that are kept.")]
TradeLimit = Annotated[int, Ge(1), Le(MAX_TRADES), Described("Trades at most.")]
Start = Annotated[
    Moment,
    Described(
        "From this time on, inclusive: ISO-8601, Unix ms, or an age such as -7d.",
        examples=("2024-01-01", "-7d"),
        parse=instant,
        json_types=_MOMENT,
    ),
]
End = Annotated[
    Moment,
    Described("Up to this time, exclusive; same forms.", parse=instant, json_types=_MOMENT),
]
TradeId = Annotated[int, Ge(0), Described("From this trade id on, inclusive.")]
Aggregate = Annotated[
    bool,
    Described("Merge the fills of one order at one price."),
]
BaseCode = Annotated[str, Described("Base currency.", examples=("BTC",), parse=part)]
QuoteCode = Annotated[str, Described("Quote currency.", examples=("USDT",), parse=part)]
QuoteCodes = Annotated[
    Sequence[Annotated[str, Described("Quote currency.", parse=lambda text: part(text).upper())]],
    MinLen(1),
    Described(
        "Quote currencies to take at par with the pair's own.",
        examples=("USD", "USDC"),
    ),
]
TickerField = Annotated[
    str,
    Described(
        "Sort by this field, the highest first: quoteVolume, baseVolume, percentage (the change), "
        "last or trades.",
        examples=("quoteVolume", "percentage"),
        parse=ticker_field,
    ),
]
Ascending = Annotated[bool, Described("With `sort`: the lowest first.")]
OnlyQuote = Annotated[
    str, Described("Only pairs of this quote currency.", examples=("USDT",), parse=part)
]
MinQuoteVolume = Annotated[
    float,
    Ge(0),
    Described(
        "Only pairs of which at least so much was traded in 24 hours, in quote currency.",
        examples=("1000000",),
        parse=finite,
    ),
]
TickerLimit = Annotated[int, Ge(1), Described("Tickers at most.")]
AverageWindow = Annotated[
    str,
    Described(
        "How far back: 1m to 59m, or 1h to 24h.", examples=("5m", "1h"), parse=average_window
    ),
]
Search = Annotated[
    str,
    Described(
        "Part of the pair's name; without an exchange, on all whose lists are on the disk.",
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
    for name, value in given.items():
        # pydantic takes True for 1.
        field = model.model_fields.get(name)
        if isinstance(value, bool) and field is not None and field.annotation is not bool:
            raise InvalidParameterError(
                f"{name} is neither true nor false; {_was(value)}.",
                details={"operation": method.__name__, "parameter": name},
            )
    try:
        return vars(model.model_validate(given))
    except ValidationError as error:
        raise _translate(error, method.__name__) from None


def checked(method: Callable[P, R]) -> Callable[P, R]:
    """Make a method parse its arguments by their annotations before it runs; see above."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    positional = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]

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
        return method(caller, **parse_arguments(method, given))  # type: ignore[arg-type]

    wrapper.__doc__ = _documented(method, parameters)
    return wrapper


def _documented(method: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> str:
    """Give a method's docstring with a section of its parameters, as `Described` tells of them."""
    lines = [inspect.getdoc(method) or ""]
    for number, one in enumerate(parameters):
        if number == 0:
            lines += ["", "Parameters:"]
        notes = _notes(method, one.annotation)
        text = next((note.text for note in notes if isinstance(note, Described)), "")
        lines += [f"    {one.name}: {text}".rstrip()]
        if one.default not in (one.empty, None):
            lines[-1] += f" Default: {one.default!r}."
    return "\n".join([*lines, "", "Raises:", f"    MarketDataError: {_RAISES}"])


_RAISES = "of the kind that fits; its `code` says which, `retryable` whether to try again."


def _translate(error: ValidationError, operation: str) -> MarketDataError:
    problems = error.errors(include_url=False, include_context=False)
    problem = next((one for one in problems if one["type"] == "missing"), problems[0])
    where = _ascii(".".join(str(part) for part in problem["loc"]))[:60]
    details = {"operation": operation, "parameter": where}
    match problem["type"]:
        case "missing":
            return MissingParameterError(f"{operation} needs '{where}'.", details=details)
        case "extra_forbidden":
            return InvalidParameterError(f"{operation} has no argument '{where}'.", details=details)
        case "too_short" if not problem["input"]:
            return InvalidParameterError(f"{where} names none.", details=details)
    said = problem["msg"].removeprefix("Input ")
    return InvalidParameterError(f"{where} {said}; {_was(problem['input'])}.", details=details)
