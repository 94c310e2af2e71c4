"""Downloads on many machines: the range is split into parts, one for each task of Dask.

Workers write to one store. Its commits ensure that no candle is lost or doubled, even if a worker
dies or a part is repeated.
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

_PART_CANDLES = 50_000
"""Candles of a part, which bounds how much a dying worker loses."""
_RETRIES = 3
"""How often a part is retried after a worker has died or failed."""


def check(scheduler: Any) -> None:
    """Raise `InvalidParameterError` unless this is a client of ``distributed``.

    Raises `MissingExtraError` if that is not installed.
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
    """Have the workers of a ``distributed`` client download the parts, and wait for all.

    Raises the error of a worker after its retries, and `DataUnavailableError` if workers or the
    scheduler are lost.
    """
    futures = [
        scheduler.submit(do, start, end, pure=False, retries=min(_RETRIES, retries))
        for start, end in parts
    ]
    try:
        for future in futures:
            # In a thread, because the client can belong to a running loop.
            bars = await asyncio.to_thread(_result, future)
            if report is not None:
                report(bars)
    finally:
        left = [future for future in futures if not future.done()]
        if left:
            await asyncio.to_thread(scheduler.cancel, left)


def _result(future: Any) -> int:
    """Wait for a part; raise only `MarketDataError`s."""
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
    tables: Sequence[SeriesTable], calendar: Calendar, start: int, end: int | None, *, refresh: bool
) -> list[tuple[int, int | None]]:
    """Split the missing parts of a range; the last part ends where the range ends.

    An open end stays open, because the exchange's clock decides when it is.
    """
    from marketdata._candles.inventory import covered_of
    from marketdata._candles.spans import Span, without

    now = round(time.time() * 1000)
    upto = now if end is None else min(end, now)
    span = Span(calendar.floor(start), calendar.ceil(max(upto, start)))
    stored = [] if refresh else covered_of(tables)
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
