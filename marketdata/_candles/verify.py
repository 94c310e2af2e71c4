"""Finds damage in a stored series, and removes damaged files."""

from __future__ import annotations

from operator import le, lt
from typing import TYPE_CHECKING, NamedTuple

from marketdata._candles.assembly import sound
from marketdata._candles.calendar import Calendar, expected
from marketdata._candles.datafiles import File, filesystem, is_ours, milliseconds_of
from marketdata._candles.spans import Span, Stretch, without
from marketdata._candles.table import SeriesTable
from marketdata._candles.trouble import UNREADABLE, translated
from marketdata.errors import DataUnavailableError
from marketdata.models.stored import Problem

if TYPE_CHECKING:
    import pyarrow


class Finding(NamedTuple):
    """One problem, and its file, if it is in a file."""

    problem: Problem
    path: str | None = None
    span: Span | None = None
    """The range of the file, if a log has it."""


def findings(table: SeriesTable, known: Calendar | None = None) -> list[Finding]:
    """Read everything that is stored of a series, and return its problems; takes a while.

    ``known`` is the known calendar of the series.

    Raises `DataUnavailableError` if the disk or the network fails.
    """
    # An open table has its log in memory, which says nothing about the disk.
    table = SeriesTable(table.url, table.timeframe)
    calendar = known or expected(table.timeframe)
    try:
        is_there = table.refresh()
        files = table.files()
    except DataUnavailableError:
        _read_log(table.url)  # raises if the log cannot be read
        is_there, files = False, []
    if not is_there:
        return [Finding("log_unreadable")] if table.data.paths() else []
    found: list[Finding] = []
    reached = 0
    for file in files:
        problem = _problem(table, file, calendar)
        if problem is None and file.start < reached:
            problem = "overlap"
        if problem is None:
            reached = max(reached, file.end)
        else:
            found.append(Finding(problem, file.path, file.span))
    left_over = table.sweep(delete=False)
    return [*found, *(Finding("file_left_over", path) for path in left_over)]


def _read_log(url: str) -> None:
    from pyarrow import fs

    with translated(url):
        files = filesystem(url)
        for one in files.get_file_info(fs.FileSelector("_delta_log", allow_not_found=True)):
            if one.is_file:
                with files.open_input_file(one.path) as file:
                    file.read()


def _problem(table: SeriesTable, file: File, known: Calendar) -> Problem | None:
    import pyarrow as pa

    try:
        rows = table.data.rows(file.path)
        [stretch] = table.data.read([file], file.start, file.end)
    except FileNotFoundError:
        return "file_missing"
    except (pa.ArrowException, *UNREADABLE):
        return "file_unreadable"
    if not is_ours(rows.schema):
        return "file_unreadable"
    read = len(stretch.columns) + len(rows) - rows["cause"].null_count
    if not read == len(rows) == file.rows or not _is_in_order(rows, file):
        return "rows_wrong"
    if _unexplained(stretch, known):
        return "rows_wrong"
    _, wrong = sound(stretch.columns)
    return "bars_wrong" if wrong else None


def _is_in_order(rows: pyarrow.Table, file: File) -> bool:
    """Return whether rows are sorted and do not overlap, inside the file's range."""
    begins, ends = milliseconds_of(rows["time"]), milliseconds_of(rows["until"])
    if not begins:
        return file.rows == 0
    inside = file.start <= begins[0] and begins[-1] < file.end
    return inside and all(map(lt, begins, ends)) and all(map(le, ends, begins[1:]))


def _unexplained(stretch: Stretch, calendar: Calendar) -> bool:
    """Return whether a place has neither a candle nor a gap.

    A download uses the known calendar of the exchange, and not the one that later candles show.
    """
    gaps = [gap.span for gap in stretch.gaps]
    return any(
        calendar.count(*left)
        for place in calendar.gaps(stretch.columns.time, stretch.start, stretch.end)
        for left in without(Span(*place), gaps)
    )
