"""Candles built from single trades, for exchanges that have no candles."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from marketdata._candles.calendar import Calendar, expected
from marketdata._candles.paging import clock_of, our_now
from marketdata._candles.series import Known
from marketdata._candles.spans import FOREVER, Gap, Span, between
from marketdata._candles.trades import trades as trades_from
from marketdata._exchanges import parsing
from marketdata._requests.deadline import renew
from marketdata.errors import DataUnavailableError
from marketdata.models import Trade
from marketdata.models.columns import Columns, Row, total
from marketdata.models.decimals import are_finite

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue
    from marketdata._exchanges.quirks import Quirk
    from marketdata._requests.reply import Reply

Tick: TypeAlias = tuple[int, float, float]
"""Time in Unix ms, price, amount in base currency."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_IDS = (0, 1)
"""Ids that only the very first trade of a pair has."""

# ---------------------------------------------------------------------------- candles


class Bars:
    """Candles that grow at one end, with page after page of trades.

    Places without trades have no candle. Volume is the exact sum of the amounts, rounded once. An
    aggregated trade counts as one.
    """

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._pages: deque[Columns] = deque()
        self._volumes: dict[int, list[float]] = {}
        """The trades of the first and last candle of each page, which continue in other pages."""

    def add(self, ticks: Sequence[Tick], *, before: bool = False) -> None:
        """Add trades in time order, after all others or before them.

        Raises ValueError if they are unsorted, or if a price or an amount is not finite.
        """
        if not ticks:
            return
        times, prices, amounts = zip(*ticks, strict=True)
        if list(times) != sorted(times):
            raise ValueError("the trades are not in order of time")
        if not (are_finite(prices) and are_finite(amounts)):
            raise ValueError("a trade without a price or an amount")
        rows: list[Row] = []
        first, opened = 0, self._calendar.floor(times[0])
        while first < len(times):
            end = self._calendar.next(opened)
            if times[first] >= end:
                opened = self._calendar.floor(times[first])
                end = self._calendar.next(opened)
            behind = bisect_left(times, end, first)
            part, volumes = prices[first:behind], amounts[first:behind]
            count = behind - first
            rows.append((opened, part[0], max(part), min(part), part[-1], total(volumes), count))
            if first == 0 or behind == len(times):
                known = self._volumes.get(opened, ())
                self._volumes[opened] = _condensed([*known, *volumes])
            first, opened = behind, end
        (self._pages.appendleft if before else self._pages.append)(Columns.from_rows(rows))

    def columns(self) -> Columns:
        """Return the candles; ValueError if a page begins before the last candle of another."""
        joined = Columns.from_rows([])
        for page in self._pages:
            if len(joined) and page.time[0] < joined.time[-1]:
                raise ValueError("the trades are not in order of time")
            whole = len(joined) and page.time[0] == joined.time[-1]
            if whole:
                joined.high[-1] = max(joined.high[-1], page.high[0])
                joined.low[-1] = min(joined.low[-1], page.low[0])
                joined.close[-1] = page.close[0]
                joined.volume[-1] = total(self._volumes[page.time[0]])
                joined.trades[-1] += page.trades[0]
            joined.extend(page[1:] if whole else page)
        return joined


def _condensed(values: list[float]) -> list[float]:
    """Return a few numbers with the same exact sum: the rounded sum, its error, and so on."""
    if any(isinstance(value, Decimal) for value in values[:1]):
        return [total(values)]
    sums: list[float] = []
    while rest := math.fsum(values):
        sums.append(rest)
        values.append(-rest)
    return sums


def _ms(trade: Trade) -> int:
    return (trade.timestamp - _EPOCH) // _MILLISECOND


def tick(trade: Trade) -> Tick:
    """Return the numbers of a trade that candles are built from."""
    return _ms(trade), trade.price, trade.amount


# ---------------------------------------------------------------------------- an exchange's


