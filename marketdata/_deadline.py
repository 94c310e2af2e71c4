"""How long the running call may take, for everything that it awaits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from marketdata.errors import ExchangeUnavailableError

T = TypeVar("T")


@dataclass
class _Running:
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


_running: ContextVar[_Running | None] = ContextVar("_running", default=None)


async def within(seconds: float, name: str, work: Awaitable[T]) -> T:
    """Give work so many seconds, then raise `ExchangeUnavailableError` in the exchange's name."""
    timeout = asyncio.timeout(seconds)
    token = _running.set(_Running(timeout, seconds))
    try:
        async with timeout:
            return await work
    except TimeoutError:
        raise ExchangeUnavailableError(
            f"{name} did not answer within {seconds:.3g} s. Try later, or raise "
            "MARKETDATA_TIMEOUT.",
            details={"exchange": name},
        ) from None
    finally:
        _running.reset(token)


def seconds_left(otherwise: float) -> float:
    """Tell how much is left of the running call's time; the argument where it has no limit."""
    running = _running.get()
    ends = None if running is None else running.timeout.when()
    return otherwise if ends is None else ends - asyncio.get_running_loop().time()


def renew() -> None:
    """Start the running call's time anew: a long job has got on."""
    running = _running.get()
    if running is not None:
        running.start()


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Let the running call's time stand still for what no exchange does; it starts anew then."""
    running = _running.get()
    if running is None:
        yield
        return
    running.held += 1
    running.start()
    try:
        yield
    finally:
        running.held -= 1
        running.start()


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
    running = _running.get()
    if running is None or not is_patient():
        await asyncio.sleep(seconds)
        return
    while seconds > 0:
        renew()
        part = min(seconds, running.seconds / 2)
        await asyncio.sleep(part)
        seconds -= part
    renew()
