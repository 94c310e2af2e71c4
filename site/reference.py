"""Makes the pages of the reference from what functions, commands and tools say of themselves."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

import marketdata
from marketdata import models
from marketdata.operations import HISTORY, OPERATIONS, STREAMS


def functions() -> str:
    """Return the page of the module's functions, made of their signatures and docstrings.

    They are made while the package is imported, where tools that read the source find nothing.
    """
    parts = [
        "# Functions\n\nEach asks a default client. All are methods of `Client` and `AsyncClient`, "
        "too.\n"
    ]
    groups = {
        "Questions": [one.name for one in OPERATIONS],
        "Streams": [one.name for one in STREAMS],
    }
    known = {name for names in groups.values() for name in names}
    groups["Besides"] = [
        name
        for name in marketdata.__all__
        if callable(getattr(marketdata, name))
        and not isinstance(getattr(marketdata, name), type)
        and name not in known
    ]
    for title, names in groups.items():
        parts.append(f"## {title}\n")
        parts += [_function(f"md.{name}", getattr(marketdata, name)) for name in names]
    parts.append("## The store of candles\n")
    parts += [
        _function(f"md.history.{one.name}", getattr(marketdata.history, one.name))
        for one in HISTORY
    ]
    return "\n".join(parts)


def _function(name: str, function: Any) -> str:
    signature = inspect.signature(function)
    given = [
        one.name if one.default is one.empty else f"{one.name}={one.default!r}"
        for one in signature.parameters.values()
    ]
    keyword = next(
        (
            at
            for at, one in enumerate(signature.parameters.values())
            if one.kind is one.KEYWORD_ONLY
        ),
        None,
    )
    if keyword is not None:
        given.insert(keyword, "*")
    call = f"{name}({', '.join(given)})"
    if len(call) > 80:
        call = f"{name}(\n    " + ",\n    ".join(given) + ",\n)"
    parts = [f"### {name}\n", f"```text\n{call} -> {_annotation(signature)}\n```\n"]
    for section in griffe.Docstring(inspect.getdoc(function) or "").parse("google", warnings=False):
        match section.kind.value:
            case "text":
                parts.append(f"{section.value}\n")
            case "parameters":
                parts.append("| argument | means |\n| --- | --- |")
                parts += [f"| `{one.name}` | {_cell(one.description)} |" for one in section.value]
                parts.append("")
            case "returns" | "raises" | "yields":
                parts.append(f"**{section.kind.value.title()}**\n")
                parts += [
                    f"- `{one.annotation}`: {_cell(one.description)}" for one in section.value
                ]
                parts.append("")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _annotation(signature: inspect.Signature) -> str:
    found = signature.return_annotation
    text = found if isinstance(found, str) else inspect.formatannotation(found)
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text)


def records() -> str:
    """Return the page of records, for mkdocstrings to fill."""
    parts = [
        "# Records\n\nWhat functions answer with. All are frozen. Times are UTC datetimes. Prices "
        "and amounts are floats, or Decimals of a client with `numbers='decimal'`. None stands for "
        "what the exchange did not send.\n"
    ]
    for name in sorted(set(marketdata.__all__)):
        value = getattr(marketdata, name)
        if isinstance(value, type) and issubclass(value, models.Record):
            parts.append(f"::: {value.__module__}.{value.__qualname__}\n")
    return "\n".join(parts)


def commands() -> str:
    """Return the page of the shell's commands, made of their help."""
    parts = ["# Commands\n\nThe help of `marketdata` and of each of its commands.\n"]
    for path, text in _helped():
        parts.append(f"## {' '.join(('marketdata', *path))}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def _helped() -> Iterator[tuple[tuple[str, ...], str]]:
    from typer.main import get_command
    from typer.testing import CliRunner

    from marketdata_cli.app import application

    app = application()

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, one in sorted(getattr(command, "commands", {}).items()):
            if not one.hidden:
                yield from walk(one, (*path, name))

    plain = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})
    for path in walk(get_command(app), ()):
        yield path, plain.invoke(app, [*path, "--help"], catch_exceptions=False).stdout.strip()


def tools() -> str:
    """Return the page of the tools for agents, made of what the server lists."""
    parts = ["# Tools\n\nWhat `marketdata mcp` offers to agents, as it lists it.\n"]
    for tool in asyncio.run(_listed()):
        parts.append(f"## {tool.name}\n\n{tool.description}\n")
        properties = tool.input_schema.get("properties", {})
        required = tool.input_schema.get("required", [])
        if properties:
            parts.append("| argument | type | means |\n| --- | --- | --- |")
            for name, schema in properties.items():
                says = str(schema.get("description", "")).replace("|", "\\|")
                needed = " (required)" if name in required else ""
                parts.append(f"| `{name}`{needed} | {_type(schema)} | {says} |")
            parts.append("")
    return "\n".join(parts)


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    choices = [_type(one) for one in schema.get("anyOf", [])]
    kinds = schema.get("type", choices or "any")
    if kinds == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


async def _listed() -> list[Any]:
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    with tempfile.TemporaryDirectory() as home:
        program = Path(sys.executable).with_name("marketdata-mcp")
        server = StdioServerParameters(
            command=str(program), args=["--sim"], env={"MARKETDATA_HOME": home}
        )
        async with Client(stdio_client(server)) as client:
            return list((await client.list_tools()).tools)
