"""Every operation as the caller sees it: arguments checked, exchange chosen, records returned."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import importlib
import weakref
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from marketdata import arguments
from marketdata._client.connections import Connections
from marketdata._requests.deadline import within
from marketdata._requests.tasks import all_of
from marketdata.arguments import (
    Aggregate,
    Amount,
    BarLimit,
    BaseCode,
    Buffer,
    Delivery,
    Depth,
    EachExchange,
    End,
    ExchangeId,
    Fill,
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
    Search,
    Seconds,
    Speed,
    Start,
    StreamKinds,
    Strict,
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
    ExchangeUnavailableError,
    InvalidParameterError,
    MarketDataError,
    MissingExtraError,
    MissingParameterError,
)

if TYPE_CHECKING:
    from marketdata._client.archive import AsyncHistory
    from marketdata._exchanges.exchange import Venue
    from marketdata._exchanges.markets_cache import Catalogue
    from marketdata._exchanges.recording import Event
    from marketdata._history.store import Store
    from marketdata._streams.feed import Subject
    from marketdata._streams.hub import Hub
    from marketdata._streams.watch import AsyncWatch
    from marketdata.models import (
        Candles,
        Exchange,
        Fees,
        OrderBook,
        Pair,
        Quote,
        Recorded,
        Status,
        Stream,
        StreamKind,
        Ticker,
        Trade,
        Upstream,
    )
    from marketdata.models.aggregates import Comparison, ConsolidatedOrderBook, ExecutionCost
    from marketdata.settings import Settings

__all__ = ["AsyncClient"]

T = TypeVar("T")

_LISTS_AT_ONCE = 8
"""Lists of pairs that are fetched at once; each is some megabytes."""


class AsyncClient:
    """Market data of spot exchanges for code that awaits.

    ``exchange`` names the exchange, or several in order of preference, for calls that name none;
    the other arguments override the MARKETDATA_* variable of the same name (`Settings`).

    ``numbers="decimal"`` gives Decimals in place of floats, digit by digit what the exchange sent,
    and text in JSON. Trading rules and public fees are the exception: they are kept on disk as
    floats, so that theirs are right to 15 digits. The candle store holds floats as well: `candles`
    then neither reads nor fills it and asks the exchange each time; `history` is as ever.

    Connections belong to the running event loop; `close`, or the end of ``async with`` or of
    ``asyncio.run``, ends them. Every operation raises errors under `MarketDataError` only.
    """

    def __init__(
        self,
        exchange: str | Sequence[str] | None = None,
        *,
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
                exchange=exchange,
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
        self.settings = settings
        self._catalogue: Catalogue | None = None
        self._candles: Store | MarketDataError | None = None
        self._recorder: Callable[[Event], None] | None = None
        self._among: frozenset[str] | None = None
        self._twin: AsyncClient | None = None
        """Of a client of Decimals, one of floats."""
        self._connections: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Connections] = (
            weakref.WeakKeyDictionary()
        )

    def preferring(self, *exchanges: str, among: Collection[str] | None = None) -> Self:
        """Give this client with other exchanges for calls that name none.

        `pairs` that searches all exchanges looks only at those ``among``; None: at all. Both
        clients share their connections; closing one closes the other.
        """
        twin = copy.copy(self)
        twin.settings = self.settings.model_copy(update={"exchange": exchanges})
        twin._among = None if among is None else frozenset(among)
        twin._twin = None
        return twin

    # ------------------------------------------------------------------ operations

    @checked
    async def exchanges(self) -> list[Exchange]:
        """List the spot exchanges with what each can do.

        Made from the installed ccxt, without a request. The simulated exchange lists its own.
        """
        here = await self._here()
        from marketdata._exchanges.exchange import known
        from marketdata._history.resample import source_for

        exchanges = await asyncio.to_thread(known, self.settings.folder(), source_for)
        if not self.settings.sim:
            return exchanges
        served = await here.simulated()
        return [one for one in exchanges if one.id in served]

    @checked
    async def pairs(
        self,
        *,
        exchange: ExchangeId | None = None,
        base: BaseCode | None = None,
        quote: QuoteCode | None = None,
        search: Search | None = None,
        refresh: RefreshLists = False,
    ) -> list[Pair]:
        """List an exchange's active spot pairs with their trading rules, by name.

        The exchange's list is fetched once a day and kept on disk for a week. With `search` and no
        exchange, the lists of all exchanges that are on the disk are searched, without a request;
        each pair says its exchange and when that list was fetched. Where there is none yet, the
        default exchange's is fetched. `refresh` fetches the list first, or with `search` alone that
        of every spot exchange; those that fail keep the one they had.
        """

        if search is not None and exchange is None:
            if refresh:
                await self._refresh_lists()
            return (await self.page_of_pairs(search, base=base, quote=quote))[1]

        async def work(venue: Venue) -> list[Pair]:
            return await venue.pairs(base=base, quote=quote, search=search, refresh=refresh)

        return await self._ask(exchange, work)

    async def page_of_pairs(
        self,
        search: str,
        *,
        base: str | None = None,
        quote: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[int, list[Pair]]:
        """Give part of what `pairs` finds on all exchanges, and how many there are in all.

        At most ``limit`` pairs from ``offset`` on; the rest costs nearly nothing.
        """

        async def work(venue: Venue) -> list[Pair]:
            return await venue.pairs(base=base, quote=quote, search=search)

        if not self.settings.sim:
            from marketdata._exchanges import markets

            kept = await asyncio.to_thread(
                markets.search,
                self._pairs_known(),
                self.settings.endpoints,
                self._among,
                exactly=self.settings.numbers == "decimal",
                base=base,
                quote=quote,
                search=search,
                limit=limit,
                offset=offset,
            )
            if kept is not None:
                return kept
            found = await self._ask(None, work)
        else:
            served = self._within_reach(sorted(await (await self._here()).simulated()))
            each = await all_of(self._ask(name, work) for name in served)
            found = [pair for those in each for pair in those]
        return len(found), found[offset:][:limit]

    def _within_reach(self, exchanges: Iterable[str]) -> list[str]:
        return [name for name in exchanges if self._among is None or name in self._among]

    async def _refresh_lists(self) -> None:
        """Fetch the lists of all spot exchanges, several at once; leave out those that fail."""
        here = await self._here()
        turns = asyncio.Semaphore(_LISTS_AT_ONCE)

        async def fetch(name: str) -> None:
            async with turns:
                with contextlib.suppress(MarketDataError):
                    await within(self.settings.timeout, name, here.ask_apart(name, _fetch_list))

        sim = self.settings.sim
        known = await here.simulated() if sim else [one.id for one in await self.exchanges()]
        await all_of(fetch(name) for name in self._within_reach(known))

    @checked
    async def ticker(
        self, pair: PairName, *, exchange: ExchangeId | None = None, window: Window = "24h"
    ) -> Ticker:
        """Get a pair's last price, best bid and ask, and its high, low, volume and change.

        Over the last 24 hours, or over `window`. A window that the exchange does not offer is
        worked out from its candles; `source` says which. Bid and ask that its ticker of the last
        24 hours lacks are those of its order book; `derived_fields` names them.
        """

        async def work(venue: Venue) -> Ticker:
            from marketdata._history import check_window, ticker_over

            venue.check("ticker")
            check_window(venue, window)
            symbol = await venue.listed.symbol(pair)
            return await ticker_over(venue, symbol, window)

        return await self._ask(exchange, work)

    @checked
    async def tickers(
        self, pairs: PairNames | None = None, *, exchange: ExchangeId | None = None
    ) -> list[Ticker]:
        """Get the 24-hour tickers of several pairs, in one request where possible.

        In the order asked for; all there are, by name, where `pairs` is left out. An exchange
        without a call for several is asked for each pair. What tickers of several pairs lack stays
        out: only `ticker` takes bid and ask from the order book then.
        """

        async def work(venue: Venue) -> list[Ticker]:
            from marketdata._history import tickers

            venue.check("tickers")
            found = await venue.listed.symbols(pairs)
            return await tickers(venue, found, every=pairs is None)

        return await self._ask(exchange, work)

    @checked
    async def quote(self, pair: PairName, *, exchange: ExchangeId | None = None) -> Quote:
        """Get the best bid and ask of a pair with their sizes."""

        async def work(venue: Venue) -> Quote:
            venue.check("quote")
            return await venue.quote(await venue.listed.symbol(pair))

        return await self._ask(exchange, work)

    @checked
    async def quotes(
        self, pairs: PairNames | None = None, *, exchange: ExchangeId | None = None
    ) -> list[Quote]:
        """Get the best bids and asks of several pairs, in one request where possible.

        In the order asked for; all there are, by name, where `pairs` is left out.
        """

        async def work(venue: Venue) -> list[Quote]:
            venue.check("quotes")
            return await venue.quotes(await venue.listed.symbols(pairs), every=pairs is None)

        return await self._ask(exchange, work)

    @checked
    async def orderbook(
        self, pair: PairName, depth: Depth = 20, *, exchange: ExchangeId | None = None
    ) -> OrderBook:
        """Get a snapshot of a pair's order book: at most `depth` levels a side, best first."""

        async def work(venue: Venue) -> OrderBook:
            venue.check("orderbook")
            return await venue.orderbook(await venue.listed.symbol(pair), depth)

        return await self._ask(exchange, work)

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
    ) -> Candles:
        """Get a pair's bars (open, high, low, close, volume), oldest first.

        The newest 100, or `limit`; or all that open from `start` on and before `end` (now, where
        it is left out). Of such a range, closed bars are kept on disk and never fetched twice.
        The result says whether its last bar is still forming, and which bars are missing and why.
        """
        from marketdata._exchanges.markets_cache import source
        from marketdata._history import Keep, Question, candles, stored

        asked = Question(
            timeframe,
            limit=limit,
            start=None if start is None else arguments.instant(start),
            end=None if end is None else arguments.instant(end),
            fill=fill,
            strict=strict,
        )
        # What is stored are floats.
        kept = await self._store() if store and self.settings.numbers == "float" else None
        keep = Keep(None if isinstance(kept, MarketDataError) else kept, refresh)
        if keep.store is not None and not refresh and not self.settings.sim:
            name = exchange or self.settings.exchange[0]
            origin = source(name, self.settings.endpoints.get(name))
            known = await asyncio.to_thread(
                stored, keep.store, self._pairs_known(), origin, name, pair, asked
            )
            if known is not None:
                return known

        async def work(venue: Venue) -> Candles:
            venue.check("candles")
            return await candles(venue, await venue.listed.symbol(pair), asked, keep)

        return await self._ask(exchange, work)

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
    ) -> list[Trade]:
        """Get a pair's trades, oldest first: the newest, or from a time or a trade id on.

        At most `limit`, and at most what the exchange gives in one answer. `aggregate` merges
        the fills of one order at one price.
        """

        async def work(venue: Venue) -> list[Trade]:
            from marketdata._history import check_trades, trades

            since = None if start is None else arguments.instant(start)
            venue.check("trades")
            check_trades(venue, start=since, from_id=from_id)
            symbol = await venue.listed.symbol(pair)
            return await trades(
                venue, symbol, limit=limit, start=since, from_id=from_id, aggregate=aggregate
            )

        return await self._ask(exchange, work)

    @checked
    async def status(self, *, exchange: ExchangeId | None = None) -> Status:
        """Tell whether an exchange answers, how fast, and how its clock differs from ours.

        An exchange that does not answer is an answer too: `reachable` is false then.
        """

        async def work(venue: Venue) -> Status:
            venue.check("status")
            return await venue.status()

        return await self._ask(exchange, work, one=True)

    @checked
    async def fees(self, pair: PairName, *, exchange: ExchangeId | None = None) -> Fees:
        """Get the maker and taker fees of a pair: the account's own, or the public ones.

        The account's where keys of the exchange are configured (MARKETDATA_<EXCHANGE>_API_KEY and
        so on) and the exchange tells, by a signed request that only reads; `source` says which.
        """

        async def work(venue: Venue) -> Fees:
            venue.check("fees")
            return await venue.fees(await venue.listed.symbol(pair))

        return await self._ask(exchange, work)

    # ------------------------------------------------------------------ several at once

    @checked
    async def compare(
        self,
        pair: PairName,
        *,
        exchanges: EachExchange | None = None,
        quotes: QuoteCodes | None = None,
    ) -> Comparison:
        """Compare a pair on several exchanges: prices, spreads, volumes, and who is best.

        All are asked at once; whoever fails, or does not answer in the time of a call, is a row
        with the code of its error. Other quote currencies than the pair's own are taken only where
        `quotes` names them, and then at par: a USDC counts as a USDT.
        """
        from marketdata._aggregation.comparing import compare

        return await compare(self._ask, pair, exchanges or self.settings.exchange, quotes)

    @checked
    async def consolidated_orderbook(
        self,
        pair: PairName,
        depth: Depth = 20,
        *,
        exchanges: EachExchange | None = None,
        quotes: QuoteCodes | None = None,
    ) -> ConsolidatedOrderBook:
        """Get one order book of several exchanges, whose levels know who quotes them.

        At most `depth` prices a side, best first; it may be crossed. All are asked at once; whoever
        has no book in the time of a call is a source with the code of its error. Other quote
        currencies than the pair's own are taken only where `quotes` names them, and then at par.
        Raises an error only where no exchange has a book.
        """
        from marketdata._aggregation.consolidating import consolidate

        names = exchanges or self.settings.exchange
        return await consolidate(self._ask, pair, names, depth, quotes)

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
        quotes: QuoteCodes | None = None,
    ) -> ExecutionCost:
        """Work out what buying or selling at once would cost, split over exchanges at best.

        Levels are taken in the order of their prices with public taker fees, which is the cheapest
        split: a unit costs price x (1 + fee), or brings price x (1 - fee). Either `amount` or
        `quote_amount` is given; what exceeds the `depth` levels of each book is `unfilled`. Nothing
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
        return await execution_cost(self._ask, pair, order, names, depth, quotes)

    async def _store(self) -> Store | MarketDataError:
        """Open the store of candles, or say why there is none."""
        if self._candles is None:
            self._candles = await asyncio.to_thread(_open_store, self.settings)
        if isinstance(self._candles, MarketDataError):
            return self._candles
        return self._candles.lost() or self._candles

    @property
    def history(self) -> AsyncHistory:
        """The stored candles: download, list, verify, repair, export and remove."""
        from marketdata._client.archive import AsyncHistory

        return AsyncHistory(self if self.settings.numbers == "float" else self._in_floats())

    def _in_floats(self) -> AsyncClient:
        """Give a client like this one for what is stored, with connections of its own."""
        if self._twin is None:
            settings = self.settings.model_copy(update={"numbers": "float"})
            self._twin = AsyncClient(settings=settings)
        return self._twin

    # ------------------------------------------------------------------ streams

    @checked
    def watch_ticker(
        self,
        pair: WatchedPairs,
        *,
        exchange: WatchedExchanges | None = None,
        delivery: Delivery = "latest",
        buffer: Buffer = 10_000,
    ) -> AsyncWatch[Ticker]:
        """Watch the 24-hour tickers of pairs: their last prices, best bids and asks, volumes."""
        return self._watch("ticker", pair, exchange, delivery, buffer)

    @checked
    def watch_quote(
        self,
        pair: WatchedPairs,
        *,
        exchange: WatchedExchanges | None = None,
        delivery: Delivery = "latest",
        buffer: Buffer = 10_000,
    ) -> AsyncWatch[Quote]:
        """Watch the best bids and asks of pairs with their sizes."""
        return self._watch("quote", pair, exchange, delivery, buffer)

    @checked
    def watch_orderbook(
        self,
        pair: WatchedPairs,
        depth: Depth = 20,
        *,
        exchange: WatchedExchanges | None = None,
        delivery: Delivery = "latest",
        buffer: Buffer = 10_000,
    ) -> AsyncWatch[OrderBook]:
        """Watch the order books of pairs: every change is applied, lost ones are mended."""
        return self._watch("orderbook", pair, exchange, delivery, buffer, depth=depth)

    @checked
    def watch_consolidated_orderbook(
        self,
        pair: PairName,
        depth: Depth = 20,
        *,
        exchanges: EachExchange | None = None,
        quotes: QuoteCodes | None = None,
        delivery: Delivery = "latest",
        buffer: Buffer = 10_000,
    ) -> AsyncWatch[ConsolidatedOrderBook]:
        """Watch one order book of several exchanges, whose levels know who quotes them.

        A source that goes stale is left out, and marked, until it is fresh again; what cannot be
        mended stays as a source with its code. The first record comes when each source has its book
        or has failed. Otherwise as `consolidated_orderbook` and `watch_orderbook`.
        """
        from marketdata._aggregation.asking import ask_each, pairs_of
        from marketdata._aggregation.watching import ConsolidatedWatch, Found

        pairs = pairs_of(pair, quotes)

        async def find() -> list[Found]:
            here = await self._here()

            async def prepare(venue: Venue) -> None:
                await here.hub(venue, "orderbook")

            async def work(venue: Venue, symbol: str) -> tuple[Hub, Subject]:
                from marketdata._streams.feed import Subject

                return await here.hub(venue, "orderbook"), Subject("orderbook", symbol)

            names = exchanges or self.settings.exchange
            return await ask_each(self._ask, names, pairs, prepare, work)

        return ConsolidatedWatch(
            find,
            pair,
            mixed=len(pairs) > 1,
            every=delivery == "every",
            buffer=buffer,
            depth=depth,
        )

    @checked
    def watch_trades(
        self,
        pair: WatchedPairs,
        *,
        exchange: WatchedExchanges | None = None,
        delivery: Delivery = "every",
        buffer: Buffer = 10_000,
    ) -> AsyncWatch[Trade]:
        """Watch the trades of pairs, one after the other."""
        return self._watch("trades", pair, exchange, delivery, buffer)

    @checked
    def watch_candles(
        self,
        pair: WatchedPairs,
        timeframe: TimeframeName = "1m",
        *,
        exchange: WatchedExchanges | None = None,
        delivery: Delivery = "latest",
        buffer: Buffer = 10_000,
    ) -> AsyncWatch[Candles]:
        """Watch the bars of pairs: the one that forms, and those that it leaves behind."""
        return self._watch("candles", pair, exchange, delivery, buffer, timeframe=timeframe)

    @checked
    async def record(
        self,
        pairs: PairNames,
        path: RecordingPath,
        *,
        what: StreamKinds = ("trades", "orderbook"),
        exchange: WatchedExchanges | None = None,
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
    def replay(self, path: PlayedPath, speed: Speed = 1.0, *, wait_for: WaitFor = 1) -> AsyncClient:
        """Give a client that is served from a recording, by the simulated exchange.

        Its streams begin when so many subjects are subscribed to, and end with the recording.
        Nothing is dropped because somebody reads slowly: the recording waits. Records say
        `simulated`. Raises `InvalidParameterError` where the file is not a recording.
        """
        from marketdata._client.recorder import replayed

        return AsyncClient(settings=replayed(self.settings, Path(path), speed, wait_for))

    def streams(self) -> list[Stream]:
        """Tell how each live subject of the running loop is doing."""
        here = self._connections.get(asyncio.get_running_loop())
        return [] if here is None else [one for hub in here.hubs for one in hub.told()]

    def upstream(self) -> list[Upstream]:
        """Tell how the running loop's calls to each exchange are doing."""
        here = self._connections.get(asyncio.get_running_loop())
        return [] if here is None else [venue.told() for venue in here.venues]

    def _watch(
        self,
        kind: StreamKind,
        pairs: str | Sequence[str],
        exchanges: str | Sequence[str] | None,
        delivery: str,
        buffer: int,
        *,
        depth: int = 0,
        timeframe: str | None = None,
    ) -> AsyncWatch[Any]:
        from marketdata._streams.watch import AsyncWatch

        async def find() -> list[tuple[Hub, Subject]]:
            here = await self._here()

            async def work(venue: Venue) -> list[tuple[Hub, Subject]]:
                from marketdata._streams.feed import Subject

                hub = await here.hub(venue, kind, timeframe)
                symbols = [await venue.listed.symbol(pair) for pair in pairs]
                return [(hub, Subject(kind, symbol, timeframe)) for symbol in symbols]

            names: Sequence[str | None] = exchanges if exchanges is not None else (None,)
            found = await all_of(self._ask(name, work) for name in names)
            # An exchange, or a pair, may have been given by two of its names.
            return list(dict.fromkeys(subject for those in found for subject in those))

        return AsyncWatch(find, every=delivery == "every", buffer=buffer, depth=depth)

    # ------------------------------------------------------------------ lifetime

    async def close(self) -> None:
        """End all connections that were made on the running loop; the client can go on."""
        connections = self._connections.pop(asyncio.get_running_loop(), None)
        if connections is not None:
            await connections.close()
        if self._twin is not None:
            await self._twin.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # ------------------------------------------------------------------ choosing

    async def _ask(
        self,
        exchange: str | None,
        work: Callable[[Venue], Awaitable[T]],
        *,
        one: bool = False,
    ) -> T:
        """Do the work on the exchange named, or on the first default that can be reached."""
        here = self._connections.get(asyncio.get_running_loop())
        if here is None or here.closed:
            here = await self._here()
        names = (exchange,) if exchange is not None else self.settings.exchange
        if one:
            names = names[:1]
        for name in names:
            if name not in here.checked:
                await here.check(name)
        names = here.worth_asking(names)
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.settings.timeout
        failures: dict[str, MarketDataError] = {}
        for left, name in zip(range(len(names), 0, -1), names, strict=True):
            # Each exchange gets its share of what is left, so that one that hangs cannot use up
            # the time in which the next would have answered.
            share = (ends - loop.time()) / left
            try:
                return await within(share, name, here.ask(name, work))
            except ExchangeUnavailableError as error:
                failures[name] = error
                here.note_failure(name, error)
        if len(failures) == 1:
            raise next(iter(failures.values()))
        from marketdata._exchanges.reasons import none_reached

        raise none_reached(failures)

    async def _here(self) -> Connections:
        """Give the connections of the running loop."""
        loop = asyncio.get_running_loop()
        connections = self._connections.get(loop)
        if connections is None or connections.closed:
            # A thread imports what is needed, which takes longer than a loop should be held up.
            for module in ("marketdata._exchanges.exchange", "marketdata._history"):
                await asyncio.to_thread(importlib.import_module, module)
            connections = self._connections.get(loop)
        if connections is None or connections.closed:
            connections = self._connections[loop] = Connections(
                self.settings, self._pairs_known(), self._recorder
            )
            await connections.tie_to_loop()
            # Until they are closed something has to hold them: sockets that are collected with
            # their client complain of not having been closed.
            weakref.finalize(self._connections, connections.close_soon).atexit = False
        return connections

    def _pairs_known(self) -> Catalogue:
        if self._catalogue is None:
            from marketdata._exchanges.markets_cache import Catalogue

            # What the simulator lists depends on how it was started, so it is not kept; a recording
            # is to hold the list.
            passing = self.settings.sim or self._recorder is not None
            if passing or self.settings.redis is None:
                self._catalogue = Catalogue(None if passing else self.settings.folder())
            else:
                from marketdata._exchanges.shared_markets_cache import FleetCatalogue

                url = self.settings.redis.get_secret_value()
                self._catalogue = FleetCatalogue(self.settings.folder(), url)
        return self._catalogue


async def _fetch_list(venue: Venue) -> None:
    await venue.listed.listing(0)


def _open_store(settings: Settings) -> Store | MarketDataError:
    url = settings.candle_store()
    if url is None:
        return InvalidParameterError(
            "MARKETDATA_STORE is 'none': no candles are kept. Name a folder or a URL.",
            details={"parameter": "MARKETDATA_STORE"},
        )
    try:
        from marketdata._history.store import Store

        store = Store(url)
    except MissingExtraError as error:
        return error
    # A folder that somebody has named may be for reading only.
    return (store.unwritable() if settings.store is None else None) or store
