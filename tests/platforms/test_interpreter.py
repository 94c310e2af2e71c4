"""What every interpreter has to do: run by CI on each that the machine has (`interpreters.py`).

Needs pytest and the package without extras, and nothing else of what the other suites need.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PATIENCE = 120.0
"""Seconds after which a process hangs, on a machine however busy."""

OPERATIONS = {
    "exchanges": "exchanges()",
    "pairs": "pairs(base='BTC')",
    "ticker": "ticker('BTC/USDT')",
    "tickers": "tickers(['BTC/USDT', 'ETH/USDT'])",
    "average_price": "average_price('BTC/USDT')",
    "quote": "quote('BTC/USDT')",
    "quotes": "quotes(['BTC/USDT', 'ETH/USDT'])",
    "orderbook": "orderbook('BTC/USDT', depth=5)",
    "candles": "candles('BTC/USDT', '1m', limit=3)",
    "trades": "trades('BTC/USDT', limit=3)",
    "status": "status()",
    "fees": "fees('BTC/USDT')",
    "compare": "compare('BTC/USDT', exchanges=['binance', 'kraken'])",
    "consolidated_orderbook": "consolidated_orderbook('BTC/USDT', exchanges=['binance', 'okx'])",
    "execution_cost": "execution_cost('BTC/USDT', side='buy', amount=1, exchanges=['binance'])",
}

_SLOW_STEP = re.compile(r"^(?:WARNING:asyncio:)?Executing <.*> took [\d.]+ seconds\n", re.MULTILINE)
"""What the event loop's debug mode says on a busy machine."""


def ended_clean(folder: Path, *arguments: str, given: str = "") -> str:
    """Run the interpreter with warnings as errors, and give what it printed.

    Fails unless the process ends with 0 and says nothing on standard error.
    """
    home = {"MARKETDATA_HOME": str(folder / "home"), "MARKETDATA_SIM": "1"}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", *arguments],
        env={**os.environ, **home},
        input=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=folder,
    )
    assert (done.returncode, _SLOW_STEP.sub("", done.stderr)) == (0, "")
    return done.stdout


def program(folder: Path, text: str) -> str:
    """Run a script, and give what it printed."""
    file = folder / "program.py"
    file.write_text(textwrap.dedent(text))
    return ended_clean(folder, str(file))


def test_the_packages_are_imported(tmp_path: Path) -> None:
    said = program(
        tmp_path,
        """
        import marketdata, marketdata_cli, marketdata_mcp
        for name in marketdata.__all__:
            if name != "history":  # its extra is not needed here
                getattr(marketdata, name)
        print(marketdata.__version__)
        """,
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+", said.strip())


def test_no_operation_is_missing_here() -> None:
    from marketdata.operations import OPERATIONS as KNOWN

    assert {operation.name for operation in KNOWN} == set(OPERATIONS)


def test_each_operation_is_answered_by_a_blocking_script(tmp_path: Path) -> None:
    lines = "".join(
        f"answer = md.{call}\nprint({name!r}, len(answer) if isinstance(answer, list) else 1)\n"
        for name, call in OPERATIONS.items()
    )
    counts = dict(
        line.split() for line in program(tmp_path, f"import marketdata as md\n{lines}").splitlines()
    )
    assert counts.keys() == OPERATIONS.keys()
    assert all(int(count) >= 1 for count in counts.values()), counts


def test_one_line_ends_without_a_word(tmp_path: Path) -> None:
    assert ended_clean(tmp_path, "-c", "import marketdata as md; md.ticker('BTC/USDT')") == ""


def test_a_coroutine_is_answered(tmp_path: Path) -> None:
    said = program(
        tmp_path,
        """
        import asyncio
        import marketdata as md

        async def main():
            async with md.AsyncClient() as client:
                print((await client.ticker("BTC/USDT")).pair)

        asyncio.run(main())
        """,
    )
    assert said == "BTC/USDT\n"


def test_a_stream_is_read_and_left(tmp_path: Path) -> None:
    said = program(
        tmp_path,
        """
        import marketdata as md

        for count, book in enumerate(md.watch_orderbook("BTC/USDT")):
            print(book.pair)
            if count == 2:
                break
        """,
    )
    assert said.splitlines() == ["BTC/USDT"] * 3


@pytest.mark.parametrize("module", ["marketdata", "marketdata_cli"])
def test_the_command_answers(tmp_path: Path, module: str) -> None:
    said = ended_clean(tmp_path, "-m", module, "ticker", "BTC/USDT", "-f", "json")
    assert json.loads(said)["pair"] == "BTC/USDT"


@pytest.mark.parametrize("module", [["marketdata", "mcp"], ["marketdata_mcp"]])
def test_the_server_answers_on_pipes_and_ends_with_its_client(
    tmp_path: Path, module: list[str]
) -> None:
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    call = {"name": "get_ticker", "arguments": {"pair": "BTC/USDT"}}
    asked = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list"},
        {"id": 3, "method": "tools/call", "params": call},
    ]
    lines = "".join(json.dumps({"jsonrpc": "2.0", **one}) + "\n" for one in asked)
    said = ended_clean(tmp_path, "-m", *module, given=lines)
    answers = {one["id"]: one["result"] for one in map(json.loads, said.splitlines())}
    assert len(answers[2]["tools"]) > 10
    assert answers[3]["structuredContent"]["pair"] == "BTC/USDT"
