"""The operations as functions over a default client: `marketdata.ticker` and so on."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from marketdata._client.blocking import Client, History, default_client
from marketdata._names import origins, public
from marketdata._streams.watch import Watch
from marketdata.errors import MarketDataError, as_of_here

if TYPE_CHECKING:
    from marketdata._client.several import CandlesOf
    from marketdata.models import Candles
    from marketdata.models.lists import Records

P = ParamSpec("P")
T = TypeVar("T")
Owner = TypeVar("Owner")

_RECORD = re.compile(r"\b[A-Z]\w*")
"""A name in an annotation that its module may import for type checkers only."""
_BLOCKING = {"AsyncClient": Client, "AsyncWatch": Watch}
"""The types that blocking code returns instead of those in the annotations of `AsyncClient`."""


def function_of_history(method: Callable[Concatenate[History, P], T]) -> Callable[P, T]:
    """Make a function of `marketdata.history`."""
    return _made(method, lambda: default_client().history, "marketdata.history")


def _function(method: Callable[Concatenate[Client, P], T]) -> Callable[P, T]:
    return _made(method, default_client, "marketdata")


def _made(
    method: Callable[Concatenate[Owner, P], T],
    owner: Callable[[], Owner],
    module: str,
) -> Callable[P, T]:
    """Make a module-level function of a method of the object that ``owner`` returns.

    Its annotations are evaluated, and it does not refer to the method, so that typer, pickle and
    completion in notebooks work with it.
    """

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(owner(), *args, **kwargs)
        except MarketDataError as error:
            as_of_here(error)
            raise

    known = inspect.unwrap(method).__globals__
    mentioned = set(_RECORD.findall(" ".join(map(str, method.__annotations__.values()))))
    records = {name: public(name) for name in mentioned & origins().keys() - known.keys()}
    scope = {**records, **known, **_BLOCKING}
    hints = _evaluated(method.__annotations__, scope, include_extras=True)
    # People read signatures, so they omit bounds and descriptions, which are in the docstring.
    plain = _evaluated(hints, scope)
    signature = inspect.signature(method)
    call.__annotations__ = hints
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[
            one.replace(annotation=plain[one.name])
            for one in list(signature.parameters.values())[1:]
        ],
        return_annotation=plain["return"],
    )
    call.__doc__ = method.__doc__
    call.__module__ = module
    call.__name__ = call.__qualname__ = method.__name__
    return call


def _evaluated(
    annotations: dict[str, Any], scope: dict[str, Any], *, include_extras: bool = False
) -> dict[str, Any]:
    bare = SimpleNamespace(__annotations__=annotations)
    return typing.get_type_hints(bare, scope, include_extras=include_extras)


def __getattr__(name: str) -> Any:
    # Each is made when it is first needed, because their annotations import different modules.
    if name.startswith("_") or not hasattr(Client, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = _function(getattr(Client, name))
    return made


if TYPE_CHECKING:
    exchanges = _function(Client.exchanges)
    pairs = _function(Client.pairs)
    ticker = _function(Client.ticker)
    tickers = _function(Client.tickers)
    average_price = _function(Client.average_price)
    quote = _function(Client.quote)
    quotes = _function(Client.quotes)
    orderbook = _function(Client.orderbook)
    candles: CandlesOf[Candles, Records[Candles]] = _function(Client.candles)  # type: ignore[assignment]
    live_chart = _function(Client.live_chart)
    trades = _function(Client.trades)
    status = _function(Client.status)
    fees = _function(Client.fees)
    compare = _function(Client.compare)
    consolidated_orderbook = _function(Client.consolidated_orderbook)
    execution_cost = _function(Client.execution_cost)
    watch_ticker = _function(Client.watch_ticker)
    watch_quote = _function(Client.watch_quote)
    watch_orderbook = _function(Client.watch_orderbook)
    watch_consolidated_orderbook = _function(Client.watch_consolidated_orderbook)
    watch_trades = _function(Client.watch_trades)
    watch_candles = _function(Client.watch_candles)
    record = _function(Client.record)
    replay = _function(Client.replay)
    streams = _function(Client.streams)
