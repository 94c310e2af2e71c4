"""Downloading on many machines: one range in parts, each part done by a worker of Dask's.

Workers write to one store, whose commits see to it that nothing is lost or there twice, whichever
worker dies and whichever part is done again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from marketdata.errors import (
    DataUnavailableError,
    InvalidParameterError,
    MarketDataError,
    MissingExtraError,
)

if TYPE_CHECKING:
    from marketdata._candles.table import SeriesTable
    from marketdata._client.archive import Job
    from marketdata.settings import Settings

__all__ = ["check", "download_part", "fetch"]

_PART_CANDLES = 50_000
"""Candles of a part: what a worker loses at most when it dies, apart from what it has stored."""
_RETRIES = 3
"""How often a part is given to another worker after one has died or failed."""


def download_part(
    settings: Settings,
    exchange: str,
    pair: str,
    timeframe: str,
    start: int,
    end: int | None,
    refresh: bool,
) -> int:
    """Store what is missing of one part, in a worker; give the number of its places."""
    from marketdata._candles.calendar import known
    from marketdata._client.archive import Job
    from marketdata._client.asynchronous import AsyncClient

    async def work() -> int:
        async with AsyncClient(settings=settings) as client:
            store = await client.history.store()
            job = Job(client, store, exchange, pair, timeframe, start, end, refresh)
            await job.fetch(start, end)
        until = round(time.time() * 1000) if end is None else end
        return known(exchange, timeframe).count(start, until)

    return asyncio.run(work())


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
            "scheduler has to be a client of Dask's distributed.",
            details={"parameter": "scheduler"},
        )


async def fetch(
    job: Job, table: SeriesTable, scheduler: Any, report: Callable[[int], None] | None
) -> None:
    """Give the parts of a download to the workers of a ``distributed`` client, and wait for all.

    Raises what a worker has raised after its retries, and `DataUnavailableError` where workers or
    the scheduler are lost.
    """
    parts = await asyncio.to_thread(_parts, job, table)
    futures = [
        scheduler.submit(
            download_part,
            job.client.settings,
            job.exchange,
            job.pair,
            job.timeframe,
            start,
            end,
            job.refresh,
            pure=False,
            retries=min(_RETRIES, job.client.settings.retries),
        )
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


def _parts(job: Job, table: SeriesTable) -> list[tuple[int, int | None]]:
    """Divide what is missing of a range; the last part goes as far as the range does.

    Where now is, the exchange knows better than our clock.
    """
    from marketdata._candles.calendar import known
    from marketdata._candles.spans import Span, without

    calendar = known(job.exchange, job.timeframe)
    now = round(time.time() * 1000)
    end = now if job.end is None else min(job.end, now)
    span = Span(calendar.floor(job.start), calendar.ceil(max(end, job.start)))
    stored = [] if job.refresh or not table.refresh() else table.covered()
    parts: list[tuple[int, int | None]] = []
    for left in without(span, stored):
        at = left.start
        while at < left.end:
            upto = min(left.end, calendar.shift(at, _PART_CANDLES))
            parts.append((at, upto))
            at = upto
    if (job.end is None or job.end > now) and parts and parts[-1][1] == span.end:
        parts[-1] = (parts[-1][0], job.end)
    return parts
