"""The public names of the package, for ``marketdata.NAME`` and ``__all__``.

This is the only list. Type checkers import it. The package reads it (`_names`) and imports only the
names that are used: ``import marketdata`` imports almost nothing.
"""

from marketdata import history as history
from marketdata._charts.chart import Chart as Chart
from marketdata._charts.chart import LiveChart as LiveChart
from marketdata._client.archive import AsyncHistory as AsyncHistory
from marketdata._client.asynchronous import AsyncClient as AsyncClient
from marketdata._client.blocking import Client as Client
from marketdata._client.blocking import History as History
from marketdata._client.functions import average_price as average_price
from marketdata._client.functions import candles as candles
from marketdata._client.functions import compare as compare
from marketdata._client.functions import consolidated_orderbook as consolidated_orderbook
from marketdata._client.functions import exchanges as exchanges
from marketdata._client.functions import execution_cost as execution_cost
from marketdata._client.functions import fees as fees
from marketdata._client.functions import live_chart as live_chart
from marketdata._client.functions import orderbook as orderbook
from marketdata._client.functions import pairs as pairs
from marketdata._client.functions import quote as quote
from marketdata._client.functions import quotes as quotes
from marketdata._client.functions import record as record
from marketdata._client.functions import replay as replay
from marketdata._client.functions import status as status
from marketdata._client.functions import streams as streams
from marketdata._client.functions import ticker as ticker
from marketdata._client.functions import tickers as tickers
from marketdata._client.functions import trades as trades
from marketdata._client.functions import watch_candles as watch_candles
from marketdata._client.functions import (
    watch_consolidated_orderbook as watch_consolidated_orderbook,
)
from marketdata._client.functions import watch_orderbook as watch_orderbook
from marketdata._client.functions import watch_quote as watch_quote
from marketdata._client.functions import watch_ticker as watch_ticker
from marketdata._client.functions import watch_trades as watch_trades
from marketdata._streams.watch import AsyncWatch as AsyncWatch
from marketdata._streams.watch import Watch as Watch
from marketdata.errors import AccessError as AccessError
from marketdata.errors import DataUnavailableError as DataUnavailableError
from marketdata.errors import ExchangeNotSupportedError as ExchangeNotSupportedError
from marketdata.errors import ExchangeUnavailableError as ExchangeUnavailableError
from marketdata.errors import ForbiddenError as ForbiddenError
from marketdata.errors import HistoryLimitExceededError as HistoryLimitExceededError
from marketdata.errors import InternalError as InternalError
from marketdata.errors import InvalidParameterError as InvalidParameterError
from marketdata.errors import InvalidRequestError as InvalidRequestError
from marketdata.errors import MarketDataError as MarketDataError
from marketdata.errors import MissingExtraError as MissingExtraError
from marketdata.errors import MissingParameterError as MissingParameterError
from marketdata.errors import PairNotSupportedError as PairNotSupportedError
from marketdata.errors import QuotaExceededError as QuotaExceededError
from marketdata.errors import RateLimitExceededError as RateLimitExceededError
from marketdata.errors import TimeframeNotSupportedError as TimeframeNotSupportedError
from marketdata.errors import UnauthorizedError as UnauthorizedError
from marketdata.errors import UpstreamError as UpstreamError
from marketdata.models import AveragePrice as AveragePrice
from marketdata.models import Candle as Candle
from marketdata.models import Candles as Candles
from marketdata.models import Exchange as Exchange
from marketdata.models import Fees as Fees
from marketdata.models import FeeTier as FeeTier
from marketdata.models import Fill as Fill
from marketdata.models import Flag as Flag
from marketdata.models import Interval as Interval
from marketdata.models import OrderBook as OrderBook
from marketdata.models import Pair as Pair
from marketdata.models import Quote as Quote
from marketdata.models import Recorded as Recorded
from marketdata.models import Status as Status
from marketdata.models import Stream as Stream
from marketdata.models import Ticker as Ticker
from marketdata.models import Trade as Trade
from marketdata.models import Upstream as Upstream
from marketdata.models.aggregates import Best as Best
from marketdata.models.aggregates import BookSource as BookSource
from marketdata.models.aggregates import Comparison as Comparison
from marketdata.models.aggregates import ComparisonRow as ComparisonRow
from marketdata.models.aggregates import ConsolidatedOrderBook as ConsolidatedOrderBook
from marketdata.models.aggregates import ExecutionCost as ExecutionCost
from marketdata.models.aggregates import ExecutionSplit as ExecutionSplit
from marketdata.models.lists import Missing as Missing
from marketdata.models.lists import Records as Records
from marketdata.models.stored import Damage as Damage
from marketdata.models.stored import Day as Day
from marketdata.models.stored import Downloaded as Downloaded
from marketdata.models.stored import Plan as Plan
from marketdata.models.stored import Progress as Progress
from marketdata.models.stored import Series as Series
from marketdata.settings import Settings as Settings
