"""The used rate limits of each exchange, shared by all processes of a machine in a SQLite file.

With MARKETDATA_REDIS, `_requests.rate_ledger_redis` does this for all machines; this file is used
while Redis cannot be reached.

A row is an exchange's account, a text of a few kilobytes. A change holds the file's lock for a
fraction of a millisecond. If the process is killed meanwhile, the account is unchanged. If the file
cannot be used, the process keeps its own accounts in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import math
import os
import random
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

from marketdata.machine import discard, is_damage, is_locked, is_passing, private_folder

T = TypeVar("T")

SHARE = 0.9
"""Maximum used share of a window: other programs may use the same address."""

PATIENT_SHARE = 0.8
"""Maximum share for long downloads and leases; the rest is for other calls."""

AHEAD = 1.0
"""Maximum seconds to reserve a turn in advance; if the process dies, the turn is lost."""

GIVE_UP = 2.0
"""Seconds after which a locked ledger is no longer waited for."""

APART = 10.0
"""Seconds before an unusable file is tried again."""

LONGEST_BLOCK = 3600.0
"""Maximum seconds of a pause that an exchange asks for."""

SOON = 0.001
"""Minimum seconds before the next try."""

_KEPT = 24 * 3600.0
"""Seconds after which the account of an unused exchange is deleted."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
    source TEXT PRIMARY KEY, changed_at REAL NOT NULL, account TEXT NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Limit:
    """The rate limit of an exchange, in ccxt's units of cost."""

    seconds_per_unit: float
    window: float | None = None
    """Seconds of the time window in which the exchange counts requests; None: it requires a minimum
    interval between requests."""

    @property
    def units(self) -> float:
        """The units of a window."""
        return (self.window or 0.0) / self.seconds_per_unit

    def part(self, parts: float) -> Limit:
        """Return one of several equal parts of it."""
        return self if parts == 1 else Limit(self.seconds_per_unit * parts, self.window)

    @property
    def lease(self) -> float:
        """Seconds for which a lease is valid."""
        return min(1.0, (self.window or 0.0) / 60)


class Answer(NamedTuple):
    """The answer of an account to a request for units."""

    units: float | None
    """Granted units; None: wait first."""
    wait: float = 0.0
    """Seconds until the units may be spent or, if none were granted, requested again."""
    since: float = -math.inf
    """Start of the granted lease."""
    used: float = 0.0
    """Used units of the window, including the granted ones."""


