"""AsyncClient on running loops: closing, cancelling, dropping, several loops and threads."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from inside.requests import portal
from waiting import happened, joined

import marketdata as md
from marketdata._requests.portal import Portal
from marketdata.sim import SimulatedExchange

from .gateway import Gateway

Make = Callable[..., md.AsyncClient]


@pytest.fixture
def make(gateway: Gateway) -> Make:
    def make(exchange: str = "binance", **more: Any) -> md.AsyncClient:
        endpoints = dict.fromkeys(("binance", "kraken"), gateway.url)
        return md.AsyncClient(exchange, endpoints=endpoints, **more)

    return make


async def until(event: threading.Event) -> None:
    await asyncio.to_thread(happened, event)


def test_a_client_serves_one_loop_after_another(make: Make) -> None:
    client = make()

    async def main() -> str:
        return (await client.ticker("BTC/USDT")).pair

    assert [asyncio.run(main()) for _ in range(3)] == ["BTC/USDT"] * 3


def test_a_client_serves_loops_of_several_threads_at_once(make: Make) -> None:
    client = make()
    found: list[str] = []
    together = threading.Barrier(4)

    async def main() -> None:
        together.wait()
        found.extend([(await client.ticker("BTC/USDT")).pair for _ in range(5)])

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["BTC/USDT"] * 20


def test_a_client_works_again_after_close(make: Make, gateway: Gateway) -> None:
    async def main() -> None:
        client = make()
        async with client:
            await client.ticker("BTC/USDT")
        await client.ticker("BTC/USDT")
        await client.close()
        await client.close()

    asyncio.run(main())
    assert sum("exchangeInfo" in request for request in gateway.requests) == 1


def test_closing_an_unused_client(make: Make) -> None:
    async def main() -> None:
        async with make():
            pass
        await make().close()

    asyncio.run(main())


def test_an_exception_inside_the_block_is_raised(make: Make) -> None:
    async def main() -> None:
        async with make() as client:
            await client.ticker("BTC/USDT")
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(main())


@pytest.mark.parametrize("close", [True, False])
def test_leaving_the_block_with_a_call_in_flight(make: Make, gateway: Gateway, close: bool) -> None:
    gateway.hold("*/24hr")

    async def main() -> None:
        client = make(retries=3)
        call = asyncio.create_task(client.ticker("BTC/USDT"))
        await until(gateway.held)
        if close:
            await client.close()
            with pytest.raises(md.DataUnavailableError, match="closed") as caught:
                await call
            assert caught.value.retryable

    asyncio.run(main())
    happened(gateway.left)


def test_leaving_the_block_while_connecting(make: Make) -> None:
    async def main() -> None:
        client = make()
        await client.ticker("BTC/USDT")
        calls = [
            asyncio.create_task(client.ticker("BTC/USDT", exchange=name))
            for name in ("binance", "kraken")
        ]
        await asyncio.sleep(0)
        await client.close()
        await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(main())


def test_cancelling_a_call_ends_only_its_request(make: Make, gateway: Gateway) -> None:
    gateway.hold("*/24hr")

    async def main() -> str:
        async with make() as client:
            call = asyncio.create_task(client.ticker("BTC/USDT"))
            await until(gateway.held)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await until(gateway.left)
            return (await client.orderbook("BTC/USDT")).pair

    assert asyncio.run(main()) == "BTC/USDT"


def test_a_timeout_of_the_caller(make: Make, gateway: Gateway) -> None:
    gateway.hold("*/24hr")

    async def main() -> None:
        async with make() as client, asyncio.timeout(0.2):
            await client.ticker("BTC/USDT")

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_a_client_dropped_on_a_running_loop_closes_its_connections(
    make: Make, sim: SimulatedExchange
) -> None:
    # Warnings are errors here, also those of unclosed sockets.
    async def main() -> None:
        for _ in range(3):
            client = make()
            await client.ticker("BTC/USDT")
            gone = weakref.ref(client)
            del client
            gc.collect()
            assert gone() is None
            await asyncio.sleep(0)
        gc.collect()

    asyncio.run(main())


def test_two_clients_do_not_close_each_other(make: Make) -> None:
    async def main() -> str:
        first, second = make(), make()
        await asyncio.gather(first.ticker("BTC/USDT"), second.ticker("BTC/USDT"))
        await first.close()
        return (await second.ticker("ETH/USDT")).pair

    assert asyncio.run(main()) == "ETH/USDT"


def test_an_error_does_not_break_the_connection(make: Make) -> None:
    async def main() -> str:
        async with make() as client:
            for _ in range(3):
                with pytest.raises(md.PairNotSupportedError):
                    await client.ticker("NOPE/USDT")
            return (await client.ticker("BTC/USDT")).pair

    assert asyncio.run(main()) == "BTC/USDT"


def test_imports_and_reads_do_not_block_the_loop(make: Make) -> None:
    async def main() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with make() as client:
            counting = asyncio.create_task(count())
            await client.exchanges()
            await client.pairs()
            counting.cancel()
        return turns

    assert asyncio.run(main()) > 10


# ------------------------------------------------------------------ the portal


async def value(result: Any = "here") -> Any:
    await asyncio.sleep(0)
    return result


def test_a_portal_runs_coroutines_of_many_threads() -> None:
    one = Portal()
    try:
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda n=n: found.append(one.call(value(n)))) for n in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == list(range(20))
    finally:
        one.stop()


def test_a_portal_passes_errors_on() -> None:
    async def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        portal().call(fail())
    assert portal().call(value()) == "here"


def test_a_call_on_the_portals_own_thread_is_refused() -> None:
    async def deadlock() -> Any:
        return portal().call(value())

    with pytest.raises(RuntimeError, match="has to run it"):
        portal().call(deadlock())


def test_a_stopping_portal_cancels_running_calls() -> None:
    one = Portal()
    started, ended = threading.Event(), threading.Event()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    failures: list[BaseException] = []

    def call() -> None:
        try:
            one.call(wait())
        except BaseException as error:  # noqa: BLE001 - whatever it is
            failures.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    happened(started)
    one.stop()
    joined(thread)
    assert ended.is_set()
    assert len(failures) == 1


def test_waiters_for_the_end_of_a_loop_get_its_error() -> None:
    one = Portal()

    def fail() -> None:
        raise SystemExit("mine")

    one.loop.call_soon_threadsafe(fail)
    with pytest.raises(SystemExit, match="mine"):
        one.stop()
    assert one.is_over


def test_a_callback_that_stops_the_loop_stops_no_later_call() -> None:
    async def leave() -> None:
        raise SystemExit("mine")

    before = portal()
    with pytest.raises(SystemExit, match="mine"):
        before.call(leave())
    joined(before._thread)
    assert portal() is not before
    assert portal().call(value()) == "here"


def test_no_thread_is_started_at_the_end_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    # From Python 3.12 on none can be, at the end of the interpreter.
    one = Portal()
    one.call(asyncio.to_thread(int))

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    one.stop()
    assert one.is_over


def test_blocking_calls_work_in_a_coroutine_and_beside_it(
    make: Make, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETDATA_ENDPOINTS", f'{{"binance": "{gateway.url}"}}')

    async def main() -> list[str]:
        here = md.ticker("BTC/USDT").pair
        there = (await asyncio.to_thread(md.ticker, "ETH/USDT")).pair
        async with make() as client:
            awaited = (await client.ticker("SOL/USDT")).pair
        return [here, there, awaited]

    assert asyncio.run(main()) == ["BTC/USDT", "ETH/USDT", "SOL/USDT"]


def test_a_blocking_client_can_be_shared_and_closed_by_threads(
    gateway: Gateway,
) -> None:
    client = md.Client("binance", endpoints={"binance": gateway.url}, retries=0)
    client.pairs()
    failures: list[BaseException] = []
    together = threading.Barrier(8)

    def use(number: int) -> None:
        together.wait()
        for _ in range(5):
            try:
                if number:
                    assert client.ticker("BTC/USDT").pair == "BTC/USDT"
                else:
                    client.close()
            except md.DataUnavailableError as error:
                if "closed" not in str(error):
                    failures.append(error)
            except BaseException as error:  # noqa: BLE001 - whatever it is
                failures.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    assert failures == []


def test_an_answer_is_freed_with_the_callers_last_reference(make: Make) -> None:
    async def main() -> None:
        async with make() as client:
            answer = weakref.ref(await asyncio.create_task(client.candles("BTC/USDT", limit=5)))
            await asyncio.sleep(0)  # the loop itself holds what it is awaiting here
            # The first call began timers and tasks that go on.
            gc.collect()
            assert answer() is None

    asyncio.run(main())
