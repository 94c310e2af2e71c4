"""Binance's public spot REST interface, as `ccxt.binance` calls it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cached_property
from itertools import islice
from typing import Any

from marketdata.sim.dialects import binance_info, binance_session, binance_streams
from marketdata.sim.dialects.binance_rows import (
    aggregate_rows,
    amount_text,
    best_quote,
    day_ticker,
    grid_of,
    kline_row,
    last_price,
    mean_text,
    price_text,
    symbol_of,
    trade_row,
    window_ticker,
)
from marketdata.sim.dialects.dialect import Call, Dialect, RefusedError, Route, SocketRoute, Venue
from marketdata.sim.markets.bars import DAY, HOUR, MINUTE, Grid
from marketdata.sim.markets.listings import Listing
from marketdata.sim.markets.market import Market

_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,20}")
_NUMBER = re.compile(r"[0-9]{1,20}")
_WINDOW = re.compile(r"([1-9]|[1-5][0-9])m|([1-9]|1[0-9]|2[0-3])h|[1-7]d")
_ZONE = re.compile(r"([+-]?)(\d{1,2})(?::(\d\d))?")
_UNITS = {"m": MINUTE, "h": HOUR, "d": DAY}


class Binance:
    """Answers for one venue; each public method is one endpoint."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    @cached_property
    def _ids(self) -> dict[str, Listing]:
        return self._venue.ids(symbol_of)

    def ping(self, _call: Call) -> object:
        """GET ping."""
        return {}

    def time(self, call: Call) -> object:
        """GET time."""
        return {"serverTime": call.now}

    def system_status(self, _call: Call) -> object:
        """GET system/status."""
        return {"status": 0, "msg": "normal"}

    def exchange_info(self, call: Call) -> object:
        """GET exchangeInfo, for all symbols or for those named."""
        if "symbol" in call.query or "symbols" in call.query:
            found = [market.listing for market in self._named(call)]
        else:
            found = list(self._ids.values())
        return binance_info.exchange_info(call.now, found)

    def depth(self, call: Call) -> object:
        """GET depth."""
        market = self._market(call)
        book = market.book(call.now, min(_limit(call, 100), 5000))
        sides: dict[str, list[list[str]]] = {"bids": [], "asks": []}
        if book:
            for name, rows in (("bids", book.bids), ("asks", book.asks)):
                sides[name] = [[price_text(market, p), amount_text(market, a)] for p, a in rows]
        return {"lastUpdateId": book.sequence if book else 0, **sides}

    def trades(self, call: Call) -> object:
        """GET trades: the newest ones, oldest first."""
        market = self._market(call)
        newest = islice(market.backwards(call.now), min(_limit(call, 500), 1000))
        return [trade_row(market, trade) for trade in reversed(list(newest))]

    def historical_trades(self, call: Call) -> object:
        """GET historicalTrades: from an id on, or the newest ones."""
        market = self._market(call)
        if "fromId" not in call.query:
            return self.trades(call)
        found = market.forwards(call.now, trade_id=_integer(call, "fromId"))
        return [trade_row(market, trade) for trade in islice(found, min(_limit(call, 500), 1000))]

    def agg_trades(self, call: Call) -> object:
        """GET aggTrades: from an aggregate id, from a time, or the newest ones."""
        market = self._market(call)
        limit = min(_limit(call, 500), 1000)
        timed = "startTime" in call.query or "endTime" in call.query
        end = min(call.now, _integer(call, "endTime", call.now))
        if "fromId" in call.query:
            if timed:
                raise RefusedError(400, _body(-1128, "Combination of optional parameters invalid."))
            trade_id = market.first_of_aggregate(_integer(call, "fromId"))
            found = islice(market.forwards(call.now, trade_id=trade_id), 2 * limit)
            return aggregate_rows(market, list(found))[:limit]
        if "startTime" in call.query:
            start = _integer(call, "startTime")
            found = islice(market.forwards(end, ms=start), 2 * limit)
            return aggregate_rows(market, list(found))[:limit]
        newest = list(islice(market.backwards(end), 2 * limit))
        return aggregate_rows(market, newest[::-1])[-limit:]

    def klines(self, call: Call) -> object:
        """GET klines and uiKlines."""
        market = self._market(call)
        grid = _grid(call)
        limit = min(_limit(call, 500), 1000)
        stop = min(_integer(call, "endTime", call.now), call.now) + 1
        start = _integer(call, "startTime")
        find = market.oldest if "startTime" in call.query else market.newest
        bars = find(grid, limit, start, stop, call.now, filled=True)
        return [kline_row(market, grid, bar) for bar in call.kept(bars)]

    def avg_price(self, call: Call) -> object:
        """GET avgPrice: the mean of the last five minutes."""
        market = self._market(call)
        bar = market.window(call.now - 5 * MINUTE, call.now)
        last = market.last_trade(call.now)
        return {
            "mins": 5,
            "price": mean_text(market, bar) if bar else "0.00000000",
            "closeTime": last.ms if last else 0,
        }

    def ticker_24h(self, call: Call) -> object:
        """GET ticker/24hr: one symbol, those named, or all."""
        return self._each(call, lambda market: day_ticker(market, call.now, _kind(call)))

    def ticker_price(self, call: Call) -> object:
        """GET ticker/price."""
        return self._each(call, lambda market: last_price(market, call.now))

    def ticker_book(self, call: Call) -> object:
        """GET ticker/bookTicker."""
        return self._each(call, lambda market: best_quote(market, call.now))

    def ticker_rolling(self, call: Call) -> object:
        """GET ticker: a rolling window whose start is floored to the minute."""
        size = call.query.get("windowSize", "1d")
        if not _WINDOW.fullmatch(size):
            raise _illegal("windowSize")
        start = call.now - int(size[:-1]) * _UNITS[size[-1]]
        start -= start % MINUTE
        return self._some(call, lambda market: window_ticker(market, start, call.now, _kind(call)))

    def ticker_trading_day(self, call: Call) -> object:
        """GET ticker/tradingDay: from midnight in a time zone on."""
        offset = _zone(call)
        start = Grid(DAY, -offset).floor(call.now)
        return self._some(
            call,
            lambda market: window_ticker(market, start, call.now, _kind(call), start + DAY - 1),
        )

    def _market(self, call: Call) -> Market:
        symbol = call.query.get("symbol", "")
        if not symbol:
            raise _missing("symbol")
        return self._venue.market(self._listing(symbol))

    def _listing(self, symbol: str) -> Listing:
        if not _SYMBOL.fullmatch(symbol):
            text = "legal range is '^[A-Z0-9-_.]{1,20}$'."
            message = f"Illegal characters found in parameter 'symbol'; {text}"
            raise RefusedError(400, _body(-1100, message))
        found = self._ids.get(symbol)
        if found is None:
            raise RefusedError(400, _body(-1121, "Invalid symbol."))
        return found

    def _named(self, call: Call) -> list[Market]:
        if "symbol" in call.query and "symbols" in call.query:
            raise RefusedError(400, _body(-1128, "Combination of optional parameters invalid."))
        if "symbol" in call.query:
            return [self._market(call)]
        try:
            symbols = json.loads(call.query["symbols"])
        except ValueError:
            symbols = None
        if not isinstance(symbols, list) or not all(isinstance(name, str) for name in symbols):
            raise _illegal("symbols")
        if not symbols:
            raise _missing("symbols")
        return [self._venue.market(self._listing(symbol)) for symbol in symbols]

    def _each(self, call: Call, answer: Callable[[Market], dict[str, Any] | None]) -> object:
        if "symbol" in call.query:
            if "symbols" not in call.query:
                return answer(self._market(call))
        elif "symbols" not in call.query:
            answers = [answer(market) for market in self._venue.markets()]
            return [found for found in answers if found]
        return [found for market in self._named(call) if (found := answer(market))]

    def _some(self, call: Call, answer: Callable[[Market], dict[str, Any] | None]) -> object:
        if "symbol" not in call.query and "symbols" not in call.query:
            message = "Param 'symbol' or 'symbols' must be sent, but both were empty/null!"
            raise RefusedError(400, _body(-1102, message))
        named = self._named(call)
        if len(named) > 100:
            message = f"Too many parameters; expected '100' and received '{len(named)}'."
            raise RefusedError(400, _body(-1101, message))
        return self._each(call, answer)


