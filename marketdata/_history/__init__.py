"""Candles and trades over time: what is stored, fetched, missing and made from what."""

from marketdata._history.ranges import Keep, Question, bars, candles, is_stored, stored
from marketdata._history.tape import check as check_trades
from marketdata._history.tape import trades
from marketdata._history.windows import check_window, ticker_over, tickers

__all__ = [
    "Keep",
    "Question",
    "bars",
    "candles",
    "check_trades",
    "check_window",
    "is_stored",
    "stored",
    "ticker_over",
    "tickers",
    "trades",
]
