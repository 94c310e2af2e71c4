"""The records that operations return, and what they consist of."""

from marketdata.models.base import Level, Record, Side, StreamKind, absent_not_null
from marketdata.models.candles import (
    Backend,
    Candle,
    Candles,
    Cause,
    Flag,
    Interval,
    Means,
    Quality,
)
from marketdata.models.columns import Columns
from marketdata.models.decimals import Number
from marketdata.models.exchanges import Exchange, Fees, FeeTier, Pair
from marketdata.models.orderbooks import Fill, OrderBook
from marketdata.models.prices import AveragePrice, Quote, Ticker, Trade
from marketdata.models.states import Recorded, Status, Stream, Upstream

__all__ = [
    "AveragePrice",
    "Backend",
    "Candle",
    "Candles",
    "Cause",
    "Columns",
    "Exchange",
    "FeeTier",
    "Fees",
    "Fill",
    "Flag",
    "Interval",
    "Level",
    "Means",
    "Number",
    "OrderBook",
    "Pair",
    "Quality",
    "Quote",
    "Record",
    "Recorded",
    "Side",
    "Status",
    "Stream",
    "StreamKind",
    "Ticker",
    "Trade",
    "Upstream",
    "absent_not_null",
]
