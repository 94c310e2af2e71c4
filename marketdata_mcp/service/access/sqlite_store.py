"""Accounts in one SQLite file, for the processes of one machine.

Calls of some turns of the event loop are counted in one transaction, so counters are exact among
processes. They are in the write-ahead log before their calls continue. Killing the process loses
nothing; after a power failure, the last moments can be lost.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from marketdata.machine import is_damage, is_locked, private_folder
from marketdata_mcp.service.access.accounts import (
    NOBODY,
    WEEK,
    Account,
    AwayError,
    Bounds,
    Counted,
    Key,
    Used,
    week_of,
)
from marketdata_mcp.service.access.patience import others_come
from marketdata_mcp.service.access.sqlite_counters import Asked, count_each, read_used

__all__ = ["SqliteStore"]

_KNOWN = 10_000
"""Maximum keys in memory."""
_LOCK_SECONDS = 5.0
"""Maximum seconds to wait for another process's transaction."""
_TRY_SECONDS = 0.02
"""Seconds of one such wait, which blocks the event loop."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
    name TEXT PRIMARY KEY, tier TEXT NOT NULL, suspended INTEGER NOT NULL, created_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS key (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, digest TEXT NOT NULL, label TEXT NOT NULL,
    created_at REAL NOT NULL, expires_at REAL, revoked_at REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used (
    account TEXT NOT NULL, span INTEGER NOT NULL, start INTEGER NOT NULL, units INTEGER NOT NULL,
    PRIMARY KEY (account, span, start)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""

_BEGIN = "BEGIN IMMEDIATE"


class SqliteStore:
    """Accounts, keys and counters in a file, which the first write creates."""

    def __init__(
        self, file: Path, connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    ) -> None:
        """`connect` opens the file, like `sqlite3.connect`."""
        self._file = file
        self._connects = connect
        self._cursor: sqlite3.Cursor | None = None
        """One cursor for all statements: a connection keeps some memory for each of its cursors."""
        self._inode = 0
        self._waiting = asyncio.Lock()
        self._found: dict[str, tuple[Key, Account]] = {}
        """The results of `find`, valid while the file does not change."""
        self._version: object = None
        """SQLite's version of the file, which another connection's commit changes."""
        self._asked: list[Asked] = []
        self._counting: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------ accounts and keys

    async def add_account(self, account: Account) -> bool:
        """Store a new account; False if the name exists."""
        async with self._change() as run:
            added = run(
                "INSERT INTO account VALUES (?,?,?,?) ON CONFLICT DO NOTHING",
                [account.name, account.tier, account.suspended, account.created_at],
            )
            return added.rowcount == 1

    async def change_account(
        self, name: str, *, tier: str | None = None, suspended: bool | None = None
    ) -> Account | None:
        """Change an account from its next call on; None if there is no such account."""
        async with self._change() as run:
            run(
                "UPDATE account SET tier = coalesce(?, tier), suspended = coalesce(?, suspended)"
                " WHERE name = ?",
                [tier, suspended, name],
            )
        return await self.account(name)

    async def account(self, name: str) -> Account | None:
        """Return an account; None if there is no such account."""
        found = self._read("SELECT * FROM account WHERE name = ?", [name])
        return _account(found[0]) if found else None

    async def accounts(self) -> list[Account]:
        """Return all accounts, by name."""
        return [_account(row) for row in self._read("SELECT * FROM account ORDER BY name")]

    async def add_key(self, key: Key, at_most: int | None) -> bool:
        """Store a new key; False if its account has the maximum of active keys."""
        async with self._change() as run:
            rows = run(_KEYS_OF, [key.account]).fetchall()
            active = sum(Key(*row).state(key.created_at) == "active" for row in rows)
            if at_most is not None and active >= at_most:
                return False
            values = [getattr(key, name) for name in _KEY.split(", ")]
            run(_ADD_KEY, values)
            return True

    async def keys(self, account: str | None = None) -> list[Key]:
        """Return the keys of an account or of all, oldest first."""
        rows = self._read(
            f"SELECT {_KEY} FROM key WHERE account = coalesce(?, account) ORDER BY created_at, id",  # noqa: S608
            [account],
        )
        return [Key(*row) for row in rows]

    async def end_key(self, key_id: str, at: float, *, expires: bool = False) -> Key | None:
        """Revoke a key, or let it expire at a time; None if there is no such key."""
        column = "expires_at" if expires else "revoked_at"
        async with self._change() as run:
            run(
                f"UPDATE key SET {column} = min(coalesce({column}, ?), ?) WHERE id = ?",  # noqa: S608
                [at, at, key_id],
            )
        found = self._read(f"SELECT {_KEY} FROM key WHERE id = ?", [key_id])  # noqa: S608
        return Key(*found[0]) if found else None

    async def find(self, key_id: str) -> tuple[Key, Account] | None:
        """Return the current state of a key and its account; None if there is no such key."""
        with self._open() as cursor:
            version = cursor.execute("PRAGMA data_version").fetchone()
            if version != self._version or len(self._found) >= _KNOWN:
                self._found.clear()
                self._version = version
            found = self._found.get(key_id)
            if found is None:
                row = cursor.execute(_FIND, [key_id]).fetchone()
                if row is None:
                    return None
                found = self._found[key_id] = Key(*row[:7]), _account(row[7:])
            return found

    # ------------------------------------------------------------------ counting

    async def count(self, account: str, at: float, units: int, bounds: Bounds) -> Counted:
        """Count a call and its units, both or neither, atomically among all processes."""
        counted: asyncio.Future[Counted] = asyncio.get_running_loop().create_future()
        self._asked.append(Asked(account, at, units, bounds, counted))
        if self._counting is None:
            self._counting = asyncio.create_task(self._count_all())
        return await counted

    async def _count_all(self) -> None:
        """Count the waiting calls in order."""
        asked: list[Asked] = []
        found: list[Counted | None]
        try:
            await others_come()
            async with self._transaction() as run:
                asked = self._take_asked()
                found = count_each(run, asked)
        except AwayError:
            asked = asked or self._take_asked()
            found = [None] * len(asked)
        except BaseException:
            for one in asked or self._take_asked():
                one.counted.cancel()
            raise
        finally:
            self._counting = None
        for one, counted in zip(asked, found, strict=True):
            if counted is None:
                one.counted.set_exception(AwayError())
            else:
                one.counted.set_result(counted)

    def _take_asked(self) -> list[Asked]:
        asked, self._asked = self._asked, []
        return [one for one in asked if not one.counted.done()]  # done if it was cancelled

    async def give_back(self, account: str, at: float, units: int) -> None:
        """Refund units that were counted at a time."""
        async with self._transaction() as run:
            run(
                "UPDATE used SET units = max(0, units - ?)"
                " WHERE account = ? AND span = ? AND start = ?",
                [units, account, WEEK, week_of(at)],
            )

    async def used(self, account: str, at: float) -> Used:
        """Return the usage of an account."""
        with self._open() as cursor:
            return read_used(cursor.execute, account, at)

    async def check(self) -> None:
        """Count a call of no account; raises `AwayError` if calls cannot be counted."""
        await self.count(NOBODY, time.time(), 1, Bounds(None, None))

    async def close(self) -> None:
        """Close the file."""
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.wait([self._counting])
        for one in self._take_asked():
            one.counted.cancel()
        self._close()

    def _close(self) -> None:
        if self._cursor is not None:
            self._cursor.connection.close()
            self._cursor = None

    # ------------------------------------------------------------------ the file

    def _read(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._open() as cursor:
            return cursor.execute(statement, values).fetchall()

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[Callable[..., sqlite3.Cursor]]:
        """Run statements like `_transaction`, and forget the keys in memory."""
        async with self._transaction() as run:
            self._found.clear()
            yield run

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Callable[..., sqlite3.Cursor]]:
        """Run statements atomically; nothing may be awaited in between."""
        with self._open() as cursor:
            if self._waiting.locked() or not _done(cursor, _BEGIN):
                async with asyncio.timeout(_LOCK_SECONDS), self._waiting:
                    while not _done(cursor, _BEGIN):  # noqa: ASYNC110 - nobody would tell
                        await asyncio.sleep(_TRY_SECONDS)
            try:
                yield cursor.execute
                cursor.execute("COMMIT")
            except BaseException:
                # A full disk may have ended it already.
                if cursor.connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Cursor]:
        try:
            # An operator may have replaced the file, for example from a backup.
            if self._cursor is None or self._file.stat().st_ino != self._inode:
                self._reopen()
            assert self._cursor is not None  # noqa: S101 - has just been opened
            yield self._cursor
        except (sqlite3.Error, OSError) as error:
            # A file that was damaged while it was open may have been repaired.
            if is_damage(error):
                self._close()
            raise AwayError from None

    def _reopen(self) -> None:
        self._close()
        self._version = None
        self._cursor = self._connect().cursor()
        self._inode = self._file.stat().st_ino

    def _connect(self) -> sqlite3.Connection:
        private_folder(self._file.parent)
        # A reader of the file learns no key, but the names of the accounts.
        self._file.touch(mode=0o600)
        connection = self._connects(self._file, timeout=_LOCK_SECONDS, isolation_level=None)
        try:
            _prepare(connection)
            connection.execute(f"PRAGMA busy_timeout = {round(_TRY_SECONDS * 1000)}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Set up the write-ahead log and tables of a new file; other processes may do the same."""
    ends = time.monotonic() + _LOCK_SECONDS
    # SQLite does not wait for a lock in this step.
    while not _done(connection, "PRAGMA journal_mode = WAL"):
        if time.monotonic() > ends:
            raise TimeoutError
        time.sleep(_TRY_SECONDS)
    connection.execute("PRAGMA synchronous = NORMAL")
    if connection.execute("PRAGMA user_version").fetchone() == (0,):
        connection.executescript(_SCHEMA)


def _done(on: sqlite3.Connection | sqlite3.Cursor, statement: str) -> bool:
    """Run a statement; False if another process holds the lock."""
    try:
        on.execute(statement)
    except sqlite3.OperationalError as error:
        if not is_locked(error):
            raise
        return False
    return True


_KEY = "id, account, digest, label, created_at, expires_at, revoked_at"

_KEYS_OF = f"SELECT {_KEY} FROM key WHERE account = ?"  # noqa: S608

_ADD_KEY = f"INSERT INTO key ({_KEY}) VALUES (?,?,?,?,?,?,?)"  # noqa: S608

_FIND = (
    f"SELECT {', '.join(f'key.{name}' for name in _KEY.split(', '))}, account.*"  # noqa: S608
    " FROM key JOIN account ON account.name = key.account WHERE key.id = ?"
)


def _account(row: Sequence[Any]) -> Account:
    name, tier, suspended, created_at = row
    return Account(name, tier, bool(suspended), created_at)
