"""Accounts in one Redis (or Valkey), for any number of machines.

If it cannot be reached, no call is admitted, because quota could not be counted; each call tries
again. Counters are as durable as the server's data (``appendonly yes``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, cast
from urllib.parse import quote

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, WatchError

from marketdata.errors import InvalidParameterError
from marketdata_mcp.service.access.accounts import (
    KEPT_WEEKS,
    MINUTE,
    NOBODY,
    WEEK,
    Account,
    AwayError,
    Bounds,
    Counted,
    Key,
    Used,
    minute_of,
    week_of,
)
from marketdata_mcp.service.access.redis_batch import Batches

__all__ = ["RedisStore"]

_logger = logging.getLogger(__name__)

_PREFIX = "marketdata:1:access"
_ACCOUNTS = f"{_PREFIX}:accounts"
_KEYS = f"{_PREFIX}:keys"
_TIMEOUT = 1.0
_CONNECTIONS = 4
_KNOWN = 10_000

# Libraries count one window at a time, and refused calls as well. Here both windows are counted or
# neither, atomically, so that a kill cannot leave one of them counted.
_COUNT = """
local minute = tonumber(redis.call('GET', KEYS[1]) or '0')
local week = tonumber(redis.call('GET', KEYS[2]) or '0')
local units, calls, quota = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if units > 0 and quota >= 0 and week + units > quota then return {2, minute, week} end
if calls >= 0 and minute >= calls then return {1, minute, week} end
redis.call('SET', KEYS[1], minute + 1, 'EX', ARGV[4])
redis.call('SET', KEYS[2], week + units, 'EX', ARGV[5])
return {0, minute + 1, week + units}
"""

_GIVE_BACK = """
local week = tonumber(redis.call('GET', KEYS[1]) or '0')
local left = math.max(0, week - tonumber(ARGV[1]))
if week > 0 then redis.call('SET', KEYS[1], left, 'KEEPTTL') end
return left
"""

_ADD_KEY = """
local active = 0
for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local key = redis.call('HMGET', ARGV[3] .. id, 'revoked_at', 'expires_at')
  local expired = key[2] and tonumber(key[2]) <= tonumber(ARGV[2])
  if not key[1] and not expired then active = active + 1 end
