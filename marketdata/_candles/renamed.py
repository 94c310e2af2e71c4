"""A series of a pair that had another name before a token was renamed.

All times are Unix milliseconds.
"""

from __future__ import annotations

from dataclasses import replace

from marketdata._candles.series import Known, Renamed, Source
from marketdata._candles.spans import Gap, Span


class RenamedSeries:
    """The candles of a pair, and before its first one those of its former name."""

    def __init__(self, present: Source, former: Source, pair: str) -> None:
        """``pair`` is the former name."""
        self.calendar = present.calendar
        self.room = present.room
        self._present = present
        self._former = former
        self._pair = pair

    async def newest(self, count: int) -> Known:
        """Return the newest candles of one request."""
        return await self._present.newest(count)

    async def between(self, start: int, end: int | None) -> Known:
        """Return all candles of a range, the former name's before the first of the new name."""
        found = await self._present.between(start, end)
        if not found.begins:
            return found
        until = found.columns.time[0] if len(found.columns) else found.end
        before = await self._former.between(start, until if len(found.columns) else end)
        causes = [
            Gap(max(gap.start, until), gap.end, gap.cause)
            for gap in found.causes
            if gap.end > until
        ]
        joined = before.then(replace(found, start=until, causes=causes))
        return replace(joined, renamed=Renamed(self._pair, until))

    async def before(self, moment: int) -> int | None:
        """Return a time after which no candle opens before the moment; None: none before it."""
        found = await self._present.before(moment)
        return await self._former.before(moment) if found is None else found

    async def after(self, moment: int, end: int) -> int:
        """Return a time near the next candle after a moment."""
        found = await self._present.after(moment, end)
        if await self._present.before(found) is None:
            found = min(found, await self._former.after(moment, found))
        return found

    async def why(self, gap: Span) -> list[Gap]:
        """Return the causes of a range without candles."""
        is_earlier = await self._present.before(gap.end) is None
        return await (self._former if is_earlier else self._present).why(gap)
