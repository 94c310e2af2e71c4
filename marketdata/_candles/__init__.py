"""Candles and trades over time: requested, stored, put together, resampled."""
