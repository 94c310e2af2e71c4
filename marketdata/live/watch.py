"""A watch that is read in the background, for readers that poll."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from marketdata.errors import InternalError, MarketDataError
from marketdata.live.news import News, data_of, doing
from marketdata.models import StreamKind
from marketdata.models.newest import Newest, Row, Series, State, trade_row

if TYPE_CHECKING:
    from marketdata._client.asynchronous import AsyncClient

__all__ = ["LiveWatch"]

_BUFFER = 100_000
"""The buffer for trades that arrive while the event loop is busy."""

_logger = logging.getLogger(__name__)


class LiveWatch:
    """One watch of the library, with its newest records."""

    def __init__(
        self,
        client: AsyncClient,
        kind: StreamKind,
        pairs: Sequence[str],
        *,
        exchange: str | None = None,
        depth: int = 20,
        timeframe: str = "1m",
        kept: int,
    ) -> None:
        """Check the arguments; `kept` is the number of kept trades, or candles of a pair."""
        self.kind = kind
        self.depth = depth if kind == "orderbook" else None
        self.timeframe = timeframe if kind == "candles" else None
        self.error: MarketDataError | None = None
        self.is_over = False
        more: dict[str, dict[str, Any]] = {
            "orderbook": {"depth": depth},
            "candles": {"timeframe": timeframe},
            "trades": {"buffer": _BUFFER},
        }
        watch = getattr(client, f"watch_{kind}")
        self._watch = watch(list(pairs), exchange=exchange, **more.get(kind, {}))
        # Each pair has its own buffer, so that a busy one does not displace a quiet one.
        room = max(1, kept // len(pairs)) if kind == "trades" else kept
        self._newest = Newest(room, trade_row)
        self._news = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start to watch; raises the errors of a call for the same pairs."""
        await self._watch.open()
        self.look()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while records := await self._watch.batch():
                self._newest.take(records)
                self._tell()
        except MarketDataError as error:
            self.error = error
        except Exception:
            _logger.exception("a watch of %s failed", self.kind)
            self.error = InternalError("The watch failed inside the server; its log says why.")
        finally:
            self.is_over = True
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def close(self) -> None:
        """Stop the watch; waiting readers return."""
        self.is_over = True
        self._tell()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        await self._watch.close()

    # ------------------------------------------------------------------ for readers

    @property
    def subjects(self) -> list[State]:
        """The watched subjects; empty before it is open."""
        return self._newest.states

    @property
    def positions(self) -> list[int]:
        """The position after everything received."""
        return [subject.count for subject in self.subjects]

    async def first(self, seconds: float) -> None:
        """Wait until each subject has data, or until the time limit."""
        await self._until(lambda: all(self.positions), seconds)

    async def wait(self, positions: Sequence[int], seconds: float | None = None) -> bool:
        """Wait for news after the positions; return whether there are any or the watch ended."""
        return await self._until(lambda: self.positions != list(positions), seconds)

    async def _until(self, is_enough: Callable[[], bool], seconds: float | None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while not (self.is_over or is_enough()):
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def look(self) -> None:
        """Update the state of the streams."""
        self._newest.look(self._watch.streams, failed=self.error is not None)

    def news(self, positions: Sequence[int], most: int) -> tuple[list[int], tuple[News, ...]]:
        """Return the news for a reader at these positions, and its next positions.

        The limits are a number of trades, of candles of a pair, or of levels per side.
        """
        found = [
            subject.rows(position, most) if isinstance(subject, Series) else []
            for subject, position in zip(self.subjects, positions, strict=True)
        ]
        if self.kind == "trades":
            numbers = heapq.nsmallest(most, (number for rows in found for number, _ in rows))
            found = [[one for one in rows if one[0] <= numbers[-1]] for rows in found]
        told = [
            self._told(subject, position, [row for _, row in rows], most)
            for subject, position, rows in zip(self.subjects, positions, found, strict=True)
        ]
        return [after for after, _ in told], tuple(news for _, news in told)

    def _told(self, subject: State, position: int, rows: list[Row], most: int) -> tuple[int, News]:
        after = subject.count
        if isinstance(subject, Series):
            after = subject.after(position, len(rows))
        updates, dropped = subject.behind(position)
        return after, News(
            **doing(subject),
            updates=updates,
            unread=subject.behind(after)[0],
            dropped=dropped,
            gaps=subject.stream.gaps,
            **data_of(self.kind, subject, rows, most),
        )
