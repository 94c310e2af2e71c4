"""An exchange that keeps failing is paused, and tried again later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from waiting import soon as until

import marketdata as md
from marketdata._requests import circuit_breaker
from marketdata._requests.circuit_breaker import Breaker
from marketdata.sim import SimulatedExchange

from .gate import Gate, client_of, failure, told

TICKERS = "*/24hr"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(sim: SimulatedExchange) -> Iterator[Gate]:
    with Gate(sim.url) as started:
        yield started


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that begin with a twentieth of a second."""
    monkeypatch.setattr(circuit_breaker, "_FIRST_PAUSE", 0.05)


# ------------------------------------------------------------------ the breaker itself


def refused(breaker: Breaker) -> float | None:
    """How long it has an attempt wait that wants to go out now."""
    if breaker.wait == 0:
        breaker.check()
        return None
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        breaker.check()
    assert caught.value.retryable
    assert caught.value.details == {"exchange": "x", "reason": "failing"}
    return caught.value.retry_after


def test_only_consecutive_failures_trip_it(clock: Clock) -> None:
    breaker = Breaker("x", 3, clock)
    for _ in range(5):
        breaker.failed(breaker.begin())
        breaker.failed(breaker.begin())
        breaker.answered(breaker.begin())
    assert (breaker.state, breaker.failures, refused(breaker)) == ("closed", 10, None)
    for _ in range(3):
        breaker.failed(breaker.begin())
    assert (breaker.state, breaker.failures, refused(breaker)) == ("open", 13, 1.0)


def test_without_a_limit_it_never_trips(clock: Clock) -> None:
    breaker = Breaker("x", None, clock)
    for _ in range(1000):
        breaker.failed(breaker.begin(), 60.0)
    assert (breaker.state, breaker.failures, breaker.wait) == ("closed", 1000, 0.0)


def test_pauses_double_up_to_a_minute(clock: Clock) -> None:
    breaker, pauses = Breaker("x", 1, clock), []
    for _ in range(9):
        breaker.failed(breaker.begin())
        pauses.append(breaker.wait)
        clock.now += breaker.wait - 0.001
        assert breaker.state == "open"
        assert refused(breaker) == pytest.approx(0.001)
        clock.now += 0.001
        assert breaker.state == "half-open"
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60])
    breaker.answered(breaker.begin())
    assert breaker.state == "closed"
    breaker.failed(breaker.begin())
    assert breaker.wait == pytest.approx(1)


@pytest.mark.parametrize(("asked", "pause"), [(0.2, 1), (30, 30), (1e9, 3600)])
def test_a_longer_pause_requested_by_the_exchange_is_kept(
    clock: Clock, asked: float, pause: float
) -> None:
    breaker = Breaker("x", 1, clock)
    breaker.failed(breaker.begin(), asked)
    assert breaker.wait == pytest.approx(pause)


def test_one_probe_is_sent_and_its_result_counts(clock: Clock) -> None:
    breaker = Breaker("x", 1, clock)
    early, late = breaker.begin(), breaker.begin()
    breaker.failed(breaker.begin())
    clock.now += 1
    breaker.check()
    probe = breaker.begin()
    assert (refused(breaker), breaker.state) == (1.0, "half-open")
    with pytest.raises(md.ExchangeUnavailableError):
        breaker.begin()
    # What was under way before says nothing of how it is now.
    breaker.answered(early)
    breaker.failed(late)
    assert breaker.state == "half-open"
    breaker.failed(probe)
    assert breaker.wait == pytest.approx(2)
    breaker.answered(probe)
    assert breaker.state == "open"


def test_a_probe_without_a_result_leaves_the_next_call_to_probe(clock: Clock) -> None:
    breaker = Breaker("x", 1, clock)
    breaker.failed(breaker.begin())
    clock.now += 1
    breaker.end(breaker.begin())
    assert refused(breaker) is None
    breaker.answered(breaker.begin())
    assert breaker.state == "closed"


# ------------------------------------------------------------------ calls that it stops


