"""Our changes to ccxt's class of an exchange.

Only this room (`_exchanges`) uses ccxt.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from marketdata._exchanges.bodies import FlatRows, flat_rows, parsed
from marketdata._exchanges.exact import ExactNumbers, Theirs
from marketdata._exchanges.loader import ccxt_errors, prepare_packages
from marketdata._exchanges.quirks import CandleLayout, quirk
from marketdata._exchanges.transport import Transport
from marketdata._requests.request import current, doing
from marketdata.models.columns import Columns
from marketdata.models.decimals import decimal, decimal_or_nan

if TYPE_CHECKING:
    from marketdata._requests.reply import Reply

_MILLISECOND = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1) // _MILLISECOND
_CLOCKS_AGREE = timedelta(minutes=1) // _MILLISECOND
"""Milliseconds by which clocks may differ."""


def _is_hollow(answer: Any, depth: int = 3) -> bool:
    """Return whether a response has no list, or only a list of empty entries."""
    if isinstance(answer, list):
        return bool(answer) and answer[0] in (None, [], {})
    if isinstance(answer, dict) and depth:
        # Deeper lists do not matter: rows are not nested that deep.
        return all(_is_hollow(inner, depth - 1) for inner in islice(answer.values(), 32))
    return True


class Connector(Theirs):  # type: ignore[misc]
    """A mixin before ccxt's class of an exchange.

    It takes ccxt's configuration, with a `Transport` as ``session``; without one, it makes one.
    """

    markets: dict[str, Any] | None

    timeout_on_exit = 0  # ccxt waits a quarter of a second for TLS; `Venue.close` waits for it
    enableLastHttpResponse = False  # noqa: N815 ccxt's name: or each text stays until the next

    is_exact: bool = False
    """Whether numbers are Decimals (`_exchanges.exact`)."""
    logger = logging.Logger("ccxt", logging.CRITICAL + 1)
    """Switched off, because it would log keys and whole responses."""
    candle_layout: CandleLayout | None = None
    """The positions of a candle's fields in the response."""
    plain_levels: bool = False
    """Whether price and size are all that ccxt reads of an order book level."""
    envelope: str | None = None
    """The field of each response that holds the data."""
    unneeded: tuple[str, ...] = ()
    """Parts of URLs of requests that spot data do not need."""
    keyless_paths: tuple[str, ...] = ()
    """Paths for which ccxt requires a key although the exchange does not."""
    commonCurrencies: dict[str, str]  # noqa: N815 ccxt's name
    currencies: Any
    currencies_by_id: Any
    transport: Transport
    renamed: Mapping[str, str]
    """ccxt's codes of currencies, and the codes that replace them."""
    ccxts_codes: Mapping[str, str]
    """ccxt's own map from the exchange's codes of currencies."""
    ahead: int = 0
    """Milliseconds by which the exchange's clock is ahead of ours; 0 if it is behind."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        given = config or {}
        self.transport = given.get("session") or Transport(type(self).__name__)
        # The transport has the certificates, so ccxt need not read them.
        self._config = {**given, "session": self.transport, "verify": False}
        super().__init__(self._config)
        self.known_by_heart: list[Any] = list((self.markets or {}).values())
        self.renamed, self.ccxts_codes = {}, dict(self.commonCurrencies)
        self._list_spot_only()

    def _list_spot_only(self) -> None:
        # Currencies would need a second, sometimes signed, request that we do not need.
        self.has["fetchCurrencies"] = False
        self.options["defaultType"] = "spot"
        fetching = self.options.get("fetchMarkets")
        types = fetching.get("types") if isinstance(fetching, dict) else None
        if isinstance(types, dict):
            fetching["types"] = {kind: kind == "spot" for kind in types}
        elif types is not None:
            fetching["types"] = ["spot"]
        elif isinstance(fetching, list):
            self.options["fetchMarkets"] = {"types": ["spot"]}

    def rename(self, codes: Mapping[str, str]) -> None:
        """Replace ccxt's codes of some currencies."""
        if codes != self.renamed:
            self.renamed = dict(codes)
            self.commonCurrencies = {**self.ccxts_codes, **codes}
            self.currencies, self.currencies_by_id = {}, {}

    async def load_markets(self, reload: bool = False, params: Any = None) -> Any:
        """Return the loaded markets.

        ccxt would load them in a task shared by all callers, which the first cancelled one ends.
        """
        if self.markets and not reload:
            return self.markets
        return await super().load_markets(reload, params or {})

    async def fetch_markets(self, params: Any = None) -> Any:
        """Return the exchange's list, or the one built into ccxt, without loading it.

        ccxt would return the loaded markets instead of a built-in list. Codes are ccxt's own,
        without our replacements.
        """
        if self.known_by_heart:
            return self.known_by_heart
        asked = self._twin() if self.renamed else self
        with doing(replace(current(), listing=True)):
            return await super(Connector, asked).fetch_markets(params or {})

    def _twin(self) -> Connector:
        """Make another one with the same transport and without replaced codes."""
        twin = type(self)(self._config)
        for name in ("apiKey", "secret", "password"):
            setattr(twin, name, getattr(self, name))
        return twin

    def set_markets(self, markets: Any, currencies: Any = None) -> Any:
        """Load markets, except while ccxt itself requests a list, which may be empty."""
        if current().listing:
            return self.markets
        return super().set_markets(markets, currencies)

    def milliseconds(self) -> int:
        """Return the time of our clock, or of the exchange's if that is ahead (`heed`)."""
        return int(super().milliseconds()) + self.ahead

    def seconds(self) -> int:
        """Return the same in seconds."""
        return self.milliseconds() // 1000

    def heed(self, reply: Reply, newest: int) -> None:
        """Use the exchange's clock if it is ahead of ours, from `Date` or its newest candle.

        ccxt requests candles of many exchanges up to now: by a clock that is behind, the newest
        would be missing, or the range would be empty. ``newest`` is in Unix milliseconds.
        """
        ours = round(reply.received_at.timestamp() * 1000)
        date = 0 if reply.date is None else round(reply.date.timestamp() * 1000)
        # `Date` has whole seconds, it may be almost one later; and ranges may lack their end.
        latest = max(date, newest)
        ahead = latest + _SECOND - ours if latest > ours else 0
        if reply.date is None:
            self.ahead = max(self.ahead, ahead)
            return
        # The time must not go back by the duration of a request.
        self.ahead = max(ahead, self.ahead) if self.ahead - ahead <= _CLOCKS_AGREE else ahead

    async def throttle(self, cost: float | None = None) -> None:
        """Wait for the rate limit; ccxt calls it before each request, unless limits are off."""
        cost, budget = 1.0 if cost is None else cost, self.transport.budget
        if budget is None:
            await super().throttle(cost)
        elif not budget.spend(cost):
            await budget.acquire(cost)

    async def fetch(
        self, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> Any:
        """Send a request, unless its data are not needed."""
        if any(part in url for part in self.unneeded):
            return {}
        if self.transport.ended:
            raise ccxt_errors().ExchangeClosedByUser("closed")
        answer = await super().fetch(url, method, headers, body)
        content = answer
        if self.envelope is not None:
            content = answer.get(self.envelope) if isinstance(answer, dict) else None
            content = None if content == {} else content
        reply = current().reply
        if reply is not None:
            reply.hollow, reply.empty = _is_hollow(content), content == []
        if not isinstance(content, dict | list | int | float):
            # HTML, truncated JSON or an empty body: ccxt's parsers would find no field and make a
            # ticker of Nones, or no trades.
            raise ccxt_errors().BadResponse("not an answer")
        return answer

    def on_json_response(self, body: str) -> Any:
        """Parse a response; candles that are only rows of numbers become `FlatRows`."""
        layout = self.candle_layout
        if layout is not None and layout.quoted and body.startswith("[["):
            # ccxt's parser is the fastest, and exact enough for candles.
            rows = flat_rows(body, super().on_json_response)
            if rows is not None and rows.width > layout.last:
                return rows
        return super().on_json_response(body) if self.is_exact else parsed(body)

    def parse_ohlcvs(
        self,
        ohlcvs: Any,
        market: Any = None,
        timeframe: str = "1m",
        since: int | None = None,
        limit: int | None = None,
        tail: bool = False,
    ) -> Any:
        """Read candles by column if their layout is known; otherwise as ccxt does, row by row.

        Columns are oldest first and not cut to the requested range; the caller does that. ccxt
        takes ten times as long and drops the number of trades.
        """
        layout = self.candle_layout
        if layout is None:
            return super().parse_ohlcvs(ohlcvs, market, timeframe, since, limit, tail)
        if not isinstance(ohlcvs, list):
            raise TypeError("candles are a list")
        if not ohlcvs:
            return ohlcvs
        column: Callable[[int], Sequence[Any]] = (
            ohlcvs.column
            if isinstance(ohlcvs, FlatRows)
            else list(zip(*ohlcvs, strict=True)).__getitem__
        )
        unit = 1000 if layout.seconds else 1
        numbers = [column(position) for position in layout.prices_and_volume]
        if self.is_exact:
            numbers = [tuple(map(decimal_or_nan, values)) for values in numbers]
        elif isinstance(numbers[0][0], str):
            numbers = [tuple(map(float, values)) for values in numbers]
        opened, high, low, close, volume = numbers
        times = column(layout.time)
        whole = unit == 1 and isinstance(times[0], int)
        counts = None if layout.trades is None else column(layout.trades)
        if counts is not None and not isinstance(counts[0], int):
            counts = list(map(int, counts))
        columns = Columns(
            times if whole else [int(time) * unit for time in times],
            opened,
            high,
            low,
            close,
            volume,
            counts,
        )
        newest_first = len(columns) > 1 and columns.time[0] > columns.time[-1]
        return columns[::-1] if newest_first else columns

    def parse_order_book_bids_asks(self, bidasks: Any, *keys: Any) -> Any:
        """Read price and size of levels; a third field, a count or a time, is dropped."""
        if not self.plain_levels:
            return super().parse_order_book_bids_asks(bidasks, *keys)
        price, size = keys[:2] if len(keys) > 1 else (0, 1)
        levels = self.to_array(bidasks)
        if self.is_exact:
            if any(isinstance(level, str) for level in levels):
                raise TypeError("a level is no number")
            return [(decimal(level[price]), decimal(level[size])) for level in levels]
        return [(float(level[price]), float(level[size])) for level in levels]

    def sign(self, path: str, *more: Any, **named: Any) -> Any:
        """Sign a request; paths that need no key are treated as public.

        Raises AuthenticationError for keys that are missing or unusable.
        """
        if path in self.keyless_paths and not getattr(self, "apiKey", None):
            signed = super().sign("trades", *more, **named)
            return {**signed, "url": signed["url"].replace("/trades", f"/{path}", 1)}
        try:
            return super().sign(path, *more, **named)
        except (
            ArithmeticError,
            AssertionError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ):
            pass
        # Raised here, without the original error, which may contain the key.
        raise ccxt_errors().AuthenticationError("no signature")

    def __del__(self) -> None:
        # ccxt would log a request to call close() here, but `Venue` closes its connections.
        pass


def connector_class(name: str, *, exact: bool = False) -> type[Any]:
    """Return ccxt's class of an exchange with `Connector`, and with `ExactNumbers` for Decimals.

    Returns the same class each time.
    """
    return _connector_class(name, exact)


@functools.cache
def _connector_class(name: str, exact: bool) -> type[Any]:
    prepare_packages()
    theirs = getattr(importlib.import_module(f"ccxt.async_support.{name}"), name)
    ours = (Connector, ExactNumbers) if exact else (Connector,)
    return type(name, (*ours, theirs), connector_attributes(name, theirs, exact=exact))


def connector_attributes(name: str, theirs: type[Any], *, exact: bool) -> dict[str, Any]:
    """Return the attributes of `Connector` for an exchange and ccxt's class of it."""
    special = quirk(name)
    reads_levels = getattr(theirs, "parse_order_book_bid_ask", None)
    return {
        "is_exact": exact,
        "candle_layout": special.candle_layout,
        "envelope": special.envelope,
        "keyless_paths": special.keyless_paths,
        "unneeded": special.unneeded,
        "plain_levels": special.plain_levels
        or getattr(reads_levels, "__module__", None) == "ccxt.base.exchange",
    }
