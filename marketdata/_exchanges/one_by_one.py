"""One request for each of several pairs, if an exchange has no bulk request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from marketdata._requests.tasks import all_of
from marketdata.errors import (
    DataUnavailableError,
    ExchangeUnavailableError,
    MarketDataError,
    PairNotSupportedError,
)
from marketdata.models.lists import Missing, Records

T = TypeVar("T")


async def one_by_one(
    exchange: str,
    pairs: Sequence[str],
    ask: Callable[[str], Awaitable[T]],
    *,
    every: bool,
    known: Mapping[str, T] | None = None,
) -> Records[T]:
    """Request all at the same time, one call each, and return the results in order.

    What is ``known`` already, of a bulk answer, is not asked for. ``every`` says that the pairs are
    simply all there are: those that have nothing are left out then, as from a bulk answer. Pairs
    that were named and have nothing are in ``errors``. Raises the first of these errors where there
    is nothing else. Other errors come as they are; one that asks for patience says that fewer pairs
    would take less.
    """
    found = dict(known or {})
    left = [] if every and found else [pair for pair in pairs if pair not in found]
    nothing: dict[str, MarketDataError] = {}

    async def one(pair: str) -> None:
        try:
            found[pair] = await ask(pair)
        except (DataUnavailableError, PairNotSupportedError) as error:
            nothing[pair] = error

    try:
        await all_of(one(pair) for pair in left)
    except ExchangeUnavailableError as error:
        if error.retry_after is None or len(left) == 1:
            raise
        failure: MarketDataError = ExchangeUnavailableError(
            f"{error.message} Each of {len(left)} pairs takes one request; request fewer pairs.",
            retryable=error.retryable,
            retry_after=error.retry_after,
            details=error.details,
        )
    else:
        failed = [pair for pair in pairs if pair in nothing]
        if found or not failed:
            return Records(
                (found[pair] for pair in pairs if pair in found),
                () if every else (Missing.of(exchange, pair, nothing[pair]) for pair in failed),
            )
        failure = nothing[failed[0]]
    # Raised out here, it does not have the first one as its context.
    raise failure
