"""List the server's tools and call each of them over stdio, like the host of an agent."""

import asyncio
import os
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

ARGUMENTS: dict[str, dict[str, Any]] = {
    "list_pairs": {"base": "BTC"},
    "get_ticker": {"pair": "BTC/USDT"},
    "get_tickers": {"pairs": ["BTC/USDT", "ETH/USDT"]},
    "get_quote": {"pair": "BTC/USDT"},
    "get_average_price": {"pair": "BTC/USDT"},
    "get_orderbook": {"pair": "BTC/USDT", "depth": 5},
    "get_candles": {"pair": "BTC/USDT", "timeframe": "1h", "limit": 3},
    "get_trades": {"pair": "BTC/USDT", "limit": 3},
    "get_fees": {"pair": "BTC/USDT"},
    "compare_exchanges": {"pair": "BTC/USDT", "exchanges": ["binance", "kraken"]},
    "get_consolidated_orderbook": {"pair": "BTC/USDT", "depth": 3},
    "get_execution_cost": {"pair": "BTC/USDT", "side": "buy", "amount": 1},
    "watch_start": {"kind": "orderbook", "pairs": ["BTC/USDT"], "depth": 3},
    "watch_read": {"wait": True},
}


async def main() -> None:
    settings = {key: value for key, value in os.environ.items() if key.startswith("MARKETDATA_")}
    server = StdioServerParameters(command="marketdata-mcp", env=settings)
    async with Client(stdio_client(server)) as client:
        watch: dict[str, Any] = {}
        for tool in (await client.list_tools()).tools:
            arguments = ARGUMENTS.get(tool.name, {})
            if tool.name in ("watch_read", "watch_stop"):
                arguments = {**arguments, **watch}
            result = await client.call_tool(tool.name, arguments)
            if tool.name == "watch_start":
                watch = {"watch": (result.structured_content or {})["watch"]}
            answer = result.content[0]
            text = answer.text if answer.type == "text" else answer.type
            print(f"{tool.name}: {'refused: ' if result.is_error else ''}{text[:100]}")


if __name__ == "__main__":
    asyncio.run(main())
