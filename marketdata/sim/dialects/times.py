"""Times as exchanges write them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(micros: int, precision: str = "microseconds") -> str:
    """Return Unix microseconds as ISO-8601 in UTC."""
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC)
    moment = moment.replace(microsecond=micros % 1_000_000, tzinfo=None)
    return moment.isoformat(timespec=precision) + "Z"
