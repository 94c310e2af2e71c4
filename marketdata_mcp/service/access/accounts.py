"""Accounts, their keys and their usage, in any store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from marketdata.errors import InternalError

__all__ = [
    "KEPT_WEEKS",
    "NOBODY",
    "Account",
    "AwayError",
    "Bounds",
    "Counted",
    "Key",
    "Store",
    "Used",
    "minute_of",
    "moment",
    "over",
    "week_of",
]

MINUTE = 60
WEEK = 7 * 24 * 3600
KEPT_WEEKS = 53
"""The number of weeks whose units are stored."""
NOBODY = ""
"""An account without keys, for which health probes count."""
_FRIDAY = 24 * 3600
"""1970 began on a Thursday."""


def minute_of(at: float) -> int:
    """Return the start of the minute of a Unix time."""
    return int(at // MINUTE * MINUTE)


def week_of(at: float) -> int:
    """Return the start of the week of a Unix time: Friday, 00:00 UTC."""
    return int((at - _FRIDAY) // WEEK * WEEK + _FRIDAY)


@dataclass(frozen=True)
class Account:
    """An account; quota and rate belong to accounts, not to keys."""

    name: str
    tier: str
    suspended: bool = False
    created_at: float = 0.0
    """Unix seconds, like all times here."""


@dataclass(frozen=True)
class Key:
    """A stored key, without its secret."""

    id: str
    account: str
    digest: str
    label: str = ""
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None

    def state(self, at: float) -> str:
        """Return whether it is ``active``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= at:
            return "expired"
        return "active"


class Bounds(NamedTuple):
    """The limits of an account; None: no limit."""

    calls_a_minute: int | None
    weekly_units: int | None


class Used(NamedTuple):
    """The usage of an account."""

    minute: int
    """Calls in the current minute."""
    week: int
    """Units in the current week."""


class Counted(NamedTuple):
    """The result of counting a call."""

    over: str | None
    """The exceeded limit, ``minute`` or ``week``; None if the call was counted."""
    used: Used
    """The usage, including the call if it was counted."""


class AwayError(InternalError):
    """Accounts cannot be reached, so no call is admitted."""

    def __init__(self) -> None:
        super().__init__(
            "Keys and quota cannot be checked just now. Call again in a moment.",
            retryable=True,
            retry_after=1.0,
        )


def over(used: Used, units: int, bounds: Bounds) -> str | None:
    """Return the limit that a call would exceed; None if it can be counted."""
    # A week is the longer wait, so the caller should know it first.
    if units and bounds.weekly_units is not None and used.week + units > bounds.weekly_units:
        return "week"
    if bounds.calls_a_minute is not None and used.minute >= bounds.calls_a_minute:
        return "minute"
    return None


class Store(Protocol):
    """A store of accounts. Every method raises `AwayError` if it cannot be reached."""

    async def add_account(self, account: Account) -> bool:
        """Store a new account; False if the name exists."""

    async def change_account(
        self, name: str, *, tier: str | None = None, suspended: bool | None = None
    ) -> Account | None:
        """Change an account from its next call on; None if there is no such account."""

    async def account(self, name: str) -> Account | None:
        """Return an account; None if there is no such account."""

    async def accounts(self) -> list[Account]:
        """Return all accounts, by name."""

    async def add_key(self, key: Key, at_most: int | None) -> bool:
        """Store a new key; False if its account has the maximum of active keys."""

    async def keys(self, account: str | None = None) -> list[Key]:
        """Return the keys of an account or of all, oldest first."""

    async def end_key(self, key_id: str, at: float, *, expires: bool = False) -> Key | None:
        """Revoke a key, or let it expire at a time; None if there is no such key.

        A key that has already ended is not changed.
        """

    async def find(self, key_id: str) -> tuple[Key, Account] | None:
        """Return the current state of a key and its account; None if there is no such key."""

    async def count(self, account: str, at: float, units: int, bounds: Bounds) -> Counted:
        """Count a call and its units, both or neither, atomically among all processes."""

    async def give_back(self, account: str, at: float, units: int) -> None:
        """Refund units that were counted at a time, if that week is still stored."""

    async def used(self, account: str, at: float) -> Used:
        """Return the usage of an account."""

    async def check(self) -> None:
        """Return if calls can be counted; raises `AwayError` otherwise."""

    async def close(self) -> None:
        """Close connections."""


def moment(at: float) -> str:
    """Return a Unix time in the format of answers."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
