"""Pages of candles: as many as a range takes, nothing twice, nothing silently left out."""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from marketdata._history import timeframes
from marketdata._history.stretch import Span
from marketdata.models import Candles, Interval
from marketdata.models.columns import Columns, Row

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue
    from marketdata._requests.reply import Reply

_DAY = 86_400_000
FIRST_MARKET = 1_262_304_000_000
"""2010-01-01, before there was a market, in Unix ms: nothing earlier need be asked for."""
_FOREVER = 1 << 62


@dataclass
class Found:
    """The bars that an exchange gave of a range."""

    columns: Columns
    reply: Reply
    """The one that brought the last bar, or the last one where there is none."""
    until: int
    """How far the exchange was asked: behind the last bar none opens before this (Unix ms)."""
    beyond: Columns
    """Bars from behind the range that came with the last of it, none left out."""
    disputed: frozenset[int] = frozenset()
    """Opening times for which different bars came."""


async def newest(
    venue: Venue, pair: str, timeframe: str, wanted: int, end: int | None
) -> tuple[Columns, Reply, Span]:
    """Get the last bars, or the last that open before a time (Unix ms), and their range.

    Fewer than wanted where there are no more; the range then begins where the first would be. It
    ends at the time given, or behind the last bar.
    """
    columns, reply = await _newest(venue, pair, timeframe, wanted, end)
    start = columns.time[0] if len(columns) else end or exchange_now(reply)
    if end is None:
        end = timeframes.following(columns.time[-1], timeframe) if len(columns) else start
    if len(columns) < wanted:
        since_1970 = start // timeframes.length(timeframe)
        start = timeframes.earlier(start, timeframe, min(wanted - len(columns), since_1970))
    return columns, reply, Span(start, min(end, exchange_now(reply)))


async def newest_page(venue: Venue, pair: str, timeframe: str, count: int) -> Candles:
    """Get those of the newest so many bars that one request gives."""
    columns, reply = await venue.candles(pair, timeframe, None, count)
    return result(venue, pair, timeframe, columns[-count:], reply)


async def _newest(
    venue: Venue, pair: str, timeframe: str, wanted: int, end: int | None
) -> tuple[Columns, Reply]:
    """Get the last bars, or the last that open before a time; fewer where there are no more."""
    page, step = venue.candles_per_request, timeframes.length(timeframe)
    if end is None or end > _our_now():
        columns, reply = await venue.candles(pair, timeframe, None, min(wanted, page))
        columns = _between(columns, 0, end)[-wanted:]
        high = min(end or _FOREVER, exchange_now(reply) + 1)
        high = columns.time[0] if len(columns) else high
    else:
        high = max(FIRST_MARKET, end - wanted * step)
        found = await bars_between(venue, pair, timeframe, high, end)
        columns, reply = found.columns[-wanted:], found.reply
    # Bars that an exchange leaves out make a stretch of time hold fewer than it has room for.
    size, leapt = wanted - len(columns), False
    while len(columns) < wanted and high > FIRST_MARKET:
        low = max(FIRST_MARKET, high - max(size * step, _DAY if leapt else 0))
        found = await bars_between(venue, pair, timeframe, low, high)
        if len(found.columns):
            # Whether the last bar is still forming is told by the reply that brought it.
            reply = reply if len(columns) else found.reply
            found.columns.extend(columns)
            columns, high, leapt = found.columns[-wanted:], low, False
        else:
            day = None if leapt else await last_day(venue, pair, timeframe, low)
            if day is None:
                break
            high, leapt = min(low, day), True
        size = max(page, wanted - len(columns))
    return columns, reply


