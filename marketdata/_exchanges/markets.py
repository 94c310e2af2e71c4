"""The pairs of one exchange: finds pairs by name, and loads markets when they are needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from marketdata._exchanges import currencies, parsing
from marketdata._exchanges.markets_cache import (
    MAX_AGE,
    Catalogue,
    Facts,
    Fetched,
    Listing,
    Market,
    source,
)
from marketdata._requests.coalescing import Question, Sharing
from marketdata._requests.log import logger
from marketdata.arguments import Written, code_of, divided, readings, written
from marketdata.errors import MarketDataError, PairNotSupportedError, closest, did_you_mean
from marketdata.models import Pair, ticks

_QUOTES = ("USDT", "USD", "USDC", "EUR", "BTC", "KRW", "JPY")
"""Quote currencies of the busiest pairs, most frequent first."""
_NEW_PAIR_AGE = 600.0
"""Seconds after which the list is requested again if a pair is not in it, which may be new."""


class PairList:
    """The spot pairs of one exchange, from the catalogue.

    Other calls take pairs that `symbol` returned, because it has loaded their markets with
    ``load``.
    """

    def __init__(
        self,
        exchange: str,
        source: str,
        catalogue: Catalogue,
        fetch: Callable[[], Awaitable[Fetched]],
        load: Callable[[list[dict[str, Any]], Mapping[str, str]], None],
    ) -> None:
        """``fetch`` requests the exchange's list.

        ``load`` gets all markets used so far, and their renamed codes.
        """
        self._exchange = exchange
        self._source = source
        self._catalogue = catalogue
        self._fetch = fetch
        self._load_all = load
        self._loaded: dict[str, dict[str, Any]] = {}
        self._last: Listing | None = None
        """The list in which the names below were found."""
        self._names: dict[tuple[Any, ...], str] = {}
        self._older: dict[str, str | None] = {}
        self.renamed: Mapping[str, str] = {}
        """ccxt's codes, and the codes of the list that replace them."""
        self._listings = Sharing()

    async def close(self, error: Exception) -> None:
        """End requests in flight with an error."""
        await self._listings.close(error)

    @property
    def loaded(self) -> list[dict[str, Any]]:
        """ccxt's descriptions of the markets used so far."""
        return list(self._loaded.values())

    def market(self, pair: str) -> dict[str, Any]:
        """Return ccxt's description of a pair that `symbol` returned."""
        return self._loaded[pair]

    async def symbol(self, pair: str, *, halted: bool = False) -> str:
        """Return the active pair of a name as BASE/QUOTE, and load its market.

        With ``halted``, a halted pair is returned if no active one has the name. Raises
        `PairNotSupportedError` with similar pairs if there is no such pair.
        """
        asked: tuple[Any, ...] = pair, halted
        if isinstance(pair, Written):
            asked = *asked, written(pair), readings(pair)
        if self._is_current and (known := self._names.get(asked)) is not None:
            return known
        listing = await self.listing(MAX_AGE)
        if (known := self._names.get(asked)) is not None:
            return known  # somebody who waited for the same list has found it
        found = self._find(pair, halted=halted)
        if not found:
            # The pair may be new, or the list was damaged.
            listing = await self.listing(_NEW_PAIR_AGE)
            found = self._find(pair, halted=halted)
        if len(found) != 1:
            raise self._no_such_pair(pair, [market.pair for market in found])
        self._load(found, listing)
        self._names[asked] = found[0].pair
        return found[0].pair

    def _find(self, pair: str, *, halted: bool) -> list[Market]:
        found = self._catalogue.find(self._source, pair)
        if not found and halted:
            found = self._catalogue.find(self._source, pair, active=False)
        return found

    async def predecessor(self, pair: str) -> str | None:
        """Return the former pair of one with a renamed token.

        ``pair`` is one that `symbol` returned. The market of the former pair is loaded. None if no
        token was renamed, or if the exchange no longer lists the former pair, not even as halted.
        """
        if self._is_current and pair in self._older:
            return self._older[pair]
        listing = await self.listing(MAX_AGE)
        for name in listing.facts.formers(pair):
            found = self._catalogue.named(self._source, name)
            if found:
                self._load(found, listing)
                self._older[pair] = found[0].pair
                return found[0].pair
        self._older[pair] = None
        return None

    async def symbols(self, pairs: Sequence[str] | None) -> list[str]:
        """Return pairs as `symbol` does; None: all active ones by name."""
        if pairs is not None:
            return [await self.symbol(pair) for pair in pairs]
        listing, found = await self.markets()
        self._load(found, listing)
        return [market.pair for market in found]

    async def markets(self, **wanted: Any) -> tuple[Listing, list[Market]]:
        """Return the matching markets (`Catalogue.markets`) and their list."""
        listing = await self.listing(MAX_AGE)
        found = self._catalogue.markets(self._source, **wanted)
        if not found and self._catalogue.listing(self._source) is None:
            # The list was damaged.
            listing = await self.listing(MAX_AGE)
            found = self._catalogue.markets(self._source, **wanted)
        if not found and (other := {**wanted, **_in_codes(wanted)}) != wanted:
            found = self._catalogue.markets(self._source, **other)
        return listing, found

    async def plays(self) -> str | None:
        """Return the recording that a simulated exchange replays; None for a real one."""
        # This uses the list in which the pair was found. A list that another process has stored
        # since then is used for the next name.
        listing = self._last if self._is_current else None
        listing = listing or await self.listing(MAX_AGE)
        return (listing.plays or "unnamed") if listing.simulated else None

    def forget(self) -> None:
        """Have the list requested again before its next use."""
        self._catalogue.forget(self._source)
        self._last = None
        self._names.clear()

    def traded_most(self, besides: str = "", count: int = 2) -> list[str]:
        """Return pairs that are traded actively wherever they are listed.

        At most ``count``.
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
        for market in self._catalogue.find(self._source, pair, active=False):
            return PairNotSupportedError(
                f"{self._exchange} has halted {market.pair}: it lists the pair, which cannot be "
                "traded now.",
                details={"exchange": self._exchange, "pair": market.pair, "halted": True},
            )
        coins = [one for one in (code_of(written(pair)), pair, *readings(pair)[0]) if one]
        for coin in dict.fromkeys(coins):
            quoted = self._of_base(coin)
            if quoted:
                return PairNotSupportedError(
                    f"'{pair}' is not a pair of {self._exchange}, which has {len(quoted)} with "
                    f"that base.{did_you_mean(quoted[:3])}",
                    details={
                        "exchange": self._exchange,
                        "pair": pair,
                        "closest": quoted[:10],
                        # Lists of pairs have no volumes, and an error should not cost a request.
                        "closestBy": "pairs with the same quote",
                    },
                )
        near = self._near(pair)
        return PairNotSupportedError(
            f"{self._exchange} has no active spot pair '{pair}'.{did_you_mean(near[:3])}",
            details={"exchange": self._exchange, "pair": pair, "closest": near},
        )

    def _near(self, pair: str) -> list[str]:
        """Return the pairs that an unknown name may mean, likeliest first."""
        names = self._catalogue.names(self._source)
        base, _, quote = pair.partition("/")
        if not quote:
            base, quote = divided(pair) or (pair, "")
        # A pair that the exchange itself calls so may be another token: the caller must decide.
        near = self._catalogue.called(self._source, pair)
        near += [names[one] for one in (f"{quote}/{base}",) if one in names]
        if quote:
            same = self._of_base(base)
            alike = closest(quote, [one.partition("/")[2] for one in same], max(1, len(same)))
            near += [f"{same[0].partition('/')[0]}/{one}" for one in alike]
            # The same coin with another quote is likelier than a coin with a similar name.
            near += same[:3] if same else []
        near += [names[one] for one in closest(pair, names)]
        if "/" not in pair:
            by_joined = {name.replace("/", ""): pair for name, pair in names.items()}
            near += [by_joined[one] for one in closest(pair, by_joined)]
            # A quote alone, or one similar to existing ones.
            quotes = {name.partition("/")[2] for name in names.values()}
            for alone in [pair] if pair in quotes else [] if quote else closest(pair, quotes, 1):
                busy = (f"{one}/{alone}" for one in ("BTC", "ETH"))
                near = [*(one for one in busy if one in names), *near]
        return list(dict.fromkeys(near))

    def _of_base(self, base: str) -> list[str]:
        """Return the pairs with this base, most common quotes first."""
        if "/" in base:
            return []
        found = [market.pair for market in self._catalogue.markets(self._source, base=base)]
        usual = Counter(
            pair.partition("/")[2] for pair in self._catalogue.names(self._source).values()
        )
        first = {quote: place for place, quote in enumerate(_QUOTES)}

        def order(pair: str) -> tuple[Any, ...]:
            quote = pair.partition("/")[2]
            return quote not in first, -usual[quote], first.get(quote), pair

        return sorted(found, key=order)

    async def listing(self, max_age: float = MAX_AGE) -> Listing:
        """Return the list's state; request it if it is older than so many seconds."""
        key = f"{max_age:g}"
        if not self._listings.under_way(key):
            listing = self._catalogue.listing(self._source)
            if listing is not None and listing.age < max_age:
                return self._noted(listing)
        return self._noted(await self._listings.ask(key, partial(self._renew, max_age), _as_it_is))

    @property
    def _is_current(self) -> bool:
        """Whether the last used list is new enough."""
        return self._last is not None and self._last.age < MAX_AGE

    def _noted(self, listing: Listing) -> Listing:
        """Clear found names if the list has changed."""
        if self._last is None or listing.fetched_at != self._last.fetched_at:
            self._names.clear()
            self._older.clear()
        self._last = listing
        return listing

    async def _renew(self, max_age: float, question: Question) -> None:
        question.answer(await self._catalogue.renew(self._source, max_age, self._fetch))

    def _load(self, markets: Iterable[Market], listing: Listing | None = None) -> None:
        """Load the used markets into ccxt; each takes 40 us."""
        new = {one.pair: one.raw for one in markets if self._loaded.get(one.pair) != one.raw}
        renamed = self.renamed if listing is None else listing.facts.renamed
        if new or renamed != self.renamed:
            # Those of an older list stay for calls in flight.
            if renamed != self.renamed:
                ids = {raw.get("id") for raw in new.values()}
                kept = self._loaded.items()
                self._loaded = {pair: raw for pair, raw in kept if raw.get("id") not in ids}
            self._loaded.update(new)
            known = listing or self._last
            mode = None if known is None else known.facts.precision_mode
            for pair, raw in new.items():
                ticks.note(
                    self._exchange, pair, _step(raw, "price", mode), _step(raw, "amount", mode)
                )
            self.renamed = renamed
            self._load_all(self.loaded, renamed)


