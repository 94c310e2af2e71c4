"""Real answers of every tool, with old and new protocol versions, checked against the schemas."""

from typing import Any

import jsonschema
import pytest
from mcp import Client
from mcp_doors import ERAS, content, finish
from mcp_types import CallToolResult, Tool

from marketdata import AsyncClient
from marketdata.sim import MARKETS, SimulatedExchange
from marketdata_mcp import app

CALLS: dict[str, dict[str, Any]] = {
    "list_exchanges": {},
    "list_pairs": {},
    "get_ticker": {"pair": "BTC/USDT"},
    "get_tickers": {"pairs": ["BTC/USDT", "ETH/USDT"]},
    "get_quote": {"pair": "btc-usdt"},
    "get_orderbook": {"pair": "BTC/USDT", "depth": 7},
    "get_candles": {"pair": "BTC/USDT", "start": "-2d"},
    "get_trades": {"pair": "BTC/USDT"},
    "get_status": {},
    "get_fees": {"pair": "BTC/USDT"},
    "compare_exchanges": {"pair": "BTC/USDT"},
    "get_consolidated_orderbook": {"pair": "BTC/USDT", "depth": 7},
    "get_execution_cost": {"pair": "BTC/USDT", "side": "buy", "amount": 1},
}
SEVERAL = ("compare_exchanges", "get_consolidated_orderbook", "get_execution_cost")
"""Those that ask several exchanges."""

Answers = dict[tuple[str, str, str], CallToolResult]


def _arguments(exchange: str, tool: str) -> dict[str, Any]:
    if tool in SEVERAL:
        return {**CALLS[tool], "exchanges": [exchange, "nosuch"], "quotes": ["USDC"]}
    named = {} if tool == "list_exchanges" else {"exchange": exchange}
    return {**CALLS[tool], **named}


@pytest.fixture(scope="module")
def answers(simulator: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Every tool, on every simulated exchange, in every era."""
    home = tmp_path_factory.mktemp("home")

    async def work() -> Answers:
        found: Answers = {}
        for era in ERAS:
            server = app.Service(AsyncClient(endpoints=simulator.endpoints, home=home)).server()
            async with Client(server, mode=era) as client:
                for exchange in MARKETS:
                    for tool in CALLS:
                        result = await client.call_tool(tool, _arguments(exchange, tool))
                        found[era, exchange, tool] = result
        return found

    return finish(work())


@pytest.fixture(scope="module")
def tools(simulator: SimulatedExchange) -> dict[str, Tool]:
    async def work() -> dict[str, Tool]:
        async with Client(
            app.Service(AsyncClient(endpoints=simulator.endpoints)).server()
        ) as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}

    return finish(work())


def _closed(schema: Any) -> Any:
    """Forbid unknown fields, which the listed schema allows for later versions."""
    match schema:
        case {"properties": properties}:
            inner = {name: _closed(one) for name, one in properties.items()}
            rest = {key: _closed(one) for key, one in schema.items() if key != "properties"}
            return {**rest, "properties": inner, "additionalProperties": False}
        case dict():
            return {key: _closed(one) for key, one in schema.items()}
    return schema


@pytest.mark.parametrize("tool", CALLS)
@pytest.mark.parametrize("exchange", MARKETS)
@pytest.mark.parametrize("era", ERAS)
def test_answers_match_the_listed_schema(
    answers: Answers, tools: dict[str, Tool], era: str, exchange: str, tool: str
) -> None:
    answer = content(answers[era, exchange, tool])
    schema = tools[tool].output_schema
    assert schema is not None
    jsonschema.Draft202012Validator.check_schema(schema)
    # `next` is an object of arguments, whichever they are.
    jsonschema.validate(answer, _closed(schema), format_checker=jsonschema.FormatChecker())
    if tool != "list_exchanges":
        assert answer["simulated"] is True
    if tool not in ("list_exchanges", *SEVERAL):
        assert answer["exchange"] == exchange


def test_exchanges_take_few_characters(answers: Answers) -> None:
    """There are 88, so fields that agents do not need or can infer are left out."""
    result = answers["auto", MARKETS[0], "list_exchanges"]
    rows = {one["id"]: one for one in content(result)["exchanges"]}

    assert content(result)["returned"] == len(rows) > 80
    assert len(result.content[0].text) < 33_000
    assert "derivedTimeframes" not in {name for one in rows.values() for name in one}
    for one in rows.values():
        assert [] not in [one.get(name) for name in ("derived", "needsKey", "tradesFrom")]
    assert "candles" in rows["bitflyer"]["derived"]
    assert "ccxt has no call" in rows["derive"]["unavailable"]["orderbook"]


@pytest.mark.parametrize("exchange", MARKETS)
def test_common_fields_have_the_expected_names(answers: Answers, exchange: str) -> None:
    def answer(tool: str) -> dict[str, Any]:
        return content(answers["auto", exchange, tool])

    assert exchange in {one["id"] for one in answer("list_exchanges")["exchanges"]}
    assert "BTC/USDT" in {one["pair"] for one in answer("list_pairs")["pairs"]}
    assert answer("get_ticker")["pair"] == "BTC/USDT"
    assert answer("get_ticker")["window"] == "24h"
    assert answer("get_ticker")["last"] > 0
    assert [one["pair"] for one in answer("get_tickers")["tickers"]] == ["BTC/USDT", "ETH/USDT"]
    assert answer("get_quote")["pair"] == "BTC/USDT"
    assert answer("get_quote")["bid"] < answer("get_quote")["ask"]
    book = answer("get_orderbook")
    assert len(book["bids"]) == len(book["asks"]) == 7
    assert len(answer("get_candles")["candles"]) in (48, 49)
    assert len(answer("get_trades")["trades"]) == 50
    assert answer("get_status")["reachable"] is True


def test_values_that_all_rows_share_are_written_once(answers: Answers) -> None:
    for tool in ("list_pairs", "get_tickers", "get_trades"):
        answer = content(answers["auto", "binance", tool])
        rows = next(value for value in answer.values() if isinstance(value, list))
        assert len(rows) == answer["returned"] > 1
        assert {"exchange", "receivedAt", "simulated"} <= set(answer)
        assert not {"exchange", "receivedAt", "simulated"} & set(rows[0])


def test_answers_are_small(answers: Answers) -> None:
    def characters(tool: str) -> int:
        return len(answers["auto", "binance", tool].content[0].text)

    assert characters("get_ticker") < 700
    assert characters("get_quote") < 300
    assert characters("get_status") < 300


def test_old_and_new_protocol_versions_get_the_same_answers(answers: Answers) -> None:
    def pairs(era: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = content(answers[era, "kraken", "list_pairs"])["pairs"]
        return rows

    assert pairs("auto") == pairs("legacy")
