"""The page of candles with gaps, filled candles or resampled ones."""

from datetime import UTC, datetime, timedelta

import pytest

from marketdata.models import Candles, Columns, Interval
from marketdata_cli.views.layout import breadth

START = datetime(2024, 2, 28, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def rows(count, *, without=(), price=100.0, step=MINUTE):
    return [
        (
            round((START + index * step).timestamp() * 1000),
            price + index % 7,
            price + index % 7 + 2,
            price + index % 7 - 1,
            price + index % 7 + 1,
            float(1 + index % 5),
            index % 3,
        )
        for index in range(count)
        if not any(first <= index < end for first, end in without)
    ]


def hole(first, end, cause=None, step=MINUTE):
    return Interval(
        start=START + first * step, end=START + end * step, bars=end - first, cause=cause
    )


def candles(bars, missing=(), filled=None, **more):
    told = {"source": "candles", "forming": False, "timeframe": "1m", **more}
    return Candles(
        exchange="binance",
        pair="BTC/USDT",
        timestamp=START,
        received_at=START,
        missing=tuple(missing),
        filled=filled,
        candles=Columns.from_rows(bars),
        **told,
    )


def test_page_gives_the_cause_of_missing_bars(draw):
    holes = [hole(10, 40, "outage"), hole(60, 61, "no_trades"), hole(70, 72)]
    bars = rows(100, without=[(10, 40), (60, 61), (70, 72)])
    text = draw(candles(bars, holes), "Candles", 100)
    assert "Missing 33 candles (30 outage, 2 unexplained, 1 no trades):\n" in text
    assert "  2024-02-28 00:10 to 00:40 UTC, 30 candles, outage (30 min)\n" in text
    assert "  2024-02-28 01:00 to 01:01 UTC, 1 candle, no trades\n" in text
    assert "  2024-02-28 01:10 to 01:12 UTC, 2 candles (2 min)\n" in text


def test_a_single_cause_is_written_once(draw):
    holes = [hole(at, at + 1, "no_trades") for at in range(10, 80, 10)]
    text = draw(
        candles(rows(100, without=[(at, at + 1) for at in range(10, 80, 10)]), holes), "Candles"
    )
    assert "Missing 7 candles (no trades):\n" in text
    assert text.count("no trades") == 1
    assert "  and 2 shorter\n" in text


@pytest.mark.parametrize("how", ["zero", "previous"])
def test_filled_bars_are_counted_and_not_drawn(how, draw):
    bars = rows(60, without=[(50, 60)])
    flat = 0.0 if how == "zero" else 103.0
    stamp = [round((START + index * MINUTE).timestamp() * 1000) for index in range(50, 60)]
    made = [(time, flat, flat, flat, flat, 0.0, 0) for time in stamp]
    gap = hole(50, 60, "no_trades")
    text = draw(candles([*bars, *made], filled=(gap,)), "Candles", 120)
    assert "\n60 candles, 2024-02-28 00:00 to 00:59 UTC\n" in text
    assert "Filled 10 candles (no trades):\n" in text
    assert sum(line.endswith("  filled") for line in text.splitlines()) == 10
    chart = text.partition("\ntime (UTC)")[0].splitlines()
    prices = [line.split()[-1].lstrip("◂") for line in chart[2:-3] if line[-1].isdigit()]
    assert prices, text
    assert all(99 <= float(price) <= 109 for price in prices), text


def test_only_filled_bars_draw_no_chart(draw):
    stamp = round(START.timestamp() * 1000)
    text = draw(candles([(stamp, 0.0, 0.0, 0.0, 0.0, 0.0, 0)], filled=(hole(0, 1),)), "Candles")
    assert "volume" in text.splitlines()[2]
    assert "Filled 1 candle:" in text


def test_page_names_the_source_of_resampled_bars(draw):
    made = candles(rows(5), resampled_from="1m")
    assert draw(made, "Candles").endswith("old, resampled from 1m candles\n")
    assert draw(candles(rows(5), source="trades"), "Candles").endswith("old, made from trades\n")


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_a_year_with_gaps_fits_any_width(width, draw):
    step, days = timedelta(hours=1), 366
    gaps = [(at, at + 3) for at in range(100, 7_000, 24)] + [(8_100, 8_700)]
    holes = [hole(*gap, cause="no_trades", step=step) for gap in gaps]
    bars = rows(days * 24, without=gaps, price=60_000.0, step=step)
    text = draw(candles(bars, holes, timeframe="1h"), "Candles", width)
    assert max(map(breadth, text.splitlines())) <= width, text
    assert "· marks gaps." in text
    assert "  2025-01-30 12:00 to 2025-02-24 12:00" in text


def test_a_missing_bar_leaves_its_column_empty(draw):
    """Two bars an hour apart are not neighbours."""
    bars = [row for index, row in enumerate(rows(61)) if index in (0, 60)]
    text = draw(candles(bars, [hole(1, 60, "no_trades")]), "Candles", 100)
    volumes = next(line for line in text.splitlines() if line.endswith(" volume"))
    assert volumes.count("·") == 59
