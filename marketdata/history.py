"""The stored candles of the default client, for code that does not await.

>>> from marketdata import history
>>> history.download(["BTC/USDT"], "1m", start="2023-01-01")  # doctest: +SKIP
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from marketdata._client.archive import AsyncHistory
from marketdata._client.blocking import default_client
from marketdata._requests.portal import portal
from marketdata.errors import MarketDataError, as_of_here

__all__ = ["download", "export", "list", "plan", "remove", "repair", "verify"]

P = ParamSpec("P")
T = TypeVar("T")


def _function(
    method: Callable[Concatenate[AsyncHistory, P], Coroutine[Any, Any, T]],
) -> Callable[P, T]:
    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return portal().call(method(default_client().history._history, *args, **kwargs))
        except MarketDataError as error:
            as_of_here(error)
            raise

    return call


download = _function(AsyncHistory.download)
plan = _function(AsyncHistory.plan)
list = _function(AsyncHistory.list)  # noqa: A001 - the name that the shell has
verify = _function(AsyncHistory.verify)
repair = _function(AsyncHistory.repair)
export = _function(AsyncHistory.export)
remove = _function(AsyncHistory.remove)
