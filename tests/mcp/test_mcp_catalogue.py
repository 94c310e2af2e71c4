"""The result of tools/list: the surface for agents and their hosts."""

from typing import Any

import pytest
from mcp import Client
from mcp_doors import ERAS, FedClient, finish
from mcp_types import ListToolsResult, Tool
from tokens import count_definition

from marketdata.operations import OPERATIONS
from marketdata_mcp import app
from marketdata_mcp.service.access_control import malformed

REQUIRED = {
    "list_exchanges": [],
    "list_pairs": [],
    "get_ticker": ["pair"],
    "get_tickers": [],
    "get_average_price": ["pair"],
    "get_quote": ["pair"],
    "get_orderbook": ["pair"],
    "get_candles": ["pair"],
    "get_trades": ["pair"],
    "get_status": [],
    "get_fees": ["pair"],
    "compare_exchanges": ["pair"],
    "get_consolidated_orderbook": ["pair"],
    "get_execution_cost": ["pair", "side"],
    "watch_start": ["kind"],
    "watch_read": ["watch"],
    "watch_stop": ["watch"],
    "watch_list": [],
    "get_usage": [],
}

OPTIONAL = {
    "list_exchanges": ["limit", "offset"],
    "list_pairs": ["exchange", "base", "quote", "search", "active", "limit", "offset"],
    "get_ticker": ["exchange", "window"],
    "get_tickers": [
        *("pairs", "sort", "ascending", "quote"),
        *("min_quote_volume", "limit", "exchange"),
    ],
    "get_average_price": ["window", "exchange"],
    "get_quote": ["exchange"],
    "get_orderbook": ["depth", "exchange"],
    "get_candles": ["timeframe", "limit", "start", "end", "fill", "exchange", "columns"],
    "get_trades": ["limit", "start", "from_id", "aggregate", "exchange"],
    "get_status": ["exchange"],
    "get_fees": ["exchange"],
    "compare_exchanges": ["exchanges", "quotes"],
    "get_consolidated_orderbook": ["depth", "exchanges", "quotes"],
    "get_execution_cost": ["amount", "quote_amount", "depth", "exchanges", "quotes"],
    "watch_start": ["pair", "pairs", "exchange", "depth", "timeframe"],
    "watch_read": ["wait", "timeout", "cursor", "limit"],
    "watch_stop": [],
    "watch_list": [],
    "get_usage": [],
}

BOUNDS = {
    ("list_pairs", "limit"): {"maximum": 200, "default": 200},
    ("list_exchanges", "limit"): {"maximum": 200, "default": 200},
    ("get_tickers", "pairs"): {"maxItems": 50},
    ("get_orderbook", "depth"): {"maximum": 100, "default": 20},
    ("get_candles", "limit"): {"maximum": 500},
    ("get_trades", "limit"): {"maximum": 200, "default": 50},
    ("compare_exchanges", "exchanges"): {"maxItems": 20},
    ("get_consolidated_orderbook", "depth"): {"maximum": 100, "default": 20},
    ("get_consolidated_orderbook", "quotes"): {"maxItems": 5},
    ("get_execution_cost", "side"): {"enum": ["buy", "sell"]},
    ("get_execution_cost", "amount"): {"type": "number", "exclusiveMinimum": None},
    ("get_tickers", "limit"): {"maximum": 50},
    ("get_candles", "start"): {"type": "string"},
    ("get_candles", "fill"): {"enum": ["zero", "previous"]},
    ("watch_start", "pairs"): {"maxItems": 50},
    ("watch_start", "depth"): {"maximum": 100},
    ("watch_read", "timeout"): {"maximum": 55, "default": 25},
    ("watch_read", "limit"): {"maximum": 200, "default": 50},
}


def _listed(era: str = "auto") -> ListToolsResult:
    async def work() -> ListToolsResult:
        async with Client(app.Service(FedClient()).server(), mode=era) as client:
            return await client.list_tools()

    return finish(work())


@pytest.fixture(scope="module")
def tools() -> dict[str, Tool]:
    return {tool.name: tool for tool in _listed().tools}


def _keys(schema: Any) -> set[str]:
    match schema:
        case dict():
            return set(schema) | {key for value in schema.values() for key in _keys(value)}
        case list():
            return {key for value in schema for key in _keys(value)}
    return set()


