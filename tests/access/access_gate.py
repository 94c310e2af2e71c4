"""The whole web application in this process, with a clock that a test moves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPMessage
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
from access_doors import Reply, bearer

from marketdata import AsyncClient
from marketdata.sim import SimulatedExchange
from marketdata_mcp.app import Service
from marketdata_mcp.service.access.accounts import Store, Used
from marketdata_mcp.service.access.gate import Gate
from marketdata_mcp.service.access.registry import Registry
from marketdata_mcp.service.access.sqlite_store import SqliteStore
from marketdata_mcp.service.access.tiers import Policy
from marketdata_mcp.service.admission import GatedAdmission
from marketdata_mcp.service.web import Web

Serve: TypeAlias = Callable[..., None]
"""Lets a coroutine have a server; what else it takes is for `gated`."""

WEDNESDAY = datetime(2026, 11, 18, 13, 14, 15, 250_000, tzinfo=UTC).timestamp()


@dataclass
class Gated:
    """A server behind a gate."""

    http: httpx2.AsyncClient
    client: AsyncClient
    gate: Gate
    registry: Registry
    store: Store
    now: float = WEDNESDAY
    keys: dict[str, str] = field(default_factory=dict)

    async def newcomer(self, tier: str, name: str = "alice") -> str:
        """Make an account with a key, and give its name."""
        await self.registry.add_account(name, tier)
        self.keys[name] = (await self.registry.add_key(name))[0]
        return name

    async def used(self, name: str = "alice") -> Used:
        """Return the usage of an account."""
        return await self.store.used(name, self.now)

    async def send(
        self, method: str, params: dict[str, Any], name: str | None = "alice", key: str = ""
    ) -> Reply:
        """Send a request with an account's key, or with a text in its place."""
        headers = {
            "Accept": "application/json, text/event-stream",
            **bearer(key or (None if name is None else self.keys[name])),
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = await self.http.post("/mcp", json=body, headers=headers)
        named = HTTPMessage()
        for header, value in answer.headers.items():
            named[header] = value
        return Reply(answer.status_code, named, answer.text)

    async def call(self, tool: str, name: str | None = "alice", **arguments: Any) -> Reply:
        """Call a tool with an account's key."""
        return await self.send("tools/call", {"name": tool, "arguments": arguments}, name)

    async def read(self, uri: str) -> dict[str, Any]:
        """Read a resource, or give the error."""
        reply = await self.send("resources/read", {"uri": uri})
        if "error" in reply.message:
            return reply.error
        content: dict[str, Any] = json.loads(reply.message["result"]["contents"][0]["text"])
        return content


@asynccontextmanager
async def gated(
    home: Path,
    simulator: SimulatedExchange,
    policy: Policy | None = None,
    exchange: str = "binance",
) -> AsyncIterator[Gated]:
    """Serve what the simulated exchanges answer; accounts are kept below `home`."""
    policy = policy or Policy()
    store = SqliteStore(home / "access.sqlite")
    client = AsyncClient(
        exchange, endpoints=simulator.endpoints, home=home.parent, retries=0, timeout=20
    )
    gate = Gate(policy, store, clock=lambda: served.now)
    app = Web(Service(client, admission=GatedAdmission(client, gate)), gate=gate).application()
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1"
        ) as http,
    ):
        served = Gated(http, client, gate, Registry(policy, store, lambda: served.now), store)
        try:
            yield served
        finally:
            await store.close()
