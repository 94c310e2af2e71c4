"""What tools and their arguments say of themselves: what each is for, what it is not for.

A model chooses by these texts, and pays for every word of every tool.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["PURPOSES", "argument"]

PURPOSES: Mapping[str, str] = {
    "list_exchanges": (
        "List the supported exchanges (venues) and what each can do: operations, timeframes, "
        "live streams, countries. For pairs of an exchange: list_pairs."
    ),
    "list_pairs": (
        "Find which spot pairs (markets, symbols, coins) an exchange lists, with trading rules: "
        "tick size, lot step, minimum order size, halted or active. Search where a coin is listed. "
        "No prices."
    ),
    "get_ticker": (
        "Get the price of one pair now: last price, with high, low, volume and percent change of "
        "the last 24 hours, another window or today. Several pairs: get_tickers."
    ),
    "get_tickers": (
        "Rank the pairs of an exchange: top gainers, losers, movers, most traded, highest volume; "
        "or get 24-hour tickers (prices) of several named pairs at once. Not for one pair on "
        "several exchanges: compare_exchanges."
    ),
    "get_average_price": (
        "Get the average price (VWAP, volume-weighted) of a pair over the last minutes or hours; "
        "`source` says whether it is the exchange's own, of trades or of candles."
    ),
    "get_quote": (
        "Get only the best bid and best ask of a pair with their sizes, for the spread or mid "
        "price (top of book, BBO). Deeper levels: get_orderbook."
    ),
    "get_orderbook": (
        "Get the order book (depth, bids and asks level by level, walls, liquidity) of a pair on "
        "one exchange. Levels are [price, size]. Several exchanges in one book: "
        "get_consolidated_orderbook."
    ),
    "get_candles": (
        "Get price history as candles (OHLCV bars, klines, chart data), oldest first: the newest, "
        "or a range of dates, for trends, indicators, backtests. `forming`: the last candle is "
        "still open; `missing`: where there are none."
    ),
    "get_trades": (
        "Get individual trades (executions, fills, prints, tape, time and sales) of a pair: the "
        "latest, or those from a time or trade id on. Bars: get_candles."
    ),
    "get_status": (
        "Check whether an exchange is up: online, down or in maintenance, its latency (response "
        "time) and clock difference."
    ),
    "get_fees": (
        "Get the trading fees (maker and taker commission rates, fee tiers) of a pair on one "
        "exchange. Fees of a certain order: get_execution_cost."
    ),
    "compare_exchanges": (
        "Compare one pair across several exchanges: where it is cheapest or dearest, price "
        "differences, arbitrage, tightest spread, volume, best venue. A row with `code` failed."
    ),
    "get_consolidated_orderbook": (
        "Merge the order books of several exchanges into one aggregated (combined, consolidated) "
        "book. Levels are [price, size, [[source, size], ...]]; `sources` with `code` failed."
    ),
    "get_execution_cost": (
        "Estimate what a market order would cost or bring: buy or sell an `amount` (or "
        "`quote_amount`) now, with slippage, price impact, fees, split over exchanges. Simulation: "
        "nothing is ordered."
    ),
    "watch_start": (
        "Start to watch pairs live: stream, follow, monitor or subscribe to real-time updates. "
        "Then read them by watch_read. Unread for 10 minutes it stops."
    ),
    "watch_read": (
        "Read what is new of a watch that watch_start began, wait for the next update: newest "
        "states, new trades [timeMs, price, amount, side, id] or candles; what is `unread` comes "
        "next time."
    ),
    "watch_stop": "Stop a watch: end, cancel or unsubscribe from its live updates.",
    "watch_list": "List your running watches, which are active or open, and how they are doing.",
    "get_usage": (
        "Get your own account's tier, quota and limits: calls and units used and left (remaining)."
    ),
}

_ARGUMENTS: Mapping[str, str] = {
    "exchange": "Exchange id, e.g. kraken.",
    "exchanges": "Exchange ids, e.g. binance, kraken; the defaults otherwise.",
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
    """Give what an argument says of itself; `otherwise` where nothing shorter is known."""
    return _OF_TOOL.get((tool, name)) or _ARGUMENTS.get(name, otherwise)
