"""What there is to tell of a call once it is over, for logs and metrics."""

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
    """A call, and how it went."""

    seconds: float = 0.0
    cancelled: bool = False

    @property
    def code(self) -> str:
        """How it ended: ``OK``, ``CANCELLED`` or the code of its error."""
        if self.error is not None:
            return self.error.code
        return "CANCELLED" if self.cancelled else "OK"


class Observer(Protocol):
    """Whoever is told of calls."""

    def called(self, call: Observed) -> None:
        """Take note of a call that is over."""


@contextmanager
def observed(observers: Collection[Observer], name: str) -> Iterator[Call]:
    """Tell observers of what happens inside the block."""
    call = Observed(name, cancelled=True)
    began = time.perf_counter()
    try:
        yield call
        call.cancelled = False
    finally:
        call.seconds = time.perf_counter() - began
        for one in observers:
            one.called(call)
