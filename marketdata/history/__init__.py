"""Candles and trades over time: paging, windows, and the holes in between."""
