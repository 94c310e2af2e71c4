"""Clocks that jump, full disks, files that others can write, and damaged data."""

from __future__ import annotations

import asyncio
import inspect
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from access_doors import finish
from access_gate import WEDNESDAY, Serve
from access_places import ALICE, FREE, a_key
from full_disk import full_disk
from inside.requests import Budget
from redis_server import RedisServer

from marketdata import AsyncClient
from marketdata._requests.avoided import Avoided
from marketdata_mcp.service.access.accounts import (
    MINUTE,
    WEEK,
    AwayError,
    Counted,
    Used,
)
from marketdata_mcp.service.access.patience import within
from marketdata_mcp.service.access.redis_store import RedisStore
from marketdata_mcp.service.access.sqlite_store import SqliteStore
from marketdata_mcp.service.access.tiers import SHIPPED, Policy, Tier

_NOW = "import time; print(time.monotonic())"
LEAPS = (600 * 86_400, 30 * WEEK, WEEK, 3 * MINUTE, -3 * MINUTE, -WEEK, -600 * 86_400)


# ---------------------------------------------------------------------- time


@pytest.mark.parametrize("leap", LEAPS)
def test_units_are_still_used_once_a_clock_that_leapt_is_right_again(
    tmp_path: Path, redis: RedisServer, leap: float
) -> None:
    async def work() -> None:
        for store in (SqliteStore(tmp_path / "access.sqlite"), RedisStore(redis.url)):
            owner = f"leapt {leap}"
            await store.count(owner, WEDNESDAY, 7, FREE)
            for second in range(3):
                await store.count(owner, WEDNESDAY + leap + second * MINUTE, 1, FREE)
            assert await store.used(owner, WEDNESDAY) == Used(1, 7 + 3 * (abs(leap) == 3 * MINUTE))
            await store.close()

    finish(work())


def test_the_requests_of_a_machine_are_counted_by_a_clock_that_nobody_sets() -> None:
    # CLOCK_MONOTONIC is the same for all processes of a machine; docs.python.org says system-wide.
    assert inspect.signature(Budget).parameters["clock"].default is time.monotonic
    here = time.monotonic()
    there = float(subprocess.check_output([sys.executable, "-c", _NOW]))
    assert here <= there <= time.monotonic()


# ---------------------------------------------------------------------- reach


REACHES = [
    ("get_trades", {"start": "2024-01-01"}),
    ("get_trades", {"start": "-2d"}),
    ("get_trades", {"from_id": 1}),
    ("get_ticker", {"window": "7d"}),
    ("get_candles", {"start": "-2d"}),
]


@pytest.mark.parametrize(("tool", "asked"), REACHES)
def test_the_bound_of_history_holds_for_all_that_reaches_back(
    serve: Serve, tool: str, asked: dict[str, object]
) -> None:
    async def work(server) -> None:  # type: ignore[no-untyped-def]
        await server.newcomer("pioneer")
        reply = await server.call(tool, pair="BTC/USDT", exchange="binance", **asked)
        assert reply.code == "HISTORY_LIMIT_EXCEEDED"

    serve(work)


@pytest.mark.parametrize(
    ("tool", "asked"),
    [
        ("get_trades", {}),
        ("get_trades", {"start": "-1h"}),
        ("get_ticker", {"window": "1h"}),
        ("get_ticker", {"window": "24h"}),
    ],
)
def test_what_is_of_today_is_everybody_s(serve: Serve, tool: str, asked: dict[str, object]) -> None:
    async def work(server) -> None:  # type: ignore[no-untyped-def]
        await server.newcomer("pioneer")
        reply = await server.call(tool, pair="BTC/USDT", exchange="binance", **asked)
        assert reply.code == "OK"
        assert (await server.used()).week == 1

    serve(work)


def test_what_reaches_back_costs_as_candles_do(serve: Serve) -> None:
    tiers = {**SHIPPED, "desk": Tier(near_units=5, far_units=20)}

    async def work(server) -> None:  # type: ignore[no-untyped-def]
        await server.newcomer("desk")
        for number, (tool, asked, units) in enumerate(
            [
                ("get_ticker", {"window": "3d"}, 5),
                ("get_trades", {"start": "-2d"}, 5),
                ("get_trades", {"from_id": 1}, 20),
            ]
        ):
            before = (await server.used()).week
            reply = await server.call(tool, pair="BTC/USDT", exchange="binance", **asked)
            taken_back = reply.code in ("DATA_UNAVAILABLE", "EXCHANGE_UNAVAILABLE")
            assert (await server.used()).week - before == (0 if taken_back else units), number

    serve(work, policy=Policy(tiers=tiers))


