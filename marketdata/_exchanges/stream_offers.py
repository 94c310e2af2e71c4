"""What exchanges stream of what they are asked for, as ccxt subscribes to it: depths and lengths.

Depths are from ccxt's checks of the ``limit`` of `watch_order_book` where it has some, else from
the page of the exchange's documentation that is named. They are the values that select a stream:
where ccxt subscribes to the same stream whatever is asked for, none is passed, since it would cut
the book.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marketdata._exchanges.quirks import quirk
from marketdata.arguments import TIMEFRAME


@dataclass(frozen=True)
class StreamOffer:
    """Which books and candles one exchange streams."""

    depths: tuple[int, ...] = ()
    """The depths that can be subscribed to, ascending; empty: there is one stream only."""
    any_depth: bool = False
    """Whether any depth can be."""
    more: bool = False
    """Whether there is a deeper stream than the last of them, for which no depth is named."""
    levels: int | None = None
    """The levels a side of the stream for which no depth is named; None: all there are, or not
    known."""
    change_number: str | None = None
    """The field that orders changes of a book, where ccxt drops those that came before a requested
    book unless one of them has the very number of that."""
    timeframes: tuple[str, ...] | None = None
    """The lengths of candles that are streamed; None: all that ccxt has for the exchange."""

    def depth_for(self, wanted: int) -> int | None:
        """Return the smallest depth that is enough, or else the deepest; None: it is not named."""
        if self.any_depth:
            return wanted
        enough = next((one for one in self.depths if one >= wanted), None)
        return enough if enough or self.more or not self.depths else self.depths[-1]

    def levels_for(self, wanted: int) -> int | None:
        """Return how many levels a side there can be at most; None: as many as wanted."""
        depth = self.depth_for(wanted)
        most = self.levels if depth is None else depth
        return most if most is not None and most < wanted else None


_BYBIT = StreamOffer(depths=(1, 50, 200, 1_000))
_OKX = StreamOffer(levels=400)

_OFFERS: Mapping[str, StreamOffer] = {
    "aster": StreamOffer(depths=(5, 10, 20)),
    "bingx": StreamOffer(levels=100),
    "bitfinex": StreamOffer(depths=(25, 100)),
    # ccxt has no names of other lengths for its spot streams.
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
    # exchange-docs.crypto.com, "book.{instrument_name}.{depth}": the depths that it shows.
    "cryptocom": StreamOffer(depths=(10, 50)),
    # deepcoin.com/docs, "25-Level Incremental Market Data": the only stream of books.
    "deepcoin": StreamOffer(levels=25),
    # "orderbook.{instrument_name}.{group}.{depth}".
    "derive": StreamOffer(depths=(1, 10, 20, 100)),
    "gate": StreamOffer(depths=(50, 400)),
    # The depth is that of the requested book that changes are applied to.
    "gateeu": StreamOffer(depths=(50, 100)),
    "htx": StreamOffer(depths=(5, 20, 150, 400)),
    # "L2 book snapshot": at most 20 levels a side.
    "hyperliquid": StreamOffer(levels=20),
    "independentreserve": StreamOffer(levels=100),
    "kraken": StreamOffer(depths=(10, 25, 100, 500, 1_000)),
    # The stream without a depth is of changes to a requested book of 100 levels.
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
    # "Orderbook" of the WebSocket reference: 30 pairs of levels unless fewer are asked for.
    "upbit": StreamOffer(levels=30, timeframes=("1s",)),
    "weex": StreamOffer(levels=200),
    # "Market depth": the values that are available.
    "whitebit": StreamOffer(
        depths=(1, 5, 10, 20, 30, 50, 100),
        timeframes=("1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d", "1w"),
    ),
    "woo": StreamOffer(timeframes=("1m", "5m", "15m", "30m", "1h", "1d", "1w", "1M")),
}


def stream_offer(exchange: str) -> StreamOffer:
    """Return what an exchange streams."""
    return _OFFERS.get(exchange, StreamOffer())


def streamed_timeframes(
    exchange: str, known: Sequence[str] | Mapping[str, Any] | None
) -> list[str]:
    """Return the lengths of candles that an exchange streams; ``known`` are ccxt's for it."""
    names = stream_offer(exchange).timeframes
    names = tuple(known or ()) if names is None else names
    misnamed = quirk(exchange).misnamed_timeframes
    return [name for name in names if TIMEFRAME.fullmatch(name) and name not in misnamed]
