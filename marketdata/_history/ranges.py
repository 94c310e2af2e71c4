"""Ranges of candles: what is stored, and what is missing of it fetched, stored and put in place."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeVar, TypeVarTuple, Unpack

from marketdata._history import pages, timeframes
from marketdata._history.causes import Causes
from marketdata._history.download import Download
from marketdata._history.fill import fill
from marketdata._history.from_trades import candles_from_trades
from marketdata._history.resample import resample, source_for
from marketdata._history.stretch import (
    Hole,
    Span,
    Stretch,
    intervals,
    joined,
    merged,
    milliseconds,
    without,
)
from marketdata._requests.deadline import patient, unhurried
from marketdata.errors import DataUnavailableError, InvalidParameterError
from marketdata.models import Candles
from marketdata.models.columns import Columns, Row

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue
    from marketdata._exchanges.markets_cache import Catalogue
    from marketdata._history.store import Store
    from marketdata._history.table import SeriesTable
    from marketdata._requests.reply import Reply

Args = TypeVarTuple("Args")
T = TypeVar("T")

DEFAULT_LIMIT = 100
"""Newest bars where the question says neither how many nor from when on."""

_DAY = 86_400_000
_FOREVER = 1 << 62


def is_stored(timeframe: str) -> bool:
    """Tell whether bars of this length are stored: those up to a day that stand on a fixed grid.

    A page of longer ones reaches back to the beginning of the exchange.
    """
    return timeframe[-1] not in "wMy" and timeframes.length(timeframe) <= _DAY


@dataclass
class Keep:
    """Where bars are kept, and what is to be done about those that are there."""

    store: Store | None = None
    refresh: bool = False
    """Whether to fetch what is stored again, and put it in the place of that."""
    progress: Callable[[int], None] | None = None
    """Told how many more bars are known, as they come."""


@dataclass(frozen=True)
class Question:
    """Which bars are asked for; times are Unix milliseconds, start inside, end outside."""

    timeframe: str
    limit: int | None = None
    start: int | None = None
    end: int | None = None
    fill: Literal["none", "zero", "previous"] = "none"
    strict: bool = False


async def candles(venue: Venue, pair: str, asked: Question, keep: Keep) -> Candles:
    """Get the newest bars, or those of a range.

    The newest are asked for; of a range, what is not stored. Bars of a length that the exchange
    does not have are made of shorter ones. Raises `InvalidParameterError` for an empty range or
    one that has not begun, `TimeframeNotSupportedError` for bars that cannot be made, and
    `DataUnavailableError` where a bar is missing and the question is strict.
    """
    if asked.start is not None and asked.end is not None and asked.start >= asked.end:
        raise _empty(asked.start, f"has to be before end ({_text(asked.end)})")
    finer = venue.timeframe_for(asked.timeframe, source_for) if venue.has_candles else None
    if finer is None:
        found = await _from_trades(venue, pair, asked)
    elif finer == asked.timeframe:
        found = await _native(venue, pair, asked, keep)
    else:
        found = await _resampled(venue, pair, asked, finer, keep)
    if asked.start is not None and found.now < asked.start and not len(found.columns):
        raise _empty(asked.start, f"is still to come on {venue.id}")
    return _record(venue.id, pair, asked, found)


def stored(
    store: Store, catalogue: Catalogue, source: str, exchange: str, pair: str, asked: Question
) -> Candles | None:
    """Answer from the store alone; None where that does not hold all of the range.

    Needs neither the exchange nor the modules that ask it, which take longer to import than the
    answer. Blocks.
    """
    if asked.start is None or asked.end is None or asked.limit is not None:
        return None
    listing, found = catalogue.listing(source), catalogue.find(source, pair)
    if listing is None or len(found) != 1 or not is_stored(asked.timeframe):
        return None
    from marketdata._history.store import SeriesName

    plays = (listing.plays or "unnamed") if listing.simulated else None
    table = store.table(SeriesName(exchange, found[0].pair, asked.timeframe, plays))
    step = timeframes.length(asked.timeframe)
    span = Span(*(moment + -moment % step for moment in (asked.start, asked.end)))
    if span.start >= span.end or not table.refresh() or without(span, table.covered()):
        return None
    [stretch] = table.read(*span)
    read_at = datetime.now(UTC)
    known = Bars(
        stretch.columns,
        stretch.holes,
        now=milliseconds(read_at),
        forming=False,
        received_at=read_at,
        simulated=listing.simulated,
    )
    return _record(exchange, found[0].pair, asked, known)


async def _native(venue: Venue, pair: str, asked: Question, keep: Keep) -> Bars:
    timeframe, limit, start, end = asked.timeframe, asked.limit, asked.start, asked.end
    if start is not None and limit is None:
        return await bars(venue, pair, timeframe, start, end, keep)
    if start is not None and limit is not None:
        return await _first(venue, pair, timeframe, limit, start, end, keep)
    columns, reply, span = await pages.newest(venue, pair, timeframe, limit or DEFAULT_LIMIT, end)
    now = pages.exchange_now(reply)
    holes = pages.spans_missing(columns.time, timeframe, *span)
    return Bars(
        columns,
        [Hole(*hole, None) for hole in holes],
        now=now,
        forming=len(columns) > 0 and timeframes.following(columns.time[-1], timeframe) > now,
        received_at=reply.received_at,
        simulated=reply.simulated,
    )


async def _resampled(venue: Venue, pair: str, asked: Question, finer: str, keep: Keep) -> Bars:
    """Make bars of shorter ones: those that open in the range, or the newest so many."""
    timeframe, limit, start, end = asked.timeframe, asked.limit, asked.start, asked.end
    if start is None:
        wanted = limit or DEFAULT_LIMIT
        count = -(-wanted * timeframes.longest(timeframe) // timeframes.length(finer))
        found = await _native(venue, pair, replace(asked, timeframe=finer, limit=count), keep)
        upto = min(end or _FOREVER, found.now)
        start = timeframes.earlier(timeframes.opening(upto - 1, timeframe), timeframe, wanted - 1)
    else:
        start = timeframes.first_open(start, timeframe, None)
        if end is not None:
            end = timeframes.first_open(end, timeframe, None)
        if limit is not None:
            last = timeframes.earlier(start, timeframe, -limit)
            end = last if end is None else min(end, last)
        found = await bars(venue, pair, finer, start, end, keep)
    columns, missing = resample(
        found.columns,
        finer,
        timeframe,
        intervals(found.holes, finer),
        start=start,
        until=min(end or _FOREVER, found.now),
    )
    holes = [Hole(milliseconds(one.start), milliseconds(one.end), one.cause) for one in missing]
    forming = len(columns) > 0 and timeframes.following(columns.time[-1], timeframe) > found.now
    return replace(found, columns=columns, holes=holes, forming=forming, resampled_from=finer)


async def _from_trades(venue: Venue, pair: str, asked: Question) -> Bars:
    """Make bars of trades, for an exchange that has none."""
    timeframe, limit, start = asked.timeframe, asked.limit, asked.start
    now = round(time.time() * 1000)
    end = min(asked.end or now, now)
    if start is None:
        under_way = timeframes.opening(end - 1, timeframe)
        start = timeframes.earlier(under_way, timeframe, (limit or DEFAULT_LIMIT) - 1)
    elif limit is not None:
        first = timeframes.first_open(start, timeframe, None)
        end = min(end, timeframes.earlier(first, timeframe, -limit))
    columns, missing, reply = await candles_from_trades(venue, pair, timeframe, start, end)
    answered = pages.exchange_now(reply)
    forming = len(columns) > 0 and timeframes.following(columns.time[-1], timeframe) > answered
    return Bars(
        columns,
        [Hole(milliseconds(one.start), milliseconds(one.end), one.cause) for one in missing],
        now=answered,
        forming=forming,
        received_at=reply.received_at,
        simulated=reply.simulated,
        source="trades",
    )


@dataclass
class Bars:
    """What is known of a range."""

    columns: Columns
    holes: list[Hole]
    now: int
    """The exchange's time when it last answered, or ours where it was not asked (Unix ms)."""
    forming: bool
    """Whether the last bar is still forming."""
    received_at: datetime
    simulated: bool
    resampled_from: str | None = None
    source: Literal["candles", "trades"] = "candles"


