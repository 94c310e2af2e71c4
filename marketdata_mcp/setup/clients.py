"""The configuration files of MCP clients, and their formats.

They follow the documentation of November 2026; `docs/server.md` has the table.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class ClientName(StrEnum):
    """The clients that can be set up."""

    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    VSCODE = "vscode"
    WINDSURF = "windsurf"
    CODEX = "codex"
    GEMINI = "gemini"
    ZED = "zed"
    CLINE = "cline"
    CLINE_CLI = "cline-cli"
    GOOSE = "goose"


@dataclass(frozen=True)
class Place:
    """A client's file and its format."""

    file: Path
    servers: str = "mcpServers"
    """The object in the file with the servers by name."""
    url: str | None = "url"
    """The name of the URL's field; None if the client only starts programs."""
    typed: str | None = None
    """The type of a server over HTTP; None if it has no type."""
    says_stdio: bool = False
    """Whether a program has a type, too."""
    format: str = "json"
    """The format of the file: ``json``, ``toml`` or ``yaml``."""
    variable: str | None = None
    """The form of an environment variable in a header; None if it is not supported."""
    asks: bool = False
    """Whether the client asks for secrets and stores them itself."""
    then: str = ""
    """The next step for its user."""

    @property
    def keeps_keys_apart(self) -> bool:
        """Whether the file can refer to a key without containing it."""
        return self.format != "json" or self.asks or self.variable is not None


@dataclass(frozen=True)
class Server:
    """The server for a client: a program to start, or a URL."""

    name: str
    command: tuple[str, ...] = ()
    url: str | None = None
    key_variable: str | None = None
    """The environment variable with the key."""
    insecure: bool = False
    """Whether the URL is unencrypted and not on this machine."""


def place(
    client: ClientName,
    *,
    project: bool = False,
    platform: str = sys.platform,
    environment: Mapping[str, str] = os.environ,
) -> Place | None:
    """Find the file of a client for this user, or for the project in the working directory.

    None if the client has no file for projects.
    """
    windows = platform == "win32"
    home = Path(environment.get("USERPROFILE" if windows else "HOME") or Path.home())
    if windows:
        programs = Path(environment.get("APPDATA") or home / "AppData" / "Roaming")
    elif platform == "darwin":
        programs = home / "Library" / "Application Support"
    else:
        programs = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    root = Path.cwd() if project else home
    match client:
        case ClientName.CLAUDE_DESKTOP:
            return None if project else _claude_desktop(programs)
        case ClientName.CLAUDE_CODE:
            folder = Path(environment.get("CLAUDE_CONFIG_DIR") or home)
            return Place(
                root / ".mcp.json" if project else folder / ".claude.json",
                typed="http",
                says_stdio=True,
                variable="${%s}",
                then="Restart claude; /mcp shows it. Approve a project's file once.",
            )
        case ClientName.CURSOR:
            return Place(
                root / ".cursor" / "mcp.json",
                variable="${env:%s}",
                then="It is under MCP in Cursor's settings.",
            )
        case ClientName.VSCODE:
            return Place(
                root / ".vscode" / "mcp.json" if project else programs / "Code/User/mcp.json",
                servers="servers",
                typed="http",
                says_stdio=True,
                asks=True,
                then="'MCP: List Servers' in VS Code starts it.",
            )
        case ClientName.WINDSURF:
            # Windsurf is Devin Desktop since June 2026. It reads this folder on every system but
            # Windows, and ignores XDG_CONFIG_HOME.
            devin = (programs if windows else home / ".config") / "devin"
            older = home / ".codeium" / "windsurf"
            if not project and older.is_dir() and not devin.is_dir():
                return _windsurf(older / "mcp_config.json", "serverUrl")
            return _windsurf((root / ".devin" if project else devin) / "mcp_config.json", "url")
        case ClientName.CODEX:
            folder = Path(environment.get("CODEX_HOME") or home / ".codex")
            return Place(
                (root / ".codex" if project else folder) / "config.toml",
                servers="mcp_servers",
                format="toml",
                then="Restart codex; /mcp shows it. A project's file counts once you trust it.",
            )
        case ClientName.GEMINI:
            return Place(
                root / ".gemini" / "settings.json",
                url="httpUrl",
                variable="$%s",
                then="Restart gemini; /mcp shows it. It starts servers only in trusted folders.",
            )
        case ClientName.ZED:
            # It is not below Library on macOS either.
            folder = programs / "Zed" if windows else _config(environment, home) / "zed"
            return Place(
                (root / ".zed" if project else folder) / "settings.json",
                servers="context_servers",
                then="It is in the settings of Zed's agent panel.",
            )
        case ClientName.CLINE:
            settings = "Code/User/globalStorage/saoudrizwan.claude-dev/settings"
            if project:
                return None
            return Place(
                programs / settings / "cline_mcp_settings.json",
                typed="streamableHttp",
                then="It is among Cline's MCP servers.",
            )
        case ClientName.CLINE_CLI:
            if project:
                return None
            own = environment.get("CLINE_MCP_SETTINGS_PATH")
            settings = ".cline/data/settings/cline_mcp_settings.json"
            return Place(
                Path(own) if own else home / settings,
                typed="streamableHttp",
                then="Start cline anew.",
            )
        case ClientName.GOOSE:
            folder = programs / "Block/goose/config" if windows else home / ".config" / "goose"
            if project:
                return None
            return Place(
                folder / "config.yaml",
                servers="extensions",
                format="yaml",
                then="Start a new session of goose.",
            )


