"""The open sockets of the simulated exchanges, and when frames are sent on them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from fnmatch import fnmatchcase

from aiohttp import WSMsgType, web

from marketdata.sim.clock import Clock
from marketdata.sim.faults import Fault, Faults
from marketdata.sim.log import Request, Socket
from marketdata.sim.markets.levels import SLOT
from marketdata.sim.sockets.streams import Frame, Session

PACE = 0.02
_LONGEST_LAG = 10_000
"""Milliseconds of missed frames that are sent at most after the clock has jumped."""
_GOING_AWAY = 1001
_FAREWELL = 0.5
"""Seconds that a client has to answer when the server closes its socket."""
_LONGEST_GOODBYE = 60.0
"""Seconds that a client has to read the rest of a recording."""
_PONG = "stream/pong/"
_GARBAGE = ('{"unfinished":', '{"unheard":{"of":["shape"]}}')


class Sockets:
    """Serves sessions on sockets, and adds each socket to ``records``.

    ``faults`` change what happens to frames. With a running clock, frames are sent when they are
    due. With a frozen clock, `advance` sends them.
    """

    def __init__(self, clock: Clock, faults: Faults, records: list[Socket]) -> None:
        self._clock = clock
        self._faults = faults
        self.records = records
        self._open: list[_Connection] = []
        self._position = clock.now()
        self._pacing: asyncio.Task[None] | None = None
        self._advancing = asyncio.Lock()

    async def serve(
        self,
        request: web.Request,
        response: web.WebSocketResponse,
        asked: Request,
        session: Session,
    ) -> None:
        """Serve a client on its newly opened socket until one of the two closes it."""
        record = Socket(asked.exchange, asked.path, self._clock.now())
        meet = functools.partial(self._faults.meet, asked.exchange)
        connection = _Connection(request, response, session, record, meet)
        self.records.append(record)
        self._keep_up()
        self._open.append(connection)
        self.begin_pacing()
        writing = asyncio.create_task(connection.write())
        try:
            for frame in session.greet(self._position):
                connection.push(frame)
            async for message in response:
                if message.type is WSMsgType.TEXT:
                    record.received.append(message.data)
                    self._keep_up()
                    for frame in session.receive(message.data, self._position):
                        connection.push(frame)
                    connection.note()
                    self.heard()
                elif message.type is WSMsgType.PING and not connection.silent(
                    _PONG, self._position
                ):
                    await response.pong(message.data)
        finally:
            record.closed = True
            if connection in self._open:
                self._open.remove(connection)
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing

    async def advance(self, milliseconds: int) -> None:
        """Move the frozen clock forward, and send the frames that become due, in time order."""
        async with self._advancing:
            target = self._clock.now() + milliseconds
            while (now := self._clock.now()) < target and self._subscribed():
                until = min(now - now % SLOT + SLOT, target)
                self._position = now
                self._deliver(until)
                self._clock.move(until)
                await self._flush()
            self._clock.move(target)

    def hang_up(self, exchange: str) -> None:
        """Cut the sockets of an exchange, or all of them (``*``), without a close frame."""
        for connection in list(self._open):
            if exchange in ("*", connection.record.exchange):
                connection.cut()
                self._open.remove(connection)

    def begin_pacing(self) -> None:
        """From now on, send frames as the running clock makes them due."""
        if self._pacing is None and not self._clock.frozen:
            self._pacing = asyncio.create_task(self._pace())

    def heard(self) -> None:
        """Send due frames soon, because a client has sent a message."""

    async def stop(self) -> None:
        """Close all sockets."""
        if self._pacing is not None:
            self._pacing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pacing
            self._pacing = None
        await asyncio.gather(*[one.leave(_GOING_AWAY) for one in self._open])

    async def _pace(self) -> None:
        while True:
            await asyncio.sleep(PACE)
            self._keep_up()

    def _keep_up(self) -> None:
        now = self._clock.now()
        behind = now - self._position
        if self._clock.frozen or not 0 <= behind <= _LONGEST_LAG or not self._subscribed():
            self._position = now
        else:
            self._deliver(now)

    def _subscribed(self) -> bool:
        return any(connection.session.subscriptions for connection in self._open)

    def _deliver(self, until: int) -> None:
        due = [
            (frame.due, index, frame)
            for index, connection in enumerate(self._open)
            for frame in connection.session.frames(self._position, until)
        ]
        for _, index, frame in sorted(due, key=lambda one: one[0]):
            self._open[index].push(frame)
        self._position = until

    async def _flush(self) -> None:
        # A client can answer a frame that was just written to it.
        await asyncio.sleep(0)
        for connection in list(self._open):
            await connection.written()


class _Connection:
    """One socket with its session and the frames that wait to be written."""

    def __init__(
        self,
        request: web.Request,
        response: web.WebSocketResponse,
        session: Session,
        record: Socket,
        meet: Callable[[str], Fault | None],
    ) -> None:
        self.response = response
        self.session = session
        self.record = record
        self._request = request
        self._meet = meet
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._held: dict[str, Frame] = {}
        self._silences: list[tuple[str, int]] = []
        self.note()

    def push(self, frame: Frame) -> None:
        """Queue a frame, or what a fault turns it into."""
        path = f"stream/{frame.channel}/{frame.symbol}"
        overtaken = frame.source is not None and frame.source.overtaken(frame)
        if overtaken or self.record.closed or self.silent(path, frame.ms):
            return
        held = self._held.pop(path, None)
        fault = self._meet(path)
        if fault is None:
            self._put(frame)
        else:
            self._misbehave(fault, frame, path)
        if held is not None:
            self._put(held)

    def silent(self, path: str, now: int) -> bool:
        """Return whether a fault keeps back the frames of this path."""
        return any(now < until and fnmatchcase(path, glob) for glob, until in self._silences)

    def _misbehave(self, fault: Fault, frame: Frame, path: str) -> None:
        source, effect = frame.source, fault.frame
        if fault.silence:
            self._silences.append((fault.path, frame.ms + round(fault.silence * 1000)))
            return
        if effect == "cut":
            self.cut()
        elif effect == "swap":
            self._held[path] = frame
        elif effect == "twice":
            self._put(frame, frame)
        elif effect == "garbage":
            self._say(*_GARBAGE)
            self._put(frame)
        elif effect == "stray" and source is not None:
            self._put(source.stray(frame))
        elif effect == "checksum" and source is not None:
            self._put(source.miscounted(frame))
        elif fault.flood and source is not None:
            self._put(*source.flood(frame, fault.flood))
        elif effect != "lose":
            self._put(frame)

    def _put(self, *frames: Frame) -> None:
        self._say(*map(self.session.wire, frames))

    def _say(self, *texts: str) -> None:
        for text in texts:
            self._waiting.put_nowait(text)

    async def write(self) -> None:
        """Write queued frames until this task is cancelled or the socket is closed."""
        try:
            while True:
                text = await self._waiting.get()
                try:
                    await self.response.send_str(text)
                    self.record.sent += 1
                finally:
                    self._waiting.task_done()
        except (ConnectionError, RuntimeError):
            pass
        finally:
            self.record.closed = True
            while not self._waiting.empty():
                self._waiting.get_nowait()
                self._waiting.task_done()

    async def written(self) -> None:
        """Wait until all queued frames are written."""
        await self._waiting.join()

    async def leave(self, code: int) -> None:
        """Close with a close frame, without waiting for a client that does not read."""
        try:
            async with asyncio.timeout(_FAREWELL):
                await self.response.close(code=code)
        except TimeoutError:
            self.cut()

    async def close(self, code: int, text: bytes = b"") -> bool:
        """Close with a close frame when everything is written; return whether it was open."""
        await self.written()
        return await self.response.close(code=code, message=text)

    async def say_goodbye(self, code: int, text: bytes = b"") -> bool:
        """Send a close frame, and close when the client has answered it.

        The client may have much to read first. Closing earlier would make the operating system drop
        what the client has not read as soon as it sends anything. Returns whether it was open.
        """
        await self.written()
        if self.response.closed:
            return False
        with contextlib.suppress(ConnectionError):
            await self.response.send_frame(code.to_bytes(2, "big") + text, WSMsgType.CLOSE)
        ends = time.monotonic() + _LONGEST_GOODBYE
        while not self.response.closed and time.monotonic() < ends:  # noqa: ASYNC110
            await asyncio.sleep(PACE)
        return await self.response.close(code=code, message=text) or True

    def note(self) -> None:
        """Note the number of subscriptions in the record of this socket."""
        held = self.session.subscriptions.values()
        self.record.subscriptions = [f"{one.channel}/{one.symbol}" for one in held]

    def cut(self) -> None:
        """Drop the connection as if a cable was cut."""
        self.record.closed = True
        if self._request.transport is not None:
            self._request.transport.abort()