end
local most = tonumber(ARGV[1])
if most >= 0 and active >= most then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('SADD', KEYS[2], ARGV[4])
redis.call('SADD', KEYS[3], ARGV[4])
return 1
"""

_BOTH = "return {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2])}"

_OVER = (None, "minute", "week")


class RedisStore:
    """Accounts, keys and counters in Redis."""

    def __init__(self, url: str, batches: Batches | None = None) -> None:
        """Connect to nothing yet; raises `InvalidParameterError` for options that Redis lacks.

        `batches` sends commands instead of connections to the URL.
        """
        self._redis = Redis.from_pool(_pool(url, _TIMEOUT))
        # `Batches` has a timeout that a busy event loop does not use up.
        self._batches = batches or Batches(_pool(url, None), _TIMEOUT)
        self._add_key = self._redis.register_script(_ADD_KEY)
        self._owners: dict[str, str] = {}
        """The account of each key, which never changes."""

    # ------------------------------------------------------------------ accounts and keys

    async def add_account(self, account: Account) -> bool:
        """Store a new account; False if the name exists."""
        key = _account(account.name)
        async with self._reached(), self._redis.pipeline(transaction=True) as pipeline:
            await pipeline.watch(key)
            if await pipeline.exists(key):
                return False
            pipeline.multi()  # type: ignore[no-untyped-call]
            pipeline.hset(key, mapping=_fields(account))
            pipeline.sadd(_ACCOUNTS, account.name)
            try:
                await pipeline.execute()
            except WatchError:
                return False
            return True

    async def change_account(
        self, name: str, *, tier: str | None = None, suspended: bool | None = None
    ) -> Account | None:
        """Change an account from its next call on; None if there is no such account."""
        changes: dict[Any, Any] = {}
        if tier is not None:
            changes["tier"] = tier
        if suspended is not None:
            changes["suspended"] = str(int(suspended))
        if await self.account(name) is None:
            return None
        if changes:
            async with self._reached():
                await _given(self._redis.hset(_account(name), mapping=changes))
        return await self.account(name)

    async def account(self, name: str) -> Account | None:
        """Return an account; None if there is no such account."""
        async with self._reached():
            return _to_account(_mapping(await self._batches.ask("HGETALL", _account(name))))

    async def accounts(self) -> list[Account]:
        """Return all accounts, by name."""
        async with self._reached():
            names = sorted(await _given(self._redis.smembers(_ACCOUNTS)))
            found = await self._all(map(_account, names))
            return [account for one in found if (account := _to_account(one)) is not None]

    async def add_key(self, key: Key, at_most: int | None) -> bool:
        """Store a new key; False if its account has the maximum of active keys."""
        fields = [text for pair in _fields(key).items() for text in pair]
        async with self._reached():
            kept = await self._add_key(
                keys=[_key(key.id), f"{_account(key.account)}:keys", _KEYS],
                args=[
                    -1 if at_most is None else at_most,
                    key.created_at,
                    _key(""),
                    key.id,
                    *fields,
                ],
            )
            return bool(kept)

    async def keys(self, account: str | None = None) -> list[Key]:
        """Return the keys of an account or of all, oldest first."""
        members = _KEYS if account is None else f"{_account(account)}:keys"
        async with self._reached():
            names = await _given(self._redis.smembers(members))
            found = await self._all(map(_key, names))
            keys = (key for one in found if (key := _to_key(one)) is not None)
            return sorted(keys, key=lambda key: (key.created_at, key.id))

    async def end_key(self, key_id: str, at: float, *, expires: bool = False) -> Key | None:
        """Revoke a key, or let it expire at a time; None if there is no such key."""
        field = "expires_at" if expires else "revoked_at"
        async with self._reached():
            key = _to_key(await _given(self._redis.hgetall(_key(key_id))))
            if key is None:
                return None
            before = getattr(key, field)
            if before is None or before > at:
                await _given(self._redis.hset(_key(key_id), field, repr(at)))
            return _to_key(await _given(self._redis.hgetall(_key(key_id))))

    async def find(self, key_id: str) -> tuple[Key, Account] | None:
        """Return the current state of a key and its account; None if there is no such key."""
        owner = self._owners.get(key_id)
        async with self._reached():
            if owner is None:
                owner = await self._batches.ask("HGET", _key(key_id), "account")
                if owner is None:
                    return None
                if len(self._owners) >= _KNOWN:
                    self._owners.clear()
                self._owners[key_id] = owner
            raw_key, raw_account = await self._both(_key(key_id), _account(owner))
            key, account = _to_key(raw_key), _to_account(raw_account)
        return None if key is None or account is None else (key, account)

    async def _both(self, one: str, other: str) -> tuple[dict[str, str], dict[str, str]]:
        """Read two hashes atomically."""
        found = await self._batches.ask("EVAL", _BOTH, 2, one, other)
        first, second = map(_mapping, found)
        return first, second

    async def _all(self, names: Iterable[str]) -> list[dict[str, str]]:
        async with self._redis.pipeline(transaction=True) as pipeline:
            for name in names:
                pipeline.hgetall(name)
            return cast("list[dict[str, str]]", await pipeline.execute())

    # ------------------------------------------------------------------ counting

    async def count(self, account: str, at: float, units: int, bounds: Bounds) -> Counted:
        """Count a call and its units, both or neither, atomically among all processes."""
        calls, quota = (-1 if bound is None else bound for bound in bounds)
        async with self._reached():
            over, minute, week = await self._batches.ask(
                "EVAL",
                _COUNT,
                2,
                *_counters(account, at),
                *(units, calls, quota, 2 * MINUTE, KEPT_WEEKS * WEEK),
                first=True,
            )
        return Counted(_OVER[over], Used(minute, week))

    async def give_back(self, account: str, at: float, units: int) -> None:
        """Refund units that were counted at a time."""
        async with self._reached():
            await self._batches.ask("EVAL", _GIVE_BACK, 1, _counters(account, at)[1], units)

    async def used(self, account: str, at: float) -> Used:
        """Return the usage of an account."""
        async with self._reached():
            found = await self._batches.ask("MGET", *_counters(account, at))
            return Used(*(int(one or 0) for one in found))

    async def check(self) -> None:
        """Count a call of no account; raises `AwayError` if calls cannot be counted."""
        await self.count(NOBODY, time.time(), 1, Bounds(None, None))

    async def close(self) -> None:
        """Close connections."""
        await self._batches.close()
        await self._redis.aclose()

    @asynccontextmanager
    async def _reached(self) -> AsyncIterator[None]:
        try:
            yield
        except (RedisError, OSError):
            raise AwayError from None
        except (ArithmeticError, LookupError, TypeError, ValueError):
            _logger.error("what Redis holds of an account or a key is damaged")
            raise AwayError from None


def _pool(url: str, timeout: float | None) -> BlockingConnectionPool:
    """Make a pool of connections; calls wait if all are in use."""
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            max_connections=_CONNECTIONS,
            timeout=timeout,
            # A call sent twice could be counted twice.
            retry=Retry(NoBackoff(), 0),
            # With 3, the pool returns a connection that Redis has closed meanwhile.
            protocol=2,
        )
        # A setting in the URL would change the types of all replies.
        pool.connection_kwargs["decode_responses"] = True
        # One damaged text would fail all commands sent with it.
        pool.connection_kwargs["encoding_errors"] = "replace"
        # Unknown options raise only here; nothing is connected yet.
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError):
        raise InvalidParameterError(
            "The URL of Redis has an unknown option or a wrong value.",
            details={"parameter": "redis"},
        ) from None
    return pool


async def _given(answer: Awaitable[Any] | Any) -> Any:
    # redis-py types its methods for asynchronous and blocking callers at once.
    return await answer


def _account(name: str) -> str:
    return f"{_PREFIX}:account:{quote(name, safe='')}"


def _key(name: str) -> str:
    return f"{_PREFIX}:key:{name}"


def _counters(account: str, at: float) -> list[str]:
    stem = f"{_PREFIX}:used:{quote(account, safe='')}"
    return [f"{stem}:{MINUTE}:{minute_of(at)}", f"{stem}:{WEEK}:{week_of(at)}"]


def _mapping(found: list[str]) -> dict[str, str]:
    """Convert Redis's list of a hash to a dict."""
    return dict(zip(found[::2], found[1::2], strict=True))


def _fields(record: Account | Key) -> dict[Any, Any]:
    values = {name: one for name, one in asdict(record).items() if one is not None}
    return {
        name: str(int(one)) if isinstance(one, bool) else str(one) for name, one in values.items()
    }


def _to_account(raw: Mapping[str, str]) -> Account | None:
    if not raw:
        return None
    return Account(raw["name"], raw["tier"], raw["suspended"] == "1", float(raw["created_at"]))


def _to_key(raw: Mapping[str, str]) -> Key | None:
    if not raw:
        return None
    times = {
        name: float(raw[name]) for name in ("created_at", "expires_at", "revoked_at") if name in raw
    }
    return Key(raw["id"], raw["account"], raw["digest"], raw.get("label", ""), **times)
