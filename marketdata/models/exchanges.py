"""Records about exchanges: supported operations, pairs, fees."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from marketdata.models.base import Record, _Sourced
from marketdata.models.decimals import Number
from marketdata.number_form import Numbers

__all__ = [
    "Exchange",
    "FeeTier",
    "Fees",
    "Pair",
]


class Exchange(Record):
    """A spot exchange and its supported operations."""

    id: str
    name: str
    operations: tuple[str, ...]
    """Operations that it supports."""
    derived: tuple[str, ...] = ()
    """Those that are computed from other calls, because the exchange has no call for them."""
    needs_key: tuple[str, ...] = ()
    """Those that need the API key of an account."""
    unavailable: dict[str, str] | None = None
    """Why the other operations are not available."""
    timeframes: tuple[str, ...]
    """Its own timeframes; none if ``derived`` has candles."""
    derived_timeframes: tuple[str, ...] = ()
    """Other common timeframes, resampled from shorter candles or from trades."""
    depths: tuple[int, ...] | None = None
    """The only depths that its order-book call takes; None for any. `orderbook` takes any depth."""
    max_depth: int | None = None
    """Maximum number of levels a side; None if unknown, or if ``depths`` lists them."""
    candles_per_request: int | None = None
    """Maximum number of candles in one response; None if unknown, or if it has no candles."""
    history: bool
    """Whether candles can be requested from a start time on."""
    history_bars: int | None = None
    """It serves only this many of the newest candles; None: all that it keeps."""
    trades_from: tuple[Literal["time", "id"], ...] = ()
    """How older trades can be requested; empty if it serves only the newest."""
    streams: tuple[str, ...]
    """Kinds of live data that ccxt supports and that need no key."""
    stream_timeframes: tuple[str, ...] = ()
    """Timeframes of the candles that it streams."""
    rate_limit: float | None = None
    """Milliseconds between two requests of weight 1 that the rate limiter keeps."""
    countries: tuple[str, ...] = ()
    """Where it is based, as ISO 3166 codes. It may refuse users from other places."""


class Pair(Record, Numbers[Number]):
    """A spot pair and its trading rules; sizes are in base, costs in quote currency."""

    exchange: str
    pair: str
    base: str
    quote: str
    price_tick: Number | None = None
    amount_step: Number | None = None
    min_amount: Number | None = None
    max_amount: Number | None = None
    min_cost: Number | None = None
    maker: Number | None = None
    """Public maker fee as a fraction: 0.001 is 0.1%."""
    taker: Number | None = None
    received_at: datetime
    """When the exchange's list was received; lists on disk are used for a day."""
    simulated: Literal[True] | None = None
    halted: Literal[True] | None = None
    """True if the exchange lists the pair but has halted trading."""


class FeeTier(Record, Numbers[Number]):
    """The fees from a traded volume on."""

    volume: Number
    """Traded before, over the time and in the currency that the exchange counts, mostly 30 days
    in USD."""
    maker: Number | None = None
    taker: Number | None = None


class Fees(_Sourced, Numbers[Number]):
    """Trading fees of a pair, as fractions: 0.001 is 0.1%."""

    pair: str
    source: Literal["public", "account"]
    """``public``: the published fees; ``account``: the fees of the account with the configured
    keys, from a signed request."""
    maker: Number | None = None
    """None if not published, as for ``taker``."""
    taker: Number | None = None
    tiers: tuple[FeeTier[Number], ...] | None = None
    """The public schedule by volume, lowest first; None if ccxt does not know it, or if its
    schedule does not start with these fees."""
