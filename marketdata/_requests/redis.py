"""A Redis or Valkey that machines share; every access has a short timeout.

Redis's client is imported at the first request. Anybody could have written the text or bytes in
Redis, so readers check them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, TypeVar

from marketdata.errors import InvalidParameterError, MissingExtraError

if TYPE_CHECKING:
    from redis import Redis

T = TypeVar("T")

PREFIX = "marketdata:1:"
"""Prefix of all keys; the number is the version of the format."""

_TIMEOUT = 0.25
"""Timeout in seconds of a connection and of a response; the URL may set others."""

_PATIENCE = 3.0
"""Seconds for all that one question to it takes."""

_PAUSE = 1.0
"""Seconds after a failure before Redis is tried again."""


class RedisAwayError(Exception):
    """Redis cannot be used at the moment."""


class SharedRedis:
    """One Redis, used by threads."""

    def __init__(self, url: str) -> None:
        """Raise `MissingExtraError` if its client is not installed."""
        if importlib.util.find_spec("redis") is None:
            raise MissingExtraError("MARKETDATA_REDIS", "server")
        self._url = url
        self._client: Redis | None = None
        self._lock = threading.Lock()
        self._away = False
        self._again = 0.0
        """Whether the last access failed, and when to try again."""
        self._looking = False

    def run(self, work: Callable[[Redis], T]) -> T:
        """Do work with a client, which may block for a moment.

        Raises `RedisAwayError` if Redis cannot be used for any reason; without a try shortly after
        a failure.
        """
        if self._away:
            raise RedisAwayError
        return self._try(work)

    def _try(self, work: Callable[[Redis], T]) -> T:
        client = self._connect()
        from redis import RedisError

        try:
            return work(client)
        except (RedisError, OSError, UnicodeError):
            self.leave()
        # Raised here, it has no context, which might contain sent data.
        raise RedisAwayError

    async def ask(self, work: Callable[[Redis], T], threads: Executor | None = None) -> T:
        """Run work like `run` in a thread, and stop waiting for it if it takes too long."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            # Nothing else bounds how long a name may be looked up.
            async with asyncio.timeout(_PATIENCE):
                return await loop.run_in_executor(threads, self.run, work)
        self.leave()
        raise RedisAwayError

    def leave(self) -> None:
        """Do not use it for a while."""
        self._away, self._again = True, time.monotonic() + _PAUSE

    def is_away(self) -> bool:
        """Return whether it is done without, at once; a thread looks now and then if it is back."""
        if self._away and not self._looking and time.monotonic() >= self._again:
            self._looking = True
            threading.Thread(target=self._look, daemon=True).start()
        return self._away

    def _look(self) -> None:
        with contextlib.suppress(RedisAwayError, InvalidParameterError):
            self._try(lambda client: client.ping())
            self._away = False
        self._looking = False

    def _connect(self) -> Redis:
        with self._lock:
            if self._client is None:
                self._client = _client(self._url)
            return self._client


def _client(url: str) -> Redis:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        made = redis.Redis.from_url(
            url,
            socket_connect_timeout=_TIMEOUT,
            socket_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        # Options that it does not know show only here; nothing is connected yet.
        made.connection_pool.make_connection()
    except (TypeError, ValueError):
        made = None
    if made is None:
        raise InvalidParameterError(
            "MARKETDATA_REDIS has an unknown option or a wrong value.",
            details={"parameter": "redis"},
        )
    # A setting in the URL would change the types of all replies.
    made.connection_pool.connection_kwargs["decode_responses"] = False
    return made


@functools.cache
def shared(url: str) -> SharedRedis:
    """Return the Redis at a URL, one for the whole process."""
    return SharedRedis(url)


if hasattr(os, "register_at_fork"):
    # A child has connections of its own; its parent's threads and locks it does not have.
    os.register_at_fork(after_in_child=shared.cache_clear)
