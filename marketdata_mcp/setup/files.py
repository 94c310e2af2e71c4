"""Adds a server to clients' files in TOML or YAML, without changing anything else."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any


class UnusableError(Exception):
    """A file that cannot be changed without losing something."""


def in_toml(servers: str, name: str, entry: Mapping[str, Any]) -> str:
    """Return a server as a TOML table, with strings and lists as in JSON."""
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()]
    return "\n".join([f"[{servers}.{name}]", *lines, ""])


def with_toml(text: str, servers: str, name: str, entry: Mapping[str, Any]) -> str:
    """Add a server at the end; returns the text unchanged if the server is in it."""
    try:
        known = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise UnusableError("is not TOML") from None
    there = known.get(servers, {})
    if isinstance(there, dict) and there.get(name) == entry:
        return text
    if not isinstance(there, dict) or name in there:
        raise UnusableError(f"has something else under '{servers}.{name}'")
    new = f"{text.rstrip()}\n\n{in_toml(servers, name, entry)}".lstrip()
    try:
        read = tomllib.loads(new)
    except tomllib.TOMLDecodeError:
        # For example an inline table, which cannot be extended.
        raise UnusableError(f"has '{servers}' in a form that cannot be extended") from None
    if read != {**known, servers: {**there, name: dict(entry)}}:
        raise UnusableError("would not be read as intended after the change")
    return new


def in_yaml(servers: str, name: str, entry: Mapping[str, Any], indent: str = "  ") -> str:
    """Return a server as YAML, with strings, lists and small objects as in JSON."""
    lines = [
        f"{indent * 2}{key}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in entry.items()
    ]
    return "\n".join([f"{servers}:", f"{indent}{name}:", *lines, ""])


def with_yaml(text: str, servers: str, name: str, entry: Mapping[str, Any]) -> str:
    """Add a server before the others; returns the text unchanged if the server is in it.

    There is no YAML parser here, so only the client's own form is changed: the servers as a block
    at the left margin, with each name on its own line.
    """
    if not text.strip():
        return in_yaml(servers, name, entry)
    if "\t" in text or re.search(r"^(---|\.\.\.|%)", text, re.MULTILINE):
        raise UnusableError("is YAML in a form that only its client should change")
    begins = re.findall(rf"^[\"']?{servers}[\"']?[ ]*:.*$", text, re.MULTILINE)
    if not begins:
        return f"{text.rstrip()}\n{in_yaml(servers, name, entry)}"
    if len(begins) > 1 or not re.fullmatch(rf"{servers}:[ ]*(?:\{{\}})?[ ]*", begins[0]):
        raise UnusableError(f"has '{servers}' in a form that cannot be extended")
    before, _, behind = text.partition(begins[0])
    inner = re.match(r"\n(?:[ ]*(?:#.*)?\n)*([ ]+)\S", behind)
    indent = inner[1] if inner and not begins[0].rstrip().endswith("}") else "  "
    block = in_yaml(servers, name, entry, indent).rstrip("\n")
    if f"{block.partition(chr(10))[2]}\n" in f"{behind}\n":
        return text
    if re.search(rf"^{indent}[\"']?{re.escape(name)}[\"']?[ ]*:", behind, re.MULTILINE):
        raise UnusableError(f"has something else under '{servers}.{name}'")
    return f"{before}{block}{behind}"
