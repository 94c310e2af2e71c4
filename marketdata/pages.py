"""Candles in pages of a limited number of rows: the newest, or a range page by page.

What is requested of an exchange is bounded by the rows that are given, however long the range is.
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
"""Timeframes that a range may be given in where the exchange has them, the shortest first."""
_LONG = ("1d", "3d", "1w", "1M", "1y")
"""The same on any exchange: the library resamples those that it lacks."""
_NEWEST = 100
_ROWS = 500
_TIMEFRAME = "1h"
_FIRST_MARKET = instant(datetime(2010, 1, 1, tzinfo=UTC))
"""There was no market before."""
_FOREVER = 1 << 62


@dataclass(frozen=True)
class Page:
    """Candles, of which the first ``rows`` are the page."""

    candles: Candles
    rows: int
    following: Mapping[str, Any] = field(default_factory=dict)
    """Arguments to give with the start of the next page."""
    note: str = ""
    """What was chosen, or what fits better; ``{rows}`` in it is how many are given."""


def shifted(moment: int, timeframe: str, candles: int) -> int:
    """Return when the candle opens that is so many after the one a moment is in, or before it.

    Both times are Unix milliseconds; days open by UTC.
    """
    return expected(timeframe).shift(moment, candles)


async def page(client: AsyncClient, asked: Mapping[str, Any]) -> Page:
    """Return a page of the candles of a call to `AsyncClient.candles`, all arguments of it named.

    Without ``timeframe`` it is 1h, or what fits a long range in 500 rows; without ``limit`` it is
    100, the newest, or 500 of a range. Raises what the client raises. For a range the client would
    wait for its turn as long as that takes; here `ExchangeUnavailableError` ends it after
    MARKETDATA_TIMEOUT.
    """
    if asked["start"] is not None:
        exchange = asked["exchange"] or client.settings.exchange[0]
        return await within(client.settings.timeout, exchange, _range(client, exchange, asked))
    timeframe, limit = asked["timeframe"] or _TIMEFRAME, asked["limit"] or _NEWEST
    newest = await client.candles(**{**asked, "timeframe": timeframe, "limit": limit})
    return Page(newest, limit)


def lookback(asked: Mapping[str, Any]) -> timedelta:
    """Return how far before the current candle the first place is that a call of `page` asks for.

    A limit counts places here: where candles are missing, its candles are older than that. How many
    are missing is only known once the exchange has been asked, and a price is known before.
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
    """Get a range, whole or its first candles."""
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
    # One more says whether there is a next page, and where it starts.
    found = await client.candles(**{**asked, **times, "timeframe": timeframe, "limit": rows + 1})
    if len(found) > rows and total > _ROWS:
        fits = await _fitting(client, found.exchange, since, upto)
        note = (
            f"{total} candles of {timeframe}; first {{rows}} given. "
            f"timeframe={fits} fits all in {_ROWS}."
        )
    return Page(found, rows, following, note)


async def _fitting(client: AsyncClient, exchange: str, start: int, end: int) -> str:
    """Choose the shortest timeframe of which a range has no more candles than rows.

    Short ones that would have to be resampled are left out: they take several times as many
    requests.
    """
    own: Sequence[str] = next(
        (one.timeframes for one in await client.exchanges() if one.id == exchange), ()
    )
    names = [*(name for name in _SHORT if name in own), *_LONG]
    fits = (name for name in names if expected(name).count(start, end) <= _ROWS)
    return next(fits, _LONG[-1])
