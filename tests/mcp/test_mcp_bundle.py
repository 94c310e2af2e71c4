"""The bundle for installation with a click: its content, and that it starts and answers."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mcp_doors import PATIENCE

ROOT = Path(__file__).parents[2]


def loaded(name: str) -> ModuleType:
    """Import a script of `release/`, which is no package."""
    file = ROOT / "release" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"release_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(loaded("mcpb").build(tmp_path / "made"))


@pytest.fixture
def unpacked(bundle: Path, tmp_path: Path) -> Path:
    place = tmp_path / "unpacked"
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(place)
    return place


def test_the_same_sources_build_the_same_bundle(bundle: Path, tmp_path: Path) -> None:
    again = Path(loaded("mcpb").build(tmp_path / "again"))
    assert again.read_bytes() == bundle.read_bytes()


def test_all_files_of_the_manifest_exist(unpacked: Path) -> None:
    manifest = json.loads((unpacked / "manifest.json").read_text())
    assert (unpacked / manifest["icon"]).read_bytes().startswith(b"\x89PNG")
    assert (unpacked / manifest["server"]["entry_point"]).is_file()
    assert (unpacked / "pyproject.toml").is_file()
    # No address is made up.
    assert not {"homepage", "repository", "documentation", "support"} & set(manifest)


def test_the_bundled_server_starts_and_answers(unpacked: Path, tmp_path: Path) -> None:
    manifest = json.loads((unpacked / "manifest.json").read_text())
    config = manifest["server"]["mcp_config"]
    # uv would install what it depends on, which is here already, and run the rest of the line.
    head = ["run", "--directory", "${__dirname}", "python"]
    assert (config["command"], config["args"][:4]) == ("uv", head)
    chosen = manifest["user_config"]["exchange"]["default"]
    given = {
        name: value.replace("${user_config.exchange}", chosen)
        for name, value in config["env"].items()
    }
    hello: dict[str, Any] = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    call = {"name": "get_ticker", "arguments": {"pair": "BTC/USDT"}}
    asked = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list"},
        {"id": 3, "method": "tools/call", "params": call},
    ]
    done = subprocess.run(
        [sys.executable, *config["args"][4:]],
        env={
            **os.environ,
            **given,
            "MARKETDATA_HOME": str(tmp_path / "home"),
            "MARKETDATA_SIM": "1",
            "PYTHONPATH": str(unpacked),
        },
        cwd=unpacked,
        input="".join(json.dumps({"jsonrpc": "2.0", **one}) + "\n" for one in asked),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    answers = {one["id"]: one["result"] for one in map(json.loads, done.stdout.splitlines())}
    assert answers[1]["serverInfo"]["version"] == manifest["version"]
    assert len(answers[2]["tools"]) > 10
    assert answers[3]["structuredContent"]["exchange"] == chosen.partition(",")[0]


def test_the_registry_entry_takes_its_urls_from_one_place(bundle: Path) -> None:
    registry = loaded("registry")
    server = json.loads((ROOT / "server.json").read_text())
    assert registry.completed(server, {}, bundle) == server
    urls = {"Homepage": "https://site.example", "Repository": "https://github.com/some/where/"}
    made = registry.completed(server, urls, bundle)
    assert made["websiteUrl"] == "https://site.example"
    assert made["repository"] == {"url": "https://github.com/some/where", "source": "github"}
    assert made["icons"][0]["src"].startswith("https://github.com/some/where/raw/v")
    [_, entry] = made["packages"]
    assert entry["registryType"] == "mcpb"
    assert entry["identifier"].endswith(f"/{bundle.name}")
    assert len(entry["fileSha256"]) == 64
    assert (ROOT / "release" / "icon.png").is_file()


def test_links_of_the_description_work_on_the_index() -> None:
    # Its base class is part of what builds the package.
    pytest.importorskip("hatchling")
    readme = loaded("readme")
    text = "[a](docs/a.md), [b](https://b.example), [c](#c)"
    kept = "[b](https://b.example), [c](#c)"
    assert readme.description(text, None, "1.2.3") == f"a, {kept}"
    made = readme.description(text, "https://x.example/y/", "1.2.3")
    assert made == f"[a](https://x.example/y/blob/v1.2.3/docs/a.md), {kept}"
