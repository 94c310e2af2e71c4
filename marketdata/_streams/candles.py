"""Live candles: the open candle, and each candle once it has closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

from marketdata._candles.calendar import known
from marketdata._exchanges import parsing
from marketdata._streams.feed import Ended, Feed, Subject
from marketdata.errors import MarketDataError
from marketdata.models import Candles
from marketdata.models.columns import Columns

if TYPE_CHECKING:
    from marketdata._streams.inbox import Inbox
    from marketdata._streams.upstream import Upstream

_KEPT = 1_000
"""Candles that are kept for watchers that read slowly."""


class CandlesFeed(Feed[Candles]):
    """The candles of a pair.

    Each record starts with the candle that was open when the watcher last took one, so a slow
    watcher misses none. The last candle counts as open until the next one has opened.
    """

    def __init__(self, upstream: Upstream, subject: Subject, ended: Ended) -> None:
        super().__init__(upstream, subject, ended)
        self._rows: dict[int, Sequence[Any]] = {}
        """Rows by opening time, ascending."""
        self._seen: dict[int, int] = {}
        """The opening time of the last candle that each watcher has, by the watcher's id."""
        self._is_unsure = False
        """Whether candles may have been missed since the last one."""
        self._filling: asyncio.Task[None] | None = None
        self._newest_elsewhere: Sequence[Any] | None = None
        """The newest candle of a request, while the stream has sent none."""

    async def subscribe(self, api: Any) -> None:
        await api.watch_ohlcv(self.subject.pair, self.timeframe)

    def begin_anew(self) -> None:
        self._is_unsure = bool(self._rows)

    def take(self, result: Any, at: float) -> None:
        if isinstance(result, list) and len(result) == 3 and isinstance(result[0], str):
            result = result[2]  # after the pair and the timeframe
        kept = self.upstream.api.ohlcvs.get(self.subject.pair) or {}
        rows: Any = kept.get(self.timeframe)
        if result is not rows or not len(rows):
            return
        self.note_frame(at)
        newest = self._newest
        # ccxt's rows do not have the number of trades.
        fresh = [
            (*row[:6], None) for row in takewhile(lambda row: row[0] >= newest, reversed(rows))
        ]
        fresh.reverse()
        skipped = self.upstream.quirk.quiet_bars and self._has_gap(newest, fresh)
        if skipped and not self._is_unsure:
            self.gaps += 1
        missed = self._is_unsure or skipped
        self._is_unsure = False
        self._rows.update((row[0], row) for row in fresh)
        if missed and self._filling is None:
            self._filling = asyncio.create_task(self._fill(newest))
        elif self._filling is None:
            self._tell(at)

    def _has_gap(self, newest: int, fresh: Sequence[Sequence[Any]]) -> bool:
        """Return whether a candle is missing after the newest known one."""
        times = [newest, *(row[0] for row in fresh if row[0] > newest)]
        calendar = known(self.upstream.id, str(self.timeframe))
        return newest > 0 and any(calendar.end(this) < after for this, after in pairwise(times))

    def _tell(self, at: float) -> None:
        for old in list(self._rows)[: max(0, len(self._rows) - _KEPT)]:
            del self._rows[old]
        self.news(at, None)

    @property
    def _newest(self) -> int:
        return next(reversed(self._rows), 0)

    async def _fill(self, start: int) -> None:
        """Request the candles from ``start`` on: that one was still open when it last came."""
        try:
            pair, timeframe = self.subject.pair, str(self.timeframe)
            found = await self.upstream.request_again(
                lambda: self.upstream.candles_from(pair, timeframe, start)
            )
            self.resyncs += 1
            newest = self._newest
            missed = {row[0]: row for row in found if start <= row[0] < newest}
            self._rows = dict(sorted({**self._rows, **missed}.items()))
        except MarketDataError as error:
            self.error = error
            self.unfilled += 1
        finally:
            self._filling = None
        self._tell(self.heard or time.time())

    async def confirm(self) -> bool:
        newest = self._newest
        if newest:
            found = await self.upstream.candles_from(self.subject.pair, str(self.timeframe), newest)
            return len(found) == 1 and found.row(0)[:6] == self._rows[newest][:6]
        found = await self.upstream.candles_from(self.subject.pair, str(self.timeframe), None)
        last = found.row(len(found) - 1) if len(found) else None
        before, self._newest_elsewhere = self._newest_elsewhere, last
        return before in (None, last)

    async def complete(self) -> None:
        if self._filling is not None:
            await asyncio.wait({self._filling}, timeout=self.upstream.timeout)

    async def stop(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
        await super().stop()

    def record(self, watch: Inbox, /) -> Candles | None:
        if not self._rows or self._filling is not None:
            return None  # a watcher that got the newest candle now would miss those before it
        last = self._newest
        seen = self._seen.get(id(watch), last)
        rows = list(takewhile(lambda row: row[0] >= seen, reversed(self._rows.values())))
        self._seen[id(watch)] = last
        received = datetime.fromtimestamp(self.heard or 0.0, UTC)
        made = Candles(
            exchange=self.upstream.id,
            timestamp=received,
            received_at=received,
            simulated=self.upstream.simulated,
            fresh_for=self.fresh_for,
            stale=True if self.interrupted else None,
            pair=self.subject.pair,
            timeframe=str(self.timeframe),
            source="candles",
            forming=True,
            missing=(),
            columns=parsing.columns(Columns.from_rows(rows[::-1])),
        )
        return self.received(made)

    async def leave(self, watch: Inbox) -> None:
        self._seen.pop(id(watch), None)
        await super().leave(watch)

    def size(self) -> int:
        return 400 * len(self._rows)
