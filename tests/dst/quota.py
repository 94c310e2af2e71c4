"""The quota counters in a virtual world: their boundary, those who use them, what has to hold."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

from redis.exceptions import ConnectionError as RedisConnectionError

from marketdata_mcp.service.access.accounts import (
    MINUTE,
    WEEK,
    AwayError,
    Bounds,
    Counted,
    Store,
    Used,
    minute_of,
    week_of,
)
from marketdata_mcp.service.access.redis_batch import Batches
from marketdata_mcp.service.access.redis_store import _COUNT, _GIVE_BACK, RedisStore
from marketdata_mcp.service.access.sqlite_store import SqliteStore

from .linearizable import Operation, is_linearizable
from .world import World

Open: TypeAlias = Callable[[], Store]

BOUNDS = Bounds(calls_a_minute=12, weekly_units=30)
BASE = 1_000_000.0 * MINUTE + 7
STEPS = (0.0, 0.0, 0.0, MINUTE, -MINUTE, WEEK, -WEEK)
"""Where the clock of a process may be."""


# ---------------------------------------------------------------------- SQLite


def _failed(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("injected")
    error.sqlite_errorcode = code
    return error


class VirtualFile:
    """A file on a disk that fails now and then: writes, commits, and commits that went well."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._real = sqlite3.connect(":memory:", isolation_level=None)

    def connect(self, *_: Any, **__: Any) -> Any:
        return self

    def cursor(self) -> Any:
        return self

    @property
    def connection(self) -> Any:
        return self

    def close(self) -> None:
        if self._real.in_transaction:
            self._real.execute("ROLLBACK")

    @property
    def in_transaction(self) -> bool:
        return self._real.in_transaction

    def executescript(self, text: str) -> Any:
        return self._real.executescript(text)

    def execute(self, text: str, values: Any = ()) -> Any:
        happens = self._world.happens
        if text.startswith("BEGIN") and happens(0.1):
            raise _failed(sqlite3.SQLITE_BUSY)
        if text.startswith("INSERT") and happens(0.05):
            raise _failed(sqlite3.SQLITE_FULL)
        if text == "COMMIT" and happens(0.05):
            self._real.execute("ROLLBACK")
            raise _failed(sqlite3.SQLITE_IOERR)
        found = self._real.execute(text, values)
        if text == "COMMIT" and happens(0.05):
            raise _failed(sqlite3.SQLITE_IOERR)
        return found


def in_sqlite(
    folder: Path, kind: type[SqliteStore] = SqliteStore
) -> Callable[[World], tuple[Open, Callable[[], None]]]:
    def make(world: World) -> tuple[Open, Callable[[], None]]:
        file = VirtualFile(world)
        return lambda: kind(folder / "access.sqlite", file.connect), file._real.close

    return make


# ---------------------------------------------------------------------- Redis


