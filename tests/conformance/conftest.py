"""Runs over a folder of recorded answers, and a table of what passed."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from calls import INEXPRESSIBLE
from recorded import Case, Recordings

from marketdata import _ccxt

NEEDS = "needs recorded exchange answers: --recorded DIR or MARKETDATA_RECORDED=DIR"
COLUMNS = ("pairs", "ticker", "tickers", "quote", "orderbook", "candles", "trades", "refused")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip all tests here, from one place so that it is reported once, without recordings."""
    if item.config.getoption("recorded") is None:
        pytest.skip(NEEDS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each recorded case, or of each exchange."""
    kinds = {
        "spot_case": lambda recordings: [one for one in recordings.cases if not one.contract],
        "contract_case": lambda recordings: [one for one in recordings.cases if one.contract],
        "book_case": lambda recordings: [
            one
            for one in recordings.cases
            # Binance is asked for its best prices themselves.
            if one.method == "fetchOrderBook"
            and not (one.contract or one.signed or one.exchange == "binance")
        ],
        "exchange": lambda recordings: recordings.exchanges,
    }
    for name in kinds.keys() & set(metafunc.fixturenames):
        folder = metafunc.config.getoption("recorded")
        found: list[Any]
        try:
            found = ["unrecorded"] if folder is None else kinds[name](Recordings(folder))
        except OSError as error:
            found = [error]
        metafunc.parametrize(name, found, ids=_name, indirect=True)


def _name(found: Any) -> str:
    match found:
        case Case():
            return found.name
        case str():
            return found
    return "missing"


def _given(request: pytest.FixtureRequest) -> Any:
    if isinstance(request.param, OSError):
        raise request.param
    return request.param


@pytest.fixture
def spot_case(recordings: Recordings, request: pytest.FixtureRequest) -> Case:
    """A recorded call about a spot pair."""
    case: Case = _given(request)
    return case


@pytest.fixture
def contract_case(recordings: Recordings, request: pytest.FixtureRequest) -> Case:
    """A recorded call about a swap, future or option."""
    case: Case = _given(request)
    return case


@pytest.fixture
def book_case(recordings: Recordings, request: pytest.FixtureRequest) -> Case:
    """A recorded order book of a spot pair."""
    case: Case = _given(request)
    return case


@pytest.fixture
def exchange(recordings: Recordings, request: pytest.FixtureRequest) -> str:
    """The id of an exchange that there are recordings of."""
    name: str = _given(request)
    return name


@pytest.fixture(scope="session")
def recordings(pytestconfig: pytest.Config) -> Recordings:
    """The folder of recordings."""
    folder: Path = pytestconfig.getoption("recorded")
    return Recordings(folder)


@pytest.fixture(autouse=True)
def only_recordings(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what this machine's environment says about exchanges out of the tests."""
    for name in [name for name in os.environ if name.startswith("MARKETDATA_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def counted(record_property: Any) -> Any:
    """Give a function that names the cell of the table which the test counts in."""

    def count(exchange: str, column: str) -> None:
        record_property("conformance", json.dumps([exchange, column]))

    return count


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print exchange by operation, passed of run."""
    run: Counter[tuple[str, str]] = Counter()
    passed: Counter[tuple[str, str]] = Counter()
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "conformance" and report.when == "call":
                    exchange, column = json.loads(value)
                    run[exchange, column] += 1
                    passed[exchange, column] += outcome == "passed"
    if not run:
        return
    results = Recordings(config.getoption("recorded")).ccxt
    terminalreporter.section("recorded answers: passed of run")
    terminalreporter.write_line(
        f"compared with what ccxt {_ccxt.version()} makes of them"
        + (", and with the recorded results" if _ccxt.version() == results else "")
    )
    rows = [["exchange", *COLUMNS]]
    for exchange in [*sorted({exchange for exchange, _ in run}), "all"]:
        counts = [
            (_sum(passed, exchange, column), _sum(run, exchange, column)) for column in COLUMNS
        ]
        rows.append([exchange, *(f"{good}/{ran}" if ran else "" for good, ran in counts)])
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for first, *cells in rows:
        line = [first.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]
        terminalreporter.write_line("  ".join(line).rstrip())
    for name, reason in INEXPRESSIBLE.items():
        terminalreporter.write_line(f"not run: {name}: {reason}")


def _sum(counter: Counter[tuple[str, str]], exchange: str, column: str) -> int:
    return sum(
        count for (one, of), count in counter.items() if exchange in (one, "all") and of == column
    )
