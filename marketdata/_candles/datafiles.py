"""The Parquet files of a series: each covers a time range, with candles and gaps in order.

A row is a candle or, if ``cause`` is not null, a range without candles. A file with a revised
candle has one more column, ``quality``.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import sys
import uuid
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketdata._candles.spans import Gap, Span, Stretch, merged
from marketdata._candles.trouble import UNREADABLE
from marketdata.machine import private_folder
from marketdata.models.columns import NAMES, Columns

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.fs
    import pyarrow.parquet

QUALITY = "quality"
_GROUP = 20_000
"""Rows of a row group, the smallest unit that is read: two weeks of 1m candles."""
_NAME = re.compile(r"\d{8}T\d{6}-\d{8}T\d{6}-[0-9a-f]{12}\.parquet", re.ASCII)
_UNCOUNTED = -1
_FOREVER = 1 << 62
_WHOLE = dict.fromkeys(("time", "until", "trades"), "DELTA_BINARY_PACKED")
_SPLIT = _WHOLE | dict.fromkeys(("open", "high", "low", "close", "volume"), "BYTE_STREAM_SPLIT")
"""The encodings of columns; readers before 2024 cannot read split bytes with nulls."""


@dataclass(frozen=True)
class File:
    """One data file; times are Unix milliseconds."""

    path: str
    start: int
    end: int
    rows: int
    """Candles and gaps."""
    gaps: int
    unmeasured: int
    """The number of candles with unknown volume."""
    uncounted: int
    """The number of candles with an unknown number of trades."""
    size: int

    @property
    def span(self) -> Span:
        """The range that it covers."""
        return Span(self.start, self.end)


def load_arrow() -> None:
    """Import pyarrow, with the system's allocator if it is imported for the first time.

    Its own allocator keeps freed memory, which doubles the memory for reading a year. The first
    import decides for the process. Raises ImportError if pyarrow is not installed.
    """
    choice = "ARROW_DEFAULT_MEMORY_POOL"
    if "pyarrow" in sys.modules or choice in os.environ:
        return
    os.environ[choice] = "system"
    try:
        import pyarrow as pa

        pa.default_memory_pool()
    finally:
        del os.environ[choice]


def filesystem(url: str) -> pyarrow.fs.FileSystem:
    """Open the files below a folder or a URL of Delta Lake."""
    from pyarrow import fs

    if "://" in url:
        from deltalake.fs import DeltaStorageHandler

        return fs.PyFileSystem(DeltaStorageHandler(url))
    return fs.SubTreeFileSystem(url, fs.LocalFileSystem())


def stamp(url: str, path: str) -> tuple[int, ...] | None:
    """Return the identity of a file, which changes if it is replaced; None if it is missing."""
    if "://" not in url:
        try:
            found = (Path(url) / path).stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
    info = filesystem(url).get_file_info(path)
    return (info.mtime_ns, info.size) if info.is_file else None


@functools.cache
def schema(*, marked: bool = False) -> pyarrow.Schema:
    """Return the schema of a data file; prices, volume and trades are null in gaps.

    A file with ``marked`` candles has one more column.
    """
    import pyarrow as pa

    moment = pa.timestamp("us", tz="UTC")
    kinds = {name: pa.float64() for name in NAMES}
    kinds |= {"time": moment, "trades": pa.int64(), "until": moment, "cause": pa.string()}
    return pa.schema(kinds | ({QUALITY: pa.string()} if marked else {}))


def is_ours(found: pyarrow.Schema) -> bool:
    """Return whether a file has the columns of a data file."""
    return any(found.equals(schema(marked=marked)) for marked in (False, True))


class DataFiles:
    """Reads and writes the data files of one series; the log says which ones are current."""

    def __init__(self, url: str, *, private: bool = False) -> None:
        """``private`` folders are for this user alone."""
        self.url = url
        self._private = private

    # ------------------------------------------------------------------ reading

    def read(self, files: Iterable[File], start: int, end: int) -> list[Stretch]:
        """Read a range (Unix ms) from sorted files; adjacent parts are joined."""
        runs: list[list[File]] = []
        for file in files:
            if runs and runs[-1][-1].end == file.start:
                runs[-1].append(file)
            else:
                runs.append([file])
        return [self._run(run, start, end) for run in runs]

    def _run(self, files: Sequence[File], start: int, end: int) -> Stretch:
        """Read adjacent files; columns stay in Arrow's memory."""
        import pyarrow as pa

        times = array("q")
        parts: list[pyarrow.Table] = []
        gaps, revised = list[Gap](), set[int]()
        for file in files:
            with self.open(file) as parquet:
                names = [*NAMES, *(("until", "cause") if file.gaps else ())]
                if QUALITY in parquet.schema_arrow.names:
                    names.append(QUALITY)
                # One row group at a time, which limits the extra memory of decoding.
                for group in _groups(parquet.metadata, start, end):
                    part = parquet.read_row_group(group, columns=names)
                    if QUALITY in names:
                        revised |= _revised(part)
                    if file.gaps:
                        part, found = _without_gaps(part)
                        gaps += found
                    times.extend(milliseconds_of(part["time"]))
                    parts.append(part.select(NAMES[1:]))
        # Arrow would import pandas for an empty table.
        rows = pa.concat_tables(parts or [schema().empty_table()])
        columns = Columns.from_arrow(times, {name: rows[name] for name in NAMES[1:]})
        start_of, end_of = files[0].start, files[-1].end
        whole = Stretch(start_of, end_of, columns, merged(gaps), frozenset(revised))
        return whole.cut(start, end)

    def rows(self, path: str) -> pyarrow.Table:
        """Read all rows of a file unchanged."""
        with self.open(path) as parquet:
            return parquet.read()

    @contextlib.contextmanager
    def open(self, file: File | str) -> Iterator[pyarrow.parquet.ParquetFile]:
        """Open a data file; reads verify its checksums."""
        import pyarrow.parquet as pq

        path = file if isinstance(file, str) else file.path
        source = filesystem(self.url).open_input_file(path)
        with source, pq.ParquetFile(source, page_checksum_verification=True) as parquet:
            yield parquet

    def paths(self) -> list[str]:
        """List all data files in the folder, current or not, newest first."""
        from pyarrow import fs

        found = filesystem(self.url).get_file_info(fs.FileSelector("", allow_not_found=True))
        files = [one for one in found if one.path.endswith(".parquet")]
        return [one.path for one in sorted(files, key=lambda one: one.mtime_ns, reverse=True)]

    def describe(self, path: str) -> File | None:
        """Describe a data file from its content; None if it cannot be read."""
        import pyarrow as pa

        try:
            rows = self.rows(path)
            start, end = milliseconds_of(rows["time"])[:1], milliseconds_of(rows["until"])[-1:]
        except (pa.ArrowException, *UNREADABLE):
            return None
        if not start or not is_ours(rows.schema):
            return None
        gaps = rows["open"].null_count
        unmeasured, uncounted = (rows[name].null_count - gaps for name in ("volume", "trades"))
        counts = len(rows), gaps, unmeasured, uncounted
        return File(path, start[0], end[0], *counts, self._size(path))

    # ------------------------------------------------------------------ writing

    def make_folder(self) -> None:
        """Create the folder of the series if it is on the disk."""
        if "://" in self.url:
            return
        if self._private:
            private_folder(Path(self.url))
        else:
            Path(self.url).mkdir(parents=True, exist_ok=True)

    def write(self, stretch: Stretch) -> File:
        """Write a stretch to a new file."""
        path = _name(stretch.start, stretch.end)
        unmeasured = sum(map(math.isnan, stretch.columns.volume))
        uncounted = stretch.columns.trades.count(_UNCOUNTED)
        rows = _rows_of(stretch, unmeasured=unmeasured, uncounted=uncounted)
        nulls = bool(stretch.gaps or unmeasured)
        with self._writer(path, nulls=nulls, marked=bool(stretch.revised)) as writer:
            writer.write_table(rows, row_group_size=_GROUP)
        counts = len(rows), len(stretch.gaps), unmeasured, uncounted
        return File(path, *stretch.span, *counts, self._size(path))

    def merge(self, files: Sequence[File]) -> File:
        """Merge adjacent files into a new one, a row group at a time."""
        import pyarrow as pa

        path = _name(files[0].start, files[-1].end)
        waiting: list[pyarrow.Table] = []
        nulls, marked = any(file.gaps or file.unmeasured for file in files), False
        for file in files:
            with self.open(file) as parquet:
                marked = marked or QUALITY in parquet.schema_arrow.names
        with self._writer(path, nulls=nulls, marked=marked) as writer:
            for file in files:
                with self.open(file) as parquet:
                    for group in range(parquet.num_row_groups):
                        waiting.append(_marked(parquet.read_row_group(group), marked=marked))
                        if sum(map(len, waiting)) >= _GROUP:
                            writer.write_table(pa.concat_tables(waiting), row_group_size=_GROUP)
                            waiting.clear()
            if waiting:
                writer.write_table(pa.concat_tables(waiting), row_group_size=_GROUP)
        each = [(one.rows, one.gaps, one.unmeasured, one.uncounted) for one in files]
        rows, gaps, unmeasured, uncounted = map(sum, zip(*each, strict=True))
        counts = rows, gaps, unmeasured, uncounted
        return File(path, files[0].start, files[-1].end, *counts, self._size(path))

    @contextlib.contextmanager
    def _writer(
        self, path: str, *, nulls: bool, marked: bool
    ) -> Iterator[pyarrow.parquet.ParquetWriter]:
        import pyarrow.parquet as pq

        with (
            filesystem(self.url).open_output_stream(path) as sink,
            pq.ParquetWriter(
                sink,
                schema(marked=marked),
                # Of the compact formats, this is the fastest to read.
                compression="lz4",
                use_dictionary=["cause"],
                column_encoding=_WHOLE if nulls else _SPLIT,
                write_statistics=["time"],
                write_page_checksum=True,
                store_schema=False,
            ) as writer,
        ):
            yield writer

    def _size(self, path: str) -> int:
        return int(filesystem(self.url).get_file_info(path).size)

    def release_memory(self) -> None:
        """Return freed memory to the system."""
        import pyarrow as pa

        pa.default_memory_pool().release_unused()

    def remove(self, paths: Iterable[str]) -> None:
        """Delete files that are in no log."""
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                filesystem(self.url).delete_file(path)


