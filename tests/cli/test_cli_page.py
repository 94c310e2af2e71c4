"""Pages for a terminal, drawn from records made here."""

import io
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from inside.shown import Column, Table, numbers

from marketdata.models import (
    Candles,
    Columns,
    Exchange,
    Fees,
    FeeTier,
    Interval,
    OrderBook,
    Pair,
    Quote,
    Status,
    Ticker,
    Trade,
)
from marketdata.models.aggregates import (
    Best,
    BookSource,
    Comparison,
    ComparisonRow,
    ConsolidatedOrderBook,
    ExecutionCost,
    ExecutionSplit,
)
from marketdata_cli.views.layout import bar, breadth, padded, table
from marketdata_cli.views.page import page

NOW = datetime(2024, 3, 1, 12, 0, 0, tzinfo=UTC)
HOUR = 3_600_000
START = 1_709_251_200_000  # 2024-03-01 00:00


def sourced(**more):
    return {
        "exchange": "kraken",
        "timestamp": NOW - timedelta(seconds=3),
        "received_at": NOW,
        "simulated": True,
        "pair": "BTC/USDT",
        **more,
    }


def ticker(**more):
    return Ticker(
        **sourced(window="24h", source="ticker"),
        **{
            "last": 80934.19,
            "bid": 80934.1,
            "bid_volume": 1.5,
            "ask": 80934.2,
            "ask_volume": 0.00000001,
            "high": 82000,
            "low": 79000.5,
            "open": 80000,
            "change": 934.19,
            "percentage": 1.1677375,
            "base_volume": 1234567.891,
            "quote_volume": 98765432109.8765,
            "trades": 1234567,
            **more,
        },
    )


def candles(count=30, *, without=(), forming=True, **more):
    kept = [index for index in range(count) if index not in without]
    rows = [
        (
            START + index * HOUR,
            100.0 + index,
            103.5 + index,
            99.25 + index,
            (101.5 if index % 2 else 99.5) + index,
            10.0 * (index + 1),
            index,
        )
        for index in kept
    ]
    gaps = [
        Interval(
            start=datetime.fromtimestamp((START + index * HOUR) / 1000, UTC),
            end=datetime.fromtimestamp((START + (index + 1) * HOUR) / 1000, UTC),
            bars=1,
        )
        for index in without
    ]
    return Candles(
        **sourced(timeframe="1h", source="candles", forming=forming, missing=gaps),
        candles=Columns.from_rows(rows),
    ).model_copy(update=more)


def book(bids=((99.5, 1.0), (99.25, 2.5)), asks=((100.0, 0.5), (100.75, 4.0))):
    return OrderBook(**sourced(), sequence=77, bids=bids, asks=asks)


def together(**more):
    return {"pair": "BTC/USDT", "timestamp": NOW, "received_at": NOW, "simulated": True, **more}


def row(exchange, bid, **more):
    return ComparisonRow(
        exchange=exchange,
        pair="BTC/USDT",
        last=bid,
        bid=bid,
        ask=bid + 0.1,
        spread=0.1,
        spread_bps=0.0123,
        base_volume=1234.5678,
        fee=0.001,
        timestamp=NOW,
        age=0.25,
        latency_ms=81.5,
        **more,
    )


AWAY = {"code": "EXCHANGE_UNAVAILABLE", "message": "okx did not respond within 5 s."}


def comparison(*rows, **more):
    return Comparison(
        **together(
            best_bid=Best(exchange="kraken", pair="BTC/USDT", price=80935.0),
            best_ask=Best(exchange="binance", pair="BTC/USDT", price=80934.2),
            spread=-0.8,
            spread_bps=-0.0988,
            crossed=True,
            crossed_after_fees=False,
            rows=rows or (row("binance", 80934.1), row("kraken", 80935.0)),
            **more,
        )
    )


def source(name, **more):
    found = {"timestamp": NOW, "age": 0.25, "latency_ms": 81.5} if "code" not in more else {}
    return BookSource(name=name, exchange=name, pair="BTC/USDT", **found, **more)


