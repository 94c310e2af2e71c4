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
    """Make one request for each pair, all concurrently, and return the results in order.

    Results in ``known``, from a bulk response, are not requested. ``every`` says that the caller
    wants all pairs: pairs without data are then left out, as in a bulk response. Otherwise they are
    in ``errors``, and if no pair has data, the first of these errors is raised. Other errors are
    raised unchanged, but a rate limit error adds that fewer pairs need fewer requests.
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
    # Raised here, the error does not have the first one as its context.
    raise failure
