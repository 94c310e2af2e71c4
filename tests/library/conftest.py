"""Clients of the library, connected to simulated exchanges over real sockets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from inside import unpaced
from inside.requests import Ledger
from redis_server import RedisServer
from waiting import until

import marketdata as md
from marketdata._requests import rate_ledger_redis, redis
from marketdata.sim import SimulatedExchange

from .derivation import Open
from .gateway import Gateway
from .machines import Machine, machines
from .markets import DIALECTS, NOW, SEED
from .other_exchanges import OtherExchange
from .programs import said

T = TypeVar("T")
Factory = Callable[..., md.Client]
Run = Callable[..., str]


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without our settings, and a separate home for the test."""
    for name in list(os.environ):
        if name.startswith("MARKETDATA_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("MARKETDATA_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def unhurried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests without a budget, which no simulated exchange needs.

    Tests marked ``paced`` keep it.
    """

    if "paced" not in request.keywords:
        unpaced.requests(monkeypatch)


@pytest.fixture(scope="session")
def _started() -> Iterator[SimulatedExchange]:
    with SimulatedExchange(seed=SEED, now=NOW, frozen=True) as started:
        yield started


@pytest.fixture
def sim(_started: SimulatedExchange) -> SimulatedExchange:
    """All four exchanges, without faults and with a clock that is frozen at NOW.

    The server is the same for all tests, since its prices take time to make; nothing that a test
    can do to it outlives the test.
    """
    _started.faults.clear()
    _started.clock.move(NOW)
    _started.forget()
    return _started


@pytest.fixture
def gateway(sim: SimulatedExchange) -> Iterator[Gateway]:
    """A server in front of ``sim`` that can change its responses."""
    with Gateway(sim.url) as started:
        yield started


@pytest.fixture
def connect() -> Iterator[Factory]:
    """Makes clients of the simulated exchanges at a URL, and closes them at the end."""
    made: list[md.Client] = []

    def connect(to: SimulatedExchange | Gateway, exchange: Any = "binance", **more: Any):
        endpoints = dict.fromkeys(DIALECTS, to.url)
        more.setdefault("retries", 0)
        client = md.Client(exchange, endpoints=endpoints | more.pop("endpoints", {}), **more)
        made.append(client)
        return client

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def client(sim: SimulatedExchange, connect: Factory) -> md.Client:
    """A client of ``sim``, binance by default."""
    return connect(sim)


@pytest.fixture
def python(sim: SimulatedExchange) -> Run:
    """Runs a program with all warnings as errors, and returns its output.

    It fails when the program does, or when it writes anything to stderr. MARKETDATA_ENDPOINTS
    holds the addresses of ``sim``.
    """

    def run(program: str, *arguments: str, code: int = 0, **environment: str) -> str:
        done = subprocess.run(
            [
                sys.executable,
                "-X",
                "dev",
                "-W",
                "error",
                "-c",
                textwrap.dedent(program),
                *arguments,
            ],
            env={
                **os.environ,
                "MARKETDATA_ENDPOINTS": json.dumps(sim.endpoints),
                # A new process on a busy machine may take longer than an exchange is given.
                "MARKETDATA_TIMEOUT": "50",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, said(done.stderr)) == (code, "")
        return done.stdout

    return run


@pytest.fixture
def redis_server(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisServer]:
    """An empty Redis; at the end no connection to it is left."""
    workers: list[ThreadPoolExecutor] = []
    shared: list[redis.SharedRedis] = []
    monkeypatch.setattr(
        rate_ledger_redis, "ThreadPoolExecutor", _keeping(ThreadPoolExecutor, workers)
    )
    monkeypatch.setattr(redis, "SharedRedis", _keeping(redis.SharedRedis, shared))
    yield redis_server
    rate_ledger_redis.shared_ledger.cache_clear()
    redis.shared.cache_clear()
    # The collector of garbage would close sockets before the clients that own them.
    for worker in workers:
        worker.shutdown()
    for one in shared:
        until(lambda one=one: not one._looking)
        if one._client is not None:
            one._client.connection_pool.disconnect()


def _keeping(make: Callable[..., T], made: list[T]) -> Callable[..., T]:
    def making(*arguments: Any, **more: Any) -> T:
        made.append(make(*arguments, **more))
        return made[-1]

    return making


@pytest.fixture
def machine(redis_server: RedisServer, tmp_path: Path) -> Machine:
    """Makes budgets of machines that share ``redis_server``."""
    return machines(tmp_path, redis_server)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A store of a request budget."""
    return tmp_path / "home" / "budget.sqlite"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The changed accounts, in order."""
    sources: list[str] = []
    change = Ledger.change

    def counted(self: Ledger, source: str, *more: Any) -> Any:
        sources.append(source)
        return change(self, source, *more)

    monkeypatch.setattr(Ledger, "change", counted)
    return sources


@pytest.fixture
def speaking() -> Iterator[Open]:
    """Makes a server with the format of an exchange, and a client of it."""
    made: list[Any] = []

    def speaking(name: str, routes: dict[str, Any], **more: Any) -> tuple[md.Client, OtherExchange]:
        server = OtherExchange(routes, more.pop("date", None)).__enter__()
        made.append(server)
        more.setdefault("retries", 0)
        client = md.Client(name, endpoints={name: server.url}, **more)
        made.append(client)
        return client, server

    yield speaking
    for one in reversed(made):
        one.__exit__(None, None, None)
