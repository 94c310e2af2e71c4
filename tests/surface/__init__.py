"""What programs and agents rely on, written down at each release, and what would break them.

``python -m surface`` in ``tests/`` prints the surface as it is now, to be kept as VERSION.json
beside this file when VERSION is released.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import marketdata
from marketdata.models import Record
from marketdata_mcp.app import tools

FOLDER = Path(__file__).parent


def last_release() -> tuple[str, dict[str, Any]]:
    """Return the version that was released last, and its surface."""
    versions = [tuple(map(int, file.stem.split("."))) for file in FOLDER.glob("*.json")]
    version = ".".join(map(str, max(versions)))
    return version, json.loads((FOLDER / f"{version}.json").read_text())


def current() -> dict[str, Any]:
    """Return the surface as it is now."""
    return {
        "tools": {
            tool.name: {"input": tool.input_schema, "output": tool.output_schema}
            for tool in tools()
        },
        "python": {name: _described(getattr(marketdata, name)) for name in marketdata.__all__},
    }


def _described(value: Any) -> Any:
    if inspect.isfunction(value):
        return _parameters(value)
    if not inspect.isclass(value):
        return {"kind": type(value).__name__}
    described: dict[str, Any] = {
        "bases": [base.__name__ for base in value.__mro__ if base.__module__[:10] == "marketdata"]
    }
    if issubclass(value, Record):
        described["fields"] = {
            name: _plain(str(info.annotation)) for name, info in value.model_fields.items()
        }
    if issubclass(value, Exception):
        described["code"] = getattr(value, "code", None)
    described["methods"] = {
        name: _parameters(method) if inspect.isfunction(method) else {}
        for name, method in inspect.getmembers(value)
        if name[0] != "_" and not hasattr(BaseModel, name) and not hasattr(Exception, name)
    }
    return described


def _parameters(function: Any) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "required": one.default is inspect.Parameter.empty,
            "positional": one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD,
        }
        for name, one in inspect.signature(function).parameters.items()
        if one.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    }


def _plain(annotation: str) -> str:
    # Numbers are floats to type checkers, with what pydantic has to know of Decimals behind.
    annotation = re.sub(r"typing\.Annotated\[(.+?), <[^>]*>\]", r"\1", annotation)
    annotation = re.sub(r"^typing\.Optional\[(\w+)\]$", r"\1 | None", annotation)
    return re.sub(r"Annotated\[(\w+),.*", r"\1", annotation)


# ---------------------------------------------------------------------------- calling


def old_forms(released: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a call for each type that an argument of a released tool could have.

    What a tool takes is not what its schema says: that advertises what clients understand best.
    """
    for tool, described in released["tools"].items():
        properties, required = (
            described["input"]["properties"],
            described["input"].get("required", []),
        )
        least = {name: _example(name, properties[name]) for name in required}
        yield tool, least
        for name, schema in properties.items():
            for kind in _types(schema):
                yield tool, {**least, name: _example(name, {**schema, "type": kind})}


_TEXTS = {
    "pair": "btc-usdt",
    "pairs": "BTC/USDT",
    "exchange": "kraken",
    "exchanges": "kraken",
    "timeframe": "4h",
    "window": "15m",
    "start": "-7d",
    "end": "2024-01-31T12:00Z",
    "base": "BTC",
    "quote": "USDT",
    "quotes": "USDC",
    "search": "PEPE",
}
_TIME = 1_700_000_000_000


def _example(name: str, schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "string" | ["string", *_]:
            return _TEXTS.get(name, "x1")
        case "integer":
            return schema.get("default", schema.get("minimum", _TIME))
        case "number":
            return 0.5
        case "boolean":
            return True
    return [_TEXTS[name]]


# ---------------------------------------------------------------------------- comparing


def breaking(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Name what was there and is not any more, or is asked for and was not."""
    return [*_tools(old["tools"], new["tools"]), *_python(old["python"], new["python"])]


def _tools(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for name, tool in old.items():
        if name not in new:
            yield f"tool {name} is gone"
            continue
        yield from _arguments(f"tool {name}", tool["input"], new[name]["input"])
        yield from _answers(f"answer of {name}", tool["output"], new[name]["output"])


def _arguments(where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for name in set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{where}: argument {name} is required now"
    for name, argument in old["properties"].items():
        if name not in new["properties"]:
            yield f"{where}: argument {name} is gone"
            continue
        argument, now = _typed(argument), _typed(new["properties"][name])
        gone = set(argument.get("enum", ())) - set(now.get("enum", argument.get("enum", ())))
        if gone:
            yield f"{where}: argument {name} does not take {sorted(gone)} any more"
        for bound, tighter in (("minimum", 1), ("maximum", -1), ("minItems", 1), ("maxItems", -1)):
            was, is_now = argument.get(bound), now.get(bound)
            if is_now is not None and (was is None or (is_now - was) * tighter > 0):
                yield f"{where}: argument {name} has a tighter {bound}"


def _typed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an argument without null, which all take that may be left out."""
    return {**schema.get("anyOf", [{}])[0], **schema}


def _answers(where: str, old: Any, new: Any) -> Iterator[str]:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return
    added = _types(new) - _types(old)
    if _types(old) and added:
        yield f"{where} can be {', '.join(sorted(added))} now"
    for name in set(old.get("required", ())) - set(new.get("required", ())):
        yield f"{where}.{name} may be absent now"
    for name, field in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{where}.{name} is gone"
        else:
            yield from _answers(f"{where}.{name}", field, new["properties"][name])
    yield from _answers(f"{where}[]", old.get("items"), new.get("items"))


def _types(schema: dict[str, Any]) -> set[str]:
    found = schema.get("type", ())
    return {found} if isinstance(found, str) else set(found)


def _python(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for name, was in old.items():
        if name not in new:
            yield f"marketdata.{name} is gone"
        elif "methods" in was:
            yield from _class(f"marketdata.{name}", was, new[name])
        elif "kind" not in was:
            yield from _function(f"marketdata.{name}", was, new[name])


def _class(where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for base in set(old["bases"]) - set(new.get("bases", ())):
        yield f"{where} is no {base} any more"
    if old.get("code") != new.get("code"):
        yield f"{where} has another code"
    for name, kind in old.get("fields", {}).items():
        now = new.get("fields", {}).get(name)
        if _named(now) != _named(kind) and not _words(kind) <= _words(now):
            yield f"{where}.{name} is gone or of another type"
    for name, method in old["methods"].items():
        if name not in new.get("methods", {}):
            yield f"{where}.{name} is gone"
        else:
            yield from _function(f"{where}.{name}", method, new["methods"][name])


def _named(kind: str | None) -> str | None:
    """Return a type without the modules that our classes stand in: those may move."""
    return kind and re.sub(r"\bmarketdata\.(?:\w+\.)*", "", kind)


def _words(kind: str | None) -> set[str]:
    """Return the words of a field that has one of several; a field of another type has none."""
    if kind is None or not re.fullmatch(r"typing\.Literal\[('\w+'(, )?)+\]", kind):
        return {kind or ""}
    return set(re.findall(r"'(\w+)'", kind))


def _function(where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for name, was in old.items():
        if name == "self":  # not one that anybody gives
            continue
        if name not in new:
            yield f"{where}: parameter {name} is gone"
        elif new[name]["required"] and not was["required"]:
            yield f"{where}: parameter {name} is required now"
        elif was["positional"] and not new[name]["positional"]:
            yield f"{where}: parameter {name} cannot be given by position any more"
    for name in set(new) - set(old):
        if new[name]["required"]:
            yield f"{where}: parameter {name} is new and required"
