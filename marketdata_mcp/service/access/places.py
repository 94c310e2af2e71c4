"""Opens an operator's policy and accounts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from marketdata.errors import MissingExtraError
from marketdata_mcp.service.access.tiers import Policy

if TYPE_CHECKING:
    from marketdata.settings import Settings
    from marketdata_mcp.service.access.accounts import Store

__all__ = ["policy_of", "store_of"]

_POLICY = "policy.toml"
_ACCOUNTS = "access.sqlite"


def policy_of(settings: Settings, file: Path | None) -> Policy:
    """Read the policy from a file, from MARKETDATA_HOME, or else the shipped one."""
    own = settings.folder() / _POLICY
    if file is None and not own.exists():
        return Policy()
    return Policy.read(file or own)


def store_of(settings: Settings) -> Store:
    """Open the store of accounts: Redis if it is set, else a file in MARKETDATA_HOME."""
    if settings.redis is None:
        from marketdata_mcp.service.access.sqlite_store import SqliteStore

        return SqliteStore(settings.folder() / _ACCOUNTS)
    try:
        from marketdata_mcp.service.access.redis_store import RedisStore
    except ImportError:
        raise MissingExtraError("Redis", "server") from None
    return RedisStore(settings.redis.get_secret_value())
