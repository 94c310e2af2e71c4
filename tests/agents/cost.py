"""Print what agents read: the tokens of each tool, and of ten typical questions.

``python tests/agents/cost.py`` compares with what 0.1.0 cost (``tokens-0.1.0.json``, which --keep
writes). Answers are those of the simulated exchange, whose prices differ from run to run a little.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, TypeAlias

from mcp import Client

sys.path.insert(0, str(Path(__file__).parents[1]))

from tokens import count, count_definition

from marketdata import AsyncClient
from marketdata_mcp import app

BEFORE = Path(__file__).with_name("tokens-0.1.0.json")
Calls: TypeAlias = list[tuple[str, dict[str, Any]]]

BTC = {"pair": "BTC/USDT"}
QUESTIONS: dict[str, Calls] = {
    "What does Bitcoin cost?": [("get_ticker", BTC)],
    "What are the best bid and ask of ETH?": [("get_quote", {"pair": "ETH/USDT"})],
    "How deep is the book of BTC?": [("get_orderbook", {**BTC, "depth": 10})],
    "Show the last 100 hours of BTC": [("get_candles", BTC)],
    "Closing prices of the last 30 days": [
        ("get_candles", {**BTC, "timeframe": "1d", "limit": 30, "columns": ["time", "close"]})
    ],
    "The last 50 trades of BTC": [("get_trades", BTC)],
    "Top 10 gainers on Binance by volume": [
        (
            "get_tickers",
            {
                "sort": "percentage",
                "quote": "USDT",
                "limit": 10,
                "min_quote_volume": 1_000_000,
                "exchange": "binance",
            },
        )
    ],
    "Average price of BTC over five minutes": [("get_average_price", BTC)],
    "Where is BTC cheapest?": [("compare_exchanges", BTC)],
    "What would 1 BTC cost now?": [("get_execution_cost", {**BTC, "side": "buy", "amount": 1})],
}
USDT = ["BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "PEPE"]
INSTEAD: dict[str, Calls] = {
    "Closing prices of the last 30 days": [
        ("get_candles", {**BTC, "timeframe": "1d", "limit": 30})
    ],
    "Top 10 gainers on Binance by volume": [
        ("list_pairs", {"quote": "USDT", "exchange": "binance"}),
        ("get_tickers", {"pairs": [f"{base}/USDT" for base in USDT], "exchange": "binance"}),
    ],
    "Average price of BTC over five minutes": [
        ("get_candles", {**BTC, "timeframe": "1m", "limit": 5})
    ],
}
"""What 0.1.0 had to be asked."""


async def answered(questions: dict[str, Calls]) -> dict[str, int]:
    """Return the tokens of the answers to each question."""
    costs = {}
    async with Client(app.Service(AsyncClient(sim=True)).server()) as client:
        for question, calls in questions.items():
            costs[question] = 0
            for tool, arguments in calls:
                result = await client.call_tool(tool, arguments)
                assert not result.is_error, result.content
                costs[question] += count(result.content[0].text)  # type: ignore[union-attr]
    return costs


def main() -> None:
    """Measure, and print both tables beside what was."""
    keeps = sys.argv[1:] == ["--keep"]
    definitions = {tool.name: count_definition(tool) for tool in app.tools()}
    answers = asyncio.run(answered({**QUESTIONS, **INSTEAD} if keeps else QUESTIONS))
    if keeps:
        BEFORE.write_text(json.dumps({"tools": definitions, "questions": answers}, indent=2) + "\n")
        return
    was = json.loads(BEFORE.read_text())
    for title, now, before in (
        ("definition", definitions, was["tools"]),
        ("question", answers, was["questions"]),
    ):
        print(f"{title:44}{'0.1.0':>8}{'now':>8}")
        for name, tokens in now.items():
            print(f"{name:44}{before.get(name, '-'):>8}{tokens:>8}")
        print(f"{'all':44}{sum(before.values()):>8}{sum(now.values()):>8}\n")


if __name__ == "__main__":
    main()
