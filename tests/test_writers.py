"""Each writer on a disk that fills, on files that become read-only, in a folder that vanishes.

Nothing is reported that is not on the disk, what could be read stays readable, an error names the
file, and once the fault is over all goes on. The simulated exchange writes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq
import pytest
from full_disk import full_disk
from history.series import bars, read, table_in
from inside.markets import Catalogue, spot_markets
from inside.recordings import Event, Writer
from inside.recordings import read as events_of
from inside.requests import APART, Account, Ledger, LedgerBusyError
from inside.store import SeriesTable

import marketdata as md
from marketdata._exchanges import markets_cache
from marketdata_mcp.service.access.sqlite_store import SqliteStore
from marketdata_mcp.service.command import admin

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")


class Kept(Protocol):
    """What a kind of writer keeps in a folder, by number."""

    def put(self, number: int) -> None:
        """Write one more; raises where it is not on the disk then."""

    def there(self) -> set[int]:
        """Return what whoever opens it anew can read."""

    def known(self) -> set[int]:
        """Return what a process that has it open answers; nothing where none has."""

    def close(self) -> None:
        """Let go of it."""

    is_opened_meanwhile: bool
    """Whether it can be opened while it cannot be written."""


class _Kind:
    is_opened_meanwhile = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def known(self) -> set[int]:
        return set()

    def close(self) -> None:
        pass


class Recordings(_Kind):
    """One recording; what failed ends it, and the next is appended."""

    _writer: Writer | None = None

    def put(self, number: int) -> None:
        self._writer = self._writer or Writer(self.folder / "x.recording")
        try:
            self._writer.write(Event(number, 1, "got", "frame" * 50))
            self._writer.flush()
        except OSError:
            writer, self._writer = self._writer, None
            with contextlib.suppress(OSError):
                writer.close()
            raise

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def there(self) -> set[int]:
        return {one.time for one in events_of(self.folder / "x.recording")}


class Candles(_Kind):
    """A stored series."""

    _table: SeriesTable | None = None

    def put(self, number: int) -> None:
        self._table = self._table or table_in(self.folder)
        self._table.add([bars(10 * number, 10 * number + 10)])
        self._table.tidy(2)

    def there(self) -> set[int]:
        found = [bar for part in read(table_in(self.folder), 0, 1000) for bar in part.columns.time]
        first = bars(0, 1).columns.time[0]
        numbers = {(time - first) // 600_000 for time in found}
        assert len(found) == 10 * len(numbers)
        return numbers


class Markets(_Kind):
    """The catalogue; a cache: what could not be written is asked for again by the next process."""

    _catalogue: Catalogue | None = None

    def put(self, number: int) -> None:
        self._catalogue = self._catalogue or Catalogue(self.folder)
        raw = {"id": "x", "symbol": "A/B", "base": "A", "quote": "B", "spot": True, "active": True}
        markets, facts = spot_markets([raw], {})
        self._catalogue.replace(f"{number}", markets, facts=facts, simulated=False)
        if number not in self.there():
            raise OSError(f"not in {self.folder}, and nobody is told")

    def there(self) -> set[int]:
        return _listed(Catalogue(self.folder))

    def known(self) -> set[int]:
        return set() if self._catalogue is None else _listed(self._catalogue)


def _listed(catalogue: Catalogue) -> set[int]:
    found = {int(source) for source in catalogue.listings()}
    assert all(catalogue.markets(str(one)) for one in found)
    return found


class Budget(_Kind):
    """The request budget: what is granted is counted, in the file or in memory."""

    _now = 0.0
    _counted = 0.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ledger = Ledger(folder / "budget.sqlite")

    def put(self, number: int) -> None:
        def grant(account: Account, now: float) -> None:
            account.granted[float(number)] = 1.0

        self._now += 2 * APART  # by then the file is tried again
        try:
            self._ledger.change("x", grant, lambda: self._now)
        except LedgerBusyError:
            raise OSError(f"nothing is granted while {self.folder} is full") from None
        if number not in self.there():
            raise OSError(f"counted in memory, not in {self.folder}")

    def there(self) -> set[int]:
        return self._granted(Ledger(self.folder / "budget.sqlite"))

    def known(self) -> set[int]:
        with contextlib.suppress(LedgerBusyError):
            return self._granted(self._ledger)
        return self.there()

    def _granted(self, ledger: Ledger) -> set[int]:
        return ledger.change("x", lambda account, _: set(map(int, account.granted)), lambda: 1e6)


class Accounts(_Kind):
    """Accounts, added by the command, and looked up by a server that is running."""

    is_opened_meanwhile = False  # SQLite opens a write-ahead log only where it can write

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._serving = SqliteStore(folder / "access.sqlite")

    def put(self, number: int) -> None:
        os.environ["MARKETDATA_HOME"] = str(self.folder)
        _command("access", "account", "add", f"a{number}")

    def there(self) -> set[int]:
        return self._in(SqliteStore(self.folder / "access.sqlite"), close=True)

    def known(self) -> set[int]:
        return self._in(self._serving)

    def close(self) -> None:
        self._in(self._serving, close=True)

    def _in(self, store: SqliteStore, *, close: bool = False) -> set[int]:
        async def work() -> set[int]:
            found = {int(one.name[1:]) for one in await store.accounts()}
            if close:
                await store.close()
            return found

        return asyncio.run(work())


class Installed(_Kind):
    """The configuration of a client."""

    def put(self, number: int) -> None:
        os.environ["HOME"] = str(self.folder)
        _command("install", "cursor", "--name", f"s{number}")

    def there(self) -> set[int]:
        held = json.loads((self.folder / ".cursor" / "mcp.json").read_text())
        return {int(name[1:]) for name in held["mcpServers"]}


def _command(*line: str) -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            admin.run(line)
        except SystemExit as end:
            if end.code:
                raise OSError(out.getvalue()) from None


class Exports(_Kind):
    """Exported candles: a file for each number; part of one is none."""

    kind = "parquet"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._home = folder.with_name("home")
        table_in(self._home / "candles").add([bars(0, 1000)])
        _let_read(self._home)

    def put(self, number: int) -> None:
        with md.Client(home=self._home) as client:
            client.history.export(self.folder / f"{number}.{self.kind}", "BTC/USDT", "1m")

    def there(self) -> set[int]:
        found = [one for one in self.folder.iterdir() if one.name[0] != "."]
        assert all(self._rows(one) == 1000 for one in found)
        return {int(one.stem) for one in found}

    def _rows(self, file: Path) -> int:
        return int(pq.read_metadata(file).num_rows)


class ExportsOfText(Exports):
    """The same as text."""

    kind = "csv"

    def _rows(self, file: Path) -> int:
        return file.read_bytes().count(b"\n") - 1


WRITERS: tuple[Callable[[Path], Kept], ...] = (
    *(Recordings, Candles, Markets, Budget),
    *(Accounts, Installed, Exports, ExportsOfText),
)


# ---------------------------------------------------------------------- faults


def _let_read(folder: Path) -> None:
    for one in (folder, *folder.rglob("*")):
        one.chmod(0o755 if one.is_dir() else 0o644)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take the right to write from all below a folder, and from root the right to do anything."""
    _let_read(folder)
    for one in (folder, *folder.rglob("*")):
        one.chmod(0o555 if one.is_dir() else 0o444)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        _let_read(folder)