def is_named_by_us(path: str) -> bool:
    """Return whether a file is named like a data file."""
    return _NAME.fullmatch(path) is not None


def _name(start: int, end: int) -> str:
    first, last = (
        datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y%m%dT%H%M%S")
        for moment in (start, end)
    )
    return f"{first}-{last}-{uuid.uuid4().hex[:12]}.parquet"


# ---------------------------------------------------------------------------- candles and Arrow


def _rows_of(stretch: Stretch, *, unmeasured: int, uncounted: int) -> pyarrow.Table:
    """Return the rows of a stretch, candles and gaps in order.

    ``unmeasured`` and ``uncounted`` are the numbers of candles without volume and without trades.
    """
    import pyarrow as pa

    columns, kind = stretch.columns, schema(marked=bool(stretch.revised))
    count = len(columns)

    def whole(values: array[Any]) -> pyarrow.Array:
        flat = pa.float64() if values.typecode == "d" else pa.int64()
        return pa.Array.from_buffers(flat, count, [None, pa.py_buffer(values)])

    data = {name: whole(getattr(columns, name)) for name in NAMES[1:]}
    data["time"] = _moments(columns.time)
    data["until"] = _moments(_until(stretch))
    if uncounted == count:
        data["trades"] = pa.nulls(count, pa.int64())
    elif uncounted:
        data["trades"] = _nulled(data["trades"], [one == _UNCOUNTED for one in columns.trades])
    if unmeasured:
        data["volume"] = _nulled(data["volume"], list(map(math.isnan, columns.volume)))
    data["cause"] = pa.nulls(count, pa.string())
    if stretch.revised:
        marks = ["revised" if time in stretch.revised else None for time in columns.time]
        data[QUALITY] = pa.array(marks, pa.string())
    candles = pa.table({name: data[name] for name in kind.names}, schema=kind)
    if not stretch.gaps:
        return candles
    start, end, cause = (list(values) for values in zip(*stretch.gaps, strict=True))
    empty = {name: pa.nulls(len(cause), kind.field(name).type) for name in kind.names}
    moments = {"time": _moments(start), "until": _moments(end)}
    gaps = pa.table({**empty, **moments, "cause": pa.array(cause)}, schema=kind)
    return pa.concat_tables([candles, gaps]).sort_by("time")


