"""The candles of one series: a Delta table in which every file covers a time range.

The range of each file is in its statistics in the transaction log. So one commit adds candles
together with the fact that their range is complete, and the log alone shows what is stored.

Commits carry one application transaction (``marketdata``), so that any two concurrent commits
conflict: the second one checks again what is left to add. No candle is ever in two files.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from marketdata._candles.calendar import Calendar
from marketdata._candles.datafiles import DataFiles, File, is_named_by_us
from marketdata._candles.delta import Delta, text_of
from marketdata._candles.spans import Gap, Span, Stretch, between, joined, without
from marketdata._candles.trouble import translated
from marketdata.models.columns import Columns

if TYPE_CHECKING:
    import deltalake

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("marketdata.candles")
_LARGEST = 1_000_000
"""Maximum rows of a merged file."""
_SMALL_FILES = 8
"""Minimum number of adjacent files that are merged after one was added."""
_MANY_FILES = 64
"""Number of files of a download after which they are merged."""
_LONGEST_WRITE = 1200.0
"""Seconds after which a file is written again instead of committed. Other processes delete unlisted
files after an hour, based on a log and a listing that are at most this old."""
_SWEEP_EVERY = 3600.0
"""Seconds between two searches for unused files."""


def _translating(
    method: Callable[Concatenate[SeriesTable, P], T],
) -> Callable[Concatenate[SeriesTable, P], T]:
    """Make a method raise errors of this package."""

    @functools.wraps(method)
    def call(self: SeriesTable, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with translated(self.url):
            return method(self, *args, **kwargs)

    return call


class SeriesTable:
    """The stored candles of one series.

    All methods block, and may be called from any thread. Times are Unix milliseconds.
    """

    def __init__(
        self,
        url: str,
        timeframe: str,
        delta: Delta | None = None,
        data: DataFiles | None = None,
    ) -> None:
        """``delta`` has the log, ``data`` the data files."""
        self.url = url
        self.timeframe = timeframe
        self.data = data or DataFiles(url)
        self._delta = delta or Delta()
        self._lock = threading.RLock()
        self._table: deltalake.DeltaTable | None = None
        self._stamp: tuple[int, ...] | None = None
        """The identity of the last commit, which changes if the table is replaced."""
        self._listed: tuple[int, list[File]] = (-1, [])
        self._tidied = 0
        """The number of files at the last merge."""
        self._sweep_at = 0.0

    # ------------------------------------------------------------------ reading

    @_translating
    def refresh(self) -> bool:
        """Read the commits of other processes; return whether the table exists."""
        from deltalake.exceptions import DeltaError, TableNotFoundError

        with self._lock:
            if self._table is not None:
                try:
                    # The table may have been deleted and created again.
                    if self._stamp is None or self._stamp != self._last_commit():
                        self._table = None
                    else:
                        self._table.update_incremental()
                except DeltaError:  # the log no longer has the commits after ours
                    self._table = None
            if self._table is None:
                self._listed = (-1, [])
                try:
                    self._table = self._delta.open(self.url)
                except TableNotFoundError:
                    return False
            self._stamp = self._last_commit()
            return True

    def _last_commit(self) -> tuple[int, ...] | None:
        """Return the identity of the last known commit's file; None if it is missing."""
        version = 0 if self._table is None else self._table.version()
        return self._delta.stamp(self.url, version)

    @_translating
    def files(self) -> list[File]:
        """List the data files as of the last refresh, by time."""
        with self._lock:
            if self._table is None:
                return []
            version = self._table.version()
            if self._listed[0] != version:
                self._listed = (version, self._delta.files(self._table))
            return self._listed[1]

    def covered(self) -> list[Span]:
        """List the completely known ranges, by time; none touches another."""
        spans: list[Span] = []
        for file in self.files():
            if spans and spans[-1].end >= file.start:
                spans[-1] = Span(spans[-1].start, max(spans[-1].end, file.end))
            else:
                spans.append(file.span)
        return spans

    @_translating
    def read(self, start: int, end: int) -> list[Stretch]:
        """Read all stored stretches of a range, in order; adjacent ones are joined."""
        for last in (False, True):
            files = [file for file in self.files() if file.start < end and file.end > start]
            try:
                return self.data.read(files, start, end)
            except FileNotFoundError:
                # They were merged, and deleted an hour later, since our last refresh.
                if last:
                    raise
                self.refresh()
        return []

    def is_surely_empty(self) -> bool:
        """Return whether nothing is stored, if that is known without opening the table."""
        is_local = "://" not in self.url
        return self._table is None and is_local and not Path(self.url, "_delta_log").is_dir()

    def whole(self, start: int, end: int) -> Stretch | None:
        """Read a range that is completely stored; None if it is not."""
        if start >= end or not self.refresh() or without(Span(start, end), self.covered()):
            return None
        [stretch] = self.read(start, end)
        return stretch

    def has_candle_before(self, moment: int) -> bool:
        """Return whether a stored candle opens before a moment."""
        before = [file for file in self.files() if file.start < moment and file.rows > file.gaps]
        if any(file.end <= moment for file in before):
            return True
        return any(len(part.columns) for file in before for part in self.read(file.start, moment))

    # ------------------------------------------------------------------ changing

    @_translating
    def add(self, stretches: Iterable[Stretch]) -> None:
        """Store the parts of stretches that are not stored yet, in one commit."""
        offered = [one for one in stretches if len(one.columns) or one.gaps]
        written: dict[Span, File] = {}
        with self._lock:
            began = self._delta.now()
            while True:
                self._make_sure()
                known = self.covered()
                left = {span: one for one in offered for span in without(one.span, known)}
                for span, one in left.items():
                    part = one.cut(*span)
                    if span not in written and (len(part.columns) or part.gaps):
                        written[span] = self.data.write(part)
                new = [written[span] for span in left if span in written]
                if self._is_too_late(began):
                    self._discard(list(written.values()))
                    written.clear()
                    began = self._delta.now()
                    continue
                if not new or self._commit(new, []):
                    break
            self._discard([one for span, one in written.items() if span not in left])
            # A long download is tidied at its end, which it may never reach.
            if left and len(self.files()) >= self._tidied + _MANY_FILES:
                self.tidy()

    @_translating
    def replace(self, stretches: Iterable[Stretch]) -> None:
        """Replace the stored content of stretches, in one commit."""
        new = []
        for one in joined(stretches):
            known = {row for part in self.read(one.start, one.end) for row in part.columns.rows()}
            times = {row[0] for row in known}
            changed = {row[0] for row in one.columns.rows() if row not in known and row[0] in times}
            self._tell_of(changed)
            new.append(replace(one, revised=one.revised | changed) if changed else one)
        self._put_in_place(new)

    def _put_in_place(self, new: Sequence[Stretch]) -> None:
        spans = [one.span for one in new]
        with self._lock:
            while True:
                began = self._delta.now()
                self._make_sure()
                known = self.files()
                gone = [
                    file
                    for file in known
                    if any(file.start < one.end and file.end > one.start for one in spans)
                ]
                kept = [
                    part
                    for file in gone
                    for span in without(file.span, spans)
                    for part in self.data.read([file], *span)
                ]
                told = [one for one in [*kept, *new] if len(one.columns) or one.gaps]
                added = [self.data.write(one) for one in told]
                if not self._is_too_late(began) and self._commit(added, gone):
                    return
                self._discard(added)

    @_translating
    def revise(self, closed: Columns, calendar: Calendar) -> None:
        """Replace stored candles that differ from these closed ones."""
        with self._lock:
            if not len(closed) or not self.refresh():
                return
            first, end = calendar.floor(closed.time[0]), calendar.next(closed.time[-1])
            for stored in self.read(first, end):
                inside = between(closed, stored.start, stored.end)
                said = {row[0]: row for row in inside.rows()}
                known = {row[0]: row for row in stored.columns.rows()}
                changed = {time for time in said if known.get(time) != said[time]}
                if not changed:
                    continue
                rows = {**known, **{time: said[time] for time in changed}}
                columns = Columns.from_rows([rows[time] for time in sorted(rows)])
                late = [Span(calendar.floor(time), calendar.next(time)) for time in sorted(changed)]
                gaps = [
                    Gap(*span, gap.cause) for gap in stored.gaps for span in without(gap.span, late)
                ]
                revised = stored.revised | (changed & known.keys())
                new = Stretch(stored.start, stored.end, columns, gaps, revised)
                self._tell_of(changed & known.keys())
                self._put_in_place([new.cut(late[0].start, late[-1].end)])

    def _tell_of(self, revised: Collection[int]) -> None:
        if revised:
            _log.info(
                "%s: %d candles revised from %s", self.url, len(revised), text_of(min(revised))
            )

    @_translating
    def drop(self, files: Sequence[File]) -> None:
        """Remove files from the table; their ranges are then unknown."""
        with self._lock:
            while True:
                known = {file.path for file in self.files()} if self.refresh() else set()
                gone = [file for file in files if file.path in known]
                if not gone or self._commit([], gone):
                    return

    @_translating
    def clear(self) -> None:
        """Remove all candles from the table and from the disk.

        The log stays, so that other processes find an empty table and not a missing one.
        """
        with self._lock:
            while self.refresh() and (files := self.files()):
                self.drop(files)
            if self._table is not None:
                self._table.vacuum(0, dry_run=False, enforce_retention_duration=False)

    @_translating
    def adopt(self) -> None:
        """Create the log of a table from the data files in its folder.

        Each file contains the range that it covers. If files overlap, the newest one counts for the
        shared part.
        """
        taken: list[File] = []
        for path in self.data.paths():
            file = self.data.describe(path)
            if file is None:
                continue
            left = without(file.span, sorted(one.span for one in taken))
            if left == [file.span]:
                taken.append(file)
            else:
                parts = [part for one in left for part in self.data.read([file], *one)]
                taken += map(self.data.write, parts)
        with self._lock:
            self._commit(taken, [])

    @_translating
    def tidy(self, fewest: int = _SMALL_FILES) -> None:
        """Merge adjacent files if there are many; delete unused files once an hour.

        Merged files have similar sizes, so that adding single candles costs the same however many
        are stored.
        """
        with self._lock:
            while run := worth_merging(self.files(), fewest):
                began = self._delta.now()
                whole = self.data.merge(run)
                if self._is_too_late(began) or not self._commit([whole], run):
                    self._discard([whole])
            if self._delta.now() >= self._sweep_at:
                self.sweep()
            self._tidied = len(self.files())
        # Pages of a download leave memory fragments into which the answer's columns do not fit.
        self.data.release_memory()

    @_translating
    def sweep(self, *, delete: bool = True) -> list[str]:
        """Delete files that were unused for an hour; return their paths.

        They were replaced, or their writer was killed before it committed. With ``delete=False``,
        they are only listed.
        """
        with self._lock:
            began = self._delta.now()
            if not self.refresh() or self._table is None:
                return []
            found = self._table.vacuum(1, enforce_retention_duration=False, full=True)
            # With an old log, files that others have committed since would look unused.
            if self._is_too_late(began):
                return []
            # Delta Lake would delete files of other programs, too.
            left_over = sorted(filter(is_named_by_us, found))
            if delete:
                self._sweep_at = self._delta.now() + _SWEEP_EVERY
                self.data.remove(left_over)
            return left_over

    def _make_sure(self) -> None:
        """Create the table if needed, so that files without a log are known to have lost it."""
        while not self.refresh():
            self.data.make_folder()
            self._commit([], [])

    def _discard(self, files: Sequence[File]) -> None:
        """Delete files that were written in vain.

        Files in use are kept: a commit whose response was lost counts as failed.
        """
        if files and self.refresh():
            used = {file.path for file in self.files()}
            self.data.remove(file.path for file in files if file.path not in used)

    def _is_too_late(self, began: float) -> bool:
        """Return whether files written since then could look unused to others.

        That happens if this process or its machine was suspended before it could commit.
        """
        return not 0 <= self._delta.now() - began < _LONGEST_WRITE

    def _commit(self, added: Sequence[File], removed: Sequence[File]) -> bool:
        """Change the table atomically; False if another process has changed it first."""
        from deltalake.exceptions import DeltaError

        if self._table is None:
            try:
                self._delta.create(self.url, added, f"marketdata candles, {self.timeframe}")
            except DeltaError:
                if not self._delta.is_there(self.url):
                    raise
                return False
            return self.refresh()
        try:
            self._delta.commit(self._table, added, removed, self._transaction())
        except DeltaError:
            # Others may have changed it so often that the log no longer has our version.
            before = self._table.version()
            if self.refresh() and self._table.version() == before:
                raise
            return False
        self._table.update_incremental()
        self._stamp = self._last_commit()
        return True

    def _transaction(self) -> int | None:
        """Return the number of the next commit, with which any other one conflicts."""
        return None if self._table is None else self._table.version() + 1


def worth_merging(files: Sequence[File], fewest: int) -> list[File]:
    """Choose adjacent files to merge; none if it is not worth it.

    A minimum number, together within the maximum size, and none larger than the others together,
    so that a large file is not rewritten for a few candles.
    """
    run: list[File] = []
    for file in [*files, None]:
        fits = file is not None and (
            not run
            or (run[-1].end == file.start and sum(one.rows for one in run) + file.rows <= _LARGEST)
        )
        if fits and file is not None:
            run.append(file)
            continue
        if chosen := _balanced(run, fewest):
            return chosen
        run = [] if file is None else [file]
    return []


def _balanced(run: list[File], fewest: int) -> list[File]:
    if len(run) < max(2, fewest):
        return []
    largest = max(range(len(run)), key=lambda index: run[index].rows)
    if run[largest].rows <= sum(file.rows for file in run) // 2:
        return run
    return _balanced(run[:largest], fewest) or _balanced(run[largest + 1 :], fewest)
