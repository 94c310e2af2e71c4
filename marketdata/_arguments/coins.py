"""Names of coins and currencies."""

from __future__ import annotations

from marketdata._arguments.saying import was
from marketdata.errors import InvalidParameterError

QUOTES = (
    *("USDT", "USDC", "FDUSD", "PYUSD", "USD1", "USDS", "DAI"),
    *("USD", "EUR", "GBP", "JPY", "KRW", "AUD", "CAD", "CHF", "TRY", "BRL", "INR", "IDR", "SGD"),
    *("BTC", "XBT", "ETH", "BNB"),
)
"""Quote currencies at the end of pairs, longer ones before their endings.

Without TUSD and BUSD: DOTUSD and BNBUSD are in dollars.
"""

_NAMES = {
    "aave": "AAVE",
    "algorand": "ALGO",
    "aptos": "APT",
    "arbitrum": "ARB",
    "avalanche": "AVAX",
    "binance coin": "BNB",
    "binancecoin": "BNB",
    "bitcoin": "BTC",
    "bitcoin cash": "BCH",
    "bitcoincash": "BCH",
    "bitcoins": "BTC",
    "cardano": "ADA",
    "chainlink": "LINK",
    "cosmos": "ATOM",
    "dash": "DASH",
    "dogecoin": "DOGE",
    "dollar": "USD",
    "dollars": "USD",
    "ether": "ETH",
    "ethereum": "ETH",
    "ethereum classic": "ETC",
    "euro": "EUR",
    "euros": "EUR",
    "filecoin": "FIL",
    "hedera": "HBAR",
    "hyperliquid": "HYPE",
    "internet computer": "ICP",
    "litecoin": "LTC",
    "maker": "MKR",
    "monero": "XMR",
    "near protocol": "NEAR",
    "optimism": "OP",
    "pepecoin": "PEPE",
    "pi network": "PI",
    "polkadot": "DOT",
    "polygon": "POL",
    "pound": "GBP",
    "ripple": "XRP",
    "shiba": "SHIB",
    "shiba inu": "SHIB",
    "solana": "SOL",
    "stellar": "XLM",
    "tether": "USDT",
    "tezos": "XTZ",
    "toncoin": "TON",
    "tron": "TRX",
    "uniswap": "UNI",
    "us dollar": "USD",
    "usd coin": "USDC",
    "worldcoin": "WLD",
    "yen": "JPY",
    "zcash": "ZEC",
}
_SIGNS = {"\u20ac": "EUR", "\u00a3": "GBP", "\u20bf": "BTC"}


def code_of(name: str) -> str | None:
    """Return the code of a coin or currency by its name, in any case; None if unknown."""
    return _SIGNS.get(name) or _NAMES.get(
        " ".join(name.lower().replace("-", " ").replace("_", " ").split())
    )


def divided(joined: str) -> tuple[str, str] | None:
    """Split a pair without a separator before its quote currency, if that is known.

    Only an exchange's list of pairs can confirm it.
    """
    for quote in QUOTES:
        base = joined.removesuffix(quote)
        if base and base != joined and len(base) >= 2:
            return base, quote
    return None


def part(text: str) -> str:
    """Check the name of a currency, or a part of a pair's name."""
    cleaned = text.strip()
    if not 1 <= len(cleaned) <= 40 or not cleaned.isprintable():
        raise InvalidParameterError(f"A name has 1 to 40 characters; {was(text)}.")
    return cleaned
