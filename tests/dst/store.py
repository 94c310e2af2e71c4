"""The candle store in a virtual world: the log of a series, its data files, those who use it.

Each process is a thread of which one alone runs at a time, and hands over at each call to the
boundary: which goes on is chance by the seed, and so is what goes wrong there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from inside.candles import Stretch, joined
from inside.store import SeriesTable

from marketdata._candles.datafiles import DataFiles, File
from marketdata._candles.delta import Delta
from marketdata.errors import DataUnavailableError
from marketdata.models.columns import Columns

from .world import Chance

MINUTE = 60_000
MINUTES = 24
"""What is stored is within so many."""
LATEST = 60.0
"""Seconds after which everybody sees a commit."""
NOWHERE = "memory://series"


class Killed(BaseException):
    """The process is killed."""


@dataclass(frozen=True)
class Commit:
    """One entry of the log."""

    added: tuple[File, ...]
    removed: frozenset[str]
    at: float
    is_numbered: bool


# ---------------------------------------------------------------------- who goes on


class Scheduler(Chance):
    """Lets one process run at a time, and another one go on at each step."""

    def __init__(self, seed: int, most: float) -> None:
        super().__init__(seed, most)
        self.now = 0.0
        self.step = 0
        self._turns: dict[int, threading.Semaphore] = {}
        self._killed: set[int] = set()
        self._mine = threading.local()
        self._over = threading.Semaphore(0)
        self.failure: BaseException | None = None

    def run(self, programs: Sequence[Callable[[], None]]) -> None:
        """Run programs to their end, or until they are killed."""
        threads = []
        for number, program in enumerate(programs):
            self._turns[number] = threading.Semaphore(0)
            threads.append(threading.Thread(target=self._live, args=(number, program)))
        for one in threads:
            one.start()
        self._hand_over()
        self._over.acquire()
        for one in threads:
            one.join()
        if self.failure is not None:
            raise self.failure

    def _live(self, number: int, program: Callable[[], None]) -> None:
        self._mine.number = number
        self._turns[number].acquire()
        try:
            program()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - to be raised where the test is
            self.failure = self.failure or error
        del self._turns[number]
        self._hand_over()

    def _hand_over(self) -> None:
        if self._turns:
            self.random.choice([*self._turns.values()]).release()
        else:
            self._over.release()

    def passes(self, *, halts: bool = True) -> None:
        """Let others go on, before one goes on oneself, if one does; perhaps much later."""
        number = getattr(self._mine, "number", None)
        if number is None:
            return
        self.step += 1
        self.now += 0.1
        if halts and self.happens(0.02):
            self.now += 1800.0
        turn = self._turns[number]
        self._hand_over()
        turn.acquire()
        if self.happens(0.01):
            raise Killed


# ---------------------------------------------------------------------- Delta Lake


@dataclass
class Disk:
    """What is kept: a log and files."""

    scheduler: Scheduler
    log: list[Commit] = field(default_factory=list)
    files: dict[str, tuple[File, Stretch, float]] = field(default_factory=dict)
    names: Any = field(default_factory=count)
    is_faulty: bool = True

    def live(self, version: int) -> dict[str, File]:
        """Return which files count as of a version."""
        found: dict[str, File] = {}
        for commit in self.log[: version + 1]:
            assert commit.removed <= found.keys(), "a file is removed that does not count"
            found = {path: file for path, file in found.items() if path not in commit.removed}
            found |= {file.path: file for file in commit.added}
        return found


class VirtualTable:
    """An open table: as far as it has seen the log."""

    def __init__(self, disk: Disk, version: int) -> None:
        self._disk = disk
        self._version = version

    def version(self) -> int:
        return self._version

    def update_incremental(self) -> None:
        self._disk.scheduler.passes()
        self._version = _seen(self._disk, self._version)

    def vacuum(self, hours: int | None = None, **how: Any) -> list[str]:
        """List what has not been needed for so long, as Delta Lake's ``full`` does."""
        disk = self._disk
        disk.scheduler.passes()
        since = disk.scheduler.now - 3600.0 * (hours or 0)
        live = disk.live(self._version)
        removed = {path: one.at for one in disk.log for path in one.removed}
        return [
            path
            for path, (_, _, written) in disk.files.items()
            if path not in live and removed.get(path, written) < since
        ]


