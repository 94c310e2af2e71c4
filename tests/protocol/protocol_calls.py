"""What the Inspector calls each tool with, in this order; on the simulator each has an answer."""

from __future__ import annotations

from typing import Any

__all__ = ["CALLS", "REFUSED", "WATCH"]

WATCH = "$watch"
"""Stands for the id that `watch_start` gave."""

CALLS: dict[str, dict[str, Any]] = {
    "list_exchanges": {"limit": 3},
    "list_pairs": {"base": "BTC"},
    "get_ticker": {"pair": "BTC/USDT"},
    "get_tickers": {"pairs": ["BTC/USDT", "ETH/USDT"]},
    "get_average_price": {"pair": "BTC/USDT"},
    "get_quote": {"pair": "BTC/USDT"},
    "get_orderbook": {"pair": "BTC/USDT", "depth": 5},
    "get_candles": {"pair": "BTC/USDT", "timeframe": "1h", "start": "-2d", "fill": "zero"},
    "get_trades": {"pair": "BTC/USDT", "limit": 5},
    "get_status": {},
    "get_fees": {"pair": "BTC/USDT"},
    "compare_exchanges": {"pair": "BTC/USDT", "exchanges": ["binance", "kraken"]},
    "get_consolidated_orderbook": {"pair": "BTC/USDT", "depth": 3},
    "get_execution_cost": {"pair": "BTC/USDT", "side": "buy", "amount": 1},
    "watch_start": {"kind": "ticker", "pair": "BTC/USDT"},
    "watch_read": {"watch": WATCH, "wait": True, "timeout": 5},
    "watch_list": {},
    "watch_stop": {"watch": WATCH},
    "get_usage": {},
}

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("get_ticker", {"pair": "NO/SUCH"}, "PAIR_NOT_SUPPORTED"),
    ("get_orderbook", {"pair": "BTC/USDT", "depth": 0}, "INVALID_PARAMETER"),
    ("get_quote", {}, "MISSING_PARAMETER"),
]
"""Calls that go wrong, and the code of their error."""
