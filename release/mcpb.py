"""Builds the bundle for clients that install MCP servers by a click: ``make mcpb``.

A bundle is a zip file of the packages and a manifest; uv, which such clients bring, installs what
they depend on.
"""

from __future__ import annotations

import json
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_CONTENTS = ("LICENSE", "README.md", "pyproject.toml", "release/readme.py")


def project() -> dict[str, Any]:
    """Read what the package says of itself."""
    made: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return made


def manifest() -> dict[str, Any]:
    """Make the bundle's manifest, version 0.4 of the format."""
    about = project()
    pages = {"Homepage": "homepage", "Documentation": "documentation", "Issues": "support"}
    urls = about.get("urls", {})
    made: dict[str, Any] = {
        "manifest_version": "0.4",
        "name": about["name"],
        "display_name": "Market data",
        "version": about["version"],
        "description": about["description"],
        "author": {"name": about["authors"][0]["name"]},
        "license": about["license"],
        "icon": "icon.png",
        "keywords": about["keywords"],
        "server": {
            "type": "uv",
            "entry_point": "marketdata_mcp/__main__.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "python", "-m", "marketdata_mcp"],
                "env": {"MARKETDATA_EXCHANGE": "${user_config.exchange}"},
            },
        },
        "tools_generated": True,
        "user_config": {
            "exchange": {
                "type": "string",
                "title": "Default exchange",
                "description": "Or several in order of preference, by commas",
                "required": False,
                "default": "binance,kraken,okx,coinbaseexchange",
            }
        },
        "compatibility": {"runtimes": {"python": about["requires-python"]}},
    }
    made.update({key: urls[name] for name, key in pages.items() if name in urls})
    if "Repository" in urls:
        made["repository"] = {"type": "git", "url": urls["Repository"]}
    return made


def build(folder: Path) -> Path:
    """Write the bundle into a folder; the same sources give the same bytes."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    files = [ROOT / name for name in _CONTENTS]
    for name in build["targets"]["wheel"]["only-include"]:
        place = ROOT / name
        files += [place] if place.is_file() else sorted(place.rglob("*.py"))
        files += sorted(place.rglob("py.typed"))
    contents = {file.relative_to(ROOT).as_posix(): file.read_bytes() for file in files}
    contents["icon.png"] = (ROOT / "release" / "icon.png").read_bytes()
    contents["manifest.json"] = json.dumps(manifest(), indent=2).encode()
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{project()['name']}-{project()['version']}.mcpb"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in sorted(contents.items()):
            bundle.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return made


if __name__ == "__main__":
    print(build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist")))
