"""Made-up markets that are the same in every run: pictures of them are compared."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from marketdata.models import Candles, Interval, OrderBook
from marketdata.models.aggregates import (
    Best,
    BookSource,
    Comparison,
    ComparisonRow,
    ConsolidatedOrderBook,
)
from marketdata.models.columns import Columns

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 20, tzinfo=UTC)
LENGTHS = {"1m": 60, "1h": 3600, "1d": 86_400}


def opens(timeframe: str, count: int) -> list[datetime]:
    if timeframe == "1M":
        months = [divmod(index, 12) for index in range(count)]
        return [datetime(2018 + year, month + 1, 1, tzinfo=UTC) for year, month in months]
    step = timedelta(seconds=LENGTHS[timeframe])
    return [START + index * step for index in range(count)]


def candles(
    count: int = 120,
    *,
    timeframe: str = "1h",
    price: float = 60_000.0,
    decimals: int = 2,
    gaps: Sequence[tuple[int, int, str | None]] = (),
    pair: str = "BTC/USDT",
    phase: float = 0.0,
    forming: bool = True,
    exchange: str = "binance",
) -> Candles:
    times = opens(timeframe, count + 1)
    rows = []
    close = price
    for index in range(count):
        opened = close
        close = price * (1 + 0.05 * math.sin(index / 9 + phase) + 0.01 * math.sin(index * 1.7))
        wick = price * 0.004 * (1 + math.sin(index * 2.3))
        if not any(first <= index < last for first, last, _ in gaps):
            prices = (opened, max(opened, close) + wick, min(opened, close) - wick, close)
            volume = round(12 + 8 * math.sin(index * 0.9), 4)
            time = round(times[index].timestamp() * 1000)
            rows.append((time, *(round(one, decimals) for one in prices), volume, 40 + index))
    return Candles(
        exchange=exchange,
        pair=pair,
        timeframe=timeframe,
        source="candles",
        forming=forming and bool(rows),
        missing=tuple(
            Interval(start=times[first], end=times[last], bars=last - first, cause=cause)
            for first, last, cause in gaps
        ),
        columns=Columns.from_rows(rows),
        timestamp=NOW,
        received_at=NOW,
        simulated=True,
    )


GAPS = ((25, 45, "outage"), (70, 72, "no_trades"), (90, 100, "not_fetched"))


def _side(best: float, step: float, count: int) -> list[tuple[float, float]]:
    return [
        (round(best + index * step, 2), round(0.4 + 0.35 * math.sin(index * 1.3), 4))
        for index in range(count)
    ]


def book(count: int = 40) -> OrderBook:
    return OrderBook(
        exchange="kraken",
        pair="BTC/USDT",
        bids=tuple(_side(59_999.5, -1.5, count)),
        asks=tuple(_side(60_000.5, 1.5, count)),
        timestamp=NOW,
        received_at=NOW,
        simulated=True,
    )


def consolidated() -> ConsolidatedOrderBook:
    names = ("binance", "kraken", "okx")

    def levels(
        best: float, step: float
    ) -> tuple[tuple[float, float, tuple[tuple[str, float]]], ...]:
        return tuple(
            (price, size, ((names[index % 3], size),))
            for index, (price, size) in enumerate(_side(best, step, 45))
        )

    return ConsolidatedOrderBook(
        pair="BTC/USDT",
        timestamp=NOW,
        received_at=NOW,
        simulated=True,
        crossed=False,
        bids=levels(59_999.5, -1.0),
        asks=levels(60_000.5, 1.0),
        sources=(
            *(
                BookSource(name=name, exchange=name, pair="BTC/USDT", timestamp=NOW, age=0.1)
                for name in names
            ),
            BookSource(name="gate", exchange="gate", pair="BTC/USDT", code="EXCHANGE_UNAVAILABLE"),
        ),
    )


def comparison() -> Comparison:
    rows = [
        ComparisonRow(
            exchange=name,
            pair="BTC/USDT",
            bid=bid,
            ask=bid + spread,
            last=bid + spread / 2,
            spread=spread,
            spread_bps=10_000 * spread / bid,
            base_volume=1_234.5 + bid,
            timestamp=NOW,
        )
        for name, bid, spread in (
            ("binance", 60_001.0, 1.0),
            ("kraken", 59_998.5, 2.5),
            ("okx", 60_003.0, 0.5),
        )
    ]
    failed = ComparisonRow(
        exchange="gate", pair="BTC/USDT", code="EXCHANGE_UNAVAILABLE", message="No answer in time."
    )
    return Comparison(
        pair="BTC/USDT",
        timestamp=NOW,
        received_at=NOW,
        simulated=True,
        best_bid=Best(exchange="okx", pair="BTC/USDT", price=60_003.0),
        best_ask=Best(exchange="kraken", pair="BTC/USDT", price=60_001.0),
        spread=-2.0,
        spread_bps=-0.33,
        crossed=True,
        rows=(*rows, failed),
    )
