"""The streams of a client: watch and record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from marketdata._client.session import Session
from marketdata.arguments import (
    Buffer,
    Delivery,
    Depth,
    EachExchange,
    PairName,
    PairNames,
    QuoteCodes,
    RecordingPath,
    RecordingProgress,
    SameAsExchange,
    SameAsExchanges,
    Seconds,
    StreamKinds,
    TimeframeName,
    WatchedExchanges,
    WatchedPairs,
    checked,
)
from marketdata.number_form import Number, Numbers

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue
    from marketdata._streams.feed import Subject
    from marketdata._streams.hub import Hub
    from marketdata._streams.watch import AsyncWatch
    from marketdata.models import (
        Candles,
        OrderBook,
        Quote,
        Recorded,
        Stream,
        Ticker,
        Trade,
    )
    from marketdata.models.aggregates import ConsolidatedOrderBook
    from marketdata.models.lists import Records


class AsyncStreams(Numbers[Number]):
    """The streams of an `AsyncClient`."""

    _session: Session

    @checked
    def watch_ticker(
        self,
        pair: WatchedPairs,
        *,
        exchange: WatchedExchanges | None = None,
        exchanges: SameAsExchange | None = None,
        delivery: Delivery = "latest",
        buffer: Buffer = 10_000,
    ) -> AsyncWatch[Ticker[Number]]:
        """Watch the 24-hour tickers of pairs: last price, best bid and ask, volume."""
        return self._session.watch("ticker", pair, exchange, delivery=delivery, buffer=buffer)

    @checked
    def watch_quote(
        self,
        pair: WatchedPairs,
        *,
        exchange: WatchedExchanges | None = None,
        exchanges: SameAsExchange | None = None,
        delivery: Delivery = "latest",
        buffer: Buffer = 10_000,
    ) -> AsyncWatch[Quote[Number]]:
        """Watch the best bids and asks of pairs with their sizes."""
        return self._session.watch("quote", pair, exchange, delivery=delivery, buffer=buffer)

    @checked
    def watch_orderbook(
        self,
        pair: WatchedPairs,
        depth: Depth = 20,
        *,
        exchange: WatchedExchanges | None = None,
        exchanges: SameAsExchange | None = None,
        delivery: Delivery = "latest",
        buffer: Buffer = 10_000,
    ) -> AsyncWatch[OrderBook[Number]]:
        """Watch the order books of pairs: every change is applied, and gaps are repaired."""
        return self._session.watch(
            "orderbook", pair, exchange, delivery=delivery, buffer=buffer, depth=depth
        )

    @checked
    def watch_consolidated_orderbook(
        self,
        pair: PairName,
        depth: Depth = 20,
        *,
        exchanges: EachExchange | None = None,
        exchange: SameAsExchanges | None = None,
        quotes: QuoteCodes | None = None,
        delivery: Delivery = "latest",
        buffer: Buffer = 10_000,
    ) -> AsyncWatch[ConsolidatedOrderBook[Number]]:
        """Watch one order book merged from several exchanges, with the sources of each level.

        A stale source is marked and left out until it is current again. A source that failed for
        good stays in the list with its error code. The first record comes once every source has an
        order book or has failed. See also `consolidated_orderbook` and `watch_orderbook`.
        """
        from marketdata._aggregation.asking import ask_each, pairs_of
        from marketdata._aggregation.watching import ConsolidatedWatch, Found

        pairs = pairs_of(pair, quotes)

        async def find() -> list[Found]:
            here = await self._session.connections()

            async def prepare(venue: Venue) -> None:
                await here.hub(venue, "orderbook")

            async def work(venue: Venue, symbol: str) -> tuple[Hub, Subject]:
                from marketdata._streams.feed import Subject

                return await here.hub(venue, "orderbook"), Subject("orderbook", symbol)

            names = exchanges or self._session.settings.exchange
            return await ask_each(self._session.ask, names, pairs, prepare, work)

        return cast(
            "AsyncWatch[ConsolidatedOrderBook[Number]]",
            ConsolidatedWatch(
                find,
                pair,
                mixed=len(pairs) > 1,
                every=delivery == "every",
                buffer=buffer,
                depth=depth,
            ),
        )

    @checked
    def watch_trades(
        self,
        pair: WatchedPairs,
        *,
        exchange: WatchedExchanges | None = None,
        exchanges: SameAsExchange | None = None,
        delivery: Delivery = "every",
        buffer: Buffer = 10_000,
    ) -> AsyncWatch[Trade[Number]]:
        """Watch the trades of pairs, one record for each trade."""
        return self._session.watch("trades", pair, exchange, delivery=delivery, buffer=buffer)

    @checked
    def watch_candles(
        self,
        pair: WatchedPairs,
        timeframe: TimeframeName = "1m",
        *,
        exchange: WatchedExchanges | None = None,
        exchanges: SameAsExchange | None = None,
        delivery: Delivery = "latest",
        buffer: Buffer = 10_000,
    ) -> AsyncWatch[Candles[Number]]:
        """Watch the candles of pairs: the open one as it changes, and each one that closes."""
        return self._session.watch(
            "candles", pair, exchange, delivery=delivery, buffer=buffer, timeframe=timeframe
        )

    @checked
    async def record(
        self,
        pairs: PairNames,
        path: RecordingPath,
        *,
        what: StreamKinds = ("trades", "orderbook"),
        exchange: WatchedExchanges | None = None,
        exchanges: SameAsExchange | None = None,
        timeframe: TimeframeName = "1m",
        depth: Depth = 100,
        seconds: Seconds | None = None,
        progress: RecordingProgress | None = None,
    ) -> Recorded:
        """Record the streams of pairs to a file, exactly as exchanges send them.

        The file is compressed and appended to. If the process is killed, at most the last second is
        lost. Recording runs for `seconds` or until it is cancelled. Each response and frame is
        stored with the time it was received. No request is signed. `replay` plays the file.
        """
        from marketdata._client.recorder import record

        return await record(
            self._session.settings,
            pairs,
            Path(path),
            what=what,
            exchanges=exchange,
            timeframe=timeframe,
            depth=depth,
            seconds=seconds,
            progress=progress,
        )

    def streams(self) -> Records[Stream]:
        """Return the state of each live subscription on the running event loop.

        Returns:
            `Records`: a list of `Stream`: state, messages, gaps, records dropped.
            Empty if nothing is watched on this loop.
        """
        from marketdata.models import Stream
        from marketdata.models.lists import Records

        return Records(self._session.streams(), of=Stream)
