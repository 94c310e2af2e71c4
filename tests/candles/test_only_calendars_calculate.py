"""No module but the calendar's calculates with lengths of candles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import marketdata

ROOT = Path(marketdata.__file__).parent.parent
CALENDAR = "marketdata/_candles/calendar.py"
FOLDERS = (
    "marketdata/_candles",
    "marketdata/_client",
    "marketdata/_exchanges",
    "marketdata/_streams",
    "marketdata_mcp",
    "marketdata_cli",
)
LENGTHS = {60_000, 3_600_000, 86_400_000, 604_800_000}
"""A minute, an hour, a day and a week in milliseconds."""

ALLOWED = {
    ("marketdata/_candles/assembly.py", "60000"): "by how much two clocks may differ",
    ("marketdata/_candles/trades.py", "60000"): "how far back a trade is looked for",
    ("marketdata/_candles/trades.py", "3600000"): "how far back a trade is looked for",
    ("marketdata_mcp/service/costs.py", "window_length"): "how far back a ticker's window reaches",
    ("marketdata/_candles/averages.py", "window_length"): "a window of an average is no candle",
    ("marketdata/_candles/windows.py", "window_length"): "a ticker's window is no candle",
    ("marketdata/_exchanges/quirks.py", "3600000"): "how long a time one answer with trades covers",
    ("marketdata/_streams/feed.py", "3600000"): "what is an age, and what another clock",
    ("marketdata_cli/views/chart.py", "window_length"): "how wide a stick is drawn",
    ("marketdata_cli/views/chart.py", "60000"): "which digits of a time the axis shows",
    ("marketdata_cli/views/chart.py", "86400000"): "which digits of a time the axis shows",
    ("marketdata_mcp/app.py", "3600000"): "for how long a list of tools may be kept",
    ("marketdata_mcp/charts/picture.py", "60000"): "bytes of a picture",
}
"""Allowed findings in other modules: the module, the code, and the reason."""


def lengths(tree: ast.AST) -> Iterator[str]:
    """Name what makes a length of candles, or takes one into a calculation.

    That are numbers of milliseconds as long as usual candles; ccxt's `parse_timeframe` and our
    `window_length`, which give lengths; and `nominal_length`, `DAY` and `HOUR` of the calendar
    anywhere but in a comparison, as the key of an order, or as a time of its own.
    """
    harmless: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others):
                harmless |= {id(part) for one in (left, *others) for part in _bare(one)}
            case ast.keyword(arg="key", value=value):
                harmless.add(id(value))
            case ast.Assign(value=ast.Name(id="DAY" | "HOUR") as value):
                harmless.add(id(value))
            case ast.IfExp(body=body, orelse=orelse):
                harmless |= {id(one) for one in (body, orelse) if isinstance(one, ast.Name)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=int() | float() as value) if value in LENGTHS:
                yield str(int(value))
            case ast.Attribute(attr="parse_timeframe" | "window_length" as name):
                yield name
            case ast.Name(id="parse_timeframe" | "window_length" as name):
                yield name
            case ast.Name(id="nominal_length" | "DAY" | "HOUR" as name) if id(node) not in harmless:
                yield name


def _bare(node: ast.expr) -> Iterator[ast.expr]:
    """Yield a name, or the name of a call, that is an operand of a comparison."""
    match node:
        case ast.Name():
            yield node
        case ast.Call(func=ast.Name() as name):
            yield name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ends = opened + nominal_length(timeframe)", ["nominal_length"]),
        ("step = nominal_length(timeframe)", ["nominal_length"]),
        ("opened = moment - moment % DAY", ["DAY"]),
        ("opened = moment // 86_400_000", ["86400000"]),
        ("last = moment - 3600e3", ["3600000"]),
        ("step = api.parse_timeframe('1h') * 1000", ["parse_timeframe"]),
        ("late = opened < now - nominal_length(timeframe)", ["nominal_length"]),
        ("longer = nominal_length(one) > nominal_length(other)", []),
        ("short = nominal_length(timeframe) < DAY", []),
        ("ordered = sorted(names, key=nominal_length)", []),
        ("_LATE = DAY", []),
        ("opened = calendar.floor(moment)", []),
        ("seconds = 60 * 60", []),
    ],
)
def test_what_counts_as_a_calculation(text: str, found: list[str]) -> None:
    assert list(lengths(ast.parse(text))) == found


def test_no_other_module_calculates_with_timeframes() -> None:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert ROOT / CALENDAR in paths
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in paths
        if path != ROOT / CALENDAR
        for name in lengths(ast.parse(path.read_text("utf-8")))
    }
    assert found == set(ALLOWED)