async def bars(
    venue: Venue, pair: str, timeframe: str, start: int, end: int | None, keep: Keep
) -> Bars:
    """Get all bars that open in a range (Unix ms; ``end=None``: up to now), and every hole."""
    if not is_stored(timeframe):
        return await _long_bars(venue, pair, timeframe, start, end)
    step = timeframes.length(timeframe)
    # The first opening times at or after both ends. Where now is, the exchange will say.
    span = Span(*(moment + -moment % step for moment in (start, end or _FOREVER)))
    plays = await venue.listed.plays()
    table = None
    if keep.store is not None:
        from marketdata._history.store import SeriesName

        table = keep.store.table(SeriesName(venue.id, pair, timeframe, plays))
    return await _Range(venue, pair, timeframe, span, keep, table, plays).bars()


class _Range:
    """One range of one series on its way from the exchange through the store to the caller."""

    def __init__(
        self,
        venue: Venue,
        pair: str,
        timeframe: str,
        span: Span,
        keep: Keep,
        table: SeriesTable | None,
        plays: str | None,
    ) -> None:
        self._venue = venue
        self._pair = pair
        self._timeframe = timeframe
        self._span = span
        self._keep = keep
        self._table = table
        self._plays = plays
        self._fetched: list[Stretch] = []
        """What was fetched and not stored as it came."""
        self._stored_until = 0

    async def bars(self) -> Bars:
        table, last = self._table, None
        for part in await self._left():
            last = Download(
                self._venue, self._pair, self._timeframe, self._deliver, self._keep.progress
            )
            before, followed = await self._bar_before(part), part.end < self._stored_until
            try:
                with patient():
                    await last.run(part, before, followed=followed)
            finally:
                if table is not None and last.corrected is not None:
                    await self._apart(table.replace, [last.corrected])
        found = sorted(self._fetched, key=lambda one: one.start)
        if table is not None:
            if found:
                await self._apart(table.replace, found)
            if last is not None:
                await self._apart(table.tidy)
            found = await self._apart(table.read, *self._span)
        return self._together(joined(found), last)

    async def _apart(self, work: Callable[[Unpack[Args]], T], *arguments: *Args) -> T:
        store = self._keep.store
        if store is None:
            return work(*arguments)
        with unhurried():
            return await store.apart(work, *arguments)

    async def _left(self) -> list[Span]:
        """List what has to be fetched."""
        if self._table is None or self._keep.refresh:
            return [self._span] if self._span.start < self._span.end else []
        await self._apart(self._table.refresh)
        covered = self._table.covered()
        self._stored_until = covered[-1].end if covered else 0
        return without(self._span, covered)

    async def _bar_before(self, part: Span) -> Row | None:
        if self._table is None or self._keep.refresh:
            return None
        step = timeframes.length(self._timeframe)
        stored = await self._apart(self._table.read, part.start - step, part.start)
        return stored[0].columns.row(-1) if stored and len(stored[0].columns) else None

    async def _deliver(self, stretches: list[Stretch], reply: Reply) -> None:
        if reply.plays != self._plays:
            self._venue.listed.forget()
            raise DataUnavailableError(
                f"{self._venue.id} is simulated and plays something else than a while ago. "
                "Call again.",
                retryable=True,
                details={"exchange": self._venue.id},
            )
        if self._table is None or self._keep.refresh:
            self._fetched += stretches
        else:
            await self._apart(self._table.add, stretches)

    def _together(self, found: list[Stretch], last: Download | None) -> Bars:
        now = round(time.time() * 1000) if last is None or last.now is None else last.now
        received_at = datetime.now(UTC)
        columns = found[0].columns if found else Columns.from_rows([])
        end = self._span.end
        if last is not None:
            received_at = last.reply.received_at if last.reply else received_at
            # What is not over yet is not missing.
            end = last.late.start if last.late else min(end, last.under_way)
        known = [Span(one.start, one.end) for one in found]
        left = without(Span(self._span.start, end), known)
        holes = [Hole(*span, "not_fetched") for span in left]
        for index, stretch in enumerate(found):
            if index:
                columns.extend(stretch.columns)
            holes += stretch.holes
        forming = last.forming if last is not None else columns[:0]
        # What is fetched anew may be stored from a time when the exchange had more to say.
        if len(columns) and len(forming) and forming.time[0] <= columns.time[-1]:
            forming = columns[:0]
        columns.extend(forming)
        if last is not None and last.late is not None:
            holes += [Hole(*span, "no_trades") for span in without(last.late, known)]
        return Bars(
            columns,
            merged(sorted(holes)),
            now=now,
            forming=len(forming) > 0,
            received_at=received_at,
            simulated=self._plays is not None,
        )