@contextlib.contextmanager
def vanished(folder: Path) -> Iterator[None]:
    """Remove a folder; a writer may make it anew, and what was in it is gone."""
    shutil.rmtree(folder)
    yield
    folder.mkdir(exist_ok=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill the file system of a folder."""
    # A byte at a time at the end, so that nothing is left.
    with (folder.parent / _FILLER).open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 9, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    yield
    (folder.parent / _FILLER).unlink()


_FILLER = "filler"
_OWN = "file system full"
"""The fault of a file system of 2 MB, which only root can mount; others have `full_disk`."""


@contextlib.contextmanager
def _mounted(folder: Path) -> Iterator[None]:
    line = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=755", "tmpfs", str(folder)]
    may = not os.geteuid() and shutil.which("mount")
    if not may or subprocess.run(line, capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


FAULTS: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "full": lambda _: full_disk(),
    "nearly full": lambda _: full_disk(1000),
    "read-only": read_only,
    "vanished": vanished,
    _OWN: filled,
}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, fault: str) -> Iterator[Path]:
    monkeypatch.setattr(markets_cache, "_TRY_AGAIN", 0.0)
    for name in ("MARKETDATA_HOME", "HOME"):
        monkeypatch.setenv(name, "")
    # Not below pytest's folder, into which nobody else may look.
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        folder = Path(made) / "folder"
        with _mounted(Path(made)) if fault == _OWN else contextlib.nullcontext():
            folder.mkdir()
            yield folder


def _refused(kept: Kept, number: int) -> str | None:
    try:
        kept.put(number)
    except (OSError, md.MarketDataError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("writer", WRITERS, ids=lambda one: one.__name__)
def test_a_failed_write_loses_and_invents_nothing(writer: Any, fault: str, place: Path) -> None:
    kept: Kept = writer(place)
    for number in (1, 2, 3):
        kept.put(number)
    before = {1, 2, 3}
    assert kept.there() == before
    known = kept.known()
    with FAULTS[fault](place):
        if fault == "vanished":
            before = set()
        reported = set(before)
        for number in (4, 5, 6):
            refused = _refused(kept, number)
            if refused is None:
                reported.add(number)
                before.add(number)
            else:
                assert str(place) in refused  # the error names the file
            if reported and (kept.is_opened_meanwhile or fault == "vanished"):
                assert reported <= kept.there()
            if known:
                assert before <= kept.known()
    for number in (7, 8, 9):
        kept.put(number)
        reported.add(number)
    assert reported <= kept.there()
    assert before <= kept.there()
    kept.close()
    # Nothing half written lies about.
    names = [one.name for one in place.rglob("*") if one.is_file()]
    assert not [name for name in names if name.endswith((".part", ".tmp", "-journal"))]
