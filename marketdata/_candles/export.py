"""Stored candles as files of other formats."""

from __future__ import annotations

import contextlib
import secrets
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from marketdata._candles.calendar import Calendar, expected, learned
from marketdata._candles.spans import Stretch, flags
from marketdata._candles.table import SeriesTable
from marketdata.models import Flag
from marketdata.models.columns import Columns
from marketdata.models.frames import qualities, to_arrow
from marketdata.models.text import csv_header, csv_lines

Format: TypeAlias = Literal["parquet", "csv", "feather"]
_Put: TypeAlias = Callable[[Columns, Sequence[Flag]], object]

_AT_ONCE = 200_000
"""Maximum candles in memory."""


def write(
    table: SeriesTable, calendar: Calendar, path: Path, kind: Format, start: int, end: int
) -> int:
    """Write the stored candles that open in a range (Unix ms) to a file; return their number.

    ``calendar`` is the expected calendar of the series. Columns are those of `Candles.to_arrow`;
    CSV has the numbers and times of the command line. The file gets its name only when it is
    complete.
    """
    count = 0
    # Nobody else knows the name, who could put a link there in a folder that others may write.
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    marked = _flags(table, calendar, start, end)
    try:
        with _writer(part, kind, marked=bool(marked)) as put:
            for stretch in _stretches(table, start, end):
                put(stretch.columns, marked)
                count += len(stretch.columns)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _flags(table: SeriesTable, calendar: Calendar, start: int, end: int) -> tuple[Flag, ...]:
    """Find the candles with a ``quality``."""
    revised, times = set[int](), array("q")
    for stretch in _stretches(table, start, end):
        revised |= stretch.revised
        times.extend(stretch.columns.time)
    return flags(times, revised, learned(table.timeframe, times, calendar).unexpected(times))


def _stretches(table: SeriesTable, start: int, end: int) -> Iterator[Stretch]:
    calendar = expected(table.timeframe)
    for span in table.covered():
        at, upto = max(start, span.start), min(end, span.end)
        while at < upto:
            part = min(upto, calendar.shift(at, _AT_ONCE))
            for stretch in table.read(at, part):
                if len(stretch.columns):
                    yield stretch
            at = part


@contextlib.contextmanager
def _writer(path: Path, kind: Format, *, marked: bool) -> Iterator[_Put]:
    if kind == "csv":
        with path.open("w", encoding="utf-8", newline="") as text:
            text.write(csv_header(marked=marked))
            yield lambda columns, marks: text.writelines(
                csv_lines(columns, qualities(columns, None, marks))
            )
        return
    import pyarrow as pa

    schema = to_arrow(Columns.from_rows([])).schema
    if marked:
        schema = schema.append(pa.field("quality", pa.string()))
    if kind == "parquet":
        import pyarrow.parquet as pq

        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            yield lambda columns, marks: writer.write_table(to_arrow(columns, None, marks))
    else:
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_file(path, schema, options=options) as file:
            yield lambda columns, marks: file.write_table(to_arrow(columns, None, marks))
