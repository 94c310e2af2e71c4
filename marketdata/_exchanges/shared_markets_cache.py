"""The lists of pairs, requested once a day for all machines that share a Redis.

Each machine answers from its own file. If a list is missing there or too old, it uses the list that
another machine has put into Redis. If Redis has none, one machine requests it while the others
wait. A damaged list in Redis, or one of another program, only costs a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketdata._exchanges.markets_cache import KEPT, Catalogue, Facts, Fetched, Market
from marketdata._requests.deadline import seconds_left
from marketdata._requests.redis import PREFIX, RedisAwayError, SharedRedis, shared

if TYPE_CHECKING:
    from redis import Redis
    from redis.lock import Lock

_LOCKED = 15.0
"""Maximum seconds that machines wait for the one that requests a list."""

_POLL = 0.1
"""Seconds between two checks for the list."""

_LONGEST = 256 * 2**20
"""Maximum bytes of an unpacked list: a short text can unpack to any size."""


class SharedCatalogue(Catalogue):
    """The pairs of exchanges in a file of this machine, with lists shared through Redis."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        shared(url)  # raises at once if the Redis client is not installed
        self._url = url
        self._forgotten: set[str] = set()

    def forget(self, source: str) -> None:
        """Drop a source's list, so that the next one comes from the exchange."""
        self._forgotten.add(source)
        super().forget(source)

    async def _newest(
        self, source: str, max_age: float, fetch: Callable[[], Awaitable[Fetched]]
    ) -> Fetched:
        kept = _SharedList(shared(self._url), source)
        if source in self._forgotten:
            found = await fetch()
            await kept.put(found)
            self._forgotten.discard(source)
            return found
        return await kept.newest(max_age, fetch)


class _SharedList:
    """One exchange's list in Redis; it is empty while Redis is down."""

    def __init__(self, redis: SharedRedis, source: str) -> None:
        self._redis = redis
        self._key = f"{PREFIX}catalogue:{source}"
        self._turn = f"{PREFIX}fetching:{source}"

    async def newest(self, max_age: float, fetch: Callable[[], Awaitable[Fetched]]) -> Fetched:
        """Return a list of at most that age: from Redis, another machine, or the exchange."""
        loop = asyncio.get_running_loop()
        # A machine that has waited in vain needs the same time again for its own request.
        ends = loop.time() + min(_LOCKED, seconds_left(2 * _LOCKED) / 2)
        while True:
            found, lock = await self._look(max_age)
            if found is not None:
                return found
            if lock is not None or self._redis.is_away() or loop.time() >= ends:
                break
            await asyncio.sleep(_POLL)
        try:
            found = await fetch()
            await self.put(found)
        finally:
            if lock is not None:
                # A cancelled call must not keep the others waiting.
                loop.run_in_executor(None, self._give_up, lock)
        return found

    async def _look(self, max_age: float) -> tuple[Fetched | None, Lock | None]:
        """Return the list, or the lock to request it; neither while another machine holds it."""

        def look(client: Redis) -> tuple[Fetched | None, Lock | None]:
            found = self._get(client, max_age)
            if found is not None:
                return found, None
            lock = client.lock(self._turn, timeout=_LOCKED, blocking=False, thread_local=False)
            if not lock.acquire():
                return None, None
            # The list may have arrived before we got the lock.
            found = self._get(client, max_age)
            if found is not None:
                lock.release()
                return found, None
            return None, lock

        with contextlib.suppress(RedisAwayError):
            return await self._redis.ask(look)
        return None, None

    def _get(self, client: Redis, max_age: float) -> Fetched | None:
        from redis import ResponseError

        # The age follows from the time to live, which depends only on Redis's clock.
        age = KEPT - client.pttl(self._key) / 1000
        if not 0 <= age < min(max_age, KEPT):
            return None
        try:
            packed = client.get(self._key)
        except ResponseError:  # the value is not a string
            return None
        return _unpack(packed, age) if isinstance(packed, bytes) else None

    async def put(self, found: Fetched) -> None:
        """Store a list for the other machines."""
        with contextlib.suppress(RedisAwayError):
            await self._redis.ask(
                lambda client: client.set(self._key, _pack(found), px=round(KEPT * 1000))
            )

    def _give_up(self, lock: Lock) -> None:
        from redis.exceptions import LockError

        def give_up(_: Redis) -> None:
            with contextlib.suppress(LockError):  # it has expired, and another machine may hold it
                lock.release()

        with contextlib.suppress(RedisAwayError):
            self._redis.run(give_up)


def _pack(found: Fetched) -> bytes:
    """Write a list as JSON lines: the facts about all markets, then each market."""
    from pydantic_core import to_json

    head = {"simulated": found.simulated, "plays": found.plays, "facts": asdict(found.facts)}
    lines = [to_json(head)]
    for market in found.markets:
        with contextlib.suppress(ValueError):  # a text that is not valid Unicode
            lines.append(to_json(market.raw))
    return zlib.compress(b"\n".join(lines), 1)


def _unpack(packed: bytes, age: float) -> Fetched | None:
    """Read what `_pack` wrote; None for anything else."""
    from pydantic_core import from_json

    try:
        unpacking = zlib.decompressobj()
        lines = unpacking.decompress(packed, _LONGEST).split(b"\n")
        head, *markets = map(from_json, lines)
        listed, facts = list(map(_market, markets)), _facts(head["facts"])
        found = Fetched(listed, facts, head["simulated"], head["plays"], age)
    except (LookupError, TypeError, ValueError, zlib.error):
        return None
    whole = unpacking.eof and found.markets and isinstance(found.simulated, bool)
    return found if whole and isinstance(found.plays, str | None) else None


def _market(raw: Any) -> Market:
    if not all(isinstance(raw[name], str) for name in ("symbol", "base", "quote")):
        raise TypeError
    return Market(raw["symbol"], raw)


def _facts(raw: Any) -> Facts:
    facts = Facts(**raw)
    codes = {**facts.renamed, **facts.aliases, **facts.former}
    numbers = [facts.precision_mode, *facts.fees.values()]
    if not all(isinstance(one, str) for one in (*codes, *codes.values())) or not all(
        isinstance(one, int | float | None) for one in numbers
    ):
        raise TypeError
    return facts
