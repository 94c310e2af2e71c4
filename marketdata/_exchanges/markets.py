"""Which pairs one exchange has: a text's pair found, markets loaded when they are asked for."""

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

__all__ = ["PairList", "records", "search", "spot_markets"]

_QUOTES = ("USDT", "USD", "USDC", "EUR", "BTC", "KRW", "JPY")
"""Currencies in which exchanges have their busiest pairs, the most frequent first."""
_NEW_PAIR_AGE = 600.0
"""Seconds after which a list without the wanted pair is fetched again, in case it is new."""


class PairList:
    """The spot pairs of one exchange, as the catalogue has them.

    Pairs that the exchange's other calls take are those that `symbol` gave, so that ``load`` has
    been told of their markets.
    """

    def __init__(
        self,
        exchange: str,
        source: str,
        catalogue: Catalogue,
        fetch: Callable[[], Awaitable[Fetched]],
        load: Callable[[list[dict[str, Any]], Mapping[str, str]], None],
    ) -> None:
        """``fetch`` asks the exchange for its list.

        ``load`` gets all markets asked for so far, and the codes that are renamed in them.
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
        """Codes that ccxt would give, and what the list has instead."""
        self._listings = Sharing()

    async def close(self, error: Exception) -> None:
        """End what is under way with an error."""
        await self._listings.close(error)

    @property
    def loaded(self) -> list[dict[str, Any]]:
        """ccxt's descriptions of the markets that were asked for."""
        return list(self._loaded.values())

    def market(self, pair: str) -> dict[str, Any]:
        """Return ccxt's description of a pair that `symbol` gave."""
        return self._loaded[pair]

    async def symbol(self, pair: str, *, halted: bool = False) -> str:
        """Return the active pair that a text names, as BASE/QUOTE, with its market loaded.

        With ``halted``, a pair that is listed but cannot be traded now, where no active one has the
        name. Raises `PairNotSupportedError`, with the closest pairs, where there is no such pair.
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
            # It may be new, or the list may have turned out to be damaged.
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
        """Return the pair under which one was traded before a token of it was renamed.

        ``pair`` is one that `symbol` gave. The market of the older one is loaded. None where no
        token was renamed, or where the exchange lists the older pair no more, not even as halted.
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
        """Return pairs as `symbol` does; all active ones, by name, for None."""
        if pairs is not None:
            return [await self.symbol(pair) for pair in pairs]
        listing, found = await self.markets()
        self._load(found, listing)
        return [market.pair for market in found]

    async def markets(self, **wanted: Any) -> tuple[Listing, list[Market]]:
        """Return the markets that fit (`Catalogue.markets`) and the list that they are from."""
        listing = await self.listing(MAX_AGE)
        found = self._catalogue.markets(self._source, **wanted)
        if not found and self._catalogue.listing(self._source) is None:
            # The list has turned out to be damaged.
            listing = await self.listing(MAX_AGE)
            found = self._catalogue.markets(self._source, **wanted)
        if not found and (other := {**wanted, **_in_codes(wanted)}) != wanted:
            found = self._catalogue.markets(self._source, **other)
        return listing, found

    async def plays(self) -> str | None:
        """Return what the exchange plays where it is a simulated one; None for a real one."""
        # The list of the pair that is asked for: what another process has fetched since, the next
        # name is looked for in.
        listing = self._last if self._is_current else None
        listing = listing or await self.listing(MAX_AGE)
        return (listing.plays or "unnamed") if listing.simulated else None

    def forget(self) -> None:
        """Have the list fetched again before it is next used."""
        self._catalogue.forget(self._source)
        self._last = None
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
                        # No list of pairs has volumes, and an error is worth no request for them.
                        "closestBy": "pairs with the same quote",
                    },
                )
        near = self._near(pair)
        return PairNotSupportedError(
            f"{self._exchange} has no active spot pair '{pair}'.{did_you_mean(near[:3])}",
            details={"exchange": self._exchange, "pair": pair, "closest": near},
        )

    def _near(self, pair: str) -> list[str]:
        """Name the pairs that a text may mean which is none, the likeliest first."""
        names = self._catalogue.names(self._source)
        base, _, quote = pair.partition("/")
        if not quote:
            base, quote = divided(pair) or (pair, "")
        # What the exchange itself calls so may be another token: that is for the caller to say.
        near = self._catalogue.called(self._source, pair)
        near += [names[one] for one in (f"{quote}/{base}",) if one in names]
        if quote:
            same = self._of_base(base)
            alike = closest(quote, [one.partition("/")[2] for one in same], max(1, len(same)))
            near += [f"{same[0].partition('/')[0]}/{one}" for one in alike]
            # Another quote is worth more than another coin whose name looks alike.
            near += same[:3] if same else []
        near += [names[one] for one in closest(pair, names)]
        if "/" not in pair:
            by_joined = {name.replace("/", ""): pair for name, pair in names.items()}
            near += [by_joined[one] for one in closest(pair, by_joined)]
            # A quote alone, or one like those that there are.
            quotes = {name.partition("/")[2] for name in names.values()}
            for alone in [pair] if pair in quotes else [] if quote else closest(pair, quotes, 1):
                busy = (f"{one}/{alone}" for one in ("BTC", "ETH"))
                near = [*(one for one in busy if one in names), *near]
        return list(dict.fromkeys(near))

    def _of_base(self, base: str) -> list[str]:
        """Name the pairs that have this base, those first whose quote most pairs here have."""
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
        """Tell when the list was fetched, fetching it where it is older than so many seconds."""
        key = f"{max_age:g}"
        if not self._listings.under_way(key):
            listing = self._catalogue.listing(self._source)
            if listing is not None and listing.age < max_age:
                return self._noted(listing)
        return self._noted(await self._listings.ask(key, partial(self._renew, max_age), _as_it_is))

    @property
    def _is_current(self) -> bool:
        """Whether the list that was last looked at is new enough to go by."""
        return self._last is not None and self._last.age < MAX_AGE

    def _noted(self, listing: Listing) -> Listing:
        """Forget which names found what where the list is another one."""
        if self._last is None or listing.fetched_at != self._last.fetched_at:
            self._names.clear()
            self._older.clear()
        self._last = listing
        return listing

    async def _renew(self, max_age: float, question: Question) -> None:
        question.answer(await self._catalogue.renew(self._source, max_age, self._fetch))

    def _load(self, markets: Iterable[Market], listing: Listing | None = None) -> None:
        """Let ccxt know markets; only those that were asked for, since each costs 40 us."""
        new = {one.pair: one.raw for one in markets if self._loaded.get(one.pair) != one.raw}
        renamed = self.renamed if listing is None else listing.facts.renamed
        if new or renamed != self.renamed:
            # Those of an older list stay, for calls that are under way.
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
    """Return filters by the codes of what they name: bitcoin is BTC, and so is $btc."""
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
    """Return the spot markets, active and halted, each currency under its one name, and the names.

    ``common`` is ccxt's map of the exchange's codes; where ccxt asks by those (`Quirk`) tokens that
    were renamed keep their old name, and the new one is another. Raises ValueError where there are
    no active markets, which no exchange would mean.
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
    """Leave out markets whose names could make a terminal or a log say something else."""
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
    """Name each active market: by a name that the exchange uses, where two have one.

    The first keeps the name. Another one is called by the exchange's own codes of its currencies;
    where these do not tell them apart either, it is left out, and the log says so.
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
    """Make the records of markets of a list; needs nothing of the exchange's module.

    ``exactly`` makes Decimals of what the list has as floats.
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
    """Return a precision as a step, whichever of ccxt's three ways the exchange has it in."""
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
    """Find pairs on all exchanges whose lists are kept, by exchange and name, without a request.

    As `Catalogue.search`. Of exchanges at another address only the lists from there count, and only
    exchanges that are ``among`` those given. None where there is no such list. Blocks.
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
        return None  # they have turned out to be damaged
    each = groupby(found, itemgetter(0))
    return total, [
        pair
        for kept, those in each
        for pair in records(*lists[kept], [market for _, market in those], exactly=exactly)
    ]
