"""The state of the running call: one object in one ContextVar."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

from marketdata._requests.reply import Reply


class TimeLimit:
    """The timeout of one call: its task is cancelled at the end.

    Like `asyncio.timeout`, without a timer for each call.
    """

    __slots__ = ("_cancelling", "_clock", "_is_over", "_task", "ends", "expired", "held", "seconds")

    def __init__(self, seconds: float) -> None:
        """Begin; it is made in the task that makes the call, and ended by `stop`."""
        self._clock = clock = _clock()
        task = asyncio.current_task(clock.loop)
        assert task is not None  # noqa: S101 - only coroutines have deadlines
        self.ends: float | None
        """End by the loop's clock; None while it is paused."""
        self.expired = False
        """Whether the timeout has passed."""
        self.held = 0
        """Number of pieces of work for which the timeout is paused."""
        self.seconds = seconds
        """How long the work may take, from its beginning or from when it last got on."""
        self._is_over = False
        self._task: asyncio.Task[Any] | None = task
        self._cancelling = task.cancelling()
        self.ends = ends = clock.loop.time() + seconds
        clock.limits.add(self)
        if ends < clock.looks_at:
            clock.look_at(ends)

    def start(self) -> None:
        """Restart the timeout, or keep it paused."""
        if not self._is_over:
            self.ends = None if self.held else self._clock.loop.time() + self.seconds
            if self.ends is not None and self.ends < self._clock.looks_at:
                self._clock.look_at(self.ends)

    def end(self) -> None:
        """Cancel the task, because the timeout has passed."""
        self.expired = self._is_over = True
        if self._task is not None:
            self._task.cancel()

    def stop(self) -> bool:
        """End the timeout; return whether only it has cancelled the task."""
        self._is_over = True
        self._clock.limits.discard(self)
        # Timers and tasks that outlive the call keep its context: they must not keep its result.
        task, self._task = self._task, None
        return self.expired and task is not None and task.uncancel() <= self._cancelling


class _Clock:
    """Ends the calls of one loop whose timeout has passed, with one timer for all.

    Nearly every call ends long before its time. A timer for each would cost a short call a tenth of
    its time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.limits: set[TimeLimit] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.looks_at = math.inf
        """Time of the next check."""

    def look_at(self, when: float) -> None:
        """Check the timeouts at that time."""
        if self._timer is not None:
            self._timer.cancel()
        self.looks_at = when
        self._timer = None if when == math.inf else self.loop.call_at(when, self._look)

    def _look(self) -> None:
        now = self.loop.time()
        for limit in [one for one in self.limits if one.ends is not None and one.ends <= now]:
            self.limits.discard(limit)
            limit.end()
        self.look_at(
            min((one.ends for one in self.limits if one.ends is not None), default=math.inf)
        )


class _Here(threading.local):
    clock: _Clock | None = None


_here = _Here()


def _clock() -> _Clock:
    """Return the clock of the running loop."""
    loop = asyncio.get_running_loop()
    clock = _here.clock
    if clock is None or clock.loop is not loop:
        clock = _here.clock = _Clock(loop)
    return clock


class SharedTimeLimit:
    """The timeout of work for which several calls wait: the longest of theirs."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[Deadline | None] = []
        """The timeout of each waiting call; None for a call without one."""

    @property
    def ends(self) -> float | None:
        """End by the loop's clock; None while it is paused or if it has no end."""
        latest = 0.0
        for one in self.waiting:
            ends = None if one is None else one.ends
            if ends is None:
                return None
            latest = max(latest, ends)
        return latest

    @property
    def expired(self) -> bool:
        """Whether the timeouts of all waiting calls have passed."""
        return all(one is not None and one.expired for one in self.waiting)

    @property
    def seconds(self) -> float:
        """How long the work may take, from its beginning or from when it last got on."""
        limits = [one.seconds for one in self.waiting if one is not None]
        return min(limits, default=math.inf)

    def start(self) -> None:
        """Restart each timeout, or keep it paused."""
        for one in self.waiting:
            if one is not None:
                one.start()


Deadline: TypeAlias = TimeLimit | SharedTimeLimit
"""The timeout of work."""


@dataclass(slots=True, eq=False)
class Request:
    """The state of the call that a task works for."""

    deadline: Deadline | None = None
    """Its timeout; None: no limit."""
    patient: bool = False
    """Whether it waits for the rate limit without a limit."""
    reply: Reply | None = None
    """Where its responses are noted."""
    subscriber: weakref.ref[Any] | None = None
    """The subscriber of a call to ccxt. A weak reference, because timers that the call starts, such
    as those of aiohttp's connections, keep this object for long."""
    listing: bool = False
    """Whether a list of markets is fetched."""
    in_floats: bool = False
    """Whether numbers are parsed as floats even with `numbers="decimal"`."""

    def within(self, deadline: Deadline) -> Request:
        """Return the same with another timeout."""
        made = self._copy()
        made.deadline = deadline
        return made

    def noting(self, reply: Reply) -> Request:
        """Return the same with another object to note responses in."""
        made = self._copy()
        made.reply = reply
        return made

    def _copy(self) -> Request:
        # A third of the time that the class would take: each call makes three.
        made = object.__new__(Request)
        made.deadline, made.patient, made.reply = self.deadline, self.patient, self.reply
        made.subscriber, made.listing = self.subscriber, self.listing
        made.in_floats = self.in_floats
        return made


_NOTHING = Request()
_current: ContextVar[Request] = ContextVar("_current", default=_NOTHING)

current = _current.get
"""Returns the state of the running call."""

begin = _current.set
"""Sets the state of the running call."""


@contextlib.contextmanager
def doing(request: Request) -> Iterator[None]:
    """Set the state of the running call inside the block."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)
