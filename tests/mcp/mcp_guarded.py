"""A server with access control in the test's own process, its accounts, and stalls of its loop."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_loopback import MODERN, Answer, Loopback, ask, exchange, loopback, with_headers

from marketdata.sim import SimulatedExchange
from marketdata_mcp.service.access.gate import Gate
from marketdata_mcp.service.access.registry import Registry
from marketdata_mcp.service.access.sqlite_store import SqliteStore
from marketdata_mcp.service.access.tiers import SHIPPED, Policy, Tier

FREE = "desk"
"""A tier without any bound."""
SLOW = "slow"
"""One with a call a minute."""
POLICY = Policy(tiers={**SHIPPED, FREE: Tier(), SLOW: Tier(calls_a_minute=1)})


@dataclass
class Guarded:
    """A server that requires keys."""

    served: Loopback
    store: SqliteStore
    registry: Registry
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return self.served.port

    async def newcomer(self, name: str = "alice", tier: str = FREE) -> str:
        """Make an account with a key, and return the key."""
        await self.registry.add_account(name, tier)
        self.keys[name] = (await self.registry.add_key(name))[0]
        return self.keys[name]

    def signed(self, request: bytes, name: str = "alice") -> bytes:
        """Return a request with an account's key."""
        return with_headers(request, Authorization=f"Bearer {self.keys[name]}")

    async def call(self, tool: str, name: str = "alice", **arguments: Any) -> Answer:
        """Call a tool with an account's key."""
        request = ask("tools/call", MODERN, name=tool, arguments=arguments)
        return await exchange(self.port, self.signed(request, name))


@asynccontextmanager
async def guarded(
    home: Path,
    simulator: SimulatedExchange,
    *,
    clock: Callable[[], float] = time.time,
    folder: Path | None = None,
    **options: Any,
) -> AsyncIterator[Guarded]:
    """Serve with access control; accounts are in a separate folder."""
    folder = folder or Path(tempfile.mkdtemp(dir=home))
    store = SqliteStore(folder / "access.sqlite")
    gate = Gate(POLICY, store, clock=clock)
    try:
        async with loopback(home, simulator.endpoints, gate=gate, **options) as served:
            yield Guarded(served, store, Registry(POLICY, store, clock))
    finally:
        await store.close()


def error(answer: Answer) -> dict[str, Any]:
    """Return the error of an answer, of the protocol or of a tool."""
    message = answer.message
    if "error" in message:
        data: dict[str, Any] = message["error"]["data"]
        return data
    result = message["result"]
    assert result["isError"], result
    told: dict[str, Any] = result["_meta"]["io.github.marketdata-sdk/error"]
    return told


@asynccontextmanager
async def stalls() -> AsyncIterator[list[float]]:
    """Collect the CPU seconds of each turn of the loop.

    CPU and not time, so that it does not matter what else the machine does.
    """
    taken: list[float] = []
    selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    select = selector.select
    began = 0.0

    def between_turns(timeout: float | None = None) -> Any:
        nonlocal began
        taken.append(time.thread_time() - began)
        ready = select(timeout)
        began = time.thread_time()
        return ready

    gc.collect()
    began = time.thread_time()
    selector.select = between_turns
    try:
        yield taken
    finally:
        selector.select = select
