"""How places are divided among those who want them: nobody can take what others need."""

from __future__ import annotations

from marketdata.errors import QuotaExceededError, RateLimitExceededError

__all__ = ["FULL_SECONDS", "check_place", "has_share"]

FULL_SECONDS = 10.0
"""Seconds after which to ask again where all places are taken."""


def has_share(held: int, taken: int, places: int) -> bool:
    """Return whether somebody who holds some of the places may have one more.

    As long as fewer are held than are free. So one alone has half of them at most, two have a
    third each, and whoever comes next finds some free.
    """
    return held < places - taken


def check_place(held: int, most: int, full: str, taken: int, places: int, crowded: str) -> None:
    """Raise unless somebody may have one more place.

    `QuotaExceededError`, which says that it is `full`, where he holds as many as one may, and
    `RateLimitExceededError`, which says that it is `crowded`, where others need those that are
    free.
    """
    if held >= most:
        raise QuotaExceededError(full, details={"limit": most})
    if not has_share(held, taken, places):
        raise RateLimitExceededError(crowded, retry_after=FULL_SECONDS, details={"limit": places})
