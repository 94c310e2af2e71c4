"""Exchanges that replay what a test writes, clients of them, and a separate store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inside import unpaced
from library.gateway import Gateway
from library.markets import DIALECTS, record

import marketdata as md
from marketdata.sim import SimulatedExchange

from .tapes import at, minutes

Play = Callable[..., SimulatedExchange]
Connect = Callable[..., md.Client]
Before = Callable[[SimulatedExchange], Gateway]


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without our settings, and a separate home for the test."""
    for name in list(os.environ):
        if name.startswith(("MARKETDATA_", "AWS_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("MARKETDATA_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests without a budget, which no simulated exchange needs."""
    unpaced.requests(monkeypatch)


@pytest.fixture(scope="module")
def _made() -> dict[str, SimulatedExchange]:
    """The exchanges that a file's tests have started, by recording: tapes take time to read."""
    return {}


@pytest.fixture
def play(
    _made: dict[str, SimulatedExchange], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Play]:
    """Starts exchanges that replay a number of minutes, except gaps; see `minutes`.

    ``others`` are more pairs and their gaps; ``now`` is where the clock stands, in minutes. Each
    test has servers, faults and requests of its own; what was read of tapes is shared.
    """
    started: list[SimulatedExchange] = []

    def start(
        exchange: str,
        length: int,
        *gaps: tuple[int, int],
        now: int | None = None,
        pair: str = "BTC/USDT",
        others: dict[str, list[tuple[int, int]]] | None = None,
        **more: Any,
    ) -> SimulatedExchange:
        pairs = {pair: gaps, **(others or {})}
        clock = at(length if now is None else now)
        played = repr((len(started), exchange, length, pairs, clock, more))
        if played not in _made:
            folder = tmp_path_factory.mktemp("tapes")
            tapes = [
                record(folder, minutes(0, length, *left_out), f"{exchange}_{name}-1m.csv")
                for one, left_out in pairs.items()
                for name in [one.replace("/", "_")]
            ]
            _made[played] = SimulatedExchange(tape=tapes, now=clock, frozen=True, **more)
        sim = _made[played]
        sim.clock.move(clock)
        started.append(sim.__enter__())
        return sim

    yield start
    for sim in started:
        sim.__exit__(None, None, None)
        sim.faults.clear()
        sim.forget()


@pytest.fixture
def before() -> Iterator[Before]:
    """Puts servers before exchanges, which change their answers."""
    started: list[Gateway] = []

    def start(sim: SimulatedExchange) -> Gateway:
        started.append(Gateway(sim.url).__enter__())
        return started[-1]

    yield start
    for gateway in started:
        gateway.__exit__(None, None, None)


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients of the exchanges at a URL, and closes them at the end."""
    made: list[md.Client] = []

    def connect(
        to: SimulatedExchange | Gateway, exchange: Any = "binance", **more: Any
    ) -> md.Client:
        more.setdefault("retries", 0)
        made.append(md.Client(exchange, endpoints=dict.fromkeys(DIALECTS, to.url), **more))
        return made[-1]

    yield connect
    for client in made:
        client.close()


_MOTO = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """The address of a server that speaks S3."""
    with subprocess.Popen(
        [sys.executable, "-c", _MOTO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


@pytest.fixture
def bucket(
    object_store: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> str:
    """The URL of a new bucket's folder; the environment says how to get there, as it would."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", object_store)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    name = f"bars-{abs(hash(request.node.nodeid))}"
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=name)
    return f"s3://{name}/candles"


@pytest.fixture(scope="session")
def recorded(request: pytest.FixtureRequest) -> Path:
    """The folder of recorded candles, which are not part of the project."""
    folder = request.config.getoption("--recorded")
    if not folder:
        pytest.skip("needs the folder of recorded data: --recorded DIR or MARKETDATA_RECORDED")
    return Path(folder) / "candles"
