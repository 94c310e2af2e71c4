"""`candles` of several pairs: all are requested at the same time, and errors are listed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar, cast, overload

from marketdata._requests.tasks import all_of
from marketdata.arguments import ExchangeId, Moment, PairNames, parse_arguments
from marketdata.errors import MarketDataError
from marketdata.number_form import Number, Numbers

if TYPE_CHECKING:
    from marketdata.models import Candles
    from marketdata.models.lists import Records

One = TypeVar("One", covariant=True)
Many = TypeVar("Many", covariant=True)
Texts: TypeAlias = list[str] | tuple[str, ...] | Set[str]
"""Names of pairs; not any iterable of strings, because a string is one itself."""


class CandlesOf(Protocol[One, Many]):
    """The types of `candles`: one pair returns its candles, several return a list."""

    @overload
    def __call__(
        self,
        pair: str,
        timeframe: str = "1h",
        *,
        limit: int | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        fill: Literal["none", "zero", "previous"] = "none",
        strict: bool = False,
        refresh: bool = False,
        store: bool = True,
        exchange: str | None = None,
    ) -> One: ...
    @overload
    def __call__(
        self,
        pair: Texts,
        timeframe: str = "1h",
        *,
        limit: int | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        fill: Literal["none", "zero", "previous"] = "none",
        strict: bool = False,
        refresh: bool = False,
        store: bool = True,
        exchange: str | None = None,
    ) -> Many: ...


class AwaitedCandles(Protocol):
    """`candles` as a method that is awaited."""

    @overload
    def __get__(self, client: None, owner: Any, /) -> Callable[..., Any]: ...
    @overload
    def __get__(
        self, client: Numbers[Number], owner: Any = None, /
    ) -> CandlesOf[
        Coroutine[Any, Any, Candles[Number]], Coroutine[Any, Any, Records[Candles[Number]]]
    ]: ...


class BlockingCandles(Protocol):
    """`candles` as a method that blocks."""

    @overload
    def __get__(self, client: None, owner: Any, /) -> Callable[..., Any]: ...
    @overload
    def __get__(
        self, client: Numbers[Number], owner: Any = None, /
    ) -> CandlesOf[Candles[Number], Records[Candles[Number]]]: ...


def candles(client: Any, pair: PairNames, *, exchange: ExchangeId | None = None) -> None:
    """Describe the arguments that are checked once for all pairs."""


_SEVERAL = """

With several pairs, `Records` with the candles of each, in their order, all requested at the same
time. Failed pairs are in its `errors`; if all failed, the first error is raised. Its `to_pandas()`
is one frame, indexed by pair and time; `to_polars()` and `to_arrow()` have a column `pair`.

Parameters:"""


def several(method: Callable[..., Coroutine[Any, Any, Candles[Number]]]) -> AwaitedCandles:
    """Let a method that takes a ``pair`` also take several.

    All are requested at the same time. Returns `Records` in the given order, each pair once, with
    failed pairs in its ``errors``. If all failed, the first error is raised.
    """

    @functools.wraps(method)
    async def call(client: Any, *args: Any, **kwargs: Any) -> Any:
        pairs = args[0] if args else kwargs.get("pair")
        if isinstance(pairs, str | bytes | Mapping) or not isinstance(pairs, Iterable):
            return await method(client, *args, **kwargs)
        rest = {name: value for name, value in kwargs.items() if name != "pair"}
        given = {"pair": list(pairs), "exchange": rest.pop("exchange", None)}
        asked = parse_arguments(candles, given)
        exchange, failed = asked["exchange"], dict[str, MarketDataError]()

        async def one(pair: str) -> Candles[Number] | None:
            try:
                return await method(client, pair, *args[1:], exchange=exchange, **rest)
            except MarketDataError as error:
                failed[pair] = error
                return None

        names = list(dict.fromkeys(asked["pair"]))
        found = [answer for answer in await all_of(map(one, names)) if answer is not None]
        if not found:
            raise failed[names[0]]
        from marketdata.models import Candles
        from marketdata.models.lists import Missing, Records

        name = exchange or client.settings.exchange[0]
        missing = [Missing.of(name, pair, failed[pair]) for pair in names if pair in failed]
        return Records(found, missing, of=Candles)

    call.__doc__ = (method.__doc__ or "").replace("\n\nParameters:", _SEVERAL, 1)
    return cast("AwaitedCandles", call)
