"""Records of prices and trades: tickers, averages, quotes."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from marketdata.models.base import Side, _Derivable, _Sourced, _Streamed
from marketdata.models.decimals import Number, difference, mean
from marketdata.number_form import Numbers

__all__ = [
    "AveragePrice",
    "Quote",
    "Ticker",
    "Trade",
]


class Ticker(_Derivable, _Streamed, Numbers[Number]):
    """Price and volume over a window: by default the last 24 hours."""

    pair: str
    window: str
    """``24h``, another rolling length, or ``day`` for the trading day from 00:00 UTC."""
    source: Literal["ticker", "candles"]
    """``ticker``: sent by the exchange; ``candles``: computed from its candles."""
    open_time: datetime | None = None
    """When the window starts."""
    last: Number | None = None
    bid: Number | None = None
    ask: Number | None = None
    bid_volume: Number | None = None
    ask_volume: Number | None = None
    open: Number | None = None
    high: Number | None = None
    low: Number | None = None
    close: Number | None = None
    previous_close: Number | None = None
    average: Number | None = None
    """Mean of open and close, or what the exchange itself calls its average."""
    vwap: Number | None = None
    """Volume-weighted average price."""
    base_volume: Number | None = None
    quote_volume: Number | None = None
    change: Number | None = None
    """Close minus open."""
    percentage: Number | None = None
    """Change in percent of open: 0.9 means 0.9%."""
    trades: int | None = None
    """Number of trades in the window."""


class AveragePrice(_Sourced, Numbers[Number]):
    """The average price of a pair over a recent window, weighted by volume."""

    pair: str
    window: str
    """Length of the window: ``5m``, ``1h``."""
    price: Number
    source: Literal["exchange", "trades", "candles"]
    """``exchange``: its own average; ``trades``: of all trades in the window; ``candles``: of the
    typical prices (mean of high, low and close) of candles, weighted by volume."""
    volume: Number | None = None
    """Volume in the window, in base currency; None if the exchange does not report it."""
    trades: int | None = None
    """Number of trades in the window; None if unknown."""


class Quote(_Derivable, _Streamed, Numbers[Number]):
    """Best bid and ask; sizes in base currency."""

    pair: str
    source: Literal["quote", "ticker", "orderbook"]
    """The call of the exchange that it comes from."""
    bid: Number | None = None
    bid_volume: Number | None = None
    ask: Number | None = None
    ask_volume: Number | None = None

    @property
    def spread(self) -> Number | None:
        """Ask minus bid; None if a side is missing."""
        return None if self.bid is None or self.ask is None else difference(self.ask, self.bid)

    @property
    def mid(self) -> Number | None:
        """Mean of bid and ask; None if a side is missing."""
        return None if self.bid is None or self.ask is None else mean(self.ask, self.bid)


class Trade(_Streamed, Numbers[Number]):
    """One trade, or with ``aggregate`` the fills of one order at one price."""

    pair: str
    id: str | None = None
    """The exchange's id; of an aggregated trade, the aggregate's."""
    price: Number
    amount: Number
    """In base currency."""
    cost: Number | None = None
    """In quote currency."""
    side: Side | None = None
    """Whether the taker bought or sold."""
    first_id: str | None = None
    """Of an aggregated trade, the first and last trade in it."""
    last_id: str | None = None
