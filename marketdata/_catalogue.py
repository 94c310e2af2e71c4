"""Which pairs an exchange has, kept on disk between processes.

One SQLite file holds ccxt's description of each market as a row of its own, so that a process
that asks for one pair reads one row: building the other 2,000 is what makes ccxt slow to start.
SQLite comes with Python, takes 10 ms to import and open, and lets any number of processes read
while one writes. A file that cannot be used is as good as none: it is only a cache.

Machines that share a Redis look there, too, before they ask the exchange: `_fleet_catalogue`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from marketdata._sqlite import discard, is_damage

if TYPE_CHECKING:
    from marketdata.models import Exchange

MAX_AGE = 24 * 3600.0
"""Seconds after which an exchange's list is fetched again."""

KEPT = 7 * 24 * 3600.0
"""Seconds after which a list that nobody fetches any more is dropped from the disk."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS listing (
    source TEXT PRIMARY KEY, fetched_at REAL NOT NULL, simulated INTEGER NOT NULL, plays TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS market (
    source TEXT NOT NULL, name TEXT NOT NULL, joined TEXT NOT NULL, native TEXT NOT NULL,
    base TEXT NOT NULL, quote TEXT NOT NULL, pair TEXT NOT NULL, market BLOB NOT NULL,
    PRIMARY KEY (source, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS market_joined ON market (source, joined);
CREATE INDEX IF NOT EXISTS market_native ON market (source, native);
CREATE TABLE IF NOT EXISTS described (version TEXT PRIMARY KEY, exchanges BLOB NOT NULL);
PRAGMA user_version = 1;
"""

_DROP_MARKETS = (
    "DELETE FROM market WHERE source IN (SELECT source FROM listing WHERE fetched_at < ?)"
)


def source(exchange: str, endpoint: str | None) -> str:
    """Name where a list comes from: an exchange, or an exchange at another address."""
    return exchange if endpoint is None else f"{exchange} at {endpoint}"


@dataclass(frozen=True)
class Market:
    """One active spot market: its pair, and ccxt's description of it."""

    pair: str
    raw: dict[str, Any]


class Packed(Sequence[Market]):
    """Markets in a sixth of their size, for as long as they wait to be kept.

    Where many lists come at once, that is what a process grows by.
    """

    def __init__(self, markets: Iterable[Market]) -> None:
        from pydantic_core import to_json

        self._texts = []
        for market in markets:
            # A text that is not Unicode cannot be kept, nor asked for.
            with contextlib.suppress(ValueError):
                self._texts.append((market.pair, to_json(market.raw)))

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> Market: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Market]: ...

    def __getitem__(self, index: int | slice) -> Market | Sequence[Market]:
        from pydantic_core import from_json

        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        pair, text = self._texts[index]
        return Market(pair, from_json(text))


class Fetched(NamedTuple):
    """A list as an exchange gave it."""

    markets: Sequence[Market]
    simulated: bool
    plays: str | None = None
    age: float = 0.0
    """How many seconds ago that was."""


@dataclass(frozen=True)
class Listing:
    """When an exchange's list was fetched, and whether the simulator gave it."""

    fetched_at: float
    simulated: bool
    plays: str | None = None
    """What a simulated exchange played; None for real ones."""

    @property
    def age(self) -> float:
        """Seconds since it was fetched; as many where a wrong clock put that in the future."""
        return abs(time.time() - self.fetched_at)


