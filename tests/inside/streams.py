"""The feeds below a client's streams, and what they ask of a socket."""

from marketdata._streams import feed, upstream
from marketdata._streams.tickers import TickerFeed

__all__ = ["TickerFeed", "feed", "upstream"]
