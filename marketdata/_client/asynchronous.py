"""Every operation as the caller sees it: arguments checked, exchange chosen, records returned."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, TypeVar, Unpack, cast, overload

from marketdata import arguments
from marketdata._client.session import Session
from marketdata._client.several import several
from marketdata._client.streams import AsyncStreams
from marketdata.arguments import (
    Active,
    Aggregate,
    Amount,
    Ascending,
    AverageWindow,
    BarLimit,
    BaseCode,
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
    Refresh,
    RefreshLists,
    SameAsExchanges,
    Search,
    Speed,
    Start,
    Strict,
    TickerField,
    TickerLimit,
    TimeframeName,
    TradeId,
    TradeLimit,
    UseStore,
    WaitFor,
    Window,
    checked,
)
from marketdata.errors import (
    ExchangeUnavailableError,
    InvalidParameterError,
    MarketDataError,
    MissingParameterError,
    PairNotSupportedError,
)
from marketdata.number_form import Number

if TYPE_CHECKING:
    from decimal import Decimal

    from marketdata._client.archive import AsyncHistory
    from marketdata._exchanges.exchange import Venue
    from marketdata.models import (
        AveragePrice,
        Candles,
        Exchange,
        Fees,
        OrderBook,
        Pair,
        Quote,
        Status,
        Ticker,
        Trade,
        Upstream,
    )
    from marketdata.models.aggregates import Comparison, ConsolidatedOrderBook, ExecutionCost
    from marketdata.models.lists import Records
    from marketdata.settings import Settings

T = TypeVar("T")


class Options(TypedDict, total=False):
    """The arguments of a client that do not decide the type of its numbers."""

    exchanges: str | Sequence[str] | None
    sim: bool | None
    timeout: float | None
    retries: int | None
    max_calls: int | None
    trip_after: int | None
    home: str | Path | None
    redis: str | None
    endpoints: dict[str, str] | None
    settings: Settings | None


@functools.cache
def _ticker_of() -> Callable[[Venue, str, str], Awaitable[Ticker]]:
    # An import statement takes a microsecond each time that it runs.
    from marketdata._candles.tickers import ticker

    return ticker


class AsyncClient(AsyncStreams[Number]):
    """Market data of spot exchanges for asynchronous code.

    ``exchange`` or ``exchanges`` sets the default exchange for calls that name none: one id, or
    several in order of preference. The other arguments override the MARKETDATA_* variable of the
    same name (`Settings`).

    ``numbers="decimal"`` returns Decimals instead of floats, with exactly the digits that the
    exchange sent, and strings in JSON. Trading rules and public fees are cached on disk as floats,
    so their Decimals are exact to 15 digits only. The candle store also holds floats: `candles`
    then does not use it and requests every candle from the exchange. `history` does not change.

    Connections belong to the running event loop. They close on `close`, and at the end of
    ``async with`` or ``asyncio.run``. Operations raise subclasses of `MarketDataError` only.
    """

    @overload
    def __init__(
        self: AsyncClient[float],
        exchange: str | Sequence[str] | None = None,
        *,
        numbers: Literal["float"] | None = None,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: AsyncClient[Decimal],
        exchange: str | Sequence[str] | None = None,
        *,
        numbers: Literal["decimal"],
        **options: Unpack[Options],
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
        """The settings of this client."""
        return self._session.settings

    def preferring(self, *exchanges: str, among: Collection[str] | None = None) -> Self:
        """Return a client like this one with other default exchanges.

        A search of `pairs` over all exchanges covers only those in ``among``; None covers all. Both
        clients share their connections: closing one closes the other.

        Parameters:
            exchanges: Exchange ids, the first one preferred.
            among: Exchange ids that a search of `pairs` covers; None: all.

        Returns:
            The client.
        """
        twin = copy.copy(self)
        twin._session = self._session.preferring(exchanges, among)
        return twin

    # ------------------------------------------------------------------ operations

    @checked
    async def exchanges(self) -> Records[Exchange]:
        """List the spot exchanges and what each supports.

        The list is read from the installed ccxt, without a request, and sorted by id. The
        simulator lists only the exchanges that it simulates.
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

        `active=False` lists halted pairs instead. The list of pairs is requested once a day and
        kept on disk for a week. `search` without an exchange searches every list on disk, without
        a request. Each pair names its exchange and when that list was received. If no list is on
        disk, that of the default exchange is requested. `refresh` requests the list first, or with
        `search` alone the lists of all spot exchanges; if that fails, the old list is used.
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
        """Search all exchanges as `pairs` does, and return the total and one page of pairs.

        Parameters:
            search: Part of the pairs' names, as in `pairs`.
            base: Base asset; None: any.
            quote: Quote asset; None: any.
            active: Whether to leave out halted pairs.
            limit: Maximum number of pairs in the page; None: all.
            offset: Number of pairs to skip.

        Returns:
            The number of all pairs found, and a list of `Pair`.

        Raises:
            MarketDataError: No list of pairs is on disk, and none can be requested.
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

        They cover the last 24 hours, or `window`. If the exchange does not offer the window, it is
        computed from candles; `source` says which. If the 24-hour ticker has no bid and ask, they
        come from the order book; `derived_fields` names them.
        """

        def work(venue: Venue) -> Awaitable[Any]:
            return _ticker_of()(venue, pair, window)

        found: Ticker[Number] = await self._session.ask(exchange, work)
        return found

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

        They are in the requested order; without `pairs`, all pairs by name. `sort` ranks them by a
        field, highest first. Pairs without that field come last. `min_quote_volume` drops pairs
        whose volume is unknown. A requested pair without a ticker, such as one that never traded,
        is in `errors` of the list. If the exchange has no request for several pairs, each pair
        takes one request. Unlike `ticker`, it does not take missing bids and asks from order books.
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

        It is the exchange's own average if it has one for this window (Binance, 5m). Otherwise it
        is computed from the trades in the window if one response holds them all, or else from
        candles: the mean of high, low and close, weighted by volume. `source` says which. Raises
        `DataUnavailableError` if nothing was traded in the window.
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

        They are in the requested order; without `pairs`, all pairs by name. A requested pair with
        an empty order book is in `errors` of the list.
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
        """Get a pair's candles (open, high, low, close, volume), oldest first.

        Returns the newest 100 or `limit` candles, or all that open from `start` on and before `end`
        (by default now). Closed candles of a range are stored on disk and requested only once.
        `forming` says whether the last candle is still open, `missing` lists gaps with their cause.
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
        # The store holds floats, so Decimals are requested each time.
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

        Returns at most `limit` trades, and no more than the exchange sends in one response.
        `aggregate` merges the fills of one order at the same price.
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
        """Check whether an exchange responds, how fast, and how far its clock differs from ours.

        If it does not respond, no error is raised: `reachable` is false.
        """

        derived = False

        async def work(venue: Venue) -> Status:
            nonlocal derived
            venue.check("status")
            derived = not venue.is_native("status")
            return await venue.status()

        try:
            return await self._session.ask(exchange, work, one=True)
        except ExchangeUnavailableError as error:
            # The time of the call ended together with that of its requests, which is shorter.
            from marketdata._exchanges.parsing import unreachable

            found = unreachable(exchange or self.settings.exchange[0], error)
            return found.as_derived() if derived else found

    @checked
    async def fees(self, pair: PairName, *, exchange: ExchangeId | None = None) -> Fees[Number]:
        """Get the maker and taker fees of a pair: the account's own, or the public ones.

        The account's fees need API keys of the exchange (MARKETDATA_<EXCHANGE>_API_KEY and so on)
        and are read with a signed, read-only request. `source` says which fees these are.
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
        """Compare a pair on several exchanges: prices, spreads, volumes, and the best of each.

        All exchanges are requested at the same time. One that fails or times out is a row with its
        error code. `quotes` adds other quote currencies, at par: 1 USDC counts as 1 USDT. Only the
        US dollar and its stablecoins can be combined. Pairs that share one order book on an
        exchange count once.
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
        """Get one order book merged from several exchanges, with the sources of each level.

        It has at most `depth` prices a side, best first, and may be crossed. All exchanges are
        requested at the same time. One that fails or times out is a source with its error code.
        `quotes` adds other quote currencies, at par. Raises an error only if no exchange has an
        order book.
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
        """Estimate the cost of a market order, with the cheapest split over exchanges.

        Give either `amount` or `quote_amount`. Levels are filled by price including public taker
        fees: one unit costs price x (1 + fee), or brings price x (1 - fee). What exceeds the
        `depth` levels of each order book is `unfilled`. An unknown fee counts as zero in that
        ranking, and `total` is then unknown. No order is sent. Lot steps, minimum sizes and
        transfers between exchanges are ignored. Raises an error only if no exchange has an order
        book.
        """
        from marketdata._aggregation.costing import Order, execution_cost

        if amount is None and quote_amount is None:
            raise MissingParameterError(
                "Give 'amount' or 'quote_amount'.",
                details={"operation": "execution_cost", "parameter": "amount"},
            )
        if amount is not None and quote_amount is not None:
            raise InvalidParameterError(
                "Give either 'amount' or 'quote_amount', not both.",
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
        """The stored candles: download, list, verify, repair, export and remove them."""
        from marketdata._client.archive import AsyncHistory

        return AsyncHistory(self._session.in_floats())

    # ------------------------------------------------------------------ recordings

    @checked
    def replay(
        self, path: PlayedPath, speed: Speed = 1.0, *, wait_for: WaitFor = 1
    ) -> AsyncClient[Number]:
        """Return a client whose data come from a recording.

        Streams start once there are `wait_for` subscriptions, and end with the recording. A slow
        reader loses nothing: the recording waits. Every record says `simulated`. Raises
        `InvalidParameterError` if the file is not a recording.
        """
        from marketdata._client.recorder import replayed

        settings = replayed(self.settings, Path(path), speed, wait_for)
        return cast("AsyncClient[Number]", AsyncClient(settings=settings))

    def upstream(self) -> Records[Upstream]:
        """Return the state of the calls to each exchange on the running event loop.

        Returns:
            `Records`: a list of `Upstream`, one for each exchange in use: calls under way and
            waiting, requests, failures. Empty before the first call.
        """
        from marketdata.models import Upstream
        from marketdata.models.lists import Records

        here = self._session.open_here()
        told = [] if here is None else [venue.stats() for venue in here.venues]
        return Records(told, of=Upstream)

    # ------------------------------------------------------------------ lifetime

    async def close(self) -> None:
        """Close all connections of the running event loop; the client can still be used."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
