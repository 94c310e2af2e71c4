"""Coinbase Exchange's public REST interface, as `ccxt.coinbaseexchange` calls it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from marketdata.sim.dialects import coinbase_session, coinbase_streams
from marketdata.sim.dialects.coinbase_rows import amount_text, price_text, product_id
from marketdata.sim.dialects.decimals import short
from marketdata.sim.dialects.dialect import Call, Dialect, RefusedError, Route, SocketRoute, Venue
from marketdata.sim.dialects.times import iso
from marketdata.sim.markets.bars import DAY, HOUR, Bar, Grid, Trade
from marketdata.sim.markets.levels import Book
from marketdata.sim.markets.listings import Listing
from marketdata.sim.markets.market import Market

_GRANULARITIES = (60, 300, 900, 3600, 21600, 86400)
_MOST_BARS = 300
_MOST_ROWS = 1_000
_FIAT = ("EUR", "USD")


class Coinbase:
    """Answers for one venue; each public method is one endpoint."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    @cached_property
    def _ids(self) -> dict[str, Listing]:
        return self._venue.ids(product_id)

    def time(self, call: Call) -> object:
        """GET time."""
        return {"iso": iso(call.now * 1000, "milliseconds"), "epoch": call.now / 1000}

    def currencies(self, _call: Call) -> object:
        """GET currencies."""
        return [_currency(name) for name in self._venue.assets]

    def currency(self, call: Call) -> object:
        """GET currencies/ID."""
        if call.path["id"] not in self._venue.assets:
            raise _unknown()
        return _currency(call.path["id"])

    def products(self, _call: Call) -> object:
        """GET products: all of them, also those that are no longer traded."""
        return [_product(listing) for listing in self._ids.values()]

    def product(self, call: Call) -> object:
        """GET products/ID."""
        return _product(self._market(call).listing)

    def book(self, call: Call) -> object:
        """GET products/ID/book: level 1 the best, 2 all prices, 3 all orders."""
        market = self._market(call)
        level = call.query.get("level", "1")
        if level not in ("1", "2", "3"):
            raise RefusedError(400, {"message": "Invalid level"})
        book = market.book(call.now, 1 if level == "1" else _MOST_ROWS)
        sides: dict[str, list[list[Any]]] = {"bids": [], "asks": []}
        if book:
            sides = {
                "bids": _rows(market, book, book.bids, level),
                "asks": _rows(market, book, book.asks, level),
            }
        return {
            **sides,
            "sequence": book.sequence if book else 0,
            "auction_mode": False,
            "auction": None,
            "time": iso(call.now * 1000),
        }

    def ticker(self, call: Call) -> object:
        """GET products/ID/ticker."""
        market = self._market(call)
        last, book = market.last_trade(call.now), market.book(call.now, 1)
        whole = market.window(call.now - DAY, call.now)
        if last is None or book is None or whole is None:
            raise _unknown()
        return {
            "ask": price_text(market, book.asks[0][0]),
            "bid": price_text(market, book.bids[0][0]),
            "volume": amount_text(market, whole.volume),
            "trade_id": last.id,
            "price": price_text(market, last.price),
            "size": amount_text(market, last.amount),
            "time": iso(last.nanos // 1000),
            "rfq_volume": "0",
        }

    def stats(self, call: Call) -> object:
        """GET products/ID/stats."""
        market = self._market(call)
        whole = market.window(call.now - DAY, call.now)
        month = market.window(call.now - 30 * DAY, call.now)
        if whole is None or month is None:
            raise _unknown()
        return {
            "open": price_text(market, whole.open),
            "high": price_text(market, whole.high),
            "low": price_text(market, whole.low),
            "last": price_text(market, whole.close),
            "volume": amount_text(market, whole.volume),
            "volume_30day": amount_text(market, month.volume),
        }

    def trades(self, call: Call) -> object:
        """GET products/ID/trades: the newest first, with cursors by trade id."""
        market = self._market(call)
        limit = _integer(call, "limit") or 1000
        after, before = _integer(call, "after"), _integer(call, "before")
        end = call.now
        if after is not None:
            end = min(end, market.block_of(after) + market.block - 1)
        found = []
        for trade in market.backwards(end):
            if before is not None and trade.id <= before:
                break
            if after is None or trade.id < after:
                found.append(trade)
            if len(found) >= min(limit, 1000):
                break
        if found:
            call.headers["CB-BEFORE"] = str(found[0].id)
            call.headers["CB-AFTER"] = str(found[-1].id)
        return [_trade(market, trade) for trade in found]

    def candles(self, call: Call) -> object:
        """GET products/ID/candles: up to 300, the newest first, quiet ones left out."""
        market = self._market(call)
        granularity = _integer(call, "granularity") or 60
        if granularity not in _GRANULARITIES:
            raise RefusedError(400, {"message": "Unsupported granularity"})
        grid = Grid(granularity * 1000)
        start, end = _moment(call, "start"), _moment(call, "end")
        if start is None or end is None:
            end = call.now
            start = grid.after(grid.floor(end), 1 - _MOST_BARS)
        if start > end:
            raise RefusedError(400, {"message": "start must be before end"})
        if (end - start) / grid.step > _MOST_BARS:
            text = "granularity too small for the requested time range."
            message = f"{text} Count of aggregations requested exceeds {_MOST_BARS}"
            raise RefusedError(400, {"message": message})
        bars = market.bars(grid, start, end + 1, call.now)
        return [_candle(market, bar) for bar in call.kept(bars[::-1])]

    def spark_lines(self, call: Call) -> object:
        """GET products/spark-lines: the last day by the hour, the newest first."""
        grid = Grid(HOUR)
        lines = {}
        for market in self._venue.markets():
            bars = market.bars(grid, call.now - DAY, call.now + 1, call.now)
            lines[product_id(market.listing)] = [_candle(market, bar)[:5] for bar in bars[::-1]]
        return lines

    def _market(self, call: Call) -> Market:
        listing = self._ids.get(call.path["id"])
        if listing is None:
            raise _unknown()
        return self._venue.market(listing)


def _unknown() -> RefusedError:
    return RefusedError(404, {"message": "NotFound"})


def _integer(call: Call, name: str) -> int | None:
    text = call.query.get(name, "")
    if not text:
        return None
    if not text.isdecimal():
        raise RefusedError(400, {"message": f"Invalid {name}"})
    return int(text)


def _moment(call: Call, name: str) -> int | None:
    """Read a time, ISO-8601 or Unix seconds, as milliseconds."""
    text = call.query.get(name, "")
    if not text:
        return None
    if text.isdecimal():
        return int(text) * 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RefusedError(400, {"message": f"{name} must be a valid date-time"}) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def _candle(market: Market, bar: Bar) -> list[Any]:
    prices = (bar.low, bar.high, bar.open, bar.close)
    return [
        bar.start // 1000,
        *[float(short(price, market.price_scale)) for price in prices],
        float(short(bar.volume, market.amount_scale)),
    ]


def _trade(market: Market, trade: Trade) -> dict[str, Any]:
    return {
        "trade_id": trade.id,
        # Coinbase tells the side of the maker.
        "side": "sell" if trade.buy else "buy",
        "size": amount_text(market, trade.amount),
        "price": price_text(market, trade.price),
        "time": iso(trade.nanos // 1000),
    }


def _rows(market: Market, book: Book, rows: list[tuple[int, int]], level: str) -> list[list[Any]]:
    result: list[list[Any]] = []
    for price, amount in rows:
        texts: list[Any] = [price_text(market, price), amount_text(market, amount)]
        if level == "3":
            texts.append(str(UUID(int=(book.sequence << 64) + price)))
        else:
            texts.append(1 + amount % 5)
        result.append(texts)
    return result


def _product(listing: Listing) -> dict[str, Any]:
    online = listing.active
    return {
        "id": product_id(listing),
        "base_currency": listing.base,
        "quote_currency": listing.quote,
        "quote_increment": short(1, listing.price_scale),
        "base_increment": short(1, listing.amount_scale),
        "display_name": product_id(listing),
        "min_market_funds": "0.000016" if listing.quote == "BTC" else "1",
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "status": "online" if online else "delisted",
        "status_message": "",
        "trading_disabled": not online,
        "fx_stablecoin": False,
        "max_slippage_percentage": "0.03000000",
        "auction_mode": False,
        "high_bid_limit_percentage": "",
    }


def _currency(name: str) -> dict[str, Any]:
    fiat = name in _FIAT
    step = "0.01" if fiat else "0.00000001"
    return {
        "id": name,
        "name": name,
        "min_size": step,
        "status": "online",
        "message": "",
        "max_precision": step,
        "convertible_to": [],
        "details": {
            "type": "fiat" if fiat else "crypto",
            "symbol": None,
            "network_confirmations": 0,
            "sort_order": 0,
            "crypto_address_link": "",
            "crypto_transaction_link": "",
            "push_payment_methods": [],
            "group_types": [],
            "display_name": name,
            "processing_time_seconds": 0,
            "min_withdrawal_amount": float(step),
            "max_withdrawal_amount": 1_000_000,
        },
        "default_network": "",
        "supported_networks": [],
        "display_name": name,
    }


def _error(status: int) -> object:
    texts = {
        403: "Forbidden",
        418: "Public rate limit exceeded",
        429: "Public rate limit exceeded",
        451: "Unavailable for legal reasons",
        503: "Service is under maintenance",
    }
    return {"message": texts.get(status, "Internal server error")}


DIALECT = Dialect(
    name="coinbaseexchange",
    prefixes=("/products", "/currencies", "/time", "/"),
    routes=(
        Route("/time", Coinbase.time),
        Route("/currencies", Coinbase.currencies),
        Route("/currencies/{id}", Coinbase.currency),
        Route("/products", Coinbase.products),
        Route("/products/spark-lines", Coinbase.spark_lines),
        Route("/products/{id}", Coinbase.product),
        Route("/products/{id}/book", Coinbase.book),
        Route("/products/{id}/ticker", Coinbase.ticker),
        Route("/products/{id}/stats", Coinbase.stats),
        Route("/products/{id}/trades", Coinbase.trades),
        Route("/products/{id}/candles", Coinbase.candles),
    ),
    open=Coinbase,
    error=_error,
    sockets=(SocketRoute("/", coinbase_session.session),),
    source=coinbase_streams.generated,
)
