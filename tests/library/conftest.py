"""Clients of the library, connected to simulated exchanges over real sockets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inside import unpaced
from inside.requests import Ledger
from redis_server import RedisServer

import marketdata as md
from marketdata._requests import rate_ledger_redis, redis
from marketdata.sim import SimulatedExchange

from .derivation import Open
from .gateway import Gateway
from .machines import Machine, machines
from .markets import DIALECTS, NOW, SEED
from .other_exchanges import OtherExchange
from .programs import said

Factory = Callable[..., md.Client]
Run = Callable[..., str]


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without settings of ours, and a home of the test's own."""
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
    """All four exchanges, without faults and with a clock that stands still at NOW.

    The server is the same for all tests, since its prices take time to make; nothing that a test
    can do to it outlives the test.
    """
    _started.faults.clear()
    _started.clock.move(NOW)
    _started.forget()
    return _started


@pytest.fixture
def gateway(sim: SimulatedExchange) -> Iterator[Gateway]:
    """A server in front of ``sim`` that can change its answers."""
    with Gateway(sim.url) as started:
        yield started


@pytest.fixture
def connect() -> Iterator[Factory]:
    """Makes clients of the simulated exchanges at an address, and closes them at the end."""
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
    """Runs a program with all warnings as errors, and gives what it printed.

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
def redis_server(redis_server: RedisServer) -> Iterator[RedisServer]:
    """An empty Redis, to which nobody keeps a connection in the end."""
    yield redis_server
    rate_ledger_redis.shared_ledger.cache_clear()
    redis.shared.cache_clear()


@pytest.fixture
def machine(redis_server: RedisServer, tmp_path: Path) -> Machine:
    """Makes budgets of machines that share ``redis_server``."""
    return machines(tmp_path, redis_server)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a budget of requests is kept."""
    return tmp_path / "home" / "budget.sqlite"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whose account was changed, each time one was."""
    sources: list[str] = []
    change = Ledger.change

    def counted(self: Ledger, source: str, *more: Any) -> Any:
        sources.append(source)
        return change(self, source, *more)

    monkeypatch.setattr(Ledger, "change", counted)
    return sources


@pytest.fixture
def speaking() -> Iterator[Open]:
    """Makes a server that speaks as an exchange does, and a client that asks it."""
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