async def _first(
    venue: Venue,
    pair: str,
    timeframe: str,
    limit: int,
    start: int,
    end: int | None,
    keep: Keep,
) -> Bars:
    """Get the first so many bars of a range, and the holes before the last of them."""
    step = timeframes.length(timeframe)
    at = start + -start % step if is_stored(timeframe) else start
    columns, holes = Columns.from_rows([]), list[Hole]()
    width = limit
    while True:
        upto = min(end or _FOREVER, at + width * step)
        part = await bars(venue, pair, timeframe, at, upto, keep)
        columns.extend(part.columns)
        holes = merged([*holes, *part.holes])
        if len(columns) >= limit or upto >= min(end or _FOREVER, part.now):
            break
        at = upto
        # Where bars are missing a whole page is looked at, which costs no more than a few bars.
        width = max(limit - len(columns), venue.candles_per_request - 1)
        if not len(part.columns):
            # Whether nothing comes for minutes or for years, the exchange says in an answer or two.
            room = venue.candles_per_request * step
            far = end or _FOREVER
            found = await pages.bars_between(venue, pair, timeframe, at, at + room, far)
            at = found.columns.time[0] if len(found.columns) else found.until
            # What is not over yet is not missing.
            known = timeframes.last_end(upto, min(far, part.now), timeframe)
            if at > upto and known > upto:
                cause = holes[-1].cause if holes and holes[-1].end == upto else "no_trades"
                holes = merged([*holes, Hole(upto, min(at, known), cause)])
            if at >= min(far, part.now):
                break
    if len(columns) >= limit:
        part = replace(part, forming=part.forming and len(columns) == limit)
        columns = columns[:limit]
        holes = [hole for hole in holes if hole.start < columns.time[-1]]
    return replace(part, columns=columns, holes=holes)


