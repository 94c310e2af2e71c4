"""Every operation as the caller sees it: arguments checked, exchange chosen, records returned."""

from __future__ import annotations

import asyncio
import importlib
import os
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from marketdata import arguments
from marketdata._deadline import within
from marketdata._tasks import all_of
from marketdata.arguments import (
    Aggregate,
    BarLimit,
    BaseCode,
    Buffer,
    Delivery,
    Depth,
    End,
    ExchangeId,
    Fill,
    PairName,
    PairNames,
    PlayedPath,
    QuoteCode,
    RecordingPath,
    RecordingProgress,
    Refresh,
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
)

if TYPE_CHECKING:
    from marketdata._catalogue import Catalogue
    from marketdata._exchange import Venue
    from marketdata._history.store import Store
    from marketdata._recording import Event
    from marketdata._streams.feed import Subject
    from marketdata._streams.hub import Hub
    from marketdata._streams.watch import AsyncWatch
    from marketdata.archive import AsyncHistory
    from marketdata.models import (
        Candles,
        Exchange,
        OrderBook,
        Pair,
        Quote,
        Recorded,
        Status,
        Stream,
        StreamKind,
        Ticker,
        Trade,
    )
    from marketdata.settings import Settings
    from marketdata.sim import SimulatedExchange

__all__ = ["AsyncClient"]

T = TypeVar("T")