def _seen(disk: Disk, least: int) -> int:
    """How far the log is seen by who looks now: what was committed just now perhaps not yet."""
    last = len(disk.log) - 1
    if disk.is_faulty and disk.scheduler.happens(0.2):
        old = sum(one.at < disk.scheduler.now - LATEST for one in disk.log) - 1
        return disk.scheduler.random.randint(min(max(least, old, 0), last), last)
    return last


class VirtualDelta(Delta):
    """A log to which one entry at a time is added, each only if what it was made for is true."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def now(self) -> float:
        return self._disk.scheduler.now

    def open(self, url: str) -> Any:
        self._disk.scheduler.passes()
        if not self._disk.log:
            raise TableNotFoundError(url)
        return VirtualTable(self._disk, _seen(self._disk, 0))

    def is_there(self, url: str) -> bool:
        return bool(self._disk.log)

    def stamp(self, url: str, version: int) -> tuple[int, ...] | None:
        return (version,) if version < len(self._disk.log) else None

    def files(self, table: Any) -> list[File]:
        live = self._disk.live(table.version())
        return sorted(live.values(), key=lambda file: file.start)

    def create(self, url: str, added: Sequence[File], description: str) -> None:
        self._fails()
        if self._disk.log:
            raise CommitFailedError("there is one")
        self._put(added, (), None)

    def commit(
        self, table: Any, added: Sequence[File], removed: Sequence[File], transaction: int | None
    ) -> None:
        self._fails()
        disk = self._disk
        gone = {file.path for file in removed}
        for other in disk.log[table.version() + 1 :]:
            if transaction is not None and other.is_numbered:
                raise CommitFailedError("another transaction of the application")
            if gone & other.removed:
                raise CommitFailedError("another one has removed it")
        self._put(added, removed, transaction)

    def _fails(self) -> None:
        # Between a look at the clock and the commit right behind it nobody sleeps for long.
        self._disk.scheduler.passes(halts=False)
        if self._disk.is_faulty and self._disk.scheduler.happens(0.05):
            raise DeltaError("the disk did not take it")

    def _put(self, added: Sequence[File], removed: Sequence[File], number: int | None) -> None:
        disk = self._disk
        gone = frozenset(file.path for file in removed)
        disk.log.append(Commit(tuple(added), gone, disk.scheduler.now, number is not None))
        # Killed behind the commit, or not told that it went well.
        disk.scheduler.passes()
        if disk.is_faulty and disk.scheduler.happens(0.05):
            raise CommitFailedError("who knows")


class VirtualFiles(DataFiles):
    """Data files in memory, written and read whole."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(NOWHERE)
        self._disk = disk

    def make_folder(self) -> None:
        pass

    def write(self, stretch: Stretch) -> File:
        disk = self._disk
        disk.scheduler.passes()
        path = f"20240301T000000-20240301T001000-{next(disk.names):012x}.parquet"
        rows = len(stretch.columns)
        file = File(path, stretch.start, stretch.end, rows, 0, 0, 0, rows)
        disk.files[path] = file, stretch, disk.scheduler.now
        return file

    def read(self, files: Iterable[File], start: int, end: int) -> list[Stretch]:
        found = []
        for file in files:
            self._disk.scheduler.passes()
            if file.path not in self._disk.files:
                raise FileNotFoundError(file.path)
            part = self._disk.files[file.path][1].cut(max(start, file.start), end)
            # Whoever joins stretches takes the first one's columns over.
            found.append(replace(part, columns=part.columns[:]))
        return joined(found)

    def merge(self, files: Sequence[File]) -> File:
        [whole] = self.read(files, files[0].start, files[-1].end)
        return self.write(whole)

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._disk.scheduler.passes()
            self._disk.files.pop(path, None)


