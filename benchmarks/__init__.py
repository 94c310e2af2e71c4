"""What the library costs beside plain ccxt, measured in one run: ``python -m benchmarks``."""
