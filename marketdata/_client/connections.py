"""The open connections of one client on one event loop: exchanges, streams, a simulator."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from marketdata._requests.avoided import Avoided
from marketdata.errors import InvalidParameterError, MarketDataError

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue
    from marketdata._exchanges.markets_cache import Catalogue
    from marketdata._exchanges.recording import Event
    from marketdata._streams.hub import Hub
    from marketdata.settings import Settings
    from marketdata.sim import SimulatedExchange

T = TypeVar("T")


class Connections:
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
        self._apart: set[Venue] = set()
        self._hubs: dict[str, Hub] = {}
        # Each process has its own simulator.
        self._avoided = Avoided(None if settings.sim else settings.folder() / "failing")
        self.checked: set[str] = set()
        """Names that have been checked to be exchanges."""
        self._simulator: asyncio.Future[SimulatedExchange] | None = None
        self._lifetime: AsyncGenerator[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()

    async def tie_to_loop(self) -> None:
        """Close when the event loop ends, even if `close` is not called.

        ``asyncio.run`` ends all asynchronous generators before it closes the loop. That is the last
        moment to close sockets properly.
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
        """Close from another thread or from a callback."""
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
        """Close all that is open.

        A loop that ends first cancels all tasks, including one that is closing connections; the
        rest is still closed.
        """
        self.closed = True
        try:
            await self._close_all()
        except asyncio.CancelledError:
            await self._close_all()
            raise
        finally:
            self._loop = None

    async def _close_all(self) -> None:
        while self._hubs:
            name, hub = next(iter(self._hubs.items()))
            await hub.close()
            self._hubs.pop(name, None)
        while self._venues:
            name, future = next(iter(self._venues.items()))
            if _succeeded(future):
                await future.result().close()
            else:
                future.cancel()
            self._venues.pop(name, None)
        while self._apart:
            venue = next(iter(self._apart))
            await venue.close()
            self._apart.discard(venue)
        if self._simulator is not None:
            if _succeeded(self._simulator):
                await self._simulator.result().stop()
            self._simulator.cancel()
        self._simulator = None

    async def check(self, name: str) -> None:
        """Raise `ExchangeNotSupportedError` for a name that is not an exchange here."""
        from marketdata._exchanges.supported import check_known

        check_known(name, await self.simulated() if self._settings.sim else None)
        self.checked.add(name)

    def in_order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Move exchanges to the end that failed recently, in this or another process."""
        if len(names) == 1:
            return names
        return tuple(sorted(names, key=lambda name: self._avoided.is_avoided(self._source(name))))

    def note_answer(self, name: str) -> None:
        """Note that an exchange has responded."""
        source = self._source(name)
        if self._avoided.is_avoided(source):
            self._avoided.forget(source)

    def note_failure(self, name: str, error: MarketDataError) -> None:
        """Note for a while that an exchange could not be reached or did not respond."""
        seconds = error.retry_after if error.retry_after is not None else 30.0
        for venue in self.venues:
            if venue.id == name and venue.pause is not None:
                seconds = venue.pause  # then it wants one call to try
        self._avoided.note(self._source(name), seconds)

    def _source(self, name: str) -> str:
        from marketdata._exchanges.markets_cache import source

        return source(name, self._settings.endpoints.get(name))

    async def ask(self, name: str, work: Callable[[Venue], Awaitable[T]]) -> T:
        """Do the work on one exchange."""
        self._check_open(name)
        made = self._venues.get(name)
        try:
            if made is None or not made.done():
                return await work(await self.venue(name))
            return await work(made.result())
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                self._check_open(name)  # the request was cancelled, not the caller
            raise

    async def ask_apart(self, name: str, work: Callable[[Venue], Awaitable[T]]) -> T:
        """Do the work on one exchange; close connections that were not open before."""
        if name in self._venues:
            return await self.ask(name, work)
        self._check_open(name)
        venue = await self._connect(name)
        self._apart.add(venue)
        try:
            self._check_open(name)
            return await work(venue)
        finally:
            self._apart.discard(venue)
            await venue.close()

    def _check_open(self, name: str) -> None:
        if self.closed:
            from marketdata._exchanges import exchange

            raise exchange.closed(name) from None

    async def venue(self, name: str) -> Venue:
        """Return the connection to one exchange; all callers share it."""
        future = self._venues.get(name)
        if future is None:
            future = self._venues[name] = asyncio.ensure_future(self._connect(name))
            future.add_done_callback(lambda done: self._forget_failed(name, done))
        return future.result() if future.done() else await asyncio.shield(future)

    @property
    def venues(self) -> list[Venue]:
        """The exchanges that are connected."""
        return [future.result() for future in self._venues.values() if _succeeded(future)]

    @property
    def hubs(self) -> list[Hub]:
        """The hubs of exchanges with streams."""
        return list(self._hubs.values())

    async def hub(self, venue: Venue, kind: str, timeframe: str | None = None) -> Hub:
        """Return the hub of an exchange.

        Raises the errors of `Venue.check_stream`, without a request.
        """
        if venue.id not in self._hubs:
            for module in ("marketdata._streams.hub", "marketdata._exchanges.sockets"):
                await asyncio.to_thread(importlib.import_module, module)
            from marketdata._exchanges.sockets import stream_class
            from marketdata._streams.hub import Hub

            await asyncio.to_thread(stream_class, venue.id, exact=venue.is_exact)
            venue.check_stream(kind, timeframe)
            simulated = await venue.listed.plays() is not None
            if venue.id not in self._hubs:
                made = Hub(
                    venue,
                    venue.live(),
                    timeout=self._settings.timeout,
                    retries=self._settings.retries,
                    simulated=simulated,
                )
                if self._settings.sim and self._settings.sim_tape:
                    made.wait_for_readers()
                self._hubs[venue.id] = made
        venue.check_stream(kind, timeframe)
        return self._hubs[venue.id]

    def _forget_failed(self, name: str, future: asyncio.Future[Any]) -> None:
        failed = future.cancelled() or future.exception() is not None
        if failed and self._venues.get(name) is future:
            del self._venues[name]

    async def _connect(self, name: str) -> Venue:
        from marketdata._exchanges import exchange

        endpoint = self._settings.endpoints.get(name)
        if self._settings.sim:
            endpoint = (await self.simulated())[name]
        exact = self._settings.numbers == "decimal"
        connector = await asyncio.to_thread(exchange.connector_class, name, exact=exact)
        venue = exchange.Venue(connector, self._settings, self._catalogue, endpoint)
        if self._recorder is not None:
            venue.record(self._recorder)
        return venue

    async def simulated(self) -> dict[str, str]:
        """Return the base URL of each exchange of the simulator, starting it at first use."""
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