class AsyncClient:
    """Market data of spot exchanges for code that awaits.

    ``exchange`` names the exchange, or several in order of preference, for calls that name none;
    the other arguments override the MARKETDATA_* variable of the same name (`Settings`).
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
        home: str | Path | None = None,
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
                home=home,
                endpoints=endpoints,
            )
        self.settings = settings
        self._catalogue: Catalogue | None = None
        self._candles: Store | MarketDataError | None = None
        self._recorder: Callable[[Event], None] | None = None
        self._connections: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Connections] = (
            weakref.WeakKeyDictionary()
        )

    # ------------------------------------------------------------------ operations

    @checked
    async def exchanges(self) -> list[Exchange]:
        """List the spot exchanges with what each can do.

        Made from the installed ccxt, without a request. The simulated exchange lists its own.
        """
        here = await self._here()
        from marketdata import _exchange

        known = await asyncio.to_thread(_exchange.known, self.settings.folder())
        if not self.settings.sim:
            return known
        served = await here.simulated()
        return [one for one in known if one.id in served]

    @checked
    async def pairs(
        self,
        *,
        exchange: ExchangeId | None = None,
        base: BaseCode | None = None,
        quote: QuoteCode | None = None,
        search: Search | None = None,
    ) -> list[Pair]:
        """List an exchange's active spot pairs with their trading rules, by name.

        The exchange's list is fetched once a day and kept on disk.
        """

        async def work(venue: Venue) -> list[Pair]:
            return await venue.pairs(base=base, quote=quote, search=search)

        return await self._ask(exchange, work)

    @checked
    async def ticker(
        self, pair: PairName, *, exchange: ExchangeId | None = None, window: Window = "24h"
    ) -> Ticker:
        """Get a pair's last price, best bid and ask, and its high, low, volume and change.

        Over the last 24 hours, or over `window`. A window that the exchange does not offer is
        worked out from its candles; `source` says which.
        """

        async def work(venue: Venue) -> Ticker:
            from marketdata._history import ticker_over

            symbol = await venue.symbol(pair)
            return await ticker_over(venue, symbol, window)

        return await self._ask(exchange, work)

    @checked
    async def tickers(
        self, pairs: PairNames | None = None, *, exchange: ExchangeId | None = None
    ) -> list[Ticker]:
        """Get the 24-hour tickers of several pairs, in one request where possible.

        In the order asked for; all there are, by name, where `pairs` is left out.
        """

        async def work(venue: Venue) -> list[Ticker]:
            return await venue.tickers(await venue.symbols(pairs), every=pairs is None)

        return await self._ask(exchange, work)

    @checked
    async def quote(self, pair: PairName, *, exchange: ExchangeId | None = None) -> Quote:
        """Get the best bid and ask of a pair with their sizes."""

        async def work(venue: Venue) -> Quote:
            return await venue.quote(await venue.symbol(pair))

        return await self._ask(exchange, work)

    @checked
    async def quotes(
        self, pairs: PairNames | None = None, *, exchange: ExchangeId | None = None
    ) -> list[Quote]:
        """Get the best bids and asks of several pairs, in one request where possible.

        In the order asked for; all there are, by name, where `pairs` is left out.
        """

        async def work(venue: Venue) -> list[Quote]:
            return await venue.quotes(await venue.symbols(pairs), every=pairs is None)

        return await self._ask(exchange, work)

    @checked
    async def orderbook(
        self, pair: PairName, depth: Depth = 20, *, exchange: ExchangeId | None = None
    ) -> OrderBook:
        """Get a snapshot of a pair's order book: at most `depth` levels a side, best first."""

        async def work(venue: Venue) -> OrderBook:
            return await venue.orderbook(await venue.symbol(pair), depth)

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
        from marketdata._catalogue import source
        from marketdata._history import Keep, Question, candles, stored

        asked = Question(
            timeframe,
            limit=limit,
            start=None if start is None else arguments.instant(start),
            end=None if end is None else arguments.instant(end),
            fill=fill,
            strict=strict,
        )
        kept = await self._store() if store else None
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
            return await candles(venue, await venue.symbol(pair), asked, keep)

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
            from marketdata._history import trades

            symbol = await venue.symbol(pair)
            return await trades(
                venue,
                symbol,
                limit=limit,
                start=None if start is None else arguments.instant(start),
                from_id=from_id,
                aggregate=aggregate,
            )

        return await self._ask(exchange, work)

    @checked
    async def status(self, *, exchange: ExchangeId | None = None) -> Status:
        """Tell whether an exchange answers, how fast, and how its clock differs from ours.

        An exchange that does not answer is an answer too: `reachable` is false then.
        """

        async def work(venue: Venue) -> Status:
            return await venue.status()

        return await self._ask(exchange, work, one=True)

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
        from marketdata.archive import AsyncHistory

        return AsyncHistory(self)

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
        from marketdata.recorder import record

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
        from marketdata.recorder import replayed

        return AsyncClient(settings=replayed(self.settings, Path(path), speed, wait_for))

    def streams(self) -> list[Stream]:
        """Tell how each live subject of the running loop is doing."""
        here = self._connections.get(asyncio.get_running_loop())
        return [] if here is None else [one for hub in here.hubs for one in hub.told()]

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

                hub = await here.hub(venue)
                venue.check_stream(timeframe)
                symbols = [await venue.symbol(pair) for pair in pairs]
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
        raise ExchangeUnavailableError(
            "None of the exchanges could be reached. "
            + " ".join(error.message for error in failures.values()),
            retryable=any(error.retryable for error in failures.values()),
            details={"exchanges": {name: error.to_dict() for name, error in failures.items()}},
        )

    async def _here(self) -> _Connections:
        """Give the connections of the running loop."""
        loop = asyncio.get_running_loop()
        connections = self._connections.get(loop)
        if connections is None or connections.closed:
            # A thread imports what is needed, which takes longer than a loop should be held up.
            for module in ("marketdata._exchange", "marketdata._history"):
                await asyncio.to_thread(importlib.import_module, module)
            connections = self._connections.get(loop)
        if connections is None or connections.closed:
            connections = self._connections[loop] = _Connections(
                self.settings, self._pairs_known(), self._recorder
            )
            await connections.tie_to_loop()
            # Until they are closed something has to hold them: sockets that are collected with
            # their client complain of not having been closed.
            weakref.finalize(self, connections.close_soon).atexit = False
        return connections

    def _pairs_known(self) -> Catalogue:
        if self._catalogue is None:
            from marketdata._catalogue import Catalogue

            # What the simulator lists depends on how it was started, so it is not kept; a recording
            # is to hold the list.
            passing = self.settings.sim or self._recorder is not None
            self._catalogue = Catalogue(None if passing else self.settings.folder())
        return self._catalogue


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


