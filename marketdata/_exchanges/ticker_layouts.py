"""Where an exchange's ticker has its fields, and which of them cover the last 24 hours.

ccxt reads what is there: some exchanges send the opening price of the day beside volumes of the
last 24 hours, and ccxt makes change, percentage and average of that. A line here says which raw
fields cover another span, and which cover the right one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TickerLayout:
    """How the raw fields of one exchange's ticker are to be read."""

    other_span: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields of ccxt's of which the raw ones, named here, do not cover the last 24 hours. Where an
    answer has no such raw field, ccxt's has another origin and stays."""
    only_with: str | None = None
    """The raw field by which answers are told of which `other_span` is true; None: of all."""
    open: str | None = None
    """The raw field with the price of 24 hours ago, where ccxt does not read it."""
    change: str | None = None
    """The same of the change since then."""
    percentage: str | None = None
    """The same of the change in percent."""
    fraction: str | None = None
    """The same of the change as a fraction, which ccxt takes for percent."""
    low: str | None = None
    """The same of the lowest price."""
    average: bool = False
    """Whether ``average`` is a figure of the exchange's own."""
    open_time: str | None = None
    """The raw field with the time at which the 24 hours begin."""
    seconds: bool = False
    """Whether that is in seconds and not in milliseconds."""
    trades: str | None = None
    """The raw field with the number of trades in the 24 hours."""
    trades_at: int | None = None
    """The position of that number where the raw field is a list."""

    @functools.cached_property
    def changes_prices(self) -> bool:
        """Whether any price or change is to be read in another way than ccxt's."""
        declared = (self.open, self.change, self.percentage, self.fraction, self.low)
        return bool(self.other_span) or any(name is not None for name in declared)


_OF_THE_DAY = {"open": ("open",), "high": ("high",), "low": ("low",)}

# HTX documents open, high and low of its list of tickers, whose rows have bidSize, as those of the
# day in Singapore, volumes and number of trades as those of 24 hours. BitTrade is a copy of it.
_HTX = TickerLayout(other_span=_OF_THE_DAY, only_with="bidSize", trades="count")
_BINANCE = TickerLayout(open_time="openTime", trades="count")
# opening_price, high_price and low_price are those since 00:00 UTC, says Upbit's reference;
# only acc_*_24h are of 24 hours. signed_change_* are measured from yesterday's close.
_UPBIT = {"open": ("opening_price",), "high": ("high_price",), "low": ("low_price",)}

# A snapshot's dailyBar is that of today, and prevDailyBar that of yesterday.
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
    # Bithumb's older answer has min_price, max_price and opening_price since 00:00 in Korea and
    # fluctate_24H and fluctate_rate_24H of 24 hours; its newer one is Upbit's.
    "bithumb": TickerLayout(
        other_span={
            "open": ("opening_price",),
            "high": ("max_price", "high_price"),
            "low": ("min_price", "low_price"),
        },
        change="fluctate_24H",
        percentage="fluctate_rate_24H",
    ),
    # open is the first price of the day, open_24 that of 24 hours ago, percent_change_24 since.
    "bitstamp": TickerLayout(
        other_span={"open": ("open",)}, open="open_24", percentage="percent_change_24"
    ),
    "bitso": TickerLayout(change="change_24"),
    "bittrade": _HTX,
    # ccxt reads ``low``, where the answer has low24h.
    "btcmarkets": TickerLayout(low="low24h"),
    "btse": TickerLayout(open_time="openTime", seconds=True),
    "bullish": TickerLayout(average=True),
    "coinsph": _BINANCE,
    # c is the change of 24 hours as a fraction: the example of the reference has a last price of
    # 51174.5 within 47895.5 and 51790.0, and c of 0.03955106.
    "cryptocom": TickerLayout(fraction="c"),
    # The example of the reference has percents such as 5.23 in percentChange24h, and answers have
    # numbers such as 0.0146: nobody knows which.
    "gemini": TickerLayout(other_span={"percentage": ("percentChange24h",)}),
    "htx": _HTX,
    "independentreserve": TickerLayout(average=True),
    # o is today's opening price; p, v, h, l and t have today's figure first and 24 hours' second.
    "kraken": TickerLayout(other_span={"open": ("o",)}, trades="t", trades_at=1),
    "kucoin": TickerLayout(average=True),
    "mexc": TickerLayout(open_time="openTime", trades="count"),
    # Session* are of the session, Rolling24Hr* of 24 hours; whether Rolling24HrPxChange is a price
    # or a percentage is not documented, the percentage is. In its list of tickers highest_bid and
    # base_volume hold each other's number: of BTC/CAD, 66.4 and 75774.9 beside a price of 75925.4.
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
    """Return how an exchange's ticker is to be read; most are as ccxt reads them."""
    return LAYOUTS.get(exchange, _PLAIN)