def _in_codes(wanted: Mapping[str, Any]) -> dict[str, str]:
    """Return the filters with currency codes: BTC for bitcoin and for $btc."""
    plain = {
        name: str(value).lstrip("$#")
        for name in ("base", "quote", "search")
        if (value := wanted.get(name)) is not None
    }
    return {name: code_of(value) or value for name, value in plain.items()}


def _as_it_is(listing: Listing) -> Listing:
    return listing


def spot_markets(
    raw: Iterable[Mapping[str, Any]], common: Mapping[str, str], *, asked_by_code: bool = False
) -> tuple[list[Market], Facts]:
    """Return the spot markets, active and halted, with one name for each currency, and the names.

    ``common`` is ccxt's map of the exchange's codes. If ccxt builds requests from its codes
    (`Quirk`), renamed tokens keep their old name, and the new name is an alias. Raises ValueError
    if there are no active markets, since that can only be an error.
    """
    spot = _printable(one for one in raw if one.get("spot") and ":" not in one["symbol"])
    listed = {str(one[side]) for one in spot for side in ("base", "quote")}
    new = currencies.renamed(listed, common)
    renamed = {} if asked_by_code else new
    markets = _told_apart(
        Market(str(one["symbol"]), one) for one in (_renamed(one, renamed) for one in spot)
    )
    active = [one for one in markets if one.is_active]
    if not active:
        raise ValueError("no active spot markets")
    traded = {str(one.raw[side]) for one in active for side in ("base", "quote")}
    aliases = currencies.aliases(traded, common)
    if asked_by_code:
        aliases |= {code: old for old, code in new.items() if old in traded}
    former = currencies.former(listed, common)
    return markets, Facts(renamed=renamed, aliases=aliases, former=former)


