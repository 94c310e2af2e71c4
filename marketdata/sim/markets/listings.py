"""Which pairs the simulated exchanges list, and how each exchange quotes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import NamedTuple


class Asset(NamedTuple):
    """What an asset is worth: a usual price in dollars, and how far it strays from it."""

    dollars: float
    swing: float


@dataclass(frozen=True, slots=True)
class Listing:
    """A pair as one exchange lists it.

    ``price_scale`` and ``amount_scale`` are the decimals of the price tick and of the amount
    step. ``size`` is the usual amount of a trade in the base asset, ``pace`` how many times eight
    trades come on a usual day. ``since`` and ``until`` bound the history in Unix milliseconds;
    ``until`` is None while the pair is traded.
    """

    base: str
    quote: str
    price_scale: int
    amount_scale: int
    size: float
    pace: int
    since: int
    until: int | None = None

    @property
    def pair(self) -> str:
        """``BASE/QUOTE``."""
        return f"{self.base}/{self.quote}"

    @property
    def active(self) -> bool:
        """Whether the pair is traded."""
        return self.until is None


ASSETS = {
    "ADA": Asset(0.62, 1.2),
    "BTC": Asset(61_000, 0.8),
    "DOGE": Asset(0.16, 1.4),
    "ETH": Asset(2_900, 1.0),
    "EUR": Asset(1.09, 0.08),
    "LTC": Asset(84, 1.0),
    "PEPE": Asset(0.0000094, 1.3),
    "SOL": Asset(142, 1.3),
    "USD": Asset(1, 0.0),
    "USDC": Asset(1, 0.0004),
    "USDT": Asset(1, 0.001),
    "WAVES": Asset(2.1, 1.2),
    "XRP": Asset(0.58, 1.1),
}


def _date(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1000


_OPENING = _date(2017, 1, 1)

_Row = tuple[str, float, int, int]

# Pair, usual trade in the base asset, blocks of eight trades on a usual day, listing date.
_PAIRS: tuple[_Row, ...] = (
    ("BTC/USDT", 0.02, 14_400, _OPENING),
    ("ETH/USDT", 0.3, 11_520, _OPENING),
    ("SOL/USDT", 4.0, 8_640, _date(2020, 8, 11)),
    ("BTC/USDC", 0.015, 3_000, _date(2018, 12, 15)),
    ("ETH/BTC", 0.4, 1_500, _OPENING),
    ("BTC/EUR", 0.01, 2_000, _date(2019, 10, 1)),
    ("DOGE/USDT", 900.0, 4_000, _date(2019, 7, 5)),
    ("XRP/USDT", 350.0, 5_000, _date(2018, 5, 4)),
    ("PEPE/USDT", 9e6, 3_000, _date(2023, 5, 5)),
    ("ADA/USDT", 400.0, 2_500, _date(2018, 4, 17)),
    ("LTC/BTC", 3.0, 240, _OPENING),
)
_DOLLAR_PAIRS: tuple[_Row, ...] = (
    ("BTC/USD", 0.02, 11_520, _OPENING),
    ("ETH/USD", 0.3, 10_080, _OPENING),
)
_WITH_DOLLARS = ("kraken", "coinbaseexchange")
_MADE_UP_DECIMALS = 8
"""Decimals of price and amount together, of a pair of made-up assets."""
_CLOSED = ("WAVES/USDT", 60.0, 800, _date(2018, 7, 1), _date(2024, 6, 17))

# Decimals of (price, amount) by pair; "" is what an exchange does where nothing else is said.
_DECIMALS: dict[str, dict[str, tuple[int, int]]] = {
    "binance": {
        "": (4, 1),
        "BTC/USDT": (2, 5),
        "BTC/USDC": (2, 5),
        "BTC/EUR": (2, 5),
        "ETH/USDT": (2, 4),
        "SOL/USDT": (2, 3),
        "ETH/BTC": (5, 4),
        "LTC/BTC": (6, 3),
        "DOGE/USDT": (5, 0),
        "PEPE/USDT": (8, 0),
    },
    "kraken": {
        "": (5, 8),
        "BTC/USD": (1, 8),
        "BTC/USDT": (1, 8),
        "BTC/USDC": (2, 8),
        "BTC/EUR": (1, 8),
        "ETH/USD": (2, 8),
        "ETH/USDT": (2, 8),
        "SOL/USDT": (2, 8),
        "LTC/BTC": (6, 8),
        "DOGE/USDT": (7, 8),
        "ADA/USDT": (6, 8),
        "PEPE/USDT": (9, 5),
    },
    "coinbaseexchange": {
        "": (4, 8),
        "BTC/USD": (2, 8),
        "BTC/USDT": (2, 8),
        "BTC/USDC": (2, 8),
        "BTC/EUR": (2, 8),
        "ETH/USD": (2, 8),
        "ETH/USDT": (2, 8),
        "SOL/USDT": (2, 8),
        "ETH/BTC": (5, 8),
        "LTC/BTC": (6, 8),
        "DOGE/USDT": (5, 1),
        "XRP/USDT": (4, 6),
        "PEPE/USDT": (8, 0),
    },
    "okx": {
        "": (4, 4),
        "BTC/USDT": (1, 8),
        "BTC/USDC": (1, 8),
        "BTC/EUR": (1, 8),
        "ETH/USDT": (2, 6),
        "SOL/USDT": (2, 6),
        "ETH/BTC": (5, 6),
        "LTC/BTC": (6, 6),
        "DOGE/USDT": (5, 6),
        "PEPE/USDT": (9, 0),
    },
}

MARKETS = tuple(_DECIMALS)


def listings(exchange: str, count: int | None = None) -> list[Listing]:
    """Return what ``exchange`` lists, the pair that is no longer traded last but for padding.

    ``count`` shortens the list or pads it with pairs of made-up assets; None leaves it alone.
    """
    pairs = _PAIRS + (_DOLLAR_PAIRS if exchange in _WITH_DOLLARS else ())
    found = [*(_listing(exchange, *row) for row in pairs), _listing(exchange, *_CLOSED)]
    if count is None:
        return found
    found += [_made_up(exchange, index) for index in range(count - len(found))]
    return found[:count]


def coarsest(listing: Listing) -> tuple[int, int]:
    """Return the fewest decimals of price and of amount that an exchange lists the pair with."""
    if listing.base not in ASSETS:
        return listing.price_scale, _MADE_UP_DECIMALS - listing.price_scale
    pair = listing.pair
    quoted = [
        scales.get(pair, scales[""])
        for name, scales in _DECIMALS.items()
        if listing.quote != "USD" or name in _WITH_DOLLARS
    ]
    return min(price for price, _ in quoted), min(amount for _, amount in quoted)


def asset(name: str) -> Asset:
    """Return what is known of an asset, made up from its name when it is itself made up."""
    known = ASSETS.get(name)
    if known:
        return known
    number = int.from_bytes(name.encode(), "big")
    return Asset((1 + number % 97) * 10.0 ** (number % 5 - 2), 1.2)


def _listing(
    exchange: str, pair: str, size: float, pace: int, since: int, until: int | None = None
) -> Listing:
    base, quote = pair.split("/")
    scales = _DECIMALS[exchange]
    price_scale, amount_scale = scales.get(pair, scales[""])
    return Listing(base, quote, price_scale, amount_scale, size, pace, since, until)


_CONSONANTS, _VOWELS = "BDFGKLMNPRTVZ", "AEIOU"
_SYLLABLES = [first + second for first, second in product(_CONSONANTS, _VOWELS)]


def _made_up(exchange: str, index: int) -> Listing:
    number, quoted = divmod(index, 2)
    first, second = divmod(number, len(_SYLLABLES))
    base = f"{_SYLLABLES[first % len(_SYLLABLES)]}{_SYLLABLES[second]}X"
    if first >= len(_SYLLABLES):
        base += str(first // len(_SYLLABLES))
    dollars = asset(base).dollars
    quote = "USDC" if quoted else "USDT"
    price_scale = 2 if dollars > 100 else 4 if dollars > 1 else 6
    amount_scale = 8 if exchange in _WITH_DOLLARS else _MADE_UP_DECIMALS - price_scale
    since = _date(2019 + index % 6, 1 + index % 12, 1)
    return Listing(base, quote, price_scale, amount_scale, 1200 / dollars, 300, since)
