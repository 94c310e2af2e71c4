"""Tickers: the exchange's own with the best prices of its book, or computed from its candles."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketdata._exchanges.one_by_one import one_by_one
from marketdata._requests.deadline import seconds_left, within
from marketdata.errors import UpstreamError
from marketdata.models import Quote, Ticker

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
        from marketdata._candles.windows import finest

        finest(venue, window)
    return await ticker_over(venue, await venue.listed.symbol(pair), window)


async def ticker_over(venue: Venue, pair: str, window: str) -> Ticker:
    """Get a ticker over a window that `arguments.window` has checked.

    If the exchange's own 24-hour ticker lacks bid and ask, they come from the order book.
    """
    if venue.has_window(window):
        found = await venue.ticker(pair, window)
    else:
        from marketdata._candles.windows import ticker_of_candles

        found = await ticker_of_candles(venue, pair, window)
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