# ---------------------------------------------------------------------- what is done


@dataclass
class Operation:
    """What somebody wanted to store, and whether it was said to be stored."""

    kind: str
    first: int
    last: int
    value: float
    began: int
    ended: int = 0
    is_acknowledged: bool = False

    def covers(self, minute: int) -> bool:
        return self.first <= minute < self.last


def _stretch(first: int, last: int, value: float) -> Stretch:
    rows = [(MINUTE * one, value, value, value, value, 1.0, 1) for one in range(first, last)]
    return Stretch(MINUTE * first, MINUTE * last, Columns.from_rows(rows), [])


def use(seed: int, most: float, kind: type[SeriesTable] = SeriesTable) -> list[Operation]:
    """Have processes store, replace, merge and read while things go wrong; check what is stored.

    Gives what they did.
    """
    scheduler = Scheduler(seed, most)
    disk = Disk(scheduler)
    done: list[Operation] = []
    values = count(1)

    def opened() -> SeriesTable:
        return kind(NOWHERE, "1m", VirtualDelta(disk), VirtualFiles(disk))

    def live() -> None:
        table, random = opened(), scheduler.random
        for _ in range(random.randint(2, 5)):
            first = random.randrange(MINUTES - 1)
            last = min(MINUTES, first + random.randint(1, 8))
            try:
                match random.choice(("add", "add", "add", "replace", "tidy", "read")):
                    case "tidy":
                        table.tidy(2)
                    case "read":
                        _check_read(table.read(MINUTE * first, MINUTE * last), done)
                    case chosen:
                        one = Operation(chosen, first, last, float(next(values)), scheduler.step)
                        done.append(one)
                        try:
                            getattr(table, chosen)([_stretch(first, last, one.value)])
                            one.is_acknowledged = True
                        finally:
                            one.ended = scheduler.step
            except DataUnavailableError:
                pass

    def program() -> None:
        for _ in range(2):
            try:
                live()
            except Killed:
                continue
            return

    scheduler.run([program] * 3)
    disk.is_faulty = False
    _check(opened(), done)
    return done


def _check_read(parts: Sequence[Stretch], done: Sequence[Operation]) -> None:
    """What is read was offered by somebody, and nothing twice."""
    times = [row[0] for part in parts for row in part.columns.rows()]
    assert times == sorted(set(times)), "a candle twice"
    offered = {(one.value, minute) for one in done for minute in range(one.first, one.last)}
    for part in parts:
        for row in part.columns.rows():
            assert (row[1], row[0] // MINUTE) in offered, "nobody stored this"


def _check(table: SeriesTable, done: Sequence[Operation]) -> None:
    """Nothing acknowledged is lost or overruled by what came before it, and nothing is twice."""
    there = table.files() if table.refresh() else []
    ends = [0, *(file.end for file in there)]
    assert all(end <= file.start for end, file in zip(ends, there, strict=False)), "times twice"
    parts = table.read(0, MINUTE * MINUTES)
    _check_read(parts, done)
    stored = {row[0] // MINUTE: row[1] for part in parts for row in part.columns.rows()}
    by_value = {one.value: one for one in done}
    kept = [one for one in done if one.is_acknowledged]
    for minute in range(MINUTES):
        of_minute = [one for one in kept if one.covers(minute)]
        if of_minute:
            assert minute in stored, "what was acknowledged is lost"
        if minute not in stored:
            continue
        it = by_value[stored[minute]]
        for other in of_minute:
            if other.kind == "replace":
                assert other is it or other.began < it.ended, "what was replaced is back"
            if it.kind == "add":
                assert other is it or other.ended > it.began, "what was there is added again"
