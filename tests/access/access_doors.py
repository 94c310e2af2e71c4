"""Servers that require keys, their operator's commands, and raw requests to them."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from waiting import until

from marketdata_mcp.app import ERROR_KEY
from marketdata_mcp.service.access.accounts import Account, Key, Store, Used
from marketdata_mcp.service.access.registry import Registry
from marketdata_mcp.service.access.sqlite_store import SqliteStore
from marketdata_mcp.service.access.tiers import Policy

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds until something counts as hanging; nothing here takes a tenth of it."""

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}

DEBUGGING = """# warm
import logging, sys
import marketdata_mcp
from marketdata_mcp.service import logs
write = logs.write_json
logs.write_json = lambda level: write(logging.DEBUG)
marketdata_mcp.main(sys.argv[1:])
"""
"""The command, logging all that there is to log."""


def finish(work: Awaitable[T]) -> T:
    """Run a coroutine; one that hangs fails instead."""

    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE):
            return await work

    return asyncio.run(bounded())


# ---------------------------------------------------------------------------- an operator


class Desk:
    """What an operator does with the accounts of a server."""

    def __init__(self, open_store: Callable[[], Store], policy: Policy | None = None) -> None:
        self._open = open_store
        self._policy = policy or Policy()

    @classmethod
    def at(cls, home: Path) -> Desk:
        """Take the accounts that are kept in MARKETDATA_HOME."""
        return cls(lambda: SqliteStore(home / "access.sqlite"))

    def do(self, work: Callable[[Registry], Awaitable[T]]) -> T:
        """Do something."""

        async def run() -> T:
            store = self._open()
            try:
                return await work(Registry(self._policy, store))
            finally:
                await store.close()

        return finish(run())

    def account(self, name: str, tier: str = "hero") -> Account:
        """Make an account."""
        return self.do(lambda registry: registry.add_account(name, tier))

    def key(self, name: str, label: str = "", lasts: float | None = None) -> tuple[str, Key]:
        """Make a key of an account."""
        return self.do(lambda registry: registry.add_key(name, label, lasts))

    def newcomer(self, name: str, tier: str = "hero") -> str:
        """Make an account and give its key."""
        self.account(name, tier)
        return self.key(name)[0]

    def used(self, name: str) -> Used:
        """Return the usage of an account."""
        return self.do(lambda registry: registry.used(name))


# ---------------------------------------------------------------------------- a server


@dataclass
class Server:
    """A server process."""

    process: subprocess.Popen[bytes]
    url: str
    lines: list[str]
    """What it has written to stderr so far."""

    @property
    def root(self) -> str:
        """Its address without the path."""
        return self.url.removesuffix("/mcp")

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment for a process, without MARKETDATA_* variables."""
    kept = {name: value for name, value in os.environ.items() if name[:11] != "MARKETDATA_"}
    return {**kept, "MARKETDATA_HOME": str(home), **more}


@contextmanager
def serving(
    home: Path, *arguments: str, program: str | None = None, **variables: str
) -> Iterator[Server]:
    """Start a server with access control on a free port, and wait until it serves.

    `program` is run with the arguments instead of the command itself.
    """
    start = ["-c", program] if program else ["-m", "marketdata_mcp"]
    process = subprocess.Popen(
        [sys.executable, *start, "--http", "127.0.0.1:0", "--access", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(home, **variables),
    )
    lines: list[str] = []

    def read() -> None:
        assert process.stderr is not None
        lines.extend(line.decode() for line in process.stderr)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        until(lambda: process.poll() is not None or _address(lines), seconds=PATIENCE)
        address = _address(lines)
        assert address, lines
        yield Server(process, address, lines)
    finally:
        process.kill()
        process.wait()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()


def _address(lines: list[str]) -> str | None:
    for line in list(lines):
        found = re.search(r"serving (http://[^\s\"]+/mcp)", line)
        if found:
            return found[1]
    return None


# ---------------------------------------------------------------------------- requests


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def message(self) -> dict[str, Any]:
        """The JSON-RPC message in it, alone or in a stream of events."""
        event = re.search(r"^data: (\{.*)$", self.text, re.MULTILINE)
        message: dict[str, Any] = json.loads(event[1] if event else self.text)
        return message

    @property
    def content(self) -> dict[str, Any]:
        """What a tool answered."""
        result = self.message["result"]
        assert not result["isError"], result
        content: dict[str, Any] = result["structuredContent"]
        return content

    @property
    def error(self) -> dict[str, Any]:
        """The error, whether it came as one of the protocol or as a tool's."""
        message = self.message
        if "error" in message:
            error: dict[str, Any] = message["error"]["data"]
            return error
        result = message["result"]
        assert result["isError"], result
        told: dict[str, Any] = result["_meta"][ERROR_KEY]
        assert json.loads(result["content"][0]["text"]) == told
        return told

    @property
    def code(self) -> str:
        """How it went: OK or the code of the error."""
        result = self.message.get("result")
        return "OK" if result and not result.get("isError") else self.error["code"]


REPLIES: list[Reply] = []
"""All answers so far, to be looked through for what should not be in them."""


def request(
    url: str, body: bytes | str | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """Send a GET, or a POST where there is a body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("GET" if body is None else "POST", target, body, dict(headers or {}))
        response = connection.getresponse()
        REPLIES.append(Reply(response.status, response.msg, response.read().decode()))
        return REPLIES[-1]
    finally:
        connection.close()


def bearer(key: str | None) -> dict[str, str]:
    """Return the header that a key goes in."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def send(
    url: str,
    method: str,
    params: Mapping[str, Any] | None = None,
    *,
    modern: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send a JSON-RPC request, in the form of 2026-07-28 or of the revisions before."""
    params = dict(params or {})
    named = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    if modern:
        params["_meta"] = MODERN
        named |= {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
        name = params.get("name", params.get("uri"))
        named |= {} if name is None else {"Mcp-Name": name}
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
    return request(url, body, {**named, **(headers or {})})


def call(url: str, key: str | None, tool: str, *, modern: bool = False, **arguments: Any) -> Reply:
    """Call a tool."""
    params = {"name": tool, "arguments": arguments}
    return send(url, "tools/call", params, modern=modern, headers=bearer(key))
