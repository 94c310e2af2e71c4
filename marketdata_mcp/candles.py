"""Bars for an agent: the newest, or as many of a range as it can read and where the others are.

What is asked of an exchange is bounded by the rows that are given, however long the range is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from marketdata._history import timeframes
from marketdata._history.pages import FIRST_MARKET
from marketdata._history.stretch import interval, milliseconds
from marketdata._requests.deadline import within
from marketdata.arguments import Milliseconds, instant
from marketdata.models import Candles, Interval
from marketdata_mcp import answers
from marketdata_mcp.answers import Answer, Content

if TYPE_CHECKING:
    from marketdata import AsyncClient

__all__ = ["ask", "lookback"]

_NEWEST = 100
_ROWS = 500
_TIMEFRAME = "1h"
_SHORT = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h")
"""What a range may be given in where the exchange has such bars, the shortest first."""
_LONG = ("1d", "3d", "1w", "1M", "1y")
"""The same on any exchange: the library makes those that it lacks."""
_FOREVER = 1 << 62


async def ask(client: AsyncClient, asked: Content) -> Answer:
    """Get the bars that a call asks for; an argument that it does not name is None.

    Raises what the client raises. For a range the client would wait for its turn as long as that
    takes; here `ExchangeUnavailableError` ends it after MARKETDATA_TIMEOUT.
    """
    asked = {**asked, "fill": asked["fill"] or "none"}
    if asked["start"] is not None:
        exchange = asked["exchange"] or client.settings.exchange[0]
        return await within(client.settings.timeout, exchange, _range(client, exchange, asked))
    timeframe, limit = asked["timeframe"] or _TIMEFRAME, asked["limit"] or _NEWEST
    newest = await client.candles(**{**asked, "timeframe": timeframe, "limit": limit})
    return answers.candles(newest, limit)


def lookback(asked: Content) -> timedelta:
    """Tell how far before the current bar the first bar begins that a call asks for."""
    length = asked["timeframe"] or _TIMEFRAME
    current = timeframes.opening(instant(datetime.now(UTC)), length)
    if asked["start"] is not None:
        first = max(asked["start"], 0)
    else:
        last = current if asked["end"] is None else timeframes.opening(asked["end"] - 1, length)
        first = timeframes.earlier(min(last, current), length, (asked["limit"] or _NEWEST) - 1)
    return timedelta(milliseconds=max(0, current - first))


async def _range(client: AsyncClient, exchange: str, asked: Content) -> Answer:
    """Get a range, whole or its first bars; `next` and `note` say what became of the others."""
    start, end = asked["start"], asked["end"] or _FOREVER
    since, upto = max(start, FIRST_MARKET), min(end, instant(datetime.now(UTC)))
    timeframe, rows = asked["timeframe"] or _TIMEFRAME, asked["limit"] or _ROWS
    named, note = {}, ""
    total = _count(since, upto, timeframe)
    if asked["timeframe"] is None and total > _ROWS:
        timeframe = await _fitting(client, exchange, since, upto)
        named = {"timeframe": timeframe}
        note = f"{total} bars of {_TIMEFRAME} are too many; these are of {timeframe}."
        total = _count(since, upto, timeframe)
    found, behind = await _first(client, {**asked, "timeframe": timeframe}, rows)
    if behind >= min(end, instant(found.timestamp)):
        return answers.candles(found, rows, named=named, note=note)
    if total > _ROWS:
        fits = await _fitting(client, found.exchange, since, upto)
        note = (
            f"{total} bars of {timeframe}; first {{rows}} given. "
            f"timeframe={fits} fits all in {_ROWS}."
        )
    return answers.candles(found, rows, behind=behind, named=named, note=note)


async def _first(client: AsyncClient, question: Content, rows: int) -> tuple[Candles, int]:
    """Get the bars of the first so many places of a range, and the end of those places.

    Where all of them are empty, those from the range's first bar on.
    """
    start, end = question["start"], question["end"] or _FOREVER
    found, behind = await _places(client, question, start, rows)
    if len(found) or behind >= min(end, instant(found.timestamp)):
        return found, behind
    # The client finds the next bar in a few requests, be it minutes away or years.
    timeframe = question["timeframe"]
    question = {**question, "exchange": found.exchange}
    one = {"timeframe": found.resampled_from or timeframe, "limit": 1, "fill": "none"}
    ahead = await client.candles(**{**question, **one})
    if not len(ahead):
        upto = min(end, instant(found.timestamp))
        return found.model_copy(update={"missing": _prolonged(found, upto)}), upto
    opened = timeframes.opening(ahead.columns.time[0], timeframe)
    nothing = _prolonged(found, opened)
    found, behind = await _places(client, question, opened, rows)
    return found.model_copy(update={"missing": (*nothing, *found.missing)}), behind


async def _places(
    client: AsyncClient, question: Content, start: int, rows: int
) -> tuple[Candles, int]:
    """Get the bars that open in so many places from a time on, and the end of those places."""
    timeframe, end = question["timeframe"], question["end"] or _FOREVER
    now = instant(datetime.now(UTC))
    # Not many more than there may be by now: ten thousand years are no time that one can name.
    rows = min(rows, _count(start, min(end, now), timeframe) + 1)
    behind = timeframes.earlier(timeframes.first_open(start, timeframe, None), timeframe, -rows)
    span = {"start": Milliseconds(start), "end": Milliseconds(min(end, behind)), "limit": None}
    return await client.candles(**{**question, **span}), behind


def _count(start: int, end: int, timeframe: str) -> int:
    first, behind = (timeframes.first_open(at, timeframe, None) for at in (start, end))
    return max(0, timeframes.count(first, behind, timeframe))


async def _fitting(client: AsyncClient, exchange: str, start: int, end: int) -> str:
    """Choose the shortest bars of which a range has no more than an answer has rows.

    Short ones that would have to be made are left out: an exchange has to be asked for several
    times as many bars, and may not have so many.
    """
    own = next((one.timeframes for one in await client.exchanges() if one.id == exchange), ())
    offered = [*(name for name in _SHORT if name in own), *_LONG]
    return next(name for name in offered if _count(start, end, name) <= _ROWS)


def _prolonged(found: Candles, until: int) -> tuple[Interval, ...]:
    """Give what is missing, the last of it up to a later time."""
    if not found.missing:
        return ()
    *before, last = found.missing
    start = milliseconds(last.start)
    return (*before, interval(start, until, last.cause, timeframe=found.timeframe))
