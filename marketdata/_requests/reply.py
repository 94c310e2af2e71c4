"""The metadata of the responses to a call's requests."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(slots=True)
class Reply:
    """The metadata of the responses to one call's requests."""

    sent_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic, repr=False)
    """When the last request was sent, by the monotonic clock."""
    seconds: float = 0.0
    """Duration of the last request."""
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    requests: int = 0
    """Number of responses."""
    asked: int = 0
    """Number of requests."""
    hollow: bool = False
    """Whether the last response had no list at all where data was expected."""
    empty: bool = False
    """Whether the last response was only an empty list."""

    def ask(self) -> None:
        """Note that a request is sent."""
        self.asked += 1
        self.sent_at, self.began = datetime.now(UTC), time.monotonic()

    def note(self, status: int, headers: Mapping[str, str]) -> None:
        """Note a response."""
        self.received_at = datetime.now(UTC)
        self.seconds = time.monotonic() - self.began
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.requests += 1

    @property
    def date(self) -> datetime | None:
        """The exchange's clock in whole seconds, from the Date header."""
        return _http_date(self.headers.get("date"))

    @property
    def retry_after(self) -> float | None:
        """Seconds that the exchange asks to wait before the next request."""
        text = self.headers.get("retry-after", "")
        if text.isascii() and text.isdigit():
            return float(text)
        moment = _http_date(text)
        return None if moment is None else max(0.0, (moment - self.received_at).total_seconds())

    @property
    def simulated(self) -> bool:
        """Whether the response is from the simulator."""
        return "x-marketdata-simulated" in self.headers

    @property
    def plays(self) -> str | None:
        """The seed or recording of a simulated exchange; None for real ones."""
        return self.headers.get("x-marketdata-plays", "unnamed") if self.simulated else None


@functools.lru_cache(16)  # many responses have the same second, and each date is read often
def _http_date(text: str | None) -> datetime | None:
    """Parse a date of HTTP, which is always GMT."""
    from email.utils import parsedate_to_datetime  # which programs that ask nothing do without

    try:
        found = parsedate_to_datetime(text or "")
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
