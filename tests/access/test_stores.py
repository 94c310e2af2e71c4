"""Both stores with the same tests: the same results, and exact counts."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from access_doors import PATIENCE, finish
from access_places import ALICE, FREE, FRIDAY, Place, a_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis_server import RedisServer

from marketdata_mcp.service.access.accounts import (
    MINUTE,
    WEEK,
    Account,
    Bounds,
    Counted,
    Key,
    Store,
    Used,
    minute_of,
    week_of,
)
from marketdata_mcp.service.access.redis_store import RedisStore
from marketdata_mcp.service.access.sqlite_store import SqliteStore

KINDS = ("sqlite", "redis")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place."""
    if request.param == "sqlite":
        return Place("sqlite", str(tmp_path / "access.sqlite"))
    server: RedisServer = request.getfixturevalue("redis")
    with server.client() as client:
        client.flushall()
    return Place("redis", server.url)


# ---------------------------------------------------------------------------- the same results


def test_accounts_and_keys(place: Place) -> None:
    async def work(store: Store) -> None:
        assert await store.account("alice") is None
        assert await store.add_account(ALICE)
        assert not await store.add_account(Account("alice", "pioneer"))
        odd = Account("oauth:x/y:keys *\u00e9", "pioneer", True, 2.25)
        assert await store.add_account(odd)
        assert await store.accounts() == [ALICE, odd]
        assert await store.account(odd.name) == odd
        assert await store.change_account("nobody", tier="hero") is None
        changed = await store.change_account("alice", suspended=True)
        assert changed == Account("alice", "hero", True, 1.5)
        assert await store.change_account("alice", tier="pioneer", suspended=False) == Account(
            "alice", "pioneer", False, 1.5
        )
        first = a_key("first", 1.0, label="for a \u20ac", expires_at=20.123456789)
        assert await store.add_key(first, 1)
        assert not await store.add_key(a_key("second", 2.0), 1)
        assert await store.add_key(a_key("second", 21.0), 1)  # the first has expired
        assert await store.keys("alice") == [first, a_key("second", 21.0)]
        assert await store.keys() == await store.keys("alice")
        assert await store.keys("nobody") == []
        assert await store.find("nothing") is None
        found = await store.find("first")
        assert found is not None
        assert found == (first, await store.account("alice"))

    place.use(work)


def test_the_end_of_a_key_only_comes_nearer(place: Place) -> None:
    async def work(store: Store) -> None:
        await store.add_account(ALICE)
        await store.add_key(a_key("k"), None)
        assert await store.end_key("nothing", 5.0) is None
        for at, ends in ((9.0, 9.0), (10.0, 9.0), (7.5, 7.5)):
            ended = await store.end_key("k", at, expires=True)
            assert ended is not None
            assert (ended.expires_at, ended.revoked_at) == (ends, None)
            assert [ended.state(when) for when in (7.4, 9.0)] == ["active", "expired"]
        for at, ends in ((6.0, 6.0), (8.0, 6.0)):
            ended = await store.end_key("k", at)
            assert ended is not None
            assert (ended.expires_at, ended.revoked_at) == (7.5, ends)
            assert ended.state(0.0) == "revoked"
        assert await store.keys("alice") == [ended]

    place.use(work)


def test_what_another_store_changes_is_seen_by_the_next_call(place: Place) -> None:
    async def work(store: Store) -> None:
        other = place.open()
        await store.add_account(ALICE)
        await store.add_key(a_key("k"), None)
        assert await other.find("k") == (a_key("k"), ALICE)
        await store.change_account("alice", tier="pioneer", suspended=True)
        await store.end_key("k", 3.0)
        found = await other.find("k")
        assert found is not None
        key, account = found
        assert (key.revoked_at, account.tier, account.suspended) == (3.0, "pioneer", True)
        await other.close()

    place.use(work)


