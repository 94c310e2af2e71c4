"""The request budget that all processes of a machine share."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inside.requests import Limit, patient

from .budgets import (
    COINBASE,
    KLINES,
    T0,
    USABLE,
    account,
    budget,
    granted,
    play,
    spend_all,
    spent_at,
    virtual,
)
from .conftest import Run

Request = tuple[int, float, float, bool]
"""The process, time and cost of a request, and whether it is patient."""
requests = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.floats(0, 20),
        st.sampled_from([0.5, 1.0, 2.0, 7.0, 30.0]),
        st.booleans(),
    ),
    min_size=1,
    max_size=80,
)


def made(asked: list[Request], limit: Limit) -> list[tuple[float, float]]:
    """The times and costs of requests."""
    times: list[tuple[float, float]] = []

    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            processes = [budget(Path(folder) / "budget.sqlite", limit) for _ in range(4)]

            async def ask(process: int, at: float, cost: float, long: bool) -> None:
                await asyncio.sleep(at)
                with patient() if long else nullcontext():
                    await processes[process].acquire(cost)
                times.append((virtual(), cost))

            async with asyncio.TaskGroup() as group:
                for one in asked:
                    group.create_task(ask(*one))

    play(main)
    return sorted(times)


@settings(max_examples=60, deadline=None)
@given(requests)
def test_no_window_holds_more_than_its_share(asked: list[Request]) -> None:
    limit = Limit(0.1, 6.0)
    times = made(asked, limit)

    assert len(times) == len(asked)
    for end, _ in times:
        inside = sum(cost for at, cost in times if end - limit.window < at <= end)
        assert inside <= 0.9 * limit.units + 1e-6
    # Half of what the window holds, at least, is used while anything waits.
    total = sum(cost for _, cost in times)
    last = max(at for _, at, _, _ in asked)
    assert times[-1][0] - T0 <= last + (total / (limit.units / 2) + 1) * (6.0 + 2 * limit.lease)


@settings(max_examples=60, deadline=None)
@given(requests)
def test_without_a_window_requests_keep_their_distance(asked: list[Request]) -> None:
    times = made(asked, COINBASE)

    assert len(times) == len(asked)
    for first in range(len(times)):
        due = times[first][0]
        for at, cost in times[first:]:
            # One unit that was not used before may be caught up on.
            assert at >= due - COINBASE.seconds_per_unit - 1e-6
            due += cost * COINBASE.seconds_per_unit


SPENDING = """
    import asyncio, sys
    from pathlib import Path
    from marketdata._requests.rate_limit import Budget
    from marketdata._requests.deadline import within
    from marketdata._requests.rate_ledger import Limit
    from marketdata.errors import ExchangeUnavailableError

    file, now, most = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    budget = Budget(file, "binance", "binance", Limit(0.05, 60.0), lambda: now)
    spent = 0

    async def spend():
        global spent
        while spent < most:
            await budget.acquire(1.0)
            spent += 1

    async def main():
        try:
            await within(50, "binance", spend())
        except ExchangeUnavailableError as error:
            assert error.retry_after > 50

    asyncio.run(main())
    print(spent, flush=True)
"""


def test_concurrent_processes_never_exceed_the_window(python: Run, file: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        runs = [threads.submit(python, SPENDING, str(file), str(T0), "5000") for _ in range(4)]
        spent = [int(run.result()) for run in runs]

    assert sum(spent) == USABLE
    assert granted(file) == pytest.approx(USABLE)
    assert int(python(SPENDING, str(file), str(T0 + 5), "5000")) == 0
    assert int(python(SPENDING, str(file), str(T0 + 61), "5000")) == USABLE


@pytest.mark.parametrize("usable", [True, False])
def test_threads_share_it_too(file: Path, usable: bool) -> None:
    if not usable:
        file.mkdir(parents=True)

    def spend(_: int) -> float:
        # In real time, in which they wait for each other.
        return asyncio.run(spend_all(budget(file, clock=lambda: T0)))

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(spend, range(4))) == USABLE


def test_the_unused_lease_of_a_killed_process_returns_after_the_window(file: Path) -> None:
    killed = f"{textwrap.dedent(SPENDING)}\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run(
        [sys.executable, "-c", killed, str(file), str(T0), "50"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "50\n")
    held = granted(file)
    assert 50 < held <= 50 + 20  # a lease is a second's worth at most

    assert spent_at(file, T0 + 30, cost=1.0) == pytest.approx(USABLE - held, abs=1)
    assert spent_at(file, T0 + 62, cost=1.0) == pytest.approx(held, abs=1)
    assert spent_at(file, T0 + 200) == USABLE


def test_a_process_killed_during_a_change_changes_nothing(file: Path) -> None:
    spent_at(file, T0)
    before = account(file)
    program = """
        import os, signal, sys
        from pathlib import Path
        from marketdata._requests.rate_ledger import Ledger

        def step(account, now):
            account.granted = {now: 1e9}
            return None

        def commit(*_):
            os.kill(os.getpid(), signal.SIGKILL)

        import marketdata._requests.rate_ledger as module
        given = module._done
        module._done = lambda *all: (given(*all), commit())
        Ledger(Path(sys.argv[1])).change("binance", step, lambda: 1.8e9)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(file)], timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL

    assert account(file) == before
    assert spent_at(file, T0 + 100) == USABLE


def test_one_call_leases_what_it_needs_and_a_download_a_second_at_a_time(
    file: Path, looks: list[str]
) -> None:
    async def main() -> None:
        await budget(file).acquire(KLINES)
        assert granted(file) == KLINES

        download = budget(file)
        for _ in range(2000):  # 16 units a second
            await download.acquire(KLINES)
            await asyncio.sleep(0.025)

    play(main)
    assert len(looks) < 200
    # What it did not spend of its leases went back.
    assert granted(file) == pytest.approx(2001 * KLINES, abs=20)


def test_other_programs_and_urgent_calls_find_room_beside_a_download(
    file: Path,
) -> None:
    async def main() -> None:
        download, call = budget(file), budget(file)

        async def all_of_it() -> None:
            with patient():
                while True:
                    await download.acquire(KLINES)

        task = asyncio.ensure_future(all_of_it())
        await asyncio.sleep(30)
        assert granted(file) == pytest.approx(0.8 * 1200, abs=1)
        assert await spend_all(call, cost=1.0) == pytest.approx(0.1 * 1200, abs=1)
        task.cancel()

    play(main)


def test_requests_of_others_at_the_same_address_count(file: Path) -> None:
    mine, other = (budget(file, clock=lambda: T0) for _ in range(2))
    asyncio.run(mine.acquire(1.0))
    mine.correct(0.85)
    assert granted(file) == pytest.approx(0.85 * 1200)

    mine.correct(0.7)
    other.correct(0.85)
    assert granted(file) == pytest.approx(0.85 * 1200)
    assert play(lambda: spend_all(other)) == pytest.approx(0.05 * 1200, abs=1)
    assert spent_at(file, T0 + 62) == USABLE


def test_known_requests_are_not_counted_twice(file: Path, looks: list[str]) -> None:
    for _ in range(4):
        mine = budget(file, clock=lambda: T0)
        asyncio.run(mine.acquire(200.0))
    before = len(looks)
    mine.correct(800 / 1200)
    assert granted(file) == 800
    assert len(looks) == before


def test_the_file_is_not_read_while_less_than_half_is_used(file: Path) -> None:
    budget(file, clock=lambda: T0).correct(0.5)
    assert not file.exists()
