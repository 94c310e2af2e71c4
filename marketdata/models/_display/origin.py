"""Where an answer comes from and how old it is, as every page says it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from marketdata.models._display.elements import FAINT, PLAIN, SIMULATED, STRONG, Line
from marketdata.models._display.numbers import age, clock


class Sourced(Protocol):
    """What every record about a market says about itself."""

    @property
    def exchange(self) -> str:
        """The id of the exchange."""
        ...

    @property
    def timestamp(self) -> datetime:
        """The exchange's time."""
        ...

    @property
    def simulated(self) -> bool | None:
        """Whether it is from the simulated exchange."""
        ...


def heading(what: str, exchange: str, simulated: bool | None, detail: str = "") -> Line:
    """Name what is shown and the exchange it is from."""
    line: Line = [(what, STRONG), ("  ", PLAIN)] if what else []
    line.append((exchange, PLAIN))
    if simulated:
        line += [("  ", PLAIN), (" SIMULATED ", SIMULATED)]
    if detail:
        line.append((f"  {detail}", FAINT))
    return line


def freshness(records: Sequence[Sourced], now: datetime, source: str = "") -> Line:
    """Say when the exchange said it, how long ago that is, and by which call."""
    times = [record.timestamp for record in records]
    oldest, newest = min(times), max(times)
    text = f"{clock(newest)}, {age(newest, now)}"
    if (newest - oldest).total_seconds() >= 1:
        text = f"{clock(oldest)} to {text}"
    return [(f"{text}, {source}" if source else text, FAINT)]
