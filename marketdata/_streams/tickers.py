"""Live tickers and quotes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from marketdata._exchanges import parsing
from marketdata._streams.feed import Ended, Feed, Subject
from marketdata.models import Quote, Ticker

if TYPE_CHECKING:
    from marketdata._streams.inbox import Inbox
    from marketdata._streams.upstream import Upstream

__all__ = ["QuoteFeed", "TickerFeed"]


class TickerFeed(Feed[Ticker]):
    """Price and volume of the last 24 hours."""

    def __init__(self, upstream: Upstream, subject: Subject, ended: Ended) -> None:
        super().__init__(upstream, subject, ended)
        self._newest: Ticker | None = None

    async def subscribe(self, api: Any) -> None:
        await api.watch_ticker(self.subject.pair, self.upstream.quirk.ticker_stream_params)

    def take(self, result: Any, at: float) -> None:
        raw = _of_pair(result, self.subject.pair)
        if raw is None:
            return
        self.note_frame(at)
        self._newest = parsing.ticker(
            raw,
            exchange=self.upstream.id,
            pair=self.subject.pair,
            window="24h",
            received_at=datetime.fromtimestamp(at, UTC),
            simulated=self.upstream.simulated is True,
        )
        self.news(at, raw["timestamp"])

    def record(self, _watch: Inbox, /) -> Ticker | None:
        return self.marked(self._newest)

    async def request(self) -> bool:
        found = await self.upstream.request(self.upstream.venue.ticker(self.subject.pair))
        if not self.is_asking:
            return False  # the first frame has come meanwhile
        self._newest, self.heard = found, time.time()
        self.news(self.heard, None)
        return True

    async def confirm(self) -> bool:
        now, newest = (
            await self.upstream.request(self.upstream.venue.ticker(self.subject.pair)),
            self._newest,
        )
        return newest is not None and (now.last, now.close) == (newest.last, newest.close)

    def size(self) -> int:
        return 2_000 if self._newest is not None else 0


class QuoteFeed(Feed[Quote]):
    """Best bid and ask."""

    def __init__(self, upstream: Upstream, subject: Subject, ended: Ended) -> None:
        super().__init__(upstream, subject, ended)
        self._newest: Quote | None = None

    async def subscribe(self, api: Any) -> None:
        if api.has.get("watchBidsAsks"):
            await api.watch_bids_asks([self.subject.pair])
        else:
            await api.watch_ticker(self.subject.pair, self.upstream.quirk.ticker_stream_params)

    def take(self, result: Any, at: float) -> None:
        raw = _of_pair(result, self.subject.pair)
        if raw is None or (raw.get("bid") is None and raw.get("ask") is None):
            return
        self.note_frame(at)
        self._newest = parsing.quote(
            raw,
            exchange=self.upstream.id,
            pair=self.subject.pair,
            source="quote" if self.upstream.api.has.get("watchBidsAsks") else "ticker",
            received_at=datetime.fromtimestamp(at, UTC),
            simulated=self.upstream.simulated is True,
        )
        self.news(at, raw["timestamp"])

    def record(self, _watch: Inbox, /) -> Quote | None:
        return self.marked(self._newest)

    async def request(self) -> bool:
        found = await self.upstream.request(self.upstream.venue.quote(self.subject.pair))
        if not self.is_asking:
            return False  # the first frame has come meanwhile
        self._newest, self.heard = found, time.time()
        self.news(self.heard, None)
        return True

    async def confirm(self) -> bool:
        now, newest = (
            await self.upstream.request(self.upstream.venue.quote(self.subject.pair)),
            self._newest,
        )
        return newest is not None and (now.bid, now.ask) == (newest.bid, newest.ask)

    def size(self) -> int:
        return 1_500 if self._newest is not None else 0


def _of_pair(result: Any, pair: str) -> Mapping[str, Any] | None:
    """Return ccxt's ticker structure of a pair; some connectors send several, by pair."""
    if not isinstance(result, dict):
        return None
    if "symbol" not in result:
        result = result.get(pair)
    return result if isinstance(result, dict) and result.get("symbol") == pair else None
