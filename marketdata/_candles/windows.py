"""What candles tell of a window, such as the last four hours: its ticker, its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketdata import arguments
from marketdata._candles.calendar import DAY, expected, known, nominal_length
from marketdata._candles.paging import Pages
from marketdata._candles.spans import between, moment
from marketdata.arguments import is_timeframe
from marketdata.errors import DataUnavailableError
from marketdata.models import Ticker
from marketdata.models.columns import Columns
from marketdata.models.decimals import (
    EXACT,
    are_finite,
    as_given,
    difference,
    exact,
    mean,
    quotient,
    rounded,
    total,
)

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue


async def ticker_of_candles(venue: Venue, pair: str, window: str) -> Ticker:
    """Compute the ticker of a window from the exchange's candles."""
    timeframe, covered = finest(venue, window)
    opened, columns, origin = await covering(venue, pair, window, timeframe, covered)
    return Ticker(**origin, open_time=moment(opened), **_summary(columns)).as_derived()


async def covering(
    venue: Venue, pair: str, window: str, timeframe: str, covered: int
) -> tuple[int, Columns, dict[str, Any]]:
    """Get the candles of the last milliseconds of a window, or of the day.

    Returns the start of the window, its columns, and the common fields of the record. Raises
    `DataUnavailableError` if there were no trades.
    """
    calendar = known(venue.id, timeframe)
    pages = Pages(venue, pair, calendar)
    page = await pages.newest(calendar.count(0, covered) + 1)
    now = page.clock.exchange
    opened = calendar.floor(expected("1d").floor(now) if window == "day" else now - covered)
    columns = between(page.columns, opened, page.end)
    reply = pages.reply
    if not len(columns) or reply is None:
        raise nothing_traded(venue, pair, window)
    return (
        opened,
        columns,
        {
            "exchange": venue.id,
            "pair": pair,
            "timestamp": reply.date or reply.received_at,
            "received_at": reply.received_at,
            "simulated": True if reply.simulated else None,
            "window": window,
            "source": "candles",
        },
    )


def nothing_traded(venue: Venue, pair: str, window: str) -> DataUnavailableError:
    """Make the error of a window without trades."""
    return DataUnavailableError(
        f"Nothing was traded in {pair} on {venue.id} within '{window}'.",
        details={"exchange": venue.id, "pair": pair, "window": window},
    )


def milliseconds(window: str) -> int:
    """Return the length of a rolling window."""
    return round(arguments.window_length(window).total_seconds() * 1000)


def finest(venue: Venue, window: str) -> tuple[str, int]:
    """Choose the shortest timeframe with a window in one page; return it with the milliseconds.

    Raises `DataUnavailableError` if the exchange has none.
    """
    covered = DAY if window == "day" else milliseconds(window)
    offered = [name for name in venue.timeframes if is_timeframe(name) and name[-1] in "mhd"]
    for name in sorted(offered, key=nominal_length):
        if expected(name).count(0, covered) + 1 <= venue.candles_per_request(name):
            return name, covered
    raise DataUnavailableError(
        f"{venue.id} has no ticker over '{window}', and no candles to compute it from.",
        details={"exchange": venue.id, "window": window},
    )


def _summary(columns: Columns) -> dict[str, Any]:
    opened, close = columns.open[0], columns.close[-1]
    change = difference(close, opened)
    percentage = None
    if opened:
        hundredfold = EXACT.multiply(exact(change), 100)
        percentage = rounded(quotient(hundredfold, exact(opened)), 8, opened)
    return {
        "last": close,
        "open": opened,
        "high": max(columns.high),
        "low": min(columns.low),
        "close": close,
        "average": mean(opened, close),
        "base_volume": None
        if not are_finite(columns.volume)
        else as_given(total(columns.volume), opened),
        "change": change,
        "percentage": percentage,
        "trades": None if min(columns.trades) < 0 else sum(columns.trades),
    }
