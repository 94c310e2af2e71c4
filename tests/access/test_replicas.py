"""Two servers and one Redis: the exact usage of 32 clients, and what survives a kill."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPException
from threading import Event
from typing import Any

import pytest
from access_doors import Desk, Reply, Server, call, request, serving, until
from redis_server import RedisServer

from marketdata.sim import SimulatedExchange
from marketdata_mcp.service.access.redis_store import RedisStore
from marketdata_mcp.service.access.tiers import Policy, Tier

CLIENTS = 32
POLICY = Policy(
    tiers={
        "bulk": Tier(exchanges=("binance", "okx"), near_units=5, far_units=20, keys=3),
        "small": Tier(weekly_units=100, near_units=5, far_units=20),
        "slow": Tier(calls_a_minute=40),
    }
)
ASKED: list[tuple[tuple[str, dict[str, Any]], str, int]] = [
    (("get_quote", {"pair": "BTC/USDT"}), "OK", 1),
    (("get_candles", {"pair": "BTC/USDT", "limit": 2}), "OK", 5),
    (("get_usage", {}), "OK", 0),
    (("get_candles", {"pair": "BTC/USDT", "exchange": "okx"}), "EXCHANGE_UNAVAILABLE", 0),
    (("get_quote", {"pair": "BTC/USD", "exchange": "kraken"}), "EXCHANGE_NOT_SUPPORTED", 1),
    (("get_quote", {}), "MISSING_PARAMETER", 0),
]
"""Calls, how they end and what they cost."""


@pytest.fixture(scope="module")
def desk(redis: RedisServer) -> Desk:
    """Whoever has Redis is the operator."""
    return Desk(lambda: RedisStore(redis.url), POLICY)


@pytest.fixture(scope="module")
def start(
    redis: RedisServer, simulator: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[ExitStack], Server]:
    """Return a function that starts one more replica, as on a machine of its own."""

    def another(stack: ExitStack) -> Server:
        home = tmp_path_factory.mktemp("machine")
        (home / "policy.toml").write_text(POLICY.to_toml())
        variables = {
            "MARKETDATA_ENDPOINTS": json.dumps(simulator.endpoints),
            "MARKETDATA_EXCHANGE": "binance",
            "MARKETDATA_RETRIES": "0",
        }
        return stack.enter_context(serving(home, "--redis", redis.url, **variables))

    return another


@pytest.fixture(scope="module")
def replicas(start: Callable[[ExitStack], Server]) -> Iterator[list[Server]]:
    """Two servers."""
    with ExitStack() as stack:
        yield [start(stack), start(stack)]


def quote(server: Server, key: str) -> Reply:
    """Make a call that costs a unit."""
    return call(server.url, key, "get_quote", pair="BTC/USDT")


def together(work: Callable[[int], Any]) -> list[Any]:
    """Have all clients do something at once."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(work, range(CLIENTS)))


def test_counters_are_exact(
    replicas: list[Server], desk: Desk, simulator: SimulatedExchange, name: str
) -> None:
    keys = [desk.newcomer(name, "bulk"), *(desk.key(name)[0] for _ in range(2))]

    def client(number: int) -> list[int]:
        chance = random.Random(number)
        chosen = [chance.randrange(len(ASKED)) for _ in range(12)]
        for n, one in enumerate(chosen):
            (tool, arguments), code, _ = ASKED[one]
            reply = call(
                replicas[(number + n) % 2].url,
                keys[number % 3],
                tool,
                modern=n % 2 == 0,
                **arguments,
            )
            assert reply.code == code, reply.text
        return chosen

    simulator.faults.add("okx:*:status=503")
    try:
        chosen = [one for some in together(client) for one in some]
    finally:
        simulator.faults.clear()
    assert set(chosen) == set(range(len(ASKED)))
    assert desk.used(name).week == sum(ASKED[one][2] for one in chosen)
    # Both tell the same, whichever is asked.
    for replica in replicas:
        usage = call(replica.url, keys[0], "get_usage").content
        assert usage["week"]["used"] == desk.used(name).week


def test_no_client_gets_more_than_the_quota(replicas: list[Server], desk: Desk, name: str) -> None:
    key = desk.newcomer(name, "small")

    def client(number: int) -> tuple[int, set[str]]:
        (tool, arguments), _, units = ASKED[number % 2]
        codes = [call(replicas[n % 2].url, key, tool, **arguments).code for n in range(4)]
        return units * codes.count("OK"), set(codes)

    units, codes = zip(*together(client), strict=True)
    assert set().union(*codes) == {"OK", "QUOTA_EXCEEDED"}
    # What is left may be too little for the dear ones.
    assert 100 - 4 <= sum(units) <= 100
    assert desk.used(name).week == sum(units)


