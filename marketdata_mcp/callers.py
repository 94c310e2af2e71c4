"""Who calls, and what they have used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from marketdata.models import Record

__all__ = ["LOCAL", "Caller", "Usage", "Week", "Window"]


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


class Window(Record):
    """What was used in a stretch of time, and may be; without a bound there are no others."""

    used: int
    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime


class Week(Window):
    """A week, with the share of it that was used."""

    percent_used: int | None = None


class Usage(Record):
    """What an account has used and may use; bounds that there are not are absent."""

    tier: str
    minute: Window | None = None
    week: Week | None = None
    historical_days: int | None = None
    allowed_exchanges: tuple[str, ...] | None = None
