"""The basis of all operations: choice of the exchange, connections, pairs, candle store."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import weakref
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

from marketdata._client.connections import Connections
from marketdata._client.progress import in_notebook
from marketdata._requests.deadline import within
from marketdata._requests.tasks import all_of
from marketdata.errors import (
    ExchangeUnavailableError,
    InvalidParameterError,
    MarketDataError,
    MissingExtraError,
    UpstreamError,
)

if TYPE_CHECKING:
    from marketdata._candles.store import Store
    from marketdata._exchanges.exchange import Venue
    from marketdata._exchanges.markets_cache import Catalogue
    from marketdata._exchanges.recording import Event
    from marketdata._streams.feed import Subject
    from marketdata._streams.hub import Hub
    from marketdata._streams.watch import AsyncWatch
    from marketdata.models import Exchange, Pair, Stream, StreamKind
    from marketdata.settings import Settings

T = TypeVar("T")

_log = logging.getLogger("marketdata.candles")

_LISTS_AT_ONCE = 8
"""Lists of pairs that are requested at the same time; each has some megabytes."""


class Session:
    """The state of one client: settings, connections, lists of pairs, candle store.

    Connections belong to the running event loop, and are made at the first request. A ``recorder``
    gets everything that exchanges send; no request is signed then.
    """

    def __init__(
        self, settings: Settings, *, recorder: Callable[[Event], None] | None = None
    ) -> None:
        self.settings = settings
        self._recorder = recorder
        self._among: frozenset[str] | None = None
        self._catalogue: Catalogue | None = None
        self._store: Store | MarketDataError | None = None
        self._floats: Session | None = None
        self._connections: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Connections] = (
            weakref.WeakKeyDictionary()
        )

    def preferring(self, exchanges: tuple[str, ...], among: Collection[str] | None) -> Session:
        """Return a session with other default exchanges that shares the connections of this one."""
        twin = Session(
            self.settings.model_copy(update={"exchange": exchanges}), recorder=self._recorder
        )
        twin._among = None if among is None else frozenset(among)
        twin._catalogue, twin._store = self._catalogue, self._store
        twin._connections = self._connections
        return twin

    def in_floats(self) -> Session:
        """Return the session for stored candles, which are floats: this one or a second one."""
        if self.settings.numbers == "float":
            return self
        if self._floats is None:
            self._floats = Session(self.settings.model_copy(update={"numbers": "float"}))
        return self._floats

    # ------------------------------------------------------------------ asking

    async def ask(
        self,
        exchange: str | None,
        work: Callable[[Venue], Awaitable[T]],
        *,
        one: bool = False,
    ) -> T:
        """Do the work on the named exchange, or on the first default exchange that can be reached.

        With ``one``, only the first default exchange is tried.
        """
        here = self.open_here()
        if here is None:
            here = await self.connections()
        names = (exchange,) if exchange is not None else self.settings.exchange
        if one:
            names = names[:1]
        for name in names:
            if name not in here.checked:
                await here.check(name)
        share, several = self.settings.timeout, len(names) > 1
        if several:
            names = here.in_order(names)
            loop = asyncio.get_running_loop()
            ends = loop.time() + share
        failures: dict[str, MarketDataError] = {}
        for place, name in enumerate(names):
            if several:
                # Each exchange gets its share of the remaining time, so that one that hangs leaves
                # time for the next.
                share = (ends - loop.time()) / (len(names) - place)
            try:
                answer = await within(share, name, here.ask(name, work))
            except UpstreamError as error:
                # An exchange that lacks the data has responded; an unusable response is a failure.
                is_failure = isinstance(error, ExchangeUnavailableError) or error.retryable
                if here.closed or not is_failure:
                    raise
                failures[name] = error
                here.note_failure(name, error)
            else:
                if several:
                    here.note_answer(name)
                return answer
        if len(failures) == 1:
            raise next(iter(failures.values()))
        from marketdata._exchanges.reasons import none_reached

        raise none_reached(failures)

    def watch(
        self,
        kind: StreamKind,
        pairs: Sequence[str],
        exchanges: Sequence[str] | None,
        *,
        delivery: str = "latest",
        buffer: int = 10_000,
        depth: int = 0,
        timeframe: str | None = None,
    ) -> AsyncWatch[Any]:
        """Watch pairs on the exchanges named, or on the first default that can be reached.

        ``buffer`` is the maximum number of records kept for a slow reader if ``delivery`` is
        "every".
        """
        from marketdata._streams.watch import AsyncWatch

        async def find() -> list[tuple[Hub, Subject]]:
            here = await self.connections()

            async def work(venue: Venue) -> list[tuple[Hub, Subject]]:
                from marketdata._streams.feed import Subject

                hub = await here.hub(venue, kind, timeframe)
                symbols = [await venue.listed.symbol(pair) for pair in pairs]
                return [(hub, Subject(kind, symbol, timeframe)) for symbol in symbols]

            names: Sequence[str | None] = exchanges if exchanges is not None else (None,)
            found = await all_of(self.ask(name, work) for name in names)
            # An exchange or a pair may have been given twice, by different names.
            return list(dict.fromkeys(subject for those in found for subject in those))

        return AsyncWatch(find, every=delivery == "every", buffer=buffer, depth=depth)

    def streams(self) -> list[Stream]:
        """Return the state of each subscription on the running loop."""
        here = self.open_here()
        return [] if here is None else [one for hub in here.hubs for one in hub.stats()]

    # ------------------------------------------------------------------ exchanges and pairs

    async def exchanges(self) -> list[Exchange]:
        """List the spot exchanges; with the simulator, only the simulated ones."""
        here = await self.connections()
        from marketdata._candles.calendar import source_for
        from marketdata._exchanges.supported import known

        exchanges = await asyncio.to_thread(known, self.settings.folder(), source_for)
        if not self.settings.sim:
            return exchanges
        served = await here.simulated()
        return [one for one in exchanges if one.id in served]

    def catalogue(self) -> Catalogue:
        """Return the lists of pairs, on disk or in memory."""
        if self._catalogue is None:
            from marketdata._exchanges.markets_cache import Catalogue

            # Lists of the simulator depend on how it was started, so they are not kept. With a
            # recorder, the list must be requested so that the recording holds it.
            passing = self.settings.sim or self._recorder is not None
            if passing or self.settings.redis is None:
                self._catalogue = Catalogue(None if passing else self.settings.folder())
            else:
                from marketdata._exchanges.shared_markets_cache import SharedCatalogue

                url = self.settings.redis.get_secret_value()
                self._catalogue = SharedCatalogue(self.settings.folder(), url)
        return self._catalogue

    async def find_pairs(
        self,
        search: str,
        *,
        base: str | None = None,
        quote: str | None = None,
        active: bool = True,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[int, list[Pair]]:
        """Search the pairs of all exchanges; return how many were found, and some of them.

        At most ``limit`` pairs from ``offset`` on. Searches the lists on disk; without any, that of
        the default exchange is requested.
        """

        async def work(venue: Venue) -> list[Pair]:
            return await venue.pairs(base=base, quote=quote, search=search, active=active)

        if self.settings.sim:
            served = self._within_reach(sorted(await (await self.connections()).simulated()))
            each = await all_of(self.ask(name, work) for name in served)
            found = [pair for those in each for pair in those]
        else:
            from marketdata._exchanges import markets

            kept = await asyncio.to_thread(
                markets.search,
                self.catalogue(),
                self.settings.endpoints,
                self._among,
                exactly=self.settings.numbers == "decimal",
                base=base,
                quote=quote,
                search=search,
                active=active,
                limit=limit,
                offset=offset,
            )
            if kept is not None:
                return kept
            found = await self.ask(None, work)
        return len(found), found[offset:][:limit]

    async def refresh_lists(self) -> None:
        """Request the lists of all spot exchanges, several at a time; failures are skipped."""
        here = await self.connections()
        turns = asyncio.Semaphore(_LISTS_AT_ONCE)
        sim = self.settings.sim
        known = await here.simulated() if sim else [one.id for one in await self.exchanges()]
        names = self._within_reach(known)
        fetched = 0

        with in_notebook() as tell:

            async def fetch(name: str) -> None:
                nonlocal fetched
                async with turns:
                    with contextlib.suppress(MarketDataError):
                        await within(self.settings.timeout, name, here.ask_apart(name, _fetch_list))
                fetched += 1
                if tell is not None:
                    tell("lists of pairs", fetched, len(names))

            await all_of(map(fetch, names))

    def _within_reach(self, exchanges: Iterable[str]) -> list[str]:
        return [name for name in exchanges if self._among is None or name in self._among]

    # ------------------------------------------------------------------ the store

    async def store(self) -> Store | MarketDataError:
        """Open the candle store, or return the error that prevents it."""
        if self._store is None:
            self._store = await asyncio.to_thread(_open_store, self.settings)
        if isinstance(self._store, MarketDataError):
            return self._store
        return self._store.lost() or self._store

    # ------------------------------------------------------------------ connections

    def open_here(self) -> Connections | None:
        """Return the running loop's connections; None if there are none."""
        here = self._connections.get(asyncio.get_running_loop())
        return None if here is None or here.closed else here

    async def connections(self) -> Connections:
        """Return the running loop's connections, and make them if there are none."""
        here = self.open_here()
        if here is None:
            # Imports take long, so a thread does them.
            for module in ("marketdata._exchanges.exchange", "marketdata._candles.questions"):
                await asyncio.to_thread(importlib.import_module, module)
            here = self.open_here()
        if here is None:
            here = Connections(self.settings, self.catalogue(), self._recorder)
            self._connections[asyncio.get_running_loop()] = here
            await here.tie_to_loop()
            # They are closed with the session: sockets that are garbage-collected open raise
            # warnings.
            weakref.finalize(self._connections, here.close_soon).atexit = False
        return here

    async def close(self) -> None:
        """End the running loop's connections."""
        here = self._connections.pop(asyncio.get_running_loop(), None)
        if here is not None:
            await here.close()
        if self._floats is not None:
            await self._floats.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _fetch_list(venue: Venue) -> None:
    await venue.listed.listing(0)


def _open_store(settings: Settings) -> Store | MarketDataError:
    url = settings.candle_store()
    if url is None:
        return InvalidParameterError(
            "MARKETDATA_STORE is 'none', so no candles are stored. Set it to a folder or a URL.",
            details={"parameter": "MARKETDATA_STORE"},
        )
    try:
        from marketdata._candles.store import Store

        # A folder that the user has chosen may be shared.
        store = Store(url, private=settings.store is None)
    except MissingExtraError as error:
        return error
    problem = store.unwritable() if settings.store is None else None
    if problem is None:
        # For a configured folder, the call that has to write raises the error.
        return store
    if not store.is_readable:
        _log.warning("No candles are stored. %s", problem)
        return problem
    _log.warning("Stored candles are read, but new ones are not stored. %s", problem)
    store.read_only = problem
    return store
