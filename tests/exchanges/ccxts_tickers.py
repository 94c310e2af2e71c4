"""The fields that ccxt's ticker parsers read, and the examples in their comments."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

from inside.exchanges import loader, serves_spot

FIELDS = ("open", "high", "low", "change", "percentage", "average", "vwap", "previousClose")
_PARSERS = ("parse_ticker", "parse_spot_or_uta_ticker")
_OTHERS = {"alpaca": ("fetch_tickers",)}
"""Where the parser is another method."""


@cache
def spot_exchanges() -> tuple[str, ...]:
    return tuple(name for name in loader.ids() if serves_spot(loader.described(name)))


def parser(exchange: str) -> str | None:
    """Return the source of ccxt's parser of an exchange's tickers; None where it has none."""
    cls = getattr(importlib.import_module(f"ccxt.async_support.{exchange}"), exchange)
    for name in reversed(_OTHERS.get(exchange, _PARSERS)):
        for kind in cls.__mro__:
            if name in vars(kind) and kind.__module__.startswith("ccxt.async_support"):
                return "class Of:\n" + inspect.getsource(vars(kind)[name])
    return None


def fields(exchange: str, wanted: Collection[str] = FIELDS) -> dict[str, list[str]]:
    """Name the raw fields of which ccxt makes each field; of those that depend on a span of time.

    Others are ``wanted`` where they are named.
    """
    source = parser(exchange)
    if source is None:
        return {}
    tree = ast.parse(source)
    assigned: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            assigned.setdefault(node.targets[0].id, []).append(node.value)

    def texts(value: ast.expr, seen: frozenset[str]) -> Iterator[str]:
        for node in ast.walk(value):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.Name) and node.id not in seen:
                for one in assigned.get(node.id, ()):
                    yield from texts(one, seen | {node.id})

    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in wanted:
                    names = {one for one in texts(value, frozenset()) if re.search("[a-zA-Z]", one)}
                    if names:
                        found.setdefault(key.value, []).extend(sorted(names))
    return found


def examples(exchange: str) -> list[dict[str, Any]]:
    """Return the answers that the comments of the parser show, as far as they can be read."""
    return shown(parser(exchange) or "")


def shown(source: str) -> list[dict[str, Any]]:
    """Return the answers that the comments of a method show, as far as they can be read."""
    comments = [
        line.strip().lstrip("#") for line in source.splitlines() if line.strip().startswith("#")
    ]
    text, found = "\n".join(comments), []
    at = 0
    while (begin := text.find("{", at)) >= 0:
        depth, end = 0, begin
        for end in range(begin, len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                break
        read = _read(text[begin : end + 1])
        if read is not None:
            found.append(read)
        at = end + 1
    return [one for one in found if len(one) > 2]


def _read(text: str) -> dict[str, Any] | None:
    text = re.sub(r"(?<![:\w\"])//.*", "", text)
    text = re.sub(r"([{,]\s*)(\w+)\s*:", r'\1"\2":', text.replace("'", '"'))
    text = re.sub(r",(\s*[}\]])", r"\1", text)
    try:
        read = json.loads(text)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None
