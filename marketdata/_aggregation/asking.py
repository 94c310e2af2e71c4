"""One call to several exchanges at the same time, with answers and errors of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from marketdata._exchanges.currencies import ASKED, NEAR_PAR, RENAMED
from marketdata._exchanges.reasons import none_reached
from marketdata._requests.tasks import all_of
from marketdata.errors import (
    DataUnavailableError,
    ExchangeUnavailableError,
    InvalidParameterError,
    MarketDataError,
    PairNotSupportedError,
    did_you_mean,
)

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue

T = TypeVar("T")


class Ask(Protocol):
    """Does work on an exchange within the timeout; raises only `MarketDataError`s."""

    def __call__(self, exchange: str, work: Callable[[Venue], Awaitable[Any]], /) -> Awaitable[Any]:
        """Do it."""
        ...


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The answer of one exchange for one pair, or its error."""

    exchange: str
    pair: str
    """As the exchange lists it; as requested if there is an error."""
    given: T | None = None
    fee: float | None = None
    """The public taker fee as a fraction; None if there is none."""
    latency_ms: float | None = None
    error: MarketDataError | None = None
    asked: str | None = None
    """The pair as requested; None if that is its name."""
    book: str | None = None
    """The id of the pair's order book; None if unknown."""


async def ask_each(
    ask: Ask,
    exchanges: Sequence[str],
    pairs: Sequence[str],
    prepare: Callable[[Venue], Awaitable[None]],
    work: Callable[[Venue, str], Awaitable[T]],
) -> list[Answer[T]]:
    """Request each pair from each exchange at the same time, and wait for the slowest.

    The order is that of exchanges, then of pairs. ``prepare`` runs before an exchange's list of
    pairs is read. Raises `InvalidParameterError` if a pair without a slash differs between
    exchanges, and `PairNotSupportedError` if no exchange has any of the pairs. Other errors of an
    exchange are in its answer.
    """

    async def one(exchange: str, pair: str) -> Answer[T]:
        async def timed(venue: Venue) -> Answer[T]:
            await prepare(venue)
            symbol = await venue.listed.symbol(pair)
            begun = asyncio.get_running_loop().time()
            given = await work(venue, symbol)
            latency = asyncio.get_running_loop().time() - begun
            fee = venue.taker(symbol)
            took = round(latency * 1000, 3)
            book = venue.book_of(symbol)
            return Answer(exchange, symbol, given, fee, took, asked=pair, book=book)

        try:
            answered: Answer[T] = await ask(exchange, timed)
        except MarketDataError as error:
            return Answer(exchange, pair, error=error)
        return answered

    names = list(dict.fromkeys(exchanges))
    answers = _once(await all_of(one(name, pair) for name in names for pair in pairs))
    errors = [(one.exchange, one.error) for one in answers if one.error is not None]
    if len(errors) == len(answers) and _is_about_the_pair(errors):
        raise nobody_answered(errors)
    if "/" not in pairs[0]:
        _check_is_one_pair(pairs[0], answers)
    return answers


def _is_about_the_pair(errors: Sequence[tuple[str, MarketDataError]]) -> bool:
    return all(isinstance(error, PairNotSupportedError) for _, error in errors)


def _once(answers: Sequence[Answer[T]]) -> list[Answer[T]]:
    """Leave out pairs that are there under another name, or that share an order book."""
    first: dict[tuple[str, str, bool], Answer[T]] = {}
    for one in answers:
        first.setdefault((one.exchange, one.book or one.pair, one.error is None), one)
    return list(first.values())


def _check_is_one_pair(text: str, answers: Sequence[Answer[Any]]) -> None:
    found = {one.pair: one.exchange for one in answers if one.error is None}
    if len(found) > 1:
        said = " and ".join(f"{pair} on {exchange}" for pair, exchange in found.items())
        raise InvalidParameterError(
            f"'{text}' is {said}; write it with a slash.",
            details={"parameter": "pair", "closest": list(found)},
        )


def name_of(pair: str, answers: Sequence[Answer[Any]]) -> str:
    """Return a pair's name from an exchange's answer; otherwise as requested."""
    good = (one.pair for one in answers if one.error is None and (one.asked or one.pair) == pair)
    return next(good, str(pair))


def pairs_of(pair: str, quotes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the pair, and its base with other quote currencies, each once.

    Raises `InvalidParameterError` for a pair without a slash, and for currencies that are not at
    par.
    """
    pair = str(pair)  # one exchange's name of the pair means nothing to the others
    if quotes is None:
        return (pair,)
    base, slash, _ = pair.partition("/")
    if not slash:
        raise InvalidParameterError(
            f"With quotes, pair is BASE/QUOTE, for example BTC/USDT; was '{pair}'.",
            details={"parameter": "pair"},
        )
    own = _current(pair.partition("/")[2])
    others = [quote for quote in map(_current, quotes) if quote != own]
    far = [quote for quote in (own, *others) if quote not in NEAR_PAR] if others else []
    if far:
        raise InvalidParameterError(
            f"'quotes' takes currencies at par, and {far[0]} is not worth about one US dollar; "
            f"it takes {', '.join(NEAR_PAR)}.",
            details={"parameter": "quotes", "closest": list(NEAR_PAR)},
        )
    return tuple(dict.fromkeys([pair, *(f"{base}/{quote}" for quote in quotes)]))


def _current(code: str) -> str:
    """Return the present name of a renamed currency."""
    renamed = RENAMED.get(code)
    return ASKED.get(code, code) if renamed is None else renamed.code


def nobody_answered(errors: Sequence[tuple[str, MarketDataError]]) -> MarketDataError:
    """Combine the errors of all exchanges; with one code, the error has that code."""
    first = errors[0][1]
    if len(errors) == 1:
        return first
    if all(isinstance(error, ExchangeUnavailableError) for _, error in errors):
        return none_reached(dict(errors))
    if _is_about_the_pair(errors):
        return _nobody_has(errors)
    retryable = any(error.retryable for _, error in errors)
    kind: type[MarketDataError] = ExchangeUnavailableError if retryable else DataUnavailableError
    if all(type(error) is type(first) for _, error in errors):
        kind = type(first)
    said = " ".join(dict.fromkeys(error.message for _, error in errors))
    return kind(
        f"No exchange answered. {said}",
        retryable=retryable,
        details={"exchanges": {name: error.to_dict() for name, error in errors}},
    )


def _nobody_has(errors: Sequence[tuple[str, MarketDataError]]) -> MarketDataError:
    """Make the error of a pair that no exchange has, with the most often suggested pairs."""
    names = list(dict.fromkeys(name for name, _ in errors))
    pair = str(errors[0][1].details.get("pair", ""))
    lists = [list(error.details.get("closest", ())) for _, error in errors]
    proposed = Counter(one for each in lists for one in each)
    place = {one: min(each.index(one) for each in lists if one in each) for one in proposed}
    closest = sorted(proposed, key=lambda one: (-proposed[one], place[one], one))[:10]
    return PairNotSupportedError(
        f"'{pair}' is not an active spot pair of {', '.join(names)}.{did_you_mean(closest[:3])}",
        details={
            "pair": pair,
            "closest": closest,
            "exchanges": {name: error.to_dict() for name, error in errors},
        },
    )
