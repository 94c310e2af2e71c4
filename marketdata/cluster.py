"""Downloading on many machines: one range in parts, each part done by a worker of Dask's.

Workers write to one store, whose commits see to it that nothing is lost or there twice, whichever
worker dies and whichever part is done again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from marketdata.errors import MissingExtraError

if TYPE_CHECKING:
    from marketdata._history.table import SeriesTable
    from marketdata.archive import Job
    from marketdata.settings import Settings

__all__ = ["download_part", "fetch"]

_PART_BARS = 50_000
"""Bars of a part: what a worker loses at most when it dies, apart from what it has stored."""
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
    """Store what is missing of one part, in a worker; give the part's length in bars."""
    from marketdata._history import timeframes
    from marketdata.archive import Job
    from marketdata.client import AsyncClient

    async def work() -> int:
        async with AsyncClient(settings=settings) as client:
            store = await client.history.store()
            job = Job(client, store, exchange, pair, timeframe, start, end, refresh)
            await job.fetch(start, end)
        until = round(time.time() * 1000) if end is None else end
        return (until - start) // timeframes.length(timeframe)

    return asyncio.run(work())


async def fetch(
    job: Job, table: SeriesTable, scheduler: Any, report: Callable[[int], None] | None
) -> None:
    """Give the parts of a download to the workers of a ``distributed`` client, and wait for all.

    Raises `MissingExtraError` where ``distributed`` is not installed; what a worker raises after
    its retries is raised here.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtraError("A scheduler", "cluster") from None
    if not isinstance(scheduler, Client):
        raise TypeError("scheduler has to be a distributed.Client")
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
            retries=_RETRIES,
        )
        for start, end in parts
    ]
    try:
        for future in futures:
            bars = await asyncio.to_thread(future.result)
            if report is not None:
                report(bars)
    finally:
        for future in futures:
            if not future.done():
                future.cancel()


def _parts(job: Job, table: SeriesTable) -> list[tuple[int, int | None]]:
    """Divide what is missing of a range; the last part is open where the range is."""
    from marketdata._history import timeframes
    from marketdata._history.stretch import Span, without

    step = timeframes.length(job.timeframe)
    now = round(time.time() * 1000)
    end = now if job.end is None else job.end
    span = Span(*(at + -at % step for at in (job.start, max(end, job.start))))
    known = [] if job.refresh or not table.refresh() else table.covered()
    width = _PART_BARS * step
    parts: list[tuple[int, int | None]] = [
        (at, min(left.end, at + width))
        for left in without(span, known)
        for at in range(left.start, left.end, width)
    ]
    if job.end is None and parts and parts[-1][1] == span.end:
        parts[-1] = (parts[-1][0], None)
    return parts
