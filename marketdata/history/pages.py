"""Candles over any range: page after page, nothing twice, nothing silently missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from marketdata.errors import InvalidParameterError
from marketdata.history import timeframes
from marketdata.models import Candles, Columns, Interval

if TYPE_CHECKING:
    from marketdata._ccxt import Reply
    from marketdata._exchange import Venue

DEFAULT_LIMIT = 100


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
    timeframes.length(timeframe)
    venue.check_timeframe(timeframe)
    now = round(datetime.now(UTC).timestamp() * 1000)
    if start is None:
        behind = None if end is None or end > now else end
        columns, reply = await _newest(venue, pair, timeframe, limit or DEFAULT_LIMIT, behind)
        return _result(venue, pair, timeframe, columns, reply)
    until = now + 1 if end is None else end
    if start >= until or start > now:
        raise InvalidParameterError(
            f"The range is empty: start ({_text(start)}) has to be before end ({_text(until)}) "
            "and not in the future.",
            details={"parameter": "start"},
        )
    columns, reply = await _range(venue, pair, timeframe, start, until, limit)
    columns = columns[:limit]
    full = limit is not None and len(columns) == limit
    return _result(venue, pair, timeframe, columns, reply, start=start, end=None if full else until)


async def _newest(
    venue: Venue, pair: str, timeframe: str, wanted: int, before: int | None
) -> tuple[Columns, Reply]:
    """Get the last bars, or the last that open before a time; fewer where there are no more."""
    reply: Reply | None = None
    columns = Columns.from_rows([])
    if before is None:
        size = min(wanted, venue.candles_per_request)
        columns, reply = await venue.candles(pair, timeframe, None, size)
        columns = columns[-wanted:]
        if not len(columns):
            return columns, reply
        before = columns.time[0]
    # Bars that an exchange leaves out make a stretch of time hold fewer than it has room for.
    while len(columns) < wanted or reply is None:
        start = max(0, before - (wanted - len(columns)) * timeframes.length(timeframe))
        earlier, reply = await _range(venue, pair, timeframe, start, before, None)
        if not len(earlier):
            break
        earlier.extend(columns)
        columns, before = earlier[-wanted:], earlier.time[0]
    return columns, reply


async def _range(
    venue: Venue, pair: str, timeframe: str, start: int, end: int, enough: int | None
) -> tuple[Columns, Reply]:
    """Get all bars that open in a range, or its first so many."""
    step = timeframes.length(timeframe)
    page = venue.candles_per_request
    pages: list[Columns] = []
    count = 0
    cursor = timeframes.first_open(start, timeframe, None) if step <= 86_400_000 else start
    while True:
        left = -((cursor - end) // step)
        ask = max(1, min(page, left if enough is None else min(left, enough - count)))
        found, reply = await venue.candles(pair, timeframe, cursor, ask)
        fresh = _between(found, cursor, end)
        if len(fresh):
            pages.append(fresh)
            count += len(fresh)
            cursor = timeframes.following(fresh.time[-1], timeframe)
        else:
            cursor = await _beyond_nothing(venue, pair, timeframe, cursor, ask, found)
        if cursor >= min(end, _exchange_now(reply)) or (enough is not None and count >= enough):
            return _joined(pages), reply


async def _beyond_nothing(
    venue: Venue, pair: str, timeframe: str, cursor: int, asked: int, found: Columns
) -> int:
    """Give where to go on when a page had nothing between its start and the end of the range.

    Some exchanges answer with later bars: then nothing is left before those. Others answer with
    nothing because their page covers a fixed time, which is then proven empty; how long it stays
    empty is asked in daily bars, whose pages cover years.
    """
    if len(found) and found.time[0] > cursor:
        return found.time[0]
    step = timeframes.length(timeframe)
    beyond = cursor + asked * step
    day = 86_400_000
    if step < day and "1d" in venue.timeframes:
        page = venue.candles_per_request
        daily, _ = await venue.candles(pair, "1d", beyond - beyond % day, page)
        if len(daily):
            return max(beyond, daily.time[0])
        return beyond + page * day
    return beyond


def _between(columns: Columns, start: int, end: int) -> Columns:
    """Give the bars that open in a range, each once, in order."""
    times = columns.time
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
    if start is None and len(times) and _is_unbroken(columns, timeframe):
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
        closed = expected
        while timeframes.following(closed, timeframe) <= end:
            closed = timeframes.following(closed, timeframe)
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
    bars, opened = 0, start
    step = timeframes.length(timeframe)
    if timeframes.following(start, timeframe) == start + step and timeframe[-1] not in "My":
        bars = (end - start) // step
    else:
        while opened < end:
            bars, opened = bars + 1, timeframes.following(opened, timeframe)
    return Interval(
        start=datetime.fromtimestamp(start / 1000, UTC),
        end=datetime.fromtimestamp(end / 1000, UTC),
        bars=bars,
    )


def _exchange_now(reply: Reply) -> int:
    """Give the exchange's time in Unix ms: its answer's Date, or ours where it sent none.

    Date has whole seconds, rounded down, and bars end on whole seconds: a bar is over exactly
    when Date has reached its end.
    """
    return round((reply.date or reply.received_at).timestamp() * 1000)


def _text(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat().replace("+00:00", "Z")