def test_after_the_limit_of_failures_calls_fail_at_once(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim, trip_after=3, retries=2) as client:
            await client.pairs()
            sim.faults.add(path=TICKERS, status=503, retry_after=0)
            sim.forget()
            tripped = await failure(client.ticker("BTC/USDT"))
            assert tripped.details == {
                "exchange": "binance",
                "httpStatus": 503,
                "reason": "server_error",
                "attempts": 3,
            }
            assert 0 < (tripped.retry_after or 0) <= 1
            for _ in range(3):
                error = await failure(client.orderbook("BTC/USDT"))
                assert (error.code, error.retryable) == ("EXCHANGE_UNAVAILABLE", True)
                assert 0 < (error.retry_after or 0) <= 1
                assert "in a row" in error.message
            assert len(sim.requests) == 3
            now = told(client)
            assert (now.breaker, now.failures, now.requests) == ("open", 3, 4)
            assert 0 < (now.retry_after or 0) <= 1

    asyncio.run(main())


def test_a_call_that_trips_it_is_not_retried(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim, trip_after=2, retries=5) as client:
            await client.pairs()
            sim.faults.add(path=TICKERS, status=503, retry_after=0)
            sim.forget()
            error = await failure(client.ticker("BTC/USDT"))
            assert error.details["attempts"] == len(sim.requests) == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 418},
        {"status": 429},
        {"drop": "body"},
        {"hang": True},
        {"body": "malformed"},
        {"body": "empty"},
    ],
)
def test_errors_that_count_as_failures(sim: SimulatedExchange, fault: dict[str, Any]) -> None:
    async def main() -> None:
        async with client_of(sim) as client:
            await client.pairs()
        async with client_of(sim, trip_after=2, timeout=0.3 if "hang" in fault else 30) as client:
            sim.faults.add(path=TICKERS, **fault)
            for state in ("closed", "open"):
                with pytest.raises(md.UpstreamError):
                    await client.ticker("BTC/USDT")
                assert told(client).breaker == state

    asyncio.run(main())


@pytest.mark.parametrize("fault", [{"status": 451}, {"status": 403}])
def test_errors_that_do_not_count_as_failures(
    sim: SimulatedExchange, fault: dict[str, Any]
) -> None:
    async def main() -> None:
        async with client_of(sim, trip_after=1) as client:
            sim.faults.add(path=TICKERS, **fault)
            for _ in range(3):
                with pytest.raises(md.MarketDataError):
                    await client.ticker("BTC/USDT")
            assert (told(client).breaker, told(client).failures) == ("closed", 0)

    asyncio.run(main())


def test_a_cancelled_call_is_no_failure(gate: Gate) -> None:
    async def main() -> None:
        async with client_of(gate, trip_after=1) as client:
            await client.pairs()
            gate.shut(TICKERS)
            for _ in range(3):
                before = len(gate.came)
                call = asyncio.create_task(client.ticker("BTC/USDT"))
                await until(lambda before=before: len(gate.came) > before)
                call.cancel()
                await asyncio.wait([call])
            assert (told(client).breaker, told(client).failures) == ("closed", 0)

    asyncio.run(main())


@pytest.mark.paced
def test_our_own_budget_is_no_failure_of_the_exchange(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim, trip_after=2, timeout=5) as client:
            await client.pairs()
            sim.faults.add(path=TICKERS, status=429, retry_after=60, times=1)
            await failure(client.ticker("BTC/USDT"))
            for _ in range(4):
                assert "budget" in (await failure(client.ticker("BTC/USDT"))).message
            assert (told(client).breaker, told(client).failures) == ("closed", 1)

    asyncio.run(main())


@pytest.mark.usefixtures("short_pauses")
def test_after_the_pause_one_call_probes(gate: Gate) -> None:
    async def main() -> None:
        async with client_of(gate, trip_after=1) as client:
            await client.pairs()
            gate.answer(TICKERS, {}, status=503)
            await failure(client.ticker("BTC/USDT"))
            await until(lambda: told(client).breaker == "half-open")
            gate.shut("*/depth")
            probe = asyncio.create_task(client.orderbook("BTC/USDT"))
            await until(lambda: gate.here)
            for _ in range(3):
                await failure(client.ticker("ETH/USDT"))
                await failure(client.orderbook("ETH/USDT"))
            assert (len(gate.came), told(client).breaker) == (1, "half-open")
            # The same question waits for the same answer.
            same = asyncio.create_task(client.orderbook("BTC/USDT"))
            await asyncio.sleep(0)
            gate.open()
            assert await probe == await same
            assert told(client).breaker == "closed"
            assert (await client.trades("BTC/USDT", limit=1))[0].pair == "BTC/USDT"

    asyncio.run(main())


