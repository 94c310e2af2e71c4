"""What there is to say about stored candles."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal, TypeAlias

from marketdata.models import Interval, Record

Problem: TypeAlias = Literal[
    "log_unreadable", "file_missing", "file_unreadable", "rows_wrong", "bars_wrong", "overlap"
]
"""``log_unreadable``: the table's own log; ``file_missing`` and ``file_unreadable``: a data file,
also one whose checksums differ; ``rows_wrong``: other rows than the log says, out of order or with
an unexplained gap; ``bars_wrong``: prices that cannot be; ``overlap``: two files tell of one
time."""


class _OfSeries(Record):
    """Which stored series."""

    exchange: str
    pair: str
    timeframe: str
    simulated: Literal[True] | None = None


DayState: TypeAlias = Literal["complete", "gaps", "not_over", "not_fetched"]
"""``complete``: every place has a candle; ``gaps``: some have none, for causes that are known;
``not_over``: the day goes on; ``not_fetched``: some of it was never requested."""


class Day(Record):
    """What is stored of one day (UTC) of a series."""

    day: date
    state: DayState
    bars: int
    """Candles that are stored."""
    missing: tuple[Interval, ...] = ()
    """Its gaps with their causes; what was not requested is ``not_fetched``."""


class Series(_OfSeries):
    """A stored series: what is known of it, and what it takes on the disk."""

    start: datetime
    """Opening of the first bar or hole that is known."""
    end: datetime
    """End of the last one."""
    bars: int
    missing: int
    """Bars between start and end that the exchange does not have."""
    not_fetched: int
    """Bars between start and end of which nothing is known yet; 0 in a complete series."""
    size: int
    """Bytes of the data files in use."""
    files: int
    location: str
    """The Delta table, for other programs to read."""
    days: tuple[Day, ...] | None = None
    """Each day from the first to the last; None unless the details of days were asked for."""


class Downloaded(_OfSeries):
    """What became of the download of one series."""

    start: datetime
    end: datetime | None = None
    """None where it was to go up to now."""
    bars: int
    """Stored in the range by now."""
    fetched: int
    """New among them, holes included."""
    holes: tuple[Interval, ...] = ()
    seconds: float
    error: dict[str, Any] | None = None
    """Code and message, where it failed; what had come by then is stored."""


class Plan(_OfSeries):
    """What a download would have to do."""

    start: datetime
    end: datetime
    stored: int
    """Bars of the range that are known already, holes included."""
    wanted: int
    """Bars still to be fetched."""
    requests: int
    """How many answers those take at least."""
    seconds: float
    """How long that takes at least, within the exchange's limits."""


class Damage(_OfSeries):
    """Something wrong with a stored series."""

    problem: Problem
    path: str | None = None
    """The data file, below the table; None where it is not one file."""
    start: datetime | None = None
    end: datetime | None = None
    """What the file is about."""
    repaired: bool | None = None
    """None unless a repair was asked for."""


class Progress(_OfSeries):
    """How far a download has got."""

    done: int
    """Bars known, holes included."""
    total: int
    finished: bool = False
