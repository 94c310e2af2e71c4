"""Checks over the network: Redis and the exchanges."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from _ccxt_marketdata import DISTRIBUTION
from marketdata._client.asynchronous import AsyncClient
from marketdata._exchanges.reasons import in_short
from marketdata._requests.network import CERTIFICATES, check_proxies, proxy_variable, trusting
from marketdata.doctor.found import Check
from marketdata.errors import MarketDataError
from marketdata.models import Status

if TYPE_CHECKING:
    from redis import Redis

    from marketdata.settings import Settings

_PATIENCE = 10.0
"""Maximum seconds for a request to an exchange."""
_REDIS_PATIENCE = 2.0
_OLDEST_REDIS = (6, 2)
_CLOCK_MS = 2000
"""A larger difference of clocks is not due to the whole seconds in a `Date` header."""


def redis(url: str) -> Iterator[Check]:
    """Check whether Redis answers, and whether it keeps its data."""
    try:
        import redis as library
    except ImportError:
        advice = f"pip install '{DISTRIBUTION}[server]'"
        yield Check("fail", "redis", "the Python package redis is missing", advice)
        return
    try:
        client = library.Redis.from_url(
            url, socket_connect_timeout=_REDIS_PATIENCE, socket_timeout=_REDIS_PATIENCE
        )
    except ValueError:
        advice = "redis://HOST:PORT/DATABASE, rediss:// or unix://"
        yield Check("fail", "redis", "the URL cannot be used", advice)
        return
    with closing(client):
        try:
            info = client.info()
        except (library.RedisError, OSError) as error:
            # The error's text can contain text from the server.
            kind = type(error).__name__.removesuffix("Error").lower()
            advice = "is it running, and are host, port and password right?"
            yield Check("fail", "redis", f"it does not answer ({kind})", advice)
            return
        yield _version(info)
        policy = info.get("maxmemory_policy")
        if policy == "noeviction":
            yield Check("ok", "redis", "it never evicts data")
        else:
            said = f"it evicts counters when memory is short ({policy})"
            yield Check("warn", "redis", said, "CONFIG SET maxmemory-policy noeviction")
        yield _persistence(client, info)


def _version(info: Mapping[str, Any]) -> Check:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version"))
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if parts < _OLDEST_REDIS:
        return Check("warn", "redis", f"{name} {version} is no longer maintained", "update it")
    return Check("ok", "redis", f"{name} {version} answers")


def _persistence(client: Redis, info: Mapping[str, Any]) -> Check:
    import redis as library

    if info.get("aof_enabled"):
        return Check("ok", "redis", "it keeps each change on disk (appendonly)")
    try:
        snapshots = client.config_get("save").get("save")
    except library.RedisError:  # reading the configuration may be forbidden
        snapshots = None
    if snapshots:
        return Check("ok", "redis", "it keeps snapshots on disk; counters since the last are lost")
    said = "it stores nothing on disk" if snapshots == "" else "it may store nothing on disk"
    said += ", so counters are lost at a restart"
    return Check("warn", "redis", said, "CONFIG SET appendonly yes")


def way(settings: Settings) -> Iterator[Check]:
    """Check the proxy and the certificates that the environment sets."""
    if settings.sim:
        return
    try:
        if check_proxies():
            yield Check("ok", "proxy", f"requests go through the one in {proxy_variable()}")
        if file := os.environ.get(CERTIFICATES):
            trusting(file)
            yield Check("ok", "certificates", f"those in {file} are trusted ({CERTIFICATES})")
    except MarketDataError as error:
        yield Check("fail", "way", error.message.rstrip("."), "correct it, or remove it")


def exchanges(settings: Settings) -> Iterator[Check]:
    """Request status and clock of each default exchange."""
    hurried = settings.model_copy(update={"timeout": min(settings.timeout, _PATIENCE)})
    found = asyncio.run(_statuses(hurried))
    none = not any(isinstance(one, Status) and one.reachable for one in found)
    for exchange, one in zip(settings.exchange, found, strict=True):
        yield _exchange(exchange, one, alone=none)


async def _statuses(settings: Settings) -> list[Status | MarketDataError]:
    async with AsyncClient(settings=settings) as client:

        async def ask(exchange: str) -> Status | MarketDataError:
            try:
                return await client.status(exchange=exchange)
            except MarketDataError as error:
                return error

        return await asyncio.gather(*map(ask, settings.exchange))


def _exchange(exchange: str, found: Status | MarketDataError, *, alone: bool) -> Check:
    """Judge one status; an unreachable exchange fails the check if no other is reachable."""
    if isinstance(found, MarketDataError):
        return Check("fail", "exchange", found.message.rstrip("."), "correct --exchange")
    if not found.reachable:
        said = f"{exchange} cannot be reached: {in_short(found.reason)} ({found.code})"
        advice = "is it blocked in your country? Set a proxy (HTTPS_PROXY), or use --exchange ID"
        return Check("fail" if alone else "warn", "exchange", said, advice)
    said = f"{exchange} responds in {found.latency_ms or 0:.0f} ms"
    if found.clock_offset_ms is None:
        return Check("ok", "exchange", said)
    said += f", its clock is {found.clock_offset_ms / 1000:+.1f} s from ours"
    if abs(found.clock_offset_ms) > _CLOCK_MS + (found.latency_ms or 0) / 2:
        return Check("warn", "exchange", said, "synchronize this machine's clock (NTP)")
    return Check("ok", "exchange", said)
