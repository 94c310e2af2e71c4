"""After any interruption of a download, received candles are kept and the next one continues."""

from __future__ import annotations

import asyncio
import signal
from itertools import pairwise
from pathlib import Path

import pytest
from library.markets import DIALECTS
from waiting import until

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Connect, Play
from .programs import run, running
from .tapes import MINUTE, at, minutes, ms, opened, pages, rows, tables

# Delta Lake's library is for processes that were not forked.
pytestmark = pytest.mark.cold

KLINES = "*/klines"
LENGTH = 40_000
WHOLE = 41
"""Pages that take all of it: one of 1,000 bars, and those of 999 more."""
AT_ONCE = 24
"""Requests that are under way at a time."""

PROGRAM = f"""
import marketdata as md

candles = md.candles("BTC/USDT", "1m", start="2024-03-01", end={ms(LENGTH)})
print(len(candles), len(candles.missing))
"""


@pytest.fixture
def sim(play: Play) -> SimulatedExchange:
    return play("binance", LENGTH)


def ask(client: md.Client) -> md.Candles:
    return client.candles("BTC/USDT", "1m", start=at(0), end=at(LENGTH))


def provable(sim: SimulatedExchange) -> list[int]:
    """The bars that are to be stored: those of answered pages whose neighbours were answered."""
    starts = [ms(0), *range(ms(999), ms(LENGTH), 999 * MINUTE)]
    edges = [0, *range(1000, LENGTH, 999), LENGTH]
    there = {-1, len(starts)} | {
        starts.index(int(request.query["startTime"]))
        for request in sim.requests
        if request.path.endswith("klines") and request.status == 200
    }
    return [
        minute
        for page in range(len(starts))
        if {page - 1, page, page + 1} <= there
        for minute in range(edges[page], edges[page + 1])
    ]


def check_the_rest(
    client: md.Client, sim: SimulatedExchange, store: Path, *, extra: int = 0
) -> list[int]:
    """Check that stored bars are right and that only the rest is requested; return the stored."""
    [table] = tables(store)
    stored = opened(table)
    assert len(stored) == len(set(stored))
    assert client.history.verify() == []
    runs = 1 + sum(later - one > 1 for one, later in pairwise(stored))
    sim.faults.clear()
    sim.forget()
    assert rows(ask(client)) == minutes(0, LENGTH)
    # Each gap between stored runs may end in a page that is not full.
    assert pages(sim) <= -(-(LENGTH - len(stored)) // 999) + runs + extra
    assert opened(table) == list(range(LENGTH))
    sim.forget()
    ask(client)
    assert pages(sim) == 0
    return stored


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "retry_after": 0.01, "every": 5},
        {"status": 500, "every": 4},
        {"status": 503, "after": 10, "times": 3},
        {"drop": "body", "every": 6},
        {"body": "truncated", "every": 6},
    ],
    ids=["429", "500", "503", "cut off", "half"],
)
def test_temporary_failures_within_a_download_are_retried(
    sim: SimulatedExchange,
    connect: Connect,
    isolated: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, object],
) -> None:
    async def at_once(seconds: float) -> None:
        pass

    monkeypatch.setattr("marketdata._exchanges.caller.rest", at_once)
    sim.faults.add(path=KLINES, **fault)
    candles = ask(connect(sim, retries=5))

    assert rows(candles) == minutes(0, LENGTH)
    assert candles.missing == ()
    [table] = tables(isolated)
    assert opened(table) == list(range(LENGTH))
    assert WHOLE < pages(sim) < 2 * WHOLE


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": "request"}, {"status": 429}])
def test_an_exchange_that_goes_down_is_an_error_and_downloaded_bars_are_stored(
    sim: SimulatedExchange, connect: Connect, isolated: Path, fault: dict[str, object]
) -> None:
    sim.faults.add(path=KLINES, after=20, **fault)
    client = connect(sim)
    with pytest.raises(md.ExchangeUnavailableError):
        ask(client)
    # What came together with the first failure may not have been taken in any more.
    expected = provable(sim)
    stored = check_the_rest(client, sim, isolated)
    assert set(stored) <= set(expected)
    assert len(stored) >= 1000


def hang_after(sim: SimulatedExchange, answered: int) -> None:
    sim.faults.add(path=KLINES, after=answered, hang=True)