def _config(environment: Mapping[str, str], home: Path) -> Path:
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config")


def _claude_desktop(programs: Path) -> Place:
    return Place(
        programs / "Claude" / "claude_desktop_config.json",
        url=None,
        then="Quit Claude Desktop and open it again.",
    )


def _windsurf(file: Path, url: str) -> Place:
    return Place(file, url=url, variable="${env:%s}", then="Start a new session.")


def addition(place: Place, server: Server, key: str | None = None) -> dict[str, Any]:
    """Return the content to add to a client's file; lists have objects with an ``id``.

    `key` is written only if the client does not support variables.
    """
    entry: dict[str, Any]
    inputs: dict[str, Any] = {}
    if place.format == "toml":
        entry = _codex(server)
    elif place.format == "yaml":
        entry = _goose(server)
    elif server.url is None:
        entry = {"type": "stdio"} if place.says_stdio else {}
        entry |= {"command": server.command[0], "args": list(server.command[1:])}
    elif place.url is None:
        entry = _bridged(server, key)
    else:
        entry = {"type": place.typed} if place.typed else {}
        entry[place.url] = server.url
        if server.key_variable is not None:
            named = place.variable % server.key_variable if place.variable else str(key)
            if place.asks:
                asked = f"{server.name}-key"
                named = f"${{input:{asked}}}"
                inputs = {
                    "inputs": [
                        {
                            "type": "promptString",
                            "id": asked,
                            "description": f"Key for {server.url} ({server.key_variable})",
                            "password": True,
                        }
                    ]
                }
            entry["headers"] = {"Authorization": f"Bearer {named}"}
    return inputs | {place.servers: {server.name: entry}}


def _codex(server: Server) -> dict[str, Any]:
    if server.url is None:
        return {"command": server.command[0], "args": list(server.command[1:])}
    named = {} if server.key_variable is None else {"bearer_token_env_var": server.key_variable}
    return {"url": server.url, **named}


def _goose(server: Server) -> dict[str, Any]:
    entry: dict[str, Any] = {"enabled": True, "name": server.name, "timeout": 300}
    if server.url is None:
        program, *arguments = server.command
        return {**entry, "type": "stdio", "cmd": program, "args": arguments}
    entry |= {"type": "streamable_http", "uri": server.url}
    if server.key_variable is not None:
        entry["env_keys"] = [server.key_variable]
        entry["headers"] = {"Authorization": f"Bearer ${{{server.key_variable}}}"}
    return entry


def _bridged(server: Server, key: str | None) -> dict[str, Any]:
    """Reach a URL through a program: mcp-remote, from the npm registry."""
    arguments = ["-y", "mcp-remote@0.15", str(server.url)]
    if server.insecure:
        arguments.append("--allow-http")
    if key is None:
        return {"command": _npx(), "args": arguments}
    # mcp-remote inserts the variable. Some clients split arguments at blanks, so there is none.
    return {
        "command": _npx(),
        "args": [*arguments, "--header", "Authorization:${AUTHORIZATION}"],
        "env": {"AUTHORIZATION": f"Bearer {key}"},
    }


def _npx() -> str:
    # Programs started from a desktop do not have the PATH of a shell.
    return shutil.which("npx") or "npx"
