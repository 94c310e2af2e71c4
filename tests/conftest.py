"""Options that several suites share."""

import os
import sys
from pathlib import Path

import pytest

_DEEPEST = sys.getrecursionlimit()


@pytest.fixture(autouse=True)
def _as_deep_as_ever() -> None:
    """What a test before has done to the recursion limit is no other test's trouble."""
    if sys.getrecursionlimit() < _DEEPEST:
        sys.setrecursionlimit(_DEEPEST)


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
        "--live",
        action="store_true",
        help="record cassettes from the exchanges themselves instead of the simulator",
    )
