"""Candles for an agent: the newest, or as many of a range as it can read, and where the rest is.

What is asked of an exchange is bounded by the rows that are given, however long the range is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from marketdata.arguments import Milliseconds, instant
from marketdata.operations import candle_count, fitting_timeframe, shifted, within
from marketdata_mcp import answers
from marketdata_mcp.answers import Answer, Content

if TYPE_CHECKING:
    from marketdata import AsyncClient

__all__ = ["ask", "lookback"]

_NEWEST = 100
_ROWS = 500
_TIMEFRAME = "1h"
_FIRST_MARKET = instant(datetime(2010, 1, 1, tzinfo=UTC))
"""There was no market before."""
_FOREVER = 1 << 62


async def ask(client: AsyncClient, asked: Content) -> Answer:
    """Get the candles that a call asks for; an argument that it does not name is None.

    Raises what the client raises. For a range the client would wait for its turn as long as that
    takes; here `ExchangeUnavailableError` ends it after MARKETDATA_TIMEOUT.
    """
    asked = {**asked, "fill": asked["fill"] or "none"}
    columns = asked.pop("columns", None)
    if asked["start"] is not None:
        exchange = asked["exchange"] or client.settings.exchange[0]
        return await within(
            client.settings.timeout, exchange, _range(client, exchange, asked, columns)
        )
    timeframe, limit = asked["timeframe"] or _TIMEFRAME, asked["limit"] or _NEWEST
    newest = await client.candles(**{**asked, "timeframe": timeframe, "limit": limit})
    return answers.candles(newest, limit, columns)


def lookback(asked: Content) -> timedelta:
    """Tell how far before the current candle the first place is that a call asks for.

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


async def _range(
    client: AsyncClient, exchange: str, asked: Content, columns: Sequence[str] | None
) -> Answer:
    """Get a range, whole or its first candles; `next` and `note` say where the others are."""
    start, end = asked["start"], asked["end"] or _FOREVER
    since, upto = max(start, _FIRST_MARKET), min(end, instant(datetime.now(UTC)))
    timeframe, rows = asked["timeframe"] or _TIMEFRAME, asked["limit"] or _ROWS
    named, note = {}, ""
    total = candle_count(since, upto, timeframe)
    if asked["timeframe"] is None and total > _ROWS:
        timeframe = await _fitting(client, exchange, since, upto)
        named = {"timeframe": timeframe}
        note = f"{total} candles of {_TIMEFRAME} are too many; these are of {timeframe}."
        total = candle_count(since, upto, timeframe)
    times = {"start": Milliseconds(start), "end": asked["end"] and Milliseconds(end)}
    # One more says whether there is a next page, and where it starts.
    found = await client.candles(**{**asked, **times, "timeframe": timeframe, "limit": rows + 1})
    if len(found) > rows and total > _ROWS:
        fits = await _fitting(client, found.exchange, since, upto)
        note = (
            f"{total} candles of {timeframe}; first {{rows}} given. "
            f"timeframe={fits} fits all in {_ROWS}."
        )
    return answers.candles(found, rows, columns, named=named, note=note)


async def _fitting(client: AsyncClient, exchange: str, start: int, end: int) -> str:
    own = next((one.timeframes for one in await client.exchanges() if one.id == exchange), ())
    return fitting_timeframe(own, start, end, _ROWS)
