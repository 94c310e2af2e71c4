"""Converts common names of exchanges to ccxt's ids."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["WELL_KNOWN", "exchange_id"]

_OTHER = {
    # Former names.
    "bitfinex2": "bitfinex",
    "coinbasepro": "coinbaseexchange",
    "gdax": "coinbaseexchange",
    "huobi": "htx",
    "huobiglobal": "htx",
    "huobipro": "htx",
    "lbank2": "lbank",
    "mexc3": "mexc",
    "okex": "okx",
    "okex5": "okx",
    # Names in other libraries.
    "blockchain": "blockchaincom",
    "coinsphilippines": "coinsph",
    "cryptocomexchange": "cryptocom",
    "gateio": "gate",
    "krakenpro": "kraken",
    # ccxt's names besides the ids.
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
"""The names without the characters that `exchange_id` removes."""


WELL_KNOWN = frozenset(
    (
        *("binance", "binanceus", "bitfinex", "bitget", "bithumb", "bitmart", "bitmex", "bitstamp"),
        *("bitvavo", "bybit", "coinbase", "coinbaseexchange", "coinex", "cryptocom", "deribit"),
        *("gate", "gemini", "htx", "hitbtc", "hyperliquid", "kraken", "kucoin", "lbank", "mexc"),
        *("okx", "phemex", "poloniex", "upbit", "whitebit"),
    )
)
"""Ids that can have an ending in names, and that are distinguished from currency codes."""
_ENDINGS = re.compile(r"(?:dotcom|com|exchange|spot|global|io)$")


def exchange_id(text: str) -> str:
    """Convert the name of an exchange to ccxt's id, which is lower-case ASCII.

    Case, blanks, dots, dashes and brackets do not count: ``Crypto.com`` is ``cryptocom``. Old
    names and other names are known, such as ``huobi`` and ``coinbase pro``, and endings of
    the largest exchanges' names, as in ``Binance.com`` and ``Kraken spot``.
    """
    plain = unicodedata.normalize("NFKC", text).lower().strip()
    plain = re.sub(r"^(?:https?://)?(?:www\.)?|^the\s+|(?<=\w)/$", "", plain)
    name = re.sub(r"[\s._()\"'-]", "", plain)
    if name not in _OTHER and name not in WELL_KNOWN:
        short = _ENDINGS.sub("", name)
        name = short if _OTHER.get(short, short) in WELL_KNOWN else name
    return re.sub(r"[^ -~]", "?", _OTHER.get(name, name))
