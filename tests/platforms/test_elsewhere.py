"""The library, the command and the server where Windows' and macOS's lacks are made here.

What those systems do otherwise only they can show; what they lack is taken away (`elsewhere.py`).
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ELSEWHERE = Path(__file__).with_name("elsewhere.py")
PATIENCE = 180.0
PLATFORMS = ("win32", "darwin")

Run = Callable[..., str]


@pytest.fixture(scope="module")
def forked() -> Iterator[subprocess.Popen[str]]:
    """A process that has imported what is not ours, and is forked for each program."""
    with subprocess.Popen(
        [sys.executable, str(ELSEWHERE)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.communicate(timeout=PATIENCE)


@pytest.fixture(params=PLATFORMS)
def there(forked: subprocess.Popen[str], request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs a program, given with ``-c``, or a module as if on another system."""
    streams = [tmp_path / name for name in ("given", "printed", "said")]
    folder = tmp_path / "here"
    folder.mkdir()
    ours = {"MARKETDATA_HOME": str(folder / "home"), "MARKETDATA_SIM": "1"}

    def run(how: str, what: str, *arguments: str, given: str = "") -> str:
        streams[0].write_text(given)
        program = {
            **({"code": what} if how == "-c" else {"module": what}),
            "argv": [how if how == "-c" else what, *arguments],
            "env": {**os.environ, **ours, "PYTHONPATH": str(ROOT)},
            "cwd": str(folder),
            "streams": [*map(str, streams)],
            "platform": request.param,
        }
        assert forked.stdin
        assert forked.stdout
        print(json.dumps(program), file=forked.stdin, flush=True)
        hangs = threading.Timer(PATIENCE, forked.kill)
        hangs.start()
        status = forked.stdout.readline()
        hangs.cancel()
        assert (streams[2].read_text(), status) == ("", "0\n")
        return streams[1].read_text()

    return run


def test_every_module_is_imported(there: Run) -> None:
    program = """
        import importlib, pkgutil
        for name in ("marketdata", "marketdata_cli", "marketdata_mcp"):
            package = importlib.import_module(name)
            for module in pkgutil.walk_packages(package.__path__, f"{name}."):
                if not module.name.endswith("__main__"):
                    importlib.import_module(module.name)
        print("all")
    """
    assert there("-c", textwrap.dedent(program)) == "all\n"


def test_the_library_asks_watches_stores_and_records(there: Run) -> None:
    program = """
        import sys
        from pathlib import Path
        import marketdata as md

        print(md.ticker("BTC/USDT").pair)
        for book in md.watch_orderbook("BTC/USDT"):
            print(book.pair)
            break
        hours = {"start": "-9h", "end": "-1h"}
        for _ in range(2):
            print(len(md.candles("BTC/USDT", "1h", **hours)))
        for series in md.history.list():
            print(series.pair)
        print(md.record(["BTC/USDT"], "some.recording", what=["quote"], seconds=3).frames > 0)
        try:
            md.record(["NOPE/USDT"], "none.recording", seconds=60)
        except md.PairNotSupportedError:
            print(Path("none.recording").exists())
        # No character that a file name may not have on Windows.
        names = [name for file in Path.cwd().rglob("*") for name in file.parts[1:]]
        print([name for name in names if set(name) & set(':*?"<>|') or name[-1] in ". "])
    """
    said = there("-c", textwrap.dedent(program)).splitlines()
    assert said == [*["BTC/USDT"] * 2, "8", "8", "BTC/USDT", "True", "False", "[]"]


def test_the_command_answers(there: Run) -> None:
    said = there("-m", "marketdata_cli", "ticker", "BTC/USDT", "-f", "json")
    assert json.loads(said)["pair"] == "BTC/USDT"
    watch = ("watch", "quote", "BTC/USDT", "--count", "2", "-f", "jsonl", "--quiet")
    lines = there("-m", "marketdata_cli", *watch).splitlines()
    assert [json.loads(line)["pair"] for line in lines] == ["BTC/USDT"] * 2


def test_the_server_answers_on_pipes(there: Run) -> None:
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    call = {"name": "get_ticker", "arguments": {"pair": "BTC/USDT"}}
    asked = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": call},
    ]
    lines = "".join(json.dumps({"jsonrpc": "2.0", **one}) + "\n" for one in asked)
    said = there("-m", "marketdata_mcp", given=lines)
    answers = {one["id"]: one["result"] for one in map(json.loads, said.splitlines())}
    assert answers[2]["structuredContent"]["pair"] == "BTC/USDT"


def test_nothing_at_the_top_of_a_module_needs_posix() -> None:
    lacking = {"fcntl", "resource", "termios", "tty", "pty", "pwd", "grp"}
    for package in ("marketdata", "marketdata_cli", "marketdata_mcp"):
        for file in (ROOT / package).rglob("*.py"):
            for statement in ast.parse(file.read_text()).body:
                names = {alias.name for alias in getattr(statement, "names", ())}
                assert not names & lacking, file
