"""How many decimals the exchanges count prices and amounts of a pair in, for displays.

Records do not carry it: it is no part of an answer, and a million trades would each pay for it.
It is known of a pair whose rules this process has loaded. Without them displays go by the digits
of the numbers they show.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

__all__ = ["Decimals", "known", "note"]


class Decimals(NamedTuple):
    """Decimal places of a price and of an amount; None if the exchange does not send them."""

    price: int | None = None
    amount: int | None = None


_UNKNOWN = Decimals()
_KNOWN: dict[tuple[str, str], Decimals] = {}


def note(exchange: str, pair: str, price_tick: float | None, amount_step: float | None) -> None:
    """Keep the price and amount steps of a list of pairs."""
    _KNOWN[exchange, pair] = Decimals(_decimals(price_tick), _decimals(amount_step))


def known(exchange: str, pair: str) -> Decimals:
    """Return the decimals of a pair."""
    return _KNOWN.get((exchange, pair), _UNKNOWN)


def _decimals(step: float | None) -> int | None:
    if not step:
        return None
    exponent = Decimal(format(step, ".12g")).normalize().as_tuple().exponent
    return max(0, -int(exponent))
