"""Stored bars as files of other formats."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from marketdata._candles.calendar import expected
from marketdata._candles.table import SeriesTable
from marketdata.models.columns import Columns
from marketdata.models.frames import to_arrow

if TYPE_CHECKING:
    import pyarrow

Format: TypeAlias = Literal["parquet", "csv", "feather"]

_AT_ONCE = 200_000
"""Bars that are in memory at a time."""


def write(table: SeriesTable, path: Path, kind: Format, start: int, end: int) -> int:
    """Write the stored bars that open in a range (Unix ms) to a file; give their number.

    Columns are those of `Candles.to_arrow`. The file takes its name only when it is whole.
    """
    count = 0
    part = path.with_name(f".{path.name}.part")
    try:
        with _writer(part, kind) as put:
            for columns in _columns(table, start, end):
                put(to_arrow(columns))
                count += len(columns)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _columns(table: SeriesTable, start: int, end: int) -> Iterator[Columns]:
    calendar = expected(table.timeframe)
    for span in table.covered():
        at, upto = max(start, span.start), min(end, span.end)
        while at < upto:
            part = min(upto, calendar.shift(at, _AT_ONCE))
            for stretch in table.read(at, part):
                if len(stretch.columns):
                    yield stretch.columns
            at = part


@contextlib.contextmanager
def _writer(path: Path, kind: Format) -> Iterator[Callable[[pyarrow.Table], object]]:
    schema = to_arrow(Columns.from_rows([])).schema
    if kind == "parquet":
        import pyarrow.parquet as pq

        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            yield writer.write_table
    elif kind == "feather":
        import pyarrow as pa

        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_file(path, schema, options=options) as file:
            yield file.write_table
    else:
        from pyarrow import csv

        with csv.CSVWriter(path, schema) as text:
            yield text.write_table
