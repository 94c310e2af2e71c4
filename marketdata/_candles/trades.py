"""Trades: the newest, from a time or from an id, single or aggregated."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from marketdata._candles.calendar import known
from marketdata._exchanges import parsing
from marketdata.errors import DataUnavailableError, InvalidParameterError
from marketdata.models import Trade

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue


def check(venue: Venue, *, start: int | None, from_id: int | None) -> None:
    """Raise `DataUnavailableError` for unsupported arguments, without a request.

    Raises `InvalidParameterError` if both a time and an id are given.
    """
    if start is not None and from_id is not None:
        raise InvalidParameterError(
            "Give either start (a time) or from_id (a trade id), not both.",
            details={"parameter": "from_id"},
        )
    quirk, reason = venue.quirk, None
    if from_id is not None and quirk.trades_from_id is None:
        reason = "has no trades by id"
    elif from_id is None and not quirk.newest_trades and not quirk.trades_from_time:
        reason = "only has trades after an id; pass from_id"
    if reason is not None:
        raise DataUnavailableError(f"{venue.id} {reason}.", details={"exchange": venue.id})


async def trades(
    venue: Venue,
    pair: str,
    *,
    limit: int,
    start: int | None,
    from_id: int | None,
    aggregate: bool,
) -> list[Trade]:
    """Get trades, oldest first, in one or two requests, or a few across a time without trades.

    With ``aggregate`` on an exchange that aggregates by itself, ids are those of aggregates. Raises
    the errors of `check`, and `DataUnavailableError` if the exchange's trades do not reach back to
    that time.
    """
    check(venue, start=start, from_id=from_id)
    newest = start is None and from_id is None
    quirk = venue.quirk
    size = quirk.trades_per_request if newest else quirk.old_trades_per_request
    size = size or quirk.trades_per_request
    merge = aggregate and not quirk.aggregates
    if not merge:
        size = min(limit, size)
    native = aggregate and quirk.aggregates
    if from_id is not None:
        found = await _from_id(venue, pair, size, from_id, native=native)
    elif start is not None:
        found = await _from_time(venue, pair, size, start, native=native)
    else:
        params = {} if native else quirk.recent_trades
        found = await venue.trades(pair, limit=size, params=params)
    if merge:
        merged = parsing.merge_fills(found)
        if len(found) >= size and len(merged) > 1:
            # The end of the page may have split an order.
            merged = merged[1:] if newest else merged[:-1]
        found = merged
    return found[-limit:] if newest else found[:limit]


async def _from_time(
    venue: Venue, pair: str, size: int, start: int, *, native: bool
) -> list[Trade]:
    quirk = venue.quirk
    if quirk.trades_before_time is not None:
        params = {**quirk.trades_before_time_params, quirk.trades_before_time: str(start)}
        before = await venue.trades(pair, limit=1, params=params)
        first_id = _number(before[-1], 0) + 1 if before else 0
        found = await _from_id(venue, pair, size, first_id, native=native)
        if not found and not before:
            raise DataUnavailableError(
                f"{venue.id} keeps no trades from that far back.", details={"exchange": venue.id}
            )
        return found
    if not quirk.trades_from_time:
        proved = await _proved_from(venue, pair, start) if quirk.trades_since else None
        return await _newest_from(venue, pair, size, start) if proved is None else proved
    if quirk.trades_after_nanoseconds is not None:
        since = {quirk.trades_after_nanoseconds: str(start * 1_000_000 - 1)}
        return await venue.trades(pair, limit=size, params=since)
    found = await venue.trades(pair, limit=size, since=start)
    while not found and quirk.trades_span is not None:
        traded = await _next_traded(venue, pair, start + quirk.trades_span)
        if traded is None:
            break
        start = traded
        found = await venue.trades(pair, limit=size, since=start)
    if quirk.aggregates and not native:
        # Single trades cannot be requested by time, but the aggregate then has its first id.
        firsts = (trade.first_id for trade in found)
        first = next((int(one) for one in firsts if one is not None and one.isdecimal()), None)
        return [] if first is None else await _from_id(venue, pair, size, first, native=False)
    return found


_A_SECOND = timedelta(seconds=1)
_BEFORE = (1_000, 60_000, 3_600_000)
"""Milliseconds before the start from which trades are requested, tried in order."""


async def _proved_from(venue: Venue, pair: str, start: int) -> list[Trade] | None:
    """Return the trades from a time on if the response shows that it begins before it.

    The request has a time before the start. The exchange can ignore it, or return the newest trades
    since then: a response with a trade from before the start has all later ones. None if no
    response shows that.
    """
    moment = datetime.fromtimestamp(start / 1000, UTC)
    # Some of its trades are from before the start.
    params, size = {}, venue.quirk.trades_per_request
    if venue.quirk.trades_until:
        params = {"until": round(datetime.now(UTC).timestamp() * 1000)}
    for before in _BEFORE:
        found = await venue.trades(pair, limit=size, since=start - before, params=params)
        if found and found[0].timestamp < moment:
            wanted = [trade for trade in found if trade.timestamp >= moment]
            if wanted or len(found) < size:
                return wanted
            return None  # there are more trades before the start than in one page
    return None


async def _newest_from(venue: Venue, pair: str, size: int, start: int) -> list[Trade]:
    """Return the trades from a time on if the newest reach back to it, or ids lead there."""
    quirk = venue.quirk
    moment = datetime.fromtimestamp(start / 1000, UTC)
    newest = await venue.trades(pair, limit=quirk.trades_per_request, params=quirk.recent_trades)
    if newest and newest[0].timestamp < moment:
        return [trade for trade in newest if trade.timestamp >= moment]
    if newest and quirk.is_searchable:
        first = await _first_from(venue, pair, moment, newest)
        return await _from_id(venue, pair, size, first, native=False)
    raise DataUnavailableError(
        f"{venue.id} only gives its newest trades, or those from an id on, and they begin later.",
        details={"exchange": venue.id},
    )


_FIRST_ID = 1
"""The maximum id of the very first trade."""
_LOOKS_BY_TIME = 8
_MOST_LOOKS = 40
"""Maximum pages of a search by ids; four are usual."""


async def _first_from(venue: Venue, pair: str, moment: datetime, newest: Sequence[Trade]) -> int:
    """Find the id of the first trade from a time on.

    ``newest`` are trades after that time. Ids are consecutive numbers.
    """
    quirk, size = venue.quirk, venue.quirk.trades_per_request
    name = (quirk.trades_from_id or "")[1:]
    before: Trade | None = None
    after, pace = newest[0], newest
    moved, further, gone = 0, 1, -1
    for look in range(_MOST_LOOKS):
        low, high = gone if before is None else _number(before, 0), _number(after, 0)
        if high - low == 1:
            if before is None and gone >= 0:
                break
            return high
        guess = (low + high) // 2
        if look < _LOOKS_BY_TIME:
            # Interpolating by time is faster than bisecting ids, unless it misleads.
            pace = pace if before is None else (before, after)
            span = pace[-1].timestamp - pace[0].timestamp
            count = _number(pace[-1], 0) - _number(pace[0], 0)
            back = round(count * ((after.timestamp - moment) / (span or _A_SECOND)))
            # If the same end has moved again, search further away for the other one.
            guess = high - back * further if moved > 0 else low + (high - back - low) * further
        behind = min(max(guess + size // 2, low + 2), high)
        params = {**quirk.trades_from_id_params, name: str(behind)}
        page = await venue.trades(pair, limit=size, params=params)
        if not page:
            gone = behind - 1
            continue
        place = bisect_left(page, moment, key=lambda trade: trade.timestamp)
        if place == 0 and len(page) < size:
            first = _number(page[0], 0)
            if first > _FIRST_ID:
                break  # older trades are not available
            return first
        before = page[place - 1] if place > 0 else before
        after = page[place] if place < len(page) else after
        now = 1 if place == 0 else -1
        moved, further = now, 2 * further if now == moved else 1
    raise DataUnavailableError(
        f"{venue.id} has no trades from that time; pass from_id.",
        details={"exchange": venue.id},
    )


async def _next_traded(venue: Venue, pair: str, start: int) -> int | None:
    """Return where to search the first trade from a time on: hours with trades."""
    for timeframe in ("1h", "1d"):
        opened = known(venue.id, timeframe).floor(start)
        bars, _ = await venue.candles(pair, timeframe, opened, venue.candles_per_request(timeframe))
        for time, volume in zip(bars.time, bars.volume, strict=True):
            if time >= opened and volume > 0:
                return max(start, time)
    return None


async def _from_id(
    venue: Venue, pair: str, size: int, from_id: int, *, native: bool
) -> list[Trade]:
    quirk = venue.quirk
    asked_with = quirk.trades_from_id or ""
    direction, name = asked_with[0], asked_with[1:]
    params = {} if native else dict(quirk.trades_from_id_params)
    # A page that runs backwards must start one page above the wanted id.
    params[name] = str(from_id + {"=": 0, ">": -1, "<": size}[direction])
    found = await venue.trades(pair, limit=size, params=params)
    return [trade for trade in found if _number(trade, from_id) >= from_id]


def _number(trade: Trade, otherwise: int) -> int:
    return int(trade.id) if trade.id is not None and trade.id.isdecimal() else otherwise
