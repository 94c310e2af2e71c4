"""Live trades: each once and in order, also across a reconnect."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from marketdata._exchanges import parsing
from marketdata._streams.feed import Ended, Feed, Subject
from marketdata.errors import MarketDataError
from marketdata.models import Trade

if TYPE_CHECKING:
    from marketdata._streams.inbox import Inbox
    from marketdata._streams.upstream import Upstream

_REMEMBERED = 5_000
"""Number of ids kept to recognise repeated trades."""
_MOST_FETCHED = 5_000
"""Largest number of trades requested to fill a gap."""


class TradesFeed(Feed[Trade]):
    """The trades of a pair.

    If the exchange numbers its trades without gaps, missing numbers are requested over REST, and
    later trades wait for them. If it does not, trades missed during an interruption cannot be
    known; `Stream.unfilled` counts the interruption.
    """

    def __init__(self, upstream: Upstream, subject: Subject, ended: Ended) -> None:
        super().__init__(upstream, subject, ended)
        self._numbered = upstream.quirk.numbered_trades
        self._known: dict[str, int] = {}
        """A hash of price, amount and side by trade id, oldest first."""
        self._last: int | None = None
        """The number of the last trade passed on, if trades are numbered."""
        self._fresh: Sequence[Trade] = ()
        self._newest: Trade | None = None
        self._waiting: list[Trade] = []
        """Trades that wait for a gap before them to be filled."""
        self._filling: asyncio.Task[None] | None = None
        self._newest_elsewhere: str | None = None
        """The newest trade of a request, while the stream has sent none."""

    async def subscribe(self, api: Any) -> None:
        await api.watch_trades(self.subject.pair)

    def take(self, result: Any, at: float) -> None:
        if not hasattr(result, "getLimit"):
            return
        count = result.getLimit(None, None) or 0
        self.note_frame(at)
        raw = [one for one in result[len(result) - count :] if one["symbol"] == self.subject.pair]
        trades = parsing.trades(
            raw,
            exchange=self.upstream.id,
            pair=self.subject.pair,
            received_at=datetime.fromtimestamp(at, UTC),
            simulated=self.upstream.simulated is True,
        )
        fresh = [trade for trade in trades if self._is_new(trade)]
        if fresh:
            self._add(fresh)

    def _is_new(self, trade: Trade) -> bool:
        """Return whether a trade has not come before.

        Trades with one id that differ are two trades, unless ids are known to be trade numbers.
        """
        if trade.id is None:
            return True
        like = 0 if self._numbered else hash((trade.price, trade.amount, trade.side))
        if self._known.get(trade.id) == like:
            return False
        if len(self._known) == _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[trade.id] = like
        return True

    def _add(self, trades: list[Trade]) -> None:
        if not (self._numbered and all(_number(one) for one in trades)):
            self._pass_on(trades)
            return
        self._waiting += trades
        if len(self._waiting) > _REMEMBERED and self._filling is not None:
            self._filling.cancel()  # it takes too long
        elif self._filling is None:
            self._go_on()

    def _go_on(self) -> None:
        """Pass on the trades that follow the last one; request missing ones."""
        ready: list[Trade] = []
        last = self._last
        waiting = deque(sorted(self._waiting, key=_number))
        while waiting and (last is None or _number(waiting[0]) <= last + 1):
            trade = waiting.popleft()
            if last is None or _number(trade) > last:
                ready.append(trade)
                last = _number(trade)
        self._waiting, self._last = list(waiting), last
        if ready:
            self._pass_on(ready)
        if waiting and last is not None:
            self.gaps += 1
            self._filling = asyncio.create_task(self._fill_gap(last + 1, _number(waiting[0])))

    def lost_contact(self) -> None:
        if not self._numbered:
            self.gaps += 1
            self.unfilled += 1

    def _pass_on(self, trades: list[Trade]) -> None:
        self._fresh, self._newest = trades, trades[-1]
        newest = trades[-1]
        self.news(newest.received_at.timestamp(), newest.timestamp.timestamp() * 1000, len(trades))

    async def _fill_gap(self, start: int, end: int) -> None:
        """Request the trades with numbers from ``start`` up to ``end``, then go on."""
        found: list[Trade] = []
        before = 0 if self._newest is None else self._newest.timestamp.timestamp()
        try:
            first, pair = max(start, end - _MOST_FETCHED), self.subject.pair
            found = await self.upstream.request_again(
                lambda: self.upstream.trades_between(pair, first, end, int(before * 1000))
            )
            self.resyncs += 1
        except MarketDataError as error:
            self.error = error
        finally:
            # Also when cancelled: the trades that came meanwhile have waited long enough.
            self._filling = None
            self.unfilled += len(found) < end - start
            missed = [trade for trade in found if self._is_new(trade)]
            self._waiting = [*missed, *self._waiting]
            if self.watches:
                first = min(map(_number, self._waiting), default=end)
                self._last = first - 1
                self._go_on()

    def tell_again(self) -> None:
        """Do nothing: a trade is an event, not a state that can be sent again."""

    async def confirm(self) -> bool:
        found = await self.upstream.request(
            self.upstream.venue.trades(
                self.subject.pair, limit=1, params=self.upstream.quirk.recent_trades
            )
        )
        newest = found[-1].id if found else None
        if not self._known:
            # If somebody trades, the newest trade changes between two requests.
            before, self._newest_elsewhere = self._newest_elsewhere, newest
            return before in (None, newest)
        return newest is None or newest in self._known

    async def complete(self) -> None:
        while self._filling is not None:
            await asyncio.wait({self._filling}, timeout=self.upstream.timeout)

    async def stop(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
        await super().stop()

    def record(self, _watch: Inbox, /) -> Trade | None:
        return self.marked(self._newest)

    def hand_out(self, watch: Inbox) -> None:
        for trade in self._fresh:
            watch.put(self, trade)

    def size(self) -> int:
        return (180 if self._numbered else 215) * len(self._known) + 800 * len(self._waiting)


def _number(trade: Trade) -> int:
    return int(trade.id) if trade.id and trade.id.isdigit() else 0
