"""Words of which an argument has only a few: any case, and by the names that others give them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from marketdata._arguments.saying import refused
from marketdata.errors import closest

__all__ = ["choice"]

_SYNONYMS: dict[str, Sequence[str]] = {
    "buy": ("b", "bid", "buying", "long", "purchase", "buyer"),
    "sell": ("s", "ask", "offer", "selling", "short", "sale", "seller"),
    "ticker": ("tickers", "24hr", "24hticker", "24hrticker", "stats", "ticker24h", "tickerdata"),
    "quote": (
        *("quotes", "bbo", "bookticker", "bestbidask", "bidask", "topofbook", "tob"),
        *("l1", "level1", "spread", "nbbo", "bestquote"),
    ),
    "orderbook": (
        *("book", "books", "orderbooks", "depth", "l2", "level2", "l2book", "l2orderbook"),
        *("marketdepth", "dom", "bidsasks", "bidsandasks", "depthbook"),
    ),
    "trades": (
        *("trade", "tradehistory", "recenttrades", "fills", "executions", "tape", "aggtrade"),
        *("aggtrades", "markettrades", "timeandsales", "publictrades", "lasttrades"),
    ),
    "candles": (
        *("candle", "candlestick", "candlesticks", "ohlc", "ohlcv", "ohlcvs", "kline", "klines"),
        *("bar", "bars"),
    ),
    "previous": ("prev", "ffill", "forward", "forwardfill", "pad", "last", "lastclose", "carry"),
    "zero": ("0", "zeros", "zeroes"),
    "none": ("no", "nothing", "false", "off", "null"),
    "latest": ("newest", "last", "conflate", "conflated"),
    "every": ("all", "each", "everything"),
    "parquet": ("pq", "parq"),
    "feather": ("arrow", "ipc"),
    "percentage": (
        *("change", "changepercent", "percentchange", "pricechangepercent", "pct", "percent"),
        *("gain", "gains", "gainers", "changepct", "pricechange24h", "pctchange"),
    ),
    "last": ("price", "lastprice", "close", "currentprice"),
    "quoteVolume": ("turnover", "quotevol", "volumequote", "volumeusd", "volumeusdt", "notional"),
    "baseVolume": ("basevol", "volumebase"),
    "series": ("summary",),
    "day": ("days", "daily"),
}
"""Without what does not count, which `_plain` leaves out."""


def choice(value: Any, choices: Sequence[str], name: str) -> Any:
    """Give the one of some words that a text means; raises where it means none of them.

    ``name`` is the argument's.
    """
    if not isinstance(value, str):
        return value
    if value in choices:
        return value
    wanted = _plain(value)
    plain = {_plain(one): one for one in choices}
    found = plain.get(wanted) or next(
        (one for one in choices if wanted in _SYNONYMS.get(one, ())), None
    )
    if found is not None:
        return found
    near = [plain[one] for one in closest(wanted[:60], plain)]
    raise refused(f"{name} is one of {', '.join(choices)}", value, *near)


def _plain(text: str) -> str:
    return re.sub(r"[\s._\-'\"/]", "", text).lower()
