"""Candles as frames and pictures; each library is imported when it is used."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from marketdata.errors import DataUnavailableError, MissingExtraError
from marketdata.models.columns import NAMES, Columns

if TYPE_CHECKING:
    import numpy
    import pandas
    import polars
    import pyarrow


_UNCOUNTED = -1


class _Flag(Protocol):
    @property
    def open_time(self) -> datetime: ...
    @property
    def quality(self) -> str: ...


class _Range(Protocol):
    @property
    def start(self) -> datetime: ...
    @property
    def end(self) -> datetime: ...


Flagged: TypeAlias = "Sequence[_Flag] | None"
"""Unusual candles; None if there are none."""
Filled: TypeAlias = "Sequence[_Range] | None"
"""Ranges of filled candles; None if filling was not requested: then there is no such column."""


def to_pandas(
    columns: Columns[Any], filled: Filled = None, quality: Flagged = None
) -> pandas.DataFrame:
    """Return a DataFrame indexed by ``time`` (UTC, ms), with float columns.

    With Decimals, the columns are objects: the Decimals themselves, None for an unknown volume.
    ``trades`` is a nullable integer column, all missing if the exchange does not count trades.
    ``filled`` exists if filling was requested, and marks filled candles. ``quality`` exists if a
    candle is unusual: ``off_calendar``, ``revised`` or ``filled``.
    """
    try:
        import numpy as np
        import pandas as pd
    except ImportError:
        raise MissingExtraError("to_pandas()", "frames") from None
    times = np.asarray(columns.time).view("datetime64[ms]")
    index = pd.DatetimeIndex(times, tz="UTC", name=NAMES[0])
    if columns.is_decimal:
        frame = pd.DataFrame(
            {name: _known(columns, name) for name in NAMES[1:6]}, index, dtype=object
        )
    else:
        frame = pd.DataFrame(_block(columns).T, index, list(NAMES[1:6]), copy=False)
    counts = np.asarray(columns.trades)
    # pandas copies it, so that writing to the frame leaves these candles as they are.
    frame["trades"] = pd.arrays.IntegerArray(counts, counts == _UNCOUNTED)
    if filled is not None:
        frame["filled"] = made_up(columns, filled)
    if (marks := qualities(columns, filled, quality)) is not None:
        frame["quality"] = pd.array(marks, dtype="string")
    return frame


def _block(columns: Columns[Any]) -> numpy.ndarray:
    """Copy prices and volumes into one array, a row each, in which pandas keeps them, too."""
    import numpy as np

    block = np.empty((5, len(columns)))
    for row, name in zip(block, NAMES[1:6], strict=True):
        stored, place = columns.in_arrow.get(name), 0
        if stored is None:
            row[:] = getattr(columns, name)
            continue
        # Chunk by chunk: to join them first would be one copy more.
        for chunk in stored.chunks:
            row[place : place + len(chunk)] = chunk.to_numpy(zero_copy_only=False)
            place += len(chunk)
    return block


def to_polars(
    columns: Columns[Any], filled: Filled = None, quality: Flagged = None
) -> polars.DataFrame:
    """Return a polars DataFrame; ``time`` is Datetime in ms and UTC; see `to_pandas`.

    Decimals are ``Decimal(38, scale)``, with the scale that each column needs. Raises
    `DataUnavailableError` for more digits.
    """
    try:
        import numpy as np
        import polars as pl
    except ImportError:
        raise MissingExtraError("to_polars()", "frames") from None
    stored = columns.in_arrow
    # By way of numpy, since polars takes an array of Python's number by number.
    arrays: dict[str, Any] = {
        name: pl.Series(
            name, stored[name] if name in stored else np.asarray(getattr(columns, name))
        )
        for name in NAMES
    }
    for name, one in _decimals(columns, 38).items():
        arrays[name] = pl.Series(name, one.values, pl.Decimal(38, one.scale))
    frame = pl.DataFrame({name: pl.Series(name, values) for name, values in arrays.items()})
    known: list[polars.Expr | polars.Series] = [pl.col("time").cast(pl.Datetime("ms", "UTC"))]
    if not columns.is_decimal and "volume" not in stored:
        known.append(pl.col("volume").fill_nan(None))
    if "trades" not in stored:
        known.append(pl.col("trades").replace(_UNCOUNTED, None))
    if filled is not None:
        known.append(pl.Series("filled", made_up(columns, filled)))
    if (marks := qualities(columns, filled, quality)) is not None:
        known.append(pl.Series("quality", marks, pl.String))
    return frame.with_columns(known)


def to_arrow(
    columns: Columns[Any], filled: Filled = None, quality: Flagged = None
) -> pyarrow.Table:
    """Return an Arrow table; ``time`` is a timestamp in ms and UTC; see `to_pandas`.

    Decimals are ``decimal128(38, scale)``, or ``decimal256(76, scale)`` if a column needs more
    digits. Raises `DataUnavailableError` for even more digits.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingExtraError("to_arrow()", "frames") from None
    count, stored = len(columns), columns.in_arrow
    kinds: dict[str, pyarrow.DataType] = dict.fromkeys(NAMES, pa.float64())
    kinds |= {"time": pa.timestamp("ms", tz="UTC"), "trades": pa.int64()}

    def whole(name: str) -> pyarrow.Array | pyarrow.ChunkedArray:
        if name in stored:
            return stored[name]
        buffer = pa.py_buffer(getattr(columns, name))
        known = pa.Array.from_buffers(kinds[name], count, [None, buffer])
        if name not in ("volume", "trades"):
            return known
        import pyarrow.compute as pc  # slow to import, and not needed for stored candles

        unknown = pc.is_nan(known) if name == "volume" else pc.equal(known, _UNCOUNTED)
        return pc.if_else(unknown, None, known)

    if columns.is_decimal:
        arrays = {name: whole(name) for name in ("time", "trades")}
        for name, one in _decimals(columns, 76).items():
            kind = pa.decimal128(38, one.scale)
            if one.digits > 38:
                kind = pa.decimal256(76, one.scale)
            arrays[name] = pa.array(one.values, kind)
        arrays = {name: arrays[name] for name in NAMES}
    else:
        arrays = {name: whole(name) for name in NAMES}
    if filled is not None:
        arrays["filled"] = pa.array(made_up(columns, filled))
    if (marks := qualities(columns, filled, quality)) is not None:
        arrays["quality"] = pa.array(marks, pa.string())
    return pa.table(arrays)