def _body(code: int, message: str) -> object:
    return {"code": code, "msg": message}


def _missing(name: str) -> RefusedError:
    message = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return RefusedError(400, _body(-1102, message))


def _illegal(name: str) -> RefusedError:
    return RefusedError(400, _body(-1130, f"Data sent for parameter '{name}' is not valid."))


def _integer(call: Call, name: str, default: int = 0) -> int:
    text = call.query.get(name)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text):
        message = (
            f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        )
        raise RefusedError(400, _body(-1100, message))
    return int(text)


def _limit(call: Call, default: int) -> int:
    limit = _integer(call, "limit", default)
    if limit < 1:
        raise _illegal("limit")
    return limit


def _kind(call: Call) -> str:
    kind = call.query.get("type", "FULL")
    if kind not in ("FULL", "MINI"):
        raise _illegal("type")
    return kind


def _zone(call: Call) -> int:
    match = _ZONE.fullmatch(call.query.get("timeZone", "0"))
    if match is None:
        raise _illegal("timeZone")
    sign, hours, minutes = match.groups()
    offset = int(hours) * HOUR + int(minutes or 0) * MINUTE
    offset = -offset if sign == "-" else offset
    if not -12 * HOUR <= offset <= 14 * HOUR:
        raise _illegal("timeZone")
    return offset


