"""Reports finished calls to logs and metrics."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from marketdata_mcp.admission import Call

__all__ = ["Observed", "Observer", "observed"]


@dataclass
class Observed(Call):
    """A call with its result."""

    seconds: float = 0.0
    cancelled: bool = False

    @property
    def code(self) -> str:
        """The result: ``OK``, ``CANCELLED`` or the error code."""
        if self.error is not None:
            return self.error.code
        return "CANCELLED" if self.cancelled else "OK"


class Observer(Protocol):
    """Gets finished calls."""

    def called(self, call: Observed) -> None:
        """Note a finished call."""


@contextmanager
def observed(observers: Collection[Observer], name: str) -> Iterator[Call]:
    """Report the result of the block to observers."""
    call = Observed(name, cancelled=True)
    began = time.perf_counter()
    try:
        yield call
        call.cancelled = False
    finally:
        call.seconds = time.perf_counter() - began
        for one in observers:
            one.called(call)