def _printable(markets: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out markets whose names contain unprintable characters."""
    there = list(markets)
    names = ("symbol", "base", "quote", "id", "baseId", "quoteId")
    kept = [one for one in there if all(str(one.get(name)).isprintable() for name in names)]
    if len(kept) < len(there):
        logger.warning(
            "%d pairs are left out: their names hold characters that cannot be printed",
            len(there) - len(kept),
        )
    return kept


def _told_apart(markets: Iterable[Market]) -> list[Market]:
    """Give each active market its own name.

    If two have the same name, the first keeps it. The second gets the exchange's own codes; if
    these are equal too, it is left out and logged.
    """
    made: list[Market] = []
    taken: dict[str, Any] = {}
    for market in markets:
        raw, name = market.raw, market.pair
        if market.is_active and name in taken and taken[name] != raw.get("id"):
            base, quote = (str(raw.get(side) or "").upper() for side in ("baseId", "quoteId"))
            name = f"{base}/{quote}"
            if not (base and quote) or name in taken:
                logger.warning(
                    "%s and %s are both active as %s: the second is left out",
                    taken[market.pair],
                    raw.get("id"),
                    market.pair,
                )
                continue
            market = Market(name, {**raw, "symbol": name, "base": base, "quote": quote})
        if market.is_active:
            taken[name] = raw.get("id")
        made.append(market)
    return made


def _renamed(market: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    base, quote = market["base"], market["quote"]
    if base not in renamed and quote not in renamed:
        return dict(market)
    base, quote = renamed.get(base, base), renamed.get(quote, quote)
    return {**market, "symbol": f"{base}/{quote}", "base": base, "quote": quote}


def records(
    exchange: str, listing: Listing, markets: Iterable[Market], *, exactly: bool
) -> list[Pair]:
    """Make records of markets; does not need the exchange's module.

    ``exactly`` makes Decimals of the list's floats.
    """
    received_at = datetime.fromtimestamp(listing.fetched_at, UTC)
    mode = listing.facts.precision_mode
    pairs = [
        parsing.pair(
            market.raw,
            exchange=exchange,
            received_at=received_at,
            simulated=listing.simulated,
            price_tick=_step(market.raw, "price", mode),
            amount_step=_step(market.raw, "amount", mode),
            fees=listing.facts.fees,
        )
        for market in markets
    ]
    return [parsing.in_decimals(one) for one in pairs] if exactly else pairs


def _step(raw: Mapping[str, Any], of: str, mode: int | None) -> float | None:
    """Return a precision as a step, from any of ccxt's three forms."""
    value = (raw.get("precision") or {}).get(of)
    if value is None:
        return None
    match mode:
        case 4:  # TICK_SIZE
            return float(value)
        case 2:  # DECIMAL_PLACES
            return float(f"1e{-int(value)}")
    return None  # SIGNIFICANT_DIGITS: the step depends on the price


def search(
    catalogue: Catalogue,
    endpoints: Mapping[str, str],
    among: Collection[str] | None,
    *,
    exactly: bool,
    **wanted: Any,
) -> tuple[int, list[Pair]] | None:
    """Find pairs in all lists on disk, by exchange and name, without a request.

    Works like `Catalogue.search`, in the exchanges that are in ``among``. For exchanges at another
    address, only the lists from there are used. None if there is no such list. Blocks.
    """
    lists = {}
    for kept, listing in catalogue.listings().items():
        exchange = kept.partition(" at ")[0]
        here = kept == source(exchange, endpoints.get(exchange))
        if here and (among is None or exchange in among):
            lists[kept] = exchange, listing
    if not lists:
        return None
    total, found = catalogue.search(list(lists), **wanted)
    if not found and not catalogue.listings():
        return None  # the lists are damaged
    each = groupby(found, itemgetter(0))
    return total, [
        pair
        for kept, those in each
        for pair in records(*lists[kept], [market for _, market in those], exactly=exactly)
    ]
