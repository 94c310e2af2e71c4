"""Names of exchanges, as people write them, to ccxt's ids."""

from __future__ import annotations

import re

__all__ = ["exchange_id"]

_OTHER = {
    # What they were called before.
    "bitfinex2": "bitfinex",
    "coinbasepro": "coinbaseexchange",
    "gdax": "coinbaseexchange",
    "huobi": "htx",
    "huobiglobal": "htx",
    "huobipro": "htx",
    "lbank2": "lbank",
    "okex": "okx",
    "okex5": "okx",
    # What they are called elsewhere.
    "blockchain": "blockchaincom",
    "coinsphilippines": "coinsph",
    "cryptocomexchange": "cryptocom",
    "gateio": "gate",
    "krakenpro": "kraken",
    # What ccxt calls them besides their ids.
    "bybitindonesia": "bybitid",
    "cexio": "cex",
    "coinbaseadvanced": "coinbase",
    "deltaexchange": "delta",
    "hashkeyglobal": "hashkey",
    "mercadobitcoin": "mercado",
    "mexcglobal": "mexc",
    "myokxeea": "myokx",
    "woox": "woo",
}
"""Without what `exchange_id` leaves out."""


def exchange_id(text: str) -> str:
    """Bring the name of an exchange to ccxt's id, which is lower-case ASCII.

    Case, blanks, dots, dashes and brackets do not count: ``Crypto.com`` is ``cryptocom``. Old
    names and other names are known, such as ``huobi`` and ``coinbase pro``.
    """
    name = re.sub(r"[\s._()-]", "", text.lower())
    return re.sub(r"[^ -~]", "?", _OTHER.get(name, name))
