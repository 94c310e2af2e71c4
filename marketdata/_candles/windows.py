"""Tickers over windows: the exchange's own, or computed from its candles."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from marketdata import arguments
from marketdata._candles.calendar import DAY, expected, known, nominal_length
from marketdata._candles.paging import Pages
from marketdata._candles.spans import between, moment
from marketdata._exchanges.one_by_one import one_by_one
from marketdata._requests.deadline import seconds_left, within
from marketdata.arguments import is_timeframe
from marketdata.errors import DataUnavailableError, UpstreamError
from marketdata.models import Quote, Ticker
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
    from marketdata.models.lists import Records

_PATIENCE = 10.0
"""Maximum seconds for an order book in a call without a time limit."""


async def ticker(venue: Venue, pair: str, window: str) -> Ticker:
    """Get a ticker of a named pair over a window that `arguments.window` has checked.

    Raises `DataUnavailableError` for an unsupported window, without a request.
    """
    venue.check("ticker")
    if not venue.has_window(window):
        _finest(venue, window)
    return await ticker_over(venue, await venue.listed.symbol(pair), window)


async def ticker_over(venue: Venue, pair: str, window: str) -> Ticker:
    """Get a ticker over a window that `arguments.window` has checked.

    If the exchange's own 24-hour ticker lacks bid and ask, they come from the order book.
    """
    if venue.has_window(window):
        found = await venue.ticker(pair, window)
    else:
        found = await _from_candles(venue, pair, window)
    # Some exchanges send 0 for an empty side.
    is_whole = found.bid and found.ask
    return found if is_whole or window != "24h" else await _with_best_prices(venue, found)


async def tickers(venue: Venue, pairs: Sequence[str], *, every: bool) -> Records[Ticker]:
    """Get 24-hour tickers in the given order, in one request if the exchange supports it.

    Pairs that a bulk response leaves out are requested one by one, unless ``every`` says that the
    caller wants all pairs. Missing fields of bulk tickers are not completed.
    """

    bulk = await venue.tickers(pairs, every=every)
    derived = not bulk and not venue.is_native("tickers")

    async def one(pair: str) -> Ticker:
        found = await ticker_over(venue, pair, "24h")
        return found.as_derived() if derived else found

    return await one_by_one(venue.id, pairs, one, every=every, known=bulk)


async def _with_best_prices(venue: Venue, ticker: Ticker) -> Ticker:
    best: Quote | None = None
    if venue.has("fetchOrderBook") or venue.has("fetchBidsAsks"):
        # Less than the whole time, so that the ticker can be returned without the book.
        seconds = 0.9 * seconds_left(_PATIENCE)
        with contextlib.suppress(UpstreamError):
            best = await within(seconds, venue.id, venue.quote(ticker.pair))
    update: dict[str, float | None] = {}
    for side in ("bid", "ask"):
        price = getattr(best, side, None)
        # A price and its size come from one response.
        if price or not getattr(ticker, side):
            size = getattr(best, f"{side}_volume", None) if price else None
            update |= {side: price, f"{side}_volume": size}
    found = [name for name, value in update.items() if value is not None]
    ticker = ticker.model_copy(update=update)
    return ticker.as_derived(found) if found else ticker


async def _from_candles(venue: Venue, pair: str, window: str) -> Ticker:
    timeframe, covered = _finest(venue, window)
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


def _finest(venue: Venue, window: str) -> tuple[str, int]:
    """Choose the shortest timeframe with a window in one page; return it with the milliseconds."""
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