_NAMES = st.sampled_from(["a", "b"])
_TIMES = st.sampled_from([FRIDAY - 60, FRIDAY - 0.001, FRIDAY, FRIDAY + 59.999])
_BOUNDS = st.builds(Bounds, st.none() | st.integers(1, 4), st.none() | st.integers(0, 30))
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.tuples(_NAMES, _TIMES, st.integers(0, 20), _BOUNDS)),
        st.tuples(st.just("give_back"), st.tuples(_NAMES, _TIMES, st.integers(0, 20))),
        st.tuples(st.just("used"), st.tuples(_NAMES, _TIMES)),
        st.tuples(
            st.just("add_account"), st.tuples(st.builds(Account, _NAMES, _NAMES, st.booleans()))
        ),
        st.tuples(st.just("account"), st.tuples(_NAMES)),
        st.tuples(
            st.just("add_key"),
            st.tuples(st.builds(Key, st.just(""), _NAMES, _NAMES), st.none() | st.integers(0, 2)),
        ),
        st.tuples(st.just("keys"), st.tuples(st.none() | _NAMES)),
        st.tuples(st.just("accounts"), st.just(())),
    ),
    max_size=25,
)


@given(_STEPS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_both_always_answer_the_same(
    redis: RedisServer, tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    with redis.client() as client:
        client.flushall()
    file = tmp_path_factory.mktemp("same") / "access.sqlite"

    for n, (name, arguments) in enumerate(steps):
        if name == "add_key":
            steps[n] = (name, (replace(arguments[0], id=f"k{n}"), arguments[1]))

    async def run(store: Store) -> list[Any]:
        try:
            return [await getattr(store, name)(*arguments) for name, arguments in steps]
        finally:
            await store.close()

    assert finish(run(SqliteStore(file))) == finish(run(RedisStore(redis.url)))


# ---------------------------------------------------------------------------- counting


@given(st.floats(0, 4e9))
def test_weeks_begin_on_friday_and_minutes_on_the_clock(at: float) -> None:
    week, minute = datetime.fromtimestamp(week_of(at), UTC), minute_of(at)
    assert (week.weekday(), week.hour, week.minute, week.second) == (4, 0, 0, 0)
    assert week_of(at) <= at < week_of(at) + WEEK or at < FRIDAY % WEEK
    assert minute % MINUTE == 0
    assert minute <= at < minute + MINUTE


def test_both_windows_or_neither(place: Place) -> None:
    async def work(store: Store) -> None:
        bounds = Bounds(3, 10)
        assert (await store.count("a", FRIDAY, 4, bounds)) == (None, Used(1, 4))
        assert (await store.count("a", FRIDAY, 7, bounds)) == ("week", Used(1, 4))
        assert (await store.count("a", FRIDAY, 6, bounds)) == (None, Used(2, 10))
        assert (await store.count("a", FRIDAY, 1, bounds)) == ("week", Used(2, 10))
        assert (await store.count("a", FRIDAY, 0, bounds)) == (None, Used(3, 10))
        assert (await store.count("a", FRIDAY, 0, bounds)) == ("minute", Used(3, 10))
        assert (await store.count("a", FRIDAY, 1, bounds)) == ("week", Used(3, 10))
        assert (await store.count("b", FRIDAY, 10, bounds)) == (None, Used(1, 10))
        assert await store.used("a", FRIDAY) == (3, 10)
        assert await store.used("c", FRIDAY) == (0, 0)

    place.use(work)


def test_a_new_minute_and_a_new_week(place: Place) -> None:
    async def work(store: Store) -> None:
        bounds = Bounds(1, 2)
        assert (await store.count("a", FRIDAY - 60, 1, bounds)).over is None
        assert (await store.count("a", FRIDAY - 0.001, 1, bounds)).over == "minute"
        assert (await store.count("a", FRIDAY - 60 - 0.001, 1, bounds)).over is None
        assert (await store.count("a", FRIDAY - 0.001, 1, bounds)).over == "week"
        assert (await store.count("a", FRIDAY, 2, bounds)) == (None, Used(1, 2))
        assert await store.used("a", FRIDAY - 1) == (1, 2)
        assert await store.used("a", FRIDAY + WEEK) == (0, 0)
        assert await store.used("a", FRIDAY + WEEK - 1) == (0, 2)

    place.use(work)


def test_what_is_given_back(place: Place) -> None:
    async def work(store: Store) -> None:
        await store.count("a", FRIDAY - 1, 5, FREE)
        await store.count("a", FRIDAY, 7, FREE)
        await store.give_back("a", FRIDAY - 1, 3)  # comes back in the week after
        assert await store.used("a", FRIDAY - 1) == (1, 2)
        assert await store.used("a", FRIDAY) == (1, 7)
        await store.give_back("a", FRIDAY, 100)
        assert await store.used("a", FRIDAY) == (1, 0)
        await store.give_back("a", FRIDAY, 1)
        await store.give_back("nobody", FRIDAY, 1)
        assert await store.used("a", FRIDAY) == (1, 0)
        assert await store.used("nobody", FRIDAY) == (0, 0)
        assert (await store.count("a", FRIDAY, 4, Bounds(None, 4))) == (None, Used(2, 4))

    place.use(work)


def test_counters_do_not_stay_for_ever(redis: RedisServer, tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        await store.count("a", FRIDAY, 2, FREE)
        await store.give_back("a", FRIDAY, 1)
        for week in range(60):
            await store.count("a", FRIDAY + week * WEEK, 1, FREE)
        await store.close()

    with redis.client() as client:
        client.flushall()
        finish(work(RedisStore(redis.url)))
        assert {0 < client.ttl(name) <= 60 * WEEK for name in client.keys("*:used:*")} == {True}
    finish(work(SqliteStore(tmp_path / "access.sqlite")))
    with sqlite3.connect(tmp_path / "access.sqlite") as file:
        kept = Counter(span for (span,) in file.execute("SELECT span FROM used"))
    file.close()
    assert kept == {MINUTE: 6, WEEK: 54}


def test_many_tasks_count_exactly_up_to_the_bound(place: Place) -> None:
    async def work(store: Store) -> None:
        await store.add_account(ALICE)
        counted = await asyncio.gather(
            *(store.count("alice", FRIDAY, 3, Bounds(None, 901)) for _ in range(500))
        )
        done = [one.used.week for one in counted if one.over is None]
        assert sorted(done) == list(range(3, 901, 3))
        assert {one.used for one in counted if one.over} == {Used(300, 900)}
        assert await store.used("alice", FRIDAY) == (300, 900)

    place.use(work)


async def _in_turns(store: Store) -> None:
    """Count four calls, each a turn of the event loop after the one before."""

    async def later(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await store.count("alice", FRIDAY, 1, FREE)

    await asyncio.gather(*map(later, range(4)))


def test_calls_that_come_one_after_the_other_are_sent_to_redis_together(redis: RedisServer) -> None:
    def reads(client: Any) -> int:
        return int(client.info("stats")["total_reads_processed"])

    async def work() -> None:
        store = RedisStore(redis.url)
        with redis.client() as client:
            await _in_turns(store)
            before = reads(client)
            await _in_turns(store)
            assert reads(client) - before == 2  # with the question how many there were
        await store.close()

    finish(work())


def test_calls_that_come_one_after_the_other_are_one_transaction(tmp_path: Path) -> None:
    began: list[str] = []

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = sqlite3.connect(*arguments, **options)
        connection.set_trace_callback(lambda text: began.append(text))
        return connection

    async def work() -> None:
        store = SqliteStore(tmp_path / "access.sqlite", connect)
        await _in_turns(store)
        assert sum(text.startswith("BEGIN") for text in began) == 1
        await store.close()

    finish(work())


def test_calls_that_wait_when_a_store_is_closed_wait_no_longer(place: Place) -> None:
    async def work(store: Store) -> None:
        for turns in range(8):
            waiting = [asyncio.create_task(store.count("alice", FRIDAY, 1, FREE)) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            await store.close()
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(one, asyncio.CancelledError | Counted) for one in outcomes)

    place.use(work)


def test_many_processes_begin_at_once_and_count_exactly(place: Place) -> None:
    begun = place.together("begin", 4)
    assert sorted(made for made, _ in begun) == [False, False, False, True]
    assert sum(keys for _, keys in begun) == 5
    counted = place.together("count", 4)
    calls, units = (sum(column) for column in zip(*counted, strict=True))
    used = place.use(lambda store: store.used("alice", 600.0))
    assert used == (calls, units)
    assert calls <= 900
    assert calls == 900 or 997 <= units <= 1000


def test_a_kill_loses_nothing_that_was_counted(place: Place) -> None:
    [process] = place.processes("forever", 1)
    assert process.stdout is not None
    told = 0
    for _ in process.stdout:
        told += 1
        if told == 50:
            process.kill()
    assert process.wait(PATIENCE) == -signal.SIGKILL
    process.communicate()
    used = place.use(lambda store: store.used("alice", 600.0))
    assert told >= 50
    assert used.minute in (told, told + 1)  # counted, and killed before it could say so
    assert used.week == 3 * used.minute
