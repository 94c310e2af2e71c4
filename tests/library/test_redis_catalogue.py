"""The pairs of an exchange, requested once a day for all machines that share a Redis."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis_server import RedisServer
from waiting import happened

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory, Run
from .gateway import Gateway
from .machines import calm
from .test_catalogue import DAY, add_pair, grow_older, lists

Join = Callable[..., md.Client]


@pytest.fixture
def join(connect: Factory, redis_server: RedisServer, tmp_path: Path) -> Join:
    """Makes clients of machines that share a Redis, by the machine's name."""

    def join(name: str, to: SimulatedExchange | Gateway, **more: Any) -> md.Client:
        return connect(to, home=tmp_path / name, redis=calm(redis_server), **more)

    return join


@pytest.fixture
def redis(redis_server: RedisServer) -> Any:
    with redis_server.client() as client:
        yield client


def key_of(to: SimulatedExchange | Gateway) -> str:
    return f"marketdata:1:catalogue:binance at {to.url}"


def pass_time(redis: Any, to: SimulatedExchange | Gateway, seconds: float) -> None:
    redis.pexpire(key_of(to), redis.pttl(key_of(to)) - round(seconds * 1000))


def test_one_machine_requests_the_list_for_all(
    sim: SimulatedExchange, join: Join, redis: Any
) -> None:
    first = join("one", sim).pairs()
    for name in "two", "three":
        assert join(name, sim).ticker("BTC/USDT").pair == "BTC/USDT"
        pairs = join(name, sim).pairs()
        assert [pair.model_dump(exclude={"received_at"}) for pair in pairs] == [
            pair.model_dump(exclude={"received_at"}) for pair in first
        ]
        age = first[0].received_at - pairs[0].received_at
        assert abs(age.total_seconds()) < 5
    assert lists(sim) == 1
    assert 6 * DAY < redis.ttl(key_of(sim)) <= 7 * DAY


def test_a_machine_answers_from_its_own_file(
    sim: SimulatedExchange, join: Join, redis: Any
) -> None:
    join("one", sim).pairs()
    redis.flushall()
    assert join("one", sim).ticker("BTC/USDT").pair == "BTC/USDT"
    assert lists(sim) == 1
    assert redis.exists(key_of(sim)) == 0


def test_machines_that_start_at_once_request_it_once(
    sim: SimulatedExchange, python: Run, redis_server: RedisServer, tmp_path: Path
) -> None:
    def run(number: int) -> str:
        return python(
            "import marketdata as md; print(md.ticker('BTC/USDT').pair)",
            MARKETDATA_HOME=str(tmp_path / str(number)),
            MARKETDATA_REDIS=calm(redis_server),
        )

    sim.faults.add(exchange="binance", path="*/exchangeInfo", latency=0.5)
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(run, range(3))) == ["BTC/USDT\n"] * 3
    assert lists(sim) == 1


@pytest.mark.parametrize(("age", "fetched"), [(DAY - 60, 1), (DAY + 60, 2), (6.9 * DAY, 2)])
def test_a_list_is_requested_again_after_a_day(
    sim: SimulatedExchange, join: Join, redis: Any, age: float, fetched: int
) -> None:
    join("one", sim).pairs()
    pass_time(redis, sim, age)
    pairs = join("other", sim).pairs()
    assert lists(sim) == fetched
    assert join("third", sim).pairs()
    assert lists(sim) == fetched
    # Whoever took it from the others knows how old it is.
    told = time.time() - pairs[0].received_at.timestamp()
    assert told == pytest.approx(age if fetched == 1 else 0, abs=30)


def test_a_machine_with_an_old_list_takes_the_newer_one(
    sim: SimulatedExchange, join: Join, tmp_path: Path
) -> None:
    join("one", sim).pairs()
    join("other", sim).pairs()
    grow_older(tmp_path / "other", DAY)
    assert join("other", sim).pairs()
    assert lists(sim) == 1


def test_a_new_pair_is_found_by_all_machines_with_one_request(
    gateway: Gateway, join: Join, redis: Any, tmp_path: Path
) -> None:
    for name in "one", "other":
        join(name, gateway).pairs()
    add_pair(gateway, "NEW")
    pass_time(redis, gateway, 700)
    for name in "one", "other":
        grow_older(tmp_path / name, 700)
        with pytest.raises(md.PairNotSupportedError, match="does not trade this pair now"):
            join(name, gateway).ticker("NEW/USDT")
    assert lists(gateway) == 2


ROW = {"symbol": "BTC/USDT", "base": "BTC", "quote": "USDT"}
FACTS = {"precision_mode": 4, "fees": {}, "renamed": {}, "aliases": {}}
HEAD = {"simulated": True, "plays": None, "facts": FACTS}


def packed(*lines: Any) -> bytes:
    return zlib.compress("\n".join(map(json.dumps, lines)).encode())


def unfinished() -> bytes:
    """A list without its end, which its lines alone would not show."""
    packing = zlib.compressobj()
    lines = f"{json.dumps(HEAD)}\n{json.dumps(ROW)}"
    return packing.compress(lines.encode()) + packing.flush(zlib.Z_SYNC_FLUSH)


