"""Stores of accounts, and processes that use them at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from access_doors import PATIENCE, environment, finish

from marketdata_mcp.service.access.accounts import Account, Bounds, Key, Store
from marketdata_mcp.service.access.redis_store import RedisStore
from marketdata_mcp.service.access.sqlite_store import SqliteStore

FREE = Bounds(None, None)
FRIDAY = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
ALICE = Account("alice", "hero", created_at=1.5)

PROGRAM = """
import asyncio, json, random, sys
from pathlib import Path
from marketdata_mcp.service.access.accounts import Account, Bounds, Key
place, what, seed = sys.argv[1:]
if place.startswith("redis"):
    from marketdata_mcp.service.access.redis_store import RedisStore as Store
else:
    from marketdata_mcp.service.access.sqlite_store import SqliteStore as Store
    place = Path(place)

async def begin(store):
    made = await store.add_account(Account("alice", "hero"))
    key = [await store.add_key(Key(f"{seed}{n}", "alice", ""), 5) for n in range(4)]
    return made, sum(key)

async def count(store):
    units = random.Random(seed)
    async def some():
        counted = []
        for _ in range(40):
            asked = units.randrange(4)
            if (await store.count("alice", 600.0, asked, Bounds(900, 1000))).over is None:
                counted.append(asked)
        return counted
    counted = [one for some in await asyncio.gather(*(some() for _ in range(10))) for one in some]
    return len(counted), sum(counted)

async def forever(store):
    while True:
        await store.count("alice", 600.0, 3, Bounds(None, None))
        print(flush=True)

async def main():
    store = Store(place)
    print("ready", flush=True)
    input()
    print(json.dumps(await {"begin": begin, "count": count, "forever": forever}[what](store)))
    await store.close()

asyncio.run(main())
"""


class Place:
    """Where accounts are kept, for any number of stores."""

    def __init__(self, kind: str, address: str) -> None:
        self.kind = kind
        self.address = address

    def open(self) -> Store:
        if self.kind == "redis":
            return RedisStore(self.address)
        return SqliteStore(Path(self.address))

    def use(self, work: Callable[[Store], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            store = self.open()
            try:
                return await work(store)
            finally:
                await store.close()

        return finish(run())

    def processes(self, what: str, number: int) -> list[subprocess.Popen[str]]:
        """Start processes that begin with something all at once."""
        started = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, self.address, what, str(seed)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment(Path(self.address).parent),
            )
            for seed in range(number)
        ]
        for one in started:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in started:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        return started

    def together(self, what: str, number: int) -> list[list[int]]:
        """Return what the processes print."""
        return [
            json.loads(one.communicate(timeout=PATIENCE)[0]) for one in self.processes(what, number)
        ]


def a_key(name: str, at: float = 1.0, **more: Any) -> Key:
    """Return a key of alice's."""
    return Key(name, "alice", "0" * 64, created_at=at, **more)
