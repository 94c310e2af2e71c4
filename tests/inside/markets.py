"""Lists of pairs: those that clients keep, and those that a test plants where a client looks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from marketdata._exchanges.markets import spot_markets
from marketdata._exchanges.markets_cache import Catalogue, Facts, Market, source

__all__ = ["Catalogue", "Facts", "Lists", "Market", "spot_markets"]


class Lists:
    """The lists of pairs in a folder, which clients with that home find."""

    def __init__(self, home: Path) -> None:
        self._catalogue = Catalogue(home)

    def plant(
        self,
        exchange: str,
        markets: Iterable[dict[str, Any]],
        *,
        endpoint: str | None = None,
        facts: Facts | None = None,
    ) -> None:
        """Put ccxt's descriptions of markets there, as if the exchange had just sent them."""
        made = [Market(one["symbol"], one) for one in markets]
        named = source(exchange, endpoint)
        self._catalogue.replace(named, made, facts=facts or Facts(), simulated=False)

    def forget(self, exchange: str, endpoint: str | None = None) -> None:
        """Have clients ask for a list anew."""
        self._catalogue.forget(source(exchange, endpoint))
