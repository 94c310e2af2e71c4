"""The raw ticker fields of each exchange, and which of them cover the last 24 hours.

Some exchanges send the opening price of the current day next to volumes of the last 24 hours, and
ccxt computes change, percentage and average from both. An entry here names the raw fields that
cover another time span, and those that cover the last 24 hours.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TickerLayout:
    """How to read the raw ticker fields of one exchange."""

    other_span: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields of ccxt's ticker, with the raw field that does not cover the last 24 hours. If a
    response lacks the raw field, ccxt has read another one, and its value is kept."""
    only_with: str | None = None
    """`other_span` applies only to responses with this raw field; None: to all."""
    open: str | None = None
    """The raw field with the price 24 hours ago, if ccxt does not read it."""
    change: str | None = None
    """The raw field with the price change over 24 hours."""
    percentage: str | None = None
    """The raw field with the change in percent."""
    fraction: str | None = None
    """The raw field with the change as a fraction, which ccxt reads as percent."""
    low: str | None = None
    """The raw field with the lowest price."""
    average: bool = False
    """Whether the exchange sends its own ``average``."""
    open_time: str | None = None
    """The raw field with the start of the 24 hours."""
    seconds: bool = False
    """Whether `open_time` is in seconds and not in milliseconds."""
    trades: str | None = None
    """The raw field with the number of trades in the 24 hours."""
    trades_at: int | None = None
    """The position of the number of trades if the raw field is a list."""

    @functools.cached_property
    def changes_prices(self) -> bool:
        """Whether any price or change is read differently from ccxt."""
        declared = (self.open, self.change, self.percentage, self.fraction, self.low)
        return bool(self.other_span) or any(name is not None for name in declared)


_OF_THE_DAY = {"open": ("open",), "high": ("high",), "low": ("low",)}

# In HTX's list of tickers, whose rows have bidSize, open, high and low are documented to cover the
# day in Singapore; volumes and the number of trades cover 24 hours. BitTrade has the same API.
_HTX = TickerLayout(other_span=_OF_THE_DAY, only_with="bidSize", trades="count")
_BINANCE = TickerLayout(open_time="openTime", trades="count")
# Upbit's reference: opening_price, high_price and low_price are since 00:00 UTC, and only acc_*_24h
# cover 24 hours. signed_change_* are relative to yesterday's close.
_UPBIT = {"open": ("opening_price",), "high": ("high_price",), "low": ("low_price",)}

# In a snapshot, dailyBar is today's bar and prevDailyBar yesterday's.
_ALPACA = ("open", "high", "low", "vwap", "base_volume", "quote_volume")

LAYOUTS: Mapping[str, TickerLayout] = {
    "alpaca": TickerLayout(other_span=dict.fromkeys(_ALPACA, ("dailyBar",))),
    "aster": _BINANCE,
    "backpack": TickerLayout(trades="trades"),
    "binance": _BINANCE,
    "binanceus": _BINANCE,
    "bingx": TickerLayout(open_time="openTime"),
    "bit2c": TickerLayout(average=True),
    "bitbns": TickerLayout(average=True),
    # In Bithumb's older format, min_price, max_price and opening_price are since 00:00 in Korea;
    # fluctate_24H and fluctate_rate_24H cover 24 hours. Its newer format is Upbit's.
    "bithumb": TickerLayout(
        other_span={
            "open": ("opening_price",),
            "high": ("max_price", "high_price"),
            "low": ("min_price", "low_price"),
        },
        change="fluctate_24H",
        percentage="fluctate_rate_24H",
    ),
    # open is the first price of the day, open_24 the price 24 hours ago, percent_change_24 the
    # change since then.
    "bitstamp": TickerLayout(
        other_span={"open": ("open",)}, open="open_24", percentage="percent_change_24"
    ),
    "bitso": TickerLayout(change="change_24"),
    "bittrade": _HTX,
    # ccxt reads ``low``, but the response has low24h.
    "btcmarkets": TickerLayout(low="low24h"),
    "btse": TickerLayout(open_time="openTime", seconds=True),
    "bullish": TickerLayout(average=True),
    "coinsph": _BINANCE,
    # c is the 24-hour change as a fraction: in the reference's example, the last price is 51174.5
    # between 47895.5 and 51790.0, and c is 0.03955106.
    "cryptocom": TickerLayout(fraction="c"),
    # percentChange24h is ambiguous: the reference's example has a percentage, such as 5.23, but
    # responses have numbers such as 0.0146.
    "gemini": TickerLayout(other_span={"percentage": ("percentChange24h",)}),
    "htx": _HTX,
    "independentreserve": TickerLayout(average=True),
    # o is today's opening price. p, v, h, l and t have two values: today, and 24 hours.
    "kraken": TickerLayout(other_span={"open": ("o",)}, trades="t", trades_at=1),
    "kucoin": TickerLayout(average=True),
    "mexc": TickerLayout(open_time="openTime", trades="count"),
    # Session* cover the session and Rolling24Hr* 24 hours. It is not documented whether
    # Rolling24HrPxChange is a price or a percentage. In its list of tickers, highest_bid and
    # base_volume are swapped: BTC/CAD has 66.4 and 75774.9 at a price of 75925.4.
    "ndax": TickerLayout(
        other_span={
            "bid": ("highest_bid",),
            "base_volume": ("base_volume",),
            "open": ("SessionOpen",),
            "high": ("SessionHigh",),
            "low": ("SessionLow",),
            "change": ("Rolling24HrPxChange",),
        },
        percentage="Rolling24HrPxChangePercent",
        trades="Rolling24NumTrades",
    ),
    "tokocrypto": _BINANCE,
    "upbit": TickerLayout(other_span=_UPBIT),
    "weex": _BINANCE,
    "zebpay": TickerLayout(average=True, change="priceChange", percentage="priceChangePercent"),
}

_PLAIN = TickerLayout()


def layout(exchange: str) -> TickerLayout:
    """Return how to read an exchange's ticker; ccxt reads most of them correctly."""
    return LAYOUTS.get(exchange, _PLAIN)
