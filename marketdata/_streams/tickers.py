"""Live tickers and quotes."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from marketdata._exchanges import parsing
from marketdata._streams.feed import Ended, Feed, Subject
from marketdata.models import Quote, Ticker

if TYPE_CHECKING:
    from marketdata._streams.inbox import Inbox
    from marketdata._streams.upstream import Upstream

R = TypeVar("R", Ticker, Quote)


class _NewestFeed(Feed[R]):
    """A stream of one record that each frame replaces."""

    compared: ClassVar[tuple[str, str]]
    """The fields by which a silent stream is compared with a requested record."""
    bytes_held: ClassVar[int]
    """The approximate size of a record."""

    def __init__(self, upstream: Upstream, subject: Subject, ended: Ended) -> None:
        super().__init__(upstream, subject, ended)
        self._newest: R | None = None

    @abstractmethod
    def _parsed(self, raw: Mapping[str, Any], received_at: datetime) -> R | None:
        """Return the record of ccxt's ticker structure; None if it holds none."""

    @abstractmethod
    def _requested(self) -> Awaitable[R]:
        """Request the record over REST."""

    def take(self, result: Any, at: float) -> None:
        raw = _of_pair(result, self.subject.pair)
        made = None if raw is None else self._parsed(raw, datetime.fromtimestamp(at, UTC))
        if raw is None or made is None:
            return
        self.note_frame(at)
        self._newest = made
        self.news(at, raw["timestamp"])

    def record(self, _watch: Inbox, /) -> R | None:
        return self.marked(self._newest)

    async def request(self) -> bool:
        found = await self.upstream.request(self._requested())
        if not self.is_asking:
            return False  # the first frame has come meanwhile
        self._newest, self.heard = found, time.time()
        self.news(self.heard, None)
        return True

    async def confirm(self) -> bool:
        now, newest = await self.upstream.request(self._requested()), self._newest
        return newest is not None and all(
            getattr(now, name) == getattr(newest, name) for name in self.compared
        )

    def size(self) -> int:
        return 0 if self._newest is None else self.bytes_held


class TickerFeed(_NewestFeed[Ticker]):
    """Price and volume of the last 24 hours."""

    compared = ("last", "close")
    bytes_held = 2_000

    async def subscribe(self, api: Any) -> None:
        await api.watch_ticker(self.subject.pair, self.upstream.quirk.ticker_stream_params)

    def _parsed(self, raw: Mapping[str, Any], received_at: datetime) -> Ticker:
        return parsing.ticker(
            raw,
            exchange=self.upstream.id,
            pair=self.subject.pair,
            window="24h",
            received_at=received_at,
            simulated=self.upstream.simulated is True,
        )

    def _requested(self) -> Awaitable[Ticker]:
        return self.upstream.venue.ticker(self.subject.pair)


class QuoteFeed(_NewestFeed[Quote]):
    """Best bid and ask."""

    compared = ("bid", "ask")
    bytes_held = 1_500

    async def subscribe(self, api: Any) -> None:
        if api.has.get("watchBidsAsks"):
            await api.watch_bids_asks([self.subject.pair])
        else:
            await api.watch_ticker(self.subject.pair, self.upstream.quirk.ticker_stream_params)

    def _parsed(self, raw: Mapping[str, Any], received_at: datetime) -> Quote | None:
        if raw.get("bid") is None and raw.get("ask") is None:
            return None
        return parsing.quote(
            raw,
            exchange=self.upstream.id,
            pair=self.subject.pair,
            source="quote" if self.upstream.api.has.get("watchBidsAsks") else "ticker",
            received_at=received_at,
            simulated=self.upstream.simulated is True,
        )

    def _requested(self) -> Awaitable[Quote]:
        return self.upstream.venue.quote(self.subject.pair)


def _of_pair(result: Any, pair: str) -> Mapping[str, Any] | None:
    """Return ccxt's ticker structure of a pair; some connectors send several, by pair."""
    if not isinstance(result, dict):
        return None
    if "symbol" not in result:
        result = result.get(pair)
    return result if isinstance(result, dict) and result.get("symbol") == pair else None
