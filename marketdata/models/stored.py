"""Records about stored candles."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal, TypeAlias

from marketdata.models import Interval, Record

Problem: TypeAlias = Literal[
    "log_unreadable",
    "file_missing",
    "file_unreadable",
    "rows_wrong",
    "bars_wrong",
    "overlap",
    "file_left_over",
]
"""``log_unreadable``: the log of the table; ``file_missing`` and ``file_unreadable``: a data file,
also one with a wrong checksum; ``rows_wrong``: rows differ from the log, are out of order or have
an unexplained gap; ``bars_wrong``: impossible prices; ``overlap``: two files cover the same time;
``file_left_over``: unused for an hour, which only wastes disk space."""


class _OfSeries(Record):
    """The name of a stored series."""

    exchange: str
    pair: str
    timeframe: str
    simulated: Literal[True] | None = None


DayState: TypeAlias = Literal["complete", "gaps", "not_over", "not_fetched"]
"""``complete``: no candle is missing; ``gaps``: some are missing, for known causes; ``not_over``:
the day is not over; ``not_fetched``: part of it was never requested."""


class Day(Record):
    """The stored part of one day (UTC) of a series."""

    day: date
    state: DayState
    bars: int
    """Candles that are stored."""
    missing: tuple[Interval, ...] = ()
    """Its gaps with their causes; parts that were not requested are ``not_fetched``."""


class Series(_OfSeries):
    """A stored series: its range, gaps and size on disk."""

    start: datetime
    """When the first known candle or gap opens."""
    end: datetime
    """When the last one ends."""
    bars: int
    missing: int
    """Number of candles between start and end that the exchange does not have."""
    not_fetched: int
    """Number of candles between start and end not requested yet; 0 in a complete series."""
    size: int
    """Bytes of the data files in use."""
    files: int
    location: str
    """Path of the Delta table, which other programs can read."""
    days: tuple[Day, ...] | None = None
    """Each day from the first to the last; None unless ``detail`` is ``day``."""


class Downloaded(_OfSeries):
    """The result of downloading one series."""

    start: datetime
    end: datetime | None = None
    """None for a download up to now."""
    bars: int
    """Number of candles now stored in the range."""
    fetched: int
    """How many of them are new, gaps included."""
    holes: tuple[Interval, ...] = ()
    seconds: float
    error: dict[str, Any] | None = None
    """Code and message if it failed; candles received before that are stored."""


class Plan(_OfSeries):
    """The estimate of a download."""

    start: datetime
    end: datetime
    stored: int
    """Number of candles of the range that are already known, gaps included."""
    wanted: int
    """Number of candles still to request."""
    requests: int
    """Minimum number of requests."""
    seconds: float
    """Minimum duration within the exchange's rate limit."""


class Damage(_OfSeries):
    """Something wrong with a stored series."""

    problem: Problem
    path: str | None = None
    """The data file, relative to the table; None if the problem is not in one file."""
    start: datetime | None = None
    end: datetime | None = None
    """The range that the file covers."""
    repaired: bool | None = None
    """Whether `repair` mended it; None from `verify`."""


class Progress(_OfSeries):
    """The progress of a download."""

    done: int
    """Number of known candles, gaps included."""
    total: int
    finished: bool = False
