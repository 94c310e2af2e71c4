"""Candles and trades over time: paging, windows, and the holes in between."""

from marketdata.history.pages import candles
from marketdata.history.tape import trades
from marketdata.history.windows import ticker_over

__all__ = ["candles", "ticker_over", "trades"]
