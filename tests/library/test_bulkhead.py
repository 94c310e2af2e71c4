"""A slow or banned exchange uses only its own limit of calls, and does not affect the others."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator

import pytest
from inside.requests import patient, within
from waiting import soon as until
from waiting import taking_at_most

import marketdata as md
from marketdata._requests.bulkhead import Bulkhead
from marketdata.sim import SimulatedExchange

from .gate import Gate, client_of, failure, told

TICKERS = "*/24hr"
PAIRS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "LTC/BTC")


@pytest.fixture
def gate(sim: SimulatedExchange) -> Iterator[Gate]:
    with Gate(sim.url) as started:
        yield started


# ------------------------------------------------------------------ places


def test_concurrent_calls_do_not_exceed_the_limit(gate: Gate) -> None:
    async def main() -> None:
        async with client_of(gate, max_calls=2) as client:
            await client.pairs()
            gate.shut(TICKERS)
            calls = [asyncio.create_task(client.ticker(pair)) for pair in PAIRS for _ in range(3)]
            await until(lambda: gate.here == 2)
            now = told(client)
            assert (now.under_way, now.waiting, now.shared) == (2, 3, 10)
            gate.open()
            assert len(await asyncio.gather(*calls)) == 15
            assert (told(client).under_way, told(client).waiting, gate.most) == (0, 0, 2)

    asyncio.run(main())


def test_a_call_times_out_while_it_waits_for_the_limit(gate: Gate) -> None:
    async def main() -> None:
        async with client_of(gate) as client:
            await client.pairs()
        async with client_of(gate, max_calls=1, timeout=0.5, retries=5, trip_after=1) as client:
            gate.shut(TICKERS)
            first = asyncio.create_task(client.ticker("BTC/USDT"))
            await until(lambda: gate.here)
            with taking_at_most(5):
                error = await failure(client.ticker("ETH/USDT"))
            assert (error.code, error.retryable) == ("EXCHANGE_UNAVAILABLE", True)
            assert (error.retry_after or 0) > 0
            assert "MARKETDATA_MAX_CALLS" in error.message or "in a row" in error.message
            await failure(first)
            assert len(gate.came) == told(client).failures == 1

    asyncio.run(main())


def test_a_call_that_would_wait_too_long_fails_at_once(gate: Gate) -> None:
    async def main() -> None:
        async with client_of(gate, max_calls=1, timeout=20) as client:
            await client.pairs()
            gate.shut(TICKERS)
            calls = [asyncio.create_task(client.ticker("BTC/USDT"))]
            await until(lambda: gate.here)
            # As if it had taken so long already: then three more take longer than a call may.
            client_places(client)._usual = 7.0
            calls += [asyncio.create_task(client.ticker(pair)) for pair in PAIRS[1:3]]
            await until(lambda: told(client).waiting == 2)
            error = await failure(client.ticker(PAIRS[3]))
            assert error.retry_after == 21.0
            assert not any(call.done() for call in calls)
            gate.open()
            assert len(await asyncio.gather(*calls)) == 3

    asyncio.run(main())


def client_places(client: md.AsyncClient) -> Bulkhead:
    [here] = client._session._connections.values()
    [venue] = here.venues
    return venue._caller._bulkhead


def test_a_cancelled_call_leaves_the_queue(gate: Gate) -> None:
    async def main() -> None:
        async with client_of(gate, max_calls=1) as client:
            await client.pairs()
            gate.shut(TICKERS)
            calls = [asyncio.create_task(client.ticker(pair)) for pair in PAIRS]
            await until(lambda: gate.here)
            for call in calls[1:4]:
                call.cancel()
            await asyncio.wait(calls[1:4])
            assert told(client).waiting == 1
            gate.open()
            assert (await calls[4]).pair == PAIRS[4]
            assert len(gate.came) == 1
            assert told(client).under_way == 0

    asyncio.run(main())


def test_long_downloads_leave_room_for_other_calls() -> None:
    async def main() -> None:
        places, done = Bulkhead("x", 5), asyncio.Event()
        order: list[str] = []

        async def call(name: str) -> None:
            begun = places.acquire()
            if begun is None:
                begun = await places.wait()
            order.append(name)
            await done.wait()
            places.release(begun)

        async def job() -> None:
            with patient():
                await within(30, "x", call("job"))

        jobs = [asyncio.create_task(job()) for _ in range(8)]
        await until(lambda: len(order) == 4)
        assert (places.under_way, places.waiting) == (4, 4)
        calls = [asyncio.create_task(call("call")) for _ in range(2)]
        await until(lambda: places.waiting == 5)
        assert order == [*["job"] * 4, "call"]
        done.set()
        await asyncio.wait(jobs + calls)
        assert order[5] == "call"  # whoever cannot wait comes before long jobs
        assert (places.under_way, places.waiting) == (0, 0)
        assert math.isclose(places._begun, 0, abs_tol=1e-6)

    asyncio.run(main())


# ------------------------------------------------------------------ the others do not notice


@pytest.mark.parametrize("max_calls", [None, 10])
def test_a_hanging_exchange_does_not_slow_down_the_others(
    gate: Gate, max_calls: int | None
) -> None:
    async def main() -> None:
        async with client_of(gate, max_calls=max_calls) as client:
            for exchange in ("binance", "kraken"):
                await client.pairs(exchange=exchange)
            gate.shut("/api/v3/klines")
            hanging = [
                asyncio.create_task(client.candles("BTC/USDT", limit=number))
                for number in range(1, 201)
            ]
            await until(lambda: gate.here == min(100, max_calls or 100))  # aiohttp's own bound
            for number in range(1, 51):
                assert (await client.ticker("BTC/USDT", exchange="kraken")).exchange == "kraken"
                assert len(await client.candles("BTC/USDT", limit=number, exchange="kraken"))
                ended = [call.exception() for call in hanging if call.done()]
                assert ended == []
            assert told(client, "kraken").requests == 101
            if max_calls is not None:
                now = told(client)
                assert (now.under_way, now.waiting, gate.most) == (10, 190, 10)
            for call in hanging:
                call.cancel()
            await asyncio.wait(hanging)
            await until(lambda: not gate.here)

    asyncio.run(main())


@pytest.mark.paced
def test_a_banned_exchange_does_not_slow_down_the_others(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim, ["binance", "okx"], trip_after=1, timeout=10) as client:
            sim.faults.add(exchange="binance", status=418, retry_after=3600)
            error = await failure(client.ticker("BTC/USDT", exchange="binance"))
            assert error.retry_after == 3600
            assert told(client).retry_after == pytest.approx(3600, abs=30)
            sim.forget()
            found = await asyncio.gather(*[client.ticker(pair) for pair in PAIRS[:3] * 20])
            assert {one.exchange for one in found} == {"okx"}
            assert {one.exchange for one in sim.requests} == {"okx"}

    asyncio.run(main())
