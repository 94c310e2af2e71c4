"""The pure core of candles: calendars, gaps and spans of time."""

from marketdata._candles.calendar import (
    DAY,
    HOUR,
    Calendar,
    can_make,
    expected,
    known,
    learned,
    nominal_length,
    source_for,
    sources,
)
from marketdata._candles.spans import (
    FOREVER,
    Gap,
    Span,
    Stretch,
    between,
    clipped,
    intervals,
    joined,
)
from marketdata._exchanges.openings import OPENINGS, Opening

__all__ = [
    "DAY",
    "FOREVER",
    "HOUR",
    "OPENINGS",
    "Calendar",
    "Gap",
    "Opening",
    "Span",
    "Stretch",
    "between",
    "can_make",
    "clipped",
    "expected",
    "intervals",
    "joined",
    "known",
    "learned",
    "nominal_length",
    "source_for",
    "sources",
]
