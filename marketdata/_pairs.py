"""Which pairs one exchange has: a text's pair found, markets loaded when they are asked for."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from marketdata._catalogue import MAX_AGE, Catalogue, Fetched, Listing, Market, Packed
from marketdata._sharing import Question, Sharing
from marketdata.errors import MarketDataError, PairNotSupportedError, closest, did_you_mean

__all__ = ["PairList", "active_spot"]

_QUOTES = ("USDT", "USD", "USDC", "EUR", "BTC", "KRW", "JPY")
"""Currencies in which exchanges have their busiest pairs, the most frequent first."""
_NEW_PAIR_AGE = 600.0
"""Seconds after which a list without the wanted pair is fetched again, in case it is new."""


class PairList:
    """The active spot pairs of one exchange, as the catalogue has them.

    Pairs that the exchange's other calls take are those that `symbol` gave, so that ``load`` has
    been told of their markets.
    """

    def __init__(
        self,
        exchange: str,
        source: str,
        catalogue: Catalogue,
        fetch: Callable[[], Awaitable[Fetched]],
        load: Callable[[list[dict[str, Any]]], None],
    ) -> None:
        """``fetch`` asks the exchange for its list; ``load`` gets all markets asked for so far."""
        self._exchange = exchange
        self._source = source
        self._catalogue = catalogue
        self._fetch = fetch
        self._load_all = load
        self._loaded: dict[str, dict[str, Any]] = {}
        self._listed_at = 0.0
        self._names: dict[str, str] = {}
        self._listings = Sharing()

    async def close(self, error: Exception) -> None:
        """End what is under way with an error."""
        await self._listings.close(error)

    @property
    def loaded(self) -> list[dict[str, Any]]:
        """ccxt's descriptions of the markets that were asked for."""
        return list(self._loaded.values())

    def market(self, pair: str) -> dict[str, Any]:
        """Give ccxt's description of a pair that `symbol` gave."""
        return self._loaded[pair]

    async def symbol(self, pair: str) -> str:
        """Give the pair that a text names, as BASE/QUOTE, with its market loaded.

        Raises `PairNotSupportedError`, with the closest pairs, where there is no such spot pair.
        """
        known = self._names.get(pair)
        if known is not None and time.time() - self._listed_at < MAX_AGE:
            return known
        listing = await self.listing(MAX_AGE)
        if listing.fetched_at != self._listed_at:
            self._names.clear()
            self._listed_at = listing.fetched_at
        elif (known := self._names.get(pair)) is not None:
            return known  # somebody who waited for the same list has found it
        found = self._catalogue.find(self._source, pair)
        if not found:
            # It may be new, or the list may have turned out to be damaged.
            await self.listing(_NEW_PAIR_AGE)
            found = self._catalogue.find(self._source, pair)
        if len(found) != 1:
            raise self._no_such_pair(pair, [market.pair for market in found])
        self._load(found)
        self._names[pair] = found[0].pair
        return found[0].pair

    async def symbols(self, pairs: Sequence[str] | None) -> list[str]:
        """Give pairs as `symbol` does; all active ones, by name, for None."""
        if pairs is not None:
            return [await self.symbol(pair) for pair in pairs]
        _, found = await self.markets()
        self._load(found)
        return [market.pair for market in found]

    async def markets(self, **wanted: str | None) -> tuple[Listing, list[Market]]:
        """Give the markets that fit (`Catalogue.markets`) and the list that they are from."""
        listing = await self.listing(MAX_AGE)
        found = self._catalogue.markets(self._source, **wanted)
        if not found and self._catalogue.listing(self._source) is None:
            # The list has turned out to be damaged.
            listing = await self.listing(MAX_AGE)
            found = self._catalogue.markets(self._source, **wanted)
        return listing, found

    async def plays(self) -> str | None:
        """Give what the exchange plays where it is a simulated one; None for a real one."""
        listing = await self.listing(MAX_AGE)
        return (listing.plays or "unnamed") if listing.simulated else None

    def forget(self) -> None:
        """Have the list fetched again before it is next used."""
        self._catalogue.forget(self._source)
        self._listed_at = 0.0
        self._names.clear()

    def traded_most(self, besides: str = "", count: int = 2) -> list[str]:
        """Name pairs that are traded at any time on any exchange which has them.

        Fewer than ``count`` where the exchange does not have so many.
        """
        names = (f"{base}/{quote}" for base in ("BTC", "ETH") for quote in _QUOTES)
        found = [
            market
            for name in names
            if name != besides
            for market in self._catalogue.find(self._source, name)
            if market.pair == name
        ][:count]
        self._load(found)
        return [market.pair for market in found]

    def _no_such_pair(self, pair: str, several: list[str]) -> MarketDataError:
        if several:
            return PairNotSupportedError(
                f"'{pair}' could be {' or '.join(several)} on {self._exchange}; write it with a "
                "slash.",
                details={"exchange": self._exchange, "pair": pair, "closest": several},
            )
        names = self._catalogue.names(self._source)
        near = closest(pair, names)
        if not near and "/" not in pair:
            by_joined = {name.replace("/", ""): name for name in names}
            near = [by_joined[one] for one in closest(pair, by_joined)]
        return PairNotSupportedError(
            f"{self._exchange} has no active spot pair '{pair}'.{did_you_mean(near)}",
            details={"exchange": self._exchange, "pair": pair, "closest": near},
        )

    async def listing(self, max_age: float = MAX_AGE) -> Listing:
        """Tell when the list was fetched, fetching it where it is older than so many seconds."""
        key = f"{max_age:g}"
        if not self._listings.under_way(key):
            listing = self._catalogue.listing(self._source)
            if listing is not None and listing.age < max_age:
                return listing
        return await self._listings.ask(key, partial(self._renew, max_age), _as_it_is)

    async def _renew(self, max_age: float, question: Question) -> None:
        question.answer(await self._catalogue.renew(self._source, max_age, self._fetch))

    def _load(self, markets: Iterable[Market]) -> None:
        """Let ccxt know markets; only those that were asked for, since each costs 40 us."""
        new = {one.pair: one.raw for one in markets if self._loaded.get(one.pair) != one.raw}
        if new:
            # Those of an older list stay, for calls that are under way.
            self._loaded.update(new)
            self._load_all(self.loaded)


def _as_it_is(listing: Listing) -> Listing:
    return listing


def active_spot(raw: Iterable[Mapping[str, Any]]) -> Packed:
    """Give the markets that are served.

    Raises ValueError where there are none, which no exchange would mean.
    """
    markets = [
        Market(str(one["symbol"]), dict(one))
        for one in raw
        if one.get("spot") and one.get("active") is not False and ":" not in one["symbol"]
    ]
    if not markets:
        raise ValueError("no spot markets")
    return Packed(markets)
