"""Candles in pages of a limited number of rows: the newest, or a range page by page.

The number of rows limits the requests to an exchange, however long the range is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from marketdata._candles.calendar import expected
from marketdata._requests.deadline import within
from marketdata.arguments import Milliseconds, instant

if TYPE_CHECKING:
    from marketdata._client.asynchronous import AsyncClient
    from marketdata.models import Candles

__all__ = ["Page", "lookback", "page", "shifted"]

_SHORT = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h")
"""Timeframes to choose from if the exchange has them, shortest first."""
_LONG = ("1d", "3d", "1w", "1M", "1y")
"""Timeframes to choose from on any exchange: the library resamples missing ones."""
_NEWEST = 100
_ROWS = 500
_TIMEFRAME = "1h"
_FIRST_MARKET = instant(datetime(2010, 1, 1, tzinfo=UTC))
"""There were no markets before this time."""
_FOREVER = 1 << 62


@dataclass(frozen=True)
class Page:
    """Candles, of which the first ``rows`` are the page."""

    candles: Candles
    rows: int
    following: Mapping[str, Any] = field(default_factory=dict)
    """Arguments for the next page."""
    note: str = ""
    """A note about the chosen timeframe, or a better one; ``{rows}`` is the number of rows."""


def shifted(moment: int, timeframe: str, candles: int) -> int:
    """Return the open time of the candle ``candles`` after that of a moment, or before it.

    Both times are Unix milliseconds; days open by UTC.
    """
    return expected(timeframe).shift(moment, candles)


async def page(client: AsyncClient, asked: Mapping[str, Any]) -> Page:
    """Return a page of the candles of a call to `AsyncClient.candles`, with named arguments.

    The default ``timeframe`` is 1h, or one with which a long range fits into 500 rows. The default
    ``limit`` is the newest 100, or 500 of a range. Raises the client's errors. For a range, the
    client would wait for the rate limit as long as necessary; here `ExchangeUnavailableError` is
    raised after MARKETDATA_TIMEOUT.
    """
    if asked["start"] is not None:
        exchange = asked["exchange"] or client.settings.exchange[0]
        return await within(client.settings.timeout, exchange, _range(client, exchange, asked))
    timeframe, limit = asked["timeframe"] or _TIMEFRAME, asked["limit"] or _NEWEST
    newest = await client.candles(**{**asked, "timeframe": timeframe, "limit": limit})
    return Page(newest, limit)


def lookback(asked: Mapping[str, Any]) -> timedelta:
    """Return the distance from the current candle to the first place that `page` requests.

    Here a limit counts places. With missing candles, its candles are older. Their number is known
    only after the request, but a price must be known before.
    """
    timeframe = asked["timeframe"] or _TIMEFRAME
    current = shifted(instant(datetime.now(UTC)), timeframe, 0)
    if asked["start"] is not None:
        first = max(asked["start"], 0)
    else:
        last = current if asked["end"] is None else min(asked["end"] - 1, current)
        first = shifted(last, timeframe, 1 - (asked["limit"] or _NEWEST))
    return timedelta(milliseconds=max(0, current - first))


async def _range(client: AsyncClient, exchange: str, asked: Mapping[str, Any]) -> Page:
    """Get a range, complete or only its first candles."""
    start, end = asked["start"], asked["end"] or _FOREVER
    since, upto = max(start, _FIRST_MARKET), min(end, instant(datetime.now(UTC)))
    timeframe, rows = asked["timeframe"] or _TIMEFRAME, asked["limit"] or _ROWS
    following, note = {}, ""
    total = expected(timeframe).count(since, upto)
    if asked["timeframe"] is None and total > _ROWS:
        timeframe = await _fitting(client, exchange, since, upto)
        following = {"timeframe": timeframe}
        note = f"{total} candles of {_TIMEFRAME} are too many; these are of {timeframe}."
        total = expected(timeframe).count(since, upto)
    times = {"start": Milliseconds(start), "end": asked["end"] and Milliseconds(end)}
    # One more candle shows whether there is a next page, and where it starts.
    found = await client.candles(**{**asked, **times, "timeframe": timeframe, "limit": rows + 1})
    if len(found) > rows and total > _ROWS:
        fits = await _fitting(client, found.exchange, since, upto)
        note = (
            f"{total} candles of {timeframe}; first {{rows}} given. "
            f"timeframe={fits} fits all in {_ROWS}."
        )
    return Page(found, rows, following, note)


async def _fitting(client: AsyncClient, exchange: str, start: int, end: int) -> str:
    """Choose the shortest timeframe with which a range fits into the rows.

    Short ones that must be resampled are left out, because they take several times as many
    requests.
    """
    own: Sequence[str] = next(
        (one.timeframes for one in await client.exchanges() if one.id == exchange), ()
    )
    names = [*(name for name in _SHORT if name in own), *_LONG]
    fits = (name for name in names if expected(name).count(start, end) <= _ROWS)
    return next(fits, _LONG[-1])
