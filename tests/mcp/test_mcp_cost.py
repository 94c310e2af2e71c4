"""The tokens of answers."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_doors import content, finish
from mcp_live import frozen
from tokens import count

from marketdata import AsyncClient
from marketdata_mcp import app
from marketdata_mcp.answers import compact

RANKING = {"sort": "percentage", "quote": "USDT", "min_quote_volume": 1_000_000, "limit": 10}


def asked(home: Path, *calls: dict[str, Any], tool: str, pairs: int | None) -> list[dict[str, Any]]:
    async def work() -> list[dict[str, Any]]:
        with frozen(pairs=pairs) as simulator:
            client = AsyncClient(endpoints=simulator.endpoints, home=home, retries=0)
            async with Client(app.Service(client).server()) as connected:
                return [content(await connected.call_tool(tool, one)) for one in calls]

    return finish(work())


def cost(answer: dict[str, Any]) -> int:
    return count(compact(answer))


def test_the_top_ten_take_one_cheap_call(tmp_path: Path) -> None:
    (answer,) = asked(tmp_path, RANKING, tool="get_tickers", pairs=60)
    rows = answer["tickers"]
    assert len(rows) == 10
    assert cost(answer) <= 900
    gains = [row["percentage"] for row in rows]
    assert gains == sorted(gains, reverse=True)
    assert all(row["quoteVolume"] >= 1_000_000 and row["pair"].endswith("/USDT") for row in rows)
    assert "next" not in answer


def test_the_default_ranking_is_by_volume(tmp_path: Path) -> None:
    (answer,) = asked(tmp_path, {}, tool="get_tickers", pairs=60)
    volumes = [row["quoteVolume"] for row in answer["tickers"]]
    assert len(volumes) == 20
    assert volumes == sorted(volumes, reverse=True)


@pytest.mark.parametrize("exchange", ["binance", "kraken", "okx", "coinbaseexchange"])
def test_a_hundred_candles_are_cheap_and_fewer_columns_cheaper(
    tmp_path: Path, exchange: str
) -> None:
    named = {"pair": "BTC/USDT", "exchange": exchange}
    columns = {"columns": ["close", "time"]}
    usual, few, all_of_them = asked(
        tmp_path,
        named,
        {**named, **columns},
        {**named, "columns": ["time", "open", "high", "low", "close", "volume", "trades"]},
        tool="get_candles",
        pairs=None,
    )
    assert len(usual["candles"]) == 100
    assert cost(usual) <= 3_300
    assert cost(few) <= 1_300
    assert usual["columns"] == ["time", "open", "high", "low", "close", "volume"]
    assert few["candles"] == [[row[4], row[0]] for row in usual["candles"]]
    assert [row[:6] for row in all_of_them["candles"]] == usual["candles"]
