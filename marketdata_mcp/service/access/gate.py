"""Checks a call: key, quota and rate, tier, in this order.

Errors before the quota are not charged, and refusals by the tier are. `Gate.give_back` refunds
calls that failed upstream.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from marketdata.errors import (
    ExchangeNotSupportedError,
    ForbiddenError,
    HistoryLimitExceededError,
    QuotaExceededError,
    RateLimitExceededError,
    UnauthorizedError,
)
from marketdata_mcp.callers import Caller, Usage, Week, Window
from marketdata_mcp.service.access import keys
from marketdata_mcp.service.access.accounts import (
    MINUTE,
    WEEK,
    Bounds,
    Store,
    minute_of,
    moment,
    week_of,
)
from marketdata_mcp.service.access.oauth import TokenVerifier
from marketdata_mcp.service.access.tiers import Policy, Tier

__all__ = ["Ask", "Charge", "Gate"]

_LONGEST_TOKEN = 8192


@dataclass(frozen=True)
class Ask:
    """The facts of a call that matter for tiers."""

    exchanges: tuple[str, ...] = ()
    """The exchanges that it names."""
    lookback: timedelta = timedelta()
    """How far back it reaches: from the current candle for candles, otherwise from now."""
    free: bool = False
    """Whether it is free."""


@dataclass(frozen=True)
class Charge:
    """The charge of a call."""

    units: int
    at: float


class Gate:
    """The access control of one server."""

    def __init__(
        self,
        policy: Policy,
        store: Store,
        verifier: TokenVerifier | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.policy = policy
        self.store = store
        self._verifier = verifier
        self._clock = clock

    async def identify(self, authorization: str | None) -> Caller:
        """Return the caller of an ``Authorization`` header.

        Raises `UnauthorizedError` if it has no valid key of this service, `ForbiddenError` if the
        account is suspended or the scopes of a token have no tier, and `AwayError` if accounts
        cannot be reached.
        """
        kind, _, token = (authorization or "").strip().partition(" ")
        token = token.strip()
        if kind.lower() != "bearer" or not token:
            raise UnauthorizedError("A key is required: send 'Authorization: Bearer mdk_...'.")
        if len(token) <= _LONGEST_TOKEN:
            if token.startswith(keys.PREFIX):
                return await self._of_key(token)
            if self._verifier is not None and token.count(".") == 2:
                return await self._of_token(token)
        raise UnauthorizedError(
            f"That is not a key of this service: its keys begin with {keys.PREFIX}. "
            "It may be another product's."
        )

    async def _of_key(self, token: str) -> Caller:
        parts = keys.parse(token)
        if parts is None:
            raise UnauthorizedError("The key is damaged: copy it again, whole and without blanks.")
        found = await self.store.find(parts.id)
        if found is None or not keys.fits(parts.secret, found[0].digest):
            raise UnauthorizedError("There is no such key. Ask for a new one.")
        key, account = found
        state = key.state(self._clock())
        if state != "active":
            raise UnauthorizedError(
                f"The key {key.id} is {state}. Ask for a new one.", details={"key": key.id}
            )
        self._check_not_suspended(account.suspended)
        return Caller(account.name, account.tier, key.id)

    async def _of_token(self, token: str) -> Caller:
        assert self._verifier is not None  # noqa: S101 - the only caller has checked it
        verified = await self._verifier.verify(token)
        account = await self.store.account(verified.account)
        self._check_not_suspended(account is not None and account.suspended)
        tiers = self._verifier.issuer.scopes
        granted = {tiers[scope] for scope in verified.scopes if scope in tiers}
        tier = next((name for name in reversed([*self.policy.tiers]) if name in granted), None)
        if tier is None:
            raise ForbiddenError(
                "No scope of the token gives access to this service.",
                details={"scopes": sorted(tiers)},
            )
        return Caller(verified.account, tier, verified.client)

    def _check_not_suspended(self, suspended: bool) -> None:
        if suspended:
            raise ForbiddenError(
                "The account is suspended. Ask its operator why; another key does not help."
            )

    async def charge(self, caller: Caller, ask: Ask) -> Charge:
        """Count a call and its price against the quota and the rate of its account.

        Raises `QuotaExceededError` or `RateLimitExceededError`; the call is then not counted.
        """
        tier = self._tier(caller)
        now = self._clock()
        units = 0 if ask.free else self.units(tier, ask)
        bounds = Bounds(tier.calls_a_minute, tier.weekly_units)
        counted = await self.store.count(caller.account, now, units, bounds)
        if counted.over == "week":
            resets = week_of(now) + WEEK
            raise QuotaExceededError(
                f"The call costs {units} of {tier.weekly_units} units a week, of which "
                f"{counted.used.week} are used. The quota resets at {moment(resets)}.",
                retry_after=math.ceil(resets - now),
                details={
                    "resetAt": moment(resets),
                    "units": units,
                    "used": counted.used.week,
                    "limit": tier.weekly_units,
                },
            )
        if counted.over == "minute":
            wait = math.ceil((minute_of(now) + MINUTE - now) * 1000) / 1000
            raise RateLimitExceededError(
                f"{tier.calls_a_minute} calls were made in this minute, which is as many as may "
                f"be. Call again in {wait:.3g} s.",
                retry_after=wait,
                details={"limit": tier.calls_a_minute},
            )
        return Charge(units, now)

    def calls_a_minute(self, caller: Caller) -> int | None:
        """Return the calls a minute that a caller may make; None if there is no limit."""
        tier = self.policy.tiers.get(caller.tier or "")
        return None if tier is None else tier.calls_a_minute

    def units(self, tier: Tier, ask: Ask) -> int:
        """Return the units of a call."""
        if not ask.lookback:
            return 1
        near = ask.lookback <= timedelta(days=self.policy.near_days)
        return tier.near_units if near else tier.far_units

    async def give_back(self, caller: Caller, charge: Charge) -> None:
        """Refund a call that failed upstream."""
        if charge.units:
            await self.store.give_back(caller.account, charge.at, charge.units)

    def check_tier(self, caller: Caller, ask: Ask) -> None:
        """Raise if a call exceeds its tier.

        Raises `ExchangeNotSupportedError` or `HistoryLimitExceededError`.
        """
        tier = self._tier(caller)
        if tier.exchanges is not None:
            for exchange in ask.exchanges:
                self._check_exchange(caller, tier.exchanges, exchange)
        if tier.history_days is None or ask.lookback <= timedelta(days=tier.history_days):
            return
        if not tier.history_days:
            said = (
                "has no history: request the open candle with limit=1, or trades and windows of "
                "the last 24 hours"
            )
        else:
            said = f"reaches back {tier.history_days} days: shorten the range"
        if ask.lookback == timedelta.max:
            said += ". The age of a trade id is unknown: use start, not from_id"
        raise HistoryLimitExceededError(
            f"Tier {caller.tier} {said}.", details={"historicalDays": tier.history_days}
        )

    def _check_exchange(self, caller: Caller, allowed: tuple[str, ...], exchange: str) -> None:
        if exchange not in allowed:
            raise ExchangeNotSupportedError(
                f"Tier {caller.tier} does not have this exchange. It has {', '.join(allowed)}.",
                details={"exchange": exchange[:40], "allowedExchanges": list(allowed)},
            )

    def exchanges(self, caller: Caller, preferred: tuple[str, ...]) -> tuple[str, ...]:
        """Return the exchanges for a call that names none, in order of preference."""
        allowed = self._tier(caller).exchanges
        if allowed is None:
            return preferred
        return tuple(name for name in preferred if name in allowed) or allowed

    def allowed(self, caller: Caller) -> tuple[str, ...] | None:
        """Return the exchanges that a caller may use; None if there is no limit."""
        return self._tier(caller).exchanges

    async def usage(self, caller: Caller) -> Usage:
        """Return usage and limits of an account; missing limits are absent."""
        tier, now = self._tier(caller), self._clock()
        used = await self.store.used(caller.account, now)
        minute = _window(used.minute, tier.calls_a_minute, minute_of(now) + MINUTE)
        week = _window(used.week, tier.weekly_units, week_of(now) + WEEK)
        if tier.weekly_units:
            week["percent_used"] = round(100 * used.week / tier.weekly_units)
        return Usage(
            tier=str(caller.tier),
            minute=Window(**minute),
            week=Week(**week),
            historical_days=tier.history_days,
            allowed_exchanges=tier.exchanges,
        )

    def _tier(self, caller: Caller) -> Tier:
        found = None if caller.tier is None else self.policy.tiers.get(caller.tier)
        if found is None:
            # The operator has removed the tier from the file, but accounts still have it.
            raise ForbiddenError(
                f"The account's tier '{caller.tier}' no longer exists. Its operator has to "
                "give it another."
            )
        return found


def _window(used: int, limit: int | None, ends: int) -> dict[str, Any]:
    remaining = None if limit is None else max(0, limit - used)
    reset_at = datetime.fromtimestamp(ends, UTC)
    return {"used": used, "limit": limit, "remaining": remaining, "reset_at": reset_at}
