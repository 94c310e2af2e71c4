"""Options that several suites share."""

import functools
import gc
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import warm
from redis_server import RedisServer

# jsonschema would compile 39 grammars for a format that no schema here has: 1.3 s in each worker.
sys.modules.setdefault("rfc3987_syntax", None)

# Thousands of tests and all of ccxt are long-lived: with the usual thresholds one second in ten to
# four goes into looking through them.
gc.set_threshold(10_000, 10, 50)

_DEEPEST = sys.getrecursionlimit()


@pytest.fixture(autouse=True)
def _as_deep_as_ever() -> None:
    """What a test before has done to the recursion limit is no other test's trouble."""
    if sys.getrecursionlimit() < _DEEPEST:
        sys.setrecursionlimit(_DEEPEST)


@pytest.fixture(scope="session", autouse=True)
def _warm() -> Iterator[None]:
    """Start the project's own commands from one process that has imported them."""
    if sys.platform == "linux":
        with warm.installed():
            yield
    else:
        yield


@pytest.fixture(scope="session", autouse=True)
def _exchanges_described_once() -> Iterator[None]:
    """Describe the exchanges of ccxt once, and not for each test that has a home of its own."""
    from marketdata._exchanges import supported

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supported, "described", functools.cache(supported.described))
        yield


@pytest.fixture(scope="session")
def on_path(_warm: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What PATH begins with in a shell that uses the project's commands."""
    return warm.commands(tmp_path_factory.mktemp("commands"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start every process of a test from nothing that is marked ``cold``."""
    warm.allow("cold" not in item.keywords)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Let a timeout in a group of tasks be told from other failures, as `--only-rerun` has to."""
    try:
        return (yield)
    except BaseExceptionGroup as group:
        late, others = group.split(TimeoutError)
        if late is None or others is not None:
            raise
        raise TimeoutError(str(group)) from group


@pytest.fixture(autouse=True)
def _no_ticks_of_another_test() -> None:
    """Displays of records made by hand do not depend on the pairs that other tests have loaded."""
    if ticks := sys.modules.get("marketdata.models.ticks"):
        ticks._KNOWN.clear()


def pytest_collection_finish() -> None:
    """Leave what the collected tests are made of out of each look for garbage."""
    _keep()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Leave what a file has imported out of later looks, which take a quarter of a second else."""
    if nextitem is None or nextitem.path != item.path:
        _keep()


def _keep() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """An empty Redis of the test's own, running."""
    with RedisServer() as server:
        yield server


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End a run with a line that counts what was skipped, by what it needs."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in reporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple)
    )
    if reasons:
        each = "; ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        reporter.write_line(f"skipped: {each}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which more tests were repeated than it may."""
    most = session.config.getoption("max_repeated")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if most is None or reporter is None or hasattr(session.config, "workerinput"):
        return
    repeated = len(reporter.stats.get("rerun", ()))
    if repeated > most:
        reporter.write_line(f"{repeated} tests were repeated, {most} may be", red=True)
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("marketdata")
    group.addoption(
        "--recorded",
        metavar="DIR",
        type=Path,
        default=os.environ.get("MARKETDATA_RECORDED") or None,
        help="folder of recorded exchange answers for tests/conformance "
        "(or the variable MARKETDATA_RECORDED)",
    )
    group.addoption(
        "--max-repeated",
        metavar="N",
        type=int,
        help="fail when more than so many tests were repeated (--reruns)",
    )
    group.addoption(
        "--accept",
        action="store_true",
        help="keep what tests/conformance counts in the folder of recordings as what it has to be",
    )
    group.addoption(
        "--live",
        action="store_true",
        help="record cassettes from the exchanges themselves instead of the simulator",
    )
