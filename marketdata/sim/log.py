"""The log of requests to the simulated exchanges."""

from __future__ import annotations

from dataclasses import dataclass, field


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


@dataclass(slots=True)
class Socket:
    """One WebSocket that a client opened.

    ``opened`` is the exchange's time in Unix milliseconds. ``subscriptions`` are the current or
    last ones, as ``channel/symbol`` in the exchange's own names. ``received`` has the client's
    messages, and ``sent`` is the number of frames sent to it.
    """

    exchange: str
    path: str
    opened: int
    closed: bool = False
    subscriptions: list[str] = field(default_factory=list)
    received: list[str] = field(default_factory=list)
    sent: int = 0