def _typed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an argument without null."""
    match schema:
        case {"anyOf": [typed, {"type": "null"}], **rest}:
            return {**rest, **typed}
    return schema


@pytest.mark.parametrize("era", ERAS)
def test_tools_are_the_operations_in_order_and_the_servers_own(era: str) -> None:
    named = [operation.tool for operation in OPERATIONS if operation.tool is not None]
    live = ["watch_start", "watch_read", "watch_stop", "watch_list"]
    assert (
        [tool.name for tool in _listed(era).tools] == [*named, *live, "get_usage"] == list(REQUIRED)
    )


@pytest.mark.parametrize("name", REQUIRED)
def test_arguments(tools: dict[str, Tool], name: str) -> None:
    schema = tools[name].input_schema
    assert schema["type"] == "object"
    assert schema.get("required", []) == REQUIRED[name]
    optional = [one for one in schema["properties"] if one not in REQUIRED[name]]
    assert optional == OPTIONAL[name]
    assert all(one["description"] for one in schema["properties"].values())
    assert not _keys(schema) & {"title", "$defs", "additionalProperties", "exclusiveMinimum"}


@pytest.mark.parametrize("name", REQUIRED)
def test_an_argument_has_one_type_and_null_if_it_is_optional(
    tools: dict[str, Tool], name: str
) -> None:
    for argument, schema in tools[name].input_schema["properties"].items():
        assert ("anyOf" in schema) == (argument not in REQUIRED[name])
        assert isinstance(_typed(schema)["type"], str)
        assert "type" not in schema or "anyOf" not in schema


@pytest.mark.parametrize("name", REQUIRED)
def test_each_argument_has_an_example(tools: dict[str, Tool], name: str) -> None:
    for argument, schema in tools[name].input_schema["properties"].items():
        said = schema["description"]
        is_example = "e.g." in said.lower() or _typed(schema)["type"] == "boolean"
        assert is_example, (argument, said)


@pytest.mark.parametrize("name", REQUIRED)
def test_null_and_empty_mean_not_given(tools: dict[str, Tool], name: str) -> None:
    schema = tools[name].input_schema
    given = {one: SAMPLES[one] for one in REQUIRED[name]}
    for nothing in (None, "", []):
        empty = {one: nothing for one in schema["properties"] if one not in REQUIRED[name]}
        assert malformed(name, {**given, **empty}) is None


SAMPLES = {"pair": "BTC/USDT", "side": "buy", "kind": "ticker", "watch": "w1"}


@pytest.mark.parametrize(("tool", "argument"), BOUNDS)
def test_bounds_are_in_the_schema(tools: dict[str, Tool], tool: str, argument: str) -> None:
    found = _typed(tools[tool].input_schema["properties"][argument])
    bounds = BOUNDS[tool, argument]
    assert {key: found.get(key) for key in bounds} == bounds


@pytest.mark.parametrize("name", REQUIRED)
def test_tools_are_marked_as_read_only(tools: dict[str, Tool], name: str) -> None:
    tool = tools[name]
    assert tool.title
    assert tool.description
    assert tool.annotations is not None
    assert tool.annotations.read_only_hint
    assert tool.annotations.destructive_hint is False
    assert tool.annotations.idempotent_hint is (name != "watch_start")
    assert tool.annotations.open_world_hint


@pytest.mark.parametrize("name", REQUIRED)
def test_output_schemas_are_objects_that_allow_new_fields(
    tools: dict[str, Tool], name: str
) -> None:
    schema = tools[name].output_schema
    assert schema is not None
    assert schema["type"] == "object"
    assert not _keys(schema) & {"title", "additionalProperties"}


def test_the_catalogue_needs_few_tokens(tools: dict[str, Tool]) -> None:
    assert sum(count_definition(tool) for tool in tools.values()) <= 3_500


def test_the_list_may_be_cached() -> None:
    listed = _listed()
    assert listed.ttl_ms == 3_600_000
    assert listed.cache_scope == "public"


def test_instructions_explain_the_conventions_once() -> None:
    said = app.Service(FedClient()).server().instructions
    assert said is not None
    assert len(said) < 2_000
    for word in ("BASE/QUOTE", "UTC", "-7d", "`next`", "retryable", "PAIR_NOT_SUPPORTED", "kraken"):
        assert word in said


def test_no_tool_accepts_credentials(tools: dict[str, Tool]) -> None:
    names = {name for tool in tools.values() for name in tool.input_schema["properties"]}
    assert not {name for name in names if "key" in name or "secret" in name or "pass" in name}