# ---------------------------------------------------------------------- disks


def test_readiness_tells_of_a_disk_that_is_full(serve: Serve) -> None:
    async def work(server) -> None:  # type: ignore[no-untyped-def]
        await server.newcomer("hero")
        assert (await server.http.get("/readyz")).status_code == 200
        with full_disk():
            assert (await server.http.get("/readyz")).status_code == 503
            assert (await server.http.get("/healthz")).status_code == 200
            refused = await server.call("get_ticker", pair="BTC/USDT")
            assert (refused.code, refused.error["retryable"]) == ("INTERNAL_ERROR", True)
        assert (await server.http.get("/readyz")).status_code == 200
        assert (await server.call("get_ticker", pair="BTC/USDT")).code == "OK"

    serve(work)


def test_readiness_does_not_wait_for_whoever_holds_the_accounts(serve: Serve) -> None:
    async def work(server) -> None:  # type: ignore[no-untyped-def]
        await server.newcomer("hero")
        with server.store._open() as held:
            held.execute("SELECT 1")
        other = SqliteStore(server.store._file)
        with other._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            async with asyncio.timeout(2):
                assert (await server.http.get("/readyz")).status_code == 503
            connection.execute("ROLLBACK")
        await other.close()
        assert (await server.http.get("/readyz")).status_code == 200

    serve(work)


@pytest.mark.parametrize("how", ["garbage", "zeros", "cut"])
def test_accounts_that_are_damaged_while_they_are_used_let_nobody_in(
    tmp_path: Path, how: str
) -> None:
    file = tmp_path / "access.sqlite"

    async def work() -> None:
        store = SqliteStore(file)
        await store.add_account(ALICE)
        await store.add_key(a_key("known"), None)
        await store.count("alice", WEDNESDAY, 3, FREE)
        await store.close()  # all of it is in the file then
        copy = file.read_bytes()
        assert await store.find("known") is not None
        with file.open("r+b") as damaged:
            damaged.write(
                {"garbage": os.urandom(len(copy)), "zeros": bytes(len(copy))}.get(how, b"")
            )
            damaged.truncate(0 if how == "cut" else len(copy))
        # What the process still knows is right; what it has to read is refused, never made up.
        for _ in range(3):
            try:
                found = await store.find("known")
                counted = await store.count("alice", WEDNESDAY, 1, FREE)
            except AwayError:
                continue
            assert found is None or counted.used.week >= 4
        # A copy that is put in its place is used at once.
        again = file.with_name("copy")
        again.write_bytes(copy)
        for rest in ("-wal", "-shm"):
            file.with_name(file.name + rest).unlink(missing_ok=True)
        again.replace(file)
        assert await store.find("known") is not None
        assert (await store.used("alice", WEDNESDAY)).week == 3
        await store.close()

    finish(work())


# ---------------------------------------------------------------------- who may read and write


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


async def _accounts(home: Path) -> None:
    store = SqliteStore(home / "access.sqlite")
    await store.add_account(ALICE)
    async with AsyncClient(sim=True, home=home) as client:
        await client.ticker("BTC/USDT")
    await store.close()
    assert stat.S_IMODE((home / "access.sqlite").stat().st_mode) == 0o600
    assert [one.name for one in home.rglob("*") if one.stat().st_mode & 0o022] == []


async def _candles(home: Path) -> None:
    async with AsyncClient(sim=True, home=home) as client:
        await client.candles("BTC/USDT", start="2025-01-01", end="2025-01-01T00:10")
    assert (home / "candles").is_dir()


async def _failing(home: Path) -> None:
    Avoided(home / "failing").note("binance", 10)


@pytest.mark.parametrize("write", [_accounts, _candles, _failing])
@pytest.mark.parametrize("mask", [0, 0o022])
def test_whoever_makes_a_home_makes_it_for_its_user_alone_whatever_the_umask(
    write: Callable[[Path], Coroutine[Any, Any, None]], mask: int, tmp_path: Path
) -> None:
    home = tmp_path / "made" / "home"
    with _umask(mask):
        finish(write(home))
    for folder in (home, home.parent, *(one for one in home.iterdir() if one.is_dir())):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


