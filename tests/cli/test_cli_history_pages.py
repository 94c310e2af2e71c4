"""Pages about stored candles, drawn from records made here."""

from datetime import UTC, datetime, timedelta

import pytest
from inside.shown import numbers

from marketdata import Damage, Downloaded, Interval, Plan, Progress, Series
from marketdata.models._display.stored import requested, summary
from marketdata_cli.live.progress import Board
from marketdata_cli.views.layout import breadth

START = datetime(2023, 1, 1, tzinfo=UTC)
END = datetime(2024, 1, 1, tzinfo=UTC)
BTC = {"exchange": "binance", "pair": "BTC/USDT", "timeframe": "1m"}
SATS = {"exchange": "coinbaseexchange", "pair": "1000SATS/USDT", "timeframe": "15m"}
REFUSED = {"code": "PAIR_NOT_SUPPORTED", "message": "binance has no such pair", "retryable": False}


def hole(minutes, bars, cause=None):
    start = START + timedelta(minutes=minutes)
    return Interval(start=start, end=start + timedelta(minutes=bars), bars=bars, cause=cause)


def series(**more):
    return Series(
        **{
            **BTC,
            "start": START,
            "end": END,
            "bars": 525_480,
            "missing": 120,
            "not_fetched": 0,
            "size": 14_312_345,
            "files": 3,
            "location": "/home/me/.local/share/marketdata/candles/binance/BTC-USDT/1m",
            **more,
        }
    )


def download(**more):
    told = {
        **BTC,
        "start": START,
        "end": END,
        "bars": 525_480,
        "fetched": 525_600,
        "seconds": 13.25,
    }
    return Downloaded(**{**told, **more})


HOLES = (hole(5, 3, "no_trades"), hole(50, 80, "outage"), hole(500, 37, "not_fetched"))
PAGES = {
    "Series": [
        series(),
        series(**SATS, bars=1_000, missing=0, not_fetched=9, size=999, simulated=True),
    ],
    "Downloaded": [
        download(holes=HOLES),
        download(**SATS, end=None, bars=0, fetched=0, error=REFUSED),
    ],
    "Plan": [
        Plan(**BTC, start=START, end=END, stored=1, wanted=525_599, requests=527, seconds=13.2),
        Plan(**SATS, start=START, end=END, stored=0, wanted=35_040, requests=118, seconds=11.8),
        Plan(**BTC, start=START, end=END, stored=0, wanted=9, requests=1, seconds=0.01),
    ],
    "Damage": [
        Damage(**BTC, problem="file_unreadable", path="2023-a.parquet", start=START, end=END),
        Damage(**SATS, problem="log_unreadable", simulated=True),
    ],
}


@pytest.mark.parametrize("width", [40, 60, 80, 140])
@pytest.mark.parametrize("kind", PAGES)
def test_no_line_is_wider_than_the_terminal(kind, width, draw):
    text = draw(PAGES[kind], kind, width, many=True)
    assert max(map(breadth, text.splitlines())) <= width, text
    assert all(line == line.rstrip() for line in text.splitlines()), text
    assert "coinbaseexchange 1000SATS/USDT 15m" in text


def test_series_have_range_rows_requested_and_size(draw):
    lines = draw(PAGES["Series"], "Series", 120, many=True).splitlines()
    assert lines[0] == "Stored candles"
    assert lines[1].split()[:5] == ["series", "from", "(UTC)", "to", "candles"]
    assert lines[2].split() == [
        *("binance", "BTC/USDT", "1m", "2023-01-01", "2024-01-01"),
        *("525,480", "120", "100%", "14.3", "MB", "3"),
    ]
    assert lines[3].split()[3:] == [
        *("simulated", "2023-01-01", "2024-01-01", "1,000", "–", "99.10%", "999", "B", "3")
    ]
    assert lines[-1] == "2 series, 526,480 candles, 14.3 MB"
    simulated = draw([series(simulated=True)], "Series", 120, many=True)
    assert simulated.startswith("Stored candles   SIMULATED\n")


def test_only_all_requested_is_100_percent():
    assert requested(series(bars=10_000_000, not_fetched=1)) == "99.99%"
    assert requested(series(bars=0, missing=0, not_fetched=1)) == "0.00%"
    assert requested(series(bars=0, missing=7)) == "100%"


def test_downloads_name_their_gaps(draw):
    text = draw(PAGES["Downloaded"], "Downloaded", 140, many=True)
    assert "bars" not in text
    assert "80 outage, 37 not fetched, 3 no trades" in text.splitlines()[2]
    assert text.splitlines()[3].endswith("PAIR_NOT_SUPPORTED")
    assert "now" in text.splitlines()[3].split()
    assert (
        "\nbinance BTC/USDT 1m misses 120 candles (80 outage, 37 not fetched, 3 no trades):" in text
    )
    assert "\n  2023-01-01 00:50 to 02:10 UTC, 80 candles, outage (80 min)\n" in text
    assert text.endswith("\n" + summary(PAGES["Downloaded"]) + "\n")
    assert summary(PAGES["Downloaded"]) == (
        "2 series, 525,480 candles and 120 missing (80 outage, 37 not fetched, 3 no trades), "
        "525,600 of them new, 1 failed"
    )
    whole = download(bars=1, fetched=0)
    assert summary([whole]) == "1 series, 1 candle, 0 of them new"
    assert "missing" not in draw([whole], "Downloaded", 140, many=True)
    since = download(start=START.replace(hour=1, minute=2, second=3, microsecond=456_000))
    assert " 2023-01-01 01:02:03  " in draw([since], "Downloaded", 140, many=True)


def test_plans_add_up_the_requests_of_one_exchange(draw):
    text = draw(PAGES["Plan"], "Plan", 120, many=True)
    assert text.endswith("\n560,648 candles to fetch in 646 requests, at least 13.2 s\n")


def test_damage_is_written_in_words(draw):
    text = draw(PAGES["Damage"], "Damage", 140, many=True)
    assert "unreadable file" in text
    assert "2023-a.parquet" in text
    assert "unreadable log" in text
    assert draw([], "Damage", many=True) == draw([], "Series", many=True) == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (14_312_345, "14.3 MB"),
        (2_500_000_000, "2.5 GB"),
        (7_000_000_000_000_000, "7,000.0 TB"),
    ],
)
def test_sizes(count, text):
    assert numbers.size(count) == text


def test_finished_progress_bars_make_room_for_others(monkeypatch):
    """Of many series the terminal shows those that are under way."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("LINES", "5")
    board = Board(drawn=True)
    with board:
        for number in range(20):
            told = {**BTC, "pair": f"C{number}/USDT", "total": 100}
            board(Progress(**told, done=40))
            board(Progress(**told, done=90))
            board(Progress(**told, done=100, finished=True))
    assert board.come == 20 * 60
    shown = [task.description for task in board._drawing.tasks]
    assert shown == [f"binance C{number}/USDT 1m" for number in range(16, 20)]
    assert all(task.finished for task in board._drawing.tasks)