class TradesSeries:
    """A series that is built from trades."""

    room = 100

    def __init__(self, venue: Venue, pair: str, timeframe: str) -> None:
        """Raise `DataUnavailableError` if the exchange has no trades."""
        if not venue.has("fetchTrades"):
            raise _unavailable(venue, "offers no trades to make candles of")
        self.calendar = expected(timeframe)
        self._venue = venue
        self._pair = pair

    async def newest(self, count: int) -> Known:
        """Return the candles of the newest ``count`` places."""
        start = self.calendar.shift(our_now(), 1 - count)
        found = await self.between(start, None)
        end = found.columns.time[-1] + 1 if len(found.columns) else found.end
        return found.cut(start, end)

    async def between(self, start: int, end: int | None) -> Known:
        """Build the candles of a range from all trades of the exchange in it.

        Reads page after page and keeps only the candles. Each page must contain a trade of the page
        before, which proves that none in between is missing. Places before the first one with all
        trades are a gap that is not served.

        Raises `DataUnavailableError` if the exchange has all trades of no place, does not support
        the requests, or returns pages that do not overlap.
        """
        venue, calendar = self._venue, self.calendar
        first, upto = calendar.ceil(start), FOREVER if end is None else end
        stop = calendar.ceil(min(upto, our_now() + 1))
        columns, since, reply = await self._read(first, stop)
        clock = clock_of(reply)
        if clock.disagrees and stop <= clock.exchange and stop < upto:
            # Our clock is behind the exchange's.
            stop = calendar.ceil(min(upto, clock.exchange + 1))
            columns, since, reply = await self._read(first, stop)
            clock = clock_of(reply)
        gone: list[Gap] = []
        if since is not None:
            # There can be other trades at the oldest one's time.
            served = calendar.ceil(since + 1)
            if served >= min(stop, clock.exchange):
                begin = datetime.fromtimestamp(since / 1000, UTC)
                raise _unavailable(venue, f"only gives its newest trades, from {begin:%FT%TZ} on")
            gone = [Gap(first, served, "not_served")]
            columns = between(columns, served, stop)
        quiet = [Gap(*place, "no_trades") for place in calendar.gaps(columns.time, first, stop)]
        newest = columns.time[-1] if len(columns) else 0
        is_open = newest > 0 and not clock.has_reached(calendar.end(newest))
        return Known(
            start,
            min(clock.exchange, stop) if end is None else end,
            columns,
            [*gone, *quiet],
            clock.after(newest),
            newest,
            is_open=is_open,
            begins=bool(gone),
            received_at=reply.received_at,
            has_date=reply.date is not None,
            simulated=reply.simulated,
        )

    async def _read(self, start: int, stop: int) -> tuple[Columns, int | None, Reply]:
        """Build candles of the trades in a range; return since when it has them, and up to when."""
        venue, backwards = self._venue, not _leads_on(self._venue.quirk)
        read = _read_back if backwards else _read_on
        made = Bars(self.calendar)
        page: _Page | None = None
        async for page in read(venue, self._pair, start, stop):
            inside = [one for one in map(tick, page.trades) if start <= one[0] < stop]
            made.add(inside, before=backwards)
        if page is None:
            raise _unavailable(venue, "gives no trades")
        try:
            return made.columns(), page.since, page.reply
        except ValueError:
            raise _unavailable(venue, "gives trades out of order") from None

    async def before(self, moment: int) -> int | None:
        """Return the moment: where earlier trades are, only reading them tells."""
        return moment

    async def after(self, moment: int, end: int) -> int:  # noqa: ARG002
        """Return the moment: where later trades are, only reading them tells."""
        return moment

    async def why(self, gap: Span) -> list[Gap]:
        """Return the gap without trades: all trades of the range were read."""
        return [Gap(*gap, "no_trades")]


class _Page(NamedTuple):
    """Trades, oldest first, and the reply that shows up to when they are known."""

    trades: list[Trade]
    reply: Reply
    since: int | None = None
    """The time (Unix ms) of the oldest trade if it is later than requested, else None."""


def _leads_on(quirk: Quirk) -> bool:
    """Return whether trades can be read from a start time to their end."""
    if quirk.trades_from_id is not None:
        return quirk.trades_from_id.startswith("=") and quirk.trades_from_time
    # A response that covers a limited span does not show whether there are later trades.
    return quirk.trades_from_time and not quirk.aggregates and quirk.trades_span is None


async def _read_on(venue: Venue, pair: str, start: int, stop: int) -> AsyncIterator[_Page]:
    """Return pages of trades from a start time until ``stop`` or later."""
    quirk = venue.quirk
    size = quirk.old_trades_per_request or quirk.trades_per_request
    if quirk.trades_from_id is None:
        ask = _since(quirk, start)
    else:
        # This reply is first: its time must not be later than the search for the first trade.
        _, reply = await _page(venue, pair, 1, _Ask(quirk.recent_trades))
        found = await trades_from(venue, pair, limit=1, start=start, from_id=None, aggregate=False)
        if not found:
            yield _Page([], reply)
            return
        ask = _by_id(quirk, _id(venue, found[0]))
    last: Trade | None = None
    while True:
        page, reply = await _page(venue, pair, size, ask)
        fresh = page if last is None else page[_place(venue, page, last) + 1 :]
        yield _Page(fresh, reply)
        if not fresh or _ms(fresh[-1]) >= stop:
            return
        asked, last = ask, fresh[-1]
        if quirk.trades_from_id is None:
            # With a margin, since times can be sent slightly too small.
            start = max(start, _ms(last) - 1)
            ask = _since(quirk, start)
        else:
            ask = _by_id(quirk, _id(venue, last))
        if ask == asked:
            if len(page) < size:
                return
            raise _unavailable(venue, "has more trades in a millisecond than it gives at a time")


