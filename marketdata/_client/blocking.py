"""The operations for code that does not await, as methods of `Client` and `History`."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Self,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from marketdata._client.archive import AsyncHistory
from marketdata._client.asynchronous import AsyncClient, Options
from marketdata._requests.portal import portal
from marketdata.arguments import BarLimit, ExchangeId, PairName, TimeframeName, checked
from marketdata.errors import MarketDataError, as_of_here
from marketdata.number_form import Number, Numbers

if TYPE_CHECKING:
    from decimal import Decimal

    from marketdata._charts.chart import LiveChart
    from marketdata._client.several import BlockingCandles
    from marketdata._streams.watch import AsyncWatch, Watch
    from marketdata.models import Record, Stream, Upstream
    from marketdata.models.lists import Records
    from marketdata.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound="Record")


def _raised_here(named: Callable[..., Any], call: Callable[P, T]) -> Callable[P, T]:
    """Name a function like a method, and end tracebacks of its errors in the caller's line."""

    @functools.wraps(named)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except MarketDataError as error:
            as_of_here(error)
            raise

    return wrapper


def _blocking(
    method: Callable[Concatenate[AsyncClient[Number], P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Client[Number], P], T]:
    def call(self: Client[Number], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return portal().call(method(self._client, *args, **kwargs))

    return _raised_here(method, call)


def _watching(
    method: Callable[Concatenate[AsyncClient[Number], P], AsyncWatch[R]],
) -> Callable[Concatenate[Client[Number], P], Watch[R]]:
    def call(self: Client[Number], /, *args: P.args, **kwargs: P.kwargs) -> Watch[R]:
        from marketdata._streams.watch import Watch

        return Watch(method(self._client, *args, **kwargs))

    return _raised_here(method, call)


def _replaying(
    method: Callable[Concatenate[AsyncClient[Number], P], AsyncClient[Number]],
) -> Callable[Concatenate[Client[Number], P], Client[Number]]:
    def call(self: Client[Number], /, *args: P.args, **kwargs: P.kwargs) -> Client[Number]:
        return cast(
            "Client[Number]", Client(settings=method(self._client, *args, **kwargs).settings)
        )

    return _raised_here(method, call)


class Client(Numbers[Number]):
    """Market data of spot exchanges for code that does not await; also works in notebooks.

    It takes the arguments of `AsyncClient` and has the same operations. Threads can share a client,
    and it works after a fork. `close` is optional: it frees connections early.
    """

    @overload
    def __init__(
        self: Client[float],
        exchange: str | Sequence[str] | None = None,
        *,
        numbers: Literal["float"] | None = None,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: Client[Decimal],
        exchange: str | Sequence[str] | None = None,
        *,
        numbers: Literal["decimal"],
        **options: Unpack[Options],
    ) -> None: ...
    @functools.partial(_raised_here, AsyncClient.__init__)
    def __init__(self, *given: Any, **options: Any) -> None:
        self._client: AsyncClient[Number] = AsyncClient(*given, **options)

    @property
    def settings(self) -> Settings:
        """The settings of this client."""
        return self._client.settings

    @property
    def history(self) -> History:
        """The stored candles: download, list, verify, repair, export and remove them."""
        return History(self._client.history)

    exchanges = _blocking(AsyncClient.exchanges)
    pairs = _blocking(AsyncClient.pairs)
    ticker = _blocking(AsyncClient.ticker)
    tickers = _blocking(AsyncClient.tickers)
    average_price = _blocking(AsyncClient.average_price)
    quote = _blocking(AsyncClient.quote)
    quotes = _blocking(AsyncClient.quotes)
    orderbook = _blocking(AsyncClient.orderbook)
    candles = cast("BlockingCandles", _blocking(AsyncClient.candles))
    trades = _blocking(AsyncClient.trades)
    status = _blocking(AsyncClient.status)
    fees = _blocking(AsyncClient.fees)
    compare = _blocking(AsyncClient.compare)
    consolidated_orderbook = _blocking(AsyncClient.consolidated_orderbook)
    execution_cost = _blocking(AsyncClient.execution_cost)
    watch_ticker = _watching(AsyncClient.watch_ticker)
    watch_quote = _watching(AsyncClient.watch_quote)
    watch_orderbook = _watching(AsyncClient.watch_orderbook)
    watch_consolidated_orderbook = _watching(AsyncClient.watch_consolidated_orderbook)
    watch_trades = _watching(AsyncClient.watch_trades)
    watch_candles = _watching(AsyncClient.watch_candles)
    record = _blocking(AsyncClient.record)
    replay = _replaying(AsyncClient.replay)
    close = _blocking(AsyncClient.close)

    @checked
    def live_chart(
        self,
        pair: PairName,
        timeframe: TimeframeName = "1m",
        *,
        exchange: ExchangeId | None = None,
        limit: BarLimit = 500,
    ) -> LiveChart:
        """Draw the newest candles in a notebook, and keep the chart up to date.

        It follows the exchange's stream until `stop()` of the chart, or until the kernel ends.
        Raises `MissingExtraError` if anywidget is not installed.
        """
        from marketdata._client.live_chart import live_chart

        try:
            return live_chart(
                lambda: self.candles(pair, timeframe, limit=limit, exchange=exchange),
                lambda found: self.watch_candles(
                    found.pair, found.timeframe, exchange=found.exchange
                ),
            )
        except MarketDataError as error:
            as_of_here(error)
            raise

    def streams(self) -> Records[Stream]:
        """Return the state of each live subscription.

        Returns:
            `Records`: a list of `Stream`: state, messages, gaps, records dropped.
            Empty if nothing is watched.
        """

        async def told() -> Records[Stream]:
            return self._client.streams()

        return portal().call(told())

    def upstream(self) -> Records[Upstream]:
        """Return the state of the calls to each exchange.

        Returns:
            `Records`: a list of `Upstream`, one for each exchange in use: calls under way and
            waiting, requests, failures. Empty before the first call.
        """

        async def told() -> Records[Upstream]:
            return self._client.upstream()

        return portal().call(told())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _blocking_history(
    method: Callable[Concatenate[AsyncHistory, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[History, P], T]:
    def call(self: History, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return portal().call(method(self._history, *args, **kwargs))

    return _raised_here(method, call)


class History:
    """The stored candles of a `Client`, as its ``history``; see `AsyncHistory`."""

    def __init__(self, history: AsyncHistory) -> None:
        self._history = history

    download = _blocking_history(AsyncHistory.download)
    plan = _blocking_history(AsyncHistory.plan)
    list = _blocking_history(AsyncHistory.list)
    verify = _blocking_history(AsyncHistory.verify)
    repair = _blocking_history(AsyncHistory.repair)
    export = _blocking_history(AsyncHistory.export)
    remove = _blocking_history(AsyncHistory.remove)


_lock = threading.Lock()
_default: tuple[dict[str, str], Client] | None = None


def default_client() -> Client:
    """Return the client of the module's functions; a new one if MARKETDATA_* has changed."""
    global _default
    variables = {name: value for name, value in os.environ.items() if name[:11] == "MARKETDATA_"}
    default = _default
    if default is None or default[0] != variables:
        with _lock:
            default = _default
            if default is None or default[0] != variables:
                default = _default = (variables, Client())
    return default[1]
