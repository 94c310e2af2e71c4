"""Identical concurrent calls share one request, and each caller has its own record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from waiting import soon as until

import marketdata as md
from marketdata.sim import SimulatedExchange

from .gate import Gate, client_of
from .markets import DIALECTS

Ask = Callable[[md.AsyncClient], Awaitable[Any]]
TICKERS = "*/24hr"

PAIRS = ["BTC/USDT", "ETH/USDT"]
QUESTIONS: dict[str, Ask] = {
    "ticker": lambda client: client.ticker("BTC/USDT"),
    "ticker_of_the_day": lambda client: client.ticker("BTC/USDT", window="day"),
    "ticker_of_four_hours": lambda client: client.ticker("BTC/USDT", window="4h"),
    "tickers": lambda client: client.tickers(PAIRS),
    "all_tickers": lambda client: client.tickers(),
    "quote": lambda client: client.quote("BTC/USDT"),
    "quotes": lambda client: client.quotes(PAIRS),
    "orderbook": lambda client: client.orderbook("BTC/USDT"),
    "newest_candles": lambda client: client.candles("BTC/USDT", store=False),
    "range_of_candles": lambda client: client.candles("BTC/USDT", start="2024-04-29", store=False),
    "trades": lambda client: client.trades("BTC/USDT"),
    "aggregated_trades": lambda client: client.trades("BTC/USDT", aggregate=True),
    "status": lambda client: client.status(),
}


@pytest.fixture
def gate(sim: SimulatedExchange) -> Iterator[Gate]:
    with Gate(sim.url) as started:
        yield started


# ------------------------------------------------------------------ how many requests


def test_a_thousand_calls_are_one_request(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim) as client:
            for requests in (["exchangeInfo", "24hr"], ["24hr"]):
                sim.forget()
                found = await asyncio.gather(*[client.ticker("btc-usdt") for _ in range(1000)])
                assert [one.path.rpartition("/")[2] for one in sim.requests] == requests
                assert len({ticker.received_at for ticker in found}) == 1
            [told] = client.upstream()
            assert (told.exchange, told.requests, told.shared) == ("binance", 3, 1998)
            assert (told.under_way, told.waiting, told.failures) == (0, 0, 0)

    asyncio.run(main())


@pytest.mark.parametrize("exchange", DIALECTS)
def test_every_call_is_shared(sim: SimulatedExchange, exchange: str) -> None:
    def asked() -> list[str]:
        found = sorted(f"{one.path} {sorted(one.query.items())}" for one in sim.requests)
        sim.forget()
        return found

    async def main() -> None:
        async with client_of(sim, exchange) as client:
            await client.pairs()
            for name, ask in QUESTIONS.items():
                asked()
                alone = await ask(client)
                once = asked()
                found = await asyncio.gather(*[ask(client) for _ in range(20)])
                assert asked() == once, name
                records = [[one] if not isinstance(one, list) else one for one in [alone, *found]]
                assert len({len(one) for one in records}) == 1, name

    asyncio.run(main())


def test_pairs_of_other_calls_are_not_mixed_up(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim) as client:
            pairs = [pair.pair for pair in await client.pairs()][:8]
            tickers = await asyncio.gather(*[client.ticker(pair) for pair in pairs * 3])
            books = await asyncio.gather(*[client.orderbook("BTC/USDT", n) for n in range(1, 9)])
            bars = await asyncio.gather(*[client.candles("BTC/USDT", limit=n) for n in range(1, 9)])
            assert [ticker.pair for ticker in tickers] == pairs * 3
            assert [len(book.bids) for book in books] == list(range(1, 9))
            assert [len(candles) for candles in bars] == list(range(1, 9))

    asyncio.run(main())


def test_nothing_is_cached_after_the_response(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim) as client:
            for _ in range(3):
                await client.ticker("BTC/USDT")
        assert len([one for one in sim.requests if one.path.endswith("24hr")]) == 3

    asyncio.run(main())


def test_other_records_are_made_of_the_same_response(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim, "kraken") as client:
            await client.pairs()
            sim.forget()
            tickers, quotes = await asyncio.gather(client.tickers(PAIRS), client.quotes(PAIRS))
            assert [one.bid for one in tickers] == [one.bid for one in quotes]
            assert len(sim.requests) == 1

    asyncio.run(main())


def test_an_error_in_one_record_is_not_shared(gate: Gate) -> None:
    def without_quotes(sent: Any) -> None:
        for ticker in sent["result"].values():
            ticker["a"] = ticker["b"] = ["0", "0", "0"]

    async def main() -> None:
        async with client_of(gate, "kraken") as client:
            await client.pairs()
            gate.edit("*/Ticker", without_quotes)
            gate.requests.clear()
            tickers, quotes = await asyncio.gather(
                client.tickers(), client.quotes(), return_exceptions=True
            )
            assert len(tickers) > 2
            assert isinstance(quotes, md.DataUnavailableError)
            assert len(gate.requests) == 1

    asyncio.run(main())


def test_lists_belong_to_their_caller(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim) as client:
            for ask in ("trades", "tickers", "quotes", "newest_candles"):
                first, second = await asyncio.gather(*[QUESTIONS[ask](client) for _ in range(2)])
                before = len(second)
                if isinstance(first, list):
                    first.clear()
                else:
                    first.columns.extend(first.columns[:])
                    first.columns.close[0] = -1.0
                    assert second.columns.close[0] > 0
                assert len(second) == before, ask

    asyncio.run(main())


# ------------------------------------------------------------------ whose time, whose end


def test_a_cancelled_caller_does_not_cancel_the_others(gate: Gate) -> None:
    async def main() -> None:
        async with client_of(gate) as client:
            await client.pairs()
            gate.shut(TICKERS)
            calls = [asyncio.create_task(client.ticker("BTC/USDT")) for _ in range(5)]
            await until(lambda: gate.here)
            for call in (calls[0], calls[3]):
                call.cancel()
            await asyncio.wait(calls[:1])
            assert (gate.here, gate.gone) == (1, 0)
            gate.open()
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert [isinstance(one, asyncio.CancelledError) for one in found] == [
                *(True, False, False),
                *(True, False),
            ]
            assert len(gate.came) == 1

    asyncio.run(main())


def test_the_last_caller_to_leave_ends_the_request(gate: Gate) -> None:
    async def main() -> None:
        async with client_of(gate) as client:
            await client.pairs()
            gate.shut(TICKERS)
            calls = [asyncio.create_task(client.ticker("BTC/USDT")) for _ in range(3)]
            await until(lambda: gate.here)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            assert client.upstream()[0].under_way == 0  # it is over when the calls are
            await until(lambda: gate.gone)
            gate.open()
            assert (await client.ticker("BTC/USDT")).pair == "BTC/USDT"
            assert len(gate.came) == 1

    asyncio.run(main())


def test_a_new_call_does_not_join_a_cancelled_one(gate: Gate) -> None:
    async def main() -> None:
        async with client_of(gate) as client:
            await client.pairs()
            gate.shut(TICKERS)
            first = asyncio.create_task(client.ticker("BTC/USDT"))
            await until(lambda: gate.here)
            first.cancel()
            second = asyncio.create_task(client.ticker("BTC/USDT"))
            await until(lambda: len(gate.came) == 2)
            gate.open()
            assert (await second).pair == "BTC/USDT"
            assert first.cancelled()

    asyncio.run(main())


def test_one_list_of_pairs_for_all_whoever_leaves(gate: Gate) -> None:
    async def main() -> None:
        async with client_of(gate) as client:
            gate.shut("*/exchangeInfo")
            first = asyncio.create_task(client.ticker("BTC/USDT"))
            await until(lambda: gate.here)
            others = [asyncio.create_task(client.ticker("ETH/USDT")) for _ in range(50)]
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.wait([first])
            gate.open()
            assert {one.pair for one in await asyncio.gather(*others)} == {"ETH/USDT"}
            assert len(gate.came) == 1
            assert len([one for one in gate.requests if "24hr" in one]) == 1

    asyncio.run(main())


def test_each_caller_waits_only_for_its_own_timeout(gate: Gate) -> None:
    # Without a name binance gets half of the time; the one who named it has all of it.
    async def main() -> None:
        async with client_of(gate, ["binance", "kraken"], timeout=1.6) as client:
            for exchange in ("binance", "kraken"):
                await client.ticker("BTC/USDT", exchange=exchange)
            gate.shut(TICKERS)
            short = asyncio.create_task(client.ticker("BTC/USDT"))
            await until(lambda: gate.here)
            long = asyncio.create_task(client.ticker("BTC/USDT", exchange="binance"))
            assert (await short).exchange == "kraken"
            assert (gate.here, gate.gone) == (1, 0)
            gate.open()
            assert (await long).exchange == "binance"
            assert len(gate.came) == 1

    asyncio.run(main())


def test_retries_use_the_time_of_the_caller_with_most(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim, ["binance", "kraken"], timeout=1.8, retries=1) as client:
            for exchange in ("binance", "kraken"):
                await client.ticker("BTC/USDT", exchange=exchange)
            sim.forget()
            sim.faults.add(path=TICKERS, status=429, retry_after=1, times=1)
            short, long = await asyncio.gather(
                client.ticker("BTC/USDT"), client.ticker("BTC/USDT", exchange="binance")
            )
            assert (short.exchange, long.exchange) == ("kraken", "binance")
            asked = [one.status for one in sim.requests if one.exchange == "binance"]
            assert asked == [429, 200]

    asyncio.run(main())


def test_nobody_waits_after_all_have_timed_out(gate: Gate) -> None:
    async def main() -> None:
        async with client_of(gate, timeout=30) as client:
            await client.pairs()
        async with client_of(gate, timeout=0.2, retries=5) as client:
            gate.shut(TICKERS)
            found = await asyncio.gather(
                *[client.ticker("BTC/USDT") for _ in range(4)], return_exceptions=True
            )
            assert {one.code for one in found} == {"EXCHANGE_UNAVAILABLE"}
            await until(lambda: gate.gone)
            assert (len(gate.came), client.upstream()[0].failures) == (1, 1)

    asyncio.run(main())


# ------------------------------------------------------------------ errors


def test_each_caller_gets_its_own_error(sim: SimulatedExchange) -> None:
    async def main() -> list[md.MarketDataError]:
        async with client_of(sim) as client:
            await client.pairs()
            sim.forget()
            sim.faults.add(path=TICKERS, status=503)
            calls = [client.ticker("BTC/USDT") for _ in range(5)]
            return await asyncio.gather(*calls, return_exceptions=True)

    errors = asyncio.run(main())
    assert len(sim.requests) == 1
    assert len({id(error) for error in errors}) == 5
    assert len({id(error.details) for error in errors}) == 5
    for error in errors:
        assert error.to_dict() == errors[0].to_dict()
        assert error.details == {
            "exchange": "binance",
            "httpStatus": 503,
            "attempts": 1,
            "reason": "server_error",
        }
        assert (error.__context__, error.__cause__) == (None, None)
        depth, trace = 0, error.__traceback__
        while trace is not None:
            depth, trace = depth + 1, trace.tb_next
        assert depth < 15


def test_retries_are_shared(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with client_of(sim, retries=2) as client:
            await client.pairs()
            sim.forget()
            sim.faults.add(path=TICKERS, status=503, retry_after=0, times=2)
            await asyncio.gather(*[client.ticker("BTC/USDT") for _ in range(10)])
            assert [one.status for one in sim.requests] == [503, 503, 200]

    asyncio.run(main())


def test_closing_the_client_ends_all_waiting_calls(gate: Gate) -> None:
    async def main() -> None:
        client = client_of(gate, retries=3)
        await client.pairs()
        gate.shut(TICKERS)
        calls = [asyncio.create_task(client.ticker("BTC/USDT")) for _ in range(5)]
        await until(lambda: gate.here)
        await client.close()
        for call in calls:
            with pytest.raises(md.DataUnavailableError, match="closed"):
                await call
        await until(lambda: gate.gone)

    asyncio.run(main())


def test_closing_the_client_ends_a_pause_before_a_retry(sim: SimulatedExchange) -> None:
    async def main() -> None:
        client = client_of(sim, retries=3)
        await client.pairs()
        sim.faults.add(path=TICKERS, status=503, retry_after=20)
        call = asyncio.create_task(client.ticker("BTC/USDT"))
        await until(lambda: client.upstream()[0].failures)
        await client.close()
        with pytest.raises(md.DataUnavailableError, match="closed"):
            await asyncio.wait_for(call, 5)

    asyncio.run(main())


@pytest.mark.parametrize("name", [*QUESTIONS, "pairs"])
def test_cancelling_a_call_ends_its_requests(gate: Gate, name: str) -> None:
    ask: Ask = QUESTIONS.get(name, lambda client: client.pairs())

    async def main() -> None:
        async with client_of(gate, retries=3) as client:
            if name != "pairs":
                await client.pairs()
            gate.shut()
            call = asyncio.create_task(ask(client))
            await until(lambda: gate.here)
            call.cancel()
            await asyncio.wait([call])
            assert call.cancelled()
            assert [one.under_way for one in client.upstream()] == [0]
            await until(lambda: not gate.here)
            assert gate.gone == len(gate.came)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
