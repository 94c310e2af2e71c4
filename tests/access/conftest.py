"""Exchanges, a shared Redis and servers in this process, for tests of access control."""

import itertools
import json
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from access_doors import DEBUGGING, Desk, Server, finish, serving
from access_gate import Gated, Serve, gated
from inside import unpaced
from redis_server import RedisServer

from marketdata.sim import SimulatedExchange


@pytest.fixture(autouse=True, scope="module")
def unhurried() -> Iterator[None]:
    """Requests of this process without a budget, which no simulated exchange needs."""
    with pytest.MonkeyPatch.context() as patch:
        unpaced.requests(patch)
        yield


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatedExchange]:
    """Exchanges with a dozen pairs each."""
    with SimulatedExchange(seed=3) as started:
        yield started


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis that the tests of a file share; what they keep there has names of its own."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers of a file keep lists of pairs; accounts have a folder each below it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def serve(home: Path, simulator: SimulatedExchange) -> Serve:
    """Return a function that lets a coroutine have a server of its own, in this process."""

    def run(work: Callable[[Gated], Awaitable[None]], **more: Any) -> None:
        async def served() -> None:
            folder = Path(tempfile.mkdtemp(dir=home))
            async with gated(folder, simulator, **more) as server:
                await work(server)

        finish(served())

    return run


@pytest.fixture(scope="module")
def desk(home: Path) -> Desk:
    """The operator of `server`."""
    return Desk.at(home)


@pytest.fixture(scope="module")
def server(home: Path, simulator: SimulatedExchange) -> Iterator[Server]:
    """A server process that asks the simulator, and logs all that there is to log."""
    variables = {
        "MARKETDATA_ENDPOINTS": json.dumps(simulator.endpoints),
        "MARKETDATA_EXCHANGE": "binance",
        "MARKETDATA_RETRIES": "0",
    }
    with serving(home, "--sse", "--log-json", program=DEBUGGING, **variables) as started:
        yield started


_names = (f"account{n}" for n in itertools.count())


@pytest.fixture
def name() -> str:
    """An account's name that nobody has yet."""
    return next(_names)
