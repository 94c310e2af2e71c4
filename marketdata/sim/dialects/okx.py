"""OKX's public spot REST interface, as `ccxt.okx` calls it."""

from __future__ import annotations

from functools import cached_property
from itertools import islice, takewhile
from typing import Any

from marketdata.sim.dialects import okx_session, okx_streams
from marketdata.sim.dialects.decimals import short
from marketdata.sim.dialects.dialect import Call, Dialect, RefusedError, Route, SocketRoute, Venue
from marketdata.sim.dialects.okx_rows import (
    GRIDS,
    amount_text,
    candle_row,
    instrument_id,
    price_text,
    ticker_row,
    trade_row,
)
from marketdata.sim.markets.listings import Listing
from marketdata.sim.markets.market import Market

_RECENT = 1_440


class Okx:
    """Answers for one venue; each public method is one endpoint."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    @cached_property
    def _ids(self) -> dict[str, Listing]:
        return self._venue.ids(instrument_id)

    def time(self, call: Call) -> object:
        """GET public/time."""
        return _data([{"ts": str(call.now)}])

    def status(self, _call: Call) -> object:
        """GET system/status: no maintenance is planned."""
        return _data([])

    def instruments(self, call: Call) -> object:
        """GET public/instruments: spot only, any other type is a 404."""
        _spot(call)
        wanted = call.query.get("instId")
        if wanted is not None:
            return _data([_instrument(self._listing(wanted))])
        return _data([_instrument(listing) for listing in self._ids.values()])

    def ticker(self, call: Call) -> object:
        """GET market/ticker."""
        found = ticker_row(self._market(call), call.now)
        return _data([found] if found else [])

    def tickers(self, call: Call) -> object:
        """GET market/tickers: spot only, any other type is a 404."""
        _spot(call)
        found = [ticker_row(market, call.now) for market in self._venue.markets()]
        return _data([ticker for ticker in found if ticker])

    def books(self, call: Call) -> object:
        """GET market/books: up to 400 rows a side."""
        return self._book(call, 1, 400, ("0", "1"))

    def books_full(self, call: Call) -> object:
        """GET market/books-full: up to 5000 rows a side."""
        return self._book(call, 1, 5000, ("1",))

    def candles(self, call: Call) -> object:
        """GET market/candles: the last 1440 only."""
        return self._candles(call, _RECENT)

    def history_candles(self, call: Call) -> object:
        """GET market/history-candles."""
        return self._candles(call, None)

    def trades(self, call: Call) -> object:
        """GET market/trades: the newest first."""
        market = self._market(call)
        newest = islice(market.backwards(call.now), _count(call, "limit", 100, 500))
        return _data([trade_row(market, trade) for trade in newest])

    def history_trades(self, call: Call) -> object:
        """GET market/history-trades: the newest first, by id or (type 2) by time."""
        market = self._market(call)
        limit = _count(call, "limit", 100, 100)
        after, before = _number(call, "after"), _number(call, "before")
        if call.query.get("type", "1") == "2":
            end = call.now if after is None else min(call.now, after - 1)
            newer = takewhile(lambda trade: trade.ms > (before or 0), market.backwards(end))
            return _data([trade_row(market, trade) for trade in islice(newer, limit)])
        end = call.now
        if after is not None:
            end = min(end, market.block_of(after) + market.block - 1)
        rows = []
        for trade in market.backwards(end):
            if before is not None and trade.id <= before:
                break
            if after is None or trade.id < after:
                rows.append(trade_row(market, trade))
            if len(rows) == limit:
                break
        return _data(rows)

    def _book(self, call: Call, default: int, most: int, tail: tuple[str, ...]) -> object:
        market = self._market(call)
        book = market.book(call.now, _count(call, "sz", default, most))
        sides: dict[str, list[list[str]]] = {"asks": [], "bids": []}
        if book:
            for name, rows in (("asks", book.asks), ("bids", book.bids)):
                sides[name] = [
                    [price_text(market, p), amount_text(market, a), *tail] for p, a in rows
                ]
        return _data([{**sides, "ts": str(call.now)}])

    def _candles(self, call: Call, recent: int | None) -> object:
        market = self._market(call)
        grid = GRIDS.get(call.query.get("bar", "1m"))
        if grid is None:
            raise _wrong("bar")
        limit = _count(call, "limit", 100, 300)
        after, before = _number(call, "after"), _number(call, "before")
        stop = call.now + 1 if after is None else min(after, call.now + 1)
        start = 0 if before is None else before + 1
        if recent is not None:
            start = max(start, grid.after(grid.floor(call.now), 1 - recent))
        bars = market.newest(grid, limit, start, stop, call.now, filled=True)[::-1]
        return _data([candle_row(market, grid, bar, call.now) for bar in call.kept(bars)])

    def _market(self, call: Call) -> Market:
        return self._venue.market(self._listing(call.query.get("instId", "")))

    def _listing(self, name: str) -> Listing:
        if not name:
            raise RefusedError(400, _failure("50014", "Parameter instId can not be empty"))
        found = self._ids.get(name)
        if found is None:
            message = "Instrument ID, Instrument ID code, or Spread ID doesn't exist."
            raise RefusedError(200, _failure("51001", message))
        return found


def _data(rows: list[dict[str, Any]] | list[list[str]]) -> object:
    return {"code": "0", "msg": "", "data": rows}


def _failure(code: str, message: str) -> object:
    return {"code": code, "msg": message, "data": []}


def _wrong(name: str) -> RefusedError:
    return RefusedError(400, _failure("51000", f"Parameter {name} error"))


def _spot(call: Call) -> None:
    kind = call.query.get("instType", "")
    if not kind:
        raise RefusedError(400, _failure("50014", "Parameter instType can not be empty"))
    if kind != "SPOT":
        raise RefusedError(404, _failure("51000", "Parameter instType error"))


def _number(call: Call, name: str) -> int | None:
    text = call.query.get(name, "")
    if not text:
        return None
    if not text.isdecimal():
        raise _wrong(name)
    return int(text)


def _count(call: Call, name: str, default: int, most: int) -> int:
    count = _number(call, name)
    if count is None:
        return default
    if not 0 < count <= most:
        raise _wrong(name)
    return count


def _instrument(listing: Listing) -> dict[str, Any]:
    empty = ("alias", "ctMult", "ctType", "ctVal", "ctValCcy", "expTime", "instFamily", "optType")
    return {
        **dict.fromkeys(empty, ""),
        "baseCcy": listing.base,
        "category": "1",
        "contTdSwTime": str(listing.since),
        "instId": instrument_id(listing),
        "instType": "SPOT",
        "lever": "10" if listing.active else "",
        "listTime": str(listing.since),
        "lotSz": short(1, listing.amount_scale),
        "maxIcebergSz": "9999999999",
        "maxLmtAmt": "20000000",
        "maxLmtSz": "9999999999",
        "maxMktAmt": "1000000",
        "maxMktSz": "1000000",
        "maxStopSz": "1000000",
        "maxTriggerSz": "9999999999",
        "maxTwapSz": "9999999999",
        "minSz": short(1, listing.amount_scale),
        "quoteCcy": listing.quote,
        "ruleType": "normal",
        "settleCcy": "",
        "state": "live" if listing.active else "suspend",
        "stk": "",
        "tickSz": short(1, listing.price_scale),
        "tradeQuoteCcyList": [listing.quote],
        "uly": "",
    }


def _error(status: int) -> object:
    if status in (418, 429):
        return _failure("50011", "Too Many Requests")
    if status in (403, 451):
        return _failure("50027", "The account is restricted from trading")
    if status == 503:
        return _failure("50001", "Service temporarily unavailable. Try again later")
    return _failure("50026", "System error. Try again later")


_V5 = "/api/v5"
DIALECT = Dialect(
    name="okx",
    prefixes=("/api/v5", "/ws/v5"),
    routes=(
        Route(f"{_V5}/public/time", Okx.time),
        Route(f"{_V5}/public/instruments", Okx.instruments),
        Route(f"{_V5}/system/status", Okx.status),
        Route(f"{_V5}/market/ticker", Okx.ticker),
        Route(f"{_V5}/market/tickers", Okx.tickers),
        Route(f"{_V5}/market/books", Okx.books),
        Route(f"{_V5}/market/books-full", Okx.books_full),
        Route(f"{_V5}/market/candles", Okx.candles),
        Route(f"{_V5}/market/history-candles", Okx.history_candles),
        Route(f"{_V5}/market/trades", Okx.trades),
        Route(f"{_V5}/market/history-trades", Okx.history_trades),
    ),
    open=Okx,
    error=_error,
    sockets=(
        SocketRoute("/ws/v5/public", okx_session.public),
        SocketRoute("/ws/v5/business", okx_session.business),
    ),
    source=okx_streams.generated,
)
