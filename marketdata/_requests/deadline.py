"""How long the running call may take, for everything that it awaits."""

from __future__ import annotations

import asyncio
import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from marketdata.errors import ExchangeUnavailableError

T = TypeVar("T")


_RENEWED_EVERY = 1.0
"""Seconds after which the time of a patient call starts anew, at most: somebody who has less time
may come to wait for the same."""


@dataclass(eq=False)
class Call:
    """A call that is under way."""

    timeout: asyncio.Timeout
    seconds: float
    """How long it may take, from its beginning or from when it last got on."""
    held: int = 0
    """How much is under way for which its time stands still."""

    def start(self) -> None:
        """Let its time begin, or stand still."""
        ends = None if self.held else asyncio.get_running_loop().time() + self.seconds
        with contextlib.suppress(RuntimeError):  # it is over already
            self.timeout.reschedule(ends)

    @property
    def ends(self) -> float | None:
        """When its time is over, by the loop's clock; None where it stands still."""
        return self.timeout.when()

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.timeout.expired()


class Calls(ABC):
    """The calls that wait for the same work, which may take as long as the last of them may."""

    expired = False
    """Whether the work was ended because the time of the last one was over."""

    @abstractmethod
    def calls(self) -> Iterable[Call | Calls | None]:
        """Give them; None for one without a limit."""

    @property
    def ends(self) -> float | None:
        """When the time of the last one is over; None where one has no limit."""
        latest = 0.0
        for call in self.calls():
            ends = None if call is None else call.ends
            if ends is None:
                return None
            latest = max(latest, ends)
        return latest

    @property
    def seconds(self) -> float:
        """How long the shortest may take."""
        return min((call.seconds for call in self.calls() if call is not None), default=math.inf)

    def start(self) -> None:
        """Let the time of all begin anew."""
        for call in self.calls():
            if call is not None:
                call.start()


_running: ContextVar[Call | Calls | None] = ContextVar("_running", default=None)


def running() -> Call | Calls | None:
    """Give the running call; None where it has no limit."""
    return _running.get()


def work_for(calls: Calls) -> None:
    """Let the running task work for these calls from now on, and not for who began it."""
    _running.set(calls)


async def within(seconds: float, name: str, work: Awaitable[T]) -> T:
    """Give work so many seconds, then raise `ExchangeUnavailableError` in the exchange's name."""
    timeout = asyncio.timeout(seconds)
    token = _running.set(Call(timeout, seconds))
    try:
        async with timeout:
            return await work
    except TimeoutError:
        failure = ExchangeUnavailableError(
            f"{name} did not answer within {seconds:.3g} s. Try later, or raise "
            "MARKETDATA_TIMEOUT.",
            details={"exchange": name, "reason": "timed_out"},
        )
    finally:
        _running.reset(token)
    raise failure


def seconds_left(otherwise: float) -> float:
    """Tell how much is left of the running call's time; the argument where it has no limit."""
    call = _running.get()
    ends = None if call is None else call.ends
    return otherwise if ends is None else ends - asyncio.get_running_loop().time()


def ran_out() -> bool:
    """Tell whether the running call was ended because its time is over."""
    call = _running.get()
    return call is not None and call.expired


def renew() -> None:
    """Start the running call's time anew: a long job has got on."""
    call = _running.get()
    if call is not None:
        call.start()


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Let the running call's time stand still for what no exchange does; it starts anew then."""
    call = _running.get()
    if not isinstance(call, Call):
        yield
        return
    call.held += 1
    call.start()
    try:
        yield
    finally:
        call.held -= 1
        call.start()


_patient: ContextVar[bool] = ContextVar("_patient", default=False)


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Let what runs inside wait for its turn as long as that takes: its time starts anew then."""
    token = _patient.set(True)
    try:
        yield
    finally:
        _patient.reset(token)


def is_patient() -> bool:
    """Tell whether the running call waits for its turn as long as that takes."""
    return _patient.get()


async def rest(seconds: float) -> None:
    """Wait; the time of a patient call starts anew meanwhile."""
    call = _running.get()
    if call is None or not is_patient():
        await asyncio.sleep(seconds)
        return
    while seconds > 0:
        renew()
        part = min(seconds, call.seconds / 2, _RENEWED_EVERY)
        await asyncio.sleep(part)
        seconds -= part
    renew()
