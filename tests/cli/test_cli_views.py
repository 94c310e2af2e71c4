"""Pictures of live data, drawn from records made here."""

from datetime import UTC, datetime, timedelta

import pytest
from inside.shown import DOWN, UP, WARNING

from marketdata.models import Candles, Columns, OrderBook, Quote, Stream, Ticker, Trade
from marketdata_cli.live.views import VIEWS
from marketdata_cli.views.layout import Screen, beside, length

NOW = datetime(2024, 3, 1, 12, 0, 0, tzinfo=UTC)
START = 1_709_251_200_000  # 2024-03-01 00:00
MINUTE = 60_000


def stream(kind, exchange="binance", pair="BTC/USDT", state="live", **more):
    counts = dict.fromkeys(
        ("messages", "updates", "dropped", "gaps", "resyncs", "reconnects", "unreadable"), 0
    )
    fields = {"exchange": exchange, "kind": kind, "pair": pair, "state": state, **counts, **more}
    return Stream(watchers=1, memory=0, **fields)


def sourced(exchange="binance", pair="BTC/USDT", age=0.5, **more):
    received = NOW - timedelta(seconds=age)
    return {
        "exchange": exchange,
        "pair": pair,
        "timestamp": received,
        "received_at": received,
        **more,
    }


def ticker(last=100.5, **more):
    return Ticker(
        **sourced(window="24h", source="ticker", **more),
        last=last,
        bid=100.4,
        ask=100.65,
        high=110,
        low=90,
        percentage=-1.234,
        base_volume=12.5,
    )


def book(levels=3, **more):
    bids = [(100 - step, 1 + step) for step in range(levels)]
    asks = [(101 + step, 2 + step) for step in range(levels)]
    return OrderBook(**sourced(**more), bids=bids, asks=asks)


def trade(number=1, **more):
    return Trade(**sourced(**more), id=str(number), price=100 + number, amount=0.5, side="buy")


def bars(first, count, *, close=100.0, **more):
    times = [START + (first + index) * MINUTE for index in range(count)]
    closes = [close + index for index in range(count)]
    lists = [closes, [one + 1 for one in closes], [one - 1 for one in closes], closes]
    return Candles(
        **sourced(timeframe="1m", source="candles", **more),
        forming=True,
        missing=(),
        candles=Columns(times, *lists, [1.0] * count),
    )


def screen(width=100, height=24, colour=True):
    return Screen(width, height, colour, NOW)


def text(lines):
    return ["".join(part for part, _ in line).rstrip() for line in lines]


def style(lines, wanted):
    """The style of the first span that holds a text."""
    return next(name for line in lines for part, name in line if wanted in part)


def test_tickers_have_a_row_for_each_stream_in_the_requested_order():
    view = VIEWS["Ticker"]()
    subjects = [stream("ticker"), stream("ticker", "kraken"), stream("ticker", pair="ETH/USDT")]
    view.take([ticker(exchange="kraken", age=75), ticker(simulated=True)])
    title, head, *rows = text(view.lines(subjects, screen()))
    assert title == "Tickers  binance, kraken"
    assert head.split() == [
        *("pair", "exchange", "last", "change", "bid", "ask", "spread", "high", "low"),
        *("base", "volume", "age"),
    ]
    assert rows[0].split()[:2] == ["BTC/USDT", "binance"]
    assert rows[0].endswith(
        " 100.50  -1.23%  100.40  100.65    0.25  110.00  90.00         12.5   0.5 s"
    )
    assert rows[1].split()[:2] == ["BTC/USDT", "kraken"]
    assert rows[1].endswith(" 75.0 s")
    assert rows[2].split()[:2] == ["ETH/USDT", "binance"]


def test_the_colour_of_the_last_price_shows_its_direction():
    view = VIEWS["Ticker"]()
    view.take([ticker(100.0)])
    subjects = [stream("ticker")]
    assert style(view.lines(subjects, screen()), "100.00") == ""
    for price, colour in ((101.0, UP), (101.0, UP), (99.5, DOWN)):
        view.take([ticker(price)])
        assert style(view.lines(subjects, screen()), f"{price:.2f}") == colour


@pytest.mark.parametrize(
    ("state", "fresh_for", "mark"),
    [
        ("live", None, None),
        ("live", 5.0, None),
        ("live", 0.2, "stale"),
        ("stale", 5.0, "stale"),
        ("reconnecting", 5.0, "reconnecting"),
        ("resyncing", None, "resyncing"),
    ],
)
@pytest.mark.parametrize("kind", ["ticker", "orderbook"])
def test_possibly_old_records_are_marked(kind, state, fresh_for, mark):
    record = {"ticker": ticker, "orderbook": book}[kind](fresh_for=fresh_for)
    view = VIEWS[type(record).__name__]()
    view.take([record])
    lines = view.lines([stream(kind, state=state)], screen())
    marks = [part.strip() for line in lines for part, name in line if name == WARNING]
    assert [one for one in marks if one] == ([mark] if mark else [])


def test_quotes_are_shown_with_sizes_and_spread():
    view = VIEWS["Quote"]()
    view.take([Quote(**sourced(source="quote"), bid=10.1, bid_volume=2, ask=10.35, ask_volume=3)])
    lines = text(view.lines([stream("quote"), stream("quote", pair="ETH/USDT")], screen()))
    assert lines[0] == "Quotes  binance"
    assert lines[2].split() == ["BTC/USDT", "2", "10.10", "10.35", "3", "0.25", "0.5", "s"]
    assert lines[3].split()[0] == "ETH/USDT"


