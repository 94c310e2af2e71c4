"""The used rate limits of each exchange, shared by all machines in a Redis.

An account is one hash: the account's text, and when each machine was last seen. It is changed in a
transaction (WATCH, MULTI, EXEC) that is repeated if another machine was faster, and with the time
of that Redis (TIME), because machines' clocks differ. This happens in a separate thread, once per
lease, so that a slow network does not block the event loop.

While a machine cannot reach Redis, it does not know the requests of the others. So all machines
without Redis share the tenth of each window that `SHARE` leaves unused. Each takes its part, by the
number of machines last seen, and counts it in its own file. Together they keep to the exchange's
window, whichever machines are cut off, but calls are slow until Redis is back, which is noticed
within two seconds. Requests that cost more than a machine's part are sent one at a time. If an
exchange requires a minimum interval between requests, there is no unused part: then requests are a
tenth too fast while only some machines are cut off. A pause that an exchange asked for holds in
both cases.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from marketdata._requests.rate_ledger import (
    GIVE_UP,
    SHARE,
    Account,
    Ledger,
    LedgerBusyError,
    a_moment,
)
from marketdata._requests.redis import PREFIX, RedisAwayError, shared
from marketdata.machine import private_folder

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

T = TypeVar("T")
Step = Callable[[Account, float], T]

_TRIES = 20
"""How often a transaction is repeated before a short wait."""

_KEPT = 24 * 3600
"""Seconds after which the account of an unused exchange is dropped."""

_PRESENT = 3600.0
"""Seconds for which a machine counts after it was last seen."""

_OFTEN = 60.0
"""Seconds after which an idle machine reports that it is there."""

_UNKNOWN = 10
"""Assumed number of machines as long as Redis was never reached."""

_ACCOUNT = b"account"


class SharedLedger(Ledger):
    """The accounts in a Redis, and in a file while that cannot be reached."""

    def __init__(self, file: Path, url: str) -> None:
        super().__init__(file)
        self._redis = shared(url)
        self._folder = file.parent
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="marketdata redis")
        """One thread, so that earlier writes are done before a read."""
        self._ahead = time.time() - time.monotonic()
        """The difference between Redis's clock and this process's clock."""
        self._machines = _UNKNOWN
        self._seen: dict[str, str] = {}
        """The last known accounts in Redis, which may have lost them since."""
        self._blocks: dict[str, tuple[float, float]] = {}
        """Pauses of exchanges: start and seconds."""

    def clock(self) -> float:
        """Return the time of Redis, which can be late by the request's duration but never early."""
        return time.monotonic() + self._ahead

    async def ask(self, source: str, step: Step[T], clock: Callable[[], float]) -> T:
        """Apply a change to an account, in Redis if it can be reached."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + GIVE_UP
        with contextlib.suppress(RedisAwayError):
            while not self._redis.is_away() and loop.time() < ends:
                with contextlib.suppress(LedgerBusyError):
                    return await self._redis.ask(self._change(source, step), self._worker)
                await a_moment()
        return await super().ask(source, self._apart(source, step), clock)

    def tell(
        self, source: str, step: Step[T], clock: Callable[[], float], patience: float = 0.0
    ) -> T | None:
        """Run a step on an account soon, before all later requests."""

        def told() -> None:
            with contextlib.suppress(LedgerBusyError):
                try:
                    self._redis.run(self._change(source, step))
                except RedisAwayError:
                    self.change(source, self._apart(source, step), clock, GIVE_UP)

        if self._redis.is_away():
            return super().tell(source, self._apart(source, step), clock, patience)
        self._worker.submit(told)
        return None

    def block(self, source: str, seconds: float, clock: Callable[[], float]) -> None:
        """Let all machines pause for a time that the exchange has requested."""
        now, account = clock(), Account(blocked=self._blocks.get(source, (0.0, 0.0)))
        account.settle(now)
        account.block(now, seconds)
        self._blocks[source] = account.blocked
        super().block(source, seconds, clock)

    def _change(self, source: str, step: Step[T]) -> Callable[[Redis], T]:
        """Return a function that applies a change to the account in Redis.

        It raises `LedgerBusyError` if others are faster each time.
        """
        key = f"{PREFIX}budget:{source}"
        known = self._known(source, step)

        def change(client: Redis) -> T:
            from redis import WatchError

            for _ in range(_TRIES):
                with client.pipeline() as pipe, contextlib.suppress(WatchError):
                    return self._change_watched(pipe, key, source, known)
            raise LedgerBusyError

        return change

    def _change_watched(self, pipe: Pipeline, key: str, source: str, step: Step[T]) -> T:
        pipe.watch(key)  # type: ignore[no-untyped-call]
        kept = _fields(pipe, key)
        asked = time.monotonic()
        seconds, micros = pipe.time()  # it answers at once while it watches
        now = seconds + micros / 1e6
        self._ahead = now - asked

        text = kept.get(_ACCOUNT, b"").decode(errors="replace")
        account = Account.parse(text or self._seen.get(source, ""))
        account.settle(now)
        given = step(account, now)
        changed = account.text()

        name = self._name
        seen = {field: _moment(at) for field, at in kept.items() if field != _ACCOUNT}
        gone = [field for field, at in seen.items() if not abs(now - at) < _PRESENT]
        if changed != text or gone or not abs(now - seen.get(name, -math.inf)) < _OFTEN:
            pipe.multi()
            if not kept:
                pipe.delete(key)  # another type can be stored under this name
            elif gone:
                pipe.hdel(key, *gone)
            pipe.hset(key, mapping={_ACCOUNT: changed, name: now})
            pipe.expire(key, _KEPT)
            pipe.execute()
        self._seen[source] = changed
        self._machines = len({*seen, name}) - len({*gone} - {name})
        return given

    def _known(self, source: str, step: Step[T]) -> Step[T]:
        """Have a step see that the exchange is left alone, wherever it was found out."""

        def known(account: Account, now: float) -> T:
            noted = self._blocks.get(source, (0.0, 0.0))
            since, seconds = min(noted[0], now), noted[1]
            if since + seconds > sum(account.blocked):
                account.blocked = (since, seconds)
            given = step(account, now)
            if self._blocks.get(source, noted) is noted:  # nothing new meanwhile
                self._blocks[source] = account.blocked
            return given

        return known

    def _apart(self, source: str, step: Step[T]) -> Step[T]:
        """Limit a change to this machine's part while Redis cannot be reached."""
        known, parts = self._known(source, step), self._machines / (1 - SHARE)

        def apart(account: Account, now: float) -> T:
            account.parts = parts
            return known(account, now)

        return apart

    @functools.cached_property
    def _name(self) -> bytes:
        """The name of this machine, or of a container, among all."""
        host = socket.gethostname()
        try:
            private_folder(self._folder)
            found = self._folder.stat()
        except OSError:  # the process keeps accounts for itself
            return f"{host} {os.getpid()}".encode()
        return f"{host} {found.st_dev} {found.st_ino}".encode()


def _fields(pipe: Pipeline, key: str) -> dict[bytes, bytes]:
    """Read a hash; an empty one if the key holds something else."""
    from redis import ResponseError

    try:
        return cast(dict[bytes, bytes], pipe.hgetall(key))
    except ResponseError:
        if pipe.type(key) == b"hash":
            raise
    return {}


def _moment(written: bytes) -> float:
    try:
        return float(written)
    except ValueError:
        return math.nan


@functools.cache
def shared_ledger(file: Path, url: str) -> SharedLedger:
    """Return the ledger at a URL, one for the whole process."""
    return SharedLedger(file, url)


if hasattr(os, "register_at_fork"):
    # The thread that asks is not there in a child.
    os.register_at_fork(after_in_child=shared_ledger.cache_clear)
