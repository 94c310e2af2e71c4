"""The candle store: a folder or a bucket with one Delta table for each series.

::

    binance/BTC-USDT/1m/            a table, for all programs that read Delta Lake
    simulated/seed-1/binance/...    the same for simulated exchanges, by seed or recording

With one table for each series, its cost does not depend on the number of other series.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar, TypeVarTuple, Unpack

from marketdata._candles.datafiles import DataFiles, filesystem, load_arrow
from marketdata._candles.table import SeriesTable
from marketdata._candles.trouble import refused, translated
from marketdata.errors import DataUnavailableError, MarketDataError, MissingExtraError

Args = TypeVarTuple("Args")
T = TypeVar("T")

_SIMULATED = "simulated"
_PAIR = re.compile(r"(?:[A-Za-z0-9._]|~[0-9a-f]{1,5}~)*-(?:[A-Za-z0-9._]|~[0-9a-f]{1,5}~)*")
_TIMEFRAME = re.compile(r"[1-9]\d{0,3}(?:[smhdwy]|mo)", re.ASCII)
_KEPT_OPEN = 64
_THREADS = 4


class SeriesName(NamedTuple):
    """The name of a stored series."""

    exchange: str
    pair: str
    timeframe: str
    simulated: str | None = None
    """The seed or recording of a simulated exchange; None for real ones."""

    @property
    def folder(self) -> str:
        """The path of its table below the store's root."""
        base, _, quote = self.pair.partition("/")
        # Some file systems do not distinguish 1M from 1m.
        length = self.timeframe.replace("M", "mo")
        parts = [self.exchange, f"{_escaped(base)}-{_escaped(quote)}", length]
        if self.simulated is not None:
            parts = [_SIMULATED, _escaped(self.simulated), *parts]
        return "/".join(parts)


def _escaped(name: str) -> str:
    """Return a name that every file system and object store accepts; `_unescaped` reverses it.

    A leading dot would hide it, or lead out of the store.
    """
    return re.sub(r"^\.|[^A-Za-z0-9._]", lambda found: f"~{ord(found[0]):x}~", name)


def _unescaped(text: str) -> str:
    return re.sub(r"~([0-9a-f]+)~", lambda found: chr(int(found[1], 16)), text)


class Store:
    """All stored series below one folder or URL; needs the extra ``history``."""

    def __init__(self, url: str, *, private: bool = False) -> None:
        """`private` tells that folders which are made are for this user alone."""
        try:
            load_arrow()
            import deltalake  # noqa: F401
        except ImportError:
            raise MissingExtraError("The candle store", "history") from None
        self.url = url.removeprefix("file://").rstrip("/")
        self._private = private
        self.read_only: MarketDataError | None = None
        """Why nothing is written to it, if it is read-only."""
        self.table = functools.lru_cache(_KEPT_OPEN)(self._table)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="candle store")

    async def apart(self, work: Callable[[Unpack[Args]], T], *arguments: *Args) -> T:
        """Run blocking work in the store's own thread.

        Usually it is the same thread, because other threads cannot reuse the memory that it freed.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _table(self, name: SeriesName) -> SeriesTable:
        url = f"{self.url}/{name.folder}"
        return SeriesTable(url, name.timeframe, data=DataFiles(url, private=self._private))

    def series(
        self,
        pairs: Sequence[str] | None = None,
        timeframe: str | None = None,
        exchanges: Sequence[str] | None = None,
    ) -> list[SeriesName]:
        """List what is stored, real exchanges first, by name; None takes all.

        A pair can be given without its slash. Other folders are ignored.
        """
        joined = None if pairs is None else {pair.upper().replace("/", "") for pair in pairs}

        def below(root: str, simulated: str | None) -> Iterator[SeriesName]:
            for exchange in self._folders(root):
                if simulated is None and exchange == _SIMULATED:
                    for identity in self._folders(exchange):
                        yield from below(f"{exchange}/{identity}", _unescaped(identity))
                elif exchanges is None or exchange in exchanges:
                    yield from in_exchange(f"{root}/{exchange}", exchange, simulated)

        def in_exchange(folder: str, exchange: str, simulated: str | None) -> Iterator[SeriesName]:
            for name in self._folders(folder):
                # Other programs can have folders here, too.
                if not _PAIR.fullmatch(name):
                    continue
                base, quote = map(_unescaped, name.split("-"))
                if joined is None or f"{base}{quote}".upper() in joined:
                    for length in self._folders(f"{folder}/{name}"):
                        found = length.replace("mo", "M")
                        if _TIMEFRAME.fullmatch(length) and timeframe in (None, found):
                            yield SeriesName(exchange, f"{base}/{quote}", found, simulated)

        return sorted(below("", None), key=lambda name: (name.simulated or "", name))

    def _folders(self, path: str) -> list[str]:
        from pyarrow import fs

        selector = fs.FileSelector(path.strip("/"), allow_not_found=True)
        with translated(self.url):
            found = filesystem(self.url).get_file_info(selector)
        return sorted(one.base_name for one in found if one.type == fs.FileType.Directory)

    def rebuild(self, name: SeriesName) -> None:
        """Rebuild the transaction log of a series from its data files."""
        table = self.table(name)
        with translated(table.url), contextlib.suppress(FileNotFoundError):
            filesystem(table.url).delete_dir("_delta_log")
        self.table.cache_clear()
        self.table(name).adopt()

    def remove(self, name: SeriesName) -> None:
        """Delete the candles of one series from the disk, damaged or not."""
        table = self.table(name)
        try:
            if table.refresh():
                table.clear()
                return
        except DataUnavailableError:
            pass  # an unreadable table is deleted as a whole
        with translated(table.url), contextlib.suppress(FileNotFoundError):
            filesystem(self.url).delete_dir(name.folder)
        self.table.cache_clear()

    # ------------------------------------------------------------------ usability

    def lost(self) -> MarketDataError | None:
        """Return the message for a process that was forked from one with an open store.

        Delta Lake's library does not survive that.
        """
        if not _forked:
            return None
        return DataUnavailableError(
            "The candle store cannot be used in a process that was forked from one which has used "
            "it, or Delta Lake. Start it with multiprocessing's 'spawn' instead.",
            details={"store": self.url},
        )

    def unwritable(self) -> MarketDataError | None:
        """Return the message for a folder that cannot be created or written."""
        there = Path(self.url)
        try:
            while not there.exists() and there != there.parent:
                there = there.parent
            if not there.is_dir():
                return refused(self.url, errno.ENOTDIR)
        except OSError as error:  # a parent folder cannot be read
            return refused(self.url, error.errno or errno.EACCES)
        return None if os.access(there, os.W_OK | os.X_OK) else refused(self.url, errno.EACCES)

    @property
    def is_readable(self) -> bool:
        """Whether a readable folder exists."""
        return os.access(f"{self.url}/", os.R_OK | os.X_OK)


_forked = False
"""Whether Delta Lake's library was loaded when this process was forked."""


def _note_fork() -> None:
    global _forked
    _forked = "deltalake" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