def consolidated(*sources):
    return ConsolidatedOrderBook(
        **together(
            crossed=False,
            bids=((99.5, 3.0, (("binance", 1.0), ("kraken", 2.0))), (99.25, 1.5, (("okx", 1.5),))),
            asks=((100.0, 0.5, (("okx", 0.5),)),),
            sources=sources or (source("binance"), source("kraken"), source("okx")),
        )
    )


def execution(**more):
    split = ExecutionSplit(
        exchange="kraken",
        pair="BTC/USDT",
        amount=5.0,
        cost=404675.0,
        average_price=80935.0,
        worst_price=80940.5,
        fee=0.004,
        fees=1618.7,
    )
    return ExecutionCost(
        **together(
            side="buy",
            amount=5.0,
            cost=404675.0,
            slippage_bps=0.105,
            fees=1618.7,
            total=406293.7,
            sources=(source("kraken"), source("okx", **AWAY)),
            **{
                "average_price": 80935.0,
                "worst_price": 80940.5,
                "mid": 80934.15,
                "splits": (split,),
                "unfilled": 0.0,
                **more,
            },
        )
    )


RECORDS = {
    "Ticker": ticker(),
    "Quote": Quote(**sourced(source="orderbook"), bid=99.5, bid_volume=1, ask=100, ask_volume=0.5),
    "Status": Status(
        exchange="kraken",
        timestamp=NOW,
        received_at=NOW,
        reachable=False,
        code="EXCHANGE_UNAVAILABLE",
        maintenance=True,
    ),
    "OrderBook": book(),
    "Candles": candles(without=(3, 4, 17)),
    "Fees": Fees(
        **sourced(source="public"),
        maker=0.0016,
        taker=0.0026,
        tiers=(FeeTier(volume=0.0, maker=0.0016, taker=0.0026), FeeTier(volume=5e4, taker=0.0024)),
    ),
    "Comparison": comparison(),
    "ConsolidatedOrderBook": consolidated(),
    "ExecutionCost": execution(),
}
LISTS = {
    "Exchange": [
        Exchange(
            id="okx",
            name="欧易 OKX",
            operations=("ticker",),
            timeframes=("1m", "1h", "1d"),
            depths=(1, 5, 400),
            history=True,
            streams=("ticker", "trades"),
        ),
        Exchange(id="x", name="X", operations=(), timeframes=(), history=False, streams=()),
    ],
    "Pair": [
        Pair(
            exchange="kraken",
            pair="PEPE/USDT",
            base="PEPE",
            quote="USDT",
            price_tick=1e-8,
            amount_step=1.0,
            min_cost=5.0,
            maker=0.0025,
            taker=0.004,
            received_at=NOW,
        )
    ],
    "Ticker": [ticker(), ticker(last=0.00000123, bid=None, ask=None, percentage=-3.0)],
    "Quote": [RECORDS["Quote"]],
    "Trade": [
        Trade(**sourced(), id="9007199254740993", price=1.5, amount=2.0, cost=3.0, side="sell"),
        Trade(**sourced(), price=1.25, amount=0.125),
    ],
}


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_no_line_is_wider_than_the_terminal(width, draw):
    pages = [draw(record, kind, width) for kind, record in RECORDS.items()]
    pages += [draw(records, kind, width, many=True) for kind, records in LISTS.items()]
    for text in pages:
        assert max(map(breadth, text.splitlines())) <= width, text
        assert all(line == line.rstrip() for line in text.splitlines()), text


@pytest.mark.parametrize("width", [80, 81, 82, 83, 84, 85, 100])
def test_no_number_is_cut(width, draw):
    for kind, records in LISTS.items():
        text = draw(records, kind, width, many=True)
        assert "…" not in text.replace("1m … 1d", ""), text
    for kind, record in RECORDS.items():
        text = draw(record, kind, width)
        assert "…" not in text.replace("… 17 earlier", ""), text