def _until(stretch: Stretch) -> array[int]:
    """Return for each candle the start of the next row."""
    times = stretch.columns.time
    until = times[1:]
    if len(times):
        until.append(stretch.end)
    for gap in stretch.gaps:
        before = bisect_left(times, gap.start) - 1
        if before >= 0:
            until[before] = min(until[before], gap.start)
    return until


def _nulled(values: pyarrow.Array, unknown: list[bool]) -> pyarrow.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pa.array(unknown), pa.nulls(len(values), values.type), values)


def _moments(milliseconds: Sequence[int]) -> pyarrow.Array:
    import numpy as np
    import pyarrow as pa

    # Importing Arrow's arithmetic takes longer than writing a small file.
    values = pa.py_buffer(np.array(milliseconds, np.int64) * 1000)
    kind = schema().field("time").type
    return pa.Array.from_buffers(kind, len(milliseconds), [None, values])


def milliseconds_of(moments: pyarrow.ChunkedArray) -> array[int]:
    """Return a column of moments in microseconds, none of them null, as Unix milliseconds."""
    import numpy as np

    if moments.null_count or moments.type != schema().field("time").type:
        raise ValueError("moments are missing, or not in microseconds")
    made = array("q", [0]) * len(moments)
    target, place = np.asarray(made), 0
    for chunk in filter(len, moments.chunks):
        values = np.frombuffer(chunk.buffers()[1], np.int64, len(chunk), chunk.offset * 8)
        np.floor_divide(values, 1000, out=target[place : place + len(chunk)])
        place += len(chunk)
    return made


