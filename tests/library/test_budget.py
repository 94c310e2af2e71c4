"""One request budget per exchange, shared by all processes of the machine.

Time is virtual where anything waits: the loop skips to when its next timer is due.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from ccxt.async_support.base.throttler import Throttler
from ccxt.base.errors import RateLimitExceeded
from hypothesis import given, settings
from hypothesis import strategies as st

import marketdata as md
from marketdata._exchanges.connector import connector_class
from marketdata._exchanges.exchange import Venue
from marketdata._exchanges.markets_cache import Catalogue
from marketdata._requests import rate_ledger
from marketdata._requests.deadline import patient, within
from marketdata._requests.rate_ledger import Account, Ledger, Limit, ledger
from marketdata._requests.rate_limit import Budget
from marketdata._requests.request import current
from marketdata.errors import ExchangeUnavailableError
from marketdata.settings import Settings
from marketdata.sim import SimulatedExchange

from .conftest import Factory, Run
from .gateway import Answer, Gateway
from .markets import NOW, SEED

T0 = 1_790_000_000.0
BINANCE = Limit(0.05, 60.0)
"""1,200 units a minute."""
USABLE = 1080
"""What all may use of them."""
KLINES = 0.4
COINBASE = Limit(0.1)
WEIGHT = "x-mbx-used-weight-1m"


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time goes on only while there is nothing to do, and then at once."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        select = self._selector.select

        def skip(timeout: float | None = None) -> Any:
            found = select(0 if timeout is not None else None)
            if not found and timeout:
                self._now += timeout
            return found

        self._selector.select = skip  # type: ignore[method-assign]

    def time(self) -> float:
        return self._now


def play(main: Callable[[], Awaitable[Any]]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def virtual() -> float:
    return T0 + asyncio.get_running_loop().time()


def budget(file: Path, limit: Limit = BINANCE, clock: Callable[[], float] = virtual) -> Budget:
    return Budget(file, "binance", "binance", limit, clock)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "budget.sqlite"


def account(file: Path, source: str = "binance") -> dict[str, Any]:
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT account FROM account WHERE source = ?", [source])
        return json.loads(rows.fetchone()[0])


def granted(file: Path, source: str = "binance") -> float:
    return sum(units for _, units in account(file, source)["granted"])


async def spend_all(of: Budget, cost: float = 10.0) -> float:
    """Make requests until one is refused; give what all the others cost."""
    spent = 0.0

    async def spend() -> None:
        nonlocal spent
        while True:
            await of.acquire(cost)
            spent += cost

    with pytest.raises(ExchangeUnavailableError, match="budget of this machine for binance"):
        await within(30, "binance", spend())
    return spent


def spent_at(file: Path, now: float, cost: float = 10.0) -> float:
    """Spend all that there is at a time that stands still."""
    spent: float = play(lambda: spend_all(budget(file, clock=lambda: now), cost))
    return spent


# ------------------------------------------------------------------ sharing

Request = tuple[int, float, float, bool]
"""Which process makes it, when, what it costs, and whether it is patient."""
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
    """When requests may be made, and what they cost."""
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
def test_where_there_is_no_window_requests_keep_their_distance(asked: list[Request]) -> None:
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


def test_processes_at_once_never_exceed_the_window(python: Run, file: Path) -> None:
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


def test_what_a_killed_process_did_not_spend_is_back_after_the_window(file: Path) -> None:
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


def test_a_process_that_is_killed_in_the_midst_of_a_change_changes_nothing(file: Path) -> None:
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


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whose account was changed, each time one was."""
    sources: list[str] = []
    change = Ledger.change

    def counted(self: Ledger, source: str, *more: Any) -> Any:
        sources.append(source)
        return change(self, source, *more)

    monkeypatch.setattr(Ledger, "change", counted)
    return sources