class VirtualRedis:
    """A Redis that is far away: what it is sent is lost, late, or done and never answered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.data: dict[str, int] = {}
        self.late: set[asyncio.Task[Any]] = set()

    def make_connection(self) -> _Connection:
        return _Connection(self)

    async def ensure_connection(self, connection: _Connection) -> None:
        pass

    def apply(self, command: tuple[Any, ...]) -> Any:
        """Do one command, alone."""
        match command:
            case ("EVAL", script, 2, minute, week, units, calls, quota, _, _) if script == _COUNT:
                used = self.data.get(minute, 0), self.data.get(week, 0)
                if units > 0 and quota >= 0 and used[1] + units > quota:
                    return [2, *used]
                if calls >= 0 and used[0] >= calls:
                    return [1, *used]
                self.data[minute], self.data[week] = used[0] + 1, used[1] + units
                return [0, used[0] + 1, used[1] + units]
            case ("EVAL", script, 1, week, units) if script == _GIVE_BACK:
                self.data[week] = max(0, self.data.get(week, 0) - units)
                return self.data[week]
            case ("MGET", *names):
                found = [self.data.get(str(name)) for name in names]
                return [None if one is None else str(one) for one in found]
            case ("SET", name, value):
                self.data[name] = value
                return "OK"
        raise AssertionError(command)


class _Connection:
    """One connection, whose answers come in the order in which they were asked for."""

    def __init__(self, redis: VirtualRedis) -> None:
        self._redis = redis
        self._answers: asyncio.Future[list[Any]]
        self._read = 0

    def pack_commands(self, commands: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return commands

    async def disconnect(self) -> None:
        pass

    async def send_packed_command(self, commands: list[tuple[Any, ...]]) -> None:
        world = self._redis.world
        if world.happens(0.05):
            raise RedisConnectionError("refused")
        # What is on its way is done, whether somebody still waits for it or not.
        self._read = 0
        self._answers = doing = asyncio.ensure_future(self._done(commands, world.happens(0.1)))
        self._redis.late.add(doing)
        doing.add_done_callback(self._redis.late.discard)

    async def read_response(self) -> Any:
        found = await asyncio.shield(self._answers)
        if not self._read and self._redis.world.happens(0.05):
            raise RedisConnectionError("lost on the way back")
        self._read += 1
        return found[self._read - 1]

    async def _done(self, commands: list[tuple[Any, ...]], is_halted: bool) -> list[Any]:
        world = self._redis.world
        await world.passes(5.0 if is_halted else 0.3)
        found = []
        for command in commands:
            found.append(self._redis.apply(command))
            await world.passes(0.01)  # others come in between
        return found


def in_redis(
    kind: type[RedisStore] = RedisStore,
) -> Callable[[World], tuple[Open, Callable[[], None]]]:
    def make(world: World) -> tuple[Open, Callable[[], None]]:
        redis: Any = VirtualRedis(world)
        return lambda: kind("redis://nowhere", Batches(redis, 1.0)), lambda: None

    return make


# ---------------------------------------------------------------------- what is done


def use(
    make: Callable[[World], tuple[Open, Callable[[], None]]],
) -> Callable[[World], Awaitable[None]]:
    """Have processes count calls of one account while things go wrong, and check their answers."""

    async def work(world: World) -> None:
        opened, close = make(world)
        history: list[Operation] = []
        clock = count()
        processes = [asyncio.create_task(_process(world, opened, history, clock)) for _ in range(3)]
        # One is killed, and another takes its place.
        if world.happens(0.5):
            await world.passes(2.0)
            processes[0].cancel()
            processes.append(asyncio.create_task(_process(world, opened, history, clock)))
        await asyncio.gather(*processes, return_exceptions=True)
        for one in processes:
            if not one.cancelled() and (error := one.exception()) is not None:
                raise error
        close()
        assert is_linearizable(history, frozenset(), _apply), history

    return work


async def _process(world: World, opened: Open, history: list[Operation], clock: count[int]) -> None:
    store = opened()
    at = BASE + world.random.choice(STEPS)
    callers = [asyncio.create_task(_caller(world, store, at, history, clock)) for _ in range(2)]
    try:
        await asyncio.gather(*callers)
    finally:
        for one in callers:
            one.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        await store.close()


async def _caller(
    world: World, store: Store, at: float, history: list[Operation], clock: count[int]
) -> None:
    counted = 0
    for _ in range(world.random.randint(2, 4)):
        await world.passes(1.0)
        if counted and world.happens(0.3):
            await _noted(history, clock, "give_back", (at, counted), store.give_back)
            counted = 0
        elif world.happens(0.2):
            await _noted(history, clock, "used", (at,), store.used)
        else:
            units = world.random.randint(0, 6)
            found = await _noted(history, clock, "count", (at, units, BOUNDS), store.count)
            if found is not None and found.over is None:
                counted = units


async def _noted(
    history: list[Operation],
    clock: count[int],
    name: str,
    given: tuple[Any, ...],
    work: Callable[..., Awaitable[Any]],
) -> Any:
    """Do something, and note when it was asked for, answered, and what came of it."""
    called, answer, answered = next(clock), None, None
    try:
        answer = await work("alice", *given)
        answered = next(clock)
    except AwayError:
        pass
    finally:
        history.append(Operation(name, given, answer, called, answered))
    return answer


# ---------------------------------------------------------------------- what has to hold


def _apply(state: Any, one: Operation) -> tuple[Any, Any]:
    """Count as docs/access.md says, alone and without a fault."""
    had = dict(state)
    at = one.given[0]
    minute, week = ("minute", minute_of(at)), ("week", week_of(at))
    used = Used(had.get(minute, 0), had.get(week, 0))
    match one.name:
        case "used":
            return state, used
        case "give_back":
            had[week] = max(0, used.week - one.given[1])
            return frozenset(had.items()), None
    units, bounds = one.given[1:]
    if units and used.week + units > bounds.weekly_units:
        return state, Counted("week", used)
    if used.minute >= bounds.calls_a_minute:
        return state, Counted("minute", used)
    had[minute], had[week] = used.minute + 1, used.week + units
    return frozenset(had.items()), Counted(None, Used(had[minute], had[week]))
