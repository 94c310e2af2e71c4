"""Every operation as the caller sees it: arguments checked, exchange chosen, records returned."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, TypeVar, cast, overload

from marketdata import arguments
from marketdata._client.session import Session
from marketdata._client.several import several
from marketdata.arguments import (
    Active,
    Aggregate,
    Amount,
    Ascending,
    AverageWindow,
    BarLimit,
    BaseCode,
    Buffer,
    Delivery,
    Depth,
    EachExchange,
    End,
    ExchangeId,
    Fill,
    MinQuoteVolume,
    OnlyQuote,
    OrderSide,
    PairName,
    PairNames,
    PlayedPath,
    QuoteAmount,
    QuoteCode,
    QuoteCodes,
    RecordingPath,
    RecordingProgress,
    Refresh,
    RefreshLists,
    SameAsExchange,
    SameAsExchanges,
    Search,
    Seconds,
    Speed,
    Start,
    StreamKinds,
    Strict,
    TickerField,
    TickerLimit,
    TimeframeName,
    TradeId,
    TradeLimit,
    UseStore,
    WaitFor,
    WatchedExchanges,
    WatchedPairs,
    Window,
    checked,
)
from marketdata.errors import (
    InvalidParameterError,
    MarketDataError,
    MissingParameterError,
    PairNotSupportedError,
)
from marketdata.number_form import Number, Numbers

if TYPE_CHECKING:
    from decimal import Decimal

    from marketdata._client.archive import AsyncHistory
    from marketdata._exchanges.exchange import Venue
    from marketdata._streams.feed import Subject
    from marketdata._streams.hub import Hub
    from marketdata._streams.watch import AsyncWatch
    from marketdata.models import (
        AveragePrice,
        Candles,
        Exchange,
        Fees,
        OrderBook,
        Pair,
        Quote,
        Recorded,
        Status,
        Stream,
        Ticker,
        Trade,
        Upstream,
    )
    from marketdata.models.aggregates import Comparison, ConsolidatedOrderBook, ExecutionCost
    from marketdata.models.lists import Records
    from marketdata.settings import Settings

__all__ = ["AsyncClient"]

T = TypeVar("T")


class AsyncClient(Numbers[Number]):
    """Market data of spot exchanges for code that awaits.

    ``exchange``, or ``exchanges``, names the exchange for calls that name none, or several in order
    of preference; the other arguments override the MARKETDATA_* variable of the same name
    (`Settings`).

    ``numbers="decimal"`` gives Decimals in place of floats, digit by digit what the exchange sent,
    and text in JSON. Trading rules and public fees are the exception: they are kept on disk as
    floats, so that theirs are right to 15 digits. The candle store holds floats as well: `candles`
    then neither reads nor fills it and asks the exchange each time; `history` is as ever.

    Connections belong to the running event loop; `close`, or the end of ``async with`` or of
    ``asyncio.run``, ends them. Every operation raises errors under `MarketDataError` only.
    """

    @overload
    def __init__(
        self: AsyncClient[float],
        exchange: str | Sequence[str] | None = None,
        *,
        exchanges: str | Sequence[str] | None = None,
        sim: bool | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        max_calls: int | None = None,
        trip_after: int | None = None,
        numbers: Literal["float"] | None = None,
        home: str | Path | None = None,
        redis: str | None = None,
        endpoints: dict[str, str] | None = None,
        settings: Settings | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: AsyncClient[Decimal],
        exchange: str | Sequence[str] | None = None,
        *,
        exchanges: str | Sequence[str] | None = None,
        sim: bool | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        max_calls: int | None = None,
        trip_after: int | None = None,
        numbers: Literal["decimal"],
        home: str | Path | None = None,
        redis: str | None = None,
        endpoints: dict[str, str] | None = None,
        settings: Settings | None = None,
    ) -> None: ...
    def __init__(
        self,
        exchange: str | Sequence[str] | None = None,
        *,
        exchanges: str | Sequence[str] | None = None,
        sim: bool | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        max_calls: int | None = None,
        trip_after: int | None = None,
        numbers: Literal["float", "decimal"] | None = None,
        home: str | Path | None = None,
        redis: str | None = None,
        endpoints: dict[str, str] | None = None,
        settings: Settings | None = None,
    ) -> None:
        if settings is None:
            from marketdata.settings import Settings

            settings = Settings.from_environment(
                exchange=arguments.one_of(exchange=exchange, exchanges=exchanges),
                sim=sim,
                timeout=timeout,
                retries=retries,
                max_calls=max_calls,
                trip_after=trip_after,
                numbers=numbers,
                home=home,
                redis=redis,
                endpoints=endpoints,
            )
        self._session = Session(settings)

    @property
    def settings(self) -> Settings:
        """Give the settings that the client was made with."""
        return self._session.settings

    def preferring(self, *exchanges: str, among: Collection[str] | None = None) -> Self:
        """Give this client with other exchanges for calls that name none.

        `pairs` that searches all exchanges looks only at those ``among``; None: at all. Both
        clients share their connections; closing one closes the other.
        """
        twin = copy.copy(self)
        twin._session = self._session.preferring(exchanges, among)
        return twin

    # ------------------------------------------------------------------ operations

    @checked
    async def exchanges(self) -> Records[Exchange]:
        """List the spot exchanges with what each can do.

        Made from the installed ccxt, without a request. The simulated exchange lists its own.
        """
        from marketdata.models import Exchange
        from marketdata.models.lists import Records

        return Records(await self._session.exchanges(), of=Exchange)

    @checked
    async def pairs(
        self,
        *,
        exchange: ExchangeId | None = None,
        base: BaseCode | None = None,
        quote: QuoteCode | None = None,
        search: Search | None = None,
        active: Active = True,
        refresh: RefreshLists = False,
    ) -> Records[Pair[Number]]:
        """List an exchange's active spot pairs with their trading rules, by name.

        With `active=False` those that it lists but has halted, instead.
        The exchange's list is fetched once a day and kept on disk for a week. With `search` and no
        exchange, the lists of all exchanges that are on the disk are searched, without a request;
        each pair says its exchange and when that list was fetched. Where there is none yet, the
        default exchange's is fetched. `refresh` fetches the list first, or with `search` alone that
        of every spot exchange; those that fail keep the one they had.
        """
        from marketdata.models import Pair
        from marketdata.models.lists import Records

        if search is not None and exchange is None:
            if refresh:
                await self._session.refresh_lists()
            found = await self._session.find_pairs(search, base=base, quote=quote, active=active)
            return Records(cast("list[Pair[Number]]", found[1]), of=Pair)

        async def work(venue: Venue) -> list[Pair[Number]]:
            wanted = {"base": base, "quote": quote, "search": search}
            return cast(
                "list[Pair[Number]]", await venue.pairs(**wanted, active=active, refresh=refresh)
            )

        return Records(await self._session.ask(exchange, work), of=Pair)

    async def page_of_pairs(
        self,
        search: str,
        *,
        base: str | None = None,
        quote: str | None = None,
        active: bool = True,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[int, list[Pair[Number]]]:
        """Give part of what `pairs` finds on all exchanges, and how many there are in all.

        At most ``limit`` pairs from ``offset`` on; the rest costs nearly nothing.
        """

        return cast(
            "tuple[int, list[Pair[Number]]]",
            await self._session.find_pairs(
                search, base=base, quote=quote, active=active, limit=limit, offset=offset
            ),
        )

    @checked
    async def ticker(
        self, pair: PairName, *, exchange: ExchangeId | None = None, window: Window = "24h"
    ) -> Ticker[Number]:
        """Get a pair's last price, best bid and ask, and its high, low, volume and change.

        Over the last 24 hours, or over `window`. A window that the exchange does not offer is
        worked out from its candles; `source` says which. Bid and ask that its ticker of the last
        24 hours lacks are those of its order book; `derived_fields` names them.
        """

        async def work(venue: Venue) -> Ticker:
            from marketdata._candles.windows import check_window, ticker_over

            venue.check("ticker")
            check_window(venue, window)
            symbol = await venue.listed.symbol(pair)
            return await ticker_over(venue, symbol, window)

        return cast("Ticker[Number]", await self._session.ask(exchange, work))

    @checked
    async def tickers(
        self,
        pairs: PairNames | None = None,
        *,
        sort: TickerField | None = None,
        ascending: Ascending = False,
        quote: OnlyQuote | None = None,
        min_quote_volume: MinQuoteVolume | None = None,
        limit: TickerLimit | None = None,
        exchange: ExchangeId | None = None,
    ) -> Records[Ticker[Number]]:
        """Get the 24-hour tickers of several pairs, in one request where possible.

        Of all that there are, by name, where `pairs` is left out; else in the order asked for.
        `sort` ranks them by a field, the highest first. A pair whose field is not known comes last;
        one whose volume is not known is left out where `min_quote_volume` is given. Named pairs
        that have nothing, such as one that was never traded, are in `errors` of the list. An
        exchange without a call for several is asked for each pair. What tickers of several pairs
        lack stays out: only `ticker` takes bid and ask from the order book then.
        """
        from marketdata._candles.ranking import Ranking
        from marketdata.models import Ticker
        from marketdata.models.lists import Records

        wanted = Ranking(sort, ascending, quote, min_quote_volume, limit)

        async def work(venue: Venue) -> Records[Ticker[Number]]:
            venue.check("tickers")
            return cast("Records[Ticker[Number]]", await wanted.of(venue, pairs))

        found = await self._session.ask(exchange, work)
        return Records(found, found.errors, of=Ticker)

    @checked
    async def average_price(
        self, pair: PairName, window: AverageWindow = "5m", *, exchange: ExchangeId | None = None
    ) -> AveragePrice[Number]:
        """Get the average price of a pair over the last minutes or hours, weighted by volume.

        The exchange's own where it has one for this window (Binance, for 5m). Else of the trades
        in the window, where one answer holds them all, or of candles: their typical price (mean of
        high, low and close) weighted by volume. `source` says which. Raises `DataUnavailableError`
        where nothing was traded in the window.
        """

        async def work(venue: Venue) -> AveragePrice:
            from marketdata._candles.averages import average_price, check

            check(venue, window)
            symbol = await venue.listed.symbol(pair)
            return await average_price(venue, symbol, window)

        return cast("AveragePrice[Number]", await self._session.ask(exchange, work))

    @checked
    async def quote(self, pair: PairName, *, exchange: ExchangeId | None = None) -> Quote[Number]:
        """Get the best bid and ask of a pair with their sizes."""

        async def work(venue: Venue) -> Quote:
            venue.check("quote")
            return await venue.quote(await venue.listed.symbol(pair))

        return cast("Quote[Number]", await self._session.ask(exchange, work))

    @checked
    async def quotes(
        self, pairs: PairNames | None = None, *, exchange: ExchangeId | None = None
    ) -> Records[Quote[Number]]:
        """Get the best bids and asks of several pairs, in one request where possible.

        In the order asked for; all there are, by name, where `pairs` is left out. Named pairs for
        which nobody bids or asks are in `errors` of the list.
        """

        from marketdata.models import Quote
        from marketdata.models.lists import Records

        async def work(venue: Venue) -> Records[Quote[Number]]:
            venue.check("quotes")
            return cast(
                "Records[Quote[Number]]",
                await venue.quotes(await venue.listed.symbols(pairs), every=pairs is None),
            )

        found = await self._session.ask(exchange, work)
        return Records(found, found.errors, of=Quote)

    @checked
    async def orderbook(
        self, pair: PairName, depth: Depth = 20, *, exchange: ExchangeId | None = None
    ) -> OrderBook[Number]:
        """Get a snapshot of a pair's order book: at most `depth` levels a side, best first."""

        async def work(venue: Venue) -> OrderBook:
            venue.check("orderbook")
            return await venue.orderbook(await venue.listed.symbol(pair), depth)

        return cast("OrderBook[Number]", await self._session.ask(exchange, work))

    @several
    @checked
    async def candles(
        self,
        pair: PairName,
        timeframe: TimeframeName = "1h",
        *,
        limit: BarLimit | None = None,
        start: Start | None = None,
        end: End | None = None,
        fill: Fill = "none",
        strict: Strict = False,
        refresh: Refresh = False,
        store: UseStore = True,
        exchange: ExchangeId | None = None,
    ) -> Candles[Number]:
        """Get a pair's bars (open, high, low, close, volume), oldest first.

        The newest 100, or `limit`; or all that open from `start` on and before `end` (now, where
        it is left out). Of such a range, closed bars are kept on disk and never fetched twice.
        The result says whether its last bar is still forming, and which bars are missing and why.
        """
        from marketdata._candles.questions import Question, candles, delisted, stored
        from marketdata._candles.series import Keep
        from marketdata._client.progress import fetching
        from marketdata._exchanges.markets_cache import source

        asked = Question(
            timeframe,
            limit=limit,
            start=None if start is None else arguments.instant(start),
            end=None if end is None else arguments.instant(end),
            fill=fill,
            strict=strict,
        )
        opened = await self._session.store()
        kept = None if isinstance(opened, MarketDataError) else opened
        # What is stored are floats: Decimals come from the exchange each time.
        reads = store and self.settings.numbers == "float"
        keep = Keep(kept, read=reads, refresh=refresh and reads)
        if keep.store is not None and reads and not refresh and not self.settings.sim:
            name = exchange or self.settings.exchange[0]
            origin = source(name, self.settings.endpoints.get(name))
            known = await asyncio.to_thread(
                stored, keep.store, self._session.catalogue(), origin, name, pair, asked
            )
            if known is not None:
                return cast("Candles[Number]", known)

        async def work(venue: Venue) -> Candles:
            venue.check("candles")
            try:
                symbol = await venue.listed.symbol(pair, halted=True)
            except PairNotSupportedError:
                gone = None
                if keep.store is not None and reads:
                    gone = await delisted(keep.store, venue.id, pair, asked)
                if gone is None:
                    raise
                return gone
            with fetching(symbol, asked.timeframe, asked.start, asked.end) as keep.progress:
                return await candles(venue, symbol, asked, keep)

        return cast("Candles[Number]", await self._session.ask(exchange, work))

    @checked
    async def trades(
        self,
        pair: PairName,
        *,
        limit: TradeLimit = 100,
        start: Start | None = None,
        from_id: TradeId | None = None,
        aggregate: Aggregate = False,
        exchange: ExchangeId | None = None,
    ) -> Records[Trade[Number]]:
        """Get a pair's trades, oldest first: the newest, or from a time or a trade id on.

        At most `limit`, and at most what the exchange gives in one answer. `aggregate` merges
        the fills of one order at one price.
        """
        from marketdata.models import Trade
        from marketdata.models.lists import Records

        async def work(venue: Venue) -> list[Trade[Number]]:
            from marketdata._candles.trades import check as check_trades
            from marketdata._candles.trades import trades

            since = None if start is None else arguments.instant(start)
            venue.check("trades")
            check_trades(venue, start=since, from_id=from_id)
            symbol = await venue.listed.symbol(pair)
            return cast(
                "list[Trade[Number]]",
                await trades(
                    venue, symbol, limit=limit, start=since, from_id=from_id, aggregate=aggregate
                ),
            )

        return Records(await self._session.ask(exchange, work), of=Trade)

    @checked
    async def status(self, *, exchange: ExchangeId | None = None) -> Status:
        """Tell whether an exchange answers, how fast, and how its clock differs from ours.

        An exchange that does not answer is an answer too: `reachable` is false then.
        """

        async def work(venue: Venue) -> Status:
            venue.check("status")
            return await venue.status()

        return await self._session.ask(exchange, work, one=True)

    @checked
    async def fees(self, pair: PairName, *, exchange: ExchangeId | None = None) -> Fees[Number]:
        """Get the maker and taker fees of a pair: the account's own, or the public ones.

        The account's where keys of the exchange are configured (MARKETDATA_<EXCHANGE>_API_KEY and
        so on) and the exchange tells, by a signed request that only reads; `source` says which.
        """

        async def work(venue: Venue) -> Fees:
            venue.check("fees")
            return await venue.fees(await venue.listed.symbol(pair))

        return cast("Fees[Number]", await self._session.ask(exchange, work))

    # ------------------------------------------------------------------ several at once

    @checked
    async def compare(
        self,
        pair: PairName,
        *,
        exchanges: EachExchange | None = None,
        exchange: SameAsExchanges | None = None,
        quotes: QuoteCodes | None = None,
    ) -> Comparison[Number]:
        """Compare a pair on several exchanges: prices, spreads, volumes, and who is best.

        All are asked at once; whoever fails, or does not answer in the time of a call, is a row
        with the code of its error. Other quote currencies than the pair's own are taken only where
        `quotes` names them, and then at par: a USDC counts as a USDT. Only the US dollar and its
        stablecoins are taken so. Pairs that an exchange trades in one book count once.
        """
        from marketdata._aggregation.comparing import compare

        return cast(
            "Comparison[Number]",
            await compare(self._session.ask, pair, exchanges or self.settings.exchange, quotes),
        )

    @checked
    async def consolidated_orderbook(
        self,
        pair: PairName,
        depth: Depth = 20,
        *,
        exchanges: EachExchange | None = None,
        exchange: SameAsExchanges | None = None,
        quotes: QuoteCodes | None = None,
    ) -> ConsolidatedOrderBook[Number]:
        """Get one order book of several exchanges, whose levels know who quotes them.

        At most `depth` prices a side, best first; it may be crossed. All are asked at once; whoever
        has no book in the time of a call is a source with the code of its error. Other quote
        currencies than the pair's own are taken only where `quotes` names them, and then at par.
        Raises an error only where no exchange has a book.
        """
        from marketdata._aggregation.consolidating import consolidate

        names = exchanges or self.settings.exchange
        return cast(
            "ConsolidatedOrderBook[Number]",
            await consolidate(self._session.ask, pair, names, depth, quotes),
        )

    @checked
    async def execution_cost(
        self,
        pair: PairName,
        *,
        side: OrderSide,
        amount: Amount | None = None,
        quote_amount: QuoteAmount | None = None,
        depth: Depth = 100,
        exchanges: EachExchange | None = None,
        exchange: SameAsExchanges | None = None,
        quotes: QuoteCodes | None = None,
    ) -> ExecutionCost[Number]:
        """Work out what buying or selling at once would cost, split over exchanges at best.

        Levels are taken in the order of their prices with public taker fees, which is the cheapest
        split: a unit costs price x (1 + fee), or brings price x (1 - fee). Either `amount` or
        `quote_amount` is given; what exceeds the `depth` levels of each book is `unfilled`. A fee
        that is not known counts for nothing in that order, and `total` is not known then. Nothing
        is ordered; steps, minima and transfers between exchanges are not looked at. Raises an error
        only where no exchange has a book.
        """
        from marketdata._aggregation.costing import Order, execution_cost

        if amount is None and quote_amount is None:
            raise MissingParameterError(
                "An order needs 'amount' or 'quote_amount'.",
                details={"operation": "execution_cost", "parameter": "amount"},
            )
        if amount is not None and quote_amount is not None:
            raise InvalidParameterError(
                "An order has 'amount' or 'quote_amount', not both.",
                details={"operation": "execution_cost", "parameter": "quote_amount"},
            )
        order = Order(side, amount, quote_amount)
        names = exchanges or self.settings.exchange
        return cast(
            "ExecutionCost[Number]",
            await execution_cost(self._session.ask, pair, order, names, depth, quotes),
        )

    @property
    def history(self) -> AsyncHistory:
        """The stored candles: download, list, verify, repair, export and remove."""
        from marketdata._client.archive import AsyncHistory

        return AsyncHistory(self._session.in_floats())

    # ------------------------------------------------------------------ streams

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
        """Watch the 24-hour tickers of pairs: their last prices, best bids and asks, volumes."""
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
        """Watch the order books of pairs: every change is applied, lost ones are mended."""
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
        """Watch one order book of several exchanges, whose levels know who quotes them.

        A source that goes stale is left out, and marked, until it is fresh again; what cannot be
        mended stays as a source with its code. The first record comes when each source has its book
        or has failed. Otherwise as `consolidated_orderbook` and `watch_orderbook`.
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

            names = exchanges or self.settings.exchange
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
        """Watch the trades of pairs, one after the other."""
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
        """Watch the bars of pairs: the one that forms, and those that it leaves behind."""
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
        """Write what exchanges stream about pairs to a file, as they send it, to be played again.

        Compressed and appended to; a second's worth is lost at most when the process is killed.
        Runs until `seconds` are over or it is cancelled; answers and frames stand in the file with
        the time they were received. Nothing is signed meanwhile. `replay` plays it.
        """
        from marketdata._client.recorder import record

        return await record(
            self.settings,
            pairs,
            Path(path),
            what=what,
            exchanges=exchange,
            timeframe=timeframe,
            depth=depth,
            seconds=seconds,
            progress=progress,
        )

    @checked
    def replay(
        self, path: PlayedPath, speed: Speed = 1.0, *, wait_for: WaitFor = 1
    ) -> AsyncClient[Number]:
        """Give a client that is served from a recording, by the simulated exchange.

        Its streams begin when so many subjects are subscribed to, and end with the recording.
        Nothing is dropped because somebody reads slowly: the recording waits. Records say
        `simulated`. Raises `InvalidParameterError` where the file is not a recording.
        """
        from marketdata._client.recorder import replayed

        settings = replayed(self.settings, Path(path), speed, wait_for)
        return cast("AsyncClient[Number]", AsyncClient(settings=settings))

    def streams(self) -> Records[Stream]:
        """Tell how each live subject of the running loop is doing."""
        from marketdata.models import Stream
        from marketdata.models.lists import Records

        return Records(self._session.streams(), of=Stream)

    def upstream(self) -> Records[Upstream]:
        """Tell how the running loop's calls to each exchange are doing."""
        from marketdata.models import Upstream
        from marketdata.models.lists import Records

        here = self._session.open_here()
        told = [] if here is None else [venue.stats() for venue in here.venues]
        return Records(told, of=Upstream)

    # ------------------------------------------------------------------ lifetime

    async def close(self) -> None:
        """End all connections that were made on the running loop; the client can go on."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
