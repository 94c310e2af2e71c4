"""A home for this suite, and requests without rate limits."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from inside import unpaced

# What starts servers with keys and asks them is needed here, too.
sys.path.append(str(Path(__file__).parents[1] / "access"))


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without settings of ours, and a home of the test's own."""
    for name in list(os.environ):
        if name.startswith("MARKETDATA_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("MARKETDATA_HOME", str(home))
    monkeypatch.setenv("MARKETDATA_STORE", "none")
    return home


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests without a budget, which no loopback needs."""
    unpaced.requests(monkeypatch)
