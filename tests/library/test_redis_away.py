"""A Redis that is missing, hangs, returns, loses its data, or has foreign data."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inside.requests import Account
from redis_server import RedisServer

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory, Run
from .machines import (
    KEY,
    SPACED,
    USABLE,
    Machine,
    account,
    calm,
    is_back,
    ledger_of,
    machines,
    spent,
)

PART = 0.1 * USABLE
"""The part that all machines without Redis may use together."""

# ------------------------------------------------------------------ away


@pytest.mark.parametrize("how", ["stop", "kill", "halt"])
def test_machines_without_redis_share_a_tenth(
    machine: Machine, redis_server: RedisServer, how: str
) -> None:
    one, other = (machine(name, url=redis_server.url) for name in ("one", "other"))
    spent(one, 1.0)
    spent(other, 1.0)
    # The first does not know of the other yet.
    ledger_of(one)._machines = 2
    getattr(redis_server, how)()

    assert spent(one, 1.0) == pytest.approx(PART / 2, abs=1)
    assert spent(one, 1.0) == 0
    assert spent(other, 1.0) == pytest.approx(PART / 2, abs=1)
    if how == "halt":
        redis_server.go_on()


def test_processes_of_one_machine_share_its_part(
    machine: Machine, redis_server: RedisServer, tmp_path: Path
) -> None:
    spent(machine("one"))
    redis_server.kill()
    assert spent(machine("one"), 1.0) == pytest.approx(PART, abs=1)
    # Another process has the same file.
    assert spent(machine("one", url=calm(redis_server) + "&client_name=other"), 1.0) == 0


def test_without_redis_from_the_start_many_machines_are_assumed(
    machine: Machine, redis_server: RedisServer
) -> None:
    redis_server.stop()
    mine = machine("one")
    assert spent(mine, 1.0) == pytest.approx(PART / 10, abs=1)

    redis_server.start()
    is_back(mine)
    assert spent(mine, 1.0) == USABLE


def test_distances_grow_with_the_number_of_machines(
    machine: Machine, redis_server: RedisServer
) -> None:
    mine = machine("one", SPACED)
    asyncio.run(mine.acquire(1.0))
    redis_server.stop()

    async def main() -> float:
        for _ in range(2):  # one that was not used may be caught up on
            await mine.acquire(1.0)
        started = asyncio.get_running_loop().time()
        await mine.acquire(1.0)
        return asyncio.get_running_loop().time() - started

    assert asyncio.run(main()) > 0.9  # ten times 0.1 s, and not a share of it


def test_redis_comes_back_with_its_data(machine: Machine, redis_server: RedisServer) -> None:
    one, other = machine("one"), machine("other")
    asyncio.run(one.acquire(500.0))
    redis_server.kill()
    asyncio.run(one.acquire(1.0))
    redis_server.start()
    is_back(one)

    # Of the tenth it may still have something.
    total = spent(one) + spent(other)
    assert USABLE - 500 - 10 <= total <= USABLE - 500 + PART


def test_a_redis_that_lost_its_data_gets_that_of_each_machine(
    machine: Machine, redis_server: RedisServer
) -> None:
    mine = machine("one")
    asyncio.run(mine.acquire(500.0))
    with redis_server.client() as client:
        client.flushall()
    assert spent(mine) + spent(machine("other")) == pytest.approx(USABLE - 500, abs=1)


def test_the_loop_continues_while_redis_hangs(machine: Machine, redis_server: RedisServer) -> None:
    mine = machine("one", SPACED, url=redis_server.url)
    asyncio.run(mine.acquire(1.0))
    redis_server.halt()

    async def main() -> None:
        asking = asyncio.ensure_future(mine.acquire(1.0))
        for _ in range(10):
            await asyncio.sleep(0.001)
        assert not asking.done()
        await asking
        # It is not asked again for a while.
        assert ledger_of(mine)._redis._away

    asyncio.run(main())
    redis_server.go_on()


def test_a_redis_reply_after_a_cancelled_call_does_no_harm(
    machine: Machine, redis_server: RedisServer
) -> None:
    mine = machine("one")
    asyncio.run(mine.acquire(1.0))
    redis_server.halt()

    async def main() -> None:
        mine._since = -1e9
        asking = asyncio.ensure_future(mine.acquire(1.0))
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        redis_server.go_on()

    asyncio.run(main())
    is_back(mine)
    total = spent(mine, 1.0)
    assert USABLE - 30 <= total <= USABLE


def test_machines_count_as_long_as_they_are_seen(
    machine: Machine, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        now = time.time()
        client.hset(KEY, mapping={"long gone": now - 4000, "there": now - 3000, "what": "ever"})
        asyncio.run(machine("one").acquire(1.0))
        asyncio.run(machine("other").acquire(1.0))
        fields = client.hkeys(KEY)
    assert len(fields) == 1 + 3
    assert b"there" in fields
    last = ledger_of(machine("other"))
    assert last._machines == 3


# ------------------------------------------------------------------ somebody else's data


def foreign(client: Any) -> None:
    client.set(KEY, "whatever")


def damaged(client: Any) -> None:
    client.hset(KEY, "account", b"\xff\x00{")


def odd(client: Any) -> None:
    client.hset(KEY, "account", '{"granted": [[1, "x"]], "reserved": 5}')
    client.hset(KEY, b"\xff", b"\xff")


@pytest.mark.parametrize("damage", [foreign, damaged, odd])
def test_an_unreadable_account_counts_as_empty(
    machine: Machine, redis_server: RedisServer, damage: Callable[[Any], None]
) -> None:
    with redis_server.client() as client:
        damage(client)
    assert spent(machine("one")) == USABLE
    assert sum(account(redis_server).granted.values()) == USABLE
    with redis_server.client() as client:
        assert len(client.hkeys(KEY)) == 2


def test_an_account_damaged_later_counts_as_empty(
    machine: Machine, redis_server: RedisServer
) -> None:
    spent(machine("one"))
    with redis_server.client() as client:
        client.hset(KEY, "account", "nonsense")
    assert spent(machine("other")) == USABLE


def test_a_read_only_redis_counts_as_none(tmp_path: Path) -> None:
    with RedisServer("--maxmemory", "1", "--maxmemory-policy", "noeviction") as full:
        assert spent(machines(tmp_path, full)("one"), 1.0) == pytest.approx(PART / 10, abs=1)


# ------------------------------------------------------------------ the setting

SECRET = "s3cr3t-p4ss"


@pytest.mark.paced
def test_a_wrong_password_counts_as_no_redis_and_is_never_shown(
    sim: SimulatedExchange, connect: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(password="right") as server:
        client = connect(sim, redis=f"redis://:{SECRET}@127.0.0.1:{server.port}/0")
        assert client.ticker("BTC/USDT").pair == "BTC/USDT"
        with server.client() as own:
            assert own.keys() == []
    assert SECRET not in repr(client.settings) + client.settings.model_dump_json() + caplog.text


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{SECRET}@127.0.0.1",
        f"127.0.0.1:6379/{SECRET}",
        f"redis:/{SECRET}",
        f"redis://:{SECRET}@127.0.0.1:port/0",
        f"redis://:a/{SECRET}@127.0.0.1:6379",
        "redis://127.0.0.1:0",
        "unix://",
        f"unix:{SECRET}",
        5,
    ],
)
def test_an_invalid_url_is_named_but_not_shown(monkeypatch: pytest.MonkeyPatch, url: Any) -> None:
    with pytest.raises(md.InvalidParameterError) as caught:
        md.Client(redis=url)
    assert caught.value.details == {"parameter": "redis"}
    assert SECRET not in repr(caught.value.to_dict())
    with pytest.raises(ValueError, match="redis") as wrong:
        md.Settings(redis=url)
    assert SECRET not in str(wrong.value)

    monkeypatch.setenv("MARKETDATA_REDIS", str(url))
    with pytest.raises(md.InvalidParameterError, match="MARKETDATA_REDIS: a URL") as caught:
        md.Settings.from_environment()
    assert SECRET not in repr(caught.value.to_dict())


def test_ways_to_write_it(monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer) -> None:
    for url in (redis_server.url, redis_server.unix_url, "rediss://u:p@host:6380/2"):
        monkeypatch.setenv("MARKETDATA_REDIS", url)
        found = md.Settings.from_environment().redis
        assert found is not None
        assert found.get_secret_value() == url


@pytest.mark.parametrize("option", ["colour=blue", "socket_timeout=soon"])
def test_an_unknown_option_is_an_error(
    sim: SimulatedExchange, connect: Factory, redis_server: RedisServer, option: str
) -> None:
    client = connect(sim, redis=f"{redis_server.url}?{option}")
    with pytest.raises(md.InvalidParameterError, match="MARKETDATA_REDIS") as caught:
        client.ticker("BTC/USDT")
    assert "colour" not in repr(caught.value.to_dict())


@pytest.mark.paced
def test_options_in_the_url(machine: Machine, redis_server: RedisServer) -> None:
    mine = machine("one", url=f"{redis_server.url}?decode_responses=True&socket_timeout=10")
    assert spent(mine) == USABLE
    assert spent(machine("other", url=redis_server.unix_url)) == 0


def test_without_the_client_library_the_extra_is_named(
    sim: SimulatedExchange, connect: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)  # as if it were not installed
    client = connect(sim, redis="redis://127.0.0.1:1")
    with pytest.raises(md.MissingExtraError, match=r"ccxt-marketdata\[server\]"):
        client.ticker("BTC/USDT")


@pytest.mark.cold
def test_unused_libraries_are_not_imported(python: Run) -> None:
    program = """
        import sys
        import marketdata as md

        with md.Client() as client:
            client.ticker("BTC/USDT")
        print([name for name in sys.modules if "redis" in name or "shared_markets" in name])
    """
    assert python(program) == "[]\n"


def test_a_forked_child_has_its_own_connections(python: Run, redis_server: RedisServer) -> None:
    program = """
        import os
        import marketdata as md

        client = md.Client("okx")
        print(client.ticker("BTC/USDT").pair, flush=True)
        child = os.fork()
        if child == 0:
            print(client.ticker("ETH/USDT").pair, flush=True)
            os._exit(0)
        print(os.waitpid(child, 0)[1], flush=True)
        print(client.ticker("SOL/USDT").pair)
    """
    printed = python(program, MARKETDATA_REDIS=calm(redis_server))
    assert printed == "BTC/USDT\nETH/USDT\n0\nSOL/USDT\n"
    with redis_server.client() as client:
        (key,) = client.keys("marketdata:1:budget:okx*")
        kept = Account.parse(client.hget(key, "account").decode())
    assert kept.reserved[0] > 0


def test_a_forked_child_does_not_wait_for_a_lock_of_its_parent(
    python: Run, redis_server: RedisServer
) -> None:
    program = """
        import os, sys
        from marketdata._requests.redis import shared

        kept = shared(sys.argv[1])
        with kept._lock:
            child = os.fork()
            if child == 0:
                print(shared(sys.argv[1]).run(lambda client: client.ping()), flush=True)
                os._exit(0)
            os.waitpid(child, 0)
        print(shared(sys.argv[1]) is kept)
    """
    assert python(program, calm(redis_server)) == "True\nTrue\n"
