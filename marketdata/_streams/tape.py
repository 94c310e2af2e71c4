"""Live trades: each once, in order, also across an interruption."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from marketdata import _normalize
from marketdata._streams.feed import Feed, Subject
from marketdata.errors import MarketDataError
from marketdata.models import Trade

if TYPE_CHECKING:
    from marketdata._streams.hub import Hub
    from marketdata._streams.inbox import Inbox

__all__ = ["TradesFeed"]

_REMEMBERED = 5_000
"""Ids by which a trade that comes again is known."""
_MOST_FETCHED = 5_000
"""Trades that are fetched to close a gap, at most."""


class TradesFeed(Feed[Trade]):
    """The trades of a pair.

    Where the exchange numbers them without a hole, a number that is missing is asked for over
    REST, and what came meanwhile is handed out behind it.
    """

    def __init__(self, hub: Hub, subject: Subject) -> None:
        super().__init__(hub, subject)
        self._known: deque[str] = deque(maxlen=_REMEMBERED)
        self._known_set: set[str] = set()
        self._last: int | None = None
        self._fresh: Sequence[Trade] = ()
        self._newest: Trade | None = None
        self._held: list[Trade] | None = None
        """What waits for a gap to be closed; None: there is none."""
        self._closing: asyncio.Task[None] | None = None

    async def subscribe(self, api: Any) -> None:
        self.demand(api, "watchTrades")
        await api.watch_trades(self.subject.pair)

    def take(self, result: Any, at: float) -> None:
        if not hasattr(result, "getLimit"):
            return
        count = result.getLimit(None, None) or 0
        self.note_frame(at)
        raw = [one for one in result[len(result) - count :] if one["symbol"] == self.subject.pair]
        trades = _normalize.trades(
            raw,
            exchange=self.hub.id,
            pair=self.subject.pair,
            received_at=datetime.fromtimestamp(at, UTC),
            simulated=self.hub.simulated is True,
        )
        fresh = [trade for trade in trades if self._is_new(trade)]
        if fresh:
            self._add(fresh)

    def _is_new(self, trade: Trade) -> bool:
        if trade.id is None:
            return True
        if trade.id in self._known_set:
            return False
        if len(self._known) == _REMEMBERED:
            self._known_set.discard(self._known[0])
        self._known.append(trade.id)
        self._known_set.add(trade.id)
        return True

    def _add(self, trades: list[Trade]) -> None:
        if self._held is not None:
            self._held += trades
            return
        first = trades[0].id
        last = self._last
        if self.hub.quirk.numbered_trades and first is not None and first.isdigit():
            if last is not None and int(first) > last + 1:
                self.gaps += 1
                self._held = trades
                self._closing = asyncio.create_task(self._close_gap(last + 1, int(first)))
                return
            newest = trades[-1].id or first
            self._last = max(last or 0, int(newest))
        self._hand_out(trades)

    def _hand_out(self, trades: list[Trade]) -> None:
        self._fresh, self._newest = trades, trades[-1]
        newest = trades[-1]
        self.news(newest.received_at.timestamp(), newest.timestamp.timestamp() * 1000, len(trades))

    async def _close_gap(self, start: int, end: int) -> None:
        """Fetch the trades with ids from ``start`` up to ``end``, then go on."""
        try:
            found = await self.hub.trades_between(
                self.subject.pair, max(start, end - _MOST_FETCHED), end
            )
            self.resyncs += 1
        except MarketDataError as error:
            self.error = error
            found = []
        missed = [trade for trade in found if self._is_new(trade)]
        held, self._held = self._held or [], None
        trades = sorted([*missed, *held], key=_number)
        if trades:
            self._last = _number(trades[-1])
            self._hand_out(trades)

    async def confirm(self) -> bool:
        found = await self.hub.request(
            self.hub.venue.trades(self.subject.pair, limit=1, params=self.hub.quirk.recent_trades)
        )
        return not found or found[-1].id in self._known_set

    async def stop(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
        await super().stop()

    def record(self, _watch: Inbox, /) -> Trade | None:
        return self.marked(self._newest)

    def records(self, _watch: Inbox, /) -> Iterable[Trade]:
        return self._fresh

    def size(self) -> int:
        return 180 * len(self._known) + 800 * len(self._held or ())


def _number(trade: Trade) -> int:
    return int(trade.id) if trade.id and trade.id.isdigit() else 0