@dataclass
class Account:
    """The requests to one exchange; times are seconds of a clock that all processes share.

    On one machine this is CLOCK_MONOTONIC, which counts from the start of the machine; with Redis
    it is the clock of that server. A time in the future is from before a restart or before the
    clock was set back, and counts as now: so no request is forgotten, and no pause gets longer.
    """

    granted: dict[float, float] = field(default_factory=dict)
    """Leases: units by start time."""
    reserved: tuple[float, float] = (0.0, 0.0)
    """The last reserved turn, and the seconds after it that are taken."""
    blocked: tuple[float, float] = (0.0, 0.0)
    """When the exchange asked for a pause, and its seconds."""
    parts: float = 1
    """The number of parts into which the limit is divided among separate accounts."""

    @classmethod
    def parse(cls, text: str) -> Account:
        """Parse the result of `text`; an empty account if it is damaged."""
        with contextlib.suppress(ArithmeticError, LookupError, TypeError, ValueError):
            raw = json.loads(text)
            granted, reserved, blocked = (
                [(float(at), float(much)) for at, much in raw[name]]
                for name in ("granted", "reserved", "blocked")
            )
            numbers = [number for pair in granted + reserved + blocked for number in pair]
            if all(map(math.isfinite, numbers)):
                return cls(dict(granted), reserved[0], blocked[0])
        return cls()

    def text(self) -> str:
        """Return the account as text."""
        return json.dumps(
            {
                "granted": list(self.granted.items()),
                "reserved": [self.reserved],
                "blocked": [self.blocked],
            }
        )

    def settle(self, now: float) -> None:
        """Move times in the future to now."""
        leases, self.granted = self.granted, {}
        for at, units in leases.items():
            self._add(min(at, now), units)
        self.reserved = (min(self.reserved[0], now + AHEAD), self.reserved[1])
        self.blocked = (min(self.blocked[0], now), self.blocked[1])

    def block(self, now: float, seconds: float) -> None:
        """Send the exchange no requests for a time, at most `LONGEST_BLOCK`."""
        seconds = min(seconds, LONGEST_BLOCK)
        if now + seconds > sum(self.blocked):
            self.blocked = (now, seconds)

    def reserve(self, now: float, limit: Limit, cost: float, longest: float) -> Answer:
        """Reserve the next turn, unless it comes later than ``longest``."""
        limit = limit.part(self.parts)
        # As in ccxt's limiter, one unused unit can be spent later.
        turn = max(sum(self.reserved), sum(self.blocked), now - limit.seconds_per_unit)
        wait = max(0.0, turn - now)
        if wait > min(longest, AHEAD):
            return Answer(None, wait)
        self.reserved = (turn, cost * limit.seconds_per_unit)
        return Answer(cost, wait)

    def grant(self, now: float, limit: Limit, cost: float, wanted: float, share: float) -> Answer:
        """Grant a lease of ``wanted`` units, or of ``cost`` if few units are left.

        It is valid until the end of the current slot of `Limit.lease` seconds.
        """
        limit = limit.part(self.parts)
        used = self._used(now, limit)
        blocked = sum(self.blocked) - now
        if blocked > 0:
            return Answer(None, blocked, used=used)
        room = share * limit.units - used
        # A request that costs more than the window is sent when the window is empty.
        if cost <= room or not self.granted:
            units = max(cost, min(wanted, PATIENT_SHARE * limit.units - used))
            since = _slot(now, limit)
            self._add(since, units)
            return Answer(units, since=since, used=used + units)
        ends = now
        for at, units in sorted(self.granted.items()):
            room, ends = room + units, at + self._counts(limit)
            if cost <= room:
                break
        # After rounding, the end can be now, and the clock may not have advanced yet.
        return Answer(None, max(SOON, ends - now), used=used)

    def give_back(self, at: float, units: float) -> None:
        """Return the unused units of a lease."""
        left = self.granted.pop(at, 0.0) - units
        if left > 0:
            self.granted[at] = left

    def correct(self, now: float, limit: Limit, units: float) -> float:
        """Count the exchange's number of used units, if it is higher than ours."""
        units /= self.parts
        used = self._used(now, limit)
        if units > used:
            self._add(_slot(now, limit), units - used)
        return max(used, units)

    def tell(self, other: Account, now: float) -> None:
        """Copy the state of this account to another one."""
        self.settle(now)
        for at, units in self.granted.items():
            other._add(at, units)
        other.reserved = max(other.reserved, self.reserved, key=sum)
        other.blocked = max(other.blocked, self.blocked, key=sum)

    def since(self, earlier: Account) -> Account:
        """Return the changes of this account since an earlier copy."""
        more = {at: units - earlier.granted.get(at, 0.0) for at, units in self.granted.items()}
        return replace(self, granted={at: units for at, units in more.items() if units > 0})

    def _counts(self, limit: Limit) -> float:
        # From its slot's start on, at whose end it may still be spent.
        return limit.lease + (limit.window or 0.0)

    def _used(self, now: float, limit: Limit) -> float:
        oldest = now - self._counts(limit)
        self.granted = {at: units for at, units in self.granted.items() if at > oldest}
        return sum(self.granted.values())

    def _add(self, at: float, units: float) -> None:
        self.granted[at] = self.granted.get(at, 0.0) + units


def _slot(now: float, limit: Limit) -> float:
    """Return the start of the slot in which a lease that is granted now holds."""
    return now // limit.lease * limit.lease


Step: TypeAlias = Callable[[Account, float], T]
Transact: TypeAlias = Callable[[Path, str, Step[Any], Callable[[], float], float], Any]


class LedgerBusyError(Exception):
    """Another process is changing an account at the moment."""