async def bars_between(
    venue: Venue,
    pair: str,
    timeframe: str,
    start: int,
    end: int | None,
    far: int | None = None,
    *,
    finite: bool = True,
) -> Found:
    """Get all bars that open in a range (Unix ms; ``end=None``: up to now), oldest first.

    Where the range ends in nothing, the next bar is looked for up to ``far``. ``finite`` is that
    of `Venue.candles`.
    """
    step = timeframes.length(timeframe)
    page = venue.candles_per_request
    pages: list[Columns] = []
    disputed: set[int] = set()
    cursor = max(start, FIRST_MARKET)
    if step <= _DAY:
        cursor = timeframes.first_open(cursor, timeframe, None)
    stop = end or _our_now() + 1
    last: Reply | None = None
    while True:
        ask = max(1, min(page, -((cursor - stop) // step)))
        found, reply = await venue.candles(pair, timeframe, cursor, ask, finite=finite)
        # Whether bars are still to come is for the exchange's clock to say.
        stop = min(end or _FOREVER, exchange_now(reply) + 1)
        fresh = _between(found, cursor, end, disputed)
        if len(fresh):
            if fresh.time[0] > cursor and len(found) < ask:
                # A page of an exchange that gives the newest first may lack its beginning.
                head = await bars_between(
                    venue, pair, timeframe, cursor, fresh.time[0], finite=finite
                )
                pages.append(head.columns)
                disputed |= head.disputed
            pages.append(fresh)
            cursor, last = timeframes.following(fresh.time[-1], timeframe), reply
        if cursor < stop and not len(fresh):
            until = max(stop, min(far or 0, exchange_now(reply) + 1))
            cursor = await _beyond_nothing(venue, pair, timeframe, cursor, ask, until, found)
        if cursor >= stop:
            beyond = _between(found, cursor, None, disputed)
            until = beyond.time[0] if len(beyond) else cursor
            return Found(_joined(pages), last or reply, until, beyond, frozenset(disputed))


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


async def last_day(venue: Venue, pair: str, timeframe: str, before: int) -> int | None:
    """Give the end of the last day that has bars before a time; None where none is known."""
    probe, step = _probe(venue, timeframe)
    days = venue.candles_per_request
    start = max(FIRST_MARKET, before - before % _DAY - (days - 1) * step)
    bars, _ = await venue.candles(pair, probe, start, days)
    opened = [time for time in bars.time if time < before]
    return opened[-1] + step if opened else None


def _probe(venue: Venue, timeframe: str) -> tuple[str, int]:
    """Choose the bars that show where there are any: daily ones, or those asked for if longer."""
    name = "1d" if "1d" in venue.timeframes else timeframe
    if timeframes.length(timeframe) >= timeframes.length(name):
        name = timeframe
    return name, timeframes.length(name)


def _between(
    columns: Columns, start: int, end: int | None, disputed: set[int] | None = None
) -> Columns:
    """Give the bars that open in a range, once, in order; note those that came in two forms."""
    times, end = columns.time, end or _FOREVER
    ordered = all(map(operator.lt, times, times[1:]))
    if ordered and len(times) and start <= times[0] and times[-1] < end:
        return columns
    if ordered:
        return columns[bisect_left(times, start) : bisect_left(times, end)]
    rows: dict[int, Row] = {}
    for row in columns.rows():
        if start <= row[0] < end and rows.setdefault(row[0], row) != row and disputed is not None:
            disputed.add(row[0])
    return Columns.from_rows([rows[time] for time in sorted(rows)])


def _joined(pages: Sequence[Columns]) -> Columns:
    joined = Columns.from_rows([])
    for one in pages:
        joined.extend(one)
    return joined


def result(
    venue: Venue,
    pair: str,
    timeframe: str,
    columns: Columns,
    reply: Reply,
    missing: Sequence[Interval] = (),
) -> Candles:
    """Make the record of bars whose last one may still be forming."""
    now = exchange_now(reply)
    last = columns.time[-1] if len(columns) else None
    return Candles(
        exchange=venue.id,
        pair=pair,
        timestamp=datetime.fromtimestamp(now / 1000, UTC) if reply.date else reply.received_at,
        received_at=reply.received_at,
        simulated=True if reply.simulated else None,
        timeframe=timeframe,
        source="candles",
        forming=last is not None and timeframes.following(last, timeframe) > now,
        missing=tuple(missing),
        columns=columns,
    )


def spans_missing(times: Sequence[int], timeframe: str, start: int, end: int) -> list[Span]:
    """List where bars are missing that open in a range; times are in order and on one grid."""
    if not len(times):
        first = timeframes.first_open(start, timeframe, None)
        closed = timeframes.last_end(first, end, timeframe) if first < end else first
        return [Span(first, closed)] if first < closed else []
    holes: list[Span] = []
    expected = timeframes.first_open(start, timeframe, times[0])
    if _is_unbroken(times, timeframe):
        # One look at both ends instead of one at each of a thousand bars.
        if times[0] > expected:
            holes.append(Span(expected, times[0]))
        expected = timeframes.following(times[-1], timeframe)
        times = ()
    for time in times:
        if time > expected:
            holes.append(Span(expected, time))
        expected = timeframes.following(time, timeframe)
    closed = timeframes.last_end(expected, end, timeframe)
    if closed > expected:
        holes.append(Span(expected, closed))
    return holes


def _is_unbroken(times: Sequence[int], timeframe: str) -> bool:
    # Bars are in order and on one grid, so that their number tells whether one is missing.
    if timeframe[-1] in "My":
        return False
    return times[-1] - times[0] == (len(times) - 1) * timeframes.length(timeframe)


def exchange_now(reply: Reply) -> int:
    """Give the exchange's time in Unix ms: its answer's Date, or ours where it sent none.

    Date has whole seconds, rounded down, and bars end on whole seconds: a bar is over exactly
    when Date has reached its end.
    """
    return round((reply.date or reply.received_at).timestamp() * 1000)


def _our_now() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)
