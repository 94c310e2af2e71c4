"""Binance's spot market streams, as `ccxt.pro.binance` subscribes to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marketdata.sim.dialects.binance_rows import (
    aggregate_rows,
    amount_text,
    day_ticker,
    grid_of,
    kline_row,
    price_text,
    symbol_of,
    trade_row,
)
from marketdata.sim.dialects.binance_session import Open
from marketdata.sim.dialects.dialect import Venue
from marketdata.sim.markets.bars import SECOND, Grid, Trade
from marketdata.sim.markets.levels import SLOT, Row, State
from marketdata.sim.markets.market import Market
from marketdata.sim.sockets.streams import (
    Frame,
    Subscription,
    TradeSubscription,
    multiples,
)

_KLINE = "kline_"
_STREAM = re.compile(r"([a-z0-9\-_.]{1,20})@(\w+)(?:@(100ms|1000ms))?")


class _Stream(Subscription):
    """One stream of ``market``, whose key is the stream's name."""

    def __init__(self, channel: str, symbol: str, key: str, market: Market) -> None:
        super().__init__(channel, symbol, key)
        self.market = market


class _Depth(_Stream):
    """The differences of the book, ``every`` so many milliseconds."""

    def __init__(self, channel: str, symbol: str, key: str, market: Market, every: int) -> None:
        super().__init__(channel, symbol, key, market)
        self._every = every

    def frames(self, after: int, until: int) -> list[Frame]:
        found = []
        for ms in multiples(self._every, after, until):
            changes = self.market.book_changes(ms - self._every, ms)
            if changes is not None:
                fields = {
                    "U": changes.first,
                    "u": changes.last,
                    "b": self._rows(changes.bids),
                    "a": self._rows(changes.asks),
                }
                found.append(_event(self, ms, "depthUpdate", fields))
        return found

    def flood(self, frame: Frame, count: int) -> list[Frame]:
        """Let updates of a single level come before the frame, each with a number of its own."""
        body = frame.body
        first, last = body["U"], body["u"]
        count = min(count, last - first)
        level = {"b": body["b"][:1], "a": []} if body["b"] else {"b": [], "a": body["a"][:1]}
        small = [
            {**body, "U": number, "u": number, **level} for number in range(first, first + count)
        ]
        bodies = [*small, {**body, "U": first + count}]
        return [frame._replace(body=one) for one in bodies]

    def stray(self, frame: Frame) -> Frame:
        """Bid far more than is asked."""
        state = self.market.book_state(frame.ms)
        if state is None:
            return frame
        bids = [*self._rows([(state.ask[0] * 2, state.ask[1])]), *frame.body["b"]]
        return frame._replace(body={**frame.body, "b": bids})

    def _rows(self, rows: list[Row]) -> list[list[str]]:
        market = self.market
        return [[price_text(market, price), amount_text(market, size)] for price, size in rows]


class _Trades(TradeSubscription):
    def tell(self, trades: list[Trade]) -> list[Frame]:
        return [self._trade(trade, trade_row(self.market, trade)) for trade in trades]

    def _trade(self, trade: Trade, row: Mapping[str, Any]) -> Frame:
        fields = {
            "t": row["id"],
            "p": row["price"],
            "q": row["qty"],
            "T": trade.ms,
            "m": row["isBuyerMaker"],
            "M": True,
        }
        return _event(self, trade.ms, "trade", fields, trade.id)


class _Aggregates(_Trades):
    def tell(self, trades: list[Trade]) -> list[Frame]:
        rows = aggregate_rows(self.market, trades)
        return [_event(self, row["T"], "aggTrade", row, row["l"]) for row in rows]


class _BestQuotes(_Stream):
    def frames(self, after: int, until: int) -> list[Frame]:
        return [
            self.frame(ms, self._quote(state)) for ms, state in self.market.quotes(after, until)
        ]

    def _quote(self, state: State) -> dict[str, Any]:
        market = self.market
        (bid, bid_size), (ask, ask_size) = state.bid, state.ask
        return {
            "u": state.sequence,
            "s": self.symbol,
            "b": price_text(market, bid),
            "B": amount_text(market, bid_size),
            "a": price_text(market, ask),
            "A": amount_text(market, ask_size),
        }


