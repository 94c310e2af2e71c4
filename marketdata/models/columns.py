"""Candles as columns: one array a field, so that thousands of candles are seven objects."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast, overload

from marketdata.models import decimals
from marketdata.models.decimals import Number, number_schema
from marketdata.number_form import Numbers

if TYPE_CHECKING:
    import pyarrow
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

Row: TypeAlias = tuple[int, Number, Number, Number, Number, Number | None, int | None]
"""Open time in Unix milliseconds, open, high, low, close, volume, number of trades."""

NAMES = ("time", "open", "high", "low", "close", "volume", "trades")

_UNCOUNTED = -1

_all_of = attrgetter(*NAMES)


def _array(code: str, values: Iterable[Any]) -> array[Any]:
    if isinstance(values, array) and values.typecode == code:
        return values  # copying is slow, and most arrays are made for this
    return array(code, values)


def _from_arrow(values: pyarrow.ChunkedArray, code: str, unknown: float) -> array[Any]:
    """Copy a column out of Arrow's memory, with a number in the place of nulls."""
    if values.null_count == len(values):
        return array(code, [unknown]) * len(values)
    made: array[Any] = array(code)
    for chunk in values.chunks:
        if chunk.null_count:
            made.extend(unknown if value is None else value for value in chunk.to_pylist())
        else:
            first, size = chunk.offset * made.itemsize, len(chunk) * made.itemsize
            made.frombytes(memoryview(chunk.buffers()[1])[first : first + size])
    return made


def _numbers(values: Iterable[Any]) -> array[float]:
    """Return an array of doubles, or a list of Decimals."""
    if isinstance(values, array):
        return _array("d", values)
    values = values if isinstance(values, list | tuple) else list(values)
    if not _are_decimals(values):
        return array("d", values)
    if None in values:
        raise TypeError("a bar without a price")
    # For type checkers these are floats, as everywhere: both have the same methods.
    made: Any = list(values)
    return made  # type: ignore[no-any-return]


def _are_decimals(values: Sequence[float | Decimal]) -> bool:
    return len(values) > 0 and isinstance(values[0], Decimal)


def total(values: Sequence[float]) -> float:
    """Add decimals up, as `float_total`; of Decimals, all digits."""
    if _are_decimals(values):
        return decimals.as_number(decimals.total(values))
    return float_total(values)


def float_total(values: Iterable[float]) -> float:
    """Add decimals up, to 15 digits: more would only be noise of floats."""
    exact = math.fsum(values)
    rounded = float(f"{exact:.15g}")
    return rounded if abs(rounded - exact) <= 4 * math.ulp(exact) else exact


if TYPE_CHECKING:

    class _Column:
        """How type checkers see a column of numbers."""

        @overload
        def __get__(self, of: Columns[float], kind: Any) -> array[float]: ...
        @overload
        def __get__(self, of: Columns[Decimal], kind: Any) -> list[Decimal]: ...
        @overload
        def __get__(self, of: Columns[Number], kind: Any) -> Sequence[Number]: ...
        def __get__(self, of: Any, kind: Any) -> Any: ...
        def __set__(self, of: Any, value: Any) -> None: ...


