"""Runs over a folder of recorded answers, a table of what passed, and what was accepted before."""

import functools
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import calls
import playback
import pytest
import totals
from inside.exchanges import loader
from recorded import Case, Recordings
from totals import Accepted, Cell, Totals

NEEDS = "needs recorded exchange answers: --recorded DIR or MARKETDATA_RECORDED=DIR"
COLUMNS = (
    *("pairs", "ticker", "tickers", "quote", "quotes", "orderbook", "candles", "trades"),
    *("fees", "status", "refused"),
)
HERE = Path(__file__).parent

# ---------------------------------------------------------------------------- tests


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, from one place so that it is reported once, what needs recordings without them."""
    if item.config.getoption("recorded") is None and "recordings" in item.fixturenames:
        pytest.skip(NEEDS)


def _spot(recordings: Recordings) -> list[Case]:
    return [one for one in _able(recordings) if not one.contract and one.method not in calls.STATUS]


def _able(recordings: Recordings) -> list[Case]:
    return [one for one in recordings.cases if calls.unable(one) is None]


def _books(recordings: Recordings) -> list[Case]:
    return [
        one
        for one in _spot(recordings)
        # Who has a call for best prices is asked that; and quotes take no parameters.
        if one.method == "fetchOrderBook"
        and not one.params
        and playback.described(one.exchange).has.get("fetchBidsAsks") is not True
    ]


def _bars(recordings: Recordings) -> list[Case]:
    return [
        one
        for one in _spot(recordings)
        if one.method == "fetchOHLCV" and one.input[2:3] in ([], [None]) and not one.params
    ]


def _pages(recordings: Recordings) -> list[Case]:
    return [one for one in _spot(recordings) if one.description.startswith("page 1 of ")]


def _exchanges(recordings: Recordings) -> list[str]:
    return sorted({one.exchange for one in _able(recordings)})


def _listing(recordings: Recordings) -> list[str]:
    listed = {one.exchange for one in _spot(recordings) if one.method == "fetchMarkets"}
    return [
        name
        for name in _exchanges(recordings)
        if name in listed or any(map(playback.is_served, recordings.listed(name) or []))
    ]


def _telling(recordings: Recordings) -> list[str]:
    return sorted({one.exchange for one in _able(recordings) if one.method in calls.STATUS})


MADE_OF: dict[str, Callable[[Recordings], list[Any]]] = {
    "spot_case": _spot,
    "contract_case": lambda recordings: [one for one in _able(recordings) if one.contract],
    "book_case": _books,
    "bars_case": _bars,
    "first_page": _pages,
    "exchange": _exchanges,
    "listing_exchange": _listing,
    "telling_exchange": _telling,
}
"""What a test is made of each of, by the fixture that the test takes it from."""


@functools.cache
def _folder(folder: Path) -> Recordings:
    return Recordings(folder)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each recorded case, or of each exchange."""
    folder = metafunc.config.getoption("recorded")
    for name in MADE_OF.keys() & set(metafunc.fixturenames):
        found: list[Any]
        try:
            found = ["unrecorded"] if folder is None else MADE_OF[name](_folder(folder))
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


def _given(recordings: Recordings, request: pytest.FixtureRequest) -> Any:
    if isinstance(request.param, OSError):
        raise request.param
    return request.param


spot_case = pytest.fixture(_given, name="spot_case")
contract_case = pytest.fixture(_given, name="contract_case")
book_case = pytest.fixture(_given, name="book_case")
bars_case = pytest.fixture(_given, name="bars_case")
first_page = pytest.fixture(_given, name="first_page")
exchange = pytest.fixture(_given, name="exchange")
listing_exchange = pytest.fixture(_given, name="listing_exchange")
telling_exchange = pytest.fixture(_given, name="telling_exchange")


@pytest.fixture(scope="session")
def recordings(pytestconfig: pytest.Config) -> Recordings:
    """The folder of recordings."""
    return _folder(pytestconfig.getoption("recorded"))