@pytest.mark.usefixtures("short_pauses")
def test_a_cancelled_probe_lets_another_call_probe(gate: Gate) -> None:
    async def main() -> None:
        async with client_of(gate, trip_after=1) as client:
            await client.pairs()
            gate.answer(TICKERS, {}, status=503)
            await failure(client.ticker("BTC/USDT"))
            await until(lambda: told(client).breaker == "half-open")
            gate.shut("*/depth")
            probe = asyncio.create_task(client.orderbook("BTC/USDT"))
            await until(lambda: gate.here)
            probe.cancel()
            await asyncio.wait([probe])
            gate.open()
            assert (await client.orderbook("BTC/USDT")).pair == "BTC/USDT"
            assert told(client).breaker == "closed"

    asyncio.run(main())


@pytest.mark.usefixtures("short_pauses")
def test_a_long_download_waits_for_a_paused_exchange(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim, trip_after=1, retries=3) as client:
            await client.pairs()
            sim.faults.add(path="*/klines", status=503, retry_after=0, times=1)
            found = await client.candles(
                "BTC/USDT", "1h", start="2024-01-01", end="2024-05-01", store=False
            )
            assert (len(found), found.missing) == (2904, ())
            assert told(client).failures == 1

    asyncio.run(main())


# ------------------------------------------------------------------ the choice of an exchange


@pytest.mark.usefixtures("short_pauses")
def test_default_exchanges_skip_a_paused_one_and_return_to_it(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim, ["binance", "kraken"], trip_after=1) as client:
            await client.pairs(exchange="binance")
            sim.faults.add(exchange="binance", status=503)
            assert (await client.ticker("BTC/USDT")).exchange == "kraken"
            assert told(client).breaker != "closed"
            sim.faults.clear()
            await until(lambda: told(client).breaker == "half-open")
            # Without the breaker it would not be asked for half a minute.
            assert (await client.ticker("BTC/USDT")).exchange == "binance"
            assert told(client).breaker == "closed"

    asyncio.run(main())


def test_a_named_paused_exchange_is_not_replaced(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim, ["binance", "kraken"], trip_after=1) as client:
            sim.faults.add(exchange="binance", status=503)
            for _ in range(2):
                error = await failure(client.ticker("BTC/USDT", exchange="binance"))
                assert error.details["exchange"] == "binance"
            assert {one.exchange for one in sim.requests} == {"binance"}
            assert (await client.ticker("BTC/USDT")).exchange == "kraken"

    asyncio.run(main())


# ------------------------------------------------------------------ settings, and telling


@pytest.mark.parametrize("name", ["max_calls", "trip_after"])
def test_both_are_settings(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert getattr(md.Settings.from_environment(), name) is None
    monkeypatch.setenv(f"MARKETDATA_{name.upper()}", "7")
    for make in (md.Client, md.AsyncClient):
        assert getattr(make().settings, name) == 7
        assert getattr(make(**{name: 3}).settings, name) == 3
    for wrong in ("0", "-1", "many", "1.5"):
        monkeypatch.setenv(f"MARKETDATA_{name.upper()}", wrong)
        with pytest.raises(md.InvalidParameterError) as caught:
            md.Settings.from_environment()
        assert caught.value.details == {"parameter": f"MARKETDATA_{name.upper()}"}


def test_a_blocking_client_reports_it_too(sim: SimulatedExchange) -> None:
    with md.Client(["okx"], endpoints=sim.endpoints, max_calls=4) as client:
        assert client.upstream() == []
        client.ticker("BTC/USDT")
        [found] = client.upstream()
        assert found.to_dict() == {
            "exchange": "okx",
            "breaker": "closed",
            "underWay": 0,
            "waiting": 0,
            "requests": 2,
            "shared": 0,
            "failures": 0,
            "unreadable": 0,
        }
