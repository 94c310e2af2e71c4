"""What there is to tell of a call once it is over, for logs and metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from marketdata.errors import MarketDataError
    from marketdata_mcp.ask import Caller

__all__ = ["Call", "Observer", "Observers", "observed"]


@dataclass
class Call:
    """A call that is over, or is about to be."""

    name: str
    """The tool, or ``resources/read``."""
    caller: Caller | None = None
    """None where it failed before anybody looked who makes it."""
    error: MarketDataError | None = None
    seconds: float = 0.0
    units: int = 0
    """What it was charged in the end."""
    cancelled: bool = False

    @property
    def code(self) -> str:
        """How it ended: ``OK``, ``CANCELLED`` or the code of its error."""
        if self.error is not None:
            return self.error.code
        return "CANCELLED" if self.cancelled else "OK"


class Observer(Protocol):
    """Whoever is told of calls."""

    def called(self, call: Call) -> None:
        """Take note of a call that is over."""


class Observers:
    """Several of them as one."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def called(self, call: Call) -> None:
        """Tell all of them."""
        for observer in self._observers:
            observer.called(call)


@contextmanager
def observed(observer: Observer | None, name: str) -> Iterator[Call]:
    """Tell an observer of what happens inside the block."""
    call = Call(name)
    if observer is None:
        yield call
        return
    began = time.perf_counter()
    call.cancelled = True
    try:
        yield call
        call.cancelled = False
    finally:
        call.seconds = time.perf_counter() - began
        observer.called(call)