def wait_for_all_answers(sim: SimulatedExchange, answered: int) -> None:
    """Wait until all possible requests are sent: a further one follows a response."""
    until(lambda: pages(sim) == answered + AT_ONCE)


def test_a_cancelled_call_stores_downloaded_bars(
    sim: SimulatedExchange, connect: Connect, isolated: Path
) -> None:
    hang_after(sim, 10)

    async def cancel() -> None:
        async with md.AsyncClient(
            "binance", endpoints=dict.fromkeys(DIALECTS, sim.url), retries=0
        ) as client:
            call = asyncio.ensure_future(
                client.candles("BTC/USDT", "1m", start=at(0), end=at(LENGTH))
            )
            await asyncio.to_thread(wait_for_all_answers, sim, 10)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(cancel())
    expected = provable(sim)
    assert check_the_rest(connect(sim), sim, isolated) == expected != []


def test_a_stopped_loop_stores_downloaded_bars(
    sim: SimulatedExchange, connect: Connect, isolated: Path
) -> None:
    hang_after(sim, 10)

    async def leave() -> None:
        client = md.AsyncClient("binance", endpoints=dict.fromkeys(DIALECTS, sim.url), retries=0)
        call = asyncio.ensure_future(client.candles("BTC/USDT", "1m", start=at(0), end=at(LENGTH)))
        await asyncio.to_thread(wait_for_all_answers, sim, 10)
        assert not call.done()

    asyncio.run(leave())
    expected = provable(sim)
    assert check_the_rest(connect(sim), sim, isolated) == expected != []


def test_a_client_closed_midway_raises_and_stores_downloaded_bars(
    sim: SimulatedExchange, connect: Connect, isolated: Path
) -> None:
    hang_after(sim, 10)

    async def close() -> None:
        client = md.AsyncClient("binance", endpoints=dict.fromkeys(DIALECTS, sim.url), retries=0)
        call = asyncio.ensure_future(client.candles("BTC/USDT", "1m", start=at(0), end=at(LENGTH)))
        await asyncio.to_thread(wait_for_all_answers, sim, 10)
        await client.close()
        with pytest.raises(md.DataUnavailableError) as caught:
            await call
        assert "closed" in str(caught.value)

    asyncio.run(close())
    expected = provable(sim)
    assert check_the_rest(connect(sim), sim, isolated) == expected != []


@pytest.mark.parametrize("call", ["candles", "download"])
def test_ctrl_c_stores_downloaded_bars(
    sim: SimulatedExchange, connect: Connect, isolated: Path, call: str
) -> None:
    hang_after(sim, 10)
    program = PROGRAM
    if call == "download":
        program = PROGRAM.replace("md.candles(", "md.history.download([").replace(
            '"BTC/USDT",', '"BTC/USDT"],'
        )
    with running(program, sim.url) as process:
        wait_for_all_answers(sim, 10)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1
    expected = provable(sim)
    assert check_the_rest(connect(sim), sim, isolated) == expected != []


@pytest.mark.parametrize("seen", [3, 12, 25])
def test_a_download_continues_after_a_killed_process(
    sim: SimulatedExchange, connect: Connect, isolated: Path, seen: int
) -> None:
    with running(PROGRAM, sim.url) as process:
        until(lambda: pages(sim) >= seen)
        process.kill()
        process.wait()
    if not tables(isolated):  # it had no time to store anything
        connect(sim).candles("BTC/USDT", "1m", start=at(0), end=at(1))
    # The exchange may still be at what the killed process had asked for.
    check_the_rest(connect(sim), sim, isolated, extra=AT_ONCE)
    sim.forget()
    assert run(PROGRAM, sim.url) == f"{LENGTH} 0\n"
    assert pages(sim) == 0


def test_a_process_killed_repeatedly_finishes(
    sim: SimulatedExchange, connect: Connect, isolated: Path
) -> None:
    for _ in range(3):
        sim.forget()
        sim.faults.clear()
        # Enough is answered to be stored, and then the rest is kept waiting.
        hang_after(sim, 6)
        with running(PROGRAM, sim.url) as process:
            wait_for_all_answers(sim, 6)
            until(lambda: len(tables(isolated)) == 1)
            process.kill()
            process.wait()
    check_the_rest(connect(sim), sim, isolated)
