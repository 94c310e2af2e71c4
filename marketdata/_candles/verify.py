"""Looking through a stored series for damage, and taking damaged files out of it."""

from __future__ import annotations

from operator import le, lt
from typing import TYPE_CHECKING, NamedTuple

from marketdata._candles.assembly import sound
from marketdata._candles.calendar import Calendar, expected
from marketdata._candles.datafiles import File, filesystem, is_ours, milliseconds_of, span_of
from marketdata._candles.spans import Span, Stretch, without
from marketdata._candles.table import SeriesTable
from marketdata._candles.trouble import UNREADABLE, translated
from marketdata.errors import DataUnavailableError
from marketdata.models.stored import Problem

if TYPE_CHECKING:
    import pyarrow


class Finding(NamedTuple):
    """One thing that is wrong, and the file that it is wrong with, if it is one."""

    problem: Problem
    path: str | None = None
    span: Span | None = None
    """What the file covers, where a log says so."""


def findings(table: SeriesTable, known: Calendar | None = None) -> list[Finding]:
    """Read everything that a series has stored, and say what is wrong with it; takes a while.

    ``known`` is the calendar that the series is known to have.

    Raises `DataUnavailableError` where the disk or the network does not let it be read.
    """
    # What an open table remembers of its log says nothing about the disk.
    table = SeriesTable(table.url, table.timeframe)
    calendar = known or expected(table.timeframe)
    try:
        is_there = table.refresh()
        files = table.files()
    except DataUnavailableError:
        _read_log(table.url)  # which raises where that is what cannot be done
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
            found.append(Finding(problem, file.path, span_of(file)))
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
    """Return whether rows follow one another inside the file's range without overlapping."""
    begins, ends = milliseconds_of(rows["time"]), milliseconds_of(rows["until"])
    if not begins:
        return file.rows == 0
    inside = file.start <= begins[0] and begins[-1] < file.end
    return inside and all(map(lt, begins, ends)) and all(map(le, ends, begins[1:]))


def _unexplained(stretch: Stretch, calendar: Calendar) -> bool:
    """Return whether a place has neither a candle nor a gap.

    A download judges places by the calendar that is known of the exchange, not by what the candles
    around a place show later.
    """
    gaps = [Span(gap.start, gap.end) for gap in stretch.gaps]
    return any(
        calendar.count(*left)
        for place in calendar.gaps(stretch.columns.time, stretch.start, stretch.end)
        for left in without(Span(*place), gaps)
    )
