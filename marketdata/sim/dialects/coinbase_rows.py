"""How Coinbase Exchange names pairs and writes numbers."""

from __future__ import annotations

from marketdata.sim.dialects.decimals import fixed
from marketdata.sim.markets.listings import Listing
from marketdata.sim.markets.market import Market


def product_id(listing: Listing) -> str:
    """Return the name of a pair at Coinbase."""
    return f"{listing.base}-{listing.quote}"


def price_text(market: Market, price: int) -> str:
    """Return a price as Coinbase writes it."""
    return fixed(price, market.price_scale, market.price_scale)


def amount_text(market: Market, amount: int) -> str:
    """Return an amount as Coinbase writes it."""
    return fixed(amount, market.amount_scale, 8)
