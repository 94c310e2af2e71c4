"""Keys and passwords are only in the requests that need them."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from access_doors import DEBUGGING, Desk, bearer, call, request, send, serving
from inside.exchanges import connector_class

from marketdata import AsyncClient
from marketdata.errors import MarketDataError
from marketdata.sim import SimulatedExchange

from .asking import ASKED, MORE, PAIR, Case, World, spot
from .canaries import (
    API_KEY,
    LOGIN,
    REDIS,
    USER,
    forms,
    found_below,
    found_in,
    plant,
    shown,
)
from .loopback import SMALL, Body, beside

REPEATED = [
    Body(f"{status} that repeats", status=status, repeats=True) for status in (200, 401, 500)
]
FAILING = Body("500 that repeats", status=500, repeats=True)
REDIS_URL = f"redis://:{REDIS}@127.0.0.1:9/0"  # where nobody listens


class Log(logging.Handler):
    """Keeps all that is logged, as text and as it was given."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {record.getMessage()} {record.args!r} {record.exc_info}")


@pytest.fixture
def log() -> Any:
    """Whatever any logger has to say, however unimportant."""
    handler, root = Log(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


def signing(names: tuple[str, ...]) -> list[str]:
    """Name exchanges that tell an account's fees and take its key in a plain form."""
    found = []
    for name in names:
        api = connector_class(name)()
        plain = {"apiKey", "secret"} == {
            one for one, is_so in api.requiredCredentials.items() if is_so
        }
        if plain and (api.has.get("fetchTradingFee") is True):
            found.append(name)
    return found


def shown_of(cases: list[Case]) -> list[str]:
    """Return which secrets the calls' answers and errors show."""
    found = []
    for case in cases:
        parts = shown(case.came) if isinstance(case.came, BaseException) else [repr(case.came)]
        found += found_in(f"what {case.exchange} {case.operation} came to", "\n".join(parts))
    return found


def test_no_operation_shows_them_whatever_is_answered(
    home: Path, monkeypatch: pytest.MonkeyPatch, log: Log, capfd: Any
) -> None:
    names = spot(home)
    plant(monkeypatch, names)
    sent: list[str] = []

    async def ask() -> list[Case]:
        cases = []
        async with World.begun(home, names, LOGIN, redis=REDIS_URL) as world:
            for body in (*REPEATED, SMALL[0]):
                for asked in (("fees", PAIR), ("ticker", PAIR), ("trades", PAIR), ("status", {})):
                    cases += await world.asks_all(body, [asked])
                    sent.append(world.loopback.last)
            for asked in ASKED + MORE:
                cases.append(await world.asks(names[-1], *asked))
            here = await world.client._session.connections()
            venues = [await here.venue(name) for name in names]
            reprs = [world.client, world.client.settings, world.client.settings.model_dump_json()]
            reprs += [here, *venues, *(venue._api for venue in venues)]
            reprs += [vars(world.client.settings), world.client.upstream()]
            assert found_in("what is printed", "\n".join(map(repr, reprs))) == []
        return cases

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        cases = asyncio.run(ask())
        gc.collect()

    # They were sent, or there is nothing to be found.
    assert found_in("requests", "\n".join(sent))
    assert sum(one.operation == "fees" and one.requests > 0 for one in cases) > 100
    assert shown_of(cases) == []
    assert found_in("warnings", repr([one.message for one in warned])) == []
    assert found_in("the log", "\n".join(log.lines)) == []
    assert found_in("what was printed", "".join(capfd.readouterr())) == []
    assert found_below(home) == []
    assert (home / "catalogue.sqlite").exists()


def test_what_hangs_shows_nothing(home: Path, monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    names = tuple(signing(spot(home))[:3])
    plant(monkeypatch, names)

    async def ask() -> list[Case]:
        async with World.begun(home, names, LOGIN, timeout=0.3) as world:
            return await world.asks_all(Body("nothing ever", hangs=True), [("fees", PAIR)])

    cases = asyncio.run(ask())
    assert {one.came.code for one in cases} == {"EXCHANGE_UNAVAILABLE"}
    assert shown_of(cases) == []
    assert found_in("the log", "\n".join(log.lines)) == []


def test_recordings_streams_and_good_answers_show_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, log: Log, tmp_path: Path
) -> None:
    file = home / "day.gz"
    home.mkdir()

    async def work(endpoints: dict[str, str]) -> list[Any]:
        came: list[Any] = []
        async with AsyncClient(endpoints=endpoints, home=home, timeout=20) as client:
            for name in endpoints:
                came.append(await client.ticker("BTC/USDT", exchange=name))
                came.append(await client.fees("BTC/USDT", exchange=name) if not came[1:] else None)
                async for record in client.watch_ticker("BTC/USDT", exchange=name):
                    came.append(record)
                    break
            came += client.streams() + client.upstream()
            ends = asyncio.create_task(
                client.record(["BTC/USDT"], file, exchange=name, seconds=0.5)
            )
            came.append(await ends)
        return came

    with SimulatedExchange(seed=3) as simulator:
        hosts = dict(list(simulator.endpoints.items())[:2])
        hosts = {name: url.replace("//", f"//{LOGIN}") for name, url in hosts.items()}
        plant(monkeypatch, list(hosts)[1:])
        came = asyncio.run(work(hosts))

    assert found_in("answers", repr(came)) == []
    assert file.stat().st_size > 100
    assert found_below(home) == []
    assert found_in("the log", "\n".join(log.lines)) == []


def test_the_command_shows_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [name, *_] = signing(spot(home))
    plant(monkeypatch, [name])
    monkeypatch.setenv("MARKETDATA_REDIS", REDIS_URL)
    monkeypatch.setenv("MARKETDATA_RETRIES", "0")
    with beside(FAILING) as loopback:
        url = f"{loopback.url}/{name}".replace("//", f"//{LOGIN}")
        monkeypatch.setenv("MARKETDATA_ENDPOINTS", json.dumps({name: url}))
        asyncio.run(_list_pairs(home, name, url))
        said = [
            _said("fees", "BTC/USDT", "--exchange", name, "--debug"),
            _said("ticker", "BTC/USDT", "--exchange", name, "--format", "json"),
            _said("status", "--exchange", name),
        ]
        assert loopback.requests[name] >= 2

    assert "Traceback" in said[0]
    for one in said:
        assert name in one
        assert found_in("what the command said", one) == []
    assert found_below(home) == []


async def _list_pairs(home: Path, name: str, url: str) -> None:
    from inside.markets import Lists

    from .asking import markets

    endpoint = AsyncClient(endpoints={name: url}, home=home).settings.endpoints[name]
    Lists(home).plant(name, markets(name), endpoint=endpoint)


def _said(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "marketdata_cli", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=dict(os.environ),
    )
    return done.stdout + done.stderr


def test_the_server_shows_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [name, *_] = signing(spot(home))
    plant(monkeypatch, [name])
    keys = {one: value for one, value in os.environ.items() if one.endswith(_FIELDS)}
    key = Desk.at(home).newcomer("somebody")
    with beside(FAILING) as loopback:
        url = f"{loopback.url}/{name}".replace("//", f"//{LOGIN}")
        asyncio.run(_list_pairs(home, name, url))
        variables = {
            **keys,
            "MARKETDATA_ENDPOINTS": json.dumps({name: url}),
            "MARKETDATA_EXCHANGE": name,
            "MARKETDATA_RETRIES": "0",
        }
        with serving(home, "--log-json", program=DEBUGGING, **variables) as server:
            said = []
            for tool in ("get_fees", "get_ticker", "get_orderbook", "get_exchange_status"):
                arguments = {} if tool.endswith("status") else PAIR
                for modern in (True, False):
                    told = call(server.url, key, tool, modern=modern, exchange=name, **arguments)
                    said.append(f"{told.status} {told.headers} {told.text}")
            told = send(
                server.url,
                "resources/read",
                {"uri": f"market://{name}/BTC-USDT/ticker"},
                headers=bearer(key),
            )
            said += [told.text, request(f"{server.root}/readyz").text]
            metrics = request(f"{server.root}/metrics").text
            server.stop()
            lines = list(server.lines)
        assert loopback.requests[name] >= 3
        doctor = _doctor(home, variables)

    among = forms((key[-20:], key, API_KEY, USER, *_PLANTED))
    for where, text in (
        ("answers", "\n".join(said)),
        ("metrics", metrics),
        ("the log", "".join(lines)),
        ("what the doctor said", doctor),
    ):
        assert text
        assert found_in(where, text, among) == []
    assert "EXCHANGE_UNAVAILABLE" in "\n".join(said)
    assert found_below(home, among) == []


_FIELDS = ("_API_KEY", "_SECRET", "_PASSWORD")
_PLANTED = (REDIS,)


def _doctor(home: Path, variables: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "marketdata_mcp", "doctor", "--json", "--redis", REDIS_URL],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "MARKETDATA_HOME": str(home), **variables},
    )
    return done.stdout + done.stderr


def test_a_wrong_setting_is_refused_without_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in (
        ("MARKETDATA_REDIS", f"http://:{REDIS}@127.0.0.1"),
        ("MARKETDATA_ENDPOINTS", json.dumps({"x": f"ftp://{LOGIN}127.0.0.1"})),
        ("MARKETDATA_ENDPOINTS", f"{{{LOGIN}"),
    ):
        monkeypatch.setenv(variable, value)
        with pytest.raises(MarketDataError) as caught:
            AsyncClient()
        assert found_in(variable, "\n".join(shown(caught.value, with_locals=False))) == []
        monkeypatch.delenv(variable)
