"""What the four dialects share: a request, a refusal, a route, an exchange's markets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from marketdata.sim.clock import Clock
from marketdata.sim.markets.listings import Listing, listings
from marketdata.sim.markets.market import Market
from marketdata.sim.markets.seeded import SeededMarket
from marketdata.sim.sockets.streams import Session

T = TypeVar("T")


class RefusedError(Exception):
    """An answer that turns a request down: HTTP status and JSON body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


@dataclass(slots=True)
class Call:
    """One request as a dialect sees it.

    ``now`` is the exchange's time in Unix milliseconds, ``path`` the variable parts of the path,
    ``keep`` the number of candles that a fault leaves of an answer (None: all), ``headers`` what
    the answer carries besides its body.
    """

    query: Mapping[str, str]
    path: Mapping[str, str]
    now: int
    keep: int | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def kept(self, rows: Sequence[T]) -> list[T]:
        """Return the candles that are sent of those that should be."""
        return list(rows if self.keep is None else rows[: self.keep])


class Venue:
    """The markets of one simulated exchange, made when they are first asked for.

    ``tape`` holds recorded markets by pair; with it the exchange has no others.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        seed: int = 1,
        pairs: int | None = None,
        tape: Mapping[str, Market] | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self._seed = seed
        self._pairs = pairs
        self._tape = tape
        self._markets: dict[str, Market] = {}

    @cached_property
    def listings(self) -> dict[str, Listing]:
        """What is listed, by pair."""
        if self._tape is not None:
            return {pair: market.listing for pair, market in self._tape.items()}
        return {listing.pair: listing for listing in listings(self.name, self._pairs)}

    @cached_property
    def assets(self) -> list[str]:
        """The names of all assets that are traded here, sorted."""
        return sorted({name for pair in self.listings for name in pair.split("/")})

    def ids(self, name: Callable[[Listing], str]) -> dict[str, Listing]:
        """Return what is listed, by the name that ``name`` gives it."""
        return {name(listing): listing for listing in self.listings.values()}

    def market(self, listing: Listing) -> Market:
        """Return the market of ``listing``."""
        if self._tape is not None:
            return self._tape[listing.pair]
        market = self._markets.get(listing.pair)
        if market is None:
            market = SeededMarket(self._seed, self.name, listing)
            self._markets[listing.pair] = market
        return market

    def markets(self) -> list[Market]:
        """Return all markets that are traded."""
        return [self.market(listing) for listing in self.listings.values() if listing.active]


def _no_source(_venue: Venue) -> None:
    return None


class Route(NamedTuple):
    """One endpoint: its path (``{name}`` for variable parts), what answers it, and its weight."""

    path: str
    answer: Callable[[Any, Call], object]
    weight: Callable[[Call], int] | int = 1


class SocketRoute(NamedTuple):
    """A path at which sockets are opened, and what is made for each one of them."""

    path: str
    session: Callable[[Any, Call], Session]


class Dialect(NamedTuple):
    """One exchange's interface.

    ``prefixes`` tell from a path that it is this exchange's. ``open`` makes what its answers are
    given first, ``source`` what its sockets' sessions are. ``error`` is the body that this
    exchange sends with an HTTP status of its gateway.
    """

    name: str
    prefixes: tuple[str, ...]
    routes: tuple[Route, ...]
    open: Callable[[Venue], Any]
    error: Callable[[int], object]
    weighed: str | None = None
    sockets: tuple[SocketRoute, ...] = ()
    source: Callable[[Venue], Any] = _no_source
