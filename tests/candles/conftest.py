"""The exchange of these tests on a socket, and an environment without our settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from inside import unpaced

from .setting import Set, Setting
from .wire import Wire
from .world import Exchange, World


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without our settings, and a separate home for the test."""
    for name in list(os.environ):
        if name.startswith(("MARKETDATA_", "AWS_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("MARKETDATA_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests without a budget, which no exchange of these tests needs."""
    unpaced.requests(monkeypatch)


@pytest.fixture(scope="session")
def _wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


@pytest.fixture
def wire(_wire: Wire) -> Wire:
    """The server, which gives the answers of the exchange that a test sets."""
    return _wire


@pytest.fixture
def set_up(wire: Wire, tmp_path: Path) -> Iterator[Set]:
    """Makes a client of an exchange, or of one in a world, at its time."""
    with ExitStack() as stack:

        def set_up(of: Exchange | World) -> Setting:
            exchange = Exchange(of) if isinstance(of, World) else of
            return Setting(stack, wire, tmp_path, exchange)

        yield set_up
