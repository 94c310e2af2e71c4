"""Candles and trades over time: paging, windows, and the holes in between."""

from marketdata._history.pages import candles
from marketdata._history.tape import trades
from marketdata._history.windows import ticker_over

__all__ = ["candles", "ticker_over", "trades"]