def test_ticker(draw):
    text = draw(ticker(), "Ticker")
    assert "╭─ BTC/USDT  kraken   SIMULATED " in text
    assert "80,934.19 USDT   ▲ +1.17%  +934.19" in text
    assert "80,934.10 × 1.5" in text
    assert "80,934.20 × 0.00000001" in text
    assert "0.10 (0.0001%)" in text
    assert "98,765,432,109.88" in text
    assert "2024-03-01 11:59:57 UTC, 3.0 s old, the exchange's ticker" in text
    falling = draw(ticker(percentage=-0.004, change=-3.2), "Ticker")
    assert "▼ -0.00%  -3.20" in falling


def test_unknown_values_of_a_ticker_are_left_out(draw):
    bare = Ticker(**sourced(window="day", source="candles"), last=1.5)
    text = draw(bare, "Ticker")
    assert "trading day" in text
    assert "worked out from candles" in text
    assert "bid" not in text
    assert "volume" not in text


def test_order_book_is_a_ladder(draw):
    lines = draw(book(), "OrderBook").splitlines()
    cells = [line.split() for line in lines[2:-1]]
    assert [row[:3] for row in cells if "spread" not in row] == [
        ["100.75", "4.0", "4.5"],
        ["100.00", "0.5", "0.5"],
        ["99.50", "1.0", "1.0"],
        ["99.25", "2.5", "3.5"],
    ]
    assert "spread 0.50 (0.5013%)  mid 99.750  imbalance -0.12" in lines[4]
    assert len(cells[0][3]) > len(cells[1][3])
    assert lines[-1].endswith("sequence 77")


def test_a_comparison_of_exchanges(draw):
    text = draw(comparison(without_fees=("okx",)), "Comparison", 140)
    lines = text.splitlines()
    assert lines[0] == "BTC/USDT  2 exchanges   SIMULATED"
    assert lines[2].split()[:6] == ["binance", "80,934.1", "80,934.2", "0.1", "0.01", "80,934.1"]
    assert "best bid 80,935.0 on kraken" in text
    assert "spread -0.8 (-0.10 bps)\ncrossed, not after taker fees" in text
    assert "Taker fees not known: okx." in text
    away = ComparisonRow(exchange="okx", pair="BTC/USDT", **AWAY)
    assert f"okx BTC/USDT: {AWAY['code']}  {AWAY['message']}" in draw(
        comparison(row("kraken", 80935.0), away), "Comparison", 140
    )
    nobody = Comparison(**together(rows=(away,)))
    assert "EXCHANGE_UNAVAILABLE" in draw(nobody, "Comparison")
    assert "crossed, not after taker fees" in draw(comparison(), "Comparison", 40)


def test_a_consolidated_book_names_who_quotes(draw):
    text = draw(consolidated(source("binance"), source("okx", **AWAY)), "ConsolidatedOrderBook")
    lines = text.splitlines()
    assert "1 order book " in lines[0]
    assert lines[2].split()[:3] == ["100.00", "0.5", "0.5"]
    assert lines[2].endswith("okx")
    assert lines[4].endswith("binance, kraken")
    assert "spread 0.50 (0.5013%)" in lines[3]
    assert "binance BTC/USDT: 250 ms old, latency 82 ms" in text
    assert "okx BTC/USDT: EXCHANGE_UNAVAILABLE" in text


def test_fees(draw):
    text = draw(RECORDS["Fees"], "Fees")
    assert "public schedule" in text
    assert "0.16%" in text
    assert text.splitlines()[5].split() == ["50,000", "–", "0.24%"]
    own = RECORDS["Fees"].model_copy(update={"source": "account", "tiers": None})
    assert "of the account" in draw(own, "Fees")
    assert "from volume" not in draw(own, "Fees")


