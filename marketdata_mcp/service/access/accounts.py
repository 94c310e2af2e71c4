"""Accounts, their keys and what they have used, wherever they are kept."""

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
"""Weeks whose units are kept."""
NOBODY = ""
"""An account that no key can belong to: what probes count for it is nobody's."""
_FRIDAY = 24 * 3600
"""1970 began on a Thursday."""


def minute_of(at: float) -> int:
    """Return the start of the minute that a Unix time lies in."""
    return int(at // MINUTE * MINUTE)


def week_of(at: float) -> int:
    """Return the start of the week that a Unix time lies in: Friday, 00:00 UTC."""
    return int((at - _FRIDAY) // WEEK * WEEK + _FRIDAY)


@dataclass(frozen=True)
class Account:
    """Who is counted: quota and rate are an account's, not a key's."""

    name: str
    tier: str
    suspended: bool = False
    created_at: float = 0.0
    """Unix seconds, as all times here."""


@dataclass(frozen=True)
class Key:
    """A key as it is kept: without its secret."""

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
    """How much an account may use; None: as much as it likes."""

    calls_a_minute: int | None
    weekly_units: int | None


class Used(NamedTuple):
    """What an account has used."""

    minute: int
    """Calls in the running minute."""
    week: int
    """Units in the running week."""


class Counted(NamedTuple):
    """What became of a call that was to be counted."""

    over: str | None
    """``minute`` or ``week``, of which the call would have been too many; None: it is counted."""
    used: Used
    """What was used before a call that is too many, or with one that was counted."""


class AwayError(InternalError):
    """Accounts cannot be looked up just now, so that nobody is let in."""

    def __init__(self) -> None:
        super().__init__(
            "Keys and quota cannot be checked just now. Call again in a moment.",
            retryable=True,
            retry_after=1.0,
        )


def over(used: Used, units: int, bounds: Bounds) -> str | None:
    """Tell of which span a call would be too many; None where it may be counted."""
    # A week is longer to wait for, so it is what a caller has to know first.
    if units and bounds.weekly_units is not None and used.week + units > bounds.weekly_units:
        return "week"
    if bounds.calls_a_minute is not None and used.minute >= bounds.calls_a_minute:
        return "minute"
    return None


class Store(Protocol):
    """Where accounts are kept. Every method raises `AwayError` where that cannot be reached."""

    async def add_account(self, account: Account) -> bool:
        """Keep a new account; False where there is one of that name."""

    async def change_account(
        self, name: str, *, tier: str | None = None, suspended: bool | None = None
    ) -> Account | None:
        """Change an account for its next call; None where there is none."""

    async def account(self, name: str) -> Account | None:
        """Return an account; None where there is none."""

    async def accounts(self) -> list[Account]:
        """Return all accounts, by name."""

    async def add_key(self, key: Key, at_most: int | None) -> bool:
        """Keep a new key; False where its account has as many active ones as it may."""

    async def keys(self, account: str | None = None) -> list[Key]:
        """Return the keys of an account or of all, oldest first."""

    async def end_key(self, key_id: str, at: float, *, expires: bool = False) -> Key | None:
        """Revoke a key, or have it expire at a time; None where there is none.

        One that has ended before stays as it is.
        """

    async def find(self, key_id: str) -> tuple[Key, Account] | None:
        """Return a key and its account as they are now; None where there is no such key."""

    async def count(self, account: str, at: float, units: int, bounds: Bounds) -> Counted:
        """Count a call and its units, both or neither, alone among all processes."""

    async def give_back(self, account: str, at: float, units: int) -> None:
        """Take units back that were counted at a time, where that week is still kept."""

    async def used(self, account: str, at: float) -> Used:
        """Tell what an account has used."""

    async def check(self) -> None:
        """Return where calls can be counted; raises `AwayError` otherwise."""

    async def close(self) -> None:
        """Let go of connections."""


def moment(at: float) -> str:
    """Write a Unix time as answers do."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
