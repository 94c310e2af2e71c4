"""What the simulated exchanges were asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Request:
    """One request that a simulated exchange was sent.

    ``exchange`` is empty for a path that is none of the exchanges'. ``status`` is None as long as
    it is not answered, and for ever when the connection was dropped; ``ms`` is how long the
    answer took.
    """

    exchange: str
    method: str
    path: str
    query: dict[str, str]
    status: int | None = None
    ms: float | None = None
