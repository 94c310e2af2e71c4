"""Tracebacks of wrong calls are short: the caller's own line, the call and the message."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import nbclient
import nbformat
import pytest

CALLS = {
    "a function": "md.ticker('BTCC/USDT')",
    "a function with a wrong argument": "md.ticker('BTC/USDT', widnow='4h')",
    "a method": "md.Client().candles('BTC/USDT', '7x')",
    "a client": "md.Client('binanse', timeout=-1)",
    "an exchange": "md.orderbook('BTC/USDT', exchange='binanse')",
    "a stream that is read": "next(md.watch_ticker('BTCC/USDT'))",
    "a stream that is opened": "md.Client().watch_ticker('BTCC/USDT').open()",
    "a stream that is entered": "md.Client().watch_ticker('BTCC/USDT').__enter__()",
    "a stream with a wrong argument": "md.watch_candles('BTC/USDT', '7x')",
    "a recording": "md.replay('no.recording')",
    "stored candles": "md.history.verify('BTCC/USDT', '7x')",
    "stored candles of a client": "md.Client().history.plan('BTCC/USDT', '7x', start='x')",
}
LONGEST = 10
"""Lines of a traceback."""


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_script_ends_with_a_short_traceback(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETDATA_SIM", "1")
    file = tmp_path / "typo.py"
    file.write_text(f"import marketdata as md\n\n{call}\n")
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=120, check=False
    )
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1].startswith("marketdata.errors.")
    assert len(lines) <= LONGEST, done.stderr


def test_a_notebook_shows_a_short_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETDATA_SIM", "1")
    cells = [
        nbformat.v4.new_code_cell(source)
        for source in ("import marketdata as md", *CALLS.values(), "md.ticker('BTC/USDT').pair")
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, allow_errors=True, timeout=120).execute(cwd=str(tmp_path))
    for cell in cells[1:-1]:
        [output] = cell.outputs
        lines = "\n".join(output["traceback"]).splitlines()
        assert len(lines) <= LONGEST, "\n".join(lines)
    assert cells[-1].outputs[0]["data"]["text/plain"] == "'BTC/USDT'"


def test_internal_errors_keep_their_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETDATA_SIM", "1")
    file = tmp_path / "broken.py"
    file.write_text(
        textwrap.dedent(
            """
            import marketdata as md
            from marketdata._exchanges.exchange import Venue

            async def broken(*_, **__):
                raise md.InternalError("Please report it.")

            Venue.ticker = broken
            md.ticker("BTC/USDT")
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=120, check=False
    )
    assert "in broken" in done.stderr
