"""Simulated exchanges for the server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from inside import unpaced

from marketdata import AsyncClient
from marketdata.sim import SimulatedExchange


@pytest.fixture(autouse=True, scope="module")
def unhurried() -> Iterator[None]:
    """Requests of this process without a budget, which no simulated exchange needs."""
    with pytest.MonkeyPatch.context() as patch:
        unpaced.requests(patch)
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared MARKETDATA_HOME, so that lists of pairs are requested once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def simulator() -> Iterator[SimulatedExchange]:
    """Exchanges with a dozen pairs each."""
    with SimulatedExchange(seed=3) as started:
        yield started


@pytest.fixture(scope="session")
def crowd() -> Iterator[SimulatedExchange]:
    """Exchanges with 2,000 pairs each."""
    with SimulatedExchange(seed=3, pairs=2000) as started:
        yield started


@pytest.fixture
def connect(tmp_path: Path) -> Callable[[SimulatedExchange], AsyncClient]:
    """Return a function that makes a client of a simulator."""

    def client(simulator: SimulatedExchange) -> AsyncClient:
        return AsyncClient(endpoints=simulator.endpoints, home=tmp_path, retries=0)

    return client
