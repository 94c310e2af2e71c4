"""Downloading on many machines: one range in parts, each part done by a worker of Dask's.

Workers write to one store, whose commits see to it that nothing is lost or there twice, whichever
worker dies and whichever part is done again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from marketdata.errors import (
    DataUnavailableError,
    InvalidParameterError,
    MarketDataError,
    MissingExtraError,
)

if TYPE_CHECKING:
    from marketdata._candles.calendar import Calendar
    from marketdata._candles.table import SeriesTable

__all__ = ["check", "fetch", "parts"]

_PART_CANDLES = 50_000
"""Candles of a part: what a worker loses at most when it dies, apart from what it has stored."""
_RETRIES = 3
"""How often a part is given to another worker after one has died or failed."""


def check(scheduler: Any) -> None:
    """Raise `InvalidParameterError` for what is no client of ``distributed``.

    `MissingExtraError` where that is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtraError("A scheduler", "cluster") from None
    if not isinstance(scheduler, Client):
        raise InvalidParameterError(
            "scheduler must be a `distributed.Client` of Dask.",
            details={"parameter": "scheduler"},
        )


async def fetch(
    do: Callable[[int, int | None], int],
    parts: Sequence[tuple[int, int | None]],
    scheduler: Any,
    report: Callable[[int], None] | None,
    *,
    retries: int,
) -> None:
    """Return the parts of a download to the workers of a ``distributed`` client, and wait for all.

    Raises what a worker has raised after its retries, and `DataUnavailableError` where workers or
    the scheduler are lost.
    """
    futures = [
        scheduler.submit(do, start, end, pure=False, retries=min(_RETRIES, retries))
        for start, end in parts
    ]
    try:
        for future in futures:
            # In a thread also where the client is one of a running loop, which is then its own.
            bars = await asyncio.to_thread(_result, future)
            if report is not None:
                report(bars)
    finally:
        left = [future for future in futures if not future.done()]
        if left:
            await asyncio.to_thread(scheduler.cancel, left)


def _result(future: Any) -> int:
    """Wait for a part; raise errors of ours only."""
    try:
        return int(future.result())
    except MarketDataError:
        raise
    except (asyncio.CancelledError, Exception) as error:
        # Anybody's, from anywhere.
        raise DataUnavailableError(
            f"The cluster could not do a part of the download ({type(error).__name__}): its "
            "workers died, lack this package, or cannot be reached. What they had fetched is "
            "stored; see their logs, and run it again.",
            retryable=True,
        ) from error


def parts(
    table: SeriesTable, calendar: Calendar, start: int, end: int | None, *, refresh: bool
) -> list[tuple[int, int | None]]:
    """Divide what is missing of a range; the last part goes as far as the range does.

    Where now is, the exchange knows better than our clock.
    """
    from marketdata._candles.spans import Span, without

    now = round(time.time() * 1000)
    upto = now if end is None else min(end, now)
    span = Span(calendar.floor(start), calendar.ceil(max(upto, start)))
    stored = [] if refresh or not table.refresh() else table.covered()
    found: list[tuple[int, int | None]] = []
    for left in without(span, stored):
        at = left.start
        while at < left.end:
            behind = min(left.end, calendar.shift(at, _PART_CANDLES))
            found.append((at, behind))
            at = behind
    if (end is None or end > now) and found and found[-1][1] == span.end:
        found[-1] = (found[-1][0], end)
    return found