def test_one_call_takes_what_it_needs_and_a_download_a_second_at_a_time(
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


def test_other_programs_and_calls_that_cannot_wait_find_room_beside_a_download(
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


# ------------------------------------------------------------------ the file


@pytest.mark.parametrize("blocked", ["home is a file", "file is a folder"])
def test_where_the_file_cannot_be_written_the_process_keeps_to_its_own_budget(
    file: Path, blocked: str
) -> None:
    if blocked == "home is a file":
        file.parent.write_text("in the way")
    else:
        file.mkdir(parents=True)

    assert spent_at(file, T0) == USABLE
    assert spent_at(file, T0 + 30) == 0
    assert spent_at(file, T0 + 62) == USABLE


def overwrite(file: Path) -> None:
    file.write_bytes(b"no database at all" * 1000)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def other_tables(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("DROP TABLE account; CREATE TABLE account (colour TEXT);")


def other_values(file: Path, text: Any = '{"granted": [1, "two"]}') -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE account SET account = ?", [text])


@pytest.mark.parametrize("damage", [overwrite, cut, other_tables, other_values])
def test_a_damaged_file_is_made_anew(file: Path, damage: Callable[[Path], None]) -> None:
    spent_at(file, T0)
    damage(file)

    assert spent_at(file, T0) == USABLE
    assert granted(file) == USABLE
    assert Ledger(file).change("binance", lambda *_: True, lambda: T0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        '{"granted": [], "reserved": [], "blocked": []}',
        '{"granted": [[1, NaN]], "reserved": [[0, 0]], "blocked": [[0, 0]]}',
        '{"granted": [[1, 1e999]], "reserved": [[0, 0]], "blocked": [[0, 0]]}',
        '{"granted": [[1, ' + 500 * "9" + ']], "reserved": [[0, 0]], "blocked": [[0, 0]]}',
    ],
)
def test_an_account_that_cannot_be_read_is_an_empty_one(text: str) -> None:
    assert Account.parse(text) == Account()


def test_an_account_is_read_as_it_was_written() -> None:
    kept = Account({T0: 1.5, T0 + 1: 20.0}, (T0, 0.1), (T0 - 3, 120.0))
    assert Account.parse(kept.text()) == kept


def test_a_file_that_somebody_holds_locked_is_done_without(file: Path) -> None:
    spent_at(file, T0)
    before = account(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert play(lambda: spend_all(budget(file))) == USABLE
        other.execute("ROLLBACK")
    assert account(file) == before


def test_a_file_that_somebody_holds_for_a_moment_is_waited_for(file: Path) -> None:
    spent_at(file, T0)

    async def main() -> None:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            asking = asyncio.ensure_future(spend_all(budget(file)))
            await asyncio.sleep(1)
            assert not asking.done()
            other.execute("ROLLBACK")
        assert await asking == 0

    play(main)


def test_accounts_of_yesterday_are_dropped(file: Path) -> None:
    spent_at(file, T0)
    ledger(file).change("okx at http://127.0.0.1:1", lambda *_: None, lambda: T0 + 25 * 3600)

    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT source FROM account").fetchall()
    assert rows == [("okx at http://127.0.0.1:1",)]


def test_a_forked_child_does_not_wait_for_a_lock_that_its_parent_held(
    python: Run, file: Path
) -> None:
    program = """
        import os, sys
        from pathlib import Path
        from marketdata._requests.rate_ledger import ledger

        file = Path(sys.argv[1])
        file.mkdir(parents=True)  # so that memory, which has the lock, takes its place
        kept = ledger(file)
        with kept._lock:
            child = os.fork()
            if child == 0:
                print(ledger(file).change("binance", lambda *_: "changed", lambda: 1.0), flush=True)
                os._exit(0)
            os.waitpid(child, 0)
        print(ledger(file) is kept)
    """
    assert python(program, str(file)) == "changed\nTrue\n"


# ------------------------------------------------------------------ clocks


@pytest.mark.parametrize("back", [0.5, 10, 3600, 400 * 86_400])
def test_a_clock_that_is_set_back_neither_forgets_nor_holds_up_for_longer(
    file: Path, back: float
) -> None:
    spent_at(file, T0)

    assert spent_at(file, T0 - back) == 0
    assert spent_at(file, T0 - back + 59) == 0
    assert spent_at(file, T0 - back + 62) == USABLE


def test_calls_that_wait_for_room_notice_a_clock_that_is_set_back(file: Path) -> None:
    async def main() -> None:
        back = 0.0
        mine = budget(file, clock=lambda: virtual() - back)
        await spend_all(mine)
        waiting = asyncio.ensure_future(mine.acquire(10.0))
        await asyncio.sleep(1)
        back = 3600.0
        await mine.acquire(10.0)
        assert virtual() <= T0 + 64
        await waiting

    play(main)


def test_a_lease_does_not_outlive_a_clock_that_is_set_back(file: Path) -> None:
    now = T0
    mine = budget(file, clock=lambda: now)
    for _ in range(8):
        asyncio.run(mine.acquire(1.0))  # leases of 1, 2, 4 and 8 units
    assert mine.spend(1.0)
    now = T0 - 3600
    assert not mine.spend(1.0)
    now = T0 + 3600
    assert not mine.spend(1.0)


@pytest.mark.parametrize("limit", [BINANCE, COINBASE])
def test_a_clock_that_is_set_back_does_not_prolong_a_block(file: Path, limit: Limit) -> None:
    budget(file, limit, lambda: T0).block(120)

    def wait(now: float) -> float | None:
        return play(lambda: refused(budget(file, limit, lambda: now)))

    assert wait(T0 + 20) == pytest.approx(100)
    assert wait(T0 - 3600) == pytest.approx(120)
    assert wait(T0 - 3600 + 50) == pytest.approx(70)
    assert wait(T0 - 3600 + 121) is None


def test_a_turn_that_was_reserved_before_the_clock_was_set_back_comes_soon(file: Path) -> None:
    asyncio.run(budget(file, COINBASE, lambda: T0).acquire(5.0))
    assert play(lambda: refused(budget(file, COINBASE, lambda: T0 - 3600), 0.1)) == pytest.approx(
        rate_ledger.AHEAD + 0.5
    )


async def refused(of: Budget, seconds: float = 30.0) -> float | None:
    """For how long a call is refused that has so many seconds; None where it is not."""
    try:
        await within(seconds, "binance", of.acquire(1.0))
    except ExchangeUnavailableError as error:
        return error.retry_after
    return None


# ------------------------------------------------------------------ deadlines


@pytest.mark.parametrize("limit", [BINANCE, COINBASE])
def test_a_call_that_would_have_to_wait_for_too_long_fails_at_once(
    file: Path, limit: Limit
) -> None:
    async def main() -> None:
        budget(file, limit).block(45)
        with pytest.raises(ExchangeUnavailableError) as caught:
            await within(30, "binance", budget(file, limit).acquire(1.0))
        assert virtual() == T0
        assert caught.value.to_dict() == {
            "code": "EXCHANGE_UNAVAILABLE",
            "message": "The request budget of this machine for binance is used up; it is free "
            "again in 45 s.",
            "retryable": True,
            "retryAfter": 45.0,
            "details": {"exchange": "binance", "reason": "rate_limited"},
        }

        await within(50, "binance", budget(file, limit).acquire(1.0))
        assert virtual() == pytest.approx(T0 + 45)

    play(main)


def test_calls_in_a_queue_look_for_their_turn_when_it_is_near(file: Path, looks: list[str]) -> None:
    async def main() -> None:
        slow = budget(file, COINBASE)
        await asyncio.gather(*[slow.acquire(1.0) for _ in range(100)])
        assert virtual() == pytest.approx(T0 + 9.8)

    play(main)
    assert len(looks) < 300


def test_calls_in_a_queue_fail_at_once_where_the_queue_is_too_long(file: Path) -> None:
    async def main() -> None:
        slow = budget(file, COINBASE)
        calls = [within(3, "binance", slow.acquire(1.0)) for _ in range(100)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        good = ended.count(None)
        assert 20 <= good <= 32
        assert {str(one).split(";")[0] for one in ended if one is not None} == {
            "The request budget of this machine for binance is used up"
        }
        assert virtual() < T0 + 3
        # Nothing is left of those that were refused.
        await slow.acquire(1.0)
        assert virtual() <= T0 + 3.2

    play(main)


def test_calls_that_were_cancelled_do_not_hold_up_the_next(file: Path) -> None:
    async def main() -> None:
        slow = budget(file, COINBASE)
        calls = [asyncio.ensure_future(slow.acquire(1.0)) for _ in range(100)]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        await slow.acquire(1.0)
        assert virtual() <= T0 + 1.2

    play(main)


@pytest.mark.parametrize("limit", [BINANCE, COINBASE])
def test_a_patient_call_waits_for_longer_than_a_call_may_take(file: Path, limit: Limit) -> None:
    async def main() -> None:
        budget(file, limit).block(600)
        work = budget(file, limit)

        async def long_job() -> None:
            for _ in range(3):
                await work.acquire(1.0)

        with patient():
            jobs = [within(2, "binance", long_job()) for _ in range(3)]
            await asyncio.gather(*jobs)
        assert virtual() == pytest.approx(T0 + 600, abs=1)

        async def slow_answer() -> None:
            await work.acquire(1.0)
            await asyncio.sleep(3)

        with patient(), pytest.raises(ExchangeUnavailableError, match="did not answer within 2 s"):
            await within(2, "binance", slow_answer())

    play(main)


def test_a_patient_call_without_a_deadline(file: Path) -> None:
    async def main() -> None:
        budget(file).block(600)
        with patient():
            await budget(file).acquire(1.0)
        assert virtual() == pytest.approx(T0 + 600)

    play(main)


@pytest.mark.parametrize(("seconds", "until"), [(600.0, 600), (7200.0, 3600)])
def test_a_block_lasts_an_hour_at_most(file: Path, seconds: float, until: float) -> None:
    budget(file, clock=lambda: T0).block(seconds)
    assert play(lambda: refused(budget(file, clock=lambda: T0))) == until


def test_a_block_ends_the_lease(file: Path) -> None:
    mine = budget(file, clock=lambda: T0)
    for _ in range(2):
        asyncio.run(mine.acquire(1.0))
    assert mine.spend(1.0)
    mine.block(60)
    assert not mine.spend(0.0)


def test_a_shorter_block_does_not_end_a_longer_one(file: Path) -> None:
    budget(file, clock=lambda: T0).block(600)
    budget(file, clock=lambda: T0).block(60)
    assert play(lambda: refused(budget(file, clock=lambda: T0))) == 600


def test_what_costs_more_than_the_window_goes_when_nothing_else_is_in_it(file: Path) -> None:
    async def main() -> None:
        some = budget(file)
        await some.acquire(5000.0)
        assert virtual() == T0
        await some.acquire(5000.0)
        assert T0 + 60 <= virtual() <= T0 + 62

    play(main)


@pytest.mark.parametrize("limit", [BINANCE, COINBASE])
def test_what_costs_nothing_waits_only_where_the_exchange_asks_for_it(
    file: Path, limit: Limit
) -> None:
    async def main() -> None:
        some = budget(file, limit)
        for _ in range(3):
            await some.acquire(0.0)
        assert virtual() == T0
        some.block(60)
        with patient():
            await some.acquire(0.0)
        assert virtual() == pytest.approx(T0 + 60)

    play(main)


# ------------------------------------------------------------------ used weight


def test_what_others_use_at_the_same_address_is_used(file: Path) -> None:
    mine, other = (budget(file, clock=lambda: T0) for _ in range(2))
    asyncio.run(mine.acquire(1.0))
    mine.correct(0.85)
    assert granted(file) == pytest.approx(0.85 * 1200)

    mine.correct(0.7)
    other.correct(0.85)
    assert granted(file) == pytest.approx(0.85 * 1200)
    assert play(lambda: spend_all(other)) == pytest.approx(0.05 * 1200, abs=1)
    assert spent_at(file, T0 + 62) == USABLE


def test_what_is_known_is_not_counted_twice(file: Path, looks: list[str]) -> None:
    for _ in range(4):
        mine = budget(file, clock=lambda: T0)
        asyncio.run(mine.acquire(200.0))
    before = len(looks)
    mine.correct(800 / 1200)
    assert granted(file) == 800
    assert len(looks) == before


def test_no_look_at_the_file_while_less_than_half_is_used(file: Path) -> None:
    budget(file, clock=lambda: T0).correct(0.5)
    assert not file.exists()


# ------------------------------------------------------------------ through ccxt

paced = pytest.mark.paced


@paced
def test_an_exchange_that_asks_to_be_left_alone_is_left_alone_by_all_processes(
    sim: SimulatedExchange, connect: Factory, python: Run
) -> None:
    client = connect(sim, timeout=20)
    client.ticker("BTC/USDT")
    sim.faults.add(exchange="binance", status=429, retry_after=1000, times=1)
    with pytest.raises(md.ExchangeUnavailableError, match="asks for fewer requests") as caught:
        client.quote("BTC/USDT")
    assert caught.value.retry_after == 1000
    sim.forget()

    program = """
        import marketdata as md

        try:
            md.ticker("BTC/USDT", exchange="binance")
        except md.ExchangeUnavailableError as error:
            print(error.message.split(";")[0], 900 < error.retry_after <= 1000)
        print(md.ticker("BTC/USDT", exchange="kraken").exchange)
        print(md.ticker("BTC/USDT").exchange)  # the next default
    """
    said = "The request budget of this machine for binance is used up"
    assert python(program) == f"{said} True\nkraken\nkraken\n"
    with pytest.raises(md.ExchangeUnavailableError, match="free again in"):
        client.ticker("BTC/USDT")
    assert not [request for request in sim.requests if request.exchange == "binance"]


@paced
def test_without_a_retry_after_the_next_request_is_made(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim, retries=1)
    sim.faults.add(exchange="binance", path="*/24hr", status=429, times=1)
    assert client.ticker("BTC/USDT").pair == "BTC/USDT"


def weigh(gateway: Gateway, weight: int) -> None:
    def change(answer: Answer) -> Answer:
        answer.headers[WEIGHT] = str(weight)
        return answer

    gateway.change("*", change)


@paced
def test_the_used_weight_that_binance_tells_slows_us_down_before_the_ban(
    gateway: Gateway, connect: Factory
) -> None:
    first = connect(gateway, timeout=20)
    weigh(gateway, 300)
    first.ticker("BTC/USDT")
    first.ticker("BTC/USDT")

    weigh(gateway, 5950)
    first.ticker("BTC/USDT")
    asked = len(gateway.requests)
    for client in (first, connect(gateway, timeout=20)):
        with pytest.raises(md.ExchangeUnavailableError, match=r"free again in 6[012] s"):
            client.candles("BTC/USDT")
    assert len(gateway.requests) == asked


@paced
def test_what_the_exchange_counts_is_what_we_count(connect: Factory, isolated: Path) -> None:
    with SimulatedExchange(seed=SEED, now=NOW, frozen=True) as alone:
        client = connect(alone)
        client.ticker("BTC/USDT")
        client.candles("BTC/USDT", "1m", limit=1000)
        client.orderbook("BTC/USDT", 1000)
        client.trades("BTC/USDT")
        client.tickers()
        weight = 20 + 2 + 2 + 50 + 25 + 80
        used = granted(isolated / "budget.sqlite", f"binance at {alone.url}")
    assert used == pytest.approx(weight / 5, rel=0.2)


@paced
def test_requests_do_not_wait_for_ccxts_own_limiter_as_well(
    sim: SimulatedExchange, connect: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limit(*_: Any) -> None:
        raise AssertionError("ccxt's own limiter was asked")

    monkeypatch.setattr(Throttler, "__call__", limit)
    for exchange in ("binance", "okx"):
        assert connect(sim, exchange).ticker("BTC/USDT").pair == "BTC/USDT"


@paced
def test_the_simulator_has_no_limits(isolated: Path) -> None:
    with md.Client("binance", sim=True) as client:
        client.ticker("BTC/USDT")
    assert not isolated.exists()


@pytest.mark.parametrize(
    ("exchange", "limit"),
    [
        ("binance", Limit(0.05, 60.0)),
        ("binanceus", Limit(0.05, 60.0)),
        ("kraken", Limit(1.0, 10.0)),
        ("coinbaseexchange", Limit(0.1)),
        ("okx", Limit(0.11)),
    ],
)
def test_limits_are_those_of_ccxt(exchange: str, limit: Limit) -> None:
    async def main() -> None:
        venue = Venue(connector_class(exchange), Settings(), Catalogue(None), None)
        found = venue._limit(venue._api)
        assert found.seconds_per_unit == pytest.approx(limit.seconds_per_unit)
        assert found.window == limit.window
        await venue.close()

    asyncio.run(main())


@pytest.fixture
def impatient() -> Iterator[type[Any]]:
    """ccxt's binance, at an exchange that asks to be left alone for 100 s, each second time."""
    count = 0

    async def fetch(self: Any, url: str, *_: Any) -> Any:
        nonlocal count
        count += 1
        reply = current().reply
        if count % 2:
            self.on_rest_response(429, "", url, "GET", {"Retry-After": "100"}, "", {}, None)
            raise RateLimitExceeded("slow down")
        assert reply is not None
        return {"serverTime": 7}

    return type("binance", (connector_class("binance"),), {"fetch": fetch})


@paced
def test_a_long_job_waits_as_long_as_the_exchange_asks(impatient: type[Any], file: Path) -> None:
    async def main() -> None:
        venue = Venue(impatient, Settings(timeout=30), Catalogue(None), None)
        venue._api.budget = budget(file)

        async def ask() -> int:
            return int(await venue.call(lambda raw, _: raw, "fetch_time"))

        with pytest.raises(ExchangeUnavailableError, match="asks for fewer requests"):
            await within(30, "binance", ask())
        assert virtual() == T0
        with pytest.raises(ExchangeUnavailableError, match="free again in 100 s"):
            await within(30, "binance", ask())
        with patient():
            for _ in range(3):
                assert await within(30, "binance", ask()) == 7
        assert T0 + 300 <= virtual() < T0 + 310
        await venue.close()

    play(main)