def test_one_side_of_a_quote_may_be_missing():
    view = VIEWS["Quote"]()
    view.take([Quote(**sourced(source="quote"), bid=10.1)])
    assert "10.1" in text(view.lines([stream("quote")], screen()))[2]


def test_books_are_side_by_side_or_below_each_other():
    view = VIEWS["OrderBook"]()
    view.take([book(30), book(30, pair="ETH/USDT")])
    subjects = [stream("orderbook"), stream("orderbook", pair="ETH/USDT")]
    for width, rows, levels in ((100, 1, 12), (60, 2, 5)):
        lines = view.lines(subjects, screen(width, 30))
        assert len(lines) <= 30
        titles = [line for line in text(lines) if "order book" in line]
        assert len(titles) == rows
        assert max(map(length, lines)) <= width
        assert sum("spread 1 " in line for line in text(lines)) == len(titles)
        assert all(f"best {levels} of 30" in line for line in titles)
        assert len(lines) == rows * (2 * levels + 4) + rows - 1


def test_a_book_that_has_not_arrived_says_so():
    lines = VIEWS["OrderBook"]().lines([stream("orderbook", state="connecting")], screen())
    assert text(lines) == ["BTC/USDT  binance", "connecting"]


def test_the_newest_trades_are_at_the_bottom():
    view = VIEWS["Trade"]()
    subjects = [stream("trades")]
    assert text(view.lines(subjects, screen()))[1] == "No trade yet."
    view.take([trade(number) for number in range(1, 40)])
    view.take([trade(40, age=0)])
    lines = text(view.lines(subjects, screen(height=12)))
    assert len(lines) == 11
    assert lines[0] == "BTC/USDT  binance  trades, newest last"
    assert "exchange" not in lines[1]
    prices = [float(line.split()[3]) for line in lines[2:-1]]
    assert prices == [float(100 + number) for number in range(33, 41)]
    assert lines[-1].startswith("newest 2024-03-01 12:00:00 UTC")


def test_trades_of_several_streams_name_them_in_fixed_columns():
    view = VIEWS["Trade"]()
    view.take([trade(1), trade(2, exchange="okx", pair="X/Y", simulated=True)])
    view.take([Trade(**sourced(pair="DOGE/USDT"), price=0.12345, amount=1e6)])
    subjects = [stream("trades"), stream("trades", "okx", "X/Y", simulated=True)]
    lines = text(view.lines(subjects, screen()))
    assert lines[0] == "Trades  binance, okx   SIMULATED   trades, newest last"
    assert lines[1].split()[2:5] == ["exchange", "pair", "side"]
    assert " 101 " in lines[2]
    assert " 0.12345 " in lines[4]


def test_a_chart_grows_with_new_bars_and_has_past_ones():
    view = VIEWS["Candles"]()
    subjects = [stream("candles", timeframe="1m")]
    view.take([bars(10, 1)])
    view.take([bars(10, 2, close=105)])
    view.past(bars(0, 11))
    view.take([bars(12, 1, close=90)])
    [(_, known)] = view.rows(subjects)
    minutes = [(time - START) // MINUTE for time in known.columns.time]
    assert minutes == list(range(13))
    assert list(known.columns.close[-3:]) == [105, 106, 90]
    lines = text(view.lines(subjects, screen(height=40)))
    assert lines[0] == "BTC/USDT  binance  1m candles  90"
    assert any("volume" in line for line in lines)
    assert "2024-03-01 00:12" in lines[-2]
    assert lines[-2].endswith("  open")


@pytest.mark.parametrize("height", [8, 12, 16, 24, 60])
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_charts_fit_the_screen(width, count, height):
    view = VIEWS["Candles"]()
    pairs = [f"P{number}/USDT" for number in range(count)]
    view.take([bars(0, 100, pair=pair) for pair in pairs])
    subjects = [stream("candles", pair=pair, timeframe="1m") for pair in pairs]
    lines = view.lines(subjects, screen(width, height))
    assert max(map(length, lines)) <= width
    if height >= 16:
        assert len(lines) <= height
    assert all(any(pair in line for line in text(lines)) for pair in pairs)


def test_charts_that_do_not_fit_become_rows():
    view = VIEWS["Candles"]()
    view.take([bars(0, 3), bars(0, 5, close=200, exchange="okx")])
    subjects = [
        stream("candles", timeframe="1m"),
        stream("candles", "okx", timeframe="1m"),
        stream("candles", "kraken", timeframe="1m", state="connecting"),
    ]
    lines = text(view.lines(subjects, screen(100, 10)))
    assert lines[0] == "Candles  binance, okx, kraken  1m"
    assert lines[2].split()[:4] == ["BTC/USDT", "binance", "2024-03-01", "00:02"]
    assert lines[3].split()[7] == "204"
    assert lines[4].endswith("connecting")


def test_blocks_side_by_side_begin_in_their_columns():
    left, right = [[("one", "")], [("three", "")]], [[("four and more", "")]]
    assert text(beside([left, right], 8)) == ["one       four an…", "three"]
    assert beside([], 8) == []
