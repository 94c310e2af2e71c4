"""The public names, and that an operation is the same in all forms."""

from __future__ import annotations

import inspect
import py_compile
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import marketdata as md
from marketdata import models
from marketdata.models import aggregates
from marketdata.operations import OPERATIONS

NAMES = [operation.name for operation in OPERATIONS]
KINDS = ("candles", "orderbook", "quote", "ticker", "trades")
LIVE = [*[f"watch_{kind}" for kind in KINDS], "watch_consolidated_orderbook"]
SILENT = ("close", "preferring", "streams", "upstream")
"""Operations without requests and without arguments that can be wrong."""
OF_STREAMS = ["live_chart", "record", "replay", "streams", *LIVE]


def test_all_names_exist_are_sorted_and_listed() -> None:
    assert dir(md) == md.__all__ == sorted(md.__all__)
    assert all(getattr(md, name) is not None for name in md.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tikcer'"):
        _ = md.tikcer  # type: ignore[attr-defined]


def test_every_public_error_and_record_is_exported() -> None:
    errors = {name for name in vars(md.errors) if name.endswith("Error")}  # type: ignore[attr-defined]
    records = {
        name
        for name, value in {**vars(models), **vars(aggregates)}.items()
        if isinstance(value, type) and issubclass(value, models.Record) and name[0] != "_"
    }
    assert errors | records - {"Record"} <= set(md.__all__)


@pytest.mark.parametrize("name", [*NAMES, *LIVE, "record", "replay"])
def test_one_signature_and_one_docstring(name: str) -> None:
    method = getattr(md.AsyncClient, name)
    blocking, function = getattr(md.Client, name), getattr(md, name)
    assert inspect.signature(blocking) == inspect.signature(method)
    _, *own = inspect.signature(method).parameters.values()
    shown = inspect.signature(function).parameters.values()
    assert [(one.name, one.kind, one.default) for one in shown] == [
        (one.name, one.kind, one.default) for one in own
    ]
    assert inspect.getdoc(function) == inspect.getdoc(blocking) == inspect.getdoc(method)
    assert inspect.getdoc(method).partition("\n\n")[0].count("\n") <= 1


def test_operations_are_the_public_functions() -> None:
    functions = [name for name in md.__all__ if name.islower() and name != "history"]
    assert sorted(NAMES + OF_STREAMS) == functions
    assert all(hasattr(md, operation.record) for operation in OPERATIONS)


@pytest.mark.parametrize("name", md.__all__)
def test_everything_public_has_a_docstring(name: str) -> None:
    value = getattr(md, name)
    assert (inspect.getdoc(value) or "").partition("\n")[0].endswith((".", ":"))
    if isinstance(value, type):
        for attribute, member in vars(value).items():
            if attribute[0] != "_" and inspect.isfunction(member):
                assert inspect.getdoc(member), f"{name}.{attribute}"


def public_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in md.__all__:
        value = getattr(md, name)
        if inspect.isfunction(value):
            yield name, value
    for owner in (md.Client, md.AsyncClient, md.History, md.AsyncHistory):
        for name, value in inspect.getmembers(owner, inspect.isfunction):
            if name[0] != "_":
                yield f"{owner.__name__}.{name}", value


@pytest.mark.parametrize(("name", "function"), list(public_functions()))
def test_parameters_results_and_errors_are_documented(
    name: str, function: Callable[..., Any]
) -> None:
    text = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    for one in signature.parameters.values():
        if one.name != "self":
            assert re.search(rf"^    {re.escape(one.name)}: .", text, re.MULTILINE), one.name
    returns = signature.return_annotation not in (None, "None")
    assert ("\nReturns:\n    " in text) is returns
    assert ("\nRaises:\n    " in text) is (name.rpartition(".")[2] not in SILENT)


def test_importing_the_package_imports_nothing_else() -> None:
    heavy = ("asyncio", "pydantic", "ccxt", "aiohttp", "sqlite3", "mcp", "typer", "pandas")
    program = f"import sys, marketdata; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_names_are_found_without_sources(tmp_path: Path) -> None:
    """Programs that PyInstaller makes have the compiled code of each module only."""
    package = tmp_path / "marketdata"
    for source in Path(md.__file__).parent.glob("*.py"):
        py_compile.compile(str(source), str(package / f"{source.stem}.pyc"))
    program = "import marketdata; print(marketdata.__file__, *dir(marketdata))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.split() == [str(package / "__init__.pyc"), *md.__all__]


def test_a_public_name_imports_what_it_needs() -> None:
    others = [f"marketdata.{name}" for name in ("_public", "models.aggregates", "models.stored")]
    others += ["marketdata._charts.chart", "marketdata._candles"]
    program = f"import sys, marketdata; marketdata.ticker; print({{*{others}}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_exchanges_describes_the_support_of_each() -> None:
    known = {one.id: one for one in md.exchanges()}
    assert len(known) > 70
    assert set(known["binance"].streams) == {"ticker", "quote", "orderbook", "trades", "candles"}
    assert "candles" not in known["coinbase"].streams
    assert "4h" in known["binance"].timeframes
    assert "4h" not in known["coinbaseexchange"].timeframes
    assert known["kucoin"].depths == (20, 100)
    assert known["okx"].candles_per_request == 300
    assert "binanceusdm" not in known
    assert md.exchanges() == list(known.values())
