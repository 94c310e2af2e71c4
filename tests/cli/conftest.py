"""The installed command, and a simulated exchange for it."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import warm

import marketdata as md
from marketdata.sim import SimulatedExchange

NOW = datetime(2025, 6, 15, 12, 34, 56, 789_000, tzinfo=UTC)

DRAWN = datetime(2024, 3, 1, 12, 0, 0, tzinfo=UTC)
"""The time at which pages are drawn."""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def program() -> str:
    """The command that pip has installed."""
    return str(Path(sys.executable).with_name("marketdata"))


@pytest.fixture(scope="session")
def interruptible(program: str) -> list[str]:
    """The beginning of a command line whose process Ctrl-C ends, whatever was handed on to us.

    A test suite that runs in the background of a shell has Ctrl-C ignored. A warm process does not.
    """
    if warm.is_installed():
        return [program]
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    return [sys.executable, "-c", code, program]


@pytest.fixture(scope="session")
def sim() -> Iterator[SimulatedExchange]:
    """A simulated exchange with a frozen clock, so that every answer can be repeated."""
    with SimulatedExchange(seed=3, now=NOW, frozen=True) as started:
        yield started


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a user without settings, with an empty home folder."""
    kept = {name: value for name, value in os.environ.items() if name[:11] != "MARKETDATA_"}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PYTHONWARNINGS"):
        kept.pop(name, None)
    return {**kept, "MARKETDATA_HOME": str(tmp_path), "TERM": "xterm-256color"}


@pytest.fixture
def asking(environment: dict[str, str], sim: SimulatedExchange) -> dict[str, str]:
    """Variables that send every request to the simulated exchange."""
    return {**environment, "MARKETDATA_ENDPOINTS": json.dumps(sim.endpoints)}


@pytest.fixture
def command(program: str, environment: dict[str, str]) -> Command:
    """Run the installed command to its end."""

    def run(*arguments: str, env: dict[str, str] | None = None, **options: object):
        return subprocess.run(
            [program, *arguments],
            env=environment if env is None else env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    return run


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Draw a record with a width, as on a stream that is not a terminal."""

    def drawn(record: object, kind: str, width: int = 80, many: bool = False) -> str:
        from marketdata_cli.views.page import page

        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.delenv("FORCE_COLOR", raising=False)
        monkeypatch.setattr("sys.stdout", io.StringIO())
        operation = SimpleNamespace(record=kind, many=many)
        shown = md.Records(record, of=getattr(md, kind)) if many else record
        return page(operation, shown, DRAWN)

    return drawn


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, asking: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command line inside the test's process: exit code, output, errors."""
    for name in list(os.environ):
        if name.startswith("MARKETDATA_"):
            monkeypatch.delenv(name)
    for name in ("MARKETDATA_HOME", "MARKETDATA_ENDPOINTS", "TERM"):
        monkeypatch.setenv(name, asking[name])
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> tuple[int, str, str]:
        from marketdata_cli.app import run as run_line

        code = run_line(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