class Ledger:
    """The accounts in one file; problems with the file do not make requests fail."""

    def __init__(self, file: Path, transact: Transact | None = None) -> None:
        """`transact` applies a change to an account in the file, in a transaction."""
        self._file = file
        self._transact = transact or _in_file
        self._apart_since: float | None = None
        """Since when the file is not used, by the caller's clock."""
        self._accounts: dict[str, Account] = {}
        """The accounts in memory that replace the file meanwhile."""
        self._last: dict[str, Account] = {}
        """The accounts when the file was last usable."""
        self._untold: dict[str, list[Step[object]]] = {}
        """Changes that are still to be applied to the file, before any other."""
        self._lock = threading.Lock()

    def change(
        self,
        source: str,
        step: Callable[[Account, float], T],
        clock: Callable[[], float],
        patience: float = 0.0,
    ) -> T:
        """Run a step on an account, atomically among all processes; return its result.

        The step gets the account and the time. It can run twice, each time on the unchanged
        account. Raises `LedgerBusyError` if other processes lock the file for longer than
        ``patience`` seconds.
        """
        if self._is_apart(clock()):
            return self._change_apart(source, step, clock)
        untold = self._untold.pop(source, [])
        changed = Account()

        def all_steps(account: Account, now: float) -> T:
            nonlocal changed
            changed = account
            for one in untold:
                one(account, now)
            return step(account, now)

        for anew in (False, True):
            try:
                given: T = self._transact(self._file, source, all_steps, clock, patience)
                self._last[source] = changed
                return given
            except (sqlite3.Error, OSError) as error:
                if is_damage(error) and not anew:
                    discard(self._file)
                    continue
                if is_locked(error) or is_passing(error):
                    if untold:
                        self._untold[source] = [*untold, *self._untold.get(source, [])]
                    raise LedgerBusyError from None
                break
        self._turn_to_memory(clock())
        return self._change_apart(source, all_steps, clock)

    def _change_apart(self, source: str, step: Step[T], clock: Callable[[], float]) -> T:
        with self._lock:
            if source not in self._accounts:
                last = self._last.get(source, Account())
                self._accounts[source] = replace(last, granted=dict(last.granted))
            return _done(self._accounts[source], step, clock())

    def _is_apart(self, now: float) -> bool:
        """Return whether the file is not used; after a while it is tried again."""
        if self._apart_since is None:
            return False
        if 0 <= now - self._apart_since < APART:
            return True
        with self._lock:
            for source, account in self._accounts.items():
                new = account.since(self._last.get(source, Account()))
                self._untold.setdefault(source, []).append(new.tell)
            self._accounts.clear()
        self._apart_since = None
        return False

    async def ask(
        self, source: str, step: Callable[[Account, float], T], clock: Callable[[], float]
    ) -> T:
        """Do a step on an account, as soon as no other process is at the ledger."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + GIVE_UP
        while True:
            try:
                return self.change(source, step, clock)
            except LedgerBusyError:
                if loop.time() > ends:
                    self._turn_to_memory(clock())
            await a_moment()

    def tell(
        self,
        source: str,
        step: Callable[[Account, float], T],
        clock: Callable[[], float],
        patience: float = 0.0,
    ) -> T | None:
        """Run a step on an account; None if other processes lock the ledger for too long.

        In that case it runs before the next step.
        """
        try:
            return self.change(source, step, clock, patience)
        except LedgerBusyError:
            self._untold.setdefault(source, []).append(step)
            return None

    def block(self, source: str, seconds: float, clock: Callable[[], float]) -> None:
        """Let all processes pause for a time that the exchange has requested."""
        self.tell(source, partial(Account.block, seconds=seconds), clock, patience=0.25)

    def _turn_to_memory(self, now: float) -> None:
        """Keep accounts in this process's memory for a while."""
        self._apart_since = now


async def a_moment() -> None:
    """Wait a random time until other processes may have finished."""
    await asyncio.sleep(random.uniform(0.001, 0.01))  # noqa: S311 no secret


def _in_file(
    file: Path,
    source: str,
    step: Callable[[Account, float], T],
    clock: Callable[[], float],
    patience: float,
) -> T:
    private_folder(file.parent)
    # Opened for each use: a connection must not be carried over a fork, nor outlive the file.
    with contextlib.closing(
        sqlite3.connect(file, timeout=patience, isolation_level=None)
    ) as connection:
        # Data lost in a power failure are outdated when the machine is back.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_SCHEMA)
        row = connection.execute(
            "SELECT account FROM account WHERE source = ?", [source]
        ).fetchone()
        # Only whoever has the lock asks for the time, so that it does not run backwards.
        now = clock()
        account = Account() if row is None else Account.parse(row[0])
        given = _done(account, step, now)
        text = account.text()
        if row is None:
            connection.execute(
                "DELETE FROM account WHERE changed_at NOT BETWEEN ? AND ?",
                [now - _KEPT, now + _KEPT],
            )
        if row is None or text != row[0]:
            connection.execute("INSERT OR REPLACE INTO account VALUES (?,?,?)", [source, now, text])
        connection.execute("COMMIT")
        return given


def _done(account: Account, step: Callable[[Account, float], T], now: float) -> T:
    account.settle(now)
    return step(account, now)


@functools.cache
def ledger(file: Path) -> Ledger:
    """Return the ledger in a file, one for the whole process."""
    return Ledger(file)


if hasattr(os, "register_at_fork"):
    # A lock held by another thread of the parent would never be released in the child.
    os.register_at_fork(after_in_child=ledger.cache_clear)
