"""The rows and tickers of Binance's answers."""

from __future__ import annotations

from typing import Any

from marketdata.sim.dialects.decimals import fixed, ratio
from marketdata.sim.markets.bars import DAY, HOUR, MINUTE, MONDAY, SECOND, Bar, Grid, Trade, months
from marketdata.sim.markets.listings import Listing
from marketdata.sim.markets.market import Market

_STEPS = {
    "1s": SECOND,
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
    "3d": 3 * DAY,
}


def grid_of(name: str, offset: int = 0) -> Grid | None:
    """Return where the candles of an interval begin, None where there is no such interval."""
    if name in _STEPS:
        return Grid(_STEPS[name], offset % _STEPS[name])
    if name == "1w":
        return Grid(7 * DAY, MONDAY + offset)
    return months(1, offset) if name == "1M" else None


def symbol_of(listing: Listing) -> str:
    """Return the name of a pair at Binance."""
    return listing.base + listing.quote


def price_text(market: Market, price: int) -> str:
    """Return a price as Binance writes it."""
    return fixed(price, market.price_scale, 8)


def amount_text(market: Market, amount: int) -> str:
    """Return an amount as Binance writes it."""
    return fixed(amount, market.amount_scale, 8)


def money_text(market: Market, quote: int) -> str:
    """Return a turnover as Binance writes it."""
    return fixed(quote, market.price_scale + market.amount_scale, 8)


def mean_text(market: Market, bar: Bar) -> str:
    """Return the average price of a candle, the close of one without trades."""
    if not bar.volume:
        return price_text(market, bar.close)
    return ratio(bar.quote, bar.volume * 10**market.price_scale, 8)


def trade_row(market: Market, trade: Trade) -> dict[str, Any]:
    """Return an entry of trades and historicalTrades."""
    return {
        "id": trade.id,
        "price": price_text(market, trade.price),
        "qty": amount_text(market, trade.amount),
        "quoteQty": money_text(market, trade.price * trade.amount),
        "time": trade.ms,
        "isBuyerMaker": not trade.buy,
        "isBestMatch": True,
    }


def aggregate_rows(market: Market, trades: list[Trade]) -> list[dict[str, Any]]:
    """Return the entries of aggTrades for trades, oldest first."""
    groups: dict[int, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(market.aggregate_of(trade.id), []).append(trade)
    return [
        {
            "a": number,
            "p": price_text(market, group[0].price),
            "q": amount_text(market, sum(trade.amount for trade in group)),
            "f": group[0].id,
            "l": group[-1].id,
            "T": group[0].ms,
            "m": not group[0].buy,
            "M": True,
        }
        for number, group in groups.items()
    ]


def kline_row(market: Market, grid: Grid, bar: Bar) -> list[Any]:
    """Return an entry of klines."""
    return [
        bar.start,
        price_text(market, bar.open),
        price_text(market, bar.high),
        price_text(market, bar.low),
        price_text(market, bar.close),
        amount_text(market, bar.volume),
        grid.after(bar.start) - 1,
        money_text(market, bar.quote),
        bar.trades,
        amount_text(market, bar.volume // 2),
        money_text(market, bar.quote // 2),
        "0",
    ]


def window_ticker(
    market: Market, start: int, now: int, kind: str, close: int | None = None
) -> dict[str, Any] | None:
    """Return the ticker of a window, FULL or MINI; None before the first trade.

    The window ends at ``close``, or at ``now`` where that is None.
    """
    bar = market.window(start, now)
    if bar is None:
        return None
    change = bar.close - bar.open
    full = {
        "priceChange": price_text(market, change),
        "priceChangePercent": ratio(100 * change, bar.open, 3),
        "weightedAvgPrice": mean_text(market, bar),
    }
    return {
        "symbol": symbol_of(market.listing),
        **(full if kind == "FULL" else {}),
        "openPrice": price_text(market, bar.open),
        "highPrice": price_text(market, bar.high),
        "lowPrice": price_text(market, bar.low),
        "lastPrice": price_text(market, bar.close),
        "volume": amount_text(market, bar.volume),
        "quoteVolume": money_text(market, bar.quote),
        "openTime": start,
        "closeTime": now if close is None else close,
        "firstId": bar.first_id,
        "lastId": bar.last_id,
        "count": bar.trades,
    }


def day_ticker(market: Market, now: int, kind: str) -> dict[str, Any] | None:
    """Return the entry of ticker/24hr; None before the first trade."""
    found = window_ticker(market, now - DAY, now, kind)
    if found is None or kind == "MINI":
        return found
    last = market.last_trade(now)
    before = market.last_trade(now - DAY - 1)
    quote = best_quote(market, now)
    if last is None or quote is None:
        return None
    return {
        **found,
        "prevClosePrice": price_text(market, before.price) if before else found["openPrice"],
        "lastQty": amount_text(market, last.amount),
        **quote,
    }


def last_price(market: Market, now: int) -> dict[str, Any] | None:
    """Return the entry of ticker/price; None before the first trade."""
    last = market.last_trade(now)
    if last is None:
        return None
    return {"symbol": symbol_of(market.listing), "price": price_text(market, last.price)}


def best_quote(market: Market, now: int) -> dict[str, Any] | None:
    """Return the entry of ticker/bookTicker; None before the first trade."""
    book = market.book(now, 1)
    if book is None:
        return None
    (bid, bid_size), (ask, ask_size) = book.bids[0], book.asks[0]
    return {
        "symbol": symbol_of(market.listing),
        "bidPrice": price_text(market, bid),
        "bidQty": amount_text(market, bid_size),
        "askPrice": price_text(market, ask),
        "askQty": amount_text(market, ask_size),
    }
