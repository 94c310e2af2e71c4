"""Tickers of one exchange, filtered, sorted and cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketdata._candles.tickers import tickers
from marketdata.models.lists import Records

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue
    from marketdata.models import Ticker

__all__ = ["Ranking"]


@dataclass(frozen=True)
class Ranking:
    """The requested tickers and their order."""

    sort: str | None = None
    """The field of the ticker to sort by; None keeps the order."""
    ascending: bool = False
    quote: str | None = None
    min_quote_volume: float | None = None
    limit: int | None = None

    async def of(self, venue: Venue, pairs: Sequence[str] | None) -> Records[Ticker]:
        """Get its tickers of the named pairs, or of all pairs."""
        found = await venue.listed.symbols(pairs)
        if self.quote is not None:
            fitting = {one.pair for one in await venue.pairs(quote=self.quote)}
            found = [pair for pair in found if pair in fitting]
        if not found:
            return Records()
        return self.applied(await tickers(venue, found, every=pairs is None))

    def applied(self, found: Records[Ticker]) -> Records[Ticker]:
        """Filter by volume, sort and cut; tickers without the field to sort by come last."""
        kept = list(found)
        least, field = self.min_quote_volume, self.sort
        if least is not None:
            kept = [one for one in kept if one.quote_volume and one.quote_volume >= least]
        if field is not None:
            known = [one for one in kept if getattr(one, field) is not None]
            known.sort(key=lambda one: getattr(one, field), reverse=not self.ascending)
            kept = known + [one for one in kept if getattr(one, field) is None]
        return Records(kept[: self.limit], found.errors)