class _Decimals(NamedTuple):
    """A column of Decimals, and the digits that its type needs."""

    values: list[Decimal | None]
    digits: int
    scale: int
    """Digits after the point."""


def _decimals(columns: Columns[Any], most: int) -> dict[str, _Decimals]:
    """Return the columns with Decimals; raises if one has too many digits."""
    if not columns.is_decimal:
        return {}
    found = {}
    for name in NAMES[1:6]:
        values = _known(columns, name)
        known = [value for value in values if value is not None]
        scale = max((max(0, -_exponent(value)) for value in known), default=0)
        digits = scale + max((max(1, value.adjusted() + 1) for value in known), default=1)
        if digits > most:
            raise DataUnavailableError(
                f"'{name}' has numbers of {digits} digits, and such a column has {most}. "
                "to_pandas() has them all."
            )
        found[name] = _Decimals(values, digits, scale)
    return found


def _exponent(value: Decimal) -> int:
    return int(value.as_tuple().exponent)


def _known(columns: Columns[Any], name: str) -> Any:
    """Return a column with None for a Decimal that is not known; floats are NaN then."""
    values: Any = getattr(columns, name)
    if not columns.is_decimal:
        return values
    return [None if value.is_nan() else value for value in values]


def qualities(columns: Columns[Any], filled: Filled, quality: Flagged) -> list[str | None] | None:
    """Return the quality of each candle; None if no candle is unusual."""
    if not filled and not quality:
        return None
    flags: dict[int, str] = {
        round(flag.open_time.timestamp() * 1000): flag.quality for flag in quality or ()
    }
    marks = [flags.get(time) for time in columns.time]
    for position, is_filled in enumerate(made_up(columns, filled or ())):
        if is_filled:
            marks[position] = "filled"
    return marks


def made_up(columns: Columns[Any], filled: Sequence[_Range]) -> list[bool]:
    """Return for each candle whether it was filled."""
    marks = [False] * len(columns)
    for gap in filled:
        first, last = (
            bisect_left(columns.time, round(edge.timestamp() * 1000))
            for edge in (gap.start, gap.end)
        )
        marks[first:last] = [True] * (last - first)
    return marks
