"""The average price of a pair over the last minutes: the exchange's own, or computed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketdata import arguments
from marketdata._candles.calendar import expected, nominal_length
from marketdata._candles.windows import covering, milliseconds, nothing_traded
from marketdata.arguments import is_timeframe
from marketdata.errors import DataUnavailableError
from marketdata.models import AveragePrice, Trade
from marketdata.models.decimals import (
    EXACT,
    are_finite,
    as_given,
    as_number,
    exact,
    quotient,
    rounded,
    total,
)

if TYPE_CHECKING:
    from decimal import Decimal

    from marketdata._exchanges.exchange import Venue

__all__ = ["average_price", "check"]

_PLACES = 10


def check(venue: Venue, window: str) -> None:
    """Raise `DataUnavailableError` if an average is not available, without a request."""
    if not (venue.averages_over(window) or _has_trades(venue) or _timeframe(venue, window)):
        raise DataUnavailableError(
            f"{venue.id} has no average price over '{window}', and no trades or candles to "
            "compute it from.",
            details={"exchange": venue.id, "window": window},
        )


async def average_price(venue: Venue, pair: str, window: str) -> AveragePrice:
    """Get the average price over a window that `arguments.average_window` has checked."""
    if venue.averages_over(window):
        return await venue.average_price(pair, window)
    if _has_trades(venue):
        found = await _of_trades(venue, pair, window)
        if found is not None:
            return found
    timeframe = _timeframe(venue, window)
    if timeframe is None:
        raise DataUnavailableError(
            f"{venue.id} does not return all trades of {pair} within '{window}' in one "
            "response, and has no candles. Use a shorter window.",
            details={"exchange": venue.id, "pair": pair, "window": window},
        )
    return await _of_candles(venue, pair, window, timeframe)


def _has_trades(venue: Venue) -> bool:
    return venue.is_native("trades") and venue.quirk.newest_trades


def _timeframe(venue: Venue, window: str) -> str | None:
    """Choose the shortest timeframe with which one page covers a window."""
    covered = milliseconds(window)
    offered = [name for name in venue.timeframes if is_timeframe(name) and name[-1] in "mh"]
    for name in sorted(offered, key=nominal_length):
        # The candles that end within the window, and one at each edge.
        whole = expected(name).count(1, covered + 1)
        if whole and whole + 2 <= venue.candles_per_request(name):
            return name
    return None


async def _of_trades(venue: Venue, pair: str, window: str) -> AveragePrice | None:
    """Average the newest trades; None if they do not reach back to the window's start."""
    quirk = venue.quirk
    size = quirk.trades_per_request
    trades, now = await venue.dated_trades(pair, limit=size, params=quirk.recent_trades)
    start = now - arguments.window_length(window)
    # A page that is not full has all trades.
    if trades and trades[0].timestamp >= start and len(trades) >= size:
        return None
    inside = [trade for trade in trades if trade.timestamp >= start]
    if not inside:
        raise nothing_traded(venue, pair, window)
    first = inside[0]
    traded = total(trade.amount for trade in inside)
    return AveragePrice(
        exchange=venue.id,
        pair=pair,
        timestamp=now,
        received_at=first.received_at,
        simulated=first.simulated,
        window=window,
        source="trades",
        price=_mean(
            [trade.price for trade in inside], [trade.amount for trade in inside], first.price
        ),
        volume=as_given(traded, first.amount),
        trades=_single(inside),
    )


def _single(trades: Sequence[Trade]) -> int | None:
    """Count trades; None if some of them are aggregated."""
    return len(trades) if all(trade.first_id is None for trade in trades) else None


async def _of_candles(venue: Venue, pair: str, window: str, timeframe: str) -> AveragePrice:
    _, columns, origin = await covering(venue, pair, window, timeframe, milliseconds(window))
    if not any(columns.volume):
        raise nothing_traded(venue, pair, window)
    form = columns.close[-1]
    if not are_finite(columns.volume):
        raise DataUnavailableError(
            f"{venue.id} reports no volume for candles of {pair}, so there is no average.",
            details={"exchange": venue.id, "pair": pair},
        )
    typical = [
        quotient(total(prices), exact(3))
        for prices in zip(columns.high, columns.low, columns.close, strict=True)
    ]
    return AveragePrice(
        **origin,
        price=_mean(typical, columns.volume, form),
        volume=as_given(total(columns.volume), form),
        trades=None if min(columns.trades) < 0 else sum(columns.trades),
    )


def _mean(prices: Sequence[float | Decimal], weights: Sequence[float], form: float) -> float:
    """Return the weighted average of prices, with their number type."""
    products = (
        as_number(EXACT.multiply(exact(price), exact(weight)))
        for price, weight in zip(prices, weights, strict=True)
    )
    return rounded(quotient(total(products), total(weights)), _PLACES, form)
