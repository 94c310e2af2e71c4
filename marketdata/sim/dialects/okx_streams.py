"""OKX's public channels, as `ccxt.pro.okx` subscribes to them."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from zlib import crc32

from marketdata.sim.dialects.dialect import Venue
from marketdata.sim.dialects.okx_rows import (
    GRIDS,
    amount_text,
    candle_row,
    instrument_id,
    price_text,
    ticker_row,
    trade_row,
)
from marketdata.sim.dialects.okx_session import Open
from marketdata.sim.markets.bars import SECOND, Trade
from marketdata.sim.markets.levels import SLOT, Book, Row
from marketdata.sim.markets.market import Market
from marketdata.sim.sockets.streams import (
    BookSubscription,
    Frame,
    Subscription,
    TradeSubscription,
    multiples,
)

_DEPTH = 400
_SHALLOW = 5
_SUMMED = 25
_CANDLE = "candle"


class _Books(BookSubscription):
    """The best 400 rows a side, and what changes in them."""

    def snapshot(self, book: Book) -> Any:
        return self._body("snapshot", book, book.bids, book.asks, -1)

    def update(self, before: Book, after: Book, bids: list[Row], asks: list[Row]) -> Any:
        return self._body("update", after, bids, asks, before.sequence)

    def flood(self, frame: Frame, count: int) -> list[Frame]:
        """Let updates that say again what one level holds take the frame's last numbers."""
        data = frame.body["data"][0]
        last = data["seqId"]
        if data["prevSeqId"] >= last - count:
            return [frame]
        side = "bids" if data["bids"] else "asks"
        level = {"bids": [], "asks": [], side: data[side][:1]}
        first = last - count
        found = [_with(frame, {"seqId": first})]
        for number in range(first + 1, last + 1):
            small = _with(frame, {**level, "seqId": number, "prevSeqId": number - 1})
            found.append(small._replace(body={**small.body, "action": "update"}))
        return found

    def stray(self, frame: Frame) -> Frame:
        """Bid far more than is asked."""
        asks = self._told.asks
        if not asks:
            return frame
        bid = _level(self.market, asks[0][0] * 2, asks[0][1])
        return _with(frame, {"bids": [bid, *frame.body["data"][0]["bids"]]})

    def miscounted(self, frame: Frame) -> Frame:
        """Send another checksum."""
        return _with(frame, {"checksum": frame.body["data"][0]["checksum"] ^ 1})

    def _body(
        self, action: str, book: Book, bids: list[Row], asks: list[Row], before: int
    ) -> dict[str, Any]:
        market = self.market
        data = {
            "asks": [_level(market, *row) for row in asks],
            "bids": [_level(market, *row) for row in bids],
            "ts": str(book.ms),
            "checksum": checksum(market, book),
            "seqId": book.sequence,
            "prevSeqId": before,
        }
        return {"arg": _argument(self), "action": action, "data": [data]}


class _Books5(BookSubscription):
    """The best five rows a side, all of them whenever one of them changed."""

    def snapshot(self, book: Book) -> Any:
        market = self.market
        data = {
            "asks": [_level(market, *row) for row in book.asks],
            "bids": [_level(market, *row) for row in book.bids],
            "instId": self.symbol,
            "ts": str(book.ms),
            "seqId": book.sequence,
        }
        return {"arg": _argument(self), "data": [data]}

    def update(self, before: Book, after: Book, bids: list[Row], asks: list[Row]) -> Any:  # noqa: ARG002
        return self.snapshot(after)


class _Channel(Subscription):
    def __init__(self, channel: str, symbol: str, key: str, market: Market) -> None:
        super().__init__(channel, symbol, key)
        self.market = market

    def _data(self, ms: int, rows: list[Any]) -> Frame:
        return self.frame(ms, {"arg": _argument(self), "data": rows})


class _Quotes(_Channel):
    """The best prices, whenever they change."""

    def opening(self, now: int) -> list[Frame]:
        state = self.market.book_state(now)
        return [] if state is None else [self._quote(now, state.bid, state.ask, state.sequence)]

    def frames(self, after: int, until: int) -> list[Frame]:
        return [
            self._quote(ms, state.bid, state.ask, state.sequence)
            for ms, state in self.market.quotes(after, until)
        ]

    def _quote(self, ms: int, bid: Row, ask: Row, sequence: int) -> Frame:
        row = {
            "asks": [_level(self.market, *ask)],
            "bids": [_level(self.market, *bid)],
            "ts": str(ms),
            "seqId": sequence,
        }
        return self._data(ms, [row])


