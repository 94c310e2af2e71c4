"""Whether an exchange responds, how fast, its own state, and its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from waiting import soon as until

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .derivation import Open
from .gate import client_of, let_all_time_pass
from .gateway import Gateway
from .markets import DIALECTS
from .other_exchanges import HANG, bitso

STATES = {
    "binance": "*/system/status",
    "kraken": "*/SystemStatus",
    "okx": "*/system/status",
}


@pytest.fixture
def on_time(sim: SimulatedExchange) -> SimulatedExchange:
    """The simulated exchange with a clock like ours."""
    sim.clock.move(datetime.now(UTC))
    return sim


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_healthy_exchange(on_time: SimulatedExchange, connect: Factory, exchange: str) -> None:
    status = connect(on_time).status(exchange=exchange)

    assert (status.exchange, status.reachable, status.code) == (exchange, True, None)
    assert status.maintenance is (None if exchange == "coinbaseexchange" else False)
    assert status.latency_ms is not None
    assert 0 < status.latency_ms < 20_000
    assert status.server_time == status.timestamp
    assert status.received_at.tzinfo is UTC
    assert status.simulated is True


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("hours", [-5000, -1, 0, 1, 5000])
def test_the_offset_of_the_exchanges_clock(
    sim: SimulatedExchange, connect: Factory, exchange: str, hours: int
) -> None:
    theirs = datetime.now(UTC) + timedelta(hours=hours)
    sim.clock.move(theirs)
    status = connect(sim).status(exchange=exchange)

    # Kraken's time has whole seconds; the clock stands still while the test runs.
    assert status.server_time is not None
    assert abs(status.server_time - theirs) <= timedelta(seconds=1)
    assert status.clock_offset_ms is not None
    assert abs(status.clock_offset_ms - hours * 3_600_000) < 30_000


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 451}, {"status": 429}, {"drop": "request"}], ids=str
)
def test_an_exchange_that_is_down_is_reported_and_not_raised(
    sim: SimulatedExchange, connect: Factory, exchange: str, fault: dict[str, Any]
) -> None:
    sim.faults.add(exchange=exchange, **fault)
    status = connect(sim).status(exchange=exchange)

    assert (status.reachable, status.code) == (False, "EXCHANGE_UNAVAILABLE")
    assert (status.latency_ms, status.server_time, status.clock_offset_ms) == (None, None, None)
    assert status.timestamp.tzinfo is UTC
    assert {"latencyMs", "serverTime", "maintenance"} & set(status.to_dict()) == set()


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_hanging_exchange_is_reported_in_time(
    sim: SimulatedExchange, connect: Factory, exchange: str
) -> None:
    sim.faults.add(exchange=exchange, hang=True)
    status = connect(sim, timeout=1).status(exchange=exchange)

    assert (status.reachable, status.code) == (False, "EXCHANGE_UNAVAILABLE")


@pytest.mark.parametrize("exchange", [*DIALECTS, "bitso"])
def test_a_call_without_time_left_is_still_reported(
    sim: SimulatedExchange, speaking: Open, exchange: str
) -> None:
    if exchange == "bitso":
        _, server = speaking("bitso", {**bitso("btc_mxn"), "*/order_book": lambda _: HANG})
        client = md.AsyncClient("bitso", endpoints={"bitso": server.url})

        def is_asked() -> bool:
            return server.paths()[-1:] == ["order_book"]
    else:
        sim.faults.add(exchange=exchange, hang=True)
        client = client_of(sim, exchange)

        def is_asked() -> bool:
            return bool(sim.requests)

    async def main() -> md.Status:
        async with client:
            call = asyncio.create_task(client.status())
            await until(is_asked)
            let_all_time_pass()
            return await call

    status = asyncio.run(main())
    assert (status.exchange, status.reachable) == (exchange, False)
    assert (status.code, status.reason) == ("EXCHANGE_UNAVAILABLE", "timed_out")
    assert status.derived is (True if exchange == "bitso" else None)


def test_rows_have_the_error_of_an_exchange_without_time_left(sim: SimulatedExchange) -> None:
    calls: dict[str, Callable[[md.AsyncClient], Awaitable[Any]]] = {
        "compare": lambda client: client.compare("BTC/USDT"),
        "book": lambda client: client.consolidated_orderbook("BTC/USDT"),
        "cost": lambda client: client.execution_cost("BTC/USDT", side="buy", amount=1),
    }

    async def main() -> dict[str, Any]:
        found = {}
        async with client_of(sim, ["binance", "kraken"]) as client:
            for exchange in ("binance", "kraken"):
                await client.pairs(exchange=exchange)
            sim.faults.add(exchange="binance", hang=True)
            for name, ask in calls.items():
                sim.forget()
                call = asyncio.create_task(ask(client))
                await until(
                    lambda: (
                        len(sim.requests) > 1
                        and [one.under_way for one in client.upstream()] == [1, 0]
                    )
                )
                let_all_time_pass()
                found[name] = await call
        return found

    found = asyncio.run(main())
    for name, rows in (
        ("compare", found["compare"].rows),
        ("book", found["book"].sources),
        ("cost", found["cost"].sources),
    ):
        assert {one.exchange: one.code for one in rows} == {
            "binance": "EXCHANGE_UNAVAILABLE",
            "kraken": None,
        }, name


@pytest.mark.parametrize("exchange", DIALECTS)
def test_an_exchange_with_unusable_responses_is_reported(
    sim: SimulatedExchange, connect: Factory, exchange: str
) -> None:
    sim.faults.add(exchange=exchange, body="html")
    status = connect(sim).status(exchange=exchange)

    assert (status.reachable, status.code) == (False, "DATA_UNAVAILABLE")


def test_a_missing_server_is_reported(connect: Factory) -> None:
    with SimulatedExchange() as sim:
        client = connect(sim)
    status = client.status()

    assert (status.reachable, status.code) == (False, "EXCHANGE_UNAVAILABLE")
    assert status.simulated is None


@pytest.mark.parametrize("exchange", STATES)
def test_one_of_two_responses_is_enough(
    sim: SimulatedExchange, connect: Factory, exchange: str
) -> None:
    sim.faults.add(exchange=exchange, path=STATES[exchange], status=500)
    status = connect(sim).status(exchange=exchange)
    assert (status.reachable, status.maintenance) == (True, None)
    assert status.clock_offset_ms is not None

    sim.faults.clear()
    sim.faults.add(exchange=exchange, path="*ime", status=500)
    status = connect(sim).status(exchange=exchange)
    assert (status.reachable, status.maintenance) == (True, False)
    assert status.clock_offset_ms is None


@pytest.mark.parametrize(
    ("exchange", "answer"),
    [
        ("binance", {"status": 1, "msg": "system_maintenance"}),
        (
            "kraken",
            {"error": [], "result": {"status": "maintenance", "timestamp": "2024-05-01T12:00:00Z"}},
        ),
        (
            "okx",
            {
                "code": "0",
                "msg": "",
                "data": [
                    {
                        "begin": "1",
                        "end": "9999999999999",
                        "state": "ongoing",
                        "title": "maintenance",
                        "serviceType": "5",
                        "system": "unified",
                        "scheDesc": "",
                        "href": "",
                    }
                ],
            },
        ),
    ],
)
def test_maintenance_is_reported(
    gateway: Gateway, connect: Factory, exchange: str, answer: Any
) -> None:
    gateway.answer(STATES[exchange], answer)
    status = connect(gateway).status(exchange=exchange)

    assert (status.reachable, status.maintenance) == (True, True)


def test_the_default_is_the_first_exchange(sim: SimulatedExchange, connect: Factory) -> None:
    sim.faults.add(exchange="kraken", status=500)
    status = connect(sim, ["kraken", "binance"]).status()

    assert (status.exchange, status.reachable) == ("kraken", False)
    assert {request.exchange for request in sim.requests} == {"kraken"}


def test_a_status_does_not_mark_an_exchange_as_failed(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim, ["kraken", "binance"])
    sim.faults.add(exchange="kraken", status=500)
    assert client.status().reachable is False
    sim.faults.clear()

    assert client.ticker("BTC/USDT").exchange == "kraken"