BAD = {
    "text": b"whatever",
    "empty": b"",
    "cut": packed(HEAD, ROW)[:-8],
    "unfinished": unfinished(),
    "no JSON": zlib.compress(b"{"),
    "no Unicode": zlib.compress(b"\xff\n\xff"),
    "nothing": zlib.compress(b""),
    "no markets": packed(HEAD),
    "no head": packed(ROW, ROW),
    "list": packed([], []),
    "odd head": packed({**HEAD, "simulated": 1}, ROW),
    "odd plays": packed({**HEAD, "plays": []}, ROW),
    "older": packed({"simulated": True, "plays": None}, ROW),
    "odd facts": packed({**HEAD, "facts": {**FACTS, "more": 1}}, ROW),
    "odd names": packed({**HEAD, "facts": {**FACTS, "renamed": {"A": []}}}, ROW),
    "odd fees": packed({**HEAD, "facts": {**FACTS, "fees": {"taker": "x"}}}, ROW),
    "odd market": packed(HEAD, {"symbol": 1, "base": [], "quote": None}),
    "short market": packed(HEAD, {"symbol": "BTC/USDT"}),
    "number": packed(HEAD, 5),
}


@pytest.mark.parametrize("what", [*BAD, "another type", "no end", "an end too late"])
def test_invalid_data_in_redis_cost_a_request_but_no_answer(
    sim: SimulatedExchange, join: Join, redis: Any, what: str
) -> None:
    join("one", sim).pairs()
    key = key_of(sim)
    match what:
        case "another type":
            redis.delete(key)
            redis.rpush(key, "one", "two")
            redis.expire(key, 7 * DAY)
        case "no end":
            redis.persist(key)
        case "an end too late":
            redis.expire(key, 8 * DAY)
        case _:
            redis.set(key, BAD[what], keepttl=True)

    assert join("other", sim).ticker("BTC/USDT").pair == "BTC/USDT"
    assert lists(sim) == 2
    assert join("third", sim).ticker("BTC/USDT").pair == "BTC/USDT"
    assert lists(sim) == 2


def test_data_that_unpack_without_end_are_not_read_to_their_end(
    sim: SimulatedExchange, join: Join, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    join("one", sim).pairs()
    monkeypatch.setattr("marketdata._exchanges.shared_markets_cache._LONGEST", 1000)
    assert join("other", sim).pairs()
    assert lists(sim) == 2


def test_a_machine_that_dies_while_it_requests_delays_others_by_half_a_call(
    sim: SimulatedExchange, join: Join, redis: Any
) -> None:
    redis.set(f"marketdata:1:fetching:binance at {sim.url}", "somebody", ex=60)
    assert join("one", sim, timeout=1).pairs()
    assert lists(sim) == 1


def test_the_next_machine_tries_after_a_failure(gateway: Gateway, join: Join, redis: Any) -> None:
    gateway.hold("*/exchangeInfo")
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(join("one", gateway, timeout=1).pairs)
        happened(gateway.held)
        gateway._hold = None
        assert join("other", gateway).pairs()
        with pytest.raises(md.ExchangeUnavailableError):
            first.result()
    assert lists(gateway) == 2


def test_the_lock_of_a_cancelled_call_is_released(gateway: Gateway, join: Join, redis: Any) -> None:
    gateway.hold("*/exchangeInfo")

    async def main() -> None:
        async with md.AsyncClient(settings=join("one", gateway).settings) as client:
            asking = asyncio.ensure_future(client.pairs())
            await asyncio.to_thread(gateway.held.wait, 20)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(main())
    assert redis.keys("marketdata:1:fetching:*") == []


def test_without_redis_each_machine_requests_its_own(
    sim: SimulatedExchange, join: Join, redis_server: RedisServer
) -> None:
    redis_server.stop()
    for name in "one", "other":
        assert join(name, sim).pairs()
    assert lists(sim) == 2


def test_threads_of_one_machine_request_it_once(sim: SimulatedExchange, join: Join) -> None:
    client, together = join("one", sim), threading.Barrier(4)

    def ask(_: int) -> int:
        together.wait()
        return len(client.pairs())

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(ask, range(4)))) == 1
    assert lists(sim) == 1


def test_a_list_known_to_be_wrong_is_not_used_again(sim: SimulatedExchange, join: Join) -> None:
    client = join("one", sim)
    client.pairs()
    client._client._session.catalogue().forget(f"binance at {sim.url}")  # as downloads do
    assert client.pairs()
    assert lists(sim) == 2
    assert join("other", sim).pairs()
    assert lists(sim) == 2


def test_the_simulator_of_a_process_does_not_affect_others(
    redis_server: RedisServer, redis: Any, tmp_path: Path
) -> None:
    with md.Client("binance", sim=True, redis=calm(redis_server), home=tmp_path) as client:
        assert client.pairs()
    assert redis.keys() == []
