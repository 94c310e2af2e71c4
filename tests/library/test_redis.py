"""One request budget for all machines that share a Redis.

A machine is a folder of its own: in other processes, or here.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from inside.requests import Limit, within
from redis_server import RedisServer

import marketdata as md
from marketdata._requests.rate_ledger_redis import SharedLedger, shared_ledger
from marketdata.errors import ExchangeUnavailableError
from marketdata.sim import SimulatedExchange

from .conftest import Factory, Run
from .gateway import Gateway
from .machines import (
    KEY,
    MINUTE,
    SPACED,
    USABLE,
    Machine,
    account,
    calm,
    is_back,
    ledger_of,
    refused,
    spent,
    told,
)

paced = pytest.mark.paced


# ------------------------------------------------------------------ sharing

TICKERS = """
    import marketdata as md

    count = 0
    with md.Client("binance") as client:
        try:
            while True:
                client.tickers()
                count += 1
        except md.ExchangeUnavailableError as error:
            assert "budget of these machines" in error.message, error.message
    print(count)
"""


def test_two_machines_together_stay_below_the_limit_of_the_exchange(
    sim: SimulatedExchange, gateway: Gateway, python: Run, redis_server: RedisServer, tmp_path: Path
) -> None:
    # The gateway keeps to itself how much the exchange has counted.
    def run(name: str) -> int:
        return int(
            python(
                TICKERS,
                MARKETDATA_HOME=str(tmp_path / name),
                MARKETDATA_ENDPOINTS=json.dumps({"binance": gateway.url}),
                MARKETDATA_REDIS=calm(redis_server),
                MARKETDATA_TIMEOUT="20",
            )
        )

    with ThreadPoolExecutor(2) as threads:
        counts = list(threads.map(run, ("one", "other")))

    with urllib.request.urlopen(f"{sim.endpoints['binance']}/api/v3/time") as answer:
        weight = int(answer.headers["x-mbx-used-weight-1m"]) - 1
    assert 0.85 * 6000 < weight <= 0.9 * 6000
    assert sum(counts) == weight // 80
    assert sum("exchangeInfo" in request for request in gateway.requests) == 1


SPENDING = """
    import asyncio, json, sys, time
    from pathlib import Path
    from marketdata._requests.rate_limit import Budget
    from marketdata._requests.rate_ledger import Limit

    url, home, limit, most = *sys.argv[1:4], int(sys.argv[4])
    limit = Limit(*json.loads(limit))
    budget = Budget(Path(home) / "budget.sqlite", "binance", "binance", limit, redis=url)
    times = []

    async def spend():
        while len(times) < most:
            await budget.acquire(1.0)
            times.append(time.time())

    async def main():
        await asyncio.gather(*[spend() for _ in range(4)])

    print("ready", flush=True)
    sys.stdin.readline()
    asyncio.run(main())
    print(json.dumps(times))
