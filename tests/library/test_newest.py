"""The newest records of a watch, for displays and for callers that poll."""

from datetime import UTC, datetime, timedelta

import pytest

from marketdata import ConsolidatedOrderBook
from marketdata.models import (
    Candles,
    Columns,
    Interval,
    Stream,
    Ticker,
    Trade,
)
from marketdata.models.newest import Bars, Newest, Tape, trade_row

NOW = datetime(2026, 3, 1, tzinfo=UTC)
START = int(NOW.timestamp()) * 1000
MINUTE = 60_000


def stream(kind="ticker", pair="BTC/USDT", **more):
    counts = ("messages", "updates", "dropped", "gaps", "resyncs", "reconnects", "unreadable")
    fields = {"exchange": "okx", "kind": kind, "pair": pair, "state": "live", "watchers": 1}
    return Stream(**{**dict.fromkeys(counts, 0), **fields, "memory": 0, **more})


def sourced(pair="BTC/USDT", second=0):
    time = NOW + timedelta(seconds=second)
    return {"exchange": "okx", "pair": pair, "timestamp": time, "received_at": time}


def trade(number, pair="BTC/USDT"):
    return Trade(**sourced(pair, number), id=str(number), price=1.0, amount=1.0, side="buy")


def candles(*closes, missing=()):
    """Candles by the minute in which they open."""
    rows = [(START + minute * MINUTE, *[close] * 4, 1.0, None) for minute, close in closes]
    return Candles(
        **sourced(),
        timeframe="1m",
        source="candles",
        forming=True,
        missing=missing,
        columns=Columns.from_rows(rows),
    )


def test_trades_of_several_pairs_keep_the_order_of_arrival():
    newest = Newest(3)
    newest.take([trade(1), trade(2, "ETH/USDT"), *map(trade, range(3, 7))])
    assert [one.id for one in newest.trades(10)] == ["2", "4", "5", "6"]
    assert [one.id for one in newest.trades(2)] == ["5", "6"]
    busy, quiet = newest.states
    assert busy.behind(0) == (3, 2)  # two of five are lost
    assert quiet.behind(0) == (1, 0)


def test_trades_are_kept_in_the_requested_form():
    newest = Newest(3, trade_row)
    newest.take([trade(1)])
    tape = newest.of(stream("trades"))
    assert isinstance(tape, Tape)
    assert tape.rows(0, 5) == [(1, [START + 1000, 1.0, 1.0, "buy", "1"])]


@pytest.mark.parametrize("is_first", [True, False])
def test_past_candles_precede_the_streamed_ones(is_first):
    gap = Interval(start=NOW, end=NOW + timedelta(minutes=1), bars=1)
    past = candles((1, 10.0), (2, 11.0), missing=(gap,))
    newest = Newest(10)
    bars = newest.of(stream("candles"))
    assert isinstance(bars, Bars)
    assert bars.candles(5) is None
    if is_first:
        bars.past = past
        assert bars.candles(5) == past
    newest.take([candles((2, 12.0)), candles((2, 13.0), (3, 14.0))])
    bars.past = past
    whole = bars.candles(5)
    assert list(whole.close) == [10.0, 13.0, 14.0]
    assert whole.missing == (gap,)
    assert list(bars.candles(2).close) == [13.0, 14.0]


def test_a_stream_that_is_no_longer_reported_has_ended_or_failed():
    newest = Newest(1)
    newest.take([Ticker(**sourced(), window="24h", source="ticker", last=1.0)])
    first, second = stream(), stream(pair="ETH/USDT")
    assert newest.look([first, second]) == [first, second]
    [subject, _] = newest.states
    assert not subject.is_stale
    assert [one.state for one in newest.look([second])] == ["ended", "live"]
    assert subject.is_stale
    assert [one.state for one in newest.look([], failed=True)] == ["failed", "failed"]


def test_a_consolidated_book_is_one_stream():
    newest = Newest(1)
    book = ConsolidatedOrderBook(
        pair="BTC/USDT", timestamp=NOW, received_at=NOW, crossed=False, bids=(), asks=(), sources=()
    )
    newest.take([book, book])
    assert [(one.newest, one.count) for one in newest.states] == [(book, 2)]
