"""Sockets on which a recording is played."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from marketdata.sim.clock import PlayedClock
from marketdata.sim.faults import Faults
from marketdata.sim.log import Socket
from marketdata.sim.recorded.echoes import Echoes, renumbered
from marketdata.sim.recorded.recording import Recording
from marketdata.sim.recorded.reels import Reel, Shot
from marketdata.sim.sockets.open_sockets import PACE, Sockets
from marketdata.sim.sockets.streams import Frame, Session

_END = 4000
_END_TEXT = b"end of recording"
_LONGEST_WAIT = 2.0
"""Seconds for a client to make a request that was made while recording."""
_LOOK = 0.005
_TOGETHER = 200
"""Frames that are sent before all of them have to be written."""


class PlayingSockets(Sockets):
    """Plays ``recording`` on all sockets together, and closes them at its end.

    It begins when clients have ``wait_for`` subscriptions, or are advanced.
    """

    def __init__(
        self,
        clock: PlayedClock,
        faults: Faults,
        records: list[Socket],
        recording: Recording,
        wait_for: int,
    ) -> None:
        super().__init__(clock, faults, records)
        self._played = clock
        self._recording = recording
        self._wait_for = wait_for
        self._started = False
        self._waits = True
        self._closing: set[asyncio.Task[bool]] = set()

    async def advance(self, milliseconds: int) -> None:
        """Play on for so long, or to the end."""
        async with self._advancing:
            self._started = True
            target = min(self._clock.now() + milliseconds, self._recording.end)
            while self._clock.now() < target:
                await self._play_to(min(target, self._next()))
            await self._end_there()

    async def stop(self) -> None:
        """Close all sockets."""
        await super().stop()
        for closing in list(self._closing):
            closing.cancel()

    def heard(self) -> None:
        """Begin when all subscriptions are there; say goodbye to who comes too late."""
        if self._started:
            if self._pacing is None or self._pacing.done():
                self._close_at_the_end()
            return
        if sum(one.session.asked for one in self._open) < self._wait_for or self._clock.frozen:
            return
        self._started = True
        self._played.start()
        self._pacing = asyncio.create_task(self._play())

    def begin_pacing(self) -> None:
        """Wait for subscriptions."""

    def _keep_up(self) -> None:
        if self._started and not self._played.flat_out:
            self._deliver(self._clock.now())

    async def _play(self) -> None:
        while self._position < self._recording.end:
            if self._played.flat_out:
                await self._play_to(self._recording.next_answer(self._position, self._next()))
                await self._wait_for_requests()
            else:
                await asyncio.sleep(PACE)
                self._keep_up()
                await self._flush()
        await self._wait_for_numbered(time.monotonic() + _LONGEST_WAIT)
        await self._end_there()

    async def _wait_for_requests(self) -> None:
        """Let clients ask for what was asked for in the recording: they need it before they go on.

        Not those that do not want it.
        """
        ends = time.monotonic() + _LONGEST_WAIT
        while self._waits and self._recording.awaits(self._position):
            await asyncio.sleep(_LOOK)
            self._waits = time.monotonic() < ends
        await self._wait_for_numbered(ends)

    async def _wait_for_numbered(self, ends: float) -> None:
        """Let clients make the numbered requests whose answers are due."""
        raw = [one.session for one in self._open if isinstance(one.session, RawSession)]
        waits = True
        while waits and any(one.owes for one in raw):
            await asyncio.sleep(_LOOK)
            waits = time.monotonic() < ends
        for session in raw:
            session.forget()

    async def _play_to(self, until: int) -> None:
        self._deliver(until)
        self._clock.move(until)
        await self._flush()

    def _next(self) -> int:
        return max(self._clock.now() + 1, self._recording.later(self._position, _TOGETHER))

    async def _end_there(self) -> None:
        await self._flush()
        self._close_at_the_end()
        # Lets the goodbyes be written.
        await asyncio.sleep(0)

    def _close_at_the_end(self) -> None:
        if self._position < self._recording.end:
            return
        for connection in self._open:
            closing = asyncio.create_task(connection.say_goodbye(_END, _END_TEXT))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


class RawSession(Session):
    """A socket of an exchange that is not spoken here: all of its path, once something is asked.

    A frame that answers a numbered request is sent when the client has made the same request, and
    with the client's number.
    """

    def __init__(self, reel: Reel, echoes: Echoes) -> None:
        super().__init__()
        self._reel = reel
        self._echoes = echoes
        self._heard = 0
        self._turns: Counter[str] = Counter()
        self._numbers: dict[int, str] = {}
        self._held: dict[int, Shot] = {}
        self._unwanted: set[str] = set()

    @property
    def asked(self) -> int:
        """Count each message as a subscription."""
        return self._heard

    @property
    def owes(self) -> bool:
        """Return whether a client that has had an answer may still ask for what is due."""
        due = self._held.keys() & self._echoes.later
        return any(self._echoes.kinds[place] not in self._unwanted for place in due)

    def forget(self) -> None:
        """Take what nobody has asked for as not wanted, now and later: pings, for one."""
        self._unwanted.update(self._echoes.kinds[place] for place in self._held)
        self._held.clear()

    def receive(self, text: str, now: int) -> list[Frame]:
        """Listen, and send what was held back for it."""
        self._heard += 1
        meant = self._echoes.meant(text, self._turns)
        if meant is None:
            return []
        place, self._numbers[place] = meant
        held = self._held.pop(place, None)
        return [] if held is None else [self._frame(held)._replace(ms=now)]

    def frames(self, after: int, until: int) -> list[Frame]:
        """Send what was recorded."""
        if not self._heard:
            return []
        found: list[Frame] = []
        for shot in self._reel.between(after, until):
            if shot.answers is None or shot.answers in self._numbers:
                found.append(self._frame(shot))
            else:
                self._held[shot.answers] = shot
        return found

    def _frame(self, shot: Shot) -> Frame:
        text = shot.text
        if shot.answers is not None:
            own = self._echoes.numbers[shot.answers]
            text = renumbered(text, own, self._numbers[shot.answers])
        return Frame(shot.ms, "frames", "", text, None, shot.order)
