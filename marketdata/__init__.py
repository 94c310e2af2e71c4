"""Market data of spot crypto exchanges: one call, one shape, any exchange that ccxt knows.

>>> import marketdata as md
>>> md.ticker("BTC/USDT").last  # doctest: +SKIP
80934.19

The functions below block and also work in notebooks; `Client` is the same as an object,
`AsyncClient` the same to be awaited. Nothing is imported before it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__distribution__ = "ccxt-marketdata"
"""By which the commands know that this package is the one they came with."""

if TYPE_CHECKING:
    from marketdata import history
    from marketdata._client.archive import AsyncHistory
    from marketdata._client.asynchronous import AsyncClient
    from marketdata._client.blocking import (
        Client,
        History,
        candles,
        compare,
        consolidated_orderbook,
        exchanges,
        execution_cost,
        fees,
        orderbook,
        pairs,
        quote,
        quotes,
        record,
        replay,
        status,
        streams,
        ticker,
        tickers,
        trades,
        watch_candles,
        watch_consolidated_orderbook,
        watch_orderbook,
        watch_quote,
        watch_ticker,
        watch_trades,
    )
    from marketdata._history.records import Damage, Downloaded, Plan, Progress, Series
    from marketdata._streams.watch import AsyncWatch, Watch
    from marketdata.errors import (
        AccessError,
        DataUnavailableError,
        ExchangeNotSupportedError,
        ExchangeUnavailableError,
        ForbiddenError,
        HistoryLimitExceededError,
        InternalError,
        InvalidParameterError,
        InvalidRequestError,
        MarketDataError,
        MissingExtraError,
        MissingParameterError,
        PairNotSupportedError,
        QuotaExceededError,
        RateLimitExceededError,
        TimeframeNotSupportedError,
        UnauthorizedError,
        UpstreamError,
    )
    from marketdata.models import (
        Candle,
        Candles,
        Exchange,
        Fees,
        FeeTier,
        Fill,
        Interval,
        OrderBook,
        Pair,
        Quote,
        Recorded,
        Status,
        Stream,
        Ticker,
        Trade,
        Upstream,
    )
    from marketdata.models.aggregates import (
        Best,
        BookSource,
        Comparison,
        ComparisonRow,
        ConsolidatedOrderBook,
        ExecutionCost,
        ExecutionSplit,
    )
    from marketdata.settings import Settings

__all__ = [
    "AccessError",
    "AsyncClient",
    "AsyncHistory",
    "AsyncWatch",
    "Best",
    "BookSource",
    "Candle",
    "Candles",
    "Client",
    "Comparison",
    "ComparisonRow",
    "ConsolidatedOrderBook",
    "Damage",
    "DataUnavailableError",
    "Downloaded",
    "Exchange",
    "ExchangeNotSupportedError",
    "ExchangeUnavailableError",
    "ExecutionCost",
    "ExecutionSplit",
    "FeeTier",
    "Fees",
    "Fill",
    "ForbiddenError",
    "History",
    "HistoryLimitExceededError",
    "InternalError",
    "Interval",
    "InvalidParameterError",
    "InvalidRequestError",
    "MarketDataError",
    "MissingExtraError",
    "MissingParameterError",
    "OrderBook",
    "Pair",
    "PairNotSupportedError",
    "Plan",
    "Progress",
    "QuotaExceededError",
    "Quote",
    "RateLimitExceededError",
    "Recorded",
    "Series",
    "Settings",
    "Status",
    "Stream",
    "Ticker",
    "TimeframeNotSupportedError",
    "Trade",
    "UnauthorizedError",
    "Upstream",
    "UpstreamError",
    "Watch",
    "candles",
    "compare",
    "consolidated_orderbook",
    "exchanges",
    "execution_cost",
    "fees",
    "history",
    "orderbook",
    "pairs",
    "quote",
    "quotes",
    "record",
    "replay",
    "status",
    "streams",
    "ticker",
    "tickers",
    "trades",
    "watch_candles",
    "watch_consolidated_orderbook",
    "watch_orderbook",
    "watch_quote",
    "watch_ticker",
    "watch_trades",
]

_HOMES = {
    "AsyncClient": "_client.asynchronous",
    "AsyncHistory": "_client.archive",
    "AsyncWatch": "_streams.watch",
    "Best": "models.aggregates",
    "BookSource": "models.aggregates",
    "Client": "_client.blocking",
    "Comparison": "models.aggregates",
    "ComparisonRow": "models.aggregates",
    "ConsolidatedOrderBook": "models.aggregates",
    "Damage": "_history.records",
    "Downloaded": "_history.records",
    "ExecutionCost": "models.aggregates",
    "ExecutionSplit": "models.aggregates",
    "History": "_client.blocking",
    "Plan": "_history.records",
    "Progress": "_history.records",
    "Series": "_history.records",
    "Settings": "settings",
    "Watch": "_streams.watch",
}


importlib.import_module("marketdata._aliases")


def _home(name: str) -> str:
    """Tell which module has a public name: functions, errors and records have one each."""
    if name.islower():
        return "_client.blocking"
    return _HOMES.get(name, "errors" if name.endswith("Error") else "models")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'marketdata' has no attribute '{name}'")
    if name == "history":
        return importlib.import_module("marketdata.history")
    value = getattr(importlib.import_module(f"marketdata.{_home(name)}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