class Catalogue:
    """The pairs of exchanges by source: an exchange's id, or its id at another address."""

    def __init__(self, folder: Path | None) -> None:
        """Keep it in a folder, which is made when needed; None keeps it in memory."""
        self._file = None if folder is None else folder / "catalogue.sqlite"
        self._memory: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            weakref.WeakKeyDictionary()
        )

    def listing(self, source: str) -> Listing | None:
        """Tell when a source's list was fetched; None where it never was."""
        rows = self._read(
            "SELECT fetched_at, simulated, plays FROM listing WHERE source = ?"
            " AND EXISTS (SELECT 1 FROM market WHERE market.source = listing.source)",
            [source],
        )
        return Listing(rows[0][0], bool(rows[0][1]), rows[0][2]) if rows else None

    def find(self, source: str, text: str) -> list[Market]:
        """Find the market that a text names: BASE/QUOTE, both without slash, or the native id.

        Case does not matter. More than one where the text without a slash fits several.
        """
        name = text.upper()
        column = "name" if "/" in name else "joined"
        rows = self._read(
            f"SELECT pair, market FROM market WHERE source = ? AND {column} = ?",  # noqa: S608
            [source, name],
        ) or self._read(
            "SELECT pair, market FROM market WHERE source = ? AND native = ?", [source, name]
        )
        return self._parse(rows)

    def names(self, source: str) -> list[str]:
        """Name all pairs of a source, in order."""
        rows = self._read("SELECT pair FROM market WHERE source = ? ORDER BY name", [source])
        return [row[0] for row in rows]

    def markets(
        self,
        source: str,
        *,
        base: str | None = None,
        quote: str | None = None,
        search: str | None = None,
    ) -> list[Market]:
        """Give the markets of a source that fit, in order of their pairs."""
        where, values = ["source = ?"], [source]
        for column, wanted in (("base", base), ("quote", quote)):
            if wanted is not None:
                where.append(f"{column} = ?")
                values.append(wanted.upper())
        if search is not None:
            where.append("instr(name, ?)")
            values.append(search.upper())
        rows = self._read(
            f"SELECT pair, market FROM market WHERE {' AND '.join(where)} ORDER BY name",  # noqa: S608
            values,
        )
        return self._parse(rows)

    def _parse(self, rows: Iterable[tuple[Any, ...]]) -> list[Market]:
        from pydantic_core import from_json

        try:
            return [Market(pair, from_json(raw)) for pair, raw in rows]
        except ValueError:
            self._discard()
            return []

    async def renew(
        self, source: str, max_age: float, fetch: Callable[[], Awaitable[Fetched]]
    ) -> Listing:
        """Put a list of that age at most in the place of an older one, fetched if need be."""
        markets, simulated, plays, age = await self._newest(source, max_age, fetch)
        # Many at once would wait for each other in SQLite, and no write waits there for long.
        async with self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            await asyncio.to_thread(
                self.replace, source, markets, simulated=simulated, plays=plays, age=age
            )
        return self.listing(source) or Listing(time.time() - age, simulated, plays)

    async def _newest(
        self,
        source: str,  # noqa: ARG002 for those that look elsewhere first
        max_age: float,  # noqa: ARG002
        fetch: Callable[[], Awaitable[Fetched]],
    ) -> Fetched:
        return await fetch()

    def replace(
        self,
        source: str,
        markets: Iterable[Market],
        *,
        simulated: bool,
        plays: str | None = None,
        age: float = 0.0,
    ) -> None:
        """Put a freshly fetched list in the place of an older one."""
        from pydantic_core import to_json

        rows = []
        for market in markets:
            names = (
                market.pair.upper(),
                market.pair.upper().replace("/", ""),
                str(market.raw.get("id") or "").upper(),
                str(market.raw["base"]).upper(),
                str(market.raw["quote"]).upper(),
                market.pair,
            )
            # A text that is not Unicode cannot be kept, nor asked for.
            with contextlib.suppress(ValueError):
                "".join(names).encode()
                rows.append((source, *names, to_json(market.raw)))
        self._write(
            [
                (_DROP_MARKETS, [[time.time() - KEPT]]),
                ("DELETE FROM listing WHERE fetched_at < ?", [[time.time() - KEPT]]),
                ("DELETE FROM market WHERE source = ?", [[source]]),
                ("INSERT OR REPLACE INTO market VALUES (?,?,?,?,?,?,?,?)", rows),
                (
                    "INSERT OR REPLACE INTO listing VALUES (?,?,?,?)",
                    [[source, time.time() - age, simulated, plays]],
                ),
            ]
        )

    def forget(self, source: str) -> None:
        """Drop a source's list."""
        self._write([("DELETE FROM listing WHERE source = ?", [[source]])])

    def exchanges(self, version: str, describe: Callable[[], Sequence[Exchange]]) -> list[Exchange]:
        """Give what is known of all exchanges in one version, described at first use."""
        from pydantic import TypeAdapter

        from marketdata.models import Exchange

        adapter = TypeAdapter(list[Exchange])
        rows = self._read("SELECT exchanges FROM described WHERE version = ?", [version])
        if rows:
            with contextlib.suppress(ValueError):  # damaged, or of another version of `Exchange`
                return adapter.validate_json(rows[0][0])
        described = list(describe())
        self._write(
            [
                ("DELETE FROM described", [[]]),
                ("INSERT INTO described VALUES (?,?)", [[version, adapter.dump_json(described)]]),
            ]
        )
        return described

    def _read(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            if self._memory is None and not (self._file and self._file.exists()):
                return []
            with self._open() as connection:
                return connection.execute(statement, values).fetchall()
        except OSError:
            return []  # a folder that may not even be looked into
        except sqlite3.Error as error:
            if is_damage(error):
                self._discard()
            return []

    def _discard(self) -> None:
        """Remove a damaged file, so that it is made anew."""
        if self._file is not None:
            discard(self._file)

    def _write(self, statements: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
        """Run statements, each for all its rows, in one transaction."""
        try:
            try:
                self._run(statements)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._discard()
                self._run(statements)
        except (sqlite3.Error, OSError):
            # A file that cannot be written (read-only disk, a lock that is not let go of) costs
            # the next process a request, not this one its answer.
            self._turn_to_memory()
            self._run(statements)

    def _run(self, statements: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
        if self._memory is None and self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as connection, connection:
            # A cache need not be on the disk before the answer is out: that takes the longest.
            connection.execute("PRAGMA synchronous = OFF")
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN")
            for statement, rows in statements:
                connection.executemany(statement, rows)

    def _turn_to_memory(self) -> sqlite3.Connection:
        self._memory = connection = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, connection.close)
        return connection

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if self._memory is not None or self._file is None:
            with self._lock:
                yield self._memory or self._turn_to_memory()
        else:
            # Opened for each use: a connection must not be carried over a fork.
            with contextlib.closing(sqlite3.connect(self._file, timeout=0.5)) as connection:
                yield connection
