"""Callers and their usage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from marketdata.models import Record

__all__ = ["LOCAL", "Caller", "Usage", "Week", "Window"]


@dataclass(frozen=True)
class Caller:
    """The caller of a call."""

    account: str
    tier: str | None = None
    """The name of the account; None if no keys are required and everything is allowed."""
    key: str | None = None
    """The name of the key, or of the OAuth client."""


LOCAL = Caller("local")
"""The caller on stdio, or of a server without access control."""


class Window(Record):
    """Usage and limit of a time span; without a limit, only the usage."""

    used: int
    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime


class Week(Window):
    """The usage of a week, with its share of the limit."""

    percent_used: int | None = None


class Usage(Record):
    """Usage and limits of an account; missing limits are absent."""

    tier: str
    minute: Window | None = None
    week: Week | None = None
    historical_days: int | None = None
    allowed_exchanges: tuple[str, ...] | None = None
