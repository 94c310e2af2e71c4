"""Live candles: the bar that forms, and each bar that it leaves behind."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from marketdata import _normalize
from marketdata._columns import Columns
from marketdata._streams.feed import Feed, Subject
from marketdata.models import Candles

if TYPE_CHECKING:
    from marketdata._streams.hub import Hub
    from marketdata._streams.inbox import Inbox

__all__ = ["CandlesFeed"]

_KEPT = 1_000
"""Bars that a slow watcher can still catch up on."""


class CandlesFeed(Feed[Candles]):
    """The bars of a pair.

    A watcher gets the bars from the one on that was forming when it last looked, so that it
    misses none however slow it is. The last one counts as forming until the next has begun.
    """

    def __init__(self, hub: Hub, subject: Subject) -> None:
        super().__init__(hub, subject)
        self._bars: OrderedDict[int, list[Any]] = OrderedDict()
        self._seen: dict[int, int] = {}
        """The last bar that each watcher has got, by its identity."""

    async def subscribe(self, api: Any) -> None:
        self.demand(api, "watchOHLCV")
        await api.watch_ohlcv(self.subject.pair, self.timeframe)

    def take(self, result: Any, at: float) -> None:
        api = self.hub.api
        mine = (api.ohlcvs.get(self.subject.pair) or {}).get(self.timeframe)
        if isinstance(result, list) and len(result) == 3 and isinstance(result[0], str):
            result = result[2]
        if mine is None or result is not mine or not len(mine):
            return
        self.note_frame(at)
        newest = next(reversed(self._bars), 0)
        fresh = []
        for row in reversed(mine):
            if row[0] < newest:
                break
            fresh.append(list(row))
        for row in reversed(fresh):
            self._bars[row[0]] = row
        while len(self._bars) > _KEPT:
            self._bars.popitem(last=False)
        self.news(at, None)

    def record(self, watch: Inbox) -> Candles | None:
        if not self._bars:
            return None
        last = next(reversed(self._bars))
        seen = self._seen.get(id(watch), last)
        rows = [row for row in islice(reversed(self._bars.values()), _KEPT) if row[0] >= seen]
        self._seen[id(watch)] = last
        received = datetime.fromtimestamp(self.heard or 0.0, UTC)
        return Candles(
            exchange=self.hub.id,
            timestamp=received,
            received_at=received,
            simulated=self.hub.simulated,
            fresh_for=self.fresh_for,
            stale=True if self.interrupted else None,
            pair=self.subject.pair,
            timeframe=str(self.timeframe),
            source="candles",
            forming=True,
            missing=(),
            columns=_normalize.columns(Columns.from_rows(rows[::-1])),
        )

    async def leave(self, watch: Inbox) -> None:
        self._seen.pop(id(watch), None)
        await super().leave(watch)

    def size(self) -> int:
        return 400 * len(self._bars)
