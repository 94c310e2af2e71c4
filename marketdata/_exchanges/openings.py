"""When the daily, weekly and monthly candles of exchanges open, with the source of each entry.

For all other exchanges, days are expected to open at midnight UTC and weeks on Monday, until their
candles show something else (`_candles.calendar.learned`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Opening:
    """When an exchange opens its daily and longer candles."""

    hours: int = 0
    """Hours after midnight UTC, or after midnight of `zone` if it is set."""
    weekday: int = 0
    """The first day of the week: 0 is Monday."""
    zone: str | None = None
    """The exchange's time zone, if daylight saving time moves its days."""


_THURSDAY = Opening(weekday=3)

OPENINGS: dict[str, Opening] = {
    # developers.binance.com, "Kline/Candlestick data": times are UTC unless timeZone is sent.
    "binance": Opening(),
    # docs.binance.us, "Get Candlestick Data": the same.
    "binanceus": Opening(),
    # docs.cdp.coinbase.com, "Get product candles": buckets start at multiples since 1970.
    "coinbaseexchange": Opening(),
    # huobiapi.github.io, "Get Klines": days in UTC+8.
    "htx": Opening(hours=16),
    # github.com/rainbow-me/rainbow, pull request 6920: weeks from Thursday, midnight UTC.
    "hyperliquid": _THURSDAY,
    # docs.kraken.com, "Get OHLC Data": the interval of a week is 10,080 minutes since 1970.
    "kraken": _THURSDAY,
    # github.com/Kucoin/kucoin-api-docs, issues 350 and 373: weeks from Thursday, midnight UTC.
    "kucoin": _THURSDAY,
    # okx.com/docs-v5, "Get candlesticks": the "utc" candles, which ccxt requests, open by UTC.
    "okx": Opening(),
}