class _Ticker(_Stream):
    """The rolling day, once a second."""

    def frames(self, after: int, until: int) -> list[Frame]:
        tickers = [
            (ms, day_ticker(self.market, ms, "FULL")) for ms in multiples(SECOND, after, until)
        ]
        return [self._ticker(ms, ticker) for ms, ticker in tickers if ticker is not None]

    def _ticker(self, ms: int, ticker: Mapping[str, Any]) -> Frame:
        return _event(self, ms, "24hrTicker", _renamed(_DAY, ticker))


class _MiniTicker(_Ticker):
    def _ticker(self, ms: int, ticker: Mapping[str, Any]) -> Frame:
        return _event(self, ms, "24hrMiniTicker", _renamed(_MINI, ticker))


class _Klines(_Stream):
    """The candle that is forming, once a second, and each candle once more when it is over."""

    def __init__(self, channel: str, symbol: str, key: str, market: Market, grid: Grid) -> None:
        super().__init__(channel, symbol, key, market)
        self._interval = channel.removeprefix(_KLINE)
        self._grid = grid

    def frames(self, after: int, until: int) -> list[Frame]:
        found = []
        for ms in multiples(SECOND, after, until):
            now = ms - 1
            bars = self.market.newest(self._grid, 1, 0, ms, now, filled=True)
            if bars and bars[0].start == self._grid.floor(now):
                found.append(self._kline(ms, kline_row(self.market, self._grid, bars[0])))
        return found

    def _kline(self, ms: int, row: list[Any]) -> Frame:
        start, opening, high, low, close, volume, last_ms, quote, count, bought, paid, _ = row
        bar = self.market.window(start, min(ms - 1, last_ms))
        traded = bar is not None and bar.trades
        fields = {
            "t": start,
            "T": last_ms,
            "s": self.symbol,
            "i": self._interval,
            "f": bar.first_id if bar and traded else -1,
            "L": bar.last_id if bar and traded else -1,
            "o": opening,
            "c": close,
            "h": high,
            "l": low,
            "v": volume,
            "n": count,
            "x": last_ms < ms,
            "q": quote,
            "V": bought,
            "Q": paid,
            "B": "0",
        }
        return _event(self, ms, "kline", {"k": fields})


_DAY = {
    "p": "priceChange",
    "P": "priceChangePercent",
    "w": "weightedAvgPrice",
    "x": "prevClosePrice",
    "c": "lastPrice",
    "Q": "lastQty",
    "b": "bidPrice",
    "B": "bidQty",
    "a": "askPrice",
    "A": "askQty",
    "o": "openPrice",
    "h": "highPrice",
    "l": "lowPrice",
    "v": "volume",
    "q": "quoteVolume",
    "O": "openTime",
    "C": "closeTime",
    "F": "firstId",
    "L": "lastId",
    "n": "count",
}
_MINI = {name: _DAY[name] for name in ("c", "o", "h", "l", "v", "q")}
_CHANNELS: dict[str, type[_Stream | _Trades]] = {
    "trade": _Trades,
    "aggTrade": _Aggregates,
    "bookTicker": _BestQuotes,
    "ticker": _Ticker,
    "miniTicker": _MiniTicker,
}


def generated(venue: Venue) -> Open:
    """Return what opens the streams of ``venue``."""
    listed = {symbol_of(listing).lower(): listing for listing in venue.listings.values()}

    def opener(stream: str) -> Subscription | None:
        match = _STREAM.fullmatch(stream)
        listing = listed.get(match[1]) if match else None
        if match is None or listing is None:
            return None
        symbol, channel, speed = symbol_of(listing), match[2], match[3]
        market = venue.market(listing)
        if channel == "depth":
            every = SLOT if speed == "100ms" else SECOND
            return _Depth(channel, symbol, stream, market, every)
        if speed:
            return None
        if channel.startswith(_KLINE):
            grid = grid_of(channel.removeprefix(_KLINE))
            return None if grid is None else _Klines(channel, symbol, stream, market, grid)
        kind = _CHANNELS.get(channel)
        return None if kind is None else kind(channel, symbol, stream, market)

    return opener


def _event(
    of: Subscription, ms: int, kind: str, fields: Mapping[str, Any], order: int = 0
) -> Frame:
    return of.frame(ms, {"e": kind, "E": ms, "s": of.symbol, **fields}, order)


def _renamed(names: Mapping[str, str], ticker: Mapping[str, Any]) -> dict[str, Any]:
    return {short: ticker[long] for short, long in names.items()}