class _Connections:
    """The exchanges that one client talks to on one event loop."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        recorder: Callable[[Event], None] | None,
    ) -> None:
        self._recorder = recorder
        self._settings = settings
        self._catalogue = catalogue
        self.closed = False
        self._venues: dict[str, asyncio.Future[Venue]] = {}
        self._hubs: dict[str, Hub] = {}
        self._avoid_until: dict[str, float] = {}
        self.checked: set[str] = set()
        """Names that are known to be exchanges."""
        self._simulator: asyncio.Future[SimulatedExchange] | None = None
        self._lifetime: AsyncGenerator[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()

    async def tie_to_loop(self) -> None:
        """End with the event loop, also where nobody calls close.

        ``asyncio.run`` ends every asynchronous generator before it closes its loop, which is the
        one moment when sockets can still be closed in order.
        """

        async def lifetime() -> AsyncGenerator[None]:
            try:
                yield
            finally:
                await self._end()

        self._loop = asyncio.get_running_loop()
        self._lifetime = lifetime()
        await anext(self._lifetime)

    def close_soon(self) -> None:
        """Close from outside the loop, or from within a callback."""
        # A forked child has its parent's loop, but nothing runs it there.
        here = os.getpid() == self._process
        if here and self._loop is not None and not self._loop.is_closed():
            closing = self.close()
            try:
                self._loop.call_soon_threadsafe(self._loop.create_task, closing)
            except RuntimeError:  # closed since
                closing.close()

    async def close(self) -> None:
        if self._lifetime is not None:
            await self._lifetime.aclose()

    async def _end(self) -> None:
        self.closed = True
        hubs, self._hubs = self._hubs, {}
        for hub in hubs.values():
            await hub.close()
        venues, self._venues = self._venues, {}
        for future in venues.values():
            if _succeeded(future):
                await future.result().close()
            else:
                future.cancel()
        if self._simulator is not None:
            if _succeeded(self._simulator):
                await self._simulator.result().stop()
            self._simulator.cancel()
        self._simulator = None
        self._loop = None

    async def check(self, name: str) -> None:
        """Raise `ExchangeNotSupportedError` for a name that is not an exchange here."""
        from marketdata import _exchange

        _exchange.check_known(name, await self.simulated() if self._settings.sim else None)
        self.checked.add(name)

    def worth_asking(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Leave out exchanges that failed a moment ago while others are left."""
        if not self._avoid_until:
            return names
        now = asyncio.get_running_loop().time()
        return tuple(name for name in names if self._avoid_until.get(name, 0) <= now) or names

    def note_failure(self, name: str, error: MarketDataError) -> None:
        """Remember for a while that an exchange could not be reached."""
        seconds = error.retry_after if error.retry_after is not None else 30.0
        self._avoid_until[name] = asyncio.get_running_loop().time() + seconds

    async def ask(self, name: str, work: Callable[[Venue], Awaitable[T]]) -> T:
        """Do the work on one exchange."""
        self._check_open(name)
        try:
            return await work(await self.venue(name))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                self._check_open(name)  # what it waited for was cancelled, not the caller
            raise

    def _check_open(self, name: str) -> None:
        from marketdata import _exchange

        if self.closed:
            raise _exchange.closed(name) from None

    async def venue(self, name: str) -> Venue:
        """Give the connection to one exchange, made at first use, shared by concurrent callers."""
        future = self._venues.get(name)
        if future is None:
            future = self._venues[name] = asyncio.ensure_future(self._connect(name))
            future.add_done_callback(lambda done: self._forget_failed(name, done))
        return future.result() if future.done() else await asyncio.shield(future)

    @property
    def hubs(self) -> list[Hub]:
        """The exchanges that are watched, or were."""
        return list(self._hubs.values())

    async def hub(self, venue: Venue) -> Hub:
        """Give the live subjects of an exchange."""
        if venue.id not in self._hubs:
            for module in ("marketdata._streams.hub", "marketdata._pro"):
                await asyncio.to_thread(importlib.import_module, module)
            from marketdata._pro import stream_class
            from marketdata._streams.hub import Hub

            await asyncio.to_thread(stream_class, venue.id)
            simulated = await venue.is_simulated()
            if venue.id not in self._hubs:
                timeout = self._settings.timeout
                made = Hub(venue, venue.live(), timeout=timeout, simulated=simulated)
                if self._settings.sim and self._settings.sim_tape:
                    made.wait_for_readers()
                self._hubs[venue.id] = made
        return self._hubs[venue.id]

    def _forget_failed(self, name: str, future: asyncio.Future[Any]) -> None:
        failed = future.cancelled() or future.exception() is not None
        if failed and self._venues.get(name) is future:
            del self._venues[name]

    async def _connect(self, name: str) -> Venue:
        from marketdata import _exchange

        endpoint = self._settings.endpoints.get(name)
        if self._settings.sim:
            endpoint = (await self.simulated())[name]
        connector = await asyncio.to_thread(_exchange.connector_class, name)
        venue = _exchange.Venue(connector, self._settings, self._catalogue, endpoint)
        if self._recorder is not None:
            venue.record(self._recorder)
        return venue

    async def simulated(self) -> dict[str, str]:
        """Give the base URL of each exchange of the simulator, starting it at first use."""
        if self._simulator is None:
            self._simulator = asyncio.ensure_future(self._simulate())
        return (await asyncio.shield(self._simulator)).endpoints

    async def _simulate(self) -> SimulatedExchange:
        await asyncio.to_thread(importlib.import_module, "marketdata.sim.server")
        from marketdata.sim import SimulatedExchange

        settings = self._settings
        try:
            simulator = SimulatedExchange(
                seed=settings.sim_seed,
                tape=list(settings.sim_tape) or None,
                now=settings.sim_now,
                speed=settings.sim_speed,
                wait_for=settings.sim_wait_for,
            )
        except (ValueError, OSError) as error:
            raise InvalidParameterError(
                f"The recording cannot be played: {error}.", details={"parameter": "sim_tape"}
            ) from error
        await simulator.start()
        return simulator


def _succeeded(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
