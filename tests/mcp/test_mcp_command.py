"""The installed command: its options, its errors, and its imports."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from mcp_doors import COMMAND, PATIENCE, environment, request, running

import marketdata

HEAVY = ("aiohttp", "ccxt", "matplotlib", "numpy", "pandas", "polars", "pyarrow", "rich", "typer")


def _run(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        env=environment(home, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def _imported(log: str) -> set[str]:
    """Return the packages in the output of ``-X importtime``."""
    names = (line.rpartition("|")[2].strip() for line in log.splitlines() if "|" in line)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_almost_nothing(home: Path, option: str) -> None:
    done = _run(home, option, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert "marketdata-mcp" in done.stdout
    assert not _imported(done.stderr) & {"mcp", "pydantic", *HEAVY}


def test_the_version_is_the_packages(home: Path) -> None:
    assert _run(home, "--version").stdout == f"marketdata-mcp {marketdata.__version__}\n"


def test_the_module_is_the_command(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "marketdata_mcp", "--version"],
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout == _run(home, "--version").stdout


def test_listing_the_tools_imports_nothing_slow(home: Path) -> None:
    with running([str(COMMAND)], home, PYTHONPROFILEIMPORTTIME="1") as process:
        out, log = process.communicate(request(1, "tools/list"), PATIENCE)
    assert b'"get_ticker"' in out
    imported = _imported(log.decode())
    assert "mcp" in imported
    assert not imported & set(HEAVY)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--http", "8000"], "expected HOST:PORT, was '8000'"),
        (["--http", "127.0.0.1:99999"], "expected HOST:PORT"),
        (["--http", "0.0.0.0:0"], "refuses to listen on 0.0.0.0"),
        (["--http", "[::]:0"], "refuses to listen on ::"),
        (["--http", "example.org:80"], "refuses to listen on example.org"),
        (["--frobnicate"], "unrecognized arguments"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_2(
    home: Path, arguments: list[str], said: str
) -> None:
    done = _run(home, *arguments)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--http", "127.0.0.1:0"]])
def test_a_wrong_variable_is_one_line_and_2(home: Path, arguments: list[str]) -> None:
    done = _run(home, *arguments, MARKETDATA_TIMEOUT="soon")
    assert done.returncode == 2
    assert done.stderr.startswith("marketdata-mcp: MARKETDATA_TIMEOUT")
    assert done.stderr.count("\n") == 1


def test_an_address_in_use_is_one_line_and_1(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = _run(home, "--http", address)
    assert done.returncode == 1
    assert done.stderr == f"marketdata-mcp: cannot listen on {address}: Address already in use.\n"
