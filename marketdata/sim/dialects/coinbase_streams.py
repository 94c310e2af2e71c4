"""Coinbase Exchange's channels, as `ccxt.pro.coinbaseexchange` subscribes to them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from marketdata.sim.dialects.coinbase_rows import amount_text, price_text, product_id
from marketdata.sim.dialects.coinbase_session import Open
from marketdata.sim.dialects.dialect import Venue
from marketdata.sim.dialects.times import iso
from marketdata.sim.markets.bars import DAY, SECOND, Trade
from marketdata.sim.markets.levels import SLOT, Row
from marketdata.sim.markets.market import Market
from marketdata.sim.sockets.streams import Frame, Subscription, TradeSubscription, multiples

_ALL_ROWS = 20_000


class _Level2(Subscription):
    """The whole book, and every change of it by the slot."""

    def __init__(self, channel: str, symbol: str, key: str, market: Market) -> None:
        super().__init__(channel, symbol, key)
        self._market = market
        self._told = 0

    def opening(self, now: int) -> list[Frame]:
        self._told = now
        book = self._market.book(now, _ALL_ROWS)
        body = {
            "type": "snapshot",
            "product_id": self.symbol,
            "asks": self._rows(book.asks if book else []),
            "bids": self._rows(book.bids if book else []),
            "time": iso(now * 1000),
        }
        return [self.frame(now, body)]

    def frames(self, after: int, until: int) -> list[Frame]:
        found = []
        for ms in multiples(SLOT, after, until):
            changes = self._market.book_changes(max(self._told, ms - SLOT), ms)
            if changes is not None:
                rows = [["sell", *row] for row in self._rows(changes.asks)]
                rows += [["buy", *row] for row in self._rows(changes.bids)]
                found.append(self._update(ms, rows))
        return found

    def flood(self, frame: Frame, count: int) -> list[Frame]:
        """Say again, and again, what one level holds."""
        rows = frame.body.get("changes")
        small = self._update(frame.ms, rows[:1]) if rows else frame
        return [frame, *[small] * count]

    def stray(self, frame: Frame) -> Frame:
        """Bid far more than is asked."""
        state = self._market.book_state(frame.ms)
        if state is None or "changes" not in frame.body:
            return frame
        stray = ["buy", *self._rows([(state.ask[0] * 2, state.ask[1])])[0]]
        return self._update(frame.ms, [stray, *frame.body["changes"]])

    def _update(self, ms: int, rows: list[list[str]]) -> Frame:
        body = {"type": "l2update", "product_id": self.symbol, "changes": rows}
        return self.frame(ms, {**body, "time": iso(ms * 1000)})

    def _rows(self, rows: list[Row]) -> list[list[str]]:
        market = self._market
        return [[price_text(market, price), amount_text(market, size)] for price, size in rows]


class _Matches(TradeSubscription):
    def opening(self, now: int) -> list[Frame]:
        """Send the newest trade."""
        last = self.market.last_trade(now)
        return [] if last is None else [self.frame(now, self._match("last_match", last))]

    def tell(self, trades: list[Trade]) -> list[Frame]:
        return [self.frame(trade.ms, self._match("match", trade), trade.id) for trade in trades]

    def _match(self, kind: str, trade: Trade) -> dict[str, Any]:
        return {
            "type": kind,
            "trade_id": trade.id,
            "maker_order_id": str(UUID(int=(trade.id << 64) + 1)),
            "taker_order_id": str(UUID(int=(trade.id << 64) + 2)),
            # Coinbase tells the side of the maker.
            "side": "sell" if trade.buy else "buy",
            "size": amount_text(self.market, trade.amount),
            "price": price_text(self.market, trade.price),
            "product_id": self.symbol,
            "sequence": _sequence(self.market, trade.ms),
            "time": iso(trade.nanos // 1000),
        }


class _Ticker(TradeSubscription):
    """The rolling day with every trade."""

    def opening(self, now: int) -> list[Frame]:
        last = self.market.last_trade(now)
        return [] if last is None else [self._ticker(now, last)]

    def tell(self, trades: list[Trade]) -> list[Frame]:
        return [self._ticker(trade.ms, trade) for trade in trades]

    def flood(self, frame: Frame, count: int) -> list[Frame]:
        """Repeat the ticker."""
        return [frame] * (count + 1)

    def _ticker(self, ms: int, trade: Trade) -> Frame:
        market = self.market
        day, month = market.window(ms - DAY, ms), market.window(ms - 30 * DAY, ms)
        book = market.book(ms, 1)
        body: dict[str, Any] = {
            "type": "ticker",
            "sequence": _sequence(market, ms),
            "product_id": self.symbol,
            "price": price_text(market, trade.price),
        }
        if day and month and book and book.bids:
            (bid, bid_size), (ask, ask_size) = book.bids[0], book.asks[0]
            body |= {
                "open_24h": price_text(market, day.open),
                "volume_24h": amount_text(market, day.volume),
                "low_24h": price_text(market, day.low),
                "high_24h": price_text(market, day.high),
                "volume_30d": amount_text(market, month.volume),
                "best_bid": price_text(market, bid),
                "best_bid_size": amount_text(market, bid_size),
                "best_ask": price_text(market, ask),
                "best_ask_size": amount_text(market, ask_size),
            }
        body |= {
            "side": "buy" if trade.buy else "sell",
            "time": iso(trade.nanos // 1000),
            "trade_id": trade.id,
            "last_size": amount_text(market, trade.amount),
        }
        return self.frame(ms, body, trade.id)


class _Heartbeat(Subscription):
    """A sign of life every second, with the newest trade's id."""

    def __init__(self, channel: str, symbol: str, key: str, market: Market) -> None:
        super().__init__(channel, symbol, key)
        self._market = market

    def frames(self, after: int, until: int) -> list[Frame]:
        return [self._beat(ms) for ms in multiples(SECOND, after, until)]

    def _beat(self, ms: int) -> Frame:
        last = self._market.last_trade(ms)
        body = {
            "type": "heartbeat",
            "last_trade_id": last.id if last else 0,
            "product_id": self.symbol,
            "sequence": _sequence(self._market, ms),
            "time": iso(ms * 1000),
        }
        return self.frame(ms, body)


_Channel = type[_Level2] | type[_Matches] | type[_Ticker] | type[_Heartbeat]
_CHANNELS: dict[str, _Channel] = {
    "heartbeat": _Heartbeat,
    "level2": _Level2,
    "level2_batch": _Level2,
    "matches": _Matches,
    "ticker": _Ticker,
}


def generated(venue: Venue) -> Open:
    """Return what opens the channels of ``venue``."""
    listed = venue.ids(product_id)

    def opener(channel: str, product: str) -> Subscription | None:
        listing = listed.get(product)
        if listing is None:
            return None
        return _CHANNELS[channel](channel, product, f"{channel}/{product}", venue.market(listing))

    return opener


def _sequence(market: Market, ms: int) -> int:
    state = market.book_state(ms)
    return state.sequence if state else 0