# ---------------------------------------------------------------------- Redis


def test_a_broken_account_in_redis_is_an_error_of_ours(redis: RedisServer) -> None:
    async def work() -> None:
        store = RedisStore(redis.url)
        await store.add_account(ALICE)
        await store.add_key(a_key("broken"), None)
        with redis.client() as client:
            name = next(iter(client.scan_iter("*:account:alice")))
            client.hset(name, "created_at", "yesterday")
            with pytest.raises(AwayError):
                await store.find("broken")
            client.hdel(name, "tier", "created_at")
            with pytest.raises(AwayError):
                await store.find("broken")
            client.delete(name)
            client.set(name, "no hash at all")
            with pytest.raises(AwayError):
                await store.find("broken")
            client.delete(name)
        await store.close()

    finish(work())


def test_a_text_in_redis_that_is_none_fails_no_other_call(redis: RedisServer) -> None:
    async def work() -> None:
        store = RedisStore(redis.url)
        await store.add_account(ALICE)
        await store.add_key(a_key("garbled"), None)
        with redis.client() as client:
            name = next(iter(client.scan_iter("*:account:alice")))
            client.hset(name, "tier", b"\xff")
            found, counted = await asyncio.gather(
                store.find("garbled"), store.count("bob", WEDNESDAY, 1, FREE)
            )
            assert found is not None
            assert found[1].tier == "\N{REPLACEMENT CHARACTER}"
            assert counted.over is None
            client.delete(name)
        await store.close()

    finish(work())


def test_a_damaged_counter_fails_no_other_call(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore(tmp_path / "access.sqlite")
        await store.count("bob", WEDNESDAY, 1, FREE)
        await store.count("alice", WEDNESDAY, 1, FREE)
        with store._open() as connection:
            connection.execute("UPDATE used SET units = 'many' WHERE account = 'bob'")
        damaged, counted = await asyncio.gather(
            *(store.count(name, WEDNESDAY, 1, FREE) for name in ("bob", "alice")),
            return_exceptions=True,
        )
        assert isinstance(damaged, AwayError)
        assert counted == Counted(None, Used(2, 2))
        await store.close()

    finish(work())


def test_a_loop_that_is_busy_uses_up_no_time_of_redis(redis: RedisServer) -> None:
    async def work() -> None:
        store = RedisStore(redis.url)
        await store.count("busy", WEDNESDAY, 1, FREE)
        calls = [asyncio.create_task(store.count("busy", WEDNESDAY, 1, FREE)) for _ in range(1000)]
        for _ in range(3):
            await asyncio.sleep(0)
            time.sleep(1.2)  # longer than Redis has
        counted = await asyncio.gather(*calls)
        assert max(one.used.week for one in counted) == 1001
        await store.close()

    finish(work())


def test_readiness_does_not_take_a_busy_loop_for_accounts_that_are_away(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(server) -> None:  # type: ignore[no-untyped-def]
        async def late() -> None:
            for _ in range(3):
                time.sleep(0.2)  # longer than it waits for accounts
                await asyncio.sleep(0)

        monkeypatch.setattr(server.store, "check", late)
        assert (await server.http.get("/readyz")).status_code == 200

    serve(work)


def test_time_that_redis_takes_itself_is_used_up() -> None:
    async def work() -> None:
        with pytest.raises(TimeoutError):
            await within(0.05, asyncio.Event().wait())

    finish(work())


def test_calls_that_give_up_lose_no_answer_of_others(redis: RedisServer) -> None:
    async def work() -> None:
        store = RedisStore(redis.url)
        calls = [asyncio.create_task(store.count("many", WEDNESDAY, 1, FREE)) for _ in range(200)]
        await asyncio.sleep(0)
        for one in calls[::2]:
            one.cancel()
        found = await asyncio.gather(*calls, return_exceptions=True)
        kept = [one for one in found if not isinstance(one, asyncio.CancelledError)]
        assert len(kept) >= 100
        assert (await store.used("many", WEDNESDAY)).minute >= 100
        await store.close()

    finish(work())
