"""What the running task does, and for whom: one object, kept in one ContextVar."""

from __future__ import annotations

import asyncio
import contextlib
import math
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from marketdata._requests.reply import Reply


class Deadline:
    """When work is to be over: that of one call, or the latest of all that wait for the work."""

    def __init__(self, seconds: float = math.inf, timeout: asyncio.Timeout | None = None) -> None:
        self.held = 0
        """How much is under way for which the time stands still."""
        self.waiting: dict[int, Deadline | None] = {}
        """Those of the calls that wait, by the id of what they wait for; None for one without a
        limit. Connections keep this for long after: they are not to keep the answers as well."""
        self._seconds = seconds
        self._timeout = timeout

    @property
    def of_one(self) -> bool:
        """Whether it is that of one call."""
        return self._timeout is not None

    @property
    def ends(self) -> float | None:
        """When the time is over, by the loop's clock; None where it stands still or has no end."""
        if self._timeout is not None:
            return self._timeout.when()
        latest = 0.0
        for one in self.waiting.values():
            ends = None if one is None else one.ends
            if ends is None:
                return None
            latest = max(latest, ends)
        return latest

    @property
    def expired(self) -> bool:
        """Whether the time is over: for those that wait, of all of them."""
        if self._timeout is not None:
            return self._timeout.expired()
        return all(one is not None and one.expired for one in self.waiting.values())

    @property
    def seconds(self) -> float:
        """How long the work may take, from its beginning or from when it last got on."""
        limits = [one.seconds for one in self.waiting.values() if one is not None]
        return min(limits, default=self._seconds)

    def start(self) -> None:
        """Let the time begin anew, or stand still where it is held."""
        for one in self.waiting.values():
            if one is not None:
                one.start()
        if self._timeout is not None:
            ends = None if self.held else asyncio.get_running_loop().time() + self._seconds
            with contextlib.suppress(RuntimeError):  # it is over already
                self._timeout.reschedule(ends)


class Request(NamedTuple):
    """What is known of the work that a task does."""

    deadline: Deadline | None = None
    """When it is to be over; None: whenever it is."""
    patient: bool = False
    """Whether it waits for its turn as long as that takes."""
    reply: Reply | None = None
    """Where its requests note their answers."""
    subscriber: weakref.ref[Any] | None = None
    """Who has asked ccxt for a stream. Timers that the call starts, as aiohttp's connections do,
    keep this for long after."""
    listing: bool = False
    """Whether a list of markets is fetched."""
    in_floats: bool = False
    """Whether numbers are read as floats, also where Decimals are wanted."""


_NOTHING = Request()
_current: ContextVar[Request] = ContextVar("_current", default=_NOTHING)

current = _current.get
"""Gives what the running task does."""

begin = _current.set
"""Has the running task do something else from now on."""


@contextlib.contextmanager
def doing(request: Request) -> Iterator[None]:
    """Do something else while inside."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)
