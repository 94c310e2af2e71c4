"""The operations of each exchange: native, derived from other calls, or not available."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marketdata._exchanges.quirks import Quirk
from marketdata._exchanges.stream_offers import streamed_timeframes
from marketdata.arguments import is_timeframe
from marketdata.models import Exchange


@dataclass(frozen=True)
class _Operation:
    """The calls of ccxt for an operation; one of them is enough."""

    noun: str
    """The name of its data in errors."""
    native: tuple[str, ...]
    """Native calls."""
    derived: tuple[str, ...] = ()
    """Calls from which it can be derived."""


_OPERATIONS = {
    "pairs": _Operation("pairs", ("fetchMarkets",)),
    "ticker": _Operation("tickers", ("fetchTicker",), ("fetchTickers", "fetchOHLCV")),
    "tickers": _Operation("tickers", ("fetchTickers",), ("fetchTicker", "fetchOHLCV")),
    "quote": _Operation(
        "best prices", ("fetchBidsAsks", "fetchOrderBook"), ("fetchTicker", "fetchTickers")
    ),
    "quotes": _Operation(
        "best prices", ("fetchBidsAsks", "fetchTickers"), ("fetchOrderBook", "fetchTicker")
    ),
    "orderbook": _Operation("order books", ("fetchOrderBook",)),
    "candles": _Operation("candles", ("fetchOHLCV",), ("fetchTrades",)),
    "trades": _Operation("trades", ("fetchTrades",)),
    "status": _Operation(
        "its state", ("fetchStatus", "fetchTime"), ("fetchOrderBook", "fetchTicker", "fetchTickers")
    ),
    "fees": _Operation("fees", ("fetchMarkets",)),
}

_STREAMS = {
    "ticker": ("watchTicker",),
    "quote": ("watchBidsAsks", "watchTicker"),
    "orderbook": ("watchOrderBook",),
    "trades": ("watchTrades",),
    "candles": ("watchOHLCV",),
}

WANTS_KEY = "it requires an API key"

_COMMON_TIMEFRAMES = (
    *("1m", "3m", "5m", "15m", "30m"),
    *("1h", "2h", "4h", "6h", "8h", "12h"),
    *("1d", "3d", "1w", "1M"),
)
"""Common timeframes that are listed if they can be resampled; others can be resampled as well."""


class Capabilities:
    """The operations of one exchange, with or without API keys."""

    def __init__(self, has: Mapping[str, Any], special: Quirk, *, keyed: bool) -> None:
        """``has`` is ccxt's table of the exchange's calls."""
        self._has = has
        self._quirk = special
        self._keyed = keyed
        self.offered = frozenset(call for call in has if self.why_not(call) is None)
        """The calls that ccxt has for this exchange and that work for spot, and as we are."""
        self._served = frozenset(filter(self._can_be_served, _OPERATIONS))

    def why_not(self, call: str) -> str | None:
        """Return why a call of ccxt is not available; None if it is."""
        # ccxt emulates some calls with others, which we do ourselves.
        if self._has.get(call) is not True:
            return "ccxt has no call for it"
        if call in self._quirk.not_offered:
            return self._quirk.not_offered[call]
        if not self._keyed and ("fetchMarkets" in self._quirk.keyed or call in self._quirk.keyed):
            return WANTS_KEY
        return None

    def is_native(self, operation: str) -> bool:
        """Return whether the exchange has a native call for an operation."""
        calls = _OPERATIONS[operation].native
        if operation == "quotes" and not self.has_best_in_bulk:
            calls = ("fetchBidsAsks",)
        return not self.offered.isdisjoint(calls)

    @property
    def has_best_in_bulk(self) -> bool:
        """Whether its bulk tickers have best bids and asks."""
        return self._quirk.full_tickers and self._quirk.best_in_tickers

    def is_served(self, operation: str) -> bool:
        """Return whether an operation is available, natively or derived."""
        return operation in self._served

    def _can_be_served(self, operation: str) -> bool:
        if operation == "status" and self._quirk.keyless_call is not None:
            return True
        derived = _OPERATIONS[operation].derived
        return self.is_native(operation) or not self.offered.isdisjoint(derived)

    def reason(self, operation: str) -> str:
        """Return why an operation is not available, or not natively."""
        told = _OPERATIONS[operation]
        able = Capabilities(self._has, self._quirk, keyed=True)
        if able.is_served(operation) and not self.is_served(operation):
            return f"no {told.noun}: {WANTS_KEY}"
        reasons = [why for call in told.native if (why := self.why_not(call)) is not None]
        # The lack of a second call for the same data is no reason.
        why = next((one for one in reasons if not one.startswith("ccxt has")), reasons[0])
        return f"no {told.noun}: {why}"


def exchange(
    described: Mapping[str, Any],
    special: Quirk,
    source_for: Callable[[str, Sequence[str]], str | None],
) -> Exchange:
    """Make the record of an exchange from ccxt's description.

    ``source_for`` returns the timeframe from which another can be resampled.
    """
    has = described["has"]
    able = Capabilities(has, special, keyed=True)
    unkeyed = Capabilities(has, special, keyed=False)
    served = [name for name in _OPERATIONS if able.is_served(name)]
    native = [
        name for name in served if (unkeyed if unkeyed.is_served(name) else able).is_native(name)
    ]
    names = (described.get("timeframes") or ()) if "candles" in native else ()
    timeframes = offered_timeframes(names, special)
    streams = tuple(kind for kind in _STREAMS if why_no_stream(unkeyed, special, kind) is None)
    bars = ((described.get("features") or {}).get("spot") or {}).get("fetchOHLCV") or {}
    size = bars.get("limit")
    page = max((special.bars_per_request.get(name, size or 0) for name in timeframes), default=0)
    kept = page if special.newest_bars_only else special.bars_kept
    return Exchange(
        id=described["id"],
        name=described["name"],
        operations=tuple(served),
        derived=tuple(name for name in served if name not in native),
        needs_key=tuple(name for name in served if not unkeyed.is_served(name)),
        unavailable={name: able.reason(name) for name in _OPERATIONS if name not in served} or None,
        timeframes=tuple(timeframes),
        derived_timeframes=tuple(
            name
            for name in _COMMON_TIMEFRAMES
            if name not in timeframes
            and (source_for(name, timeframes) is not None if timeframes else "candles" in served)
        ),
        depths=special.depths,
        max_depth=None if special.depths else special.max_depth,
        candles_per_request=page or None,
        history=bool(timeframes) and kept is None,
        history_bars=(kept or None) if timeframes else None,
        trades_from=tuple(_trades_from(special)) if "trades" in served else (),
        streams=streams,
        stream_timeframes=tuple(
            streamed_timeframes(described["id"], described.get("timeframes"))
            if "candles" in streams
            else ()
        ),
        rate_limit=described.get("rateLimit"),
        countries=tuple(described.get("countries") or ()),
    )


def why_no_stream(able: Capabilities, special: Quirk, kind: str) -> str | None:
    """Return why a kind of data cannot be streamed; None if it can.

    ``able`` is made of the calls of ccxt's connector for streams.
    """
    calls = _STREAMS[kind]
    if kind == "quote" and not special.best_in_ticker_stream:
        calls = ("watchBidsAsks",)
    reasons = [able.why_not(call) for call in calls]
    return None if None in reasons else reasons[-1]


def offered_timeframes(names: Iterable[str], special: Quirk) -> list[str]:
    """Return the usable ones of ccxt's timeframes of an exchange."""
    left_out = {*special.misnamed_timeframes, *special.moved_timeframes}
    return [name for name in names if name not in left_out and is_timeframe(name)]


def _trades_from(special: Quirk) -> Iterator[str]:
    by_time = special.trades_from_time or special.trades_before_time is not None
    if by_time or special.trades_since or special.is_searchable:
        yield "time"
    if special.trades_from_id is not None:
        yield "id"
