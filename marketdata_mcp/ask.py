"""Who calls, and for what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["LOCAL", "Ask", "Caller"]


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