def _without_gaps(part: pyarrow.Table) -> tuple[pyarrow.Table, list[Gap]]:
    """Separate rows into candles and gaps."""
    # This is rarely needed and slow to import.
    import pyarrow.compute as pc

    is_candle = pc.is_null(part["cause"])
    found = part.filter(pc.invert(is_candle))
    start, end = milliseconds_of(found["time"]), milliseconds_of(found["until"])
    gaps = list(map(Gap, start, end, found["cause"].to_pylist()))
    return part.filter(is_candle), gaps


def _revised(part: pyarrow.Table) -> set[int]:
    import pyarrow.compute as pc

    return set(milliseconds_of(part.filter(pc.is_valid(part[QUALITY]))["time"]))


def _marked(part: pyarrow.Table, *, marked: bool) -> pyarrow.Table:
    """Add the column ``quality`` that other rows of the file have."""
    import pyarrow as pa

    if not marked or QUALITY in part.schema.names:
        return part
    return part.append_column(QUALITY, pa.nulls(len(part), pa.string()))


def _groups(metadata: Any, start: int, end: int) -> list[int]:
    """Choose the row groups that may have rows of a range."""
    begins = [_begin(metadata.row_group(group)) for group in range(metadata.num_row_groups)]
    # A gap ends at the next row.
    ends = [*begins[1:], _FOREVER]
    return [group for group, begin in enumerate(begins) if begin < end and ends[group] > start]


def _begin(group: Any) -> int:
    found = group.column(0).statistics
    if found is None or not found.has_min_max:
        raise ValueError("a group of rows does not say when it begins")
    return int(found.min_raw // 1000)
