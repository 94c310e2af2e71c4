"""Records of how connections are doing: exchanges, streams, calls, recordings."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from marketdata.models.base import Record, StreamKind, _Derivable, _Sourced

__all__ = [
    "Recorded",
    "Status",
    "Stream",
    "Upstream",
]


class Status(_Derivable, _Sourced):
    """Whether an exchange responds, how fast, and how far its clock differs from ours."""

    reachable: bool
    maintenance: bool | None = None
    """None if the exchange does not say."""
    latency_ms: float | None = None
    """Time until the response, in milliseconds; None without a response."""
    server_time: datetime | None = None
    clock_offset_ms: float | None = None
    """The exchange's clock minus ours, assuming equal times both ways; see ``clock_error_ms``."""
    clock_error_ms: float | None = None
    """Maximum error of ``clock_offset_ms``: half of the latency, plus a second if the exchange
    sends whole seconds; None without an offset."""
    code: str | None = None
    """The error code of a call, if it is not reachable."""
    reason: str | None = None
    """Why it is not reachable: ``details["reason"]`` of that error."""


class Stream(Record):
    """The state of one live subscription."""

    exchange: str
    kind: StreamKind
    pair: str
    timeframe: str | None = None
    state: Literal["connecting", "live", "stale", "resyncing", "reconnecting", "ended", "failed"]
    """``stale``: silent for too long; ``resyncing``: an order book waits for a new snapshot."""
    watchers: int
    messages: int
    """Frames received for this subscription."""
    updates: int
    """Updates in those frames: states of a book or price, trades, candles."""
    dropped: int
    """Updates dropped because watchers read too slowly."""
    gaps: int
    """Detected losses: a missing sequence number, a wrong checksum, a crossed book."""
    unfilled: int = 0
    """Gaps that could not be filled: trades or candles of that time may be missing. Trades without
    sequence numbers have one after each interruption."""
    resyncs: int
    """Snapshots requested to repair gaps."""
    reconnects: int
    unreadable: int
    """Frames on its socket that could not be parsed."""
    last_message: datetime | None = None
    lag_ms: float | None = None
    """Delay of the newest frame, exchange to here; None if it has no time."""
    memory: int
    """Approximate bytes of its state and of updates that watchers have not read yet."""
    error: str | None = None
    """Code of the error that ended it, or of the last one it recovered from."""
    simulated: Literal[True] | None = None


class Upstream(Record):
    """The state of a client's calls to one exchange."""

    exchange: str
    breaker: Literal["closed", "open", "half-open"]
    """``open``: it kept failing and gets no requests; ``half-open``: the next call decides."""
    retry_after: float | None = None
    """Seconds until the next request is allowed; None unless ``open``."""
    under_way: int
    """Calls in flight; calls that share a request count once, as in ``waiting``."""
    waiting: int
    """Calls that wait for the limit of concurrent requests."""
    requests: int
    """Requests sent, retries included."""
    shared: int
    """Calls that shared the response to another call's request."""
    failures: int
    """Requests that failed: no response in time, an unusable one, or HTTP 5xx, 418 or 429."""
    unreadable: int = 0
    """Unusable rows that were dropped from responses, such as trades without a price."""
    budget_used: float | None = None
    """Used share of the exchange's rate limit, over all that share it, from 0 to 1; None if the
    limit has no time window, or for the simulator."""


class Recorded(Record):
    """The content of a recording, so far or at its end."""

    path: str
    frames: int
    """Frames and responses recorded in this run."""
    size: int
    """Bytes of the file, compressed."""
    seconds: float
    streams: tuple[Stream, ...]
    """The state of each subscription."""
