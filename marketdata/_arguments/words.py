"""Arguments with a few allowed words: any case, and other libraries' names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from marketdata._arguments.saying import refused
from marketdata.errors import closest

_SYNONYMS: dict[str, Sequence[str]] = {
    "buy": (
        *("b", "bid", "bids", "buying", "long", "purchase", "buyer", "buyside", "sidebuy"),
        *("marketbuy", "buymarket"),
    ),
    "sell": (
        *("s", "ask", "asks", "offer", "selling", "short", "sale", "seller", "sellside"),
        *("sidesell", "marketsell", "sellmarket"),
    ),
    "ticker": ("tickers", "24hr", "24hticker", "24hrticker", "stats", "ticker24h", "tickerdata"),
    "quote": (
        *("quotes", "bbo", "bookticker", "bestbidask", "bidask", "topofbook", "tob"),
        *("l1", "level1", "spread", "nbbo", "bestquote"),
    ),
    "orderbook": (
        *("book", "books", "orderbooks", "depth", "l2", "level2", "l2book", "l2orderbook"),
        *("marketdepth", "dom", "bidsasks", "bidsandasks", "depthbook", "mbp10"),
    ),
    "trades": (
        *("trade", "tradehistory", "recenttrades", "fills", "executions", "tape", "aggtrade"),
        *("aggtrades", "markettrades", "timeandsales", "publictrades", "lasttrades"),
        *("count", "tradecount", "numtrades", "numberoftrades", "n"),
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
        *("gain", "gains", "gainers", "changepct", "pricechange24h", "pctchange", "24hchange"),
        *("change24h", "pricechangepercentage24h"),
    ),
    "last": ("price", "lastprice", "close", "currentprice"),
    "quoteVolume": ("turnover", "quotevol", "volumequote", "volumeusd", "volumeusdt", "notional"),
    "baseVolume": ("basevol", "volumebase"),
    "time": ("timestamp", "date", "datetime", "t", "ts", "opentime", "timestampms", "starttime"),
    "open": ("o", "openprice"),
    "high": ("h", "highprice"),
    "low": ("l", "lowprice"),
    "close": ("c", "closeprice"),
    "volume": ("v", "vol", "basevolume"),
    "series": ("summary",),
    "day": ("days", "daily"),
}
"""The words without the characters that `_plain` removes."""
_PRICES = ("open", "high", "low", "close")
_TOGETHER: dict[str, Sequence[str]] = {"ohlc": _PRICES, "ohlcv": (*_PRICES, "volume")}
"""Words for several."""
_UNCLEAR: dict[str, Sequence[str]] = {
    "price": ("ticker", "quote"),
    "prices": ("ticker", "quote"),
    "volume": ("quoteVolume", "baseVolume"),
    "marketdata": ("ticker", "quote"),
}
"""Words with two meanings."""


def choice(value: Any, choices: Sequence[str], name: str) -> Any:
    """Return the one of some words that a text means; raises if it means none of them.

    ``name`` is the name of the argument.
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
    near = [one for one in _UNCLEAR.get(wanted, ()) if one in choices]
    near = near or [plain[one] for one in closest(wanted[:60], plain)]
    raise refused(f"{name} is one of {', '.join(choices)}", value, *near)


def several_choices(values: Sequence[Any], choices: Sequence[str], name: str) -> list[Any]:
    """Return the words that texts mean, without repeats; one text can mean several of them."""
    found: list[Any] = []
    for one in values:
        together = _TOGETHER.get(_plain(one)) if isinstance(one, str) else None
        is_known = together is not None and set(together) <= set(choices)
        found += together if together and is_known else [choice(one, choices, name)]
    return list(dict.fromkeys(found))


def _plain(text: str) -> str:
    return re.sub(r"[\s._\-'\"/%]", "", text).lower()