async def _long_bars(venue: Venue, pair: str, timeframe: str, start: int, end: int | None) -> Bars:
    """Get bars longer than a day, or of no fixed length, of which a page holds years."""
    found = await pages.bars_between(venue, pair, timeframe, start, end)
    columns, now = found.columns, pages.exchange_now(found.reply)
    spans = pages.spans_missing(columns.time, timeframe, start, min(end or _FOREVER, now))
    causes = Causes(venue, pair, timeframe)
    holes = await causes.of(spans, leading=bool(spans) and _is_leading(spans[0], columns))
    forming = len(columns) > 0 and timeframes.following(columns.time[-1], timeframe) > now
    return Bars(columns, holes, now, forming, found.reply.received_at, found.reply.simulated)


def _is_leading(hole: Span, columns: Columns) -> bool:
    return not len(columns) or hole.start < columns.time[0]


def _record(exchange: str, pair: str, asked: Question, found: Bars) -> Candles:
    missing = intervals(found.holes, asked.timeframe)
    columns, filled, missing = fill(found.columns, missing, asked.timeframe, asked.fill)
    if asked.strict and missing:
        raise DataUnavailableError(
            f"{sum(hole.bars for hole in missing):,} bars of {pair} are missing on {exchange}, "
            f"the first at {_text(milliseconds(missing[0].start))}. Ask without strict to get the "
            "others, or with fill.",
            details={
                "exchange": exchange,
                "pair": pair,
                "missing": [hole.to_dict() for hole in missing[:20]],
            },
        )
    is_derived = found.resampled_from is not None or found.source == "trades"
    # Where the exchange did not tell its time, ours stands for it.
    ours = round(found.received_at.timestamp() * 1000) == found.now
    return Candles(
        exchange=exchange,
        pair=pair,
        timestamp=found.received_at if ours else datetime.fromtimestamp(found.now / 1000, UTC),
        received_at=found.received_at,
        simulated=True if found.simulated else None,
        timeframe=asked.timeframe,
        source=found.source,
        derived=True if is_derived else None,
        derived_fields=("candles",) if is_derived else None,
        resampled_from=found.resampled_from,
        forming=found.forming,
        missing=missing,
        filled=None if asked.fill == "none" else filled,
        columns=columns,
    )


def _empty(start: int, why: str) -> InvalidParameterError:
    return InvalidParameterError(
        f"The range is empty: start ({_text(start)}) {why}.", details={"parameter": "start"}
    )


def _text(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat().replace("+00:00", "Z")
