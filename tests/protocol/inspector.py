"""List and call every tool with the official Inspector's command line, on each transport.

Over HTTP, both ways, access control is on.

It holds structured results against the tools' output schemas, and ends with 5 where a tool answers
with an error.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from official_tools import COMMAND, INSPECTOR, environment, new_key, serving
from protocol_calls import CALLS, REFUSED, WATCH

from marketdata_mcp.app import ERROR_KEY

HTTP = [COMMAND, "--http", "127.0.0.1:0", "--sim", "--access", "--sse"]
TIMEOUT_SECONDS = 120
TOOL_ERROR = 5
"""What the Inspector ends with where a tool answered with an error."""


class UnexpectedError(Exception):
    """What the Inspector said was not what was to be."""


@dataclass(frozen=True)
class Server:
    """A server as the Inspector reaches it."""

    name: str
    target: Sequence[str]
    era: str
    """``legacy`` begins with the handshake, ``modern`` is revision 2026-07-28."""
    home: Path
    has_other_processes: bool
    """Whether each call starts a server, which knows no watch of the one before."""

    def inspect(self, method: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run the Inspector once; give its exit status and the result that it printed."""
        done = subprocess.run(
            [
                *(*INSPECTOR, *self.target, "--method", method, "--protocol-era", self.era),
                *(*arguments, "--format", "json", "--quiet"),
            ],
            env=environment(self.home),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        try:
            said = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise UnexpectedError(f"status {done.returncode}: {done.stderr.strip()}") from None
        return done.returncode, said.get("result", said)

    def list_tools(self) -> str:
        """List the tools; the Inspector finds their schemas portable."""
        status, result = self.inspect("tools/list", "--strict")
        names = sorted(tool["name"] for tool in result["tools"])
        if status or names != sorted(CALLS):
            raise UnexpectedError(f"status {status}, listed {names}")
        return f"{len(names)} tools"

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool; give its structured result, which the text repeats."""
        status, result = self._call(tool, arguments)
        structured: dict[str, Any] = result.get("structuredContent", {})
        if status or json.loads(result["content"][0]["text"]) != structured:
            raise UnexpectedError(f"status {status}: {result}")
        return structured

    def refuse(self, tool: str, arguments: dict[str, Any], code: str) -> str:
        """Call a tool with what is wrong; the code is in the text and in ``_meta``."""
        status, result = self._call(tool, arguments)
        said = json.loads(result["content"][0]["text"])
        if status != TOOL_ERROR or said["code"] != code or result["_meta"][ERROR_KEY] != said:
            raise UnexpectedError(f"status {status}: {result}")
        return code

    def _call(self, tool: str, arguments: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        given = json.dumps(arguments)
        return self.inspect("tools/call", "--tool-name", tool, "--tool-args-json", given)


def list_all(server: Server) -> int:
    """List the tools, and say what came of it; give how often it went wrong."""
    return _attempt(server, "tools/list", server.list_tools) is None


def call_all(server: Server) -> int:
    """List and call all tools, and say what came of each; give how many went wrong."""
    wrong = list_all(server)
    watch = "none"
    for tool, named in CALLS.items():
        arguments = {name: watch if value == WATCH else value for name, value in named.items()}
        if server.has_other_processes and WATCH in named.values():
            code = "INVALID_PARAMETER"
            wrong += _attempt(server, tool, server.refuse, tool, arguments, code) is None
            continue
        answer = _attempt(server, tool, server.call, tool, arguments)
        wrong += answer is None
        watch = (answer or {}).get("watch", watch)
    for tool, arguments, code in REFUSED:
        wrong += _attempt(server, tool, server.refuse, tool, arguments, code) is None
    return wrong


def _attempt(server: Server, what: str, work: Callable[..., Any], *arguments: Any) -> Any:
    """Do something, and say in a line what came of it; None where it went wrong."""
    came: Any = None
    try:
        came = work(*arguments)
        said = f"{len(json.dumps(came))} characters" if isinstance(came, dict) else came
    except (UnexpectedError, LookupError, TypeError, subprocess.TimeoutExpired) as error:
        said = f"FAILED: {error!r}"
    print(f"{server.name:8}{server.era:8}{what:16}{said}", flush=True)
    return came


def main() -> int:
    """Call all tools once on each transport, and list them in the other era too."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as threads:
        home = Path(folder)
        command = ["-e", f"MARKETDATA_HOME={home}", COMMAND, "--sim"]
        with_key = ["--header", f"Authorization: Bearer {new_key(home)}"]
        with serving(HTTP, environment(home)) as url:
            http, sse = [url, *with_key], [url.removesuffix("mcp") + "sse", *with_key]
            work = (
                (call_all, Server("stdio", command, "legacy", home, True)),
                (call_all, Server("http", http, "modern", home, False)),
                (call_all, Server("sse", sse, "legacy", home, False)),
                (list_all, Server("stdio", command, "modern", home, True)),
                (list_all, Server("http", http, "legacy", home, False)),
            )
            wrong = sum(threads.map(lambda one: one[0](one[1]), work))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
