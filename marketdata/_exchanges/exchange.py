"""One exchange: the requests through ccxt, and the records made of the responses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence, Sized
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from marketdata._exchanges import parsing, tickers
from marketdata._exchanges.caller import SIGNED, closed
from marketdata._exchanges.connection import Connection
from marketdata._exchanges.connector import connector_class
from marketdata._exchanges.markets import records
from marketdata._exchanges.one_by_one import one_by_one
from marketdata._requests.deadline import renew, seconds_left, within
from marketdata._requests.reply import Reply
from marketdata.arguments import MAX_DEPTH
from marketdata.errors import (
    DataUnavailableError,
    InvalidParameterError,
    MarketDataError,
    UpstreamError,
)
from marketdata.models import (
    AveragePrice,
    Columns,
    Fees,
    OrderBook,
    Pair,
    Quote,
    Status,
    Ticker,
    Trade,
)

if TYPE_CHECKING:
    from marketdata.models.lists import Records

__all__ = ["Venue", "closed", "connector_class"]

T = TypeVar("T")
Rows = TypeVar("Rows", bound=Sized)


class Venue(Connection):
    """One exchange as one client is connected to it, with its requests.

    Its methods take pairs that ``listed.symbol`` returned.
    """

    async def pairs(
        self,
        *,
        base: str | None = None,
        quote: str | None = None,
        search: str | None = None,
        active: bool = True,
        refresh: bool = False,
    ) -> list[Pair]:
        """Return the matching active or halted pairs by name; ``refresh`` requests the list."""
        self.check("pairs")
        if refresh:
            await self.listed.listing(0)
        wanted = {"base": base, "quote": quote, "search": search, "active": active}
        listing, found = await self.listed.markets(**wanted)
        return records(self.id, listing, found, exactly=self.is_exact)

    def taker(self, pair: str) -> float | None:
        """Return a pair's public taker fee as a fraction; None if unknown."""
        fee = parsing.public_fees(self.id, self.listed.market(pair), self._fees)[1]
        return parsing.in_decimal(fee) if self.is_exact and fee is not None else fee

    async def fees(self, pair: str) -> Fees:
        """Get the fees of the account with our keys, or the public ones."""
        for name, method in SIGNED.items():
            if self.has(name) and self._api.check_required_credentials(error=False):
                of = [pair] if name == "fetchTradingFee" else []
                return await self.call(self._account_fees(pair), method, *of)
        listing = await self.listed.listing()
        return self._made_fees(
            self.listed.market(pair),
            pair,
            "public",
            datetime.fromtimestamp(listing.fetched_at, UTC),
            listing.simulated,
        )

    def _account_fees(self, pair: str) -> Callable[[dict[str, Any], Reply], Fees]:
        def make(raw: dict[str, Any], reply: Reply) -> Fees:
            own = raw.get(pair, raw)
            return self._made_fees(own, pair, "account", reply.received_at, reply.simulated)

        return make

    def book_of(self, pair: str) -> str:
        """Return the id of a pair's order book; several pairs may share one."""
        market = self.listed.market(pair)
        alias = self._quirk.alias_field
        shared = (market.get("info") or {}).get(alias) if alias is not None else None
        return str(shared or market.get("id") or pair)

    def _made_fees(
        self,
        raw: Mapping[str, Any],
        pair: str,
        source: str,
        received_at: datetime,
        simulated: bool,
    ) -> Fees:
        made = parsing.fees(
            raw,
            exchange=self.id,
            pair=pair,
            source=source,
            received_at=received_at,
            simulated=simulated,
            otherwise=self._fees if source == "public" else {},
        )
        return parsing.in_decimals(made) if self.is_exact else made

    def ticker(self, pair: str, window: str = "24h") -> Coroutine[Any, Any, Ticker]:
        """Get the exchange's own ticker, over a window that `has_window` allows."""

        def make(raw: dict[str, Any], reply: Reply) -> Ticker:
            return self._ticker(raw, reply, pair, window)

        def make_day(sent: Any, reply: Reply) -> Ticker:
            raw = self._api.parse_ticker(sent, self._api.market(pair))
            # The exchange's time is the end of the day, in the future.
            return self._ticker({**raw, "timestamp": None}, reply, pair, window)

        if window == "24h":
            self._check_has_ticker(pair)
            if not self.has("fetchTicker"):
                return self._ticker_of_all(pair)
            return self.call(make, "fetch_ticker", pair)
        if window == "day":
            request = {"symbol": self._api.market_id(pair)}
            return self.call(make_day, "publicGetTickerTradingDay", params=request)
        params = {"rolling": True, "windowSize": window}
        return self.call(make, "fetch_ticker", pair, params=params)

    def has_window(self, window: str) -> bool:
        """Return whether the exchange has tickers over this window."""
        if window == "24h":
            return self.has("fetchTicker") or self.has("fetchTickers")
        return (window if window == "day" else window[-1]) in self._quirk.windows

    def _ticker(self, raw: dict[str, Any], reply: Reply, pair: str, window: str) -> Ticker:
        try:
            return parsing.ticker(
                raw,
                exchange=self.id,
                pair=pair,
                window=window,
                received_at=reply.received_at,
                simulated=reply.simulated,
            )
        except parsing.NoPriceError:
            if not tickers.is_untraded(raw, self._market_id(pair)):
                raise
        raise tickers.untraded(self.id, pair)

    def _market_id(self, pair: str) -> str | None:
        market_id = self.listed.market(pair).get("id")
        return None if market_id is None else str(market_id)

    def _check_has_ticker(self, pair: str) -> None:
        served = self._quirk.ticker_pairs
        if served is not None and pair not in served:
            raise DataUnavailableError(
                f"{self.id} only has tickers of {', '.join(served)}; use the order book or "
                f"the trades of {pair}.",
                details={"exchange": self.id, "pair": pair},
            )

    async def _ticker_of_all(self, pair: str) -> Ticker:
        found = await self.tickers([pair])
        if pair not in found:
            raise DataUnavailableError(
                f"{self.id} returned no ticker of {pair}.",
                details={"exchange": self.id, "pair": pair},
            )
        return found[pair].as_derived()

    async def tickers(self, pairs: Sequence[str], *, every: bool = False) -> dict[str, Ticker]:
        """Get 24-hour tickers in one request; none if the exchange has no such request.

        A response may lack pairs; ``every`` says that all pairs of the exchange are requested.
        """

        def make(raw: dict[str, Any], reply: Reply) -> dict[str, Ticker]:
            found = {
                pair: self._ticker(raw[pair], reply, pair, "24h")
                for pair in pairs
                if pair in raw and tickers.has_price(raw[pair])
            }
            return _some(found) if every else found

        pairs = tuple(pairs)
        is_whole = every or self._quirk.full_tickers or not self.has("fetchTicker")
        if not (self.has("fetchTickers") and is_whole):
            return {}
        return dict(await self.call(make, "fetch_tickers", self._asked(pairs, every=every)))

    def _asked(self, pairs: Sequence[str], *, every: bool) -> list[str] | None:
        """Return the pairs to name in a bulk request; None: all."""
        if self._quirk.tickers_of_all:
            return None
        return list(pairs) if not every or self._quirk.tickers_of_named else None

    async def quote(self, pair: str) -> Quote:
        """Get the best bid and ask."""
        if self.has("fetchBidsAsks"):
            return (await self.quotes([pair]))[0]
        return await self._single_quote(pair)

    async def quotes(self, pairs: Sequence[str], *, every: bool = False) -> Records[Quote]:
        """Get best bids and asks, in one request if possible, in the given order.

        Requested pairs without one are in ``errors``; if all lack one, the error is raised.
        """
        pairs = tuple(pairs)
        known: dict[str, Quote] = {}
        for method, call, kind in (
            ("fetchBidsAsks", "fetch_bids_asks", "quote"),
            ("fetchTickers", "fetch_tickers", "ticker"),
        ):
            if not self.has(method) or (kind == "ticker" and not self._able.has_best_in_bulk):
                continue
            make = self._quotes(pairs, kind, every)
            told = await self.call(make, call, self._asked(pairs, every=every))
            known = {**told, **known}
            if every or len(known) == len(pairs):
                break

        async def one(pair: str) -> Quote:
            return (await self._single_quote(pair)).as_derived()

        return await one_by_one(self.id, pairs, one, every=every, known=known)

    def _quotes(
        self, pairs: Sequence[str], source: str, every: bool
    ) -> Callable[[dict[str, Any], Reply], dict[str, Quote]]:
        def make(raw: dict[str, Any], reply: Reply) -> dict[str, Quote]:
            found = {
                pair: parsing.quote(
                    raw[pair],
                    exchange=self.id,
                    pair=pair,
                    source=source,
                    received_at=reply.received_at,
                    simulated=reply.simulated,
                )
                for pair in pairs
                if pair in raw and parsing.has_best(raw[pair])
            }
            return _some(found) if every else found

        return make

    async def _single_quote(self, pair: str) -> Quote:
        if self.has("fetchOrderBook"):
            book = await self.orderbook(pair, 1, self._quirk.quote_params)
            return parsing.quote_of_book(book)
        return parsing.quote_of_ticker(await self.ticker(pair))

    async def orderbook(
        self, pair: str, depth: int, params: Mapping[str, Any] | None = None
    ) -> OrderBook:
        """Get an order book with at most ``depth`` levels per side."""

        def make(raw: dict[str, Any], reply: Reply) -> OrderBook | None:
            made = parsing.orderbook(
                raw,
                exchange=self.id,
                pair=pair,
                depth=depth,
                received_at=reply.received_at,
                simulated=reply.simulated,
            )
            if made.bids or made.asks:
                return made
            if reply.hollow or (reply.empty and not self._quirk.book_is_list):
                raise ValueError("not a book")
            return None

        async def ask(size: int | None) -> OrderBook | None:
            return await self.call(make, "fetch_order_book", pair, size, params=params)

        book = await self._sized("fetch_order_book", ask, self._depth(depth))
        if book is None:
            raise tickers.untraded(self.id, pair)
        return book

    async def _sized(
        self, method: str, ask: Callable[[int | None], Awaitable[T]], size: int | None
    ) -> T:
        """Request a number of rows; if it is refused, request ccxt's default number.

        A refused number is not tried again.
        """
        if method in self._refused_sizes:
            return await ask(None)
        try:
            return await ask(size)
        except (InvalidParameterError, DataUnavailableError) as error:
            if error.retryable:
                raise
            refusal = error
        try:
            found = await ask(None)
        except MarketDataError:
            found = None
        if found is None:
            # Raised here, it does not have the second error as its context.
            raise refusal
        self._refused_sizes.add(method)
        return found

    async def whole_book(self, pair: str, depth: int) -> OrderBook:
        """Get an order book to apply streamed updates to, with at most ``depth`` levels."""
        return await self.orderbook(pair, min(depth, self._quirk.max_depth or MAX_DEPTH))

    def _depth(self, wanted: int) -> int:
        """Round a depth up to one that the exchange accepts."""
        if self._quirk.depths is None:
            return min(wanted, self._quirk.max_depth or MAX_DEPTH)
        return next((one for one in self._quirk.depths if one >= wanted), self._quirk.depths[-1])

    async def candles(
        self,
        pair: str,
        timeframe: str,
        since: int | None,
        limit: int,
        *,
        until: int | None = None,
        finite: bool = True,
    ) -> tuple[Columns, Reply]:
        """Get one page of candles: the newest, or those from a time in Unix ms on; oldest first.

        ``until`` is the last millisecond in which one of the page may open. ``finite`` rejects
        pages with numbers that are not finite; otherwise the caller checks each candle.
        """

        def make(rows: Any, reply: Reply) -> tuple[Columns, Reply]:
            return _listed(parsing.columns(rows, finite=finite), reply), reply

        if since is not None and self._quirk.newest_bars_only:
            # Only the newest can be requested, and the wanted ones may be older.
            limit = max(limit, self.candles_per_request(timeframe))
        # A candle that opens right after the page would replace its first one.
        params = {"until": until} if until is not None and self._quirk.bars_until else {}
        if since is not None and self._quirk.bars_from is not None:
            params[self._quirk.bars_from] = since
        columns, reply = await self.call(
            make, "fetch_ohlcv", pair, timeframe, since, limit, params=params
        )
        self._api.heed(reply, max(columns.time, default=0))
        renew()
        return columns[:], reply

    def averages_over(self, window: str) -> bool:
        """Return whether the exchange has its own average price for this window."""
        return self._quirk.average_price is not None and self._quirk.average_price[0] == window

    async def average_price(self, pair: str, window: str) -> AveragePrice:
        """Get the exchange's own average price, over a window that `averages_over` allows."""

        def make(raw: Any, reply: Reply) -> AveragePrice:
            price = self._api.safe_number(raw, "price")
            if price is None:
                raise ValueError("not an average price")
            if not tickers.is_positive(price):
                raise tickers.untraded(self.id, pair)
            return AveragePrice(
                exchange=self.id,
                pair=pair,
                timestamp=parsing.moment(
                    self._api.safe_integer(raw, "closeTime"), reply.date or reply.received_at
                ),
                received_at=reply.received_at,
                simulated=True if reply.simulated else None,
                window=window,
                source="exchange",
                price=price,
            )

        assert self._quirk.average_price is not None  # noqa: S101 - `averages_over` says so
        request = {"symbol": self._api.market_id(pair)}
        return await self.call(make, self._quirk.average_price[1], params=request)

    async def trades(
        self,
        pair: str,
        *,
        limit: int,
        since: int | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> list[Trade]:
        """Get one page of trades as ccxt's unified call gives them, oldest first."""
        return (await self.dated_trades(pair, limit=limit, since=since, params=params))[0]

    async def dated_trades(
        self,
        pair: str,
        *,
        limit: int,
        since: int | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> tuple[list[Trade], datetime]:
        """Get one page of trades, and the exchange's time of the response, or ours."""

        def make(raw: list[dict[str, Any]], reply: Reply) -> tuple[list[Trade], datetime]:
            sound = [one for one in _listed(raw, reply) if parsing.is_trade(one)]
            self._caller.unreadable += len(raw) - len(sound)
            if raw and not sound:
                raise ValueError("trades without prices")
            made = parsing.trades(
                sound,
                seconds_at=self._quirk.trade_seconds,
                exchange=self.id,
                pair=pair,
                received_at=reply.received_at,
                simulated=reply.simulated,
            )
            return made, reply.date or reply.received_at

        async def ask(size: int | None) -> tuple[list[Trade], datetime]:
            return await self.call(make, "fetch_trades", pair, since, size, params=params)

        trades, date = await self._sized("fetch_trades", ask, limit)
        return list(trades), date

    async def status(self) -> Status:
        """Request time and state; an exchange that does not respond is reported, not raised."""
        questions: tuple[tuple[str, str, Callable[[Any, Reply], Status]], ...] = (
            ("fetchTime", "fetch_time", lambda time_ms, reply: self._status(reply, float(time_ms))),
            ("fetchStatus", "fetch_status", lambda state, reply: self._status(reply, state=state)),
        )
        asked = [(make, method) for name, method, make in questions if self.has(name)]
        if not asked:
            return await self._status_of_another_call()
        # Not the whole timeout: some time is left for the report.
        seconds = 0.9 * seconds_left(self._settings.timeout)
        answers = await asyncio.gather(
            *[within(seconds, self.id, self.call(make, method)) for make, method in asked],
            return_exceptions=True,
        )
        for failure in answers:
            if isinstance(failure, BaseException) and not isinstance(failure, UpstreamError):
                raise failure
        good = [one for one in answers if isinstance(one, Status)]
        if good:
            return good[0].model_copy(update={"maintenance": good[-1].maintenance})
        failed = next(one for one in answers if isinstance(one, UpstreamError))
        return parsing.unreachable(self.id, failed)

    async def _status_of_another_call(self) -> Status:
        """Return the status from a small request, about a busy pair if possible."""

        def make(_: Any, reply: Reply) -> Status:
            return self._status(reply).as_derived()

        async def work() -> Status:
            if self._quirk.keyless_call is not None:
                name, params = self._quirk.keyless_call
                return await self.call(make, name, params=params)
            await self.listed.listing()
            pairs = self.listed.traded_most(count=1) or (await self.listed.symbols(None))[:1]
            if self.has("fetchOrderBook"):
                params = self._quirk.quote_params
                return await self.call(
                    make, "fetch_order_book", pairs[0], self._depth(1), params=params
                )
            if self.has("fetchTicker"):
                return await self.call(make, "fetch_ticker", pairs[0])
            return await self.call(make, "fetch_tickers", self._asked(pairs, every=False))

        try:
            return await within(0.9 * seconds_left(self._settings.timeout), self.id, work())
        except UpstreamError as error:
            return parsing.unreachable(self.id, error).as_derived()

    def _status(
        self, reply: Reply, time_ms: float | None = None, state: Mapping[str, Any] | None = None
    ) -> Status:
        latency = reply.seconds
        server, offset, error = reply.date, None, None
        if time_ms is not None:
            server = parsing.moment(time_ms, reply.received_at)
            offset = (server - reply.sent_at).total_seconds() - latency / 2
            # Its time may be rounded down to the second or the millisecond.
            error = round(latency * 500 + (1 if time_ms % 1000 else 1000), 3)
        return Status(
            exchange=self.id,
            timestamp=server or reply.received_at,
            received_at=reply.received_at,
            simulated=True if reply.simulated else None,
            reachable=True,
            maintenance=None if state is None else state["status"].lower() == "maintenance",
            latency_ms=round(latency * 1000, 3),
            server_time=server,
            clock_offset_ms=None if offset is None else round(offset * 1000, 3),
            clock_error_ms=error,
        )


def _listed(found: Rows, reply: Reply) -> Rows:
    """Raise ValueError if ccxt read a response without a list as an empty list."""
    if reply.hollow and not len(found):
        raise ValueError("not a list")
    return found


def _some(found: dict[str, T]) -> dict[str, T]:
    """Raise ValueError if a response about all pairs has none."""
    if not found:
        raise ValueError("an answer without a pair")
    return found
