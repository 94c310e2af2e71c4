"""A subject that is watched for subscribers, and watched again if its stream fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from marketdata.errors import MarketDataError
from marketdata.live.watch import LiveWatch

__all__ = ["Following"]

_logger = logging.getLogger(__name__)


class Following:
    """A stream that runs until it is closed, and reports news."""

    def __init__(
        self,
        watch: Callable[[], LiveWatch],
        tell: Callable[[], Awaitable[None]],
        *,
        pause: float,
        again: float,
    ) -> None:
        """Start the watch of `watch`, and call `tell` when there are news.

        There are `pause` seconds between two calls. If the stream fails with a retryable error, it
        starts again after `again` seconds, as often as needed.
        """
        self._watch = watch
        self._tell = tell
        self._pause = pause
        self._again = again
        self.live: LiveWatch | None = None
        """The stream; None before it is open."""
        self._opening = asyncio.create_task(self._begin())
        self._telling: asyncio.Task[None] | None = None

    async def opened(self) -> None:
        """Wait until it is open; raises the error if it cannot open. Several callers may wait."""
        await asyncio.shield(self._opening)

    async def _begin(self) -> None:
        live = await self._open()
        self._telling = asyncio.create_task(self._run(live))

    async def _open(self) -> LiveWatch:
        live = self._watch()
        try:
            await live.open()
        except BaseException:
            await live.close()
            raise
        self.live = live
        return live

    async def _run(self, live: LiveWatch) -> None:
        had = live.positions
        while True:
            await live.wait(had)
            had = live.positions
            await self._tell()
            if live.is_over:
                if live.error is None or not live.error.retryable:
                    return
                live = await self._anew(live)
                had = live.positions
            await asyncio.sleep(self._pause)

    async def _anew(self, live: LiveWatch) -> LiveWatch:
        await live.close()
        while True:
            await asyncio.sleep(self._again)
            with contextlib.suppress(MarketDataError):
                return await self._open()

    async def close(self) -> None:
        """Stop following it."""
        tasks = [one for one in (self._opening, self._telling) if one is not None]
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, MarketDataError):
                _logger.error("following a stream failed", exc_info=outcome)
        if self.live is not None:
            await self.live.close()
