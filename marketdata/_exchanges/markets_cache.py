"""The lists of pairs of exchanges, on disk for all processes.

A SQLite file holds ccxt's description of each market in a row, so that a process that needs one
pair reads one row: building all 2,000 makes ccxt slow to start. SQLite comes with Python, takes 10
ms to import and open, and lets processes read while one writes. A file that cannot be used is
ignored, because it is only a cache.

Machines that share a Redis look there before they request a list:
`_exchanges.shared_markets_cache`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from marketdata.arguments import readings, written
from marketdata.machine import discard, is_damage, private_folder

if TYPE_CHECKING:
    from marketdata.models import Exchange

MAX_AGE = 24 * 3600.0
"""Seconds after which a list is requested again."""

_TRY_AGAIN = 60.0
"""Seconds after which a file that could not be written is tried again."""

KEPT = 7 * 24 * 3600.0
"""Seconds after which an unused list is deleted."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS listing (
    source TEXT PRIMARY KEY, fetched_at REAL NOT NULL, simulated INTEGER NOT NULL, plays TEXT,
    facts BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS market (
    source TEXT NOT NULL, name TEXT NOT NULL, joined TEXT NOT NULL, native TEXT NOT NULL,
    base TEXT NOT NULL, quote TEXT NOT NULL, also TEXT NOT NULL, pair TEXT NOT NULL,
    active INTEGER NOT NULL, rules BLOB NOT NULL, market BLOB NOT NULL,
    PRIMARY KEY (source, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS market_joined ON market (source, joined);
CREATE INDEX IF NOT EXISTS market_native ON market (source, native);
CREATE INDEX IF NOT EXISTS market_names ON market (source, name, also, base, quote, active);
CREATE TABLE IF NOT EXISTS described (version TEXT PRIMARY KEY, exchanges BLOB NOT NULL);
PRAGMA user_version = 3;
"""

_RULES = ("symbol", "base", "quote", "active", "precision", "limits", "maker", "taker")
"""The fields of a market's description that make a `Pair`: a tenth, stored separately for
searches."""

_DROP_MARKETS = (
    "DELETE FROM market WHERE source IN (SELECT source FROM listing WHERE fetched_at < ?)"
)


def source(exchange: str, endpoint: str | None) -> str:
    """Return the key of a list: an exchange, or an exchange at another address."""
    return exchange if endpoint is None else f"{exchange} at {endpoint}"


@dataclass(frozen=True)
class Market:
    """One spot market: its pair, and ccxt's description of it."""

    pair: str
    raw: dict[str, Any]
    text: bytes | None = field(default=None, repr=False, compare=False)
    """The description as JSON, if it was written already."""

    @property
    def is_active(self) -> bool:
        """Whether it can be traded now; ccxt does not know that for every exchange."""
        return self.raw.get("active") is not False


class Packed(Sequence[Market]):
    """Markets in a sixth of their size, until they are stored.

    When many lists arrive at once, their size determines the memory of the process.
    """

    def __init__(self, markets: Iterable[Market]) -> None:
        from pydantic_core import to_json

        self._texts = []
        for market in markets:
            # A name that is not valid Unicode can be neither stored nor requested.
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
        return Market(pair, from_json(text), text)


@dataclass(frozen=True)
class Facts:
    """Facts about all markets of a list, which otherwise only the exchange's module has."""

    precision_mode: int | None = None
    """How ccxt counts the exchange's precisions."""
    fees: dict[str, float | None] = field(default_factory=dict)
    """Maker and taker fees of pairs without their own."""
    renamed: dict[str, str] = field(default_factory=dict)
    """ccxt's codes, and the codes of the list that replace them."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Other names of codes, and the codes of the list."""
    former: dict[str, str] = field(default_factory=dict)
    """Codes of renamed tokens and their former codes, if the list has both."""

    def formers(self, pair: str) -> list[str]:
        """Return the former names of a pair with renamed tokens."""
        base, quote = pair.split("/")
        bases, quotes = ([code, self.former.get(code)] for code in (base, quote))
        names = [f"{one}/{other}" for other in quotes for one in bases if one and other]
        return [name for name in names if name != pair]


class Fetched(NamedTuple):
    """A list from an exchange."""

    markets: Sequence[Market]
    facts: Facts
    simulated: bool
    plays: str | None = None
    age: float = 0.0
    """Its age in seconds."""


@dataclass(frozen=True)
class Listing:
    """When a list was received, and whether from the simulator."""

    fetched_at: float
    simulated: bool
    plays: str | None = None
    """The recording that a simulated exchange replayed; None for real exchanges."""
    facts: Facts = field(default_factory=Facts)

    @property
    def age(self) -> float:
        """Its age in seconds; the absolute difference if a wrong clock put it in the future."""
        return abs(time.time() - self.fetched_at)


class Catalogue:
    """The pairs of exchanges by source: an exchange's id, or its id at another address."""

    def __init__(self, folder: Path | None) -> None:
        """Use a folder, which is created when needed; None keeps the lists in memory."""
        self._file = None if folder is None else folder / "catalogue.sqlite"
        self._memory: sqlite3.Connection | None = None
        """The database in memory that replaces a file that cannot be written."""
        self._try_at = 0.0
        """The next try of the file, by the monotonic clock."""
        self._lock = threading.Lock()
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            weakref.WeakKeyDictionary()
        )

    def listing(self, source: str) -> Listing | None:
        """Return the state of a source's list; None if there is none."""
        return self._listings("source = ?", source).get(source)

    def listings(self) -> dict[str, Listing]:
        """Return the state of all lists by source."""
        return self._listings("fetched_at >= ?", time.time() - KEPT)

    def _listings(self, which: str, value: Any) -> dict[str, Listing]:
        from pydantic_core import from_json

        rows = self._read(
            f"SELECT source, fetched_at, simulated, plays, facts FROM listing WHERE {which}"  # noqa: S608
            " AND EXISTS (SELECT 1 FROM market WHERE market.source = listing.source)"
            " ORDER BY source",
            [value],
        )
        try:
            return {
                row[0]: Listing(row[1], bool(row[2]), row[3], Facts(**from_json(row[4])))
                for row in rows
            }
        except (ValueError, TypeError):
            self._discard()
            return {}

    def find(self, source: str, text: str, *, active: bool = True) -> list[Market]:
        """Find the market of a name: BASE/QUOTE, both without slash, or the exchange's id.

        If that finds none, other names of its currencies and other readings (`readings`) are tried.
        Case does not matter. Several if the name without a slash is ambiguous. Halted markets
        unless ``active``.
        """
        found: dict[str, Market] = {}
        others, is_unclear = readings(text)
        for name in (text, *others):
            if found and not is_unclear:
                break
            written_so = written(text) if name is text else name
            for market in self._called_so(source, name.upper(), written_so.upper(), active):
                found.setdefault(market.pair, market)
        return list(found.values())

    def _called_so(self, source: str, name: str, native: str, active: bool) -> list[Market]:
        column, also = ("name", "also") if "/" in name else ("joined", "replace(also, '/', '')")
        for where, value in (
            (f"{column} = ?", name),
            ("native = ?", name),
            ("native = ?", native),
            (f"instr({also}, ?)", f"\n{name}\n"),
        ):
            rows = self._read(
                f"SELECT pair, market FROM market WHERE source = ? AND active = ? AND {where}",  # noqa: S608
                [source, active, value],
            )
            if rows:
                return self._parse(rows)
        return []

    def named(self, source: str, pair: str) -> list[Market]:
        """Find the market of a pair, active or halted, by exactly this name."""
        rows = self._read(
            "SELECT pair, market FROM market WHERE source = ? AND name = ?", [source, pair.upper()]
        )
        return self._parse(rows)

    def names(self, source: str) -> dict[str, str]:
        """Return all active pairs of a source in order, with their other names."""
        rows = self._read(
            "SELECT pair, also FROM market WHERE source = ? AND active ORDER BY name", [source]
        )
        others = {name: pair for pair, also in rows for name in also.split("\n") if name}
        return {pair: pair for pair, _ in rows} | others

    def called(self, source: str, text: str) -> list[str]:
        """Return the active pairs whose exchange id is this text without separators."""
        rows = self._read(
            "SELECT pair FROM market WHERE source = ? AND active"
            " AND replace(replace(replace(native, '-', ''), '_', ''), '/', '') = ?",
            [source, text.upper().replace("/", "")],
        )
        return [row[0] for row in rows]

    def markets(
        self,
        source: str,
        *,
        base: str | None = None,
        quote: str | None = None,
        search: str | None = None,
        active: bool = True,
    ) -> list[Market]:
        """Return the matching markets of a source, active or halted, by pair."""
        where, values = _fits(base, quote, search, active=active)
        rows = self._read(
            f"SELECT pair, market FROM market WHERE source = ?{where} ORDER BY name",  # noqa: S608
            [source, *values],
        )
        return self._parse(rows)

    def search(
        self,
        sources: Sequence[str],
        *,
        base: str | None,
        quote: str | None,
        search: str,
        active: bool = True,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[int, list[tuple[str, Market]]]:
        """Return the matching markets of several sources with their sources, in order.

        At most ``limit`` from ``offset`` on, and the total number. They have only the fields of
        ccxt's description that make a `Pair`.
        """
        where, values = _fits(base, quote, search, active=active)
        among = ",".join("?" * len(sources))
        names = f"market INDEXED BY market_names WHERE source IN ({among}){where}"
        values = [*sources, *values]
        rows = self._read(
            "SELECT source, pair, rules FROM market WHERE (source, name) IN"  # noqa: S608
            f" (SELECT source, name FROM {names} ORDER BY source, name LIMIT ? OFFSET ?)"
            " ORDER BY source, name",
            [*values, -1 if limit is None else limit, offset],
        )
        markets = self._parse(row[1:] for row in rows)
        found = [(row[0], market) for row, market in zip(rows, markets, strict=False)]
        if limit is None and not offset:
            return len(found), found
        counted = self._read(f"SELECT count(*) FROM {names}", values)  # noqa: S608
        return counted[0][0] if counted else len(found), found

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
        """Replace a list that is older than this, with a requested one if needed."""
        fetched = await self._newest(source, max_age, fetch)
        markets, facts, simulated, plays, age = fetched
        # SQLite writes one at a time and does not wait long, so writes are queued here.
        async with self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            await asyncio.to_thread(
                self.replace,
                source,
                markets,
                facts=facts,
                simulated=simulated,
                plays=plays,
                age=age,
            )
        return self.listing(source) or Listing(time.time() - age, simulated, plays, facts)

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
        facts: Facts,
        simulated: bool,
        plays: str | None = None,
        age: float = 0.0,
    ) -> None:
        """Replace a list with a newly requested one."""
        from pydantic_core import to_json

        called: dict[str, list[str]] = {}
        for name, code in facts.aliases.items():
            called.setdefault(code, [code]).append(name)
        rows = []
        for market in markets:
            raw = market.raw
            base, quote = str(raw["base"]), str(raw["quote"])
            others = [
                f"{one}/{other}".upper()
                for one in called.get(base, [base])
                for other in called.get(quote, [quote])
            ][1:]
            names = (
                market.pair.upper(),
                market.pair.upper().replace("/", ""),
                str(raw.get("id") or "").upper(),
                base.upper(),
                quote.upper(),
                "\n".join(["", *others, ""]) if others else "",
                market.pair,
            )
            with contextlib.suppress(ValueError):  # a text that is not Unicode
                "".join(names).encode()
                rules = to_json({name: raw.get(name) for name in _RULES})
                kept = market.text or to_json(raw)
                rows.append((source, *names, market.is_active, rules, kept))
        # Of several with the same name the last one stays: an active one.
        rows.sort(key=lambda row: row[-3])
        self._write(
            [
                (_DROP_MARKETS, [[time.time() - KEPT]]),
                ("DELETE FROM listing WHERE fetched_at < ?", [[time.time() - KEPT]]),
                ("DELETE FROM market WHERE source = ?", [[source]]),
                ("INSERT OR REPLACE INTO market VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows),
                (
                    "INSERT OR REPLACE INTO listing VALUES (?,?,?,?,?)",
                    [[source, time.time() - age, simulated, plays, to_json(asdict(facts))]],
                ),
            ]
        )

    def forget(self, source: str) -> None:
        """Delete a source's list."""
        self._write([("DELETE FROM listing WHERE source = ?", [[source]])])

    def exchanges(self, version: str, describe: Callable[[], Sequence[Exchange]]) -> list[Exchange]:
        """Return the descriptions of all exchanges for a version, made at first use."""
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
        """Delete a damaged file, so that it is created again."""
        if self._file is not None:
            discard(self._file)

    def _write(self, statements: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
        """Run statements, each for all its rows, in one transaction."""
        if self._file is not None and time.monotonic() >= self._try_at:
            try:
                self._write_to(self._file, statements)
            except (sqlite3.Error, OSError):
                # A file that cannot be written (full or read-only disk, a lock that is not let go
                # of) costs the next process a request, not this one its answer.
                self._try_at = time.monotonic() + _TRY_AGAIN
                self._turn_to_memory(self._file)
            else:
                with self._lock:
                    self._memory = None
                return
        with self._open() as connection:
            self._run(connection, statements)

    def _write_to(
        self, file: Path, statements: Sequence[tuple[str, Sequence[Sequence[Any]]]]
    ) -> None:
        private_folder(file.parent)
        for anew in (False, True):
            try:
                with self._connected(file) as connection:
                    self._run(connection, statements)
                return
            except sqlite3.Error as error:
                if anew or not is_damage(error):
                    raise
                self._discard()

    def _run(
        self,
        connection: sqlite3.Connection,
        statements: Sequence[tuple[str, Sequence[Sequence[Any]]]],
    ) -> None:
        with connection:
            # A cache need not be on disk before the call returns: syncing takes longest.
            connection.execute("PRAGMA synchronous = OFF")
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN")
            for statement, rows in statements:
                connection.executemany(statement, rows)

    def _turn_to_memory(self, file: Path) -> None:
        """Continue in memory with the content of the file."""
        with self._lock:
            if self._memory is not None:
                return
            self._memory = self._in_memory()
            with contextlib.suppress(sqlite3.Error, OSError):
                if file.exists():
                    with self._connected(file) as connection:
                        # `backup` would wait forever for a process that keeps the file locked.
                        connection.execute("BEGIN")
                        connection.execute("SELECT 1 FROM listing").close()
                        connection.backup(self._memory)

    def _in_memory(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, connection.close)
        return connection

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._memory is not None or self._file is None:
                self._memory = self._memory or self._in_memory()
                yield self._memory
                return
        with self._connected(self._file) as connection:
            yield connection

    @staticmethod
    @contextlib.contextmanager
    def _connected(file: Path) -> Iterator[sqlite3.Connection]:
        # Opened for each use: a connection must not be carried over a fork.
        with contextlib.closing(sqlite3.connect(file, timeout=0.5)) as connection:
            yield connection


def _fits(
    base: str | None, quote: str | None, search: str | None, *, active: bool
) -> tuple[str, list[Any]]:
    """Return the SQL condition of matching markets and its values, including other names."""
    where = " AND active = ?"
    values: list[Any] = [active]
    for wanted, condition, form in (
        (base, "base = ? OR instr(also, ?)", "\n{}/"),
        (quote, "quote = ? OR instr(also, ?)", "/{}\n"),
        (search, "instr(name, ?) OR instr(also, ?)", "{}"),
    ):
        if wanted is not None:
            where += f" AND ({condition})"
            values += [wanted.upper(), form.format(wanted.upper())]
    return where, values
