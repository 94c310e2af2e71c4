"""Candles over any range: page after page, nothing twice, nothing silently missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from marketdata.errors import InvalidParameterError
from marketdata._history import timeframes
from marketdata.models import Candles, Columns, Interval

if TYPE_CHECKING:
    from marketdata._ccxt import Reply
    from marketdata._exchange import Venue

DEFAULT_LIMIT = 100

_DAY = 86_400_000
_FIRST_MARKET = 1_262_304_000_000
"""2010-01-01, before there was a market, in Unix ms: nothing earlier need be asked for."""
_FOREVER = 1 << 62


async def candles(
    venue: Venue,
    pair: str,
    timeframe: str,
    *,
    limit: int | None,
    start: int | None,
    end: int | None,
) -> Candles:
    """Get the newest bars, or those of a range: ``start`` inside, ``end`` outside, in Unix ms.

    Raises `InvalidParameterError` for an empty range or one that has not begun.
    """
    venue.check_timeframe(timeframe)
    if start is None:
        wanted = limit or DEFAULT_LIMIT
        columns, reply = await _newest(venue, pair, timeframe, wanted, end)
        if len(columns) < wanted:
            first = columns.time[0] if len(columns) else end or _exchange_now(reply)
            since_1970 = first // timeframes.length(timeframe)
            short = min(wanted - len(columns), since_1970)
            start = timeframes.earlier(first, timeframe, short)
            end = end if len(columns) else first
        return _result(venue, pair, timeframe, columns, reply, start=start, end=end)
    if end is not None and start >= end:
        raise _empty(start, f"has to be before end ({_text(end)})")
    columns, reply = await _range(venue, pair, timeframe, start, end, limit)
    if start > _exchange_now(reply) and not len(columns):
        raise _empty(start, f"is still to come on {venue.id}")
    columns = columns[:limit]
    full = limit is not None and len(columns) == limit
    last = None if full else end or _exchange_now(reply)
    return _result(venue, pair, timeframe, columns, reply, start=start, end=last)


async def newest_page(venue: Venue, pair: str, timeframe: str, count: int) -> Candles:
    """Get those of the newest so many bars that one request gives."""
    columns, reply = await venue.candles(pair, timeframe, None, count)
    return _result(venue, pair, timeframe, columns[-count:], reply)


def _empty(start: int, why: str) -> InvalidParameterError:
    return InvalidParameterError(
        f"The range is empty: start ({_text(start)}) {why}.", details={"parameter": "start"}
    )


async def _newest(
    venue: Venue, pair: str, timeframe: str, wanted: int, end: int | None
) -> tuple[Columns, Reply]:
    """Get the last bars, or the last that open before a time; fewer where there are no more."""
    page, step = venue.candles_per_request, timeframes.length(timeframe)
    if end is None or end > _our_now():
        columns, reply = await venue.candles(pair, timeframe, None, min(wanted, page))
        columns = _between(columns, 0, end)[-wanted:]
        high = min(end or _FOREVER, _exchange_now(reply) + 1)
        high = columns.time[0] if len(columns) else high
    else:
        high = max(_FIRST_MARKET, end - wanted * step)
        columns, reply = await _range(venue, pair, timeframe, high, end, None)
        columns = columns[-wanted:]
    # Bars that an exchange leaves out make a stretch of time hold fewer than it has room for.
    size, leapt = wanted - len(columns), False
    while len(columns) < wanted and high > _FIRST_MARKET:
        low = max(_FIRST_MARKET, high - max(size * step, _DAY if leapt else 0))
        earlier, past = await _range(venue, pair, timeframe, low, high, None)
        if len(earlier):
            # Whether the last bar is still forming is told by the reply that brought it.
            reply = reply if len(columns) else past
            earlier.extend(columns)
            columns, high, leapt = earlier[-wanted:], low, False
        else:
            day = None if leapt else await _last_day(venue, pair, timeframe, low)
            if day is None:
                break
            high, leapt = min(low, day), True
        size = max(page, wanted - len(columns))
    return columns, reply


async def _range(
    venue: Venue, pair: str, timeframe: str, start: int, end: int | None, enough: int | None
) -> tuple[Columns, Reply]:
    """Get all bars that open in a range (``end=None``: up to now), or its first so many."""
    step = timeframes.length(timeframe)
    page = venue.candles_per_request
    pages: list[Columns] = []
    count = 0
    cursor = max(start, _FIRST_MARKET)
    if step <= _DAY:
        cursor = timeframes.first_open(cursor, timeframe, None)
    stop = end or _our_now() + 1
    last: Reply | None = None
    while True:
        left = -((cursor - stop) // step)
        ask = max(1, min(page, left if enough is None else min(left, enough - count)))
        found, reply = await venue.candles(pair, timeframe, cursor, ask)
        # Whether bars are still to come is for the exchange's clock to say.
        stop = min(end or _FOREVER, _exchange_now(reply) + 1)
        fresh = _between(found, cursor, end)
        if len(fresh):
            if fresh.time[0] > cursor and len(found) < ask:
                # A page of an exchange that gives the newest first may lack its beginning.
                head, _ = await _range(venue, pair, timeframe, cursor, fresh.time[0], None)
                pages.append(head)
            pages.append(fresh)
            count = sum(map(len, pages))
            cursor, last = timeframes.following(fresh.time[-1], timeframe), reply
        elif cursor < stop:
            cursor = await _beyond_nothing(venue, pair, timeframe, cursor, ask, stop, found)
        if cursor >= stop or (enough is not None and count >= enough):
            return _joined(pages), last or reply


async def _beyond_nothing(
    venue: Venue, pair: str, timeframe: str, cursor: int, asked: int, stop: int, found: Columns
) -> int:
    """Give where to go on when a page had nothing between its start and the end of the range.

    Some exchanges answer with later bars: then nothing is left before those. Others answer with
    nothing because their page covers a fixed time, which is then proven empty; how long it stays
    empty is asked in daily bars, whose pages cover years.
    """
    if len(found) and found.time[0] > cursor:
        return found.time[0]
    probe, step = _probe(venue, timeframe)
    beyond = cursor + asked * timeframes.length(timeframe)
    while beyond < stop:
        opened = beyond - beyond % _DAY
        bars, _ = await venue.candles(pair, probe, opened, venue.candles_per_request)
        later = next((time for time in bars.time if time + step > beyond), None)
        if later is not None:
            return max(beyond, later)
        beyond = opened + venue.candles_per_request * step
    return beyond


async def _last_day(venue: Venue, pair: str, timeframe: str, before: int) -> int | None:
    """Give the end of the last day that has bars before a time; None where none is known."""
    probe, step = _probe(venue, timeframe)
    days = venue.candles_per_request
    start = max(_FIRST_MARKET, before - before % _DAY - (days - 1) * step)
    bars, _ = await venue.candles(pair, probe, start, days)
    opened = [time for time in bars.time if time < before]
    return opened[-1] + step if opened else None


def _probe(venue: Venue, timeframe: str) -> tuple[str, int]:
    """Choose the bars that show where there are any: daily ones, or those asked for if longer."""
    name = "1d" if "1d" in venue.timeframes else timeframe
    if timeframes.length(timeframe) >= timeframes.length(name):
        name = timeframe
    return name, timeframes.length(name)


def _between(columns: Columns, start: int, end: int | None) -> Columns:
    """Give the bars that open in a range, each once, in order."""
    times, end = columns.time, end or _FOREVER
    ordered = all(earlier < later for earlier, later in pairwise(times))
    if ordered and len(times) and start <= times[0] and times[-1] < end:
        return columns
    rows = {row[0]: row for row in columns.rows() if start <= row[0] < end}
    return Columns.from_rows([rows[time] for time in sorted(rows)])


def _joined(pages: Sequence[Columns]) -> Columns:
    joined = Columns.from_rows([])
    for one in pages:
        joined.extend(one)
    return joined


def _result(
    venue: Venue,
    pair: str,
    timeframe: str,
    columns: Columns,
    reply: Reply,
    *,
    start: int | None = None,
    end: int | None = None,
) -> Candles:
    now = _exchange_now(reply)
    last = columns.time[-1] if len(columns) else None
    forming = last is not None and timeframes.following(last, timeframe) > now
    return Candles(
        exchange=venue.id,
        pair=pair,
        timestamp=datetime.fromtimestamp(now / 1000, UTC) if reply.date else reply.received_at,
        received_at=reply.received_at,
        simulated=True if reply.simulated else None,
        timeframe=timeframe,
        source="candles",
        forming=forming,
        missing=tuple(_holes(columns, timeframe, start, None if end is None else min(end, now))),
        columns=columns,
    )


def _holes(columns: Columns, timeframe: str, start: int | None, end: int | None) -> list[Interval]:
    """List the bars that are over, belong in the range, and are not there."""
    times = columns.time
    holes: list[Interval] = []
    if start is None and end is None and len(times) and _is_unbroken(columns, timeframe):
        return holes
    expected = None
    if start is not None:
        expected = timeframes.first_open(start, timeframe, times[0] if len(times) else None)
    for time in times:
        if expected is not None and time > expected:
            holes.append(_interval(expected, time, timeframe))
        expected = timeframes.following(time, timeframe)
    if end is not None and expected is not None:
        # The bar that is still forming exists only once it has had a trade.
        closed = timeframes.last_end(expected, end, timeframe)
        if closed > expected:
            holes.append(_interval(expected, closed, timeframe))
    return holes


def _is_unbroken(columns: Columns, timeframe: str) -> bool:
    # Bars are in order and on one grid, so that their number tells whether one is missing.
    times = columns.time
    if timeframe[-1] in "My":
        return False
    return times[-1] - times[0] == (len(times) - 1) * timeframes.length(timeframe)


def _interval(start: int, end: int, timeframe: str) -> Interval:
    return Interval(
        start=datetime.fromtimestamp(start / 1000, UTC),
        end=datetime.fromtimestamp(end / 1000, UTC),
        bars=timeframes.count(start, end, timeframe),
    )


def _exchange_now(reply: Reply) -> int:
    """Give the exchange's time in Unix ms: its answer's Date, or ours where it sent none.

    Date has whole seconds, rounded down, and bars end on whole seconds: a bar is over exactly
    when Date has reached its end.
    """
    return round((reply.date or reply.received_at).timestamp() * 1000)


def _our_now() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)


def _text(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat().replace("+00:00", "Z")
