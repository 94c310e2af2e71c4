"""The order book depths and the timeframes that each exchange streams, as ccxt subscribes to them.

Depths come from ccxt's checks of the ``limit`` of `watch_order_book`, or else from the named page
of the exchange's documentation. They are the values that select a stream. If ccxt subscribes to the
same stream for any limit, no limit is passed, since ccxt would cut the book.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marketdata._exchanges.quirks import quirk
from marketdata.arguments import TIMEFRAME


@dataclass(frozen=True)
class StreamOffer:
    """The order books and candles that one exchange streams."""

    depths: tuple[int, ...] = ()
    """The depths that can be subscribed to, ascending; empty if there is only one stream."""
    any_depth: bool = False
    """Whether any depth can be subscribed to."""
    more: bool = False
    """Whether there is an even deeper stream, which is selected by no depth."""
    levels: int | None = None
    """Levels per side of the stream that is selected by no depth; None if it has all levels, or if
    the number is unknown."""
    change_number: str | None = None
    """The field with the number of a book update, if ccxt drops the updates received before a
    requested book unless one of them has exactly the book's number."""
    timeframes: tuple[str, ...] | None = None
    """The timeframes that are streamed; None: all that ccxt has for the exchange."""

    def depth_for(self, wanted: int) -> int | None:
        """Return the smallest sufficient depth, or else the deepest; None: pass no depth."""
        if self.any_depth:
            return wanted
        enough = next((one for one in self.depths if one >= wanted), None)
        return enough if enough or self.more or not self.depths else self.depths[-1]

    def levels_for(self, wanted: int) -> int | None:
        """Return the maximum number of levels per side; None if there are as many as wanted."""
        depth = self.depth_for(wanted)
        most = self.levels if depth is None else depth
        return most if most is not None and most < wanted else None


_BYBIT = StreamOffer(depths=(1, 50, 200, 1_000))
_OKX = StreamOffer(levels=400)

_OFFERS: Mapping[str, StreamOffer] = {
    "aster": StreamOffer(depths=(5, 10, 20)),
    "bingx": StreamOffer(levels=100),
    "bitfinex": StreamOffer(depths=(25, 100)),
    # ccxt has no other timeframes for its spot streams.
    "bitget": StreamOffer(
        depths=(1, 5, 15),
        more=True,
        timeframes=("1m", "3m", "5m", "15m", "30m", "1h", "4h", "6h", "12h", "1d", "1w"),
    ),
    "bitopro": StreamOffer(depths=(5, 10, 20, 50, 100, 500, 1_000)),
    "bitstamp": StreamOffer(change_number="microtimestamp"),
    "bittrade": StreamOffer(levels=150),
    "bybit": _BYBIT,
    "bybiteu": _BYBIT,
    "bybitid": _BYBIT,
    # exchange-docs.crypto.com, "book.{instrument_name}.{depth}".
    "cryptocom": StreamOffer(depths=(10, 50)),
    # deepcoin.com/docs, "25-Level Incremental Market Data": the only order book stream.
    "deepcoin": StreamOffer(levels=25),
    # "orderbook.{instrument_name}.{group}.{depth}".
    "derive": StreamOffer(depths=(1, 10, 20, 100)),
    "gate": StreamOffer(depths=(50, 400)),
    # This is the depth of the requested book to which updates are applied.
    "gateeu": StreamOffer(depths=(50, 100)),
    "htx": StreamOffer(depths=(5, 20, 150, 400)),
    # "L2 book snapshot": at most 20 levels per side.
    "hyperliquid": StreamOffer(levels=20),
    "independentreserve": StreamOffer(levels=100),
    "kraken": StreamOffer(depths=(10, 25, 100, 500, 1_000)),
    # The stream without a depth sends updates to a requested book of 100 levels.
    "kucoin": StreamOffer(depths=(5, 50), more=True, levels=100),
    # "Market Depth": depth, 10/50/100.
    "lbank": StreamOffer(depths=(10, 50, 100)),
    "myokx": _OKX,
    "ndax": StreamOffer(any_depth=True),
    "okx": _OKX,
    "okxus": _OKX,
    "onetrading": StreamOffer(any_depth=True),
    # "Subscription to depth update for market": a limit of 1 to 100; klines of 900, 1800, 3600 and
    # 86400 seconds.
    "p2b": StreamOffer(depths=tuple(range(1, 101)), timeframes=("15m", "30m", "1h", "1d")),
    # "Subscribe OrderBook" of the spot API: depth=30.
    "phemex": StreamOffer(levels=30),
    # "Orderbook" in the WebSocket reference: 30 levels unless fewer are requested.
    "upbit": StreamOffer(levels=30, timeframes=("1s",)),
    "weex": StreamOffer(levels=200),
    # "Market depth": the accepted values.
    "whitebit": StreamOffer(
        depths=(1, 5, 10, 20, 30, 50, 100),
        timeframes=("1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d", "1w"),
    ),
    "woo": StreamOffer(timeframes=("1m", "5m", "15m", "30m", "1h", "1d", "1w", "1M")),
}


def stream_offer(exchange: str) -> StreamOffer:
    """Return the depths and timeframes that an exchange streams."""
    return _OFFERS.get(exchange, StreamOffer())


def streamed_timeframes(
    exchange: str, known: Sequence[str] | Mapping[str, Any] | None
) -> list[str]:
    """Return the timeframes that an exchange streams; ``known`` are ccxt's timeframes for it."""
    names = stream_offer(exchange).timeframes
    names = tuple(known or ()) if names is None else names
    misnamed = quirk(exchange).misnamed_timeframes
    return [name for name in names if TIMEFRAME.fullmatch(name) and name not in misnamed]
