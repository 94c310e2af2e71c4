"""Make plugins/: what Claude Code, Codex, Cursor and Gemini CLI install, from one source.

The skills are the server's own prompts, the version is the package's. All four read one folder,
each by a manifest of its own.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mcpb import project

from marketdata_mcp.catalogue.identity import DESCRIPTION, NAME, TITLE
from marketdata_mcp.catalogue.prompts import PROMPTS

FOLDER = Path(__file__).parents[1] / "plugins"
SERVER = {"command": "uvx", "args": [project()["name"], "mcp"]}
"""How the server is started where nothing of it is installed yet."""

WHEN = {
    "brief": "Use for questions such as: how is BTC doing, brief me on ETH, is SOL liquid?",
    "compare": "Use for questions such as: where is BTC cheapest, is there an arbitrage, which "
    "exchange is best for a large order?",
    "check_history": "Use before a backtest, or for questions such as: are candles missing, since "
    "when does this exchange have data?",
    "watch_move": "Use for requests such as: tell me when BTC moves by 2%, watch ETH for me.",
}
CONVENTIONS = """\
## Conventions

- A pair is BASE/QUOTE, such as BTC/USDT. Only spot is served. Without an exchange the server's
  default answers; `exchange` in the answer says which.
- Times are UTC. Arguments take ISO-8601, Unix milliseconds or an age such as -7d.
- `next` in an answer holds the arguments to change in the same call for the next page.
- An error is an object with `code`, `message` and `retryable`: call again unchanged only where
  `retryable` is true, after `retryAfter` seconds. Data with `simulated` are not real.
- Nothing here places orders, and nothing is advice.
"""


def links(server: dict[str, Any]) -> dict[str, str]:
    """Return the links that install a server in one click, by the client."""
    packed = base64.b64encode(json.dumps(server, separators=(",", ":")).encode()).decode()
    named = json.dumps({"name": NAME, **server}, separators=(",", ":"))
    return {
        "Cursor": f"cursor://anysphere.cursor-deeplink/mcp/install?name={NAME}"
        f"&config={quote(packed, safe='')}",
        "VS Code": f"vscode:mcp/install?{quote(named, safe='')}",
    }


def made() -> dict[str, str]:
    """Return all files, by their paths below the folder."""
    package = project()
    author = {"name": package["authors"][0]["name"]}
    version = package["version"]
    about: dict[str, Any] = {"name": NAME, "version": version, "description": DESCRIPTION}
    more = {"author": author, "license": package["license"], "keywords": package["keywords"]}
    parts = {"skills": "./skills/", "mcpServers": "./.mcp.json"}
    manifests: dict[str, dict[str, Any]] = {
        f"{NAME}/.mcp.json": {"mcpServers": {NAME: SERVER}},
        f"{NAME}/.claude-plugin/plugin.json": {**about, **more},
        f"{NAME}/.codex-plugin/plugin.json": {
            **about,
            **more,
            **parts,
            "interface": {"displayName": TITLE, "shortDescription": DESCRIPTION},
        },
        f"{NAME}/.cursor-plugin/plugin.json": {**about, **more, **parts},
        f"{NAME}/gemini-extension.json": {**about, "mcpServers": {NAME: SERVER}},
        ".claude-plugin/marketplace.json": {
            "name": package["name"],
            "description": DESCRIPTION,
            "owner": author,
            "plugins": [{"name": NAME, "source": f"./{NAME}", "description": DESCRIPTION}],
        },
    }
    files = {path: json.dumps(one, indent=2) + "\n" for path, one in manifests.items()}
    for prompt in PROMPTS:
        name = prompt.replace("_", "-")
        files[f"{NAME}/skills/{name}/SKILL.md"] = _skill(name, prompt)
    return files


def _skill(name: str, prompt: str) -> str:
    told = PROMPTS[prompt]
    words = {
        argument: f"[{argument}]" if one.otherwise is None else f"[{argument}, or {one.otherwise}]"
        for argument, one in told.arguments.items()
    }
    steps = told.template.format(**words)
    asked = [f"- `{argument}`: {one.text}" for argument, one in told.arguments.items()]
    description = json.dumps(f"{told.text} {WHEN[prompt]}")
    return "\n".join(
        [
            *("---", f"name: {name}", f"description: {description}", "---", ""),
            *(f"# {told.title}", "", "What to know first:", "", *asked, ""),
            *(_wrapped(steps), "", CONVENTIONS),
        ]
    )


def _wrapped(text: str) -> str:
    lines, line = [], ""
    for word in text.split(" "):
        if len(line) + len(word) > 100:
            lines.append(line.rstrip())
            line = ""
        line += f"{word} "
    return "\n".join([*lines, line.rstrip()])


def main() -> None:
    """Write them; with --check only tell whether they are as they should be."""
    there = {
        path.relative_to(FOLDER).as_posix(): path.read_text()
        for path in FOLDER.rglob("*")
        if path.is_file()
    }
    files = made()
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if there == files else "plugins/ is not what `make plugins` makes of the source")
    for path in there.keys() - files.keys():
        (FOLDER / path).unlink()
    for path, text in files.items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(text)


if __name__ == "__main__":
    main()
