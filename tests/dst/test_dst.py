"""What must never be wrong, in a thousand worlds: quota counters, request budget, candle store."""

import functools
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis.utils
from history.series import bars
from inside.requests import Account, Answer, Budget, Step
from inside.store import SeriesTable

from marketdata_mcp.service.access.accounts import Bounds, Counted, Used, over
from marketdata_mcp.service.access.redis_store import RedisStore, _counters
from marketdata_mcp.service.access.sqlite_store import SqliteStore

from . import budget, quota, store
from .world import World, first_that_fails, run, try_all


@pytest.fixture(autouse=True, scope="module")
def _version_of_redis_read_once() -> Iterator[None]:
    """Keep redis-py from looking up its version on the disk for each of thousands of clients."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis.utils, "get_lib_version", functools.cache(redis.utils.get_lib_version))
        yield


def in_world(work: Callable[[World], Awaitable[None]]) -> Callable[[int, float], None]:
    return partial(run, work=work)


def test_quota_counters_in_sqlite_are_linearizable(tmp_path: Path) -> None:
    try_all(in_world(quota.use(quota.in_sqlite(tmp_path))))


def test_quota_counters_in_redis_are_linearizable() -> None:
    try_all(in_world(quota.use(quota.in_redis())))


def test_no_exchange_is_asked_for_more_than_its_window_allows() -> None:
    try_all(in_world(budget.use()))


def test_stored_candles_are_kept_and_stored_once() -> None:
    try_all(store.use)


def test_the_virtual_log_takes_what_delta_lake_takes(tmp_path: Path) -> None:
    def happens(one: SeriesTable, other: SeriesTable, transaction: bool) -> list[bool]:
        def write(table: SeriesTable, first: int) -> list[store.File]:
            return [table.data.write(bars(first, first + 5))]

        if not transaction:
            for table in (one, other):
                table._transaction = lambda: None  # type: ignore[method-assign]
        one._make_sure()
        for table in (one, other):
            table.refresh()
        told = [one._commit(write(one, 0), []), other._commit(write(other, 10), [])]
        for table in (one, other):
            table.refresh()
        gone = one.files()[:1]
        told += [one._commit([], gone), other._commit([], gone)]
        assert one.refresh()
        return [*told, *(bool(file) for file in one.files())]

    for transaction in (True, False):
        scheduler = store.Scheduler(0, 0)
        disk = store.Disk(scheduler, is_faulty=False)
        url = str(tmp_path / str(transaction))
        real = [SeriesTable(url, "1m") for _ in range(2)]
        virtual = [
            SeriesTable(store.NOWHERE, "1m", store.VirtualDelta(disk), store.VirtualFiles(disk))
            for _ in range(2)
        ]
        assert happens(*real, transaction) == happens(*virtual, transaction)


@pytest.mark.parametrize("seed", [0, 17])
def test_one_seed_is_one_run(seed: int) -> None:
    def what_happened() -> list[Any]:
        seen: list[Any] = []

        async def work(world: World) -> None:
            await budget.use()(world)
            seen.append((world.now, world.random.random()))

        run(seed, math.inf, work)
        seen.append(store.use(seed, math.inf))
        return seen

    assert what_happened() == what_happened()


# ---------------------------------------------------------------------- faults that are found


class WithoutTransaction(SqliteStore):
    """Commits each statement by itself."""

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Callable[..., Any]]:
        with self._open() as connection:
            yield connection.execute


class ReadThenWritten(RedisStore):
    """Reads a counter, and then writes it."""

    async def count(self, account: str, at: float, units: int, bounds: Bounds) -> Counted:
        used = await self.used(account, at)
        refused = over(used, units, bounds)
        if refused is not None:
            return Counted(refused, used)
        minute, week = _counters(account, at)
        async with self._reached():
            await self._batches.ask("SET", minute, used.minute + 1)
            await self._batches.ask("SET", week, used.week + units)
        return Counted(None, Used(used.minute + 1, used.week + units))


class GivenBackTwice(Budget):
    """Takes back twice what is left of a lease, and so forgets what was spent."""

    def _next_lease(self, cost: float, patient: bool) -> Step[Answer]:
        since, left, step = self._since, self._left, super()._next_lease(cost, patient)

        def twice(account: Account, now: float) -> Answer:
            account.give_back(since, left)
            return step(account, now)

        return twice


class Unnumbered(SeriesTable):
    """Commits without the transaction that makes any two commits a conflict."""

    def _transaction(self) -> None:
        return None


class Sleeper(SeriesTable):
    """Commits files however long ago it wrote them, and deletes files by an old log."""

    def _is_too_late(self, began: float) -> bool:
        return False


PLANTED: dict[str, Callable[[Path], Callable[[int, float], object]]] = {
    "a commit of units without its transaction": lambda folder: in_world(
        quota.use(quota.in_sqlite(folder, WithoutTransaction))
    ),
    "a commit of candles without its transaction": lambda _: partial(store.use, kind=Unnumbered),
    "a commit of files that were swept meanwhile": lambda _: partial(store.use, kind=Sleeper),
    "a counter that is read and then written": lambda _: in_world(
        quota.use(quota.in_redis(ReadThenWritten))
    ),
    "a lease counted twice": lambda _: in_world(budget.use(GivenBackTwice)),
}


def test_a_failure_tells_its_seed_and_how_few_faults_it_takes() -> None:
    with pytest.raises(AssertionError) as failed:
        try_all(partial(store.use, kind=Unnumbered))
    [told] = failed.value.__notes__
    assert re.fullmatch(r"seed \d+, which fails with the first \d+ of what happens", told)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(tmp_path: Path, fault: str) -> None:
    found = first_that_fails(PLANTED[fault](tmp_path), range(1000))
    assert found is not None
    print(f"{fault}: found after {found} seeds")
