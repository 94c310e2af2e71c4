"""The rows, tickers and timeframes of OKX's answers."""

from __future__ import annotations

from typing import Any

from marketdata.sim.dialects.decimals import short
from marketdata.sim.markets.bars import DAY, HOUR, MINUTE, MONDAY, Bar, Grid, Trade, months
from marketdata.sim.markets.listings import Listing
from marketdata.sim.markets.market import Market

# Candles of six hours and more begin at midnight in Hong Kong unless their name ends in "utc".
_HONG_KONG = 8 * HOUR


def _grids() -> dict[str, Grid]:
    found = {f"{count}m": Grid(count * MINUTE) for count in (1, 3, 5, 15, 30)}
    found |= {f"{count}H": Grid(count * HOUR) for count in (1, 2, 4)}
    for suffix, offset in (("", -_HONG_KONG), ("utc", 0)):
        for name, step in (("6H", 6 * HOUR), ("12H", 12 * HOUR), ("1D", DAY), ("2D", 2 * DAY)):
            found[name + suffix] = Grid(step, offset % step)
        found["3D" + suffix] = Grid(3 * DAY, offset % (3 * DAY))
        found["1W" + suffix] = Grid(7 * DAY, MONDAY + offset)
        found["1M" + suffix] = months(1, offset)
        found["3M" + suffix] = months(3, offset)
    return found


GRIDS = _grids()


def instrument_id(listing: Listing) -> str:
    """Return the name of a pair at OKX."""
    return f"{listing.base}-{listing.quote}"


def price_text(market: Market, price: int) -> str:
    """Return a price as OKX writes it."""
    return short(price, market.price_scale)


def amount_text(market: Market, amount: int) -> str:
    """Return an amount as OKX writes it."""
    return short(amount, market.amount_scale)


def money_text(market: Market, quote: int) -> str:
    """Return a turnover as OKX writes it."""
    return short(quote, market.price_scale + market.amount_scale)


def trade_row(market: Market, trade: Trade) -> dict[str, Any]:
    """Return an entry of trades."""
    return {
        "instId": instrument_id(market.listing),
        "side": "buy" if trade.buy else "sell",
        "sz": amount_text(market, trade.amount),
        "source": "0",
        "px": price_text(market, trade.price),
        "tradeId": str(trade.id),
        "ts": str(trade.ms),
    }


def candle_row(market: Market, grid: Grid, bar: Bar, now: int) -> list[str]:
    """Return an entry of candles at ``now``."""
    money = money_text(market, bar.quote)
    return [
        str(bar.start),
        price_text(market, bar.open),
        price_text(market, bar.high),
        price_text(market, bar.low),
        price_text(market, bar.close),
        amount_text(market, bar.volume),
        money,
        money,
        "1" if grid.after(bar.start) <= now else "0",
    ]


def ticker_row(market: Market, now: int) -> dict[str, Any] | None:
    """Return an entry of tickers; None before the first trade."""
    last, book, bar = market.last_trade(now), market.book(now, 1), market.window(now - DAY, now)
    if last is None or book is None or bar is None:
        return None
    (bid, bid_size), (ask, ask_size) = book.bids[0], book.asks[0]
    opened = []
    for offset in (0, -_HONG_KONG):
        today = market.window(Grid(DAY, offset).floor(now), now)
        opened.append(today.open if today else bar.open)
    return {
        "instType": "SPOT",
        "instId": instrument_id(market.listing),
        "last": price_text(market, last.price),
        "lastSz": amount_text(market, last.amount),
        "askPx": price_text(market, ask),
        "askSz": amount_text(market, ask_size),
        "bidPx": price_text(market, bid),
        "bidSz": amount_text(market, bid_size),
        "open24h": price_text(market, bar.open),
        "high24h": price_text(market, bar.high),
        "low24h": price_text(market, bar.low),
        "volCcy24h": money_text(market, bar.quote),
        "vol24h": amount_text(market, bar.volume),
        "ts": str(now),
        "sodUtc0": price_text(market, opened[0]),
        "sodUtc8": price_text(market, opened[1]),
    }
