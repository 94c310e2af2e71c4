"""The operator's actions on accounts and keys."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from marketdata.errors import InvalidParameterError, QuotaExceededError, closest, did_you_mean
from marketdata_mcp.service.access import keys
from marketdata_mcp.service.access.accounts import Account, Key, Store, Used
from marketdata_mcp.service.access.tiers import Policy

__all__ = ["Registry"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_OF_TOKENS = "oauth:"


class Registry:
    """The accounts of one store, under one policy.

    Every method raises `InvalidParameterError` for a name that is unknown, in use or invalid, and
    `AwayError` if the store cannot be reached.
    """

    def __init__(
        self, policy: Policy, store: Store, clock: Callable[[], float] = time.time
    ) -> None:
        self._policy = policy
        self._store = store
        self._clock = clock

    async def add_account(self, name: str, tier: str) -> Account:
        """Make an account."""
        self._policy.tier(tier)
        if not _NAME.fullmatch(name):
            raise InvalidParameterError(
                "An account's name has up to 64 letters, digits and . _ @ - and begins with a "
                f"letter or digit; was {name[:70]!r}.",
                details={"parameter": "name"},
            )
        account = Account(name, tier, created_at=self._clock())
        if not await self._store.add_account(account):
            raise InvalidParameterError(
                f"An account '{name}' exists already.", details={"parameter": "name"}
            )
        return account

    async def accounts(self) -> list[tuple[Account, Used]]:
        """Return all accounts by name, with their usage."""
        now = self._clock()
        return [
            (one, await self._store.used(one.name, now)) for one in await self._store.accounts()
        ]

    async def account(self, name: str) -> Account:
        """Return an account."""
        # Unprintable characters may not even be valid text for a store.
        found = await self._store.account(name) if name.isprintable() else None
        if found is None:
            near = closest(name, [one.name for one in await self._store.accounts()])
            raise InvalidParameterError(
                f"There is no account '{name[:64]}'.{did_you_mean(near)}",
                details={"parameter": "name", "closest": near},
            )
        return found

    async def used(self, name: str) -> Used:
        """Return the usage of an account."""
        return await self._store.used((await self.account(name)).name, self._clock())

    async def suspend(self, name: str, *, suspended: bool = True) -> Account:
        """Suspend an account, or end its suspension.

        An account of an outside issuer's tokens, ``oauth:SUBJECT``, need not exist yet.
        """
        is_new = name.startswith(_OF_TOKENS) and name != _OF_TOKENS and name.isprintable()
        if is_new and await self._store.account(name) is None:
            first = next(iter(self._policy.tiers))
            await self._store.add_account(Account(name, first, created_at=self._clock()))
        return await self._change(name, suspended=suspended)

    async def set_tier(self, name: str, tier: str) -> Account:
        """Change the tier of an account."""
        self._policy.tier(tier)
        self._check_has_keys(name)
        return await self._change(name, tier=tier)

    async def _change(
        self, name: str, *, tier: str | None = None, suspended: bool | None = None
    ) -> Account:
        await self.account(name)
        changed = await self._store.change_account(name, tier=tier, suspended=suspended)
        return changed or await self.account(name)

    async def add_key(
        self, name: str, label: str = "", lasts: float | None = None
    ) -> tuple[str, Key]:
        """Make a key of an account; return it as shown once to its owner, and as stored.

        ``lasts`` is its validity in seconds; None: until it is revoked. Raises `QuotaExceededError`
        if the account has the maximum number of keys of its tier.
        """
        self._check_has_keys(name)
        account = await self.account(name)
        at_most = self._policy.tier(account.tier).keys
        return await self._make(account, label, lasts, at_most)

    def _check_has_keys(self, name: str) -> None:
        if name.startswith(_OF_TOKENS):
            raise InvalidParameterError(
                "An account of an outside issuer's tokens has no keys, and the tier that a "
                "token's scopes give it.",
                details={"parameter": "name"},
            )

    async def _make(
        self, account: Account, label: str, lasts: float | None, at_most: int | None
    ) -> tuple[str, Key]:
        shown, parts = keys.generate()
        now = self._clock()
        ends = None if lasts is None else now + lasts
        label = "".join(one for one in label if one.isprintable())[:200]
        key = Key(parts.id, account.name, keys.digest(parts.secret), label, now, ends)
        if not await self._store.add_key(key, at_most):
            raise QuotaExceededError(
                f"Tier {account.tier} has {at_most} active keys an account. Revoke one, or replace "
                "it with `key rotate`.",
                details={"limit": at_most},
            )
        return shown, key

    async def keys(self, name: str | None = None) -> list[tuple[Key, str]]:
        """Return the keys of an account or of all accounts, oldest first, with their states."""
        if name is not None:
            await self.account(name)
        now = self._clock()
        return [(key, key.state(now)) for key in await self._store.keys(name)]

    async def revoke(self, key_id: str) -> Key:
        """Revoke a key for the next call on every machine; takes the id or the key itself."""
        return await self._end((await self._key(key_id)).id, self._clock())

    async def rotate(self, key_id: str, keep: float = 0.0) -> tuple[str, Key]:
        """Make a key that replaces another one, which stays valid for a number of seconds.

        An ended key is not replaced; use `add_key`, which checks the maximum number.
        """
        old = await self._key(key_id)
        state = old.state(self._clock())
        if state != "active":
            raise InvalidParameterError(
                f"The key {old.id} is {state}. `key add` makes a new one.",
                details={"parameter": "key"},
            )
        account = await self.account(old.account)
        left = None if old.expires_at is None else old.expires_at - old.created_at
        made = await self._make(account, old.label, left, None)
        await self._end(old.id, self._clock() + keep, expires=keep > 0)
        return made

    async def _key(self, text: str) -> Key:
        parts = keys.parse(text)
        # Neither the store nor the error may get the secret of a damaged key.
        name = text.removeprefix(keys.PREFIX).partition("_")[0] if parts is None else parts.id
        found = await self._store.find(name) if name.isprintable() else None
        if found is None:
            shown = name[:10]
            raise InvalidParameterError(
                f"There is no key '{shown}'. `key list` lists all.", details={"parameter": "key"}
            )
        return found[0]

    async def _end(self, key_id: str, at: float, *, expires: bool = False) -> Key:
        ended = await self._store.end_key(key_id, at, expires=expires)
        if ended is None:
            raise InvalidParameterError(f"There is no key '{key_id}'.")
        return ended
