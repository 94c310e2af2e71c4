"""Stored candles, table by table, without the client that keeps them."""

from marketdata._candles.store import SeriesName, Store
from marketdata._candles.table import SeriesTable
from marketdata._candles.verify import findings

__all__ = ["SeriesName", "SeriesTable", "Store", "findings"]
