"""The main features in half a minute, on the simulated exchange; ``make demo`` runs this."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from marketdata.sim import SimulatedExchange

PROGRAMS = Path(sys.executable).parent


def shell(line: str) -> None:
    """Show and run a command line."""
    print(f"\n$ {line}", flush=True)
    program, *arguments = shlex.split(line)
    subprocess.run([PROGRAMS / program, *arguments], check=True)


async def ticker_by_mcp() -> str:
    """Request the ticker from the stdio server, like the host of an agent."""
    settings = {key: value for key, value in os.environ.items() if key.startswith("MARKETDATA_")}
    server = StdioServerParameters(command=str(PROGRAMS / "marketdata-mcp"), env=settings)
    async with Client(stdio_client(server)) as client:
        result = await client.call_tool("get_ticker", {"pair": "BTC/USDT"})
        return next(block.text for block in result.content if block.type == "text")


def main() -> int:
    with SimulatedExchange(frozen=True) as exchange, tempfile.TemporaryDirectory() as home:
        os.environ["MARKETDATA_ENDPOINTS"] = json.dumps(exchange.endpoints)
        os.environ["MARKETDATA_HOME"] = home
        print("A simulated exchange is listening; no request leaves this machine.")
        shell("marketdata ticker BTC/USDT --format table")
        shell("marketdata orderbook BTC/USDT --depth 5 --format table")
        shell("marketdata candles BTC/USDT --timeframe 15m --start -24h --format table")
        print("\nThe same ticker from the MCP server over stdio, by a client of the SDK:")
        answer = asyncio.run(ticker_by_mcp())
        print(answer)
        by_shell = json.loads(
            subprocess.check_output([PROGRAMS / "marketdata", "ticker", "BTC/USDT"])
        )
    by_agent = json.loads(answer)
    differing = {
        key for key in by_shell.keys() | by_agent.keys() if by_shell.get(key) != by_agent.get(key)
    }
    if differing - {"receivedAt"}:
        print(f"\nThey differ in {', '.join(sorted(differing))}.", file=sys.stderr)
        return 1
    print("\nBoth say the same.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
