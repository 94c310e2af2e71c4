"""What the packages import is declared in pyproject.toml, and what is declared is imported."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = ("_ccxt_marketdata", "marketdata", "marketdata_cli", "marketdata_mcp")
BY_NAME = {
    "ccxt": "marketdata/_exchanges/loader.py finds it without importing all of it",
    "httptools": "uvicorn parses with it where it is installed",
    "tzdata": "zoneinfo reads it where the system has no time zones",
    "opentelemetry-exporter-otlp-proto-http": "a module of the namespace opentelemetry",
}
"""Declared, and used otherwise than by an import of its own name."""
OPTIONAL = {"service", "_history", "_candles", "frames.py", "widget.py"}
"""Folders and files that nothing imports before their extra is known to be installed."""
PARTS = {"pydantic-core": "pydantic"}
"""Distributions that are parts of another, which pins their version."""


def declared() -> dict[str, set[str]]:
    """Return the distributions that each extra declares; "" stands for those that all need."""
    listed = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    return {
        extra: {_plain(re.split(r"[\[<>=;!~ ]", one)[0]) for one in several} - {PROJECT["name"]}
        for extra, several in listed.items()
    }


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def imports() -> list[tuple[str, str]]:
    """Return each file with the top-level package of others that it imports."""
    return sorted(set(_imports()))


def _imports() -> Iterator[tuple[str, str]]:
    for package in OURS:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                modules = []
                if isinstance(node, ast.Import):
                    modules = [one.name for one in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    modules = [node.module]
                for module in modules:
                    top = module.partition(".")[0]
                    if top not in sys.stdlib_module_names and top not in OURS:
                        yield str(file.relative_to(ROOT)), top


@cache
def installed() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def distributions(top: str) -> set[str]:
    found = {_plain(one) for one in installed().get(top, [top])}
    return {PARTS.get(one, one) for one in found}


def test_every_package_that_is_imported_is_declared() -> None:
    every = set().union(*declared().values())
    missing = {top: file for file, top in imports() if not distributions(top) & every}
    assert missing == {}


def test_what_needs_no_extra_is_declared_for_all() -> None:
    """A module that is imported at the top of a file of the library needs no extra."""
    optional = set().union(*declared().values()) - declared()[""]
    for package in OURS:
        for file in (ROOT / package).rglob("*.py"):
            if OPTIONAL & {*file.parts, file.name}:
                continue
            for node in ast.parse(file.read_text()).body:
                modules = []
                if isinstance(node, ast.Import):
                    modules = [one.name for one in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module:
                    modules = [node.module]
                for module in modules:
                    top = module.partition(".")[0]
                    if top not in sys.stdlib_module_names and top not in OURS:
                        assert not distributions(top) <= optional, f"{file}: {module}"


def test_every_package_that_is_declared_is_used() -> None:
    used = {one for _, top in imports() for one in distributions(top)}
    assert set().union(*declared().values()) - used - BY_NAME.keys() == set()
