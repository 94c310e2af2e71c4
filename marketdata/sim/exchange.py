"""The simulated exchange as its user holds it."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Awaitable, Generator, Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from marketdata.sim.clock import Clock, PlayedClock
from marketdata.sim.faults import Fault, Faults
from marketdata.sim.log import Request, Socket
from marketdata.sim.markets.listings import MARKETS
from marketdata.sim.markets.tape import Tape, digest, load

if TYPE_CHECKING:
    from marketdata.sim.recorded.recording import Recording
    from marketdata.sim.server import Server

_REMEMBERED = 10_000


class SimulatedExchange:
    """Binance, Kraken, Coinbase Exchange and OKX, spot markets only, on one loopback port.

    ``seed`` decides all prices. ``pairs`` is the number of pairs that each exchange lists (None:
    about a dozen). ``tape`` is one or several recordings (see `Tape`): an exchange with a recording
    lists only its pairs, and the clock starts at the end of the last recording unless ``now`` is
    given. ``now`` is a datetime (UTC if naive) or Unix milliseconds: the start of the clock, or its
    fixed time if it is ``frozen`` (None: running, but frozen with a tape). ``faults`` are rules, as
    `Fault` or in its text form.

    A single ``tape`` can also be a recording of streams. Then the recording is replayed, for any
    exchange: it begins after ``wait_for`` subscriptions, runs at ``speed`` times the recorded speed
    (None or infinity: as fast as it is read), and at its end sockets are closed with code 4000. The
    clock follows the recording.

    Use it with ``async with`` in the running loop, or with ``with``, which serves from a separate
    thread. Raises ValueError for an invalid recording or rule, RuntimeError if it is started twice,
    and OSError if the port is in use.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        pairs: int | None = None,
        tape: Tape | Path | str | Iterable[Tape | Path | str] | None = None,
        now: datetime | int | None = None,
        frozen: bool | None = None,
        faults: Iterable[Fault | str] = (),
        speed: float | None = 1.0,
        wait_for: int = 1,
    ) -> None:
        if tape is None:
            tapes = []
        else:
            tapes = [tape] if isinstance(tape, (Tape, Path, str)) else list(tape)
        self._recording = _recording_of(tapes)
        self._taped = {} if self._recording else load(tapes)
        self._plays = f"tape-{digest(tapes)}" if tapes else f"seed-{seed}"
        ends = [market.until for found in self._taped.values() for market in found.values()]
        if now is None and ends:
            now = max(ends)
        self._speed = math.inf if speed is None else speed
        self._wait_for = wait_for
        if not self._speed > 0:
            raise ValueError(f"speed is above 0, was {speed}")
        self._clock = Clock(now, frozen=bool(ends) if frozen is None else frozen)
        if self._recording is not None:
            if now is not None:
                raise ValueError("a recording of streams has its own clock: now cannot be set")
            begin, end = self._recording.begin, self._recording.end
            self._clock = PlayedClock(begin, end, self._speed, frozen=bool(frozen))
        self._seed = seed
        self._pairs = pairs
        self._faults = Faults()
        for fault in faults:
            self._faults.add(fault)
        self._log: deque[Request] = deque(maxlen=_REMEMBERED)
        self._sockets: list[Socket] = []
        self._server: Server | None = None
        self._url = ""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """The base URL of all exchanges; empty while not started."""
        return self._url

    @property
    def endpoints(self) -> dict[str, str]:
        """Exchange id to base URL, as MARKETDATA_ENDPOINTS takes it; empty while not started."""
        if self._server is None or not self._url:
            return {}
        names = self._recording.films if self._recording else MARKETS
        return {name: self._url + self._server.prefix(name) for name in names}

    @property
    def clock(self) -> Clock:
        """The time on all exchanges; it may be moved."""
        return self._clock

    @property
    def faults(self) -> Faults:
        """The rules by which the exchanges misbehave; they may be changed at any time."""
        return self._faults

    @property
    def requests(self) -> list[Request]:
        """The last 10,000 requests, oldest first, without those to the simulator itself."""
        return list(self._log.copy())

    @property
    def sockets(self) -> list[Socket]:
        """The sockets that were opened so far, oldest first."""
        return list(self._sockets)

    def forget(self) -> None:
        """Empty ``requests``, also of their weight, and remove closed ones from ``sockets``."""
        self._log.clear()
        if self._server is not None:
            self._server.forget()
        self._sockets[:] = [socket for socket in self._sockets if not socket.closed]

    def advance(self, seconds: float) -> Awaitable[None]:
        """Move a frozen clock forward, and send the frames that become due on all sockets.

        All frames are written when it is over: in a coroutine that is when the result has been
        awaited, elsewhere when the call returns. Raises RuntimeError when the clock runs.
        """
        if not self._clock.frozen:
            raise RuntimeError("a clock that runs cannot be advanced")
        milliseconds = round(seconds * 1000)
        if self._server is None or self._loop is None:
            self._clock.move(self._clock.now() + milliseconds)
            return _Done()
        running = _running()
        moving = self._server.sockets.advance(milliseconds)
        if running is self._loop:
            return running.create_task(moving)
        moved = asyncio.run_coroutine_threadsafe(moving, self._loop)
        if running is not None:
            return asyncio.wrap_future(moved)
        moved.result()
        return _Done()

    def hang_up(self, exchange: str = "*") -> None:
        """Cut all open sockets of ``exchange``, by default of every one, as a broken cable does."""
        if self._server is None or self._loop is None:
            return
        server = self._server
        if _running() is self._loop:
            server.sockets.hang_up(exchange)
            return

        async def cut() -> None:
            server.sockets.hang_up(exchange)

        asyncio.run_coroutine_threadsafe(cut(), self._loop).result()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on ``host`` and ``port``; port 0 is any free one."""
        if self._server is not None:
            raise RuntimeError("the simulated exchange is already started")
        # aiohttp takes longer to import than all the rest to start.
        from marketdata.sim.dialects.dialect import Venue
        from marketdata.sim.recorded.playing import PlayingSockets
        from marketdata.sim.server import Server
        from marketdata.sim.sockets.open_sockets import Sockets

        venues = {
            name: Venue(
                name,
                self._clock,
                seed=self._seed,
                pairs=self._pairs,
                tape=self._taped.get(name),
            )
            for name in MARKETS
            if self._recording is None or name in self._recording.films
        }
        films = self._recording.films if self._recording else {}
        if self._recording and isinstance(self._clock, PlayedClock):
            self._clock.rewind()
            sockets: Sockets = PlayingSockets(
                self._clock, self._faults, self._sockets, self._recording, self._wait_for
            )
        else:
            sockets = Sockets(self._clock, self._faults, self._sockets)
        server = Server(venues, films, self._clock, self._faults, self._log, sockets, self._plays)
        self._url = await server.start(host, port)
        self._loop = asyncio.get_running_loop()
        self._server = server

    async def stop(self) -> None:
        """Close the port and all connections; does nothing when not started."""
        if self._server is not None:
            await self._server.stop()
        self._server, self._url, self._loop = None, "", None

    async def serve_forever(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Serve until cancelled."""
        await self.start(host, port)
        try:
            await asyncio.Event().wait()
        finally:
            await self.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        if self._thread is not None or self._server is not None:
            raise RuntimeError("the simulated exchange is already started")
        ready = threading.Event()
        failures: list[OSError] = []

        async def serve() -> None:
            self._leave = asyncio.Event()
            try:
                await self.start()
            except OSError as error:
                failures.append(error)
                return
            finally:
                ready.set()
            await self._leave.wait()
            await self.stop()

        self._thread = threading.Thread(
            target=asyncio.run, args=(serve(),), name="simulated exchange", daemon=True
        )
        self._thread.start()
        ready.wait()
        if not self._url:
            self._thread.join()
            self._thread = None
            raise failures[0] if failures else RuntimeError("the simulated exchange did not start")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread is None or self._loop is None or self._leave is None:
            return
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()
        self._thread = self._leave = None


def _recording_of(tapes: list[Tape | Path | str]) -> Recording | None:
    if not tapes:
        return None
    from marketdata.sim.recorded.recording import recording_of

    return recording_of([Path(tape.path if isinstance(tape, Tape) else tape) for tape in tapes])


class _Done:
    """What is awaited where nothing is left to wait for."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
