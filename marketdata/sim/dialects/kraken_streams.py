"""Kraken's channels of version 2, as `ccxt.pro.kraken` subscribes to them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby, islice
from typing import Any
from zlib import crc32

from marketdata.sim.dialects.decimals import fixed, ratio
from marketdata.sim.dialects.dialect import Venue
from marketdata.sim.dialects.kraken_session import DEPTHS, Open, raw
from marketdata.sim.dialects.times import iso
from marketdata.sim.markets.bars import DAY, MINUTE, SECOND, Bar, Grid, Trade
from marketdata.sim.markets.levels import Book, Row
from marketdata.sim.markets.market import Market
from marketdata.sim.sockets.streams import (
    BookSubscription,
    Frame,
    Subscription,
    TradeSubscription,
    multiples,
)

_INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
_SNAPSHOT_TRADES = 50
_SNAPSHOT_BARS = 100
_SUMMED = 10


class _Book(BookSubscription):
    def snapshot(self, book: Book) -> Any:
        return self._body("snapshot", book, book.bids, book.asks)

    def update(self, before: Book, after: Book, bids: list[Row], asks: list[Row]) -> Any:  # noqa: ARG002
        return self._body("update", after, bids, asks)

    def flood(self, frame: Frame, count: int) -> list[Frame]:
        """Say again, and again, what one level holds."""
        data = frame.body["data"][0]
        side = "bids" if data["bids"] else "asks"
        level = {"bids": [], "asks": [], side: data[side][:1]}
        small = {**frame.body, "type": "update", "data": [{**data, **level}]}
        return [frame, *[frame._replace(body=small)] * count]

    def stray(self, frame: Frame) -> Frame:
        """Bid far more than is asked."""
        data = frame.body["data"][0]
        asks = self._told.asks
        if not asks:
            return frame
        bid = _level(self.market, asks[0][0] * 2, asks[0][1])
        body = {**frame.body, "data": [{**data, "bids": [bid, *data["bids"]]}]}
        return frame._replace(body=body)

    def miscounted(self, frame: Frame) -> Frame:
        """Send another checksum."""
        data = frame.body["data"][0]
        wrong = {**data, "checksum": data["checksum"] ^ 1}
        return frame._replace(body={**frame.body, "data": [wrong]})

    def _body(self, kind: str, book: Book, bids: list[Row], asks: list[Row]) -> dict[str, Any]:
        market = self.market
        data = {
            "symbol": self.symbol,
            "bids": [_level(market, price, size) for price, size in bids],
            "asks": [_level(market, price, size) for price, size in asks],
            "checksum": checksum(book),
            "timestamp": iso(book.ms * 1000),
        }
        return {"channel": "book", "type": kind, "data": [data]}


class _Trades(TradeSubscription):
    def opening(self, now: int) -> list[Frame]:
        """Send the newest trades."""
        newest = list(islice(self.market.backwards(now), _SNAPSHOT_TRADES))[::-1]
        return [self.frame(now, self._body("snapshot", newest))]

    def tell(self, trades: list[Trade]) -> list[Frame]:
        """Send what was traded at one moment in one frame."""
        groups = [list(group) for _, group in groupby(trades, lambda trade: trade.ms)]
        return [
            self.frame(group[-1].ms, self._body("update", group), group[-1].id) for group in groups
        ]

    def _body(self, kind: str, trades: list[Trade]) -> dict[str, Any]:
        market = self.market
        data = [
            {
                "symbol": self.symbol,
                "side": "buy" if trade.buy else "sell",
                "price": _price(market, trade.price),
                "qty": _amount(market, trade.amount),
                "ord_type": "market",
                "trade_id": trade.id,
                "timestamp": iso(trade.nanos // 1000),
            }
            for trade in trades
        ]
        return {"channel": "trade", "type": kind, "data": data}


class _Ticker(Subscription):
    """The rolling day, with every trade or with every change of the best prices."""

    def __init__(self, symbol: str, market: Market, *, quotes: bool) -> None:
        super().__init__("ticker", symbol, f"ticker/{symbol}")
        self._market = market
        self._quotes = quotes

    def opening(self, now: int) -> list[Frame]:
        return self._tickers(now, "snapshot")

    def frames(self, after: int, until: int) -> list[Frame]:
        if self._quotes:
            moments = [ms for ms, _ in self._market.quotes(after, until)]
        else:
            trades = self._market.forwards(until, ms=after + 1)
            moments = sorted({trade.ms for trade in trades})
        return [frame for ms in moments for frame in self._tickers(ms, "update")]

    def _tickers(self, ms: int, kind: str) -> list[Frame]:
        market = self._market
        book, bar = market.book(ms, 1), market.window(ms - DAY, ms)
        if book is None or bar is None or not book.bids:
            return []
        data = {
            "symbol": self.symbol,
            "bid": _price(market, book.bids[0][0]),
            "bid_qty": _amount(market, book.bids[0][1]),
            "ask": _price(market, book.asks[0][0]),
            "ask_qty": _amount(market, book.asks[0][1]),
            "last": _price(market, bar.close),
            "volume": _amount(market, bar.volume),
            "vwap": _mean(market, bar),
            "low": _price(market, bar.low),
            "high": _price(market, bar.high),
            "change": _price(market, bar.close - bar.open),
            "change_pct": raw(ratio(100 * (bar.close - bar.open), bar.open, 2)),
            "timestamp": iso(ms * 1000),
        }
        return [self.frame(ms, {"channel": "ticker", "type": kind, "data": [data]})]


class _Bars(Subscription):
    """The candle that is forming, after every second with a trade."""

    def __init__(self, symbol: str, market: Market, interval: int) -> None:
        super().__init__("ohlc", symbol, f"ohlc-{interval}/{symbol}")
        self._market = market
        self._interval = interval
        self._grid = Grid(interval * MINUTE)

    def opening(self, now: int) -> list[Frame]:
        bars = self._market.newest(self._grid, _SNAPSHOT_BARS, 0, now + 1, now, filled=False)
        return [self._bars(now, "snapshot", bars)]

    def frames(self, after: int, until: int) -> list[Frame]:
        found = []
        for ms in multiples(SECOND, after, until):
            last = self._market.last_trade(ms - 1)
            if last is not None and last.ms >= ms - SECOND:
                bars = self._market.newest(self._grid, 1, 0, ms, ms - 1, filled=False)
                found.append(self._bars(ms, "update", bars))
        return found

    def _bars(self, ms: int, kind: str, bars: list[Bar]) -> Frame:
        market = self._market
        data = [
            {
                "symbol": self.symbol,
                "open": _price(market, bar.open),
                "high": _price(market, bar.high),
                "low": _price(market, bar.low),
                "close": _price(market, bar.close),
                "trades": bar.trades,
                "volume": _amount(market, bar.volume),
                "vwap": _mean(market, bar),
                "interval_begin": iso(bar.start * 1000),
                "interval": self._interval,
                "timestamp": iso(self._grid.after(bar.start) * 1000),
            }
            for bar in bars
        ]
        body = {"channel": "ohlc", "type": kind, "timestamp": iso(ms * 1000), "data": data}
        return self.frame(ms, body)


def generated(venue: Venue) -> Open:
    """Return what opens the channels of ``venue``."""

    def opener(channel: str, symbol: str, params: Mapping[str, Any]) -> Subscription | str:
        listing = venue.listings.get(symbol)
        if listing is None:
            return "Currency pair not supported"
        market = venue.market(listing)
        if channel == "book":
            depth = params.get("depth", 10)
            if depth not in DEPTHS or not isinstance(depth, int):
                return "Subscription depth not supported"
            return _Book(channel, symbol, f"book/{symbol}", market, depth, trimmed=True)
        if channel == "ohlc":
            interval = params.get("interval", 1)
            if interval not in _INTERVALS or not isinstance(interval, int):
                return "Subscription ohlc interval not supported"
            return _Bars(symbol, market, interval)
        if channel == "ticker":
            return _Ticker(symbol, market, quotes=params.get("event_trigger") == "bbo")
        return _Trades(channel, symbol, f"trade/{symbol}", market)

    return opener


def checksum(book: Book) -> int:
    """Return the CRC32 of the best ten rows of asks and bids, as Kraken documents it.

    It is of the digits without point and leading zeros, which is what ticks and lots are.
    """
    rows = book.asks[:_SUMMED] + book.bids[:_SUMMED]
    return crc32("".join([f"{price}{size}" for price, size in rows]).encode())


def _level(market: Market, price: int, size: int) -> dict[str, Any]:
    return {"price": _price(market, price), "qty": _amount(market, size)}


def _price(market: Market, price: int) -> str:
    return raw(fixed(price, market.price_scale, market.price_scale))


def _amount(market: Market, amount: int) -> str:
    return raw(fixed(amount, market.amount_scale, market.amount_scale))


def _mean(market: Market, bar: Bar) -> str:
    if not bar.volume:
        return _price(market, bar.close)
    return raw(ratio(bar.quote, bar.volume * 10**market.price_scale, market.price_scale))
