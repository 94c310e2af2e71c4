"""One question for each of several pairs, where an exchange has no call for all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from marketdata._requests.tasks import all_of
from marketdata.errors import (
    DataUnavailableError,
    ExchangeUnavailableError,
    MarketDataError,
    PairNotSupportedError,
)

__all__ = ["one_by_one"]

T = TypeVar("T")


async def one_by_one(
    pairs: Sequence[str], ask: Callable[[str], Awaitable[T]], *, every: bool
) -> list[T]:
    """Ask for all at once, a call each, and give what came, in the order of the pairs.

    ``every`` says that the pairs are simply all there are: those that have nothing are left out
    then, as from a bulk answer, unless that is all of them. Errors come as they are; one that asks
    for patience says that fewer pairs would take less.
    """
    nothing: list[MarketDataError] = []

    async def one(pair: str) -> T | None:
        try:
            return await ask(pair)
        except (DataUnavailableError, PairNotSupportedError) as error:
            if not every:
                raise
            nothing.append(error)
            return None

    try:
        answers = await all_of(one(pair) for pair in pairs)
    except ExchangeUnavailableError as error:
        if error.retry_after is None or len(pairs) == 1:
            raise
        failure = ExchangeUnavailableError(
            f"{error.message} Each of {len(pairs)} pairs takes a request of its own; name fewer.",
            retryable=error.retryable,
            retry_after=error.retry_after,
            details=error.details,
        )
    else:
        found = [one for one in answers if one is not None]
        if not found and nothing:
            raise nothing[0]
        return found
    # Raised out here, it does not have the first one as its context.
    raise failure