async def _read_back(venue: Venue, pair: str, start: int, stop: int) -> AsyncIterator[_Page]:
    """Return pages of trades, newest first, until one is before ``start`` or none is left."""
    quirk = venue.quirk
    size = quirk.old_trades_per_request or quirk.trades_per_request
    can_go_back = (quirk.trades_from_id or "").startswith("<")
    if quirk.trades_before_time is not None:
        before = {**quirk.trades_before_time_params, quirk.trades_before_time: str(stop)}
        page, reply = await _page(venue, pair, size, _Ask(before))
    else:
        newest = _Ask(quirk.recent_trades)
        page, reply = await _page(venue, pair, quirk.trades_per_request, newest)
    if not page:
        raise _unavailable(venue, "gives no trades from that far back")
    yield _Page(page, reply)
    oldest = page[0]
    if can_go_back and _ms(oldest) >= stop:
        oldest = await _early(venue, pair, stop, oldest, size)
    while _ms(oldest) >= start:
        if can_go_back:
            # The page before the id behind it begins with the trade itself.
            page, _ = await _page(venue, pair, size, _by_id(quirk, _id(venue, oldest) + 1))
            page = page[: _place(venue, page, oldest)]
        if not can_go_back or not page:
            is_first = can_go_back and _id(venue, oldest) in _FIRST_IDS
            yield _Page([], reply, None if is_first else _ms(oldest))
            return
        yield _Page(page, reply)
        oldest = page[0]


async def _early(venue: Venue, pair: str, stop: int, late: Trade, enough: int) -> Trade:
    """Return a trade at or soon after ``stop``, found by bisecting the ids below one."""
    low = 0
    while _id(venue, late) - low > enough:
        middle = (low + _id(venue, late)) // 2
        page, _ = await _page(venue, pair, 1, _by_id(venue.quirk, middle))
        if page and _ms(page[-1]) >= stop:
            late = page[-1]
        else:
            low = middle
    return late


class _Ask(NamedTuple):
    """The parameters of a page, besides its size."""

    params: Mapping[str, Any]
    since: int | None = None


def _since(quirk: Quirk, start: int) -> _Ask:
    if quirk.trades_after_nanoseconds is None:
        return _Ask({}, start)
    return _Ask({quirk.trades_after_nanoseconds: str(start * 1_000_000 - 1)})


def _by_id(quirk: Quirk, trade_id: int) -> _Ask:
    name = (quirk.trades_from_id or "")[1:]
    return _Ask({**quirk.trades_from_id_params, name: str(trade_id)})


async def _page(venue: Venue, pair: str, size: int, ask: _Ask) -> tuple[list[Trade], Reply]:
    """Get a page of trades, oldest first, and its reply."""

    def make(raw: list[dict[str, Any]], reply: Reply) -> tuple[list[Trade], Reply]:
        if reply.hollow:
            raise ValueError("not a list")
        found = parsing.trades(
            raw,
            seconds_at=venue.quirk.trade_seconds,
            exchange=venue.id,
            pair=pair,
            received_at=reply.received_at,
            simulated=reply.simulated,
        )
        return found, reply

    page = await venue.call(make, "fetch_trades", pair, ask.since, size, params=ask.params)
    renew()
    return page


def _place(venue: Venue, page: Sequence[Trade], trade: Trade) -> int:
    """Return the position of a trade of the page before; raises if the pages do not overlap."""
    for index, one in enumerate(page):
        if one.id is not None and one.id == trade.id:
            return index
    raise _unavailable(venue, "gives pages of trades that do not join")


def _id(venue: Venue, trade: Trade) -> int:
    if trade.id is None or not trade.id.isdecimal():
        raise _unavailable(venue, "gives trades without numbers to go on from")
    return int(trade.id)


def _unavailable(venue: Venue, what: str) -> DataUnavailableError:
    return DataUnavailableError(f"{venue.id} {what}.", details={"exchange": venue.id})
