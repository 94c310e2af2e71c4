"""What agents pay for answers, counted in characters: `python -m benchmarks tokens` counts tokens.

Numbers are dense: an answer of them has about two characters to a token.
"""

from collections.abc import Callable
from typing import Any

import pytest
from mcp_doors import ask, content

from marketdata import AsyncClient
from marketdata.sim import SimulatedExchange

Connect = Callable[[SimulatedExchange], AsyncClient]


@pytest.mark.parametrize(
    ("tool", "asked", "rows", "most"),
    [
        ("get_ticker", {}, None, 600),
        ("get_quote", {}, None, 260),
        ("get_orderbook", {}, 20, 1_100),
        ("get_candles", {"timeframe": "1h"}, 100, 7_000),
        ("get_trades", {}, 50, 6_800),
    ],
)
def test_an_answer_has_few_characters(
    simulator: SimulatedExchange,
    connect: Connect,
    tool: str,
    asked: dict[str, Any],
    rows: int | None,
    most: int,
) -> None:
    result = ask(connect(simulator), tool, {"pair": "BTC/USDT", "exchange": "binance", **asked})
    lists = [
        one
        for name, one in content(result).items()
        if isinstance(one, list) and one and name != "columns"
    ]
    assert [len(one) for one in lists] == ([] if rows is None else [rows] * len(lists))
    assert len(result.content[0].text) < most
