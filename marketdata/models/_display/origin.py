"""The source and age of an answer, written in the same way on every page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from marketdata.models._display.elements import FAINT, PLAIN, SIMULATED, STRONG, WARNING, Line
from marketdata.models._display.numbers import age, clock


class Sourced(Protocol):
    """The fields that every record about a market has."""

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
    """Write the heading: what the page shows, and of which exchange."""
    line: Line = [(what, STRONG), ("  ", PLAIN)] if what else []
    line.append((exchange, PLAIN))
    if simulated:
        line += [("  ", PLAIN), (" SIMULATED ", SIMULATED)]
    if detail:
        line.append((f"  {detail}", FAINT))
    return line


def freshness(records: Sequence[Sourced], now: datetime, source: str = "") -> Line:
    """Write the exchange's timestamp, its age, and the call it came from."""
    times = [record.timestamp for record in records]
    oldest, newest = min(times), max(times)
    text = f"{clock(newest)}, {age(newest, now)}"
    if (newest - oldest).total_seconds() >= 1:
        text = f"{clock(oldest)} to {text}"
    line: Line = [(f"{text}, {source}" if source else text, FAINT)]
    if any(getattr(record, "stale", None) for record in records):
        line.append(("  stale: its stream was interrupted", WARNING))
    return line