def test_the_cost_of_an_order(draw):
    text = draw(execution(unfilled=2.5, without_fees=("okx",)), "ExecutionCost", 100)
    assert "─ buy BTC/USDT " in text
    assert " 1 order book ─" in text
    assert "80,935.0" in text
    assert "paid with fees" in text
    assert "406,293.70 USDT" in text
    assert "Not filled: 2.5 BTC" in text
    assert "kraken         5  100.0%" in text
    whole = {"worst_price": 80940.0, "average_price": 80935.172}
    splits = (execution().splits[0].model_copy(update=whole),)
    text = draw(execution(mid=80934.17, splits=splits, **whole), "ExecutionCost", 100)
    assert [text.count(one) for one in ("80,940.00", "80,935.17", "80,934.17")] == [2, 2, 1]
    bare = {"splits": (), "fees": None, "total": None, "average_price": None, "amount": 0.0}
    assert "fees" not in draw(execution().model_copy(update=bare), "ExecutionCost")


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ({"bids": (), "asks": ()}, " empty "),
        ({"bids": ()}, " no bids "),
        ({"asks": ()}, " no asks "),
    ],
)
def test_order_book_with_an_empty_side(sides, said, draw):
    assert said in draw(book(**sides), "OrderBook")


def test_candles_show_chart_rows_and_gaps(draw):
    text = draw(candles(without=(3, 4, 17)), "Candles")
    assert "\n27 candles, 2024-03-01 00:00 to 2024-03-02 05:00 UTC" in text
    assert "… 17 earlier" in text
    still_open = [line for line in text.splitlines() if line.endswith("  open")]
    assert still_open == ["2024-03-02 05:00  129.00  132.50  128.25  130.50     300      29  open"]
    assert "Missing 3 candles:" in text
    assert "  2024-03-01 03:00 to 04:00 UTC, 1 candle\n" in text
    assert "· marks gaps." in text
    volumes = next(line for line in text.splitlines() if line.endswith(" volume"))
    assert volumes.count("·") == 3
    assert "║" in text, "rising bars are hollow where there is no colour"


def test_the_longest_of_many_gaps_are_listed(draw):
    text = draw(candles(without=(2, 5, 8, 11, 14, 17, 20)), "Candles")
    assert "Missing 7 candles:" in text
    assert "and 2 shorter" in text


def test_more_bars_than_columns_share_sticks(draw):
    text = draw(candles(500), "Candles")
    assert "Each candlestick is 7 candles." in text


def test_few_and_no_bars(draw):
    assert "\n1 candle, 2024-03-01 UTC" in draw(candles(1), "Candles")
    assert "No candles." in draw(candles(0, forming=False), "Candles")
    flat = Columns.from_rows([(START + n, 5.0, 5.0, 5.0, 5.0, 0.0, None) for n in (0, HOUR)])
    assert "║  ║  ◂5\n" in draw(candles(2, columns=flat), "Candles")
    unknown = Columns.from_rows([(START, 5.0, 6.0, 4.0, 5.5, None, None)])
    assert "volume" not in draw(candles(1, columns=unknown), "Candles")


def test_status_of_an_unreachable_exchange(draw):
    text = draw(RECORDS["Status"], "Status")
    assert "● not reachable  EXCHANGE_UNAVAILABLE  in maintenance" in text


def test_lists_name_the_dropped_columns(draw):
    text = draw(LISTS["Ticker"], "Ticker", 60, many=True)
    assert "Hidden columns: " in text
    assert "No room for" not in draw(LISTS["Ticker"], "Ticker", 160, many=True)
    assert "0.00000123" in text
    assert "-3.00%" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_pairs_of_several_exchanges_name_them(width, draw):
    [here] = LISTS["Pair"]
    there = here.model_copy(
        update={"exchange": "coinbaseexchange", "received_at": NOW - timedelta(hours=30)}
    )
    text = draw([here, there], "Pair", width, many=True)
    title, heads, *_, end = [line for line in text.splitlines() if line]
    assert end == "2 pairs, oldest list fetched 2024-02-29 06:00:00 UTC"
    assert title == "Pairs  2 exchanges"
    assert heads.split()[:2] == ["pair", "exchange"]
    assert "coinbaseexchange" in text
    assert "exchange" not in draw([here, here], "Pair", width, many=True)


