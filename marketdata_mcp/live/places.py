"""Shares a limited number of places among callers, so that new ones always find some."""

from __future__ import annotations

from marketdata.errors import QuotaExceededError, RateLimitExceededError

__all__ = ["FULL_SECONDS", "check_place", "has_share"]

FULL_SECONDS = 10.0
"""Seconds after which to retry if all places are taken."""


def has_share(held: int, taken: int, places: int) -> bool:
    """Return whether a caller may take one more place.

    It may while it holds fewer places than are free. So a single caller has at most half of them,
    two have a third each, and a new caller always finds some.
    """
    return held < places - taken


def check_place(held: int, most: int, full: str, taken: int, places: int, crowded: str) -> None:
    """Raise unless somebody may have one more place.

    `QuotaExceededError` with the message `full` if the caller holds its maximum, and
    `RateLimitExceededError` with the message `crowded` if other callers need the free places.
    """
    if held >= most:
        raise QuotaExceededError(full, details={"limit": most})
    if not has_share(held, taken, places):
        raise RateLimitExceededError(crowded, retry_after=FULL_SECONDS, details={"limit": places})