@pytest.fixture(autouse=True)
def only_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what this machine's environment says about exchanges out of the tests."""
    for name in [name for name in os.environ if name.startswith("MARKETDATA_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def counted(record_property: Any) -> Any:
    """Return a function that names the cell of the table which the test counts in."""

    def count(exchange: str, column: str) -> None:
        record_property("conformance", json.dumps([exchange, column]))

    return count


@pytest.fixture
def not_run(record_property: Any) -> Any:
    """Give a function that ends a test of a case which no public call can ask for, and says why."""

    def end(exchange: str, method: str, reason: str) -> None:
        record_property("not run", json.dumps([exchange, method, reason]))
        pytest.skip(f"{method}: {reason}")

    return end


@pytest.fixture
def other_ccxt(record_property: Any) -> Any:
    """Return a function that notes a recorded result which the installed ccxt does not give."""

    def note(case: Case) -> None:
        record_property("other ccxt", case.name)

    return note


# ---------------------------------------------------------------------------- the table


def _properties(reporter: Any, name: str) -> list[tuple[str, str]]:
    """Return outcome and value of a property, of all tests that have ended."""
    return [
        (outcome, value)
        for outcome, reports in reporter.stats.items()
        if outcome != "rerun"
        for report in reports
        if getattr(report, "when", None) == "call"
        for key, value in report.user_properties
        if key == name
    ]


def _counted(reporter: Any) -> Totals:
    run: Counter[tuple[str, str]] = Counter()
    passed: Counter[tuple[str, str]] = Counter()
    for outcome, value in _properties(reporter, "conformance"):
        if outcome != "skipped":
            exchange, column = json.loads(value)
            run[exchange, column] += 1
            passed[exchange, column] += outcome == "passed"
    found: Totals = defaultdict(dict)
    for (exchange, column), count in run.items():
        found[exchange][column] = Cell(passed[exchange, column], count)
    return dict(found)


def _is_whole(session: pytest.Session) -> bool:
    """Return whether all tests of this folder were to be run, and were."""
    option = session.config.option
    chosen = [option.keyword, option.markexpr, option.deselect, option.maxfail]
    chosen += [getattr(option, name, None) for name in ("lf", "failedfirst", "stepwise")]
    asked = [session.config.invocation_params.dir / one for one in session.config.args]
    return (
        not any(chosen)
        and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        and any(one.resolve() in (HERE, *HERE.parents) for one in asked)
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Compare a whole run with what was accepted, and fail where there is less."""
    config, folder = session.config, session.config.getoption("recorded")
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if folder is None or hasattr(config, "workerinput") or reporter is None:
        return
    if config.option.collectonly or not _is_whole(session):
        return
    now = _counted(reporter)
    lines, failed = totals.verdict(
        _folder(folder).digest if now else "",
        Accepted(loader.version(), now),
        accept=config.getoption("accept"),
    )
    config.stash[_SAID] = lines
    if failed and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


_SAID = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print exchange by operation, passed of run; what was not run, and why; what has changed."""
    found = _counted(terminalreporter)
    said = config.stash.get(_SAID, [])
    if not found and not said:
        return
    terminalreporter.section("recorded answers: passed of run")
    if found:
        for line in _table(found):
            terminalreporter.write_line(line)
        for line in _left_out(terminalreporter, _folder(config.getoption("recorded"))):
            terminalreporter.write_line(line)
    for line in said:
        terminalreporter.write_line(line)


def _table(found: Totals) -> list[str]:
    columns = [name for name in COLUMNS if any(name in cells for cells in found.values())]
    rows = [["exchange", *columns]]
    for exchange in sorted(found):
        cells = found[exchange]
        rows.append([exchange, *(str(cells.get(name, "")) for name in columns)])
    every = [[cells[name] for cells in found.values() if name in cells] for name in columns]
    sums = [
        Cell(sum(cell.passed for cell in cells), sum(cell.run for cell in cells)) for cells in every
    ]
    rows.append(["all", *map(str, sums)])
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = []
    for first, *cells in rows:
        line = [first.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]
        lines.append("  ".join(line).rstrip())
    return lines


def _left_out(reporter: Any, recordings: Recordings) -> list[str]:
    """Return what was not run and why; and which recorded results are not the installed ccxt's."""
    version = loader.version()
    lines = [
        f"compared with what ccxt {version} makes of them"
        + (", and with the recorded results" if version == recordings.ccxt else "")
    ]
    others = sorted(name for _, name in _properties(reporter, "other ccxt"))
    if others:
        lines.append(f"recorded results that ccxt {version} does not give: {', '.join(others)}")
    reasons: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for case in recordings.cases:
        reason = calls.unable(case)
        if reason is not None:
            reasons[case.method, reason][case.exchange] += 1
    for outcome, value in _properties(reporter, "not run"):
        exchange, method, reason = json.loads(value)
        if outcome == "skipped":
            reasons[method, reason][exchange] += 1
    for (method, reason), exchanges in sorted(reasons.items()):
        names = ", ".join(
            f"{name} {count}" if count > 1 else name for name, count in sorted(exchanges.items())
        )
        lines.append(f"not run: {method}: {reason} ({names})")
    return lines
