"""Type checkers know the number type of a client: code that type-checks raises no TypeError."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RECORDS = """
from decimal import Decimal
import marketdata as md

client = md.Client({arguments})
ticker, quote = client.ticker("BTC/USDT"), client.quote("BTC/USDT")
book, trade = client.orderbook("BTC/USDT"), client.trades("BTC/USDT", limit=1)[0]
candles, pair = client.candles("BTC/USDT", store=False), client.pairs()[0]
fees, row = client.fees("BTC/USDT"), client.compare("BTC/USDT").rows[0]
both = client.consolidated_orderbook("BTC/USDT")
cost = client.execution_cost("BTC/USDT", side="buy", amount=1)
"""

ONE_OF_EACH = [
    "(ticker.last or 0)",
    "(client.tickers(['BTC/USDT'])[0].vwap or 0)",
    "client.average_price('BTC/USDT').price",
    "(quote.bid or 0)",
    "(quote.spread or 0)",
    "trade.price",
    "book.bids[0][0]",
    "(book.mid or 0)",
    "(book.best_ask or (0, 0))[1]",
    "(book.imbalance() or 0)",
    "book.fill('buy', Decimal(1)).cost",
    "candles[0].close",
    "candles.close[0]",
    "candles.columns.high[-1]",
    "candles[:5].columns.rows()[0][1]",
    "(pair.price_tick or 0)",
    "(fees.taker or 0)",
    "(row.last or 0)",
    "both.bids[0][0]",
    "cost.amount",
    "cost.splits[0].average_price",
]
USES = [
    "{} * 1.5",
    "{} + Decimal('1.5')",
    "{} / 2",
    "sum([{}]) - {}",
    "max({}, 1.5)",
    "round({}, 2)",
    "0.5 < {}",
]


CONFIGURATION = """
[mypy]
strict = true
follow_imports = skip
[mypy-marketdata.*,pydantic.*,pydantic_core.*]
follow_imports = normal
"""
"""Packages that no type of a record comes from take mypy as long as all of ours."""


def with_errors(program: str, folder: Path, cache: Path) -> set[int]:
    """Return the lines with which mypy is not content."""
    file, configuration = folder / "program.py", folder / "mypy.ini"
    file.write_text(program)
    configuration.write_text(CONFIGURATION)
    options = [f"--config-file={configuration}", f"--cache-dir={cache}", "--no-error-summary"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(file)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert not done.stderr
    return {int(line) for line in re.findall(r"program\.py:(\d+): error", done.stdout)}


def raises(line: str, names: dict[str, Any]) -> bool:
    try:
        eval(line, names)
    except TypeError:
        return True
    return False


def test_code_that_type_checks_does_not_raise(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    cache = pytestconfig.cache.mkdir("mypy")
    lines = [use.format(one, one) for one in ONE_OF_EACH for use in USES]
    for arguments, least in (("sim=True", 20), ("sim=True, numbers='decimal'", 20)):
        before = RECORDS.format(arguments=arguments)
        names: dict[str, Any] = {}
        exec(before, names)
        try:
            raised = {line for line in lines if raises(line, names)}
        finally:
            names["client"].close()
        shown = [f"print({line})" for line in lines]
        program = before + "\n".join(shown)
        wrong = with_errors(program, tmp_path, cache)
        first = before.count("\n") + 1
        assert min(wrong) >= first, program
        refused = {line for number, line in enumerate(lines, first) if number in wrong}
        assert raised - refused == set()
        assert refused == raised
        assert len(raised) >= least
