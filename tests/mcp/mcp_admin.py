"""Runs the administrative commands of ``marketdata-mcp`` in this process."""

from __future__ import annotations

import contextlib
import io
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from marketdata_mcp.service.command import admin

FILES = {
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "claude-code": ".claude.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".config/Code/User/mcp.json",
    "windsurf": ".config/devin/mcp_config.json",
    "codex": ".codex/config.toml",
    "gemini": ".gemini/settings.json",
    "zed": ".config/zed/settings.json",
    "cline": ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/"
    "cline_mcp_settings.json",
    "cline-cli": ".cline/data/settings/cline_mcp_settings.json",
    "goose": ".config/goose/config.yaml",
}
PROJECT_FILES = {
    "claude-code": ".mcp.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".vscode/mcp.json",
    "windsurf": ".devin/mcp_config.json",
    "codex": ".codex/config.toml",
    "gemini": ".gemini/settings.json",
    "zed": ".zed/settings.json",
}


def command(*arguments: str) -> tuple[int, str, str]:
    """Run a command line; return its exit code and its output."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        admin.run(arguments)
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


def install(*arguments: str) -> tuple[int, str, str]:
    """Run ``marketdata-mcp install``."""
    return command("install", *arguments)


def files(folder: Path) -> list[str]:
    """List the files below a folder."""
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def servers(file: Path) -> dict[str, Any]:
    """Return the servers that a client's file has."""
    readers = {".toml": tomllib.loads, ".yaml": yaml.safe_load}
    held = readers.get(file.suffix, json.loads)(file.read_text())
    names = ("mcpServers", "servers", "mcp_servers", "context_servers", "extensions")
    found: dict[str, Any] = next(held[name] for name in names if name in held)
    return found
