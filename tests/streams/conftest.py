"""Simulated exchanges with a frozen clock, and short time limits on request."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from inside import unpaced
from inside.streams import feed, upstream
from waiting import until

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import NOW, open_sockets

SEED = 7


@pytest.fixture(scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, _home: Path) -> Path:
    """An environment without settings of ours, and a home that only these tests share."""
    for name in list(os.environ):
        if name.startswith("MARKETDATA_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MARKETDATA_HOME", str(_home))
    return _home


@pytest.fixture(autouse=True)
def unhurried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests and messages without a budget, which no simulated exchange needs.

    Messages of tests marked ``paced`` keep it.
    """

    unpaced.requests(monkeypatch)
    if "paced" not in request.keywords:
        unpaced.messages(monkeypatch)


@pytest.fixture(scope="session")
def _started(_home: Path) -> Iterator[SimulatedExchange]:
    with SimulatedExchange(seed=SEED, now=NOW, frozen=True) as started:
        # A test's short time is not for imports, lists of pairs and the making of prices.
        with md.Client(list(started.endpoints), endpoints=started.endpoints, home=_home) as client:
            for exchange in started.endpoints:
                client.orderbook("BTC/USDT", 1, exchange=exchange)
        yield started


@pytest.fixture
def sim(_started: SimulatedExchange) -> Iterator[SimulatedExchange]:
    """All four exchanges, without faults and with a clock that stands still at NOW.

    The server is the same for all tests, since its prices take time to make.
    """
    _started.faults.clear()
    _started.hang_up()
    _started.clock.move(NOW)
    _started.forget()
    yield _started
    _started.faults.clear()
    until(lambda: not open_sockets(_started), what=lambda: open_sockets(_started))


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Makes streams take a silence of so many seconds for a fault."""

    def shorten(seconds: float) -> None:
        monkeypatch.setattr(feed, "_LEAST_PATIENCE", seconds)
        monkeypatch.setattr(feed, "_QUIET_PATIENCE", seconds)
        monkeypatch.setattr(feed, "_LOOSE", 0.0)
        monkeypatch.setattr(upstream, "LOOKS_EVERY", seconds / 10)

    return shorten
