"""The server that all cases are for, and how many there were."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inside import unpaced

# What speaks HTTP by hand there is needed here, too.
sys.path.append(str(Path(__file__).parents[1] / "mcp"))

from fuzz_world import CASES, World


def pytest_terminal_summary(terminalreporter: Any) -> None:
    told = ", ".join(f"{count} {name}" for name, count in sorted(CASES.items()))
    if told:
        terminalreporter.write_line(f"fuzz: {sum(CASES.values())} cases: {told}")


@pytest.fixture(autouse=True, scope="module")
def unhurried() -> Iterator[None]:
    """Requests of this process without a budget, which no simulated exchange needs."""
    with pytest.MonkeyPatch.context() as patch:
        unpaced.requests(patch)
        yield


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A server; one that asks for keys where a test says so by its parameter."""
    home = tmp_path_factory.mktemp("home")
    with World.begun(home, guarded=getattr(request, "param", False)) as begun:
        yield begun
