"""Options that several suites share."""

import gc
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_server import RedisServer

_DEEPEST = sys.getrecursionlimit()


@pytest.fixture(autouse=True)
def _as_deep_as_ever() -> None:
    """What a test before has done to the recursion limit is no other test's trouble."""
    if sys.getrecursionlimit() < _DEEPEST:
        sys.setrecursionlimit(_DEEPEST)


@pytest.fixture(autouse=True)
def _no_ticks_of_another_test() -> None:
    """Displays of records made by hand do not depend on the pairs that other tests have loaded."""
    if ticks := sys.modules.get("marketdata.models.ticks"):
        ticks._KNOWN.clear()


def pytest_collection_finish() -> None:
    """Leave what the collected tests are made of out of each look for garbage."""
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
        "--accept",
        action="store_true",
        help="keep what tests/conformance counts in the folder of recordings as what it has to be",
    )
    group.addoption(
        "--live",
        action="store_true",
        help="record cassettes from the exchanges themselves instead of the simulator",
    )