class _Tickers(_Channel):
    """The rolling day, at every slot in which something was traded or quoted."""

    def opening(self, now: int) -> list[Frame]:
        ticker = ticker_row(self.market, now)
        return [] if ticker is None else [self._data(now, [ticker])]

    def frames(self, after: int, until: int) -> list[Frame]:
        return [
            frame
            for ms in multiples(SLOT, after, until)
            if self.market.quotes(ms - SLOT, ms)
            for frame in self.opening(ms)
        ]


class _Candles(_Channel):
    """The candle that is forming, once a second, and each candle once more when it is over."""

    def opening(self, now: int) -> list[Frame]:
        return self._candles(now, now)

    def frames(self, after: int, until: int) -> list[Frame]:
        seconds = multiples(SECOND, after, until)
        return [frame for ms in seconds for frame in self._candles(ms, ms - 1)]

    def _candles(self, ms: int, now: int) -> list[Frame]:
        grid = GRIDS[self.channel.removeprefix(_CANDLE)]
        bars = self.market.newest(grid, 1, 0, now + 1, now, filled=True)
        if not bars or bars[0].start != grid.floor(now):
            return []
        return [self._data(ms, [candle_row(self.market, grid, bars[0], ms)])]


class _AllTrades(TradeSubscription):
    """Every trade in a frame of its own."""

    def tell(self, trades: list[Trade]) -> list[Frame]:
        return [self._told_of(trade, trade_row(self.market, trade)) for trade in trades]

    def _told_of(self, last: Trade, row: dict[str, Any]) -> Frame:
        return self.frame(last.ms, {"arg": _argument(self), "data": [row]}, last.id)


class _Trades(_AllTrades):
    """Trades of one taker at one price as one."""

    def tell(self, trades: list[Trade]) -> list[Frame]:
        groups = groupby(trades, lambda trade: self.market.aggregate_of(trade.id))
        return [self._aggregate(list(group)) for _, group in groups]

    def _aggregate(self, group: list[Trade]) -> Frame:
        last = group[-1]
        total = sum(trade.amount for trade in group)
        row = trade_row(self.market, last._replace(amount=total))
        return self._told_of(last, {**row, "count": str(len(group))})


_Plain = type[_Channel] | type[_AllTrades]
_CHANNELS: dict[str, _Plain] = {
    "bbo-tbt": _Quotes,
    "tickers": _Tickers,
    "trades": _Trades,
    "trades-all": _AllTrades,
}


def generated(venue: Venue) -> Open:
    """Return what opens the channels of ``venue``."""
    listed = venue.ids(instrument_id)

    def opener(channel: str, instrument: str) -> Subscription | None:
        listing = listed.get(instrument)
        if listing is None:
            return None
        market, key = venue.market(listing), f"{channel}/{instrument}"
        if channel == "books":
            return _Books(channel, instrument, key, market, _DEPTH, trimmed=False)
        if channel == "books5":
            return _Books5(channel, instrument, key, market, _SHALLOW, trimmed=False)
        if channel.startswith(_CANDLE) and channel.removeprefix(_CANDLE) in GRIDS:
            return _Candles(channel, instrument, key, market)
        kind = _CHANNELS.get(channel)
        return None if kind is None else kind(channel, instrument, key, market)

    return opener


def checksum(market: Market, book: Book) -> int:
    """Return the signed CRC32 of the best 25 rows, bids and asks in turn, as OKX documents it."""
    parts = []
    for place in range(_SUMMED):
        for rows in (book.bids, book.asks):
            if place < len(rows):
                price, size = rows[place]
                parts.append(f"{price_text(market, price)}:{amount_text(market, size)}")
    found = crc32(":".join(parts).encode())
    return found - (1 << 32) if found >> 31 else found


def _level(market: Market, price: int, size: int) -> list[str]:
    orders = str(1 + size % 5) if size else "0"
    return [price_text(market, price), amount_text(market, size), "0", orders]


def _argument(of: Subscription) -> dict[str, str]:
    return {"channel": of.channel, "instId": of.symbol}


def _with(frame: Frame, fields: dict[str, Any]) -> Frame:
    data = {**frame.body["data"][0], **fields}
    return frame._replace(body={**frame.body, "data": [data]})
