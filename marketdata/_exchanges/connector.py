"""Changes how one exchange of ccxt asks.

Together with `_exchanges.loader`, `_exchanges.error_mapping` and `_exchanges.exchange` this is all
that knows ccxt.
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
"""Milliseconds by which two clocks may differ."""


def _is_hollow(answer: Any, depth: int = 3) -> bool:
    """Return whether there is no list in an answer, or one of nothing: no rows that may be none."""
    if isinstance(answer, list):
        return bool(answer) and answer[0] in (None, [], {})
    if isinstance(answer, dict) and depth:
        # A list that is behind so many fields is not missed where there are rows.
        return all(_is_hollow(inner, depth - 1) for inner in islice(answer.values(), 32))
    return True


class Connector(Theirs):  # type: ignore[misc]
    """What is changed in ccxt's class of an exchange, mixed in before it.

    Its configuration is ccxt's, with a `Transport` as ``session``; one is made where there is none.
    """

    markets: dict[str, Any] | None

    timeout_on_exit = 0  # ccxt waits a quarter of a second for TLS; `Venue.close` waits for it
    enableLastHttpResponse = False  # noqa: N815 ccxt's name: or each text stays until the next

    is_exact: bool = False
    """Whether numbers are Decimals (`_exchanges.exact`)."""
    logger = logging.Logger("ccxt", logging.CRITICAL + 1)
    """Nobody hears it: it would write keys and whole answers down."""
    candle_layout: CandleLayout | None = None
    """Where a candle on the wire has its fields."""
    plain_levels: bool = False
    """Whether ccxt's own way of reading a level of a book would give nothing more."""
    envelope: str | None = None
    """The field of each answer that holds what was asked for."""
    unneeded: tuple[str, ...] = ()
    """Parts of URLs that ccxt asks for although no spot answer needs them."""
    keyless_paths: tuple[str, ...] = ()
    """Paths for which ccxt wants a key although the exchange does not."""
    commonCurrencies: dict[str, str]  # noqa: N815 ccxt's name
    currencies: Any
    currencies_by_id: Any
    transport: Transport
    renamed: Mapping[str, str]
    """Codes of currencies that ccxt would give, and those that it gives instead."""
    ccxts_codes: Mapping[str, str]
    """ccxt's own map from the exchange's codes of currencies."""
    ahead: int = 0
    """Milliseconds by which the exchange's clock is ahead of ours; 0 where it is behind."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        given = config or {}
        self.transport = given.get("session") or Transport(type(self).__name__)
        # Whom to trust is the transport's to know: ccxt reads no certificates then.
        self._config = {**given, "session": self.transport, "verify": False}
        super().__init__(self._config)
        self.known_by_heart: list[Any] = list((self.markets or {}).values())
        self.renamed, self.ccxts_codes = {}, dict(self.commonCurrencies)
        self._list_spot_only()

    def _list_spot_only(self) -> None:
        # Currencies are a second, sometimes a signed, request that no answer of ours needs.
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
        """Have ccxt give other codes for some currencies, and its own for all others."""
        if codes != self.renamed:
            self.renamed = dict(codes)
            self.commonCurrencies = {**self.ccxts_codes, **codes}
            self.currencies, self.currencies_by_id = {}, {}

    async def load_markets(self, reload: bool = False, params: Any = None) -> Any:
        """Return the markets that are loaded; ccxt would have a task do it, for all who wait.

        Whoever is cancelled first would end that for the others.
        """
        if self.markets and not reload:
            return self.markets
        return await super().load_markets(reload, params or {})

    async def fetch_markets(self, params: Any = None) -> Any:
        """Return the exchange's list, or the one that ccxt knows by heart; nothing is loaded.

        ccxt would give what is loaded for the one that it knows by heart. Codes are ccxt's own,
        whatever has been renamed since.
        """
        if self.known_by_heart:
            return self.known_by_heart
        asked = self._twin() if self.renamed else self
        with doing(replace(current(), listing=True)):
            return await super(Connector, asked).fetch_markets(params or {})

    def _twin(self) -> Connector:
        """Make another one, for the same transport, that has renamed nothing."""
        twin = type(self)(self._config)
        for name in ("apiKey", "secret", "password"):
            setattr(twin, name, getattr(self, name))
        return twin

    def set_markets(self, markets: Any, currencies: Any = None) -> Any:
        """Load markets; not from within ccxt's own way to a list, which may be of nothing."""
        if current().listing:
            return self.markets
        return super().set_markets(markets, currencies)

    def milliseconds(self) -> int:
        """Return the time by our clock, or by the exchange's where that is ahead (`heed`)."""
        return int(super().milliseconds()) + self.ahead

    def seconds(self) -> int:
        """Return the same in seconds."""
        return self.milliseconds() // 1000

    def heed(self, reply: Reply, newest: int) -> None:
        """Go by the exchange's clock where that is ahead of ours: by `Date`, or its newest candle.

        ccxt asks many exchanges for candles up to now: by our time, the newest would be lacking,
        or the range would end before it begins. ``newest`` is in Unix milliseconds.
        """
        # Not later than `milliseconds`, which cuts the same time.
        ours = int(reply.received_at.timestamp() * 1000 - 0.5)
        if reply.date is None:
            self.ahead = max(self.ahead, newest - ours)
            return
        date = round(reply.date.timestamp() * 1000)
        # `Date` has whole seconds: it may be almost one later.
        ahead = max(date + _SECOND if date > ours else ours, newest) - ours
        # Time never goes back for as little as an answer takes.
        self.ahead = max(ahead, self.ahead) if self.ahead - ahead <= _CLOCKS_AGREE else ahead

    async def throttle(self, cost: float | None = None) -> None:
        """Wait until a request may be made; ccxt calls it before each, unless limits are off."""
        cost, budget = 1.0 if cost is None else cost, self.transport.budget
        if budget is None:
            await super().throttle(cost)
        elif not budget.spend(cost):
            await budget.acquire(cost)

    async def fetch(
        self, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> Any:
        """Make one request; none for what is not needed."""
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
            # HTML, half a JSON text, nothing at all: ccxt's parsers would find no field in it and
            # make a ticker of Nones, or no trades.
            raise ccxt_errors().BadResponse("not an answer")
        return answer

    def on_json_response(self, body: str) -> Any:
        """Parse an answer; of candles that are nothing but rows of numbers, make `FlatRows`."""
        layout = self.candle_layout
        if layout is not None and layout.quoted and body.startswith("[["):
            # No number of a candle needs more than ccxt's parser, which is the fastest, keeps.
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
        """Read candles by column where their layout is known; else as ccxt does, row by row.

        Columns come oldest first but uncut: whoever asks takes the candles it asked for. ccxt's way
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
        """Read price and size of levels; a third position is a count or a time, and dropped."""
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
        """Sign a request; as if for a public path where no key is needed.

        Keys that are missing, or of which no signature can be made, are an AuthenticationError.
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
        # Raised out here: what went wrong may quote the key.
        raise ccxt_errors().AuthenticationError("no signature")

    def __del__(self) -> None:
        # ccxt logs a demand to call close() here. `Venue` closes what it opens; what is left at
        # the end of a process that was told to stop is not the user's to close.
        pass


def connector_class(name: str, *, exact: bool = False) -> type[Any]:
    """Load ccxt's class of one exchange with `Connector` mixed in, and `ExactNumbers` for Decimals.

    Always gives the same class for the same exchange.
    """
    return _connector_class(name, exact)


@functools.cache
def _connector_class(name: str, exact: bool) -> type[Any]:
    prepare_packages()
    theirs = getattr(importlib.import_module(f"ccxt.async_support.{name}"), name)
    ours = (Connector, ExactNumbers) if exact else (Connector,)
    return type(name, (*ours, theirs), connector_attributes(name, theirs, exact=exact))


def connector_attributes(name: str, theirs: type[Any], *, exact: bool) -> dict[str, Any]:
    """Return what `Connector` has to know of an exchange, whose class of ccxt's is given."""
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
