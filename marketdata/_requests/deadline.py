"""The timeout of the running call, for everything that it awaits."""

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
"""Maximum seconds between restarts of a patient call's timeout, because a call with less time may
wait for the same response."""


async def within(seconds: float, name: str, work: Awaitable[T]) -> T:
    """Limit work to some seconds; then raise `ExchangeUnavailableError` with a name."""
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
    """Return the seconds left to the running call; the argument if it has no limit."""
    deadline = current().deadline
    ends = None if deadline is None else deadline.ends
    return otherwise if ends is None else ends - asyncio.get_running_loop().time()


def ran_out() -> bool:
    """Return whether the running call was cancelled by its timeout."""
    deadline = current().deadline
    return deadline is not None and deadline.expired


def renew() -> None:
    """Restart the running call's timeout after progress of a long download."""
    deadline = current().deadline
    if deadline is not None:
        deadline.start()


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Pause the running call's timeout for local work; it restarts afterwards."""
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
    """Let the calls inside wait for the rate limit without a limit; their timeout restarts then."""
    with doing(replace(current(), patient=True)):
        yield


def is_patient() -> bool:
    """Return whether the running call waits for the rate limit without a limit."""
    return current().patient


async def rest(seconds: float) -> None:
    """Sleep; the timeout of a patient call restarts meanwhile."""
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