"""


def together(url: str, homes: list[Path], limit: list[float | None], most: int) -> list[float]:
    """Return the sorted times of requests of several processes at full speed."""
    program = [sys.executable, "-W", "error", "-c", textwrap.dedent(SPENDING), url]
    processes = [
        subprocess.Popen(
            [*program, str(home), json.dumps(limit), str(most)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for home in homes
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        with ThreadPoolExecutor(len(processes)) as threads:
            said = list(threads.map(lambda one: one.communicate("\n", 60)[0], processes))
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return sorted(chain(*[json.loads(one) for one in said]))


def test_no_window_holds_more_than_its_share(redis_server: RedisServer, tmp_path: Path) -> None:
    homes = [tmp_path / name for name in "abc"]
    # 120 units in 0.6 s, 108 of which are used; leases of 0.01 s.
    times = together(calm(redis_server), homes, [0.005, 0.6], most=100)

    assert len(times) >= 300
    for start, first in enumerate(times):
        inside = [at for at in times[start:] if at < first + 0.6]
        # A busy machine notes late what each of the twelve tasks was granted.
        assert len(inside) <= 120


def test_without_a_window_requests_keep_their_distance(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    began = time.time()
    times = together(calm(redis_server), [tmp_path / name for name in "ab"], [0.02, None], 15)

    assert len(times) >= 30
    # One unit that was not used before may be caught up on.
    assert times[-1] >= began + (len(times) - 2) * 0.02
    assert sum(account(redis_server).reserved) >= began + (len(times) - 1) * 0.02


def test_machines_spend_from_one_account(machine: Machine, redis_server: RedisServer) -> None:
    assert spent(machine("one")) + spent(machine("other"), 1.0) == USABLE
    assert sum(account(redis_server).granted.values()) == pytest.approx(USABLE)
    with redis_server.client() as client:
        assert len(client.hkeys(KEY)) == 3
        assert 0 < client.ttl(KEY) <= 24 * 3600


def test_loops_in_one_process_share_it(machine: Machine) -> None:
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(lambda name: spent(machine(name)), "aabb")) == USABLE


def test_concurrent_calls_share_a_lease(
    machine: Machine, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[str] = []
    change = SharedLedger._change

    def counted(self: SharedLedger, source: str, step: Any) -> Any:
        changes.append(source)
        return change(self, source, step)

    monkeypatch.setattr(SharedLedger, "_change", counted)

    async def main() -> None:
        mine = machine("one")
        await asyncio.gather(*[mine.acquire(0.01) for _ in range(1000)])

    asyncio.run(main())
    assert len(changes) < 10
    assert sum(account(redis_server).granted.values()) == pytest.approx(10, abs=0.1)


def test_a_lease_being_returned_cannot_be_spent_meanwhile(machine: Machine) -> None:
    async def main() -> None:
        mine = machine("one")
        for _ in range(8):
            await mine.acquire(1.0)  # leases of 1, 2, 4 and 8 units
        assert mine.spend(1.0)
        asking = asyncio.ensure_future(mine.acquire(10.0))
        await asyncio.sleep(0)
        assert not mine.spend(1.0)
        await asking

    asyncio.run(main())


def test_the_lease_of_a_cancelled_call_is_not_granted_twice(
    machine: Machine, redis_server: RedisServer
) -> None:
    async def main() -> float:
        mine = machine("one")
        spent = 0.0
        for _ in range(50):
            calls = [asyncio.ensure_future(mine.acquire(1.0)) for _ in range(3)]
            await asyncio.sleep(0)
            calls[0].cancel()
            done = await asyncio.gather(*calls, return_exceptions=True)
            spent += done.count(None)
        return spent

    made = asyncio.run(main())
    assert made >= 100
    assert sum(account(redis_server).granted.values()) >= made


# ------------------------------------------------------------------ exchanges that want peace


@paced
def test_a_pause_requested_by_an_exchange_holds_for_all_machines(
    sim: SimulatedExchange, connect: Factory, redis_server: RedisServer, tmp_path: Path
) -> None:
    one, other = (
        connect(sim, timeout=20, home=tmp_path / name, redis=calm(redis_server)) for name in "ab"
    )
    one.ticker("BTC/USDT")
    sim.faults.add(exchange="binance", status=429, retry_after=1000, times=1)
    with pytest.raises(md.ExchangeUnavailableError, match="asks for fewer requests"):
        one.quote("BTC/USDT")
    told(shared_ledger(tmp_path / "a" / "budget.sqlite", calm(redis_server)))
    sim.forget()

    for client in (other, one):
        with pytest.raises(md.ExchangeUnavailableError, match="budget of these machines") as caught:
            client.ticker("BTC/USDT")
        assert 900 < (caught.value.retry_after or 0) <= 1000
    assert sim.requests == []


def test_a_block_during_a_request_for_a_lease_ends_it(machine: Machine) -> None:
    async def main() -> None:
        mine = machine("one")
        await mine.acquire(1.0)
        mine._since = -1e9
        asking = asyncio.ensure_future(within(30, "binance", mine.acquire(1.0)))
        await asyncio.sleep(0)
        told(ledger_of(mine))  # it is granted, but does not know yet
        mine.block(100)
        with pytest.raises(ExchangeUnavailableError):
            await asking
        assert not mine.spend(0.0)

    asyncio.run(main())


@pytest.mark.parametrize("limit", [MINUTE, SPACED])
def test_a_block_outlives_the_loss_of_redis_and_its_return(
    machine: Machine, redis_server: RedisServer, limit: Limit
) -> None:
    one, other = machine("one", limit), machine("other", limit)
    assert refused(one) is None
    assert refused(other) is None
    other.block(100)
    told(ledger_of(other))
    assert 98 < (refused(one) or 0) <= 100
    redis_server.kill()
    assert 97 < (refused(one) or 0) <= 100
    one.block(200)
    assert 197 < (refused(one) or 0) <= 200

    redis_server.start()
    is_back(one)
    assert 190 < (refused(one) or 0) <= 200
    assert 190 < (refused(other) or 0) <= 200
    assert sum(account(redis_server).blocked) == pytest.approx(time.time() + 200, abs=20)


def test_the_used_weight_of_the_exchange_counts_for_all(machine: Machine) -> None:
    one, other = machine("one"), machine("other")
    asyncio.run(one.acquire(1.0))
    one.correct(0.85)
    told(ledger_of(one))
    assert spent(other, 1.0) == pytest.approx(0.05 * 1200, abs=1)
