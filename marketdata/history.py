"""The stored candles of the default client, for code that does not await.

>>> from marketdata import history
>>> history.download(["BTC/USDT"], "1m", start="2023-01-01")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from marketdata._client.blocking import History, default_client
from marketdata._client.functions import function

__all__ = ["download", "export", "list", "plan", "remove", "repair", "verify"]

P = ParamSpec("P")
T = TypeVar("T")


def _function(method: Callable[Concatenate[History, P], T]) -> Callable[P, T]:
    return function(method, lambda: default_client().history, __name__)


download = _function(History.download)
plan = _function(History.plan)
list = _function(History.list)  # noqa: A001 - the name that the shell has
verify = _function(History.verify)
repair = _function(History.repair)
export = _function(History.export)
remove = _function(History.remove)
