"""plugins/ and the links of one click: made of one source, and as their clients want them."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

import marketdata
from marketdata_mcp.app import tools

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "plugins" / "marketdata"
SKILLS = sorted((PLUGIN / "skills").iterdir())
MANIFESTS = (
    ".claude-plugin/plugin.json",
    ".codex-plugin/plugin.json",
    ".cursor-plugin/plugin.json",
    "gemini-extension.json",
)


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    sys.path.insert(0, str(ROOT / "release"))
    try:
        spec = importlib.util.spec_from_file_location("plugins", ROOT / "release" / "plugins.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "release"))
    return module


def read(path: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(path.read_text())
    return held


def test_all_is_made_of_the_source(maker: ModuleType) -> None:
    folder = ROOT / "plugins"
    there = {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert there == maker.made(), "run `make plugins`"


@pytest.mark.parametrize("name", MANIFESTS)
def test_each_client_has_a_manifest(name: str) -> None:
    held = read(PLUGIN / name)
    assert held["name"] == PLUGIN.name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", held["name"])
    assert held["version"] == marketdata.__version__
    assert 20 < len(held["description"]) <= 100
    for place in (held.get("skills"), held.get("mcpServers")):
        if isinstance(place, str):
            assert place.startswith("./")
            assert (PLUGIN / place).exists()


def test_all_start_the_same_server(maker: ModuleType) -> None:
    servers = [read(PLUGIN / name) for name in (".mcp.json", "gemini-extension.json")]
    assert [one["mcpServers"] for one in servers] == 2 * [{"marketdata": maker.SERVER}]
    assert maker.SERVER["args"] == [marketdata.__distribution__, "mcp"]
    (listed,) = read(ROOT / "plugins/.claude-plugin/marketplace.json")["plugins"]
    assert (ROOT / "plugins" / listed["source"]).samefile(PLUGIN)


@pytest.mark.parametrize("folder", SKILLS, ids=lambda one: one.name)
def test_a_skill_says_when_it_is_for(folder: Path) -> None:
    _, head, body = (folder / "SKILL.md").read_text().split("---\n", 2)
    said = yaml.safe_load(head)
    assert set(said) == {"name", "description"}
    assert said["name"] == folder.name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", said["name"])
    assert "Use " in said["description"]
    assert len(said["description"]) <= 1024
    assert len(body.splitlines()) < 500
    known = {tool.name for tool in tools()}
    called = set(re.findall(r"\b(?:get|list|watch)_\w+", body))
    assert called | ({"compare_exchanges"} if "compare_exchanges" in body else set()) <= known
    assert "{" not in body


def test_links_install_that_server(maker: ModuleType) -> None:
    found = maker.links(maker.SERVER)
    cursor = parse_qs(urlsplit(found["Cursor"]).query)
    assert cursor["name"] == ["marketdata"]
    assert json.loads(base64.b64decode(cursor["config"][0])) == maker.SERVER
    asked = json.loads(unquote(urlsplit(found["VS Code"]).query))
    assert asked == {"name": "marketdata", **maker.SERVER}
    page = (ROOT / "docs" / "server.md").read_text()
    assert all(link in page for link in found.values())
