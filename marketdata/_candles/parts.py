"""Slices of candles by time, and longer candles of them."""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from typing import TYPE_CHECKING, Any

from marketdata import arguments
from marketdata._candles.calendar import can_make, expected, known, learned
from marketdata._candles.resampling import resample
from marketdata._candles.spans import Gap, intervals
from marketdata.errors import TimeframeNotSupportedError

if TYPE_CHECKING:
    from marketdata.arguments import Moment
    from marketdata.models import Candles, Cause, Columns
    from marketdata.number_form import Number

__all__ = ["between", "resampled"]

_UNKNOWN: frozenset[Cause] = frozenset({"not_fetched"})
"""A longer candle with a part of this cause is missing, because its trades are unknown."""


def between(record: Candles[Number], start: Moment | None, end: Moment | None) -> slice:
    """Return the positions of the candles that open from one time and before another.

    Raises `InvalidParameterError` for invalid times.
    """
    times = record.time
    first = 0 if start is None else bisect_left(times, arguments.instant(start))
    last = len(times) if end is None else bisect_left(times, arguments.instant(end))
    return slice(first, max(first, last))


def resampled(record: Candles[Number], timeframe: str) -> Candles[Number]:
    """Resample the candles of a record; see `Candles.resample`."""
    own = learned(record.timeframe, record.time, known(record.exchange, record.timeframe))
    wanted = expected(timeframe) if arguments.is_timeframe(timeframe) else None
    if wanted is None or not can_make(own, wanted):
        raise TimeframeNotSupportedError(
            f"'{timeframe[:20]}' candles cannot be resampled from {record.timeframe} ones: use a "
            "multiple, such as 4h from 1h.",
            details={"timeframe": timeframe[:20], "of": record.timeframe},
        )
    gaps = [
        Gap(_at(gap.start), _at(gap.end), gap.cause)
        for gap in (*record.missing, *(record.filled or ()))
    ]
    gaps.sort(key=lambda gap: gap.start)
    edges = [(gap.start, gap.end) for gap in gaps]
    edges += [(record.time[index], own.end(record.time[index])) for index in (0, -1) if len(record)]
    start = min((edge[0] for edge in edges), default=0)
    end = max((edge[1] for edge in edges), default=0)
    # The last candle is open, and so is the longer one with it. All others must be complete.
    is_open = record.forming and bool(len(record))
    until = end if is_open else wanted.floor(end)
    columns, missing = resample(
        _own(record), wanted, gaps, start=wanted.ceil(start), until=until, unknown=_UNKNOWN
    )
    return record.model_copy(
        update={
            "timeframe": timeframe,
            "columns": columns,
            "missing": intervals(missing, wanted),
            "forming": is_open and len(columns) > 0 and wanted.next(columns.time[-1]) >= end,
            "filled": None,
            "quality": None,
            "derived": True,
            "derived_fields": ("candles",),
            "resampled_from": record.resampled_from or record.timeframe,
        }
    )


def _own(record: Candles[Any]) -> Columns[Any]:
    """Return the exchange's candles, without filled ones."""
    columns = record.columns
    made_up = {
        index
        for gap in record.filled or ()
        for index in range(
            bisect_left(columns.time, _at(gap.start)), bisect_left(columns.time, _at(gap.end))
        )
    }
    if not made_up:
        return columns
    rows = enumerate(columns.rows())
    return type(columns).from_rows([row for index, row in rows if index not in made_up])


def _at(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
