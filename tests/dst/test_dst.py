"""What must never be wrong, in a thousand worlds: the quota counters and the request budget."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from marketdata._requests.rate_ledger import Account, Answer
from marketdata._requests.rate_limit import Budget, Step
from marketdata_mcp.service.access.accounts import Bounds, Counted, Used, over
from marketdata_mcp.service.access.redis_store import RedisStore, _counters
from marketdata_mcp.service.access.sqlite_store import SqliteStore

from . import budget, quota
from .world import World, first_that_fails, run, try_all


def test_quota_counters_in_sqlite_are_linearizable(tmp_path: Path) -> None:
    try_all(quota.use(quota.in_sqlite(tmp_path)))


def test_quota_counters_in_redis_are_linearizable() -> None:
    try_all(quota.use(quota.in_redis()))


def test_no_exchange_is_asked_for_more_than_its_window_allows() -> None:
    try_all(budget.use())


@pytest.mark.parametrize("seed", [0, 17])
def test_one_seed_is_one_run(seed: int) -> None:
    def what_happened() -> list[Any]:
        seen: list[Any] = []

        async def work(world: World) -> None:
            await budget.use()(world)
            seen.append((world.now, world.random.random()))

        run(seed, work)
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


PLANTED: dict[str, Callable[[Path], Any]] = {
    "a commit without its transaction": lambda folder: quota.use(
        quota.in_sqlite(folder, WithoutTransaction)
    ),
    "a counter that is read and then written": lambda _: quota.use(quota.in_redis(ReadThenWritten)),
    "a lease counted twice": lambda _: budget.use(GivenBackTwice),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(tmp_path: Path, fault: str) -> None:
    found = first_that_fails(PLANTED[fault](tmp_path), range(1000))
    assert found is not None
    print(f"{fault}: found after {found} seeds")
