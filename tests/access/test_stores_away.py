"""Unreachable stores: no call is admitted, nothing is lost, and they recover by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from access_doors import finish
from access_places import ALICE, FREE, FRIDAY, Place, a_key
from redis_server import RedisServer

from marketdata_mcp.service.access import sqlite_store
from marketdata_mcp.service.access.accounts import Account, AwayError, Store, Used
from marketdata_mcp.service.access.redis_store import RedisStore
from marketdata_mcp.service.access.sqlite_store import SqliteStore


async def everything(store: Store) -> list[Any]:
    """Return what became of a call of each method."""
    return await asyncio.gather(
        store.add_account(ALICE),
        store.change_account("alice", tier="hero"),
        store.account("alice"),
        store.accounts(),
        store.add_key(a_key("k"), None),
        store.keys(),
        store.keys("alice"),
        store.end_key("k", 1.0),
        store.find("k"),
        store.count("alice", FRIDAY, 1, FREE),
        store.give_back("alice", FRIDAY, 1),
        store.used("alice", FRIDAY),
        store.check(),
        return_exceptions=True,
    )


def all_away(outcomes: list[Any]) -> bool:
    """Return whether nobody got an answer, and everybody hears when to come back."""
    assert all(type(one) is AwayError for one in outcomes), outcomes
    return all(one.retryable and one.retry_after == 1.0 for one in outcomes)


def all_well(outcomes: list[Any]) -> bool:
    return not any(isinstance(one, BaseException) for one in outcomes)


async def is_back(store: Store) -> None:
    """Wait until a store can be used; a busy machine may take a moment to go on."""
    while True:
        with contextlib.suppress(AwayError):
            return await store.check()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["stop", "kill", "halt"])
def test_redis_goes_away_and_comes_back(redis_server: RedisServer, how: str) -> None:
    back = "go_on" if how == "halt" else "start"

    async def work() -> None:
        store = RedisStore(redis_server.url)
        for n in range(3):
            await store.count("counted", FRIDAY, n, FREE)
        assert all_well(await everything(store))
        await asyncio.to_thread(getattr(redis_server, how))
        assert all_away(await everything(store))
        assert all_away(await everything(store))
        await asyncio.to_thread(getattr(redis_server, back))
        await is_back(store)
        # For all at once: no connection of the time before is in the way.
        assert all_well(await everything(store))
        assert await store.used("counted", FRIDAY) == (3, 3)
        await asyncio.gather(*(store.used("counted", FRIDAY) for _ in range(50)))
        await store.close()

    finish(work())


def test_redis_is_not_there_yet(redis_server: RedisServer) -> None:
    redis_server.stop()

    async def work() -> None:
        store = RedisStore(redis_server.url)
        assert all_away(await everything(store))
        await asyncio.to_thread(redis_server.start)
        await is_back(store)
        assert all_well(await everything(store))
        await store.close()

    finish(work())


def test_redis_that_is_full_or_wants_a_password() -> None:
    async def work(url: str) -> list[Any]:
        store = RedisStore(url)
        outcomes = await asyncio.gather(
            store.check(),
            store.count("a", FRIDAY, 1, FREE),
            store.add_account(ALICE),
            return_exceptions=True,
        )
        await store.close()
        return outcomes

    with RedisServer("--maxmemory", "1") as full:
        assert all_away(finish(work(full.url)))
    with RedisServer(password="pass word") as locked:
        assert all_well(finish(work(locked.url)))
        assert all_away(finish(work(f"redis://127.0.0.1:{locked.port}/0")))
        assert all_away(finish(work(f"redis://:wrong@127.0.0.1:{locked.port}/0")))


def test_more_calls_at_once_than_connections(redis: RedisServer) -> None:
    async def work() -> None:
        store = RedisStore(redis.url)
        counted = await asyncio.gather(*(store.count("busy", FRIDAY, 1, FREE) for _ in range(400)))
        assert sorted(one.used.week for one in counted) == list(range(1, 401))
        await store.close()
        with redis.client() as client:
            assert len(client.client_list()) <= 65

    with redis.client() as client:
        client.flushall()
    finish(work())


@pytest.mark.parametrize("contents", [b"this is no database" * 99, b"SQLite format 3\0" * 99])
def test_a_damaged_file_lets_nobody_in_and_is_kept(tmp_path: Path, contents: bytes) -> None:
    file = tmp_path / "access.sqlite"
    file.write_bytes(contents)
    good = Place("sqlite", str(tmp_path / "good.sqlite"))
    good.use(lambda store: store.add_account(ALICE))

    async def work() -> None:
        store = SqliteStore(file)
        assert all_away(await everything(store))
        assert file.read_bytes() == contents
        (tmp_path / "good.sqlite").rename(file)
        assert await store.account("alice") == ALICE
        await store.close()

    finish(work())


def test_a_file_that_was_replaced_counts_from_the_next_call_on(tmp_path: Path) -> None:
    place = Place("sqlite", str(tmp_path / "access.sqlite"))
    other = Place("sqlite", str(tmp_path / "backup.sqlite"))
    other.use(lambda store: store.add_account(Account("alice", "hero", suspended=True)))

    async def work(store: Store) -> None:
        await store.add_account(ALICE)
        for end in ("", "-wal", "-shm"):
            (tmp_path / f"access.sqlite{end}").unlink(missing_ok=True)
        assert all_away(await everything(store))
        (tmp_path / "backup.sqlite").rename(place.address)
        assert (await store.account("alice")) == Account("alice", "hero", suspended=True)

    place.use(work)


def test_a_file_that_cannot_be_written_or_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for wrong in (tmp_path / "file" / "access.sqlite", tmp_path / "folder"):
        assert all_away(finish(everything(SqliteStore(wrong))))
    made = Place("sqlite", str(tmp_path / "a" / "b" / "access.sqlite"))
    assert all_well(made.use(everything))
    assert (Path(made.address).stat().st_mode & 0o777) == 0o600


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Be somebody to whom files can be read-only, where the tests are run by root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_is_read_only() -> None:
    # Not below pytest's folder, into which nobody else may look.
    with tempfile.TemporaryDirectory() as folder:
        place = Place("sqlite", f"{folder}/access.sqlite")
        place.use(lambda store: store.add_account(ALICE))
        Path(place.address).chmod(0o444)
        Path(folder).chmod(0o555)
        with as_nobody():
            assert all_away(place.use(everything))
        Path(folder).chmod(0o755)
        Path(place.address).chmod(0o644)
        assert place.use(lambda store: store.accounts()) == [ALICE]


def test_somebody_elses_transaction_is_waited_for(tmp_path: Path) -> None:
    place = Place("sqlite", str(tmp_path / "access.sqlite"))

    async def work(store: Store) -> None:
        await store.add_account(ALICE)
        other = sqlite3.connect(place.address, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.gather(*(store.count("alice", FRIDAY, 1, FREE) for _ in range(20)))
        for _ in range(20):  # meanwhile all else goes on
            await asyncio.sleep(0)
            assert await store.account("alice") == ALICE
        assert not waiting.done()
        other.execute("COMMIT")
        other.close()
        assert sorted(one.used.week for one in await waiting) == list(range(1, 21))

    place.use(work)


def test_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_store, "_LOCK_SECONDS", 0.1)
    place = Place("sqlite", str(tmp_path / "access.sqlite"))

    async def work(store: Store) -> None:
        await store.add_account(ALICE)
        other = sqlite3.connect(place.address, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        writing = [store.count("alice", FRIDAY, 1, FREE), store.check(), store.add_account(ALICE)]
        assert all_away(await asyncio.gather(*writing, return_exceptions=True))
        other.close()
        assert (await store.count("alice", FRIDAY, 1, FREE)) == (None, Used(1, 1))

    place.use(work)


def test_one_who_gives_up_waiting_counts_nothing_and_holds_up_nobody(tmp_path: Path) -> None:
    place = Place("sqlite", str(tmp_path / "access.sqlite"))

    async def work(store: Store) -> None:
        await store.add_account(ALICE)
        other = sqlite3.connect(place.address, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        tasks = [asyncio.create_task(store.count("alice", FRIDAY, 1, FREE)) for _ in range(3)]
        await asyncio.sleep(0.05)
        for task in tasks[:2]:
            task.cancel()
        other.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in outcomes[:2]] == [asyncio.CancelledError] * 2
        assert outcomes[2] == (None, Used(1, 1))
        assert (await store.count("alice", FRIDAY, 1, FREE)) == (None, Used(2, 2))

    place.use(work)
