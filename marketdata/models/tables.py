"""Records as tables: rows of CSV and JSON lines, and frames of other libraries."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import types
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from marketdata.errors import MissingExtraError
from marketdata.models import Candles, OrderBook, Record
from marketdata.models.aggregates import Comparison, ConsolidatedOrderBook
from marketdata.models.columns import NAMES
from marketdata.models.decimals import plain, plain_json
from marketdata.models.frames import qualities
from marketdata.models.lists import Records
from marketdata.models.text import csv_cells, number
from marketdata.models.text import time as iso

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?", re.ASCII)
_NEVER = (math.inf, math.inf)
_LEVEL = ("side", "price", "size")
_QUOTED = (*_LEVEL, "source")
_SERIES = ("exchange", "pair", "timeframe")
"""The fields that identify the series of candles."""

# ---------------------------------------------------------------------------- JSON


def to_jsonl(answer: Any) -> str:
    """Write one JSON object a line: a record, a candle, a level, an exchange that is compared."""
    lines = (line for one in _with_errors(answer) for line in _objects(one))
    return "".join(f"{line}\n" for line in lines)


def _objects(record: Record) -> Iterator[str]:
    match record:
        case Comparison():
            yield from (row.to_json() for row in record.rows)
        case Candles():
            yield from _candle_objects(record)
        case OrderBook():
            yield from (_object(_LEVEL, row) for row in _levels(record))
        case ConsolidatedOrderBook():
            yield from (_object(_QUOTED, row) for row in _quoted(record))
        case _:
            yield record.to_json()


def _object(names: Sequence[str], row: Sequence[Any]) -> str:
    values = dict(zip(names, map(_exact, row), strict=True))
    return plain_json(json.dumps(values, separators=(",", ":")))


def _exact(value: Any) -> Any:
    return plain(value) if isinstance(value, Decimal) else value


def _candle_objects(record: Candles) -> Iterator[str]:
    """Write each candle as `Candle.to_json` would, without making a record of each."""
    last = len(record) - 1
    spans = iter([(one.start.timestamp(), one.end.timestamp()) for one in record.filled or ()])
    start, end = next(spans, _NEVER)
    for index, row in enumerate(record.columns.rows()):
        time, opened, high, low, close, volume, trades = row
        counted = "" if volume is None else f',"volume":{_json(volume)}'
        if trades is not None:
            counted += f',"trades":{trades}'
        forming = "true" if record.forming and index == last else "false"
        while time >= end * 1000:
            start, end = next(spans, _NEVER)
        filled = "true" if time >= start * 1000 else "false"
        yield (
            f'{{"openTime":"{iso(time)}","open":{_json(opened)},"high":{_json(high)},'
            f'"low":{_json(low)},"close":{_json(close)}{counted},'
            f'"forming":{forming},"filled":{filled}}}'
        )


def _json(value: float | Decimal) -> str:
    return f'"{value:f}"' if isinstance(value, Decimal) else number(value)


# ---------------------------------------------------------------------------- CSV


class CsvRows:
    """Writes rows of CSV; without ``raw`` none that a spreadsheet would calculate."""

    def __init__(self, output: io.StringIO, *, raw: bool) -> None:
        self._writer = csv.writer(output, lineterminator="\n")
        self._raw = raw

    def write(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write rows."""
        self._writer.writerows(rows if self._raw else (map(_inert, row) for row in rows))