class Columns(Numbers[Number]):
    """Seven columns of equal length, ordered by time.

    ``time`` (Unix ms) and ``trades`` are arrays of int64, the others of doubles; all support the
    buffer protocol, so ``numpy.asarray(columns.close)`` copies nothing. An unknown volume is NaN,
    an unknown count of trades -1; rows and JSON have None for both. Given arrays of these types are
    used without a copy. If prices and volumes are Decimals, their columns are lists, and an unknown
    volume is ``Decimal("NaN")``.

    Columns from the store stay in Arrow's memory until they are used, so that frames are made
    without a copy.
    """

    __slots__ = (*NAMES, "_arrow")

    if TYPE_CHECKING:
        time: array[int]
        open: _Column
        high: _Column
        low: _Column
        close: _Column
        volume: _Column
        trades: array[int]
        _arrow: dict[str, pyarrow.ChunkedArray]
        """Columns that were not used yet; unknown values are null."""

    def __init__(
        self,
        time: Iterable[int],
        open: Iterable[float],  # noqa: A002 - the field's own word
        high: Iterable[float],
        low: Iterable[float],
        close: Iterable[float],
        volume: Iterable[float],
        trades: Iterable[int] | None = None,
    ) -> None:
        self._arrow = {}
        self.time = _array("q", time)
        self.open = _numbers(open)
        self.high = _numbers(high)
        self.low = _numbers(low)
        self.close = _numbers(close)
        self.volume = _numbers(volume)
        count = len(self.time)
        self.trades = array("q", [_UNCOUNTED]) * count if trades is None else _array("q", trades)
        if any(len(getattr(self, name)) != count for name in NAMES):
            raise ValueError("the columns of candles have different lengths")

    @classmethod
    def from_arrow(cls, time: array[int], others: dict[str, pyarrow.ChunkedArray]) -> Self:
        """Make columns of open times (Unix ms) and of the other six in Arrow's memory.

        ``others`` are of float64, and of int64 for ``trades``; nulls are unknown values.
        """
        return cls._of({"time": time}, others)

    @classmethod
    def _of(cls, arrays: dict[str, Any], others: dict[str, pyarrow.ChunkedArray]) -> Self:
        """Make columns of arrays of equal length."""
        made = cls.__new__(cls)
        made._arrow = others
        for name, values in arrays.items():
            setattr(made, name, values)
        return made

    def _take(self, arrays: Sequence[Any]) -> None:
        """Take one array for each column, known to be consistent."""
        (
            self.time,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.trades,
        ) = arrays

    def __getattr__(self, name: str) -> Any:
        """Take a column out of Arrow's memory; called for one that is not an array yet."""
        if name in NAMES and (values := self._arrow.get(name)) is not None:
            code, unknown = ("q", _UNCOUNTED) if name == "trades" else ("d", math.nan)
            setattr(self, name, _from_arrow(values, code, unknown))
            self._arrow.pop(name, None)
        # The column is there now, even if another thread has converted it.
        return object.__getattribute__(self, name)

    def __reduce__(self) -> tuple[type[Columns], tuple[Any, ...]]:
        return Columns, tuple(getattr(self, name) for name in NAMES)

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        # Of pickles from before columns could be in Arrow's memory.
        self._arrow = {}
        for name, values in state[1].items():
            setattr(self, name, values)

    @property
    def in_arrow(self) -> Mapping[str, pyarrow.ChunkedArray]:
        """The columns that are still in Arrow's memory; unknown values are null."""
        return MappingProxyType(self._arrow)

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[Any]]) -> Self:
        """Make columns of rows as in `Row`; all rows may lack the seventh position.

        Raises TypeError or ValueError if a price is missing or a row is too short.
        """
        if not rows:
            return cls((), (), (), (), (), ())
        time, opened, high, low, close, volume, *trades = zip(*rows, strict=True)
        if None in volume:
            unknown = Decimal("NaN") if isinstance(opened[0], Decimal) else math.nan
            volume = tuple(unknown if value is None else value for value in volume)
        counts: Iterable[int] | None = None
        if trades:
            counts = (_UNCOUNTED if value is None else value for value in trades[0])
        return cls(time, opened, high, low, close, volume, counts)

    def row(self, index: int) -> Row[Number]:
        """Return one candle."""
        volume, trades = self.volume[index], self.trades[index]
        return (
            self.time[index],
            self.open[index],
            self.high[index],
            self.low[index],
            self.close[index],
            None if math.isnan(volume) else volume,
            None if trades == _UNCOUNTED else trades,
        )

    def rows(self) -> list[Row[Number]]:
        """Return all candles."""
        volume: Iterable[Number | None] = self.volume
        if any(map(math.isnan, self.volume)):
            volume = [None if math.isnan(value) else value for value in self.volume]
        trades: Iterable[int | None] = self.trades
        if _UNCOUNTED in self.trades:
            trades = [None if value == _UNCOUNTED else value for value in self.trades]
        fields = (self.time, self.open, self.high, self.low, self.close, volume, trades)
        return list(zip(*fields, strict=True))

    def __len__(self) -> int:
        return len(self.time)

    def __iter__(self) -> Iterator[Row[Number]]:
        return iter(self.rows())

    def __getitem__(self, index: slice) -> Columns[Number]:
        """Return the candles of a slice."""
        first, behind, step = index.indices(len(self))
        kept = dict(self._arrow) if step == 1 else {}
        if not kept:
            made: Columns[Number] = Columns.__new__(Columns)
            made._arrow = {}
            made._take([values[index] for values in _all_of(self)])
            return made
        arrays = {name: getattr(self, name)[index] for name in NAMES if name not in kept}
        count = max(0, behind - first)
        others = {name: values.slice(first, count) for name, values in kept.items()}
        return Columns._of(arrays, others)

    def extend(self, later: Columns) -> None:
        """Append later candles in place."""
        if not len(later):
            return
        if not len(self):
            self._take([values[:] for values in _all_of(later)])  # they may be of the other form
            self._arrow = {}
            return
        if not self._arrow and not later._arrow:
            for values, more in zip(_all_of(self), _all_of(later), strict=True):
                values.extend(more)
            return
        for name in NAMES:
            mine, others = self._arrow.get(name), later._arrow.get(name)
            if mine is None or others is None:
                getattr(self, name).extend(getattr(later, name))
            else:
                import pyarrow as pa

                self._arrow[name] = pa.chunked_array([*mine.chunks, *others.chunks])

    def __eq__(self, other: object) -> bool:
        # By rows, because NaN volumes of the same candle are the same unknown.
        return isinstance(other, Columns) and self.rows() == other.rows()

    def __hash__(self) -> int:
        return hash((len(self), self.time[0] if self.time else None))

    def __repr__(self) -> str:
        return f"<Columns: {len(self)} bars>"

    @property
    def is_decimal(self) -> bool:
        """Whether prices and volumes are Decimals."""
        if "open" in self._arrow:
            return False
        opened: Sequence[Any] = self.open
        return _are_decimals(opened)

    def _written(self) -> list[tuple[Any, ...]]:
        write: Any = decimals.plain
        return [
            (time, *map(write, prices), None if volume is None else write(volume), trades)
            for time, *prices, volume, trades in self.rows()
        ]

    def as_floats(self) -> Columns[float]:
        """Return these candles with floats in place of Decimals; themselves if there are none."""
        if not self.is_decimal:
            return cast("Columns[float]", self)
        opened, high, low, close, volume = (array("d", getattr(self, name)) for name in NAMES[1:6])
        return Columns(self.time, opened, high, low, close, volume, self.trades)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema

        def rows_of(number: Any) -> Any:
            whole = core_schema.nullable_schema(core_schema.int_schema())
            volume = core_schema.nullable_schema(number)
            fields = [core_schema.int_schema(), *[number] * 4, volume, whole]
            return core_schema.list_schema(core_schema.tuple_schema(fields))

        def written(columns: Columns, info: Any) -> Any:
            as_text = columns.is_decimal and info.mode == "json"
            return columns._written() if as_text else columns.rows()

        from_rows = core_schema.no_info_after_validator_function(
            cls.from_rows, rows_of(number_schema())
        )
        return core_schema.json_or_python_schema(
            json_schema=from_rows,
            python_schema=core_schema.union_schema(
                [core_schema.is_instance_schema(cls), from_rows]
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(written, info_arg=True),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "type": "array",
            "items": {
                "type": "array",
                "items": {"type": ["number", "null"]},
                "minItems": 7,
                "maxItems": 7,
            },
        }
