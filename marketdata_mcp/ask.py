"""Who calls and for what, and whom the adapter asks whether that may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

__all__ = ["LOCAL", "Ask", "Caller", "Charge", "Gate"]


@dataclass(frozen=True)
class Caller:
    """Who makes a call."""

    account: str
    tier: str | None = None
    """Its name; None: nobody asks for keys here, and everything is allowed."""
    key: str | None = None
    """The name of the key, or of the OAuth client."""


LOCAL = Caller("local")
"""Whoever has the process, or reaches a server without access control."""


@dataclass(frozen=True)
class Ask:
    """What a call asks for, as far as tiers care."""

    exchanges: tuple[str, ...] = ()
    """Those that it names."""
    lookback: timedelta = timedelta()
    """How far back it reaches: before the current candle for candles, for other data before now."""
    free: bool = False
    """Whether it costs no units."""


@dataclass(frozen=True)
class Charge:
    """What a call has cost."""

    units: int
    at: float


class Gate(Protocol):
    """Who may make which calls, as a server with access control decides it."""

    async def charge(self, caller: Caller, ask: Ask) -> Charge:
        """Count a call with its units; raises an `AccessError` and counts nothing otherwise."""

    async def give_back(self, caller: Caller, charge: Charge) -> None:
        """Take back what an answer has cost that failed upstream."""

    def check_tier(self, caller: Caller, ask: Ask) -> None:
        """Raise where a call asks for more than its tier has."""

    def exchanges(self, caller: Caller, preferred: tuple[str, ...]) -> tuple[str, ...]:
        """Return which exchanges answer a call that names none, in order of preference."""

    def allowed(self, caller: Caller) -> tuple[str, ...] | None:
        """Return all exchanges that a caller may ask; None: there is no bound."""

    async def usage(self, caller: Caller) -> dict[str, Any]:
        """Tell what an account has used and may use."""
