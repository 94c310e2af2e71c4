"""The simulated exchange as its user holds it."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from marketdata.sim.clock import Clock
from marketdata.sim.faults import Fault, Faults
from marketdata.sim.listings import MARKETS
from marketdata.sim.log import Request
from marketdata.sim.tape import Tape, digest, load

if TYPE_CHECKING:
    from marketdata.sim.server import Server

_REMEMBERED = 10_000


class SimulatedExchange:
    """Binance, Kraken, Coinbase Exchange and OKX, spot markets only, on one loopback port.

    ``seed`` decides all prices; ``pairs`` is how many pairs each exchange lists (None: about a
    dozen). ``tape`` is one or several recordings (see `Tape`): an exchange that has one lists
    only what was recorded, and the clock stands at the end of the last one unless ``now`` says
    otherwise. ``now`` is a datetime (UTC when naive) or Unix milliseconds from which the clock
    runs on, or at which it stays when it is ``frozen`` (None: running, but frozen with a tape).
    ``faults`` are rules as `Fault` or in its text form.

    Use it as ``async with`` in the running loop, or as ``with``, which serves from a thread of
    its own. Raises ValueError for a recording or a rule that cannot be read, RuntimeError when it
    is started twice, OSError when the port is taken.
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
    ) -> None:
        if tape is None:
            tapes = []
        else:
            tapes = [tape] if isinstance(tape, (Tape, Path, str)) else list(tape)
        self._taped = load(tapes)
        self._plays = f"tape-{digest(tapes)}" if tapes else f"seed-{seed}"
        ends = [market.until for found in self._taped.values() for market in found.values()]
        if now is None and ends:
            now = max(ends)
        self._clock = Clock(now, frozen=bool(ends) if frozen is None else frozen)
        self._seed = seed
        self._pairs = pairs
        self._faults = Faults()
        for fault in faults:
            self._faults.add(fault)
        self._log: deque[Request] = deque(maxlen=_REMEMBERED)
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
        return dict.fromkeys(MARKETS, self._url) if self._url else {}

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

    def forget(self) -> None:
        """Empty ``requests``."""
        self._log.clear()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on ``host`` and ``port``; port 0 is any free one."""
        if self._server is not None:
            raise RuntimeError("the simulated exchange is already started")
        # aiohttp takes longer to import than all the rest to start.
        from marketdata.sim.dialect import Venue
        from marketdata.sim.server import Server

        venues = {
            name: Venue(
                name,
                self._clock,
                seed=self._seed,
                pairs=self._pairs,
                tape=self._taped.get(name),
            )
            for name in MARKETS
        }
        server = Server(venues, self._clock, self._faults, self._log, self._plays)
        self._url = await server.start(host, port)
        self._server = server

    async def stop(self) -> None:
        """Close the port and all connections; does nothing when not started."""
        server, self._server, self._url = self._server, None, ""
        if server is not None:
            await server.stop()

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
            self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
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
        self._thread = self._loop = self._leave = None
