"""Candles and trades over time: requests, the store, assembly of pages, resampling."""
