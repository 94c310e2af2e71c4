"""Why bars are missing: what an exchange's other answers say about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketdata._history import pages, timeframes
from marketdata._history.stretch import Hole, Span
from marketdata.errors import DataUnavailableError, UpstreamError
from marketdata.models import Cause
from marketdata.models.columns import Columns

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue

_EXAMINED = 24
"""Pages of one download whose holes are looked into; a pair that hardly trades has holes in all."""


class Causes:
    """Finds out why bars of one series are missing, with few requests."""

    def __init__(self, venue: Venue, pair: str, timeframe: str) -> None:
        self._venue = venue
        self._pair = pair
        self._timeframe = timeframe
        self._left = _EXAMINED

    async def of(self, holes: Sequence[Span], *, leading: bool) -> list[Hole]:
        """Give holes with their causes, in the order given; all lie within one page.

        ``leading`` says that no bar is known to exist before the first hole, which therefore may
        lie before what the exchange serves. Of the others the pairs tell that are always traded:
        where they were traded too, nobody wanted this one; where they were not either, the
        exchange did not work. Where that cannot be asked, an exchange that has bars for quiet
        times did not work, and on another one nobody traded.
        """
        begins: list[Hole] = []
        if leading and not await self._is_served(holes[0]):
            begins, holes = [Hole(*holes[0], "not_served")], holes[1:]
        causes: dict[Span, Cause] = {}
        if holes and self._left > 0:
            self._left -= 1
            for other in self._venue.listed.traded_most(besides=self._pair):
                said = await self._compared(other, holes)
                causes |= {hole: cause for hole, cause in said.items() if hole not in causes}
                causes |= {hole: cause for hole, cause in said.items() if cause == "no_trades"}
                if all(causes.get(hole) == "no_trades" for hole in holes):
                    break
        otherwise: Cause = "outage" if self._venue.quirk.quiet_bars else "no_trades"
        return [*begins, *(Hole(*hole, causes.get(hole, otherwise)) for hole in holes)]

    async def _compared(self, pair: str, holes: Sequence[Span]) -> dict[Span, Cause]:
        """Tell of holes what another pair says about them; nothing of those it says nothing of."""
        start, end = holes[0].start, holes[-1].end
        bars = timeframes.count(start, end, self._timeframe) + 1
        try:
            columns, _ = await self._venue.candles(
                pair, self._timeframe, start, min(bars, self._venue.candles_per_request)
            )
        except UpstreamError:
            return {}
        traded = _traded(columns)
        # An exchange that only has newer bars says nothing about then.
        return {
            hole: "no_trades" if any(hole.start <= time < hole.end for time in traded) else "outage"
            for hole in holes
            if len(columns) and columns.time[0] <= hole.end
        }

    async def _is_served(self, hole: Span) -> bool:
        """Tell whether the exchange gives bars from before a hole; so it does if it cannot say."""
        if self._venue.quirk.newest_bars_only or hole.start <= pages.FIRST_MARKET:
            return False
        midnight = hole.start - hole.start % _DAY
        try:
            day = await pages.last_day(self._venue, self._pair, self._timeframe, midnight)
            # The last day before that has bars, and the hole's own, whose bars may be behind it.
            for start in (None if day is None else day - _DAY, midnight):
                if start is not None and start < hole.start:
                    columns, _ = await self._venue.candles(
                        self._pair, self._timeframe, start, self._venue.candles_per_request
                    )
                    if len(columns) and columns.time[0] < hole.start:
                        return True
        except DataUnavailableError:
            return True
        return False


_DAY = 86_400_000


def _traded(columns: Columns) -> list[int]:
    return [
        time
        for time, volume in zip(columns.time, columns.volume, strict=True)
        if math.isnan(volume) or volume > 0
    ]
