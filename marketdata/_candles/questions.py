"""Requests for candles and their answers: one path for all of them."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from marketdata._candles.calendar import Calendar, expected, known, learned, sources
from marketdata._candles.filling import How, fill
from marketdata._candles.paging import FIRST_MARKET, our_now
from marketdata._candles.renamed import RenamedSeries
from marketdata._candles.series import (
    ElsewhereError,
    Keep,
    Known,
    NativeSeries,
    ResampledSeries,
    Source,
    StoredSeries,
)
from marketdata._candles.spans import (
    EARLIEST,
    FOREVER,
    Gap,
    Span,
    Stretch,
    clipped,
    flags,
    intervals,
    moment,
    with_unknown,
)
from marketdata.arguments import nearest
from marketdata.errors import (
    DataUnavailableError,
    InvalidParameterError,
    TimeframeNotSupportedError,
)
from marketdata.models import Candles, Cause
from marketdata.models.columns import Columns

if TYPE_CHECKING:
    from marketdata._candles.store import Store
    from marketdata._exchanges.exchange import Venue
    from marketdata._exchanges.markets_cache import Catalogue

DEFAULT_LIMIT = 100
"""The default number of candles, for a request without limit and start."""


@dataclass(frozen=True)
class Question:
    """The requested candles; times are Unix ms, start is inclusive, end exclusive."""

    timeframe: str
    limit: int | None = None
    start: int | None = None
    end: int | None = None
    fill: How = "none"
    strict: bool = False

    @property
    def wanted(self) -> int | None:
        """The requested number of candles; None: all of a range."""
        return self.limit or (DEFAULT_LIMIT if self.start is None else None)


@dataclass(frozen=True)
class _Origin:
    """The source of the candles of an answer."""

    exchange: str
    pair: str
    source: Literal["candles", "trades"] = "candles"
    resampled_from: str | None = None
    delisted: bool = False


async def candles(venue: Venue, pair: str, asked: Question, keep: Keep) -> Candles:
    """Get candles of a pair.

    If the exchange lacks the timeframe, they are resampled, or built from trades if it has no
    candles. Raises `InvalidParameterError` for an empty range or one in the future,
    `TimeframeNotSupportedError` for unavailable candles, and `DataUnavailableError` if a candle is
    missing and the request is strict.
    """
    if asked.start is not None and asked.end is not None and asked.start >= asked.end:
        raise _empty(asked.start, f"has to be before end ({_text(asked.end)})")
    if not venue.has_candles:
        from marketdata._candles.from_trades import TradesSeries  # rarely needed

        origin = _Origin(venue.id, pair, source="trades")
        return await _answer(TradesSeries(venue, pair, asked.timeframe), origin, asked)
    plays = await venue.listed.plays()
    if asked.timeframe in venue.timeframes:
        series = await native(venue, pair, asked.timeframe, keep, plays)
        return await _answer(series, _Origin(venue.id, pair), asked)
    unknown: set[Cause] = {"not_fetched"}
    if venue.quirk.newest_bars_only:
        # The time before its oldest candles had trades, and is not served.
        unknown.add("not_served")
    fitting = sources_of(venue, asked.timeframe)
    for name in fitting:
        finer = await native(venue, pair, name, keep, plays)
        longer = ResampledSeries(
            finer, expected(asked.timeframe), frozenset(unknown), strict=name != fitting[-1]
        )
        origin = _Origin(venue.id, pair, resampled_from=name)
        with contextlib.suppress(ElsewhereError):
            return await _answer(longer, origin, asked)
    raise AssertionError("the last source is taken wherever its candles open")


async def native(venue: Venue, pair: str, timeframe: str, keep: Keep, plays: str | None) -> Source:
    """Return a series of the exchange, including the time before a rename of the pair."""
    series = NativeSeries(venue, pair, timeframe, keep, plays)
    former = await venue.listed.predecessor(pair)
    if former is None:
        return series
    return RenamedSeries(series, NativeSeries(venue, former, timeframe, keep, plays), former)


def sources_of(venue: Venue, timeframe: str) -> list[str]:
    """List the timeframes of an exchange that one can be resampled from, the longest first.

    Raises `TimeframeNotSupportedError` if there is none.
    """
    offered = venue.timeframes
    fitting = sources(timeframe, offered, lambda name: known(venue.id, name))
    if not fitting:
        raise TimeframeNotSupportedError(
            f"{venue.id} has no '{timeframe[:20]}' candles, nor any to resample them from; it has "
            f"{', '.join(offered)}.",
            details={
                "exchange": venue.id,
                "timeframes": offered,
                "closest": nearest(timeframe, offered),
            },
        )
    return fitting


def stored(
    store: Store, catalogue: Catalogue, source: str, exchange: str, pair: str, asked: Question
) -> Candles | None:
    """Answer from the store alone; None if it does not have all of the range.

    Needs neither the exchange nor the modules for requests, whose import takes longer than the
    answer. Blocks.
    """
    if asked.start is None or asked.end is None or asked.limit is not None:
        return None
    listing, found = catalogue.listing(source), catalogue.find(source, pair)
    if listing is None or len(found) != 1:
        return None
    from marketdata._candles.store import SeriesName

    plays = (listing.plays or "unnamed") if listing.simulated else None
    table = store.table(SeriesName(exchange, found[0].pair, asked.timeframe, plays))
    calendar = known(exchange, asked.timeframe)
    span = Span(calendar.floor(asked.start), calendar.ceil(asked.end))
    stretch = table.whole(*span)
    if stretch is None or asked.start >= asked.end:
        return None
    begins = stretch.gaps and stretch.gaps[0].cause == "not_served"
    if begins and listing.facts.formers(found[0].pair):
        return None  # there can be earlier candles under the pair's former name
    whole = Known.stored(stretch, stretch.end, simulated=listing.simulated)
    there = whole.cut(asked.start, asked.end)
    return _record(_Origin(exchange, found[0].pair), asked, there, calendar)


async def delisted(store: Store, exchange: str, pair: str, asked: Question) -> Candles | None:
    """Answer from the store for a pair that is no longer listed; None if nothing is stored.

    Parts of the range that are not stored are gaps that are not fetched.
    """

    def find() -> tuple[str, Stretch] | None:
        for name in store.series([pair], asked.timeframe, [exchange]):
            table = store.table(name)
            if name.simulated is None and table.refresh() and table.files():
                stretches = table.read(table.files()[0].start, FOREVER)
                return name.pair, with_unknown(stretches)
        return None

    found = await store.apart(find)
    if found is None:
        return None
    calendar = known(exchange, asked.timeframe)
    origin = _Origin(exchange, found[0], delisted=True)
    return await _answer(StoredSeries(found[1], calendar), origin, asked)


# ---------------------------------------------------------------------------- one path


async def _answer(series: Source, origin: _Origin, asked: Question) -> Candles:
    if asked.start is None:
        found = await _last(series, asked.wanted or DEFAULT_LIMIT, asked.end)
    elif asked.limit is not None:
        found = await _first(series, asked.limit, asked.start, asked.end)
    else:
        found = await series.between(asked.start, asked.end)
    if asked.start is not None and found.clock.exchange < asked.start and not len(found.columns):
        raise _empty(asked.start, f"is still to come on {origin.exchange}")
    return _record(origin, asked, found, series.calendar)


async def _last(series: Source, limit: int, end: int | None) -> Known:
    """Get the last ``limit`` candles before a time, or all if there are fewer."""
    calendar = series.calendar
    if end is None:
        found = await series.newest(limit)
    elif end > our_now() and end > (newest := await series.newest(limit)).start:
        found = await _up_to(series, newest, end)
    else:
        found = await series.between(_earliest(calendar, end, limit), end)
    while len(found.columns) < limit and not found.begins:
        width = max(limit - len(found.columns), series.room - 1)
        high = found.start
        if not len(found.columns) or (found.causes and found.causes[0].start <= high):
            # After a gap, one or two requests find the next candle.
            there = await series.before(high)
            if there is None:
                found.begins = True
                break
            high = min(high, calendar.next(there - 1))
        if high <= FIRST_MARKET:
            found.begins = True
            break
        part = await series.between(_earliest(calendar, high, width), high)
        if part.end < found.start:
            missing = Span(part.end, min(found.start, max(part.over, found.over)))
            found.causes[:0] = await _cause_behind(series, part, missing)
        found = part.then(found)
    if len(found.columns) >= limit:
        return found.cut(found.columns.time[-limit], found.end)
    return found


def _earliest(calendar: Calendar, end: int, count: int) -> int:
    """Return the start of the last places before an end, at least 2010."""
    count = min(count, calendar.count(FIRST_MARKET, end))
    return max(min(FIRST_MARKET, end - 1), calendar.shift(end - 1, 1 - max(1, count)))


async def _up_to(series: Source, found: Known, end: int) -> Known:
    """Return the newest candles and what is known of the places after them, up to an end."""
    # If the newest are too old for one page, earlier ones are searched afterwards.
    last = series.calendar.next(found.newest or found.start)
    behind = found.gaps(series.calendar, last, end) if last < end else []
    causes = [cause for gap in behind for cause in await series.why(gap.span)]
    upto = max([found.end, *(gap.end for gap in behind)])
    return replace(found, end=upto, causes=[*found.causes, *causes]).cut(found.start, end)


async def _first(series: Source, limit: int, start: int, end: int | None) -> Known:
    """Get the first ``limit`` candles from a time on, and the gaps before the last of them."""
    calendar = series.calendar
    stop = FOREVER if end is None else end
    upto = min(stop, calendar.shift(calendar.ceil(start), limit))
    found = await series.between(start, upto)
    while len(found.columns) < limit:
        now = found.clock.exchange if found.simulated else found.clock.reached
        last = min(stop, now + 1) if found.is_timed else stop
        if upto >= last:
            break
        at, later = upto, None
        if not found.columns or found.columns.time[-1] < calendar.previous(upto):
            at = await series.after(upto, last)
            if not found.is_timed and stop < FOREVER:
                # Only the last place shows whether the time of all places is over.
                at = min(at, max(upto, calendar.previous(stop)))
        following = min(stop, calendar.shift(at, max(limit - len(found.columns), series.room - 1)))
        if at < last:
            later = await series.between(at, following)
        if at > upto:
            over = max(found.over, later.over) if later else found.over
            skipped = Span(upto, min(stop, at, over))
            found.causes += await _cause_behind(series, found, skipped)
            found.end = min(stop, at)
        if later is None:
            break
        found, upto = found.then(later), following
    if len(found.columns) >= limit:
        return found.cut(found.start, found.columns.time[limit - 1] + 1)
    return found


async def _cause_behind(series: Source, found: Known, gap: Span) -> list[Gap]:
    """Return why a range after the known one is empty: not served if nothing was served before."""
    if gap.start >= gap.end:
        return []  # A place that is not over is not missing.
    if not len(found.columns) and found.begins:
        return [Gap(*gap, "not_served")]
    return await series.why(gap)


# ---------------------------------------------------------------------------- the record


def _record(origin: _Origin, asked: Question, found: Known, calendar: Calendar) -> Candles:
    odd = calendar.unexpected(found.columns.time)
    if odd and origin.resampled_from is None and origin.source == "candles":
        calendar = learned(asked.timeframe, found.columns.time, calendar)
        odd = calendar.unexpected(found.columns.time)
    start, end = found.start, found.end
    if asked.start is None and len(found.columns):
        # The gap before the first candle follows from the limit.
        start = found.columns.time[0]
        end = end if asked.end is not None else found.columns.time[-1] + 1
    first = calendar.ceil(start) if asked.start is not None else calendar.floor(start)
    gaps = found.gaps(calendar, first, end, regular=not odd)
    columns, filled, gaps = fill(found.columns, gaps, calendar, asked.fill)
    if asked.wanted is not None:
        before: Cause = "not_fetched" if origin.delisted else "not_served"
        columns, filled, gaps = _limited(asked, found, columns, filled, gaps, calendar, before)
    last = columns.time[-1] if len(columns) else 0
    is_last = len(found.columns) > 0 and last == found.columns.time[-1]
    missing = intervals(gaps, calendar)
    if asked.strict and missing:
        raise DataUnavailableError(
            f"{sum(gap.bars for gap in missing):,} candles of {origin.pair} are missing on "
            f"{origin.exchange}, the first at {_text(gaps[0].start)}. Call without strict to get "
            "the others, or with fill.",
            details={
                "exchange": origin.exchange,
                "pair": origin.pair,
                "missing": [gap.to_dict() for gap in missing[:20]],
            },
        )
    is_derived = origin.resampled_from is not None or origin.source == "trades"
    return Candles(
        exchange=origin.exchange,
        pair=origin.pair,
        timestamp=moment(found.clock.exchange) if found.has_date else found.received_at,
        received_at=found.received_at,
        simulated=True if found.simulated else None,
        timeframe=asked.timeframe,
        start=None if asked.start is None else moment(asked.start),
        end=None if asked.end is None else moment(asked.end),
        source=origin.source,
        derived=True if is_derived else None,
        derived_fields=("candles",) if is_derived else None,
        resampled_from=origin.resampled_from,
        forming=found.is_open and is_last,
        clock_offset_ms=_offset(found, calendar) if is_last else None,
        delisted=True if origin.delisted else None,
        missing=missing,
        filled=None if asked.fill == "none" else intervals(filled, calendar),
        **_renamed(found, columns),
        quality=flags(columns.time, found.revised, odd) or None,
        columns=columns,
    )


def _limited(
    asked: Question,
    found: Known,
    columns: Columns,
    filled: list[Gap],
    gaps: list[Gap],
    calendar: Calendar,
    before: Cause,
) -> tuple[Columns, list[Gap], list[Gap]]:
    """Cut candles and gaps to the limit, or add the missing places before the first candle.

    ``before`` is the cause of those places.
    """
    wanted, from_start = asked.wanted or DEFAULT_LIMIT, asked.start is not None
    if len(columns) >= wanted:
        columns = columns[:wanted] if from_start else columns[-wanted:]
        first, last = map(calendar.floor, (columns.time[0], columns.time[-1]))
        filled = clipped(filled, first, calendar.next(last))
        low, high = (0, last) if from_start else (calendar.next(first), FOREVER)
        return columns, filled, clipped(gaps, low, high)
    if from_start:
        return columns, filled, gaps
    if len(columns):
        first = calendar.floor(columns.time[0])
    else:
        # A place whose time is not over is not missing.
        first = calendar.floor(found.clock.exchange)
        first = first if asked.end is None else min(first, calendar.ceil(asked.end))
        gaps = []
    lacking = min(wanted - len(columns), calendar.count(EARLIEST, first))
    begins = Gap(calendar.shift(first, -lacking), first, before)
    return columns, filled, [*([begins] if lacking else []), *gaps]


def _offset(found: Known, calendar: Calendar) -> int | None:
    """Return the difference of the clocks if the last candle is open because one is behind."""
    clock = found.clock
    if not clock.disagrees or not found.is_open or found.simulated:
        return None
    is_over = max(clock) >= calendar.end(found.columns.time[-1])
    return clock.exchange - clock.ours if is_over else None


def _renamed(found: Known, columns: Columns) -> dict[str, Any]:
    if found.renamed is None or not len(columns) or columns.time[0] >= found.renamed.until:
        return {}
    later = columns.time[bisect_left(columns.time, found.renamed.until) :]
    at = moment(later[0]) if len(later) else None
    return {"renamed_from": found.renamed.pair, "renamed_at": at}


def _empty(start: int, why: str) -> InvalidParameterError:
    return InvalidParameterError(
        f"The range is empty: start ({_text(start)}) {why}.", details={"parameter": "start"}
    )


def _text(at: int) -> str:
    return moment(at).isoformat().replace("+00:00", "Z")
