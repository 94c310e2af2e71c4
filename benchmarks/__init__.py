"""Compares the library with plain ccxt in the same run: ``python -m benchmarks``."""
