"""Two days of 1m candles of two pairs: plan, download, check, read with polars, resample."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

import marketdata as md

PAIRS = ["BTC/USDT", "LTC/BTC"]
END = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
START = END - timedelta(days=2)


def main() -> None:
    client = md.Client("coinbaseexchange")
    for plan in client.history.plan(PAIRS, "1m", start=START, end=END):
        print(f"{plan.pair}: {plan.wanted} candles in {plan.requests} requests")

    for series in client.history.download(PAIRS, "1m", start=START, end=END):
        if series.error is not None:
            raise SystemExit(series.error["message"])
        causes: Counter[str | None] = Counter()
        for gap in series.holes:
            causes[gap.cause] += gap.bars
        print(f"{series.pair}: {series.bars} candles are stored, missing: {dict(causes)}")
    assert not client.history.verify()

    # Each series is a Delta table. Rows without prices are gaps, with their `cause`.
    [stored] = client.history.list(["BTC/USDT"], "1m")
    rows = pl.read_delta(stored.location).filter(pl.col("open").is_not_null())
    print(f"polars reads {rows.height} candles from {rows['time'].min()!s} on")

    # Stored candles need no request; timeframes that the exchange lacks are resampled from them.
    hours = client.candles("BTC/USDT", "45m", start=START, end=END)
    print(f"{len(hours)} candles of 45m, resampled from {hours.resampled_from}")

    with TemporaryDirectory() as folder:
        file = client.history.export(Path(folder) / "btc.csv", "BTC/USDT", "1m", start=START)
        print(f"{file.name}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
