"""Options that several suites share."""

import os
from pathlib import Path

import pytest


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
