"""How long the running call may take, for everything that it awaits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from typing import TypeVar

from marketdata._requests.request import TimeLimit, begin, current, doing
from marketdata.errors import ExchangeUnavailableError

T = TypeVar("T")


_RENEWED_EVERY = 1.0
"""Seconds after which the time of a patient call starts anew, at most: somebody who has less time
may come to wait for the same."""


async def within(seconds: float, name: str, work: Awaitable[T]) -> T:
    """Return work so many seconds, then raise `ExchangeUnavailableError` in the exchange's name."""
    before = current()
    limit = TimeLimit(seconds)
    begin(before.within(limit))
    try:
        found = await work
    except asyncio.CancelledError:
        if not limit.stop():
            raise
    except BaseException:
        limit.stop()
        raise
    else:
        limit.stop()
        return found
    finally:
        begin(before)
    raise ExchangeUnavailableError(
        f"{name} did not respond within {seconds:.3g} s. Try later, or raise MARKETDATA_TIMEOUT.",
        details={"exchange": name, "reason": "timed_out"},
    )


def seconds_left(otherwise: float) -> float:
    """Tell how much is left of the running call's time; the argument where it has no limit."""
    deadline = current().deadline
    ends = None if deadline is None else deadline.ends
    return otherwise if ends is None else ends - asyncio.get_running_loop().time()


def ran_out() -> bool:
    """Return whether the running call was ended because its time is over."""
    deadline = current().deadline
    return deadline is not None and deadline.expired


def renew() -> None:
    """Start the running call's time anew: a long job has got on."""
    deadline = current().deadline
    if deadline is not None:
        deadline.start()


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Let the running call's time stand still for what no exchange does; it starts anew then."""
    limit = current().deadline
    if not isinstance(limit, TimeLimit):
        yield
        return
    limit.held += 1
    limit.start()
    try:
        yield
    finally:
        limit.held -= 1
        limit.start()


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Let what runs inside wait for its turn as long as that takes: its time starts anew then."""
    with doing(replace(current(), patient=True)):
        yield


def is_patient() -> bool:
    """Return whether the running call waits for its turn as long as that takes."""
    return current().patient


async def rest(seconds: float) -> None:
    """Wait; the time of a patient call starts anew meanwhile."""
    deadline = current().deadline
    if deadline is None or not is_patient():
        await asyncio.sleep(seconds)
        return
    while seconds > 0:
        renew()
        part = min(seconds, deadline.seconds / 2, _RENEWED_EVERY)
        await asyncio.sleep(part)
        seconds -= part
    renew()
