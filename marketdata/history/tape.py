"""Trades: the newest, from a time on, from an id on, single or aggregated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketdata import _normalize
from marketdata.errors import DataUnavailableError, InvalidParameterError
from marketdata.models import Trade

if TYPE_CHECKING:
    from marketdata._exchange import Venue


async def trades(
    venue: Venue,
    pair: str,
    *,
    limit: int,
    start: int | None,
    from_id: int | None,
    aggregate: bool,
) -> list[Trade]:
    """Get trades, oldest first, in one or two requests.

    With ``aggregate`` on an exchange that aggregates by itself, ids are those of aggregates.
    Raises `DataUnavailableError` where the exchange cannot go to that time or id.
    """
    if start is not None and from_id is not None:
        raise InvalidParameterError(
            "trades goes from a time (start) or from an id (from_id), not both.",
            details={"parameter": "from_id"},
        )
    found = await _fetch(venue, pair, limit, start, from_id, aggregate)
    if aggregate and not venue.quirk.aggregates:
        found = _normalize.merge_fills(found)
    return found[-limit:] if start is None and from_id is None else found[:limit]


async def _fetch(
    venue: Venue,
    pair: str,
    limit: int,
    start: int | None,
    from_id: int | None,
    aggregate: bool,
) -> list[Trade]:
    quirk = venue.quirk
    native = aggregate and quirk.aggregates
    size = min(limit, quirk.trades_per_request)
    if from_id is not None:
        return await _from_id(venue, pair, size, from_id, native=native)
    if start is None:
        params = {} if native else quirk.recent_trades
        return await venue.trades(pair, limit=size, params=params)
    if quirk.trades_before_time is not None:
        params = {**quirk.trades_before_time_params, quirk.trades_before_time: str(start)}
        before = await venue.trades(pair, limit=1, params=params)
        first_id = int(before[-1].id or 0) + 1 if before else 0
        return await _from_id(venue, pair, size, first_id, native=native)
    if not quirk.trades_from_time:
        raise DataUnavailableError(
            f"{venue.id} only gives its newest trades, or those from an id on.",
            details={"exchange": venue.id},
        )
    found = await venue.trades(pair, limit=size, since=start)
    if quirk.aggregates and not native:
        # Single trades have no times to ask by, but the aggregate at that time names its first.
        first = next((trade.first_id for trade in found if trade.first_id), None)
        return [] if first is None else await _from_id(venue, pair, size, int(first), native=False)
    return found


async def _from_id(
    venue: Venue, pair: str, size: int, from_id: int, *, native: bool
) -> list[Trade]:
    quirk = venue.quirk
    if quirk.trades_from_id is None:
        raise DataUnavailableError(
            f"{venue.id} cannot be asked for trades from an id on.",
            details={"exchange": venue.id},
        )
    direction, name = quirk.trades_from_id[0], quirk.trades_from_id[1:]
    params = {} if native else dict(quirk.trades_from_id_params)
    # A page that runs backwards from an id ends at the wanted one when it starts a page above.
    params[name] = str(from_id if direction == "=" else from_id + size)
    found = await venue.trades(pair, limit=size, params=params)
    return [trade for trade in found if trade.id is None or int(trade.id) >= from_id]
