"""The functions of the package work as functions for every tool that inspects them."""

from __future__ import annotations

import asyncio
import inspect
import json
import multiprocessing
import pickle
import typing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
import typer
from jupyter_client.manager import start_new_kernel
from mcp.server.mcpserver import MCPServer
from typer.testing import CliRunner

import marketdata as md
from marketdata import history
from marketdata.sim import SimulatedExchange

FUNCTIONS = [name for name in md.__all__ if inspect.isfunction(getattr(md, name))]
OF_HISTORY = [name for name in history.__all__ if name != "list"] + ["list"]
EACH = [(md, name) for name in FUNCTIONS] + [(history, name) for name in OF_HISTORY]


@pytest.fixture(autouse=True)
def _default_is_the_simulator(sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETDATA_ENDPOINTS", json.dumps({"binance": sim.url}))


def test_each_operation_has_a_function() -> None:
    assert {"ticker", "candles", "watch_trades", "replay", "streams"} <= set(FUNCTIONS)
    assert len(FUNCTIONS) == 25


@pytest.mark.parametrize(("module", "name"), EACH, ids=[name for _, name in EACH])
def test_its_module_and_name_are_right(module: Any, name: str) -> None:
    function = getattr(module, name)
    assert inspect.isfunction(function)
    assert not inspect.iscoroutinefunction(function)
    assert (function.__module__, function.__qualname__) == (module.__name__, name)
    assert pickle.loads(pickle.dumps(function)) is function


@pytest.mark.parametrize(("module", "name"), EACH, ids=[name for _, name in EACH])
def test_its_annotations_are_types(module: Any, name: str) -> None:
    function = getattr(module, name)
    hints = typing.get_type_hints(function)
    signature = inspect.signature(function)
    assert "self" not in signature.parameters
    assert list(signature.parameters) == [one for one in hints if one != "return"]
    for one in signature.parameters.values():
        assert one.annotation == hints[one.name]
        assert f"    {one.name}: " in function.__doc__
    assert signature.return_annotation == hints["return"]
    assert not inspect.iscoroutine(hints["return"])


def test_it_returns_what_the_blocking_method_returns() -> None:
    assert typing.get_type_hints(md.ticker)["return"] is md.Ticker
    assert typing.get_type_hints(md.watch_trades)["return"] == md.Watch[md.Trade]
    assert typing.get_type_hints(md.replay)["return"] is md.Client
    assert typing.get_type_hints(history.download)["return"] == md.Records[md.Downloaded]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_pool_of_processes_calls_it(start: str, sim: SimulatedExchange) -> None:
    pairs = ["BTC/USDT", "ETH/USDT"]
    with ProcessPoolExecutor(2, multiprocessing.get_context(start)) as pool:
        assert [one.pair for one in pool.map(md.ticker, pairs)] == pairs


def test_typer_makes_a_command_of_it() -> None:
    app = typer.Typer()
    app.command()(md.ticker)
    help_page = CliRunner().invoke(app, ["--help"]).output
    assert "pair" in help_page.lower()
    assert "--window" in help_page
    assert "self" not in help_page
    done = CliRunner().invoke(app, ["btc-usdt", "--exchange", "binance"], standalone_mode=False)
    assert done.exception is None
    assert done.return_value.pair == "BTC/USDT"


def test_the_mcp_sdk_makes_a_tool_of_it() -> None:
    server = MCPServer("prices")
    server.tool()(md.ticker)

    async def work() -> tuple[Any, Any]:
        [tool] = await server.list_tools()
        return tool, await server.call_tool("ticker", {"pair": "btc-usdt"})

    tool, answer = asyncio.run(work())
    assert set(tool.input_schema["properties"]) == {"pair", "exchange", "window"}
    assert tool.input_schema["required"] == ["pair"]
    assert "BTC/USDT" in str(answer)


# ---------------------------------------------------------------------------- in notebooks


@pytest.fixture(scope="module")
def kernel() -> Iterator[Any]:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        client.execute_interactive("import marketdata as md", timeout=60)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def completed(kernel: Any, code: str) -> set[str]:
    """Return the completions of Tab at the end of a cell."""
    message = kernel.complete(code, len(code))
    while True:
        reply = kernel.get_shell_msg(timeout=60)
        if reply["parent_header"].get("msg_id") == message:
            return set(reply["content"]["matches"])


def test_tab_after_a_call_offers_the_records_fields(kernel: Any) -> None:
    assert set(md.Ticker.model_fields) <= completed(kernel, 'md.ticker("BTC/USDT").')
    assert set(md.Candles.model_fields) <= completed(kernel, 'md.candles("BTC/USDT").')
    assert set(md.Pair.model_fields) <= completed(kernel, "md.pairs()[0].")
    assert {"streams", "close"} <= completed(kernel, 'md.watch_trades("BTC/USDT").')


def test_tab_after_the_package_offers_only_public_names(kernel: Any) -> None:
    kernel.execute_interactive("md.Client(sim=True).ticker('BTC/USDT')", timeout=60)
    modules = {"arguments", "errors", "models", "operations", "settings", "sim"}
    assert set(md.__all__) <= completed(kernel, "md.") <= {*md.__all__, *modules}
    assert completed(kernel, "md.history.") == set(md.history.__all__)