def _grid(call: Call) -> Grid:
    name = call.query.get("interval")
    if not name:
        raise _missing("interval")
    offset = -_zone(call)
    grid = grid_of(name, offset)
    if grid is None:
        raise RefusedError(400, _body(-1120, "Invalid interval."))
    return grid


def _by_depth(call: Call) -> int:
    limit = int(call.query.get("limit", "100"))
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


def _by_symbols(one: int, all_of_them: int) -> Callable[[Call], int]:
    def weight(call: Call) -> int:
        if "symbol" in call.query:
            return one
        count = call.query.get("symbols", "").count(",") + 1
        return all_of_them if "symbols" not in call.query or count > 20 else 2 * one

    return weight


def _by_count(call: Call) -> int:
    return min(200, 4 * (call.query.get("symbols", "").count(",") + 1))


def _error(status: int) -> object:
    if status in (418, 429):
        message = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."
        return _body(-1003, message)
    if status == 451:
        message = "Service unavailable from a restricted location."
        return {"code": 0, "msg": message}
    return _body(-1000, "An unknown error occurred while processing the request.")


_V3 = "/api/v3"
DIALECT = Dialect(
    name="binance",
    prefixes=(
        "/api/v3",
        "/api/v1",
        "/sapi/",
        "/fapi/",
        "/dapi/",
        "/eapi/",
        "/papi/",
        "/futures/",
        "/ws",
        "/stream",
    ),
    routes=(
        Route(f"{_V3}/ping", Binance.ping),
        Route(f"{_V3}/time", Binance.time),
        Route("/sapi/v1/system/status", Binance.system_status),
        Route(f"{_V3}/exchangeInfo", Binance.exchange_info, 20),
        Route(f"{_V3}/depth", Binance.depth, _by_depth),
        Route(f"{_V3}/trades", Binance.trades, 25),
        Route(f"{_V3}/historicalTrades", Binance.historical_trades, 25),
        Route(f"{_V3}/aggTrades", Binance.agg_trades, 4),
        Route(f"{_V3}/klines", Binance.klines, 2),
        Route(f"{_V3}/uiKlines", Binance.klines, 2),
        Route(f"{_V3}/avgPrice", Binance.avg_price, 2),
        Route(f"{_V3}/ticker/24hr", Binance.ticker_24h, _by_symbols(2, 80)),
        Route(f"{_V3}/ticker/price", Binance.ticker_price, _by_symbols(2, 4)),
        Route(f"{_V3}/ticker/bookTicker", Binance.ticker_book, _by_symbols(2, 4)),
        Route(f"{_V3}/ticker", Binance.ticker_rolling, _by_count),
        Route(f"{_V3}/ticker/tradingDay", Binance.ticker_trading_day, _by_count),
    ),
    sockets=(
        SocketRoute("/ws", binance_session.single),
        SocketRoute("/ws/{streams:.*}", binance_session.single),
        SocketRoute("/stream", binance_session.combined),
    ),
    open=Binance,
    source=binance_streams.generated,
    error=_error,
    weighed="X-MBX-USED-WEIGHT-1M",
)
