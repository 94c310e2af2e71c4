"""What tools and their arguments say of themselves: what each is for, what it is not for.

A model chooses by these texts, and pays for every word of every tool.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["PURPOSES", "argument"]

PURPOSES: Mapping[str, str] = {
    "list_exchanges": (
        "List the supported exchanges: which exchanges (venues) there are, their ids and what each "
        "can do: operations, timeframes, live streams, country."
    ),
    "list_pairs": (
        "List or search the spot pairs (markets, symbols, coins) of an exchange by base or quote "
        "currency, or find where a coin is listed (which exchange lists it). Also rules: tick "
        "size, lot step, minimum order size, notional; halted pairs, too. No prices."
    ),
    "get_ticker": (
        "Get the current price of one pair: the last (latest) price that it trades at, whether it "
        "is up or down, its daily (24-hour, today's or another window's) high, low, volume and "
        "percent change, gain. Several: get_tickers."
    ),
    "get_tickers": (
        "Rank pairs of one exchange by percent change or volume: today's top gainers, biggest "
        "losers, movers (rose or fell most), most traded, highest volume. Or get the tickers "
        "(24-hour tickers, prices) of several pairs at once. One pair on several exchanges: "
        "compare_exchanges."
    ),
    "get_average_price": (
        "Get the average (mean) price of a pair of recent minutes or hours: VWAP, "
        "volume-weighted. `source`: the exchange's own, of trades or of candles."
    ),
    "get_quote": (
        "Get only the best bid and best ask (offer) of a pair with sizes: its spread and mid "
        "price, the top of the book (BBO). Deeper: get_orderbook."
    ),
    "get_orderbook": (
        "Get the order book of a pair on one exchange: bids and asks level by level (level 2), how "
        "deep the book is, market depth, walls, liquidity. Levels are [price, size]. Merged: "
        "get_consolidated_orderbook."
    ),
    "get_candles": (
        "Get price history (historical prices) as candles: OHLCV bars, klines, chart data, open "
        "high low close by minute, hour, day, week or month; the newest or a range of dates, for "
        "trends, indicators (moving average), backtests. `forming`: the last candle is not closed; "
        "`missing`: where there are none."
    ),
    "get_chart": (
        "Draw a chart of candles with volume as a picture (PNG image) for a person to see. The "
        "numbers: get_candles."
    ),
    "get_trades": (
        "Get individual trades (executions, fills, prints, tick-by-tick tape, time and sales) of a "
        "pair: the latest, recent or last trades, or those since a time or trade id."
    ),
    "get_status": (
        "Check the status of an exchange: up or down, online, reachable, outage or in maintenance, "
        "how fast it responds (latency, response time), its clock difference."
    ),
    "get_fees": (
        "Get the trading fees of a pair on an exchange: maker and taker fee rates, commission, fee "
        "tiers. Of a certain order: get_execution_cost."
    ),
    "compare_exchanges": (
        "Compare one pair across exchanges: where it is cheapest or dearest, best venue to buy or "
        "sell, price differences between exchanges, arbitrage, tightest spread, volume. A row with "
        "`code` failed."
    ),
    "get_consolidated_orderbook": (
        "Merge several exchanges into one consolidated (combined, aggregated, merged) order book, "
        "bids and asks by source. Levels are [price, size, [[source, size], ...]]; `sources` with "
        "`code` failed."
    ),
    "get_execution_cost": (
        "Estimate the cost of a market order: what buying or selling an `amount` (or "
        "`quote_amount`) costs or brings, its slippage, price or market impact, fees, best split "
        "over exchanges. A simulation: nothing is ordered."
    ),
    "watch_start": (
        "Start to watch pairs live: stream, follow, track, monitor or subscribe in real-time, "
        "continuously. Unread for 10 minutes it stops."
    ),
    "watch_read": (
        "Read a watch: poll or wait for its next update, news since the last read: newest states, "
        "new trades [timeMs, price, amount, side, id] or candles; `unread` come next time."
    ),
    "watch_stop": "Stop a watch: end, cancel or unsubscribe from its stream, no more updates.",
    "watch_list": "List your watches: which watches are running (active, open), and their state.",
    "get_usage": (
        "Get your account's usage: tier, quota, limits, calls and units used, left or remaining."
    ),
}

_ARGUMENTS: Mapping[str, str] = {
    "exchange": "E.g. kraken.",
    "exchanges": "E.g. binance, kraken; else the defaults.",
    "pair": "E.g. BTC/USDT.",
    "pairs": "E.g. BTC/USDT, ETH/USDT.",
    "quotes": "Quote currencies taken at par with the pair's, e.g. USD, USDC.",
    "start": "From here on: ISO-8601, Unix ms or an age, e.g. 2024-01-31, -7d.",
    "end": "Up to here, exclusive, e.g. 2024-02-29.",
    "depth": "Levels a side, e.g. 10.",
    "limit": "Rows at most, e.g. 10.",
    "offset": "Rows to skip, e.g. 200.",
    "timeframe": "E.g. 1m, 4h, 1d; 1h otherwise, or what fits a long range.",
    "window": "E.g. 15m, 4h, 7d, or day: since 00:00 UTC.",
    "fill": "Fill candles where nobody traded, e.g. previous.",
    "base": "Base currency, e.g. BTC.",
    "quote": "Quote currency, e.g. USDT.",
    "search": "Part of a name, e.g. PEPE; without exchange, on all that are known.",
    "active": "False: halted pairs.",
    "from_id": "From this trade id on, e.g. 28457.",
    "aggregate": "Merge the fills of one order.",
    "side": "E.g. buy.",
    "amount": "In base currency, e.g. 0.5.",
    "quote_amount": "Instead, in quote currency with fees, e.g. 10000.",
    "sort": "Highest first, e.g. percentage; or quoteVolume, baseVolume, last, trades.",
    "ascending": "Lowest first, e.g. true for losers.",
    "min_quote_volume": "24-hour volume in quote currency at least, e.g. 1000000.",
    "columns": "E.g. time, close; else all but trades.",
    "watch": "Id from watch_start, e.g. w1.",
    "wait": "Wait for news.",
    "timeout": "Seconds to wait, e.g. 25.",
    "cursor": "From a `next`, e.g. 17; else behind the last read.",
    "kind": "E.g. ticker.",
}

_OF_TOOL: Mapping[tuple[str, str], str] = {
    ("get_average_price", "window"): "1m to 59m or 1h to 24h, e.g. 1h.",
    ("get_candles", "limit"): "E.g. 24; else the newest 100, or 500 of a range.",
    ("get_tickers", "limit"): "E.g. 10; else all named pairs, or 20.",
    ("watch_start", "depth"): "Of orderbook: levels a side, e.g. 5; else 20.",
    ("watch_start", "timeframe"): "Of candles: e.g. 5m; else 1m.",
    ("watch_read", "limit"): "Trades, or candles a pair, e.g. 50.",
}


def argument(tool: str, name: str, otherwise: str) -> str:
    """Return what an argument says of itself; `otherwise` where nothing shorter is known."""
    return _OF_TOOL.get((tool, name)) or _ARGUMENTS.get(name, otherwise)