@pytest.mark.parametrize("kind", ["Pair", "Ticker", "Quote", "Trade"])
def test_empty_lists_say_so(kind, draw):
    assert draw([], kind, many=True).startswith("No ")


def test_trades(draw):
    text = draw(LISTS["Trade"], "Trade", many=True)
    assert "9007199254740993" in text
    assert "0.125" in text
    assert "2 trades, newest 2024-03-01 11:59:57 UTC" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (80934.19, "80,934.19"),
        (0.00000123, "0.00000123"),
        (1e-12, "0.000000000001"),
        (1e21, "1,000,000,000,000,000,000,000"),
        (0.1 + 0.2, "0.3"),
        (123456789012.345, "123,456,789,012.345"),
        (5.0, "5"),
        (-0.5, "-0.5"),
        (1234567, "1,234,567"),
        (None, "–"),
    ],
)
def test_numbers_keep_their_digits_without_exponents(value, text):
    assert numbers.digits(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.035, "35 ms old"),
        (3, "3.0 s old"),
        (300, "5 min old"),
        (9000, "2 h old"),
        (9e5, "10 d old"),
    ],
)
def test_ages(seconds, text):
    assert numbers.age(NOW - timedelta(seconds=seconds), NOW) == text


def test_a_time_ahead_of_ours_says_so():
    assert numbers.age(NOW + timedelta(seconds=90), NOW) == "90.0 s ahead"


def test_times_lack_digits_that_are_zero_in_all():
    day = datetime(2024, 1, 1, tzinfo=UTC)
    assert numbers.moments([day, day + timedelta(days=1)]) == ["2024-01-01", "2024-01-02"]
    assert numbers.moments([day, day + timedelta(hours=1)])[0] == "2024-01-01 00:00"
    assert numbers.moments([day, day + timedelta(milliseconds=5)])[1] == "2024-01-01 00:00:00.005"


def test_wide_characters_take_two_columns():
    assert breadth("欧易 OKX") == 8
    assert padded("欧易", 3) == "欧…"
    assert padded("ab", 4, right=True) == "  ab"


def test_bars_are_exact_to_an_eighth():
    assert [bar(share, 2) for share in (0, 0.5, 0.5625, 1, 7)] == ["", "█", "█▏", "██", "██"]


def test_an_empty_column_is_not_shown():
    lines = table(Table([Column("a", ["1"]), Column("b", ["–"])]), 80)
    assert [text.strip() for text, _ in lines[0]] == ["a"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8"])
def test_replacements_for_missing_characters_have_the_same_width(encoding, monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", output)
    monkeypatch.setenv("COLUMNS", "80")
    for kind in ("Ticker", "Candles", "OrderBook"):
        text = page(SimpleNamespace(record=kind, many=False), RECORDS[kind], NOW)
        assert text.encode(encoding).decode(encoding) == text
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
        whole = page(SimpleNamespace(record=kind, many=False), RECORDS[kind], NOW)
        monkeypatch.setattr("sys.stdout", output)
        assert [len(line) for line in text.split("\n")] == [len(line) for line in whole.split("\n")]


def test_bodies_and_wicks_of_candlesticks_differ_in_ascii(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    text = page(SimpleNamespace(record="Candles", many=False), RECORDS["Candles"], NOW)
    chart = text[: text.index("volume")]
    assert "|" in chart, "wicks"
    assert "O" in chart, "bodies of rising candles are hollow"


def test_the_simulated_mark_is_readable_with_every_colour_scheme(monkeypatch):
    """Its colours are the terminal's own, exchanged."""
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    text = page(SimpleNamespace(record="Quote", many=False), RECORDS["Quote"], NOW)
    assert "\x1b[7m SIMULATED \x1b[0m" in text