def test_no_client_gets_more_than_the_rate(replicas: list[Server], desk: Desk, name: str) -> None:
    key = desk.newcomer(name, "slow")

    def client(number: int) -> list[str]:
        return [call(replicas[n % 2].url, key, "get_usage").code for n in range(4)]

    codes = Counter(one for some in together(client) for one in some)
    assert set(codes) <= {"OK", "RATE_LIMIT_EXCEEDED"}
    # Should a new minute have begun meanwhile, it has its own.
    assert codes["OK"] in range(40, 81)
    assert desk.used(name).minute <= 40


def test_what_an_operator_changes_holds_for_both_at_once(
    replicas: list[Server], desk: Desk, name: str
) -> None:
    key = desk.newcomer(name, "bulk")
    shown, kept = desk.key(name)

    def codes(of: str) -> list[str]:
        return [quote(replica, of).code for replica in replicas]

    assert codes(key) == codes(shown) == ["OK", "OK"]
    desk.do(lambda registry: registry.revoke(kept.id))
    assert codes(shown) == ["UNAUTHORIZED"] * 2
    assert codes(key) == ["OK", "OK"]
    desk.do(lambda registry: registry.set_tier(name, "slow"))
    for replica in replicas:
        assert call(replica.url, key, "get_usage").content["tier"] == "slow"
    desk.do(lambda registry: registry.suspend(name))
    assert codes(key) == ["FORBIDDEN"] * 2
    desk.do(lambda registry: registry.suspend(name, suspended=False))
    rotated = desk.do(lambda registry: registry.rotate(key))[0]
    assert codes(key) == ["UNAUTHORIZED"] * 2
    assert codes(rotated) == ["OK", "OK"]


def test_a_kill_loses_nothing(
    replicas: list[Server], start: Callable[[ExitStack], Server], desk: Desk, name: str
) -> None:
    key = desk.newcomer(name, "bulk")
    enough = Event()
    with ExitStack() as stack:
        doomed = start(stack)
        answered = Counter[str]()

        def client(number: int) -> tuple[int, int]:
            told = lost = 0
            while not enough.is_set():
                server = doomed if number % 2 else replicas[0]
                try:
                    reply = quote(server, key)
                except (OSError, HTTPException):
                    assert server is doomed
                    return told, lost + 1
                told += reply.code == "OK"
                answered[server.url] += 1
                if number % 2 and answered[doomed.url] > 60:
                    doomed.process.send_signal(signal.SIGKILL)
                if answered[replicas[0].url] > 60 and doomed.process.poll() is not None:
                    enough.set()
            return told, lost

        outcomes = together(client)
    told, lost = (sum(column) for column in zip(*outcomes, strict=True))
    assert lost
    # What was lost on its way may have been counted or not, at most once each.
    assert told <= desk.used(name).week <= told + lost
    assert quote(replicas[0], key).code == "OK"


@pytest.mark.parametrize(
    ("away", "back"), [("stop", "start"), ("kill", "start"), ("halt", "go_on")]
)
def test_redis_goes_away_and_comes_back(
    replicas: list[Server], redis: RedisServer, desk: Desk, name: str, away: str, back: str
) -> None:
    key = desk.newcomer(name, "bulk")

    def refused(replica: Server) -> None:
        reply = quote(replica, key)
        assert (reply.status, reply.code) == (503, "INTERNAL_ERROR")
        assert (reply.error["retryable"], reply.headers["Retry-After"]) == (True, "1")
        # Who is wrong hears of it all the same, and not all is lost.
        assert call(replica.url, key, "get_quote").code == "MISSING_PARAMETER"
        assert request(f"{replica.root}/healthz").status == 200
        found = request(f"{replica.root}/readyz")
        assert found.status == 503
        assert json.loads(found.text)["problems"] == ["accounts cannot be reached"]

    def recovered(replica: Server) -> None:
        until(lambda: request(f"{replica.root}/readyz").status == 200)
        assert quote(replica, key).code == "OK"

    with ThreadPoolExecutor(len(replicas)) as each:
        list(each.map(recovered, replicas))
        used = desk.used(name)
        getattr(redis, away)()
        try:
            list(each.map(refused, replicas))
        finally:
            getattr(redis, back)()
        assert desk.used(name) == used
        list(each.map(recovered, replicas))
    assert desk.used(name).week == used.week + 2


def test_redis_has_no_key_either(replicas: list[Server], redis: RedisServer, desk: Desk) -> None:
    shown = desk.newcomer("in-redis", "bulk")
    for replica in replicas:
        call(replica.url, shown, "get_usage")
        call(replica.url, f"{shown[:-1]}x", "get_usage")
    with redis.client() as client:
        held = b"".join(
            name + b" " + client.dump(name) for name in client.scan_iter("*") if client.exists(name)
        )
    assert b"in-redis" in held
    assert shown[15:47].encode() not in held
    logs = "".join(line for replica in replicas for line in replica.lines)
    assert shown[15:47] not in logs
