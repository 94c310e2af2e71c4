"""The file of the request budget: damaged, locked or old, and with a clock that is set back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from inside.requests import Account, Ledger, Limit

from marketdata._requests import rate_ledger
from marketdata._requests.rate_ledger import ledger

from .budgets import (
    BINANCE,
    COINBASE,
    T0,
    USABLE,
    account,
    budget,
    granted,
    play,
    refused,
    spend_all,
    spent_at,
    virtual,
)
from .conftest import Run


@pytest.mark.parametrize("blocked", ["home is a file", "file is a folder"])
def test_without_a_writable_file_the_process_keeps_its_own_budget(file: Path, blocked: str) -> None:
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
def test_a_damaged_file_is_rebuilt(file: Path, damage: Callable[[Path], None]) -> None:
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
def test_an_unreadable_account_counts_as_empty(text: str) -> None:
    assert Account.parse(text) == Account()


def test_an_account_is_read_as_it_was_written() -> None:
    kept = Account({T0: 1.5, T0 + 1: 20.0}, (T0, 0.1), (T0 - 3, 120.0))
    assert Account.parse(kept.text()) == kept


def test_a_file_that_stays_locked_is_not_used(file: Path) -> None:
    spent_at(file, T0)
    before = account(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        # What was used when the file was last looked at is not forgotten.
        assert play(lambda: spend_all(budget(file))) == 0
        ledger.cache_clear()
        assert play(lambda: spend_all(budget(file))) == USABLE
        other.execute("ROLLBACK")
    assert account(file) == before


def test_a_briefly_locked_file_is_waited_for(file: Path) -> None:
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


def test_old_accounts_are_dropped(file: Path) -> None:
    spent_at(file, T0)
    ledger(file).change("okx at http://127.0.0.1:1", lambda *_: None, lambda: T0 + 25 * 3600)

    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT source FROM account").fetchall()
    assert rows == [("okx at http://127.0.0.1:1",)]


def test_a_forked_child_does_not_wait_for_a_lock_of_its_parent(python: Run, file: Path) -> None:
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


@pytest.mark.parametrize("back", [0.5, 10, 3600, 400 * 86_400])
def test_a_clock_set_back_neither_forgets_requests_nor_waits_longer(
    file: Path, back: float
) -> None:
    spent_at(file, T0)

    assert spent_at(file, T0 - back) == 0
    assert spent_at(file, T0 - back + 59) == 0
    assert spent_at(file, T0 - back + 62) == USABLE


def test_waiting_calls_notice_a_clock_that_is_set_back(file: Path) -> None:
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


def test_a_turn_reserved_before_the_clock_was_set_back_comes_soon(file: Path) -> None:
    asyncio.run(budget(file, COINBASE, lambda: T0).acquire(5.0))
    assert play(lambda: refused(budget(file, COINBASE, lambda: T0 - 3600), 0.1)) == pytest.approx(
        rate_ledger.AHEAD + 0.5
    )