def _inert(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet takes for a formula; never a number."""
    if isinstance(value, str) and value[:1] in _FORMULA and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def to_csv(answer: Any, columns: Sequence[str] | None = None, *, raw: bool = False) -> str:
    """Write a header and one row for each record, candle, level or exchange that is compared.

    ``columns`` are those wanted, in their order; None: all. ``raw`` is that of `CsvRows`.
    """
    records = _with_errors(answer)
    kinds = dict.fromkeys(type(one) for one in records)
    if not kinds and (kind := getattr(answer, "of", None)) is not None:
        kinds = {kind: None}
    whose = _SERIES if isinstance(answer, Records) and Candles in kinds else ()
    candles = [one for one in records if isinstance(one, Candles)]
    odd = ["quality"] if any(one.quality or one.filled for one in candles) else []
    names = columns or [*whose, *(name for kind in kinds for name in csv_names(kind)), *odd]
    header = dict.fromkeys(names)
    output = io.StringIO()
    writer = CsvRows(output, raw=raw)
    if header:
        writer.write([header])
    for record in records:
        writer.write(csv_rows(record, list(header)))
    return output.getvalue()


def csv_names(kind: type[Record]) -> Sequence[str]:
    """Return the columns of a record's rows."""
    if issubclass(kind, Candles):
        return NAMES
    if issubclass(kind, OrderBook):
        return _LEVEL
    if issubclass(kind, ConsolidatedOrderBook):
        return _QUOTED
    if issubclass(kind, Comparison):
        from marketdata.models.aggregates import ComparisonRow

        return list(ComparisonRow.model_fields)
    return list(kind.model_fields)


def csv_rows(record: Record, header: Sequence[str]) -> Iterator[list[Any]]:
    """Return the rows of a record under a header; missing fields are empty.

    Levels and candles take the fields of their record.
    """
    match record:
        case Comparison():
            for row in record.rows:
                yield from csv_rows(row, header)
        case Candles():
            own = (*NAMES, "forming", "quality")
            whose = _cells(record, [name for name in header if name not in own])
            last = len(record) - 1
            marks = qualities(record.columns, record.filled, record.quality)
            for index, written in enumerate(csv_cells(record.columns)):
                values: dict[str, Any] = dict(zip(NAMES, written, strict=True))
                values["forming"] = _cell(record.forming and index == last)
                values["quality"] = (marks[index] if marks else None) or ""
                yield [whose[name] if name in whose else values[name] for name in header]
        case OrderBook() | ConsolidatedOrderBook():
            is_one = isinstance(record, OrderBook)
            names = _LEVEL if is_one else _QUOTED
            bare = record.model_copy(update={"bids": (), "asks": ()})
            whose = _cells(bare, [name for name in header if name not in names])
            for level in _levels(record) if isinstance(record, OrderBook) else _quoted(record):
                values = dict(zip(names, level, strict=True))
                yield [whose[name] if name in whose else _cell(values[name]) for name in header]
        case _:
            cells = _cells(record, header)
            yield [cells[name] for name in header]


def _cells(record: Record, header: Iterable[str]) -> dict[str, Any]:
    fields = type(record).model_fields
    values = record.to_dict() if any(name in fields for name in header) else {}
    aliases = {name: field.alias or name for name, field in fields.items()}
    return {name: _cell(values.get(aliases.get(name, ""))) for name in header}


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() | Decimal():
            return number(value)
        case [str() | int() | float(), *_]:
            return " ".join(str(_cell(one)) for one in value)
        case list() | dict():
            return plain_json(json.dumps(value, separators=(",", ":"))) if value else ""
    return value


# ---------------------------------------------------------------------------- rows


def _with_errors(answer: Any) -> list[Record]:
    """Return the records, followed by a row with an error code for each failed one."""
    return [*answer, *answer.errors] if isinstance(answer, Records) else [answer]


def _levels(book: OrderBook) -> Iterator[tuple[str, float, float]]:
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        for price, size in levels:
            yield side, price, size


def _quoted(book: ConsolidatedOrderBook) -> Iterator[tuple[str, float, float, str]]:
    """Return a row for each source of each level."""
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        for price, _, by in levels:
            for source, size in by:
                yield side, price, size, source


# ---------------------------------------------------------------------------- frames


def to_arrow(answer: Any) -> pyarrow.Table:
    """Return an Arrow table; see `Shown.to_arrow`."""
    return _arrow(answer, "to_arrow()")


def _arrow(answer: Any, method: str) -> pyarrow.Table:
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingExtraError(method, "frames") from None
    records = list(answer) if isinstance(answer, Records) else [answer]
    if records and all(isinstance(one, Candles) for one in records):
        return pa.concat_tables(map(_series, records), promote_options="permissive")
    kinds = dict.fromkeys(type(one) for one in records) or {answer.of: None}
    names = dict.fromkeys(name for kind in kinds if kind for name in csv_names(kind))
    rows = [row for one in records for row in _values(one)]
    hints = {name: hint for kind in kinds if kind for name, hint in _hints(kind).items()}
    columns = {name: _array(pa, [row.get(name) for row in rows], hints.get(name)) for name in names}
    return pa.table(columns)


def _series(record: Any) -> pyarrow.Table:
    """Return the candles of one of several series, which say whose they are."""
    import pyarrow as pa

    table = record.to_arrow()
    for position, name in enumerate(_SERIES):
        whose = pa.array([getattr(record, name)] * len(record), pa.string())
        table = table.add_column(position, name, whose)
    return table


def _values(record: Record) -> list[dict[str, Any]]:
    match record:
        case Comparison():
            return [value for row in record.rows for value in _values(row)]
        case OrderBook():
            return [dict(zip(_LEVEL, row, strict=True)) for row in _levels(record)]
        case ConsolidatedOrderBook():
            return [dict(zip(_QUOTED, row, strict=True)) for row in _quoted(record)]
    return [record.model_dump(by_alias=False)]


def _hints(kind: type[Record]) -> dict[str, Any]:
    if issubclass(kind, OrderBook | ConsolidatedOrderBook):
        return {"side": str, "price": float, "size": float, "source": str}
    if issubclass(kind, Comparison):
        from marketdata.models.aggregates import ComparisonRow

        return _hints(ComparisonRow)
    return {name: _bare(field.annotation) for name, field in kind.model_fields.items()}


def _bare(hint: Any) -> Any:
    """Return the class of an annotation's values, ignoring None; None if it is nested."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        kinds = {_bare(one) for one in get_args(hint) if one is not type(None)}
        return kinds.pop() if len(kinds) == 1 else None
    if origin is Literal:
        return type(get_args(hint)[0])
    if hasattr(hint, "__metadata__"):
        return _bare(hint.__origin__)
    return hint if isinstance(hint, type) and origin is None else None


def _array(pa: Any, values: list[Any], hint: Any) -> Any:
    """Make a column; one that is empty still has the type of its field."""
    kinds = {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        str: pa.string(),
        datetime: pa.timestamp("us", tz="UTC"),
        date: pa.date32(),
    }
    if any(isinstance(value, Decimal) for value in values):
        return pa.array(values)
    if hint is None and all(not value for value in values):
        return pa.nulls(len(values))
    return pa.array(values, kinds.get(hint))


def to_pandas(answer: Any) -> pandas.DataFrame:
    """Return a pandas DataFrame; see `Shown.to_pandas`.

    Candles of several series are indexed by pair and time.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtraError("to_pandas()", "frames") from None
    table = _arrow(answer, "to_pandas()")
    import pyarrow as pa

    kinds = {
        pa.bool_(): pd.BooleanDtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.string(): pd.StringDtype(),
    }
    frame: pandas.DataFrame = table.to_pandas(types_mapper=kinds.get)
    if "time" in frame and "timeframe" in frame:
        frame = frame.set_index(["pair", "time"])
    return frame


def to_polars(answer: Any) -> polars.DataFrame:
    """Return a polars DataFrame; see `Shown.to_polars`."""
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("to_polars()", "frames") from None
    return pl.DataFrame(_arrow(answer, "to_polars()"))


def to_parquet(answer: Any, path: str | Path) -> None:
    """Write a Parquet file; see `Shown.to_parquet`."""
    table = answer.to_arrow()
    import pyarrow.parquet as pq

    pq.write_table(table, Path(path), compression="zstd")
